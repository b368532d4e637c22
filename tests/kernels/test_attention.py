"""decode_attention and prefill_attention against float64, one query at a time."""

import math

import pytest
import torch

from clavilux.kernels.catalog import cases
from clavilux.kernels.decode_attention import decode_attention
from clavilux.kernels.prefill_attention import prefill_attention


def exact(q, k, v, readable):
    """q [B, H, T, E] in float64; readable(b, t) gives the keys that are read."""
    out = torch.zeros_like(q, dtype=torch.double)
    for b in range(q.shape[0]):
        for t in range(q.shape[2]):
            keys = readable(b, t)
            if keys:
                scores = (k[b][:, keys].double() @ q[b, :, t, :, None].double())[..., 0] / math.sqrt(q.shape[3])
                out[b, :, t] = (scores.softmax(-1)[:, None] @ v[b][:, keys].double())[:, 0]
    return out


def make(case, queries):
    torch.manual_seed(0)
    rows, heads, head_dim, length = (case.shape[name] for name in ("rows", "heads", "head_dim", "length"))
    dtype = getattr(torch, case.dtype)
    q = torch.randn(rows, heads, queries, head_dim).to(dtype)
    k, v = torch.randn(2, rows, heads, length, head_dim).to(dtype).unbind(0)
    starts = torch.tensor([0, 4, length]) if case.shape.get("starts") else None  # the last row reads nothing
    mask = None
    if case.shape.get("mask"):
        mask = torch.rand(rows, length) < 0.5
        mask[0, 0], mask[2] = True, False  # the last row reads nothing
    return q, k, v, starts, mask


def close(given, exact, tolerance):
    assert given.shape == exact.shape
    assert (given.double() - exact).abs().max() <= tolerance * exact.abs().max().clamp(min=1.0)


def keys_of(length, starts, mask, b):
    first = 0 if starts is None else int(starts[b])
    return [s for s in range(first, length) if mask is None or mask[b, s]]


@pytest.mark.parametrize("case", cases("decode_attention", toy=True), ids=str)
def test_decode_attention(case):
    q, k, v, starts, mask = make(case, 1)
    length = case.shape["length"]
    expected = exact(q, k, v, lambda b, t: keys_of(length, starts, mask, b))[:, :, 0]
    given = decode_attention(q[:, :, 0], k, v, length, starts=starts, mask=mask)
    close(given, expected, case.tolerance)
    if starts is not None or mask is not None:
        assert (given[2] == 0).all()


@pytest.mark.parametrize("case", cases("prefill_attention", toy=True), ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_prefill_attention(case, causal):
    queries, length = case.shape["queries"], case.shape["length"]
    q, k, v, starts, mask = make(case, queries)

    def readable(b, t):
        end = length - queries + t + 1 if causal else length
        return [s for s in keys_of(length, starts, mask, b) if s < end]

    given = prefill_attention(q, k, v, causal=causal, starts=starts, mask=mask)
    close(given, exact(q, k, v, readable), case.tolerance)


def test_cache_beyond_the_length_is_never_read():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 4), torch.randn(2, 3, 9, 4), torch.randn(2, 3, 9, 4)
    starts, mask = torch.tensor([1, 3]), torch.rand(2, 9) < 0.7
    for length in (1, 5, 8):
        spoilt_k, spoilt_v = k.clone(), v.clone()
        spoilt_k[:, :, length:], spoilt_v[:, :, length:] = torch.nan, torch.nan
        for words in ({}, {"starts": starts}, {"mask": mask}, {"starts": starts, "mask": mask}):
            clean = decode_attention(q, k, v, length, **words)
            assert torch.equal(clean, decode_attention(q, spoilt_k, spoilt_v, length, **words))
            assert clean.isfinite().all()


def test_decode_is_the_last_row_of_prefill():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 6, 4), torch.randn(2, 3, 6, 4), torch.randn(2, 3, 6, 4)
    whole = prefill_attention(q, k, v)
    for t in range(6):
        one = decode_attention(q[:, :, t], k, v, t + 1)
        torch.testing.assert_close(one, whole[:, :, t], rtol=1e-5, atol=1e-5)


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
        ({"q": torch.zeros(2, 3, 5)}, "q, k, v are"),
        ({"length": 0}, "length is 0"),
        ({"length": 10}, "length is 10"),
        ({"starts": torch.zeros(3, dtype=torch.int64)}, "starts is"),
        ({"mask": torch.ones(2, 9)}, "mask is torch.float32"),
        ({"mask": torch.ones(2, 8, dtype=torch.bool)}, "mask is torch.bool"),
        ({"backend": "magic"}, "backend 'magic'"),
    ],
)
def test_decode_names_what_does_not_fit(change, message):
    values = {
        "q": torch.zeros(2, 3, 4),
        "k": torch.zeros(2, 3, 9, 4),
        "v": torch.zeros(2, 3, 9, 4),
        "length": 9,
    }
    with pytest.raises(ValueError, match=message):
        decode_attention(**{**values, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": torch.zeros(2, 1, 5, 4)}, "q, k, v are"),
        ({"q": torch.zeros(2, 3, 6, 4)}, "6 causal queries have 5 keys"),
        ({"starts": torch.zeros(1, dtype=torch.int64)}, "starts is"),
        ({"mask": torch.ones(2, 4, dtype=torch.bool)}, "mask is"),
    ],
)
def test_prefill_names_what_does_not_fit(change, message):
    values = {"q": torch.zeros(2, 3, 5, 4), "k": torch.zeros(2, 3, 5, 4), "v": torch.zeros(2, 3, 5, 4)}
    with pytest.raises(ValueError, match=message):
        prefill_attention(**{**values, **change})
