"""prefill_attention against float64, one query at a time, and its two ways of reading a span against each other."""

import math

import pytest
import torch

from clavilux.kernels.case_inputs import call
from clavilux.kernels.catalog import cases
from clavilux.kernels.prefill_attention import prefill_attention
from clavilux.kernels.span import KINDS, Span


def exact(q, k, v, causal, span, starts, mask):
    """In float64 and in loops. The last query sits on the last key."""
    num_queries, num_keys = q.shape[2], k.shape[2]
    out = torch.zeros_like(q, dtype=torch.double)
    for t in range(num_queries):
        position = num_keys - num_queries + t
        first, stride, count = (0, 1, position + 1 if causal else num_keys) if span is None else span.keys(position)
        for b in range(q.shape[0]):
            keys = [first + stride * index for index in range(count)]
            keys = [s for s in keys if (starts is None or s >= starts[b]) and (mask is None or mask[b, s])]
            if keys:
                scores = (k[b][:, keys].double() @ q[b, :, t, :, None].double())[..., 0] / math.sqrt(q.shape[3])
                out[b, :, t] = (scores.softmax(-1)[:, None] @ v[b][:, keys].double())[:, 0]
    return out


@pytest.mark.parametrize(
    ("case", "causal"),
    [
        (case, causal)
        for case in cases("prefill_attention", toy=True)
        for causal in (True, False)
        if causal or "span" not in case.shape
    ],
    ids=str,
)
def test_every_case(case, causal):
    made = call(case)
    words = {"span": None, "starts": None, "mask": None, **made.words}
    expected = exact(*made.arguments, causal, **words)
    given = made.function(*made.arguments, **words, causal=causal)
    assert given.dtype == made.arguments[0].dtype
    assert (given.double() - expected).abs().max() <= case.tolerance * expected.abs().max().clamp(min=1.0)
    assert (given[expected == 0] == 0).all()


@pytest.mark.parametrize("span", [Span(kind, size) for kind in KINDS for size in (1, 5)], ids=str)
def test_blocks_are_the_mask_at_every_length(span):
    torch.manual_seed(0)
    for num_positions in range(1, 3 * span.size + 2):
        q, k, v = torch.randn(3, 2, 3, num_positions, 8, dtype=torch.double)
        mask, blocks = (prefill_attention(q, k, v, span=span, backend=name) for name in ("reference", "blocks"))
        torch.testing.assert_close(blocks, mask, rtol=1e-12, atol=1e-12)
        assert torch.equal(prefill_attention(q, k, v, span=span), blocks), "without a backend the blocks are taken"
        nothing = span.size if span.kind == "previous_row" else 0
        assert (blocks[:, :, :nothing] == 0).all() and (mask[:, :, :nothing] == 0).all()


@pytest.mark.parametrize("span", [None, *(Span(kind, 4) for kind in KINDS)], ids=str)
def test_a_prompt_may_be_read_in_pieces(span):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 13, 8, dtype=torch.double)
    whole = prefill_attention(q, k, v, span=span)
    for first, end in ((0, 3), (3, 10), (5, 9), (10, 13)):
        piece = prefill_attention(q[:, :, first:end], k[:, :, :end], v[:, :, :end], span=span)
        torch.testing.assert_close(piece, whole[:, :, first:end], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("span", [None, *(Span(kind, 2) for kind in KINDS)], ids=str)
def test_gradients(span):
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 1, 5, 4, dtype=torch.double, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(lambda q, k, v: prefill_attention(q, k, v, span=span), (q, k, v))


def test_gradients_with_rows_that_read_nothing():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 1, 3, 4, dtype=torch.double, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[False, True, True], [False, False, False]])
    assert torch.autograd.gradcheck(lambda q, k, v: prefill_attention(q, k, v, mask=mask), (q, k, v))
    prefill_attention(q, k, v, mask=mask).sum().backward()
    assert q.grad[1].abs().max() == 0 and v.grad[1].abs().max() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": torch.zeros(2, 1, 5, 4)}, "q, k, v are"),
        ({"k": torch.zeros(2, 3, 5)}, "q, k, v are"),
        ({"q": torch.zeros(2, 3, 6, 4)}, "6 causal queries have 5 keys"),
        ({"q": torch.zeros(2, 3, 5, 4, dtype=torch.half)}, "q, k, v are torch.float16, torch.float32"),
        ({"v": torch.zeros(2, 3, 5, 4, device="meta")}, "on cpu, cpu, meta"),
        ({"starts": torch.zeros(1, dtype=torch.int64)}, r"starts is torch.int64 \(1,\)"),
        ({"starts": torch.zeros(2)}, "starts is torch.float32"),
        ({"starts": torch.zeros(2, dtype=torch.int64, device="meta")}, "starts is on meta"),
        ({"mask": torch.ones(2, 4, dtype=torch.bool)}, "mask is"),
        ({"mask": torch.ones(2, 5)}, "mask is torch.float32"),
        ({"span": ("row", 4)}, r"span is \('row', 4\)"),
        ({"span": Span("row", 4), "causal": False}, "causal is False with Span"),
        ({"backend": "blocks"}, "backend 'blocks' is asked for"),
        ({"backend": "triton"}, "backend 'triton' does not exist"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    values = {"q": torch.zeros(2, 3, 5, 4), "k": torch.zeros(2, 3, 5, 4), "v": torch.zeros(2, 3, 5, 4)}
    with pytest.raises(ValueError, match=message):
        prefill_attention(**{**values, **change})
