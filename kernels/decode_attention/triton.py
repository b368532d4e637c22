"""decode_attention as one Triton kernel: keys and values are read once, by many programs for each row and head.

Keys are split into pieces (Flash-Decoding: arXiv 2311.01282 describes it) of a size that depends on the length only: a
row has the same bits in any batch. Every program runs an online softmax in float32 over its piece (arXiv 2205.14135, in
base 2). The last one to arrive merges the pieces, in their order: three rounds through memory, one after the other. So
what is short (a span, a memory) is not split: there, programs share out the columns of the values, and each looks at
all keys, which the second-level cache holds.

In a captured step a program is started before the kernel before it has ended. The length, the keys and values of
earlier positions, the tables of rotations and gains were complete before the step began: a step's graph starts when the
one before it has ended, and nothing in a step but this kernel writes this cache, at this step's position. All of that
is loaded before the wait; the query and the new key and value, after it.

Every model here is plain multi-head: one query a head leaves a tensor core nothing to do, and a sum of products
reads at the same speed. The grid covers the cache; programs beyond the length leave, so one captured graph serves
every length.
"""

import math
from functools import cache

import torch
import triton
import triton.language as tl

from clavilux.kernels.decode_attention.work import Work, work
from clavilux.kernels.launch import launch, waves_of_64
from clavilux.kernels.prologue import ask_for, wait
from clavilux.kernels.span import Span

LOG2_E = 1.4426950408889634
COUNTERS = 65536  # rows times heads of one call, at most: 256 KiB a device


