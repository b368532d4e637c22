"""decode_attention: both implementations against float64 in loops, and what a captured step needs of them.

The Triton kernel runs in its interpreter, in float32 and float16.
"""

import math

import pytest
import torch

from clavilux.kernels.case_inputs import call
from clavilux.kernels.catalog import cases
from clavilux.kernels.decode_attention import decode_attention, reference
from clavilux.kernels.launch import noted
from clavilux.kernels.prefill_attention import prefill_attention
from clavilux.kernels.span import KINDS, Span

triton = pytest.importorskip("clavilux.kernels.decode_attention.triton")

CPU = torch.device("cpu")
SPANS = [None, *(Span(kind, 5) for kind in KINDS)]
CASES = [case for case in cases("decode_attention", toy=True) if case.dtype != "bfloat16"]


def prepared(x, gain, rope, position, eps=1e-5):
    """x [H, E] in float64: norm, then each pair turned as a complex number."""
    x = x.double()
    if gain is not None:
        x = x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * gain.double()
    if rope is not None:
        half = x.shape[-1] // 2
        turn = torch.complex(rope[position, 0, :half].double(), rope[position, 1, half:].double())
        x = torch.complex(x[:, :half], x[:, half:]) * turn
        x = torch.cat([x.real, x.imag], -1)
    return x


def exact(q, k, v, length, new_k=None, new_v=None, rope=None, q_gain=None, k_gain=None, span=None, starts=None,
          mask=None):  # fmt: skip
    """What is returned, and the key and value that are written, in float64."""
    position, out = int(length) - 1, torch.zeros(q.shape, dtype=torch.double)
    k, v = k.double(), v.double()
    place = place_of(span, position, k.shape[2])
    first, stride, count = (0, 1, position + 1) if span is None else span.keys(position)
    for b in range(len(q)):
        if new_k is not None and place < k.shape[2]:
            k[b, :, place] = prepared(new_k[b], k_gain, rope, position)
            v[b, :, place] = new_v[b].double()
        keys = [first + stride * index for index in range(count)]
        keys = [s for s in keys if (starts is None or s >= starts[b]) and (mask is None or mask[b, s])]
        keys = [place_of(span, s, k.shape[2]) for s in keys]
        if keys:
            query = prepared(q[b], q_gain, rope, position) / math.sqrt(q.shape[2])
            weights = (k[b][:, keys] @ query[:, :, None])[..., 0].softmax(-1)  # [H, keys]
            out[b] = (weights[:, None] @ v[b][:, keys])[:, 0]
    return out, k[:, :, place : place + 1], v[:, :, place : place + 1]


