"""decode_attention as one Triton kernel: keys and values are read once, by many programs for each row and head.

The keys are split into pieces of a fixed size (Flash-Decoding: arXiv 2311.01282 describes it), so that what is added
to what depends on the length only: a row has the same bits in any batch. Every program runs an online softmax in
float32 over its piece (arXiv 2205.14135, in base 2). The last one to arrive merges the pieces, in their order.

Every model here is plain multi-head: one query a head leaves a tensor core nothing to do, and a sum of products
reads at the same speed. The grid covers the cache; programs beyond the length leave, so one captured graph serves
every length.
"""

import math
from functools import cache

import torch
import triton
import triton.language as tl

from clavilux.kernels.launch import launch, waves_of_64
from clavilux.kernels.prologue import wait
from clavilux.kernels.span import Span

LOG2_E = 1.4426950408889634
COUNTERS = 65536  # rows times heads of one call, at most: 256 KiB a device


@triton.jit
def prepared(vector, gain, rope, position, eps, columns, E: tl.constexpr):
    """A query or key [E] after its RMS norm and its rotation, in float32; 0 in the columns from E on."""
    inside = columns < E
    x = tl.load(vector + columns, mask=inside, other=0.0).to(tl.float32)
    if gain is not None:
        root = tl.rsqrt(tl.sum(x * x) / E + tl.cast(eps, tl.float32))
        x = x * root * tl.load(gain + columns, mask=inside, other=0.0).to(tl.float32)
    if rope is not None:
        other = tl.where(columns < E // 2, columns + E // 2, columns - E // 2)
        y = tl.load(vector + other, mask=inside, other=0.0).to(tl.float32)
        if gain is not None:
            y = y * root * tl.load(gain + other, mask=inside, other=0.0).to(tl.float32)
        table = rope + tl.cast(position, tl.int64) * (2 * E) + columns
        cos = tl.load(table, mask=inside, other=0.0).to(tl.float32)
        sin = tl.load(table + E, mask=inside, other=0.0).to(tl.float32)
        x = x * cos + y * sin
    return x


@triton.jit
def reads(position, places, KIND: tl.constexpr, SIZE: tl.constexpr):
    """The first place that is read, how many positions come before `position` itself, whether that is read too, and
    its place; as `clavilux.kernels.span.Span` has it."""
    first, before, own, place = position * 0, position, position >= 0, position
    if KIND == "row":
        first, before, place = (position - position % SIZE) % places, position % SIZE, position % places
    elif KIND == "column":
        first, before = position % SIZE * (places // SIZE), position // SIZE
        place = first + before
    elif KIND == "previous_row":
        first = tl.maximum(position - position % SIZE - SIZE, 0) % places
        before, own, place = tl.where(position >= SIZE, SIZE, 0), position < 0, position % places
    elif KIND == "prefix":
        before, own = tl.minimum(position, SIZE), position < SIZE
    return first, before, own, place


@triton.jit
def joined(top, total, result, tops, totals, results):
    """One softmax over what is summed up so far and over more parts: their maxima, totals [N] and results [N, E]."""
    highest = tl.maximum(top, tl.max(tops))
    shift = tl.where(highest == float("-inf"), 0.0, highest)  # where nothing is read yet: not -inf + inf
    kept, weights = tl.exp2(top - shift), tl.exp2(tops - shift)
    return highest, total * kept + tl.sum(weights * totals), result * kept + tl.sum(weights[:, None] * results, 0)


@triton.jit
def joined_one(top, total, result, score, value):
    """The same with one key's score and value [E]."""
    highest = tl.maximum(top, score)
    shift = tl.where(highest == float("-inf"), 0.0, highest)
    kept, weight = tl.exp2(top - shift), tl.exp2(score - shift)
    return highest, total * kept + weight, result * kept + weight * value


@triton.jit
def merged(partial, totals, first, active, columns, E: tl.constexpr):
    """What the pieces first .. first + active - 1 add up to, in their order."""
    top, total = tl.full([], float("-inf"), tl.float32), tl.full([], 0.0, tl.float32)
    result = tl.zeros_like(columns).to(tl.float32)
    for begin in range(0, active, 16):
        parts = begin + tl.arange(0, 16)
        valid, places = parts < active, first + parts
        # .cg: past the first-level cache, which may hold what was there before.
        tops = tl.load(totals + places * 2, valid, float("-inf"), cache_modifier=".cg")
        sums = tl.load(totals + places * 2 + 1, valid, 0.0, cache_modifier=".cg")
        wanted = valid[:, None] & (columns < E)[None, :]
        results = tl.load(partial + places[:, None] * E + columns[None, :], wanted, 0.0, cache_modifier=".cg")
        top, total, result = joined(top, total, result, tops, sums, results)
    return total, result


@triton.jit(
    do_not_specialize=[
        "number", "heads", "splits", "q_row", "q_head", "new_k_row", "new_k_head", "new_v_row", "new_v_head",
        "k_row", "k_head", "v_row", "v_head", "starts_row", "mask_row", "mask_key", "places",
    ]
)  # fmt: skip
def decode_attention_kernel(
    q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, out, partial, totals, counters,
    number, heads, splits, eps, scale,
    q_row, q_head, new_k_row, new_k_head, new_v_row, new_v_head, k_row, k_head, v_row, v_head,
    starts_row, mask_row, mask_key, places,
    E: tl.constexpr, COLUMNS: tl.constexpr, K_STEP: tl.constexpr, V_STEP: tl.constexpr, ALIGN: tl.constexpr,
    KIND: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr, TILES: tl.constexpr, MERGE: tl.constexpr,
    AHEAD: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """out[b, h] = softmax(scale q[b, h] k[b, h]^T) v[b, h] over the keys of split program_id(1), or of all of them.

    `partial` [B * H, splits, E] and `totals` [B * H, splits, 2] are scratch; `counters` [B * H] is 0 before and after.
    Strides of rows and heads are given as multiples of ALIGN, so that the compiler knows how far it may widen a load.
    """
    wait(DEPENDENT)
    pair, split = tl.program_id(0), tl.program_id(1)
    row, head = (pair // heads).to(tl.int64), (pair % heads).to(tl.int64)
    pair = pair.to(tl.int64)
    position = tl.cast(number, tl.int32) - 1
    if length is not None:
        position = tl.load(length) - 1
    first, before, own, place = reads(position, tl.cast(places, tl.int32), KIND, SIZE)
    if new_k is None:
        before += own.to(tl.int32)
    active = tl.maximum(tl.cdiv(before, TILE * TILES), 1)
    if split >= active:
        return

    columns = tl.arange(0, COLUMNS)
    inside = columns < E
    query = prepared(q + (row * q_row + head * q_head) * ALIGN, q_gain, rope, position, eps, columns, E)
    query = query * tl.cast(scale, tl.float32)
    k_base = k + (row * k_row + head * k_head) * ALIGN
    v_base = v + (row * v_row + head * v_head) * ALIGN
    start = tl.full([], 0, tl.int64)
    if starts is not None:
        start = tl.load(starts + row * starts_row)

    last = split == active - 1
    if new_k is not None:  # the last program alone reads, writes and uses them: no other waits for them
        key = new_k + (row * new_k_row + head * new_k_head) * ALIGN
        key = prepared(key, k_gain, rope, position, eps, columns, E).to(k.dtype.element_ty)
        value = tl.load(new_v + (row * new_v_row + head * new_v_head) * ALIGN + columns, mask=inside, other=0.0)

    top, total = tl.full([], float("-inf"), tl.float32), tl.full([], 0.0, tl.float32)
    result = tl.zeros([COLUMNS], tl.float32)
    for tile in range(TILES):
        index = (split * TILES + tile) * TILE + tl.arange(0, TILE)
        at, valid = first.to(tl.int64) + index, index < before
        wanted = valid[:, None] & inside[None, :]
        # All are asked for before any is used. Without `volatile` the compiler asks for the values when the keys have
        # come (seen on sm_90): a second wait for memory. On AMD a volatile load is itself waited for.
        values = tl.load(v_base + at[:, None] * V_STEP + columns[None, :], wanted, 0.0, volatile=AHEAD)
        keys = tl.load(k_base + at[:, None] * K_STEP + columns[None, :], wanted, 0.0, volatile=AHEAD)
        if starts is not None:
            valid = valid & (at >= start)
        if mask is not None:
            valid = valid & (tl.load(mask + row * mask_row + at * mask_key, mask=valid, other=0) != 0)
        scores = tl.where(valid, tl.sum(keys.to(tl.float32) * query[None, :], 1), float("-inf"))
        top, total, result = joined(top, total, result, scores, 1.0, values.to(tl.float32))

    if new_k is not None:
        place, kept = place.to(tl.int64), last & (place < places)  # a prefix keeps nothing after it
        tl.store(k_base + place * K_STEP + columns, key, mask=inside & kept)
        tl.store(v_base + place * V_STEP + columns, value, mask=inside & kept)
        own = own & last
        if starts is not None:
            own = own & (place >= start)
        if mask is not None:
            own = own & (tl.load(mask + row * mask_row + place * mask_key, mask=own, other=0) != 0)
        score = tl.where(own, tl.sum(key.to(tl.float32) * query), float("-inf"))
        top, total, result = joined_one(top, total, result, score, value.to(tl.float32))

    finish = True
    if MERGE:
        finish = active == 1
        if active > 1:
            piece = pair * splits + split
            tl.store(partial + piece * E + columns, result, mask=inside)
            tl.store(totals + piece * 2, top)
            tl.store(totals + piece * 2 + 1, total)
            # All threads have stored; one of them releases it to, and acquires it from, the other programs.
            tl.debug_barrier()
            finish = tl.atomic_add(counters + pair, 1, sem="acq_rel", scope="gpu") == active - 1
            if finish:
                total, result = merged(partial, totals, pair * splits, active, columns, E)
                tl.store(counters + pair, 0)
    if finish:
        result = result / tl.where(total == 0.0, 1.0, total)  # nothing was read: 0
        tl.store(out + pair * E + columns, result.to(out.dtype.element_ty), mask=inside)


def tiles(head_dim: int, keys: int, few: bool) -> tuple[int, int, int, int]:
    """How many keys a program holds at once, how often, how many programs share the keys, and warps of each.

    A program asks for all its keys and values before it computes, so that they are under way together: 16 KiB to
    32 KiB of keys in 16 bits, and as much of values. Three pieces and more are merged, which costs a round through
    memory; two are taken by one program, one after the other, where no more can come (`few`: a span, a memory).
    None of it depends on the batch.
    """
    columns = triton.next_power_of_2(head_dim)
    tile, warps = {128: (64, 4), 256: (64, 8), 512: (32, 8)}.get(columns, (128, 8))
    if few and keys <= tile:
        tile = max(16, triton.next_power_of_2(keys))
    times = 2 if few and tile < keys <= 2 * tile else 1
    return tile, times, triton.cdiv(keys, tile * times), warps


@cache
def counters(device: torch.device) -> torch.Tensor:
    """int32 zeros that every call on a device counts in; a kernel leaves them as it found them, at 0.

    Launches that count must not overlap: they are in one stream, or in streams that wait for each other. Kept for
    good, because captured graphs hold its address.

    Raises:
        RuntimeError: it would be made while a graph is captured, and so be zero only when that graph has run.
    """
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("decode_attention is captured before its first run; run the step once, then capture it")
    return torch.zeros(COUNTERS, dtype=torch.int32, device=device)


def decode_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    length: int | torch.Tensor,
    new_k: torch.Tensor | None,
    new_v: torch.Tensor | None,
    rope: torch.Tensor | None,
    q_gain: torch.Tensor | None,
    k_gain: torch.Tensor | None,
    eps: float,
    span: Span | None,
    starts: torch.Tensor | None,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """The op as `api.decode_attention` calls it: a length is a tensor or a number, which one schema cannot say."""
    number, tensor = (0, length) if isinstance(length, torch.Tensor) else (length, None)
    kind, size = ("full", 1) if span is None else (span.kind, span.size)
    return decode_attention_op(
        q, k, v, new_k, new_v, rope, q_gain, k_gain, tensor, starts, mask, number, eps, kind, size, 0
    )  # fmt: skip


@torch.library.custom_op("clavilux::decode_attention", mutates_args=("k", "v"))
def decode_attention_op(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    new_k: torch.Tensor | None,
    new_v: torch.Tensor | None,
    rope: torch.Tensor | None,
    q_gain: torch.Tensor | None,
    k_gain: torch.Tensor | None,
    length: torch.Tensor | None,
    starts: torch.Tensor | None,
    mask: torch.Tensor | None,
    number: int,
    eps: float,
    kind: str,
    size: int,
    tile: int,
) -> torch.Tensor:
    """`tile` keys a program, for tests that want several programs for few keys; 0: what `tiles` says."""
    batch, heads, head_dim = q.shape
    keys = k.shape[2] if kind == "full" else Span(kind, size).most(k.shape[2])
    held, times, splits, warps = tiles(head_dim, keys, kind != "full" or new_k is None)
    if tile:
        held, times, splits = tile, 1, triton.cdiv(keys, tile)
    pairs, merge = batch * heads, splits > 1
    if merge and pairs > COUNTERS:
        raise ValueError(f"q has {batch} rows of {heads} heads; together they should be at most {COUNTERS}")
    out = q.new_empty(batch, heads, head_dim)
    partial = q.new_empty(pairs, splits, head_dim, dtype=torch.float32) if merge else None
    totals = q.new_empty(pairs, splits, 2, dtype=torch.float32) if merge else None
    k_step, v_step = k.stride(2), v.stride(2)
    strides = [(0, 0) if x is None else x.stride()[:2] for x in (q, new_k, new_v, k, v)]
    outer = [stride for pair in strides for stride in pair]
    align = math.gcd(16, k_step, v_step, *outer)
    launch(
        decode_attention_kernel, (pairs, splits),
        q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, out, partial, totals,
        counters(q.device) if merge else None,
        number, heads, splits, eps, head_dim**-0.5 * LOG2_E,
        *(stride // align for stride in outer),
        0 if starts is None else starts.stride(0), *((0, 0) if mask is None else mask.stride()), k.shape[2],
        num_warps=warps, E=head_dim, COLUMNS=triton.next_power_of_2(head_dim), K_STEP=k_step, V_STEP=v_step,
        ALIGN=align, KIND=kind, SIZE=size, TILE=held, TILES=times, MERGE=merge,
        AHEAD=not waves_of_64(),
    )  # fmt: skip
    return out


@decode_attention_op.register_fake
def _(q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, number, eps, kind, size, tile):
    return q.new_empty(q.shape)