@triton.jit
def factors(gain, rope, position, columns, E: tl.constexpr):
    """What `prepared` multiplies with: the gains of each column and of its partner, cosine and sine; 1 where absent."""
    inside = columns < E
    partner = tl.where(columns < E // 2, columns + E // 2, columns - E // 2)
    own = tl.full([columns.shape[0]], 1.0, tl.float32)
    other, cos, sin = own, own, own
    if gain is not None:
        own = tl.load(gain + columns, mask=inside, other=0.0).to(tl.float32)
        other = tl.load(gain + partner, mask=inside, other=0.0).to(tl.float32)
    if rope is not None:
        table = rope + tl.cast(position, tl.int64) * (2 * E) + columns
        cos = tl.load(table, mask=inside, other=0.0).to(tl.float32)
        sin = tl.load(table + E, mask=inside, other=0.0).to(tl.float32)
    return own, other, cos, sin


@triton.jit
def prepared(vector, own, other, cos, sin, eps, columns, E: tl.constexpr, GAIN: tl.constexpr, ROPE: tl.constexpr):
    """A query or key [E] after its RMS norm and its rotation, in float32; 0 in the columns from E on."""
    inside = columns < E
    x = tl.load(vector + columns, mask=inside, other=0.0).to(tl.float32)
    if GAIN:
        root = tl.rsqrt(tl.sum(x * x) / E + tl.cast(eps, tl.float32))
        x = x * root * own
    if ROPE:
        partner = tl.where(columns < E // 2, columns + E // 2, columns - E // 2)
        y = tl.load(vector + partner, mask=inside, other=0.0).to(tl.float32)
        if GAIN:
            y = y * root * other
        x = x * cos + y * sin
    return x


@triton.jit
def held(
    k, v, mask_row, mask_key, mask, first, before, start, begin, columns, value_columns,
    E: tl.constexpr, K_STEP: tl.constexpr, V_STEP: tl.constexpr, TILE: tl.constexpr, AHEAD: tl.constexpr,
    STARTS: tl.constexpr,
):  # fmt: skip
    """Keys [TILE, columns], values [TILE, value columns] from the one numbered `begin` on, and which of them count."""
    index = begin + tl.arange(0, TILE)
    at, valid = first.to(tl.int64) + index, index < before
    # All are asked for before any is used. Without `volatile` the compiler asks for the values when the keys have
    # come (seen on sm_90): a second wait for memory. On AMD a volatile load is itself waited for.
    wanted = valid[:, None] & (value_columns < E)[None, :]
    values = tl.load(v + at[:, None] * V_STEP + value_columns[None, :], wanted, 0.0, volatile=AHEAD)
    wanted = valid[:, None] & (columns < E)[None, :]
    keys = tl.load(k + at[:, None] * K_STEP + columns[None, :], wanted, 0.0, volatile=AHEAD)
    if STARTS:
        valid = valid & (at >= start)
    if mask is not None:
        valid = valid & (tl.load(mask + mask_row + at * mask_key, mask=valid, other=0) != 0)
    return keys, values, valid


@triton.jit
def packed(x, DEPENDENT: tl.constexpr):
    """x [N, M], from here on: two 16-bit numbers stay in one register until then, where each would take one."""
    if DEPENDENT and x.dtype.primitive_bitwidth == 16:
        x = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [x], x.dtype, is_pure=False, pack=2)
    return x


@triton.jit
def scores_of(keys, query, valid):
    """The products of each key with the query; -inf for those that do not count."""
    return tl.where(valid, tl.sum(keys.to(tl.float32) * query[None, :], 1), float("-inf"))


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
def merged(partial, totals, first, active, columns, E: tl.constexpr, MERGED: tl.constexpr):
    """What the pieces first .. first + active - 1 add up to, in their order, MERGED of them at once."""
    top, total = tl.full([], float("-inf"), tl.float32), tl.full([], 0.0, tl.float32)
    result = tl.zeros_like(columns).to(tl.float32)
    for begin in range(0, active, MERGED):
        parts = begin + tl.arange(0, MERGED)
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
        "number", "heads", "pieces", "q_row", "q_head", "new_k_row", "new_k_head", "new_v_row", "new_v_head",
        "k_row", "k_head", "v_row", "v_head", "starts_row", "mask_row", "mask_key", "places",
    ]
)  # fmt: skip
def decode_attention_kernel(
    q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, out, partial, totals, counters,
    number, heads, pieces, eps, scale,
    q_row, q_head, new_k_row, new_k_head, new_v_row, new_v_head, k_row, k_head, v_row, v_head,
    starts_row, mask_row, mask_key, places,
    E: tl.constexpr, COLUMNS: tl.constexpr, WIDTH: tl.constexpr, K_STEP: tl.constexpr, V_STEP: tl.constexpr,
    ALIGN: tl.constexpr, LINE: tl.constexpr, KIND: tl.constexpr, SIZE: tl.constexpr, TILE: tl.constexpr,
    AGAIN: tl.constexpr, MERGED: tl.constexpr, AHEAD: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """out[b, h] = softmax(scale q[b, h] k[b, h]^T) v[b, h]: program_id(1) has a piece of the keys and all columns, or,
    where MERGED is 0, all keys and WIDTH columns of the values.

    A piece is one tile of keys, or several where AGAIN. `partial` [B * H, pieces, E] and `totals` [B * H, pieces, 2]
    are scratch; `counters` [B * H] is 0 before and after. Strides of rows and heads are given as multiples of ALIGN, so
    that the compiler knows how far it may widen a load. LINE elements lie in a line of the cache.
    """
    pair, split, part = tl.program_id(0), 0, tl.program_id(1)
    if MERGED:
        split, part = tl.program_id(1), 0
    row, head = (pair // heads).to(tl.int64), (pair % heads).to(tl.int64)
    pair = pair.to(tl.int64)
    position = tl.cast(number, tl.int32) - 1
    if length is not None:
        position = tl.load(length) - 1
    first, before, own, place = reads(position, tl.cast(places, tl.int32), KIND, SIZE)
    if new_k is None:
        before += own.to(tl.int32)
    tiles, times = tl.maximum(tl.cdiv(before, TILE), 1), 1
    if AGAIN:
        times = tl.cdiv(tiles, tl.cast(pieces, tl.int32))
    active = tl.cdiv(tiles, times)
    if split >= active:
        return

    columns, value_columns = tl.arange(0, COLUMNS), part * WIDTH + tl.arange(0, WIDTH)
    inside, value_inside = columns < E, value_columns < E
    k_base = k + (row * k_row + head * k_head) * ALIGN
    v_base = v + (row * v_row + head * v_head) * ALIGN
    start, mask_base = tl.full([], 0, tl.int64), row * mask_row
    if starts is not None:
        start = tl.load(starts + row * starts_row)
    begin = split * times * TILE
    keys, values, valid = held(
        k_base, v_base, mask_base, mask_key, mask, first, before, start, begin, columns, value_columns,
        E, K_STEP, V_STEP, TILE, AHEAD, starts is not None,
    )  # fmt: skip
    if AGAIN and DEPENDENT:
        lines = tl.arange(0, triton.next_power_of_2((E + LINE - 1) // LINE)) * LINE
        for time in range(1, times):
            at = first.to(tl.int64) + tl.minimum(begin + time * TILE + tl.arange(0, TILE), tl.maximum(before - 1, 0))
            ask_for(k_base + at[:, None] * K_STEP + lines[None, :])
            ask_for(v_base + at[:, None] * V_STEP + lines[None, :])
    q_own, q_other, cos, sin = factors(q_gain, rope, position, columns, E)
    if new_k is not None:
        k_own, k_other, _, _ = factors(k_gain, None, position, columns, E)
    wait(DEPENDENT)
    keys, values = packed(keys, DEPENDENT), packed(values, DEPENDENT)

    query = q + (row * q_row + head * q_head) * ALIGN
    query = prepared(query, q_own, q_other, cos, sin, eps, columns, E, q_gain is not None, rope is not None)
    query = query * tl.cast(scale, tl.float32)
    last = split == active - 1
    if new_k is not None:  # the last program alone reads, writes and uses them: no other waits for them
        key = new_k + (row * new_k_row + head * new_k_head) * ALIGN
        key = prepared(key, k_own, k_other, cos, sin, eps, columns, E, k_gain is not None, rope is not None)
        key = key.to(k.dtype.element_ty)
        value = new_v + (row * new_v_row + head * new_v_head) * ALIGN + value_columns
        value = tl.load(value, mask=value_inside, other=0.0)

    top, total = tl.full([], float("-inf"), tl.float32), tl.full([], 0.0, tl.float32)
    result = tl.zeros([WIDTH], tl.float32)
    top, total, result = joined(top, total, result, scores_of(keys, query, valid), 1.0, values.to(tl.float32))
    if AGAIN:
        for time in range(1, times):
            keys, values, valid = held(
                k_base, v_base, mask_base, mask_key, mask, first, before, start, begin + time * TILE, columns,
                value_columns, E, K_STEP, V_STEP, TILE, AHEAD, starts is not None,
            )  # fmt: skip
            keys, values = packed(keys, DEPENDENT), packed(values, DEPENDENT)
            top, total, result = joined(top, total, result, scores_of(keys, query, valid), 1.0, values.to(tl.float32))

    if new_k is not None:
        place, kept = place.to(tl.int64), last & (place < places)  # a prefix keeps nothing after it
        tl.store(k_base + place * K_STEP + columns, key, mask=inside & kept & (part == 0))
        tl.store(v_base + place * V_STEP + value_columns, value, mask=value_inside & kept)
        own = own & last
        if starts is not None:
            own = own & (place >= start)
        if mask is not None:
            own = own & (tl.load(mask + mask_base + place * mask_key, mask=own, other=0) != 0)
        score = tl.where(own, tl.sum(key.to(tl.float32) * query), float("-inf"))
        top, total, result = joined_one(top, total, result, score, value.to(tl.float32))

    finish = True
    if MERGED:
        finish = active == 1
        if active > 1:
            piece = pair * pieces + split
            tl.store(partial + piece * E + columns, result, mask=inside)
            tl.store(totals + piece * 2, top)
            tl.store(totals + piece * 2 + 1, total)
            # All threads have stored; one of them releases it to, and acquires it from, the other programs.
            tl.debug_barrier()
            finish = tl.atomic_add(counters + pair, 1, sem="acq_rel", scope="gpu") == active - 1
            if finish:
                total, result = merged(partial, totals, pair * pieces, active, columns, E, MERGED)
                tl.store(counters + pair, 0)
    if finish:
        result = result / tl.where(total == 0.0, 1.0, total)  # nothing was read: 0
        tl.store(out + pair * E + value_columns, result.to(out.dtype.element_ty), mask=value_inside)


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
        q, k, v, new_k, new_v, rope, q_gain, k_gain, tensor, starts, mask, number, eps, kind, size, 0, 0
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
    pieces: int,
) -> torch.Tensor:
    """`tile` keys a program and `pieces` of them at most, for tests that want several for few keys; 0: as `work` says.

    Raises:
        ValueError: more rows and heads than there are counters for.
    """
    batch, heads, head_dim = q.shape
    columns = triton.next_power_of_2(head_dim)
    keys = k.shape[2] if kind == "full" else Span(kind, size).most(k.shape[2])
    plan = work(head_dim, keys, heads, kind != "full" or new_k is None, k.element_size())
    if tile:
        plan = Work(tile, min(pieces or keys, triton.cdiv(keys, tile)), columns, plan.warps)
    pairs, merge = batch * heads, plan.pieces > 1
    if merge and pairs > COUNTERS:
        raise ValueError(f"q has {batch} rows of {heads} heads; together they should be at most {COUNTERS}")
    out = q.new_empty(batch, heads, head_dim)
    partial = q.new_empty(pairs, plan.pieces, head_dim, dtype=torch.float32) if merge else None
    totals = q.new_empty(pairs, plan.pieces, 2, dtype=torch.float32) if merge else None
    k_step, v_step = k.stride(2), v.stride(2)
    strides = [(0, 0) if x is None else x.stride()[:2] for x in (q, new_k, new_v, k, v)]
    outer = [stride for pair in strides for stride in pair]
    align = math.gcd(16, k_step, v_step, *outer)
    launch(
        decode_attention_kernel, (pairs, plan.pieces if merge else triton.cdiv(head_dim, plan.width)),
        q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, out, partial, totals,
        counters(q.device) if merge else None,
        number, heads, plan.pieces, eps, head_dim**-0.5 * LOG2_E,
        *(stride // align for stride in outer),
        0 if starts is None else starts.stride(0), *((0, 0) if mask is None else mask.stride()), k.shape[2],
        num_warps=plan.warps, E=head_dim, COLUMNS=columns, WIDTH=plan.width, K_STEP=k_step, V_STEP=v_step, ALIGN=align,
        LINE=128 // k.element_size(), KIND=kind, SIZE=size, TILE=plan.tile,
        AGAIN=triton.cdiv(keys, plan.tile) > plan.pieces,
        MERGED=min(triton.next_power_of_2(plan.pieces), 8192 // columns) if merge else 0,
        AHEAD=not waves_of_64(),
    )  # fmt: skip
    return out


@decode_attention_op.register_fake
def _(q, k, v, new_k, new_v, rope, q_gain, k_gain, length, starts, mask, number, eps, kind, size, tile, pieces):
    return q.new_empty(q.shape)