def place_of(span, position, places):
    """Where a position lies, from what a cache holds; `places` for one that is not kept."""
    if span is None or span.kind == "prefix":
        return min(position, places)
    block, within = divmod(position, span.size)
    if span.kind == "column":
        return within * (places // span.size) + block
    return block % (places // span.size) * span.size + within


def run(made, backend, tile=None):
    """The call on copies of its caches: what it returns, and the caches."""
    q, k, v, length = made.arguments
    k, v = k.clone(), v.clone()
    if tile is None:
        return decode_attention(q, k, v, length, **made.words, backend=backend), k, v
    return in_pieces(q, k, v, length, tile, **made.words), k, v


def in_pieces(q, k, v, length, tile, new_k=None, new_v=None, rope=None, q_gain=None, k_gain=None, span=None,
              starts=None, mask=None, pieces=0):  # fmt: skip
    """The kernel with few keys a program, so that few keys are many pieces."""
    number, length = (0, length) if isinstance(length, torch.Tensor) else (length, None)
    kind, size = ("full", 1) if span is None else (span.kind, span.size)
    return triton.decode_attention_op(
        q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, number, 1e-5, kind, size, tile, pieces
    )


def filled(rows=2, heads=3, positions=40, head_dim=16, dtype=torch.float32):
    torch.manual_seed(0)
    k, v = torch.randn(2, rows, heads, positions, head_dim).to(dtype)
    qkv = torch.randn(rows, 3, heads, head_dim).to(dtype)
    angles = torch.randn(positions, head_dim // 2)
    cos, sin = angles.cos(), angles.sin()
    rope = torch.stack([torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1)], 1)
    gains = 1 + torch.rand(2, head_dim)
    words = {"new_k": qkv[:, 1], "new_v": qkv[:, 2], "rope": rope, "q_gain": gains[0], "k_gain": gains[1]}
    return qkv[:, 0], k, v, words


@pytest.mark.parametrize("case", cases("decode_attention", toy=True), ids=str)
def test_the_reference(case):
    made = call(case)
    out, k, v = run(made, "reference")
    expected, key, value = exact(*made.arguments, **made.words)
    assert out.dtype == k.dtype
    assert (out.double() - expected).abs().max() <= case.tolerance * expected.abs().max().clamp(min=1.0)
    assert (out[expected == 0] == 0).all()
    place = place_of(made.words.get("span"), int(made.arguments[3]) - 1, k.shape[2])
    written = slice(place, place + 1)
    torch.testing.assert_close(k[:, :, written].double(), key, rtol=0, atol=case.tolerance * biggest(key))
    assert torch.equal(v[:, :, written].double(), value)
    check_untouched(made, k, v)


def biggest(values):
    return float(values.abs().max()) if values.numel() else 0.0


def check_untouched(made, k, v):
    others = torch.arange(k.shape[2]) != place_of(made.words.get("span"), int(made.arguments[3]) - 1, k.shape[2])
    for after, before in zip((k, v), made.arguments[1:3], strict=True):
        assert torch.equal(after[:, :, others].nan_to_num(7.0), before[:, :, others].nan_to_num(7.0))


@pytest.mark.parametrize(
    ("case", "tile"),
    [(case, tile) for case in CASES for tile in (None, 4, 16) if tile != 4 or case.shape["length"] < 100],
    ids=str,
)
def test_the_kernel_is_no_worse_than_the_reference(case, tile, compared):
    made = call(case)
    expected, key, _ = exact(*made.arguments, **made.words)
    (out, k, v), (other, other_k, other_v) = run(made, "triton", tile), run(made, "reference")
    place = place_of(made.words.get("span"), int(made.arguments[3]) - 1, k.shape[2])
    written = slice(place, place + 1)
    for given, peer, truth in ((out, other, expected), (k[:, :, written], other_k[:, :, written], key)):
        floor = torch.finfo(given.dtype).eps * biggest(truth)
        assert biggest(given.double() - truth) <= 2 * biggest(peer.double() - truth) + floor
    assert torch.equal(v[:, :, written], other_v[:, :, written])
    assert (out[expected == 0] == 0).all()
    check_untouched(made, k, v)
    assert not triton.counters(CPU).any()
    compared(case)


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("span", SPANS, ids=str)
def test_every_position_is_the_last_row_of_prefill(span, backend):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 16, 8)
    whole = prefill_attention(q, k, v, span=span)
    places = 16 if span is None else span.num_slots(16)
    k_cache, v_cache = torch.full((2, 2, 3, places, 8), torch.nan)
    for t in range(16):
        words = {"new_k": k[:, :, t], "new_v": v[:, :, t], "span": span, "backend": backend}
        one = decode_attention(q[:, :, t], k_cache, v_cache, t + 1, **words)
        torch.testing.assert_close(one, whole[:, :, t], rtol=1e-5, atol=1e-6)
        if span is not None and span.kind == "previous_row" and t < span.size:
            assert (one == 0).all()
    assert places == {None: 16, "row": 5, "column": 20, "previous_row": 10, "prefix": 5}[span and span.kind]
    for t in range(5) if span and span.kind == "prefix" else (14, 15):
        assert torch.equal(k_cache[:, :, place_of(span, t, places)], k[:, :, t])


def poisoned(cache, span, length):
    """A copy with NaN wherever the last of `length` positions does not read, and where it is written."""
    places = cache.shape[2]
    unread = torch.arange(places) >= length - 1
    if span is not None:
        first, count = span.slots_read(length - 1, places)
        unread = torch.ones(places, dtype=torch.bool)
        unread[first : first + count] = False
        unread[place_of(span, length - 1, places) :][:1] = True
    return cache.clone().masked_fill(unread[:, None], torch.nan)


@pytest.mark.parametrize("tile", [4, 16, 0])
@pytest.mark.parametrize("span", SPANS, ids=str)
def test_pieces_and_lengths(span, tile):
    q, k, v, words = filled()
    for length in (1, 2, 5, 6, 21, 40):
        caches = [poisoned(x, span, length) for x in (k, v, k, v)]
        expected = decode_attention(q, *caches[:2], length, **words, span=span, backend="reference")
        given = in_pieces(q, *caches[2:], length, tile, **words, span=span)
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(caches[2], caches[0], rtol=1e-6, atol=1e-6, equal_nan=True)
        assert given.isfinite().all()


def test_more_pieces_than_one_merge_takes():
    q, k, v, _ = filled(rows=1, heads=1, positions=150, head_dim=4)
    for length in (64, 65, 150):  # 16, 17 and 38 pieces
        given, expected = in_pieces(q, k, v, length, 4), decode_attention(q, k, v, length, backend="reference")
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)
    assert not triton.counters(CPU).any()


def test_a_piece_of_several_tiles():
    q, k, v, words = filled(positions=150, head_dim=4)
    starts, mask = torch.tensor([3, 70]), torch.rand(2, 150) < 0.8
    for length in (1, 24, 25, 33, 49, 150):  # 1 to 38 tiles of 4 for 6 programs, up to 7 each
        for more in ({}, {"starts": starts, "mask": mask}):
            caches = [poisoned(x, None, length) for x in (k, v, k, v)]
            given = in_pieces(q, *caches[2:], length, 4, **words, **more, pieces=6)
            expected = decode_attention(q, *caches[:2], length, **words, **more, backend="reference")
            torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(caches[3], caches[1], rtol=0, atol=0, equal_nan=True)
    assert not triton.counters(CPU).any()


def test_a_span_and_a_memory_are_not_split_and_a_long_cache_is():
    work = triton.work
    for head_dim, keys, programs in (
        (150, 64, 5),
        (150, 128, 5),
        (256, 102, 8),
        (480, 64, 15),
        (64, 64, 1),
        (64, 200, 1),
    ):
        found = work(head_dim, keys, 8, True, 2)
        assert found.pieces == 1 and found.tile >= keys and -(-head_dim // found.width) == programs
    assert work(64, 1503, 32, False, 2) == triton.Work(128, 12, 64, 8)
    assert work(256, 6528, 2, False, 2) == triton.Work(32, 64, 256, 4)


@pytest.mark.parametrize("tile", [4, 0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_a_row_has_the_same_bits_in_any_batch(dtype, tile):
    q, k, v, words = filled(rows=8, heads=1, dtype=dtype)
    starts, mask = torch.arange(8) * 3, torch.rand(8, 40) < 0.8
    for length in (3, 33):
        results = []
        for rows in (1, 3, 8):
            own = [x[-rows:].clone() for x in (q, k, v)]
            news = {name: words[name][-rows:] for name in ("new_k", "new_v")}
            rest = {"starts": starts[-rows:], "mask": mask[-rows:]}
            results.append((in_pieces(*own, length, tile, **{**words, **news}, **rest)[-1], own[1][-1]))
        for out, cache in results[1:]:
            assert torch.equal(out, results[0][0]) and torch.equal(cache, results[0][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("span", SPANS, ids=str)
def test_so_has_a_row_of_the_reference(span, dtype):
    q, k, v, words = filled(rows=8, positions=300, head_dim=64, dtype=dtype)
    for length in (1, 7, 130, 300):
        rows = []
        for count in (1, 3, 8):
            news = {name: words[name][:count] for name in ("new_k", "new_v")}
            own = [x[:count].clone() for x in (q, k, v)]
            rows.append(decode_attention(*own, length, **{**words, **news}, span=span, backend="reference")[0])
        assert torch.equal(rows[0], rows[1]) and torch.equal(rows[0], rows[2])


@pytest.mark.parametrize("backend", ["reference", "triton"])
@pytest.mark.parametrize("span", SPANS, ids=str)
def test_a_length_on_the_device_and_a_second_run_change_no_bit(span, backend):
    q, k, v, words = filled(positions=300)
    for length in (4, 12, 290):
        given = [
            decode_attention(q, k.clone(), v.clone(), number, **words, span=span, backend=backend)
            for number in (length, torch.tensor([length], dtype=torch.int32), length)
        ]
        assert torch.equal(given[0], given[1]) and torch.equal(given[0], given[2])


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_the_reference_that_asks_no_device_for_the_length(span):
    q, k, v, words = filled()
    starts, mask = torch.tensor([0, 7]), torch.rand(2, 40) < 0.8
    ordered = span is None or span.kind == "prefix"
    for length in (1, 5, 13, 40):
        for more in ({}, {"starts": starts, "mask": mask})[: 1 + ordered]:
            caches = [poisoned(x, span, length) for x in (k, v, k, v)]
            news = {name: words[name] for name in ("new_k", "new_v")}
            expected = decode_attention(q, *caches[:2], length, **news, span=span, backend="reference", **more)
            rest = more.get("starts"), more.get("mask")
            position = torch.tensor([length - 1], dtype=torch.int32)
            given = reference._masked(q[:, :, None], *caches[2:], position, *news.values(), span, *rest)[:, :, 0]
            torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)
            assert torch.equal(caches[0].nan_to_num(7.0), caches[2].nan_to_num(7.0))


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_row_that_may_read_nothing_gives_0(backend):
    q, k, v, _ = filled(rows=3)
    mask = torch.ones(3, 40, dtype=torch.bool)
    mask[1] = False
    assert (decode_attention(q, k, v, 40, mask=mask, backend=backend)[1] == 0).all()
    given = decode_attention(q, k, v, 9, starts=torch.tensor([0, 9, 40]), backend=backend)
    assert (given[1:] == 0).all() and given[0].abs().min() > 0


def test_one_grid_serves_every_length():
    q, k, v, words = filled(positions=300)
    with noted() as notes:
        for length in (1, 300, torch.tensor([7], dtype=torch.int32)):
            decode_attention(q, k, v, length, **words, backend="triton")
    assert [note.grid for note in notes] == [(6, 3)] * 3


def test_pieces_cover_the_keys_whatever_the_head():
    for head_dim in (4, 48, 64, 80, 100, 128, 150, 256, 480, 512):
        for keys in (1, 63, 64, 65, 128, 129, 1503, 8192):
            for few in (False, True):
                work = triton.work(head_dim, keys, 4, few, 2)
                assert (work.pieces - 1) * work.tile < keys
                assert work.width >= head_dim if work.pieces > 1 or not few else keys <= work.tile


def test_counters_are_not_made_inside_a_capture(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="run the step once"):
        triton.counters.__wrapped__(torch.device("cuda"))


def test_more_pairs_than_counters():
    rows = triton.COUNTERS // 8 + 1
    q, k = torch.zeros(1, 8, 4).expand(rows, 8, 4), torch.zeros(1, 8, 4096, 4).expand(rows, 8, 4096, 4)
    with pytest.raises(ValueError, match=f"q has {rows} rows of 8 heads"), noted():
        decode_attention(q, k, k, 4096, backend="triton")


def test_the_custom_op_says_what_it_writes():
    q, k, v, words = filled(positions=8)
    names = ("new_k", "new_v", "rope", "q_gain", "k_gain")
    length = torch.tensor([5], dtype=torch.int32)
    arguments = (q, k, v, *(words[name] for name in names), length, None, None, 0, 1e-5, "full", 1, 4, 0)
    torch.library.opcheck(triton.decode_attention_op, arguments, test_utils=("test_schema", "test_faketensor"))


ZEROS = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": torch.zeros(2, 3, 5)}, "q, k, v are"),
        ({"k": torch.zeros(2, 3, 9)}, "q, k, v are"),
        ({"q": ZEROS.half()}, "q, k, v are torch.float16, torch.float32"),
        ({"q": ZEROS.long()}, "q, k, v are torch.int64"),
        ({"k": torch.zeros(2, 3, 9, 4, device="meta")}, "q, k, v are on cpu, meta, cpu"),
        ({"q": torch.zeros(2, 4, 3).transpose(1, 2)}, r"q has strides \(12, 1, 3\)"),
        ({"v": torch.zeros(2, 3, 4, 9).transpose(2, 3)}, "v has strides"),
        ({"length": 0}, "length is 0"),
        ({"length": -1}, "length is -1"),
        ({"length": 10}, "length is 10"),
        ({"length": 2.0}, "length is 2.0"),
        ({"length": torch.tensor([3])}, r"length is torch.int64 \(1,\)"),
        ({"length": torch.tensor(3, dtype=torch.int32)}, r"length is torch.int32 \(\)"),
        ({"length": torch.zeros(1, dtype=torch.int32, device="meta")}, "length is on meta"),
        ({"new_k": ZEROS}, "new_k is given without new_v"),
        ({"new_v": ZEROS}, "new_v is given without new_k"),
        ({"new_k": ZEROS, "new_v": torch.zeros(2, 3, 5)}, r"new_v is torch.float32 \(2, 3, 5\)"),
        ({"new_k": ZEROS.half(), "new_v": ZEROS}, "new_k is torch.float16"),
        ({"new_k": torch.zeros(2, 4, 3).transpose(1, 2), "new_v": ZEROS}, "new_k has strides"),
        ({"rope": torch.zeros(9, 4)}, r"rope is torch.float32 \(9, 4\)"),
        ({"rope": torch.zeros(9, 2, 4, dtype=torch.int32)}, "rope is torch.int32"),
        ({"rope": torch.zeros(8, 2, 4)}, "length is 9; rope has 8 positions"),
        ({"rope": torch.zeros(9, 4, 2).transpose(1, 2)}, "rope has strides"),
        ({"rope": torch.zeros(9, 2, 4, device="meta")}, "rope is on meta"),
        ({"q_gain": torch.ones(3)}, r"q_gain is torch.float32 \(3,\)"),
        ({"k_gain": torch.ones(4, device="meta")}, "k_gain is on meta"),
        ({"k_gain": torch.ones(8)[::2]}, "k_gain has strides"),
        ({"span": "row"}, "span is 'row'"),
        ({"span": Span("row", 4)}, "k has 9 slots, which do not fit Span"),
        ({"span": Span("previous_row", 9)}, "k has 9 slots, .*; 18 would"),
        ({"span": Span("prefix", 10)}, "k has 9 slots"),
        ({"span": Span("column", 3), "length": 10}, "length is 10"),
        ({"span": Span("row", 3), "starts": torch.zeros(2, dtype=torch.int64)}, "starts or a mask is given with"),
        ({"starts": torch.zeros(3, dtype=torch.int64)}, "starts is"),
        ({"starts": torch.zeros(2, dtype=torch.int32)}, "starts is torch.int32"),
        ({"mask": torch.ones(2, 9)}, "mask is torch.float32"),
        ({"mask": torch.ones(2, 8, dtype=torch.bool)}, "mask is torch.bool"),
        ({"mask": torch.ones(2, 9, dtype=torch.bool, device="meta")}, "mask is on meta"),
        ({"backend": "magic"}, "backend 'magic'"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    values = {"q": ZEROS, "k": torch.zeros(2, 3, 9, 4), "v": torch.zeros(2, 3, 9, 4), "length": 9}
    with pytest.raises(ValueError, match=message):
        decode_attention(**{**values, **change})


def test_a_head_that_is_too_wide_and_a_rope_for_odd_heads():
    q, k = torch.zeros(1, 1, 513), torch.zeros(1, 1, 2, 513)
    with pytest.raises(ValueError, match="q has a head_dim of 513"):
        decode_attention(q, k, k, 1)
    with pytest.raises(ValueError, match="with a head_dim of 5"):
        decode_attention(torch.zeros(1, 1, 5), *torch.zeros(2, 1, 1, 2, 5), 1, rope=torch.zeros(2, 2, 5))


def test_float64_is_left_to_the_reference():
    q, k, v, _ = filled(dtype=torch.double)
    with pytest.raises(ValueError, match="backend 'triton' is asked for a shape"):
        decode_attention(q, k, v, 3, backend="triton")
