"""cross_step in two launches: the residual stream and the raw scores, then the softmax and what it adds.

Neither waits inside itself for the other's kind of work: the programs of the first launch that end the self-attention
and those that score the memory run side by side, and each program of the second takes the statistics and the softmax of
its row again, a few KiB out of the cache, rather than meet others in between. A score is of one row's own matrix, so it
is no tensor core's work; and no sum depends on the rows beside it.
"""

import torch
import triton
import triton.language as tl

from clavilux.kernels.cross_step.memory import MOST_KEYS, FoldedMemory
from clavilux.kernels.launch import launch
from clavilux.kernels.prologue import wait
from clavilux.kernels.quantized import Int8Weight, values_and_scale
from clavilux.kernels.skinny_gemm import ask_for_weights, blocks, finished, row_tile, weight_tile

HELD = 16384  # numbers of `values`, at most, that a program of the second launch asks for at once: 32 KiB in 16 bits


@triton.jit
def scored(matrix, vector, acc, channel, outs, width, K: tl.constexpr, EVEN: tl.constexpr, STAGES: tl.constexpr):
    """acc [BN, K] and the products of a matrix's channels with one vector, not yet summed over K."""
    for k0 in tl.range(0, width, K, num_stages=STAGES):
        k = k0 + tl.arange(0, K)
        places = matrix + channel.to(tl.int64)[:, None] * width + k[None, :]
        if EVEN:
            tile = tl.load(places, eviction_policy="evict_first")
            part = tl.load(vector + k)
        else:
            inside = (channel < outs)[:, None] & (k < width)[None, :]
            tile = tl.load(places, mask=inside, other=0.0, eviction_policy="evict_first")
            part = tl.load(vector + k, mask=k < width, other=0.0)
        acc += tile.to(tl.float32) * part.to(tl.float32)[None, :]
    return acc


@triton.jit
def stream_and_scores_kernel(
    x, y, weight, scale, bias, scores, scores_out, start, slots, stream, raw,
    rows, width, inner, num_scores, x_row, y_row,
    LINES: tl.constexpr, R: tl.constexpr, BN: tl.constexpr, S: tl.constexpr, BK: tl.constexpr,
    EVEN: tl.constexpr, EVEN_SCORES: tl.constexpr, STAGES: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """stream = x + y @ weight.T + bias; raw[row] = scores x + scores_out y + start, of the row's slot."""
    stream_programs = tl.cdiv(width, BN)
    program = tl.program_id(0)
    if program < stream_programs:
        channel = program * BN + tl.arange(0, BN)
        if LINES > 0:
            ask_for_weights(weight, channel, width, inner, LINES)
        wait(DEPENDENT)
        acc = tl.zeros([S, BN, R], tl.float32)
        for k0 in tl.range(0, inner, S * BK, num_stages=STAGES):
            k = k0 + (tl.arange(0, S) * BK)[:, None, None] + tl.arange(0, BK)[None, None, :]
            tile = weight_tile(weight, channel, k, width, inner, EVEN)
            part = tl.permute(row_tile(y, k, rows, inner, y_row, R, EVEN), (0, 2, 1))
            acc = tl.dot(tile.to(part.dtype), part, acc, input_precision="ieee")
        added = finished(acc, scale, None, bias, 0.0, 0.0, channel, width, "none")
        r = tl.arange(0, R)
        inside = (channel < width)[:, None] & (r < rows)[None, :]
        before = tl.load(x + r[None, :] * x_row + channel[:, None], mask=inside, other=0.0).to(tl.float32)
        sums = (before + added).to(stream.dtype.element_ty)
        tl.store(stream + r[None, :] * width + channel[:, None], sums, mask=inside)
    else:
        row_programs = tl.cdiv(num_scores, BN)
        row = (program - stream_programs) // row_programs
        channel = (program - stream_programs) % row_programs * BN + tl.arange(0, BN)
        slot = tl.load(slots + row).to(tl.int64)
        own = scores + slot * num_scores * width
        own_out = scores_out + slot * num_scores * inner
        if LINES > 0:  # noqa: SIM102 - a constant, then a number that the device knows
            if slot >= 0:
                ask_for_weights(own, channel, num_scores, width, LINES)
                ask_for_weights(own_out, channel, num_scores, inner, LINES)
        wait(DEPENDENT)
        if slot >= 0:
            product = tl.zeros([BN, S * BK], tl.float32)
            product = scored(own, x + row * x_row, product, channel, num_scores, width, S * BK, EVEN_SCORES, STAGES)
            product = scored(own_out, y + row * y_row, product, channel, num_scores, inner, S * BK, EVEN_SCORES, STAGES)
            score = tl.sum(product, 1)
            inside = channel < num_scores
            if start is not None:
                score += tl.load(start + slot * num_scores + channel, mask=inside, other=0.0)
            tl.store(raw + row * num_scores + channel, score, mask=inside)


@triton.jit
def attend_kernel(
    stream, raw, values, sums, offset, slots, mask, bias, out,
    width, keys, mask_row, eps,
    NORM: tl.constexpr, H: tl.constexpr, HP: tl.constexpr, SP: tl.constexpr, BN: tl.constexpr, DP: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """out = stream + bias + values softmax(norm of the raw scores), BN channels of one row."""
    row = tl.program_id(1)
    channel = tl.program_id(0) * BN + tl.arange(0, BN)
    slot = tl.load(slots + row).to(tl.int64)
    s, h = tl.arange(0, SP)[:, None], tl.arange(0, HP)[None, :]
    score_at = s * H + h
    live = (s < keys) & (h < H) & (slot >= 0)
    # All that no kernel of the step writes is loaded before the wait.
    places = (slot * width + channel)[:, None, None] * (keys * H) + score_at[None, :, :]
    inside = channel < width
    tile = tl.load(values + places, mask=live[None, :, :] & inside[:, None, None], other=0.0)
    if NORM == "layer":
        sum_of = tl.load(sums + slot * keys * H + score_at, mask=live, other=0.0)
    if offset is not None:
        after = tl.load(offset + slot * keys * H + score_at, mask=live, other=0.0)
    read = live
    if mask is not None:
        read = live & (tl.load(mask + row * mask_row + s, mask=s < keys, other=0) != 0)
    wait(DEPENDENT)
    score = tl.load(raw + row * keys * H + score_at, mask=live, other=0.0)
    d = tl.arange(0, DP)
    normed = tl.load(stream + row * width + d, mask=d < width, other=0.0).to(tl.float32)
    if NORM == "layer":
        mean = tl.sum(normed, 0) / width
        normed = tl.where(d < width, normed - mean, 0.0)
        score -= mean * sum_of
    score *= tl.rsqrt(tl.sum(normed * normed, 0) / width + eps)
    if offset is not None:
        score += after
    score = tl.where(read, score, float("-inf"))
    most = tl.max(score, 0)
    most = tl.where(most == float("-inf"), 0.0, most)  # of a head that reads nothing
    share = tl.exp(score - most[None, :])
    total = tl.sum(share, 0)
    share = share / tl.where(total > 0.0, total, 1.0)[None, :]
    added = tl.sum(tl.sum(tile.to(tl.float32) * share[None, :, :], 2), 1)
    y = tl.load(stream + row * width + channel, mask=inside, other=0.0).to(tl.float32) + added
    if bias is not None:
        y += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * width + channel, y.to(out.dtype.element_ty), mask=inside)


def cross_step(
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor | Int8Weight,
    bias: torch.Tensor | None,
    memory: FoldedMemory,
    mask: torch.Tensor | None,
    out_bias: torch.Tensor | None,
    norm: str,
    eps: float,
) -> torch.Tensor:
    """The op as `api.cross_step` calls it: up to 16 rows."""
    matrix, scale = values_and_scale(weight)
    (rows, width), inner, num_scores = x.shape, y.shape[1], memory.scores.shape[1]
    stream, out = (torch.empty(rows, width, dtype=x.dtype, device=x.device) for _ in range(2))
    raw = torch.empty(rows, num_scores, dtype=torch.float32, device=x.device)
    constants = blocks(rows, width, inner, matrix.dtype)
    step, block = constants["S"] * constants["BK"], constants["BN"]
    even = num_scores % block == 0 and width % step == 0 and inner % step == 0
    launch(
        stream_and_scores_kernel, (triton.cdiv(width, block) + rows * triton.cdiv(num_scores, block),),
        x, y, matrix, scale, bias, memory.scores, memory.scores_out, memory.start, memory.slots, stream, raw,
        rows, width, inner, num_scores, x.stride(0), y.stride(0),
        EVEN_SCORES=even, STAGES=constants["num_stages"], **constants,
    )  # fmt: skip
    heads = triton.next_power_of_2(memory.heads)
    channels = min(16, HELD // (heads * MOST_KEYS))
    launch(
        attend_kernel, (triton.cdiv(width, channels), rows),
        stream, raw, memory.values, memory.sums, memory.offset, memory.slots, mask, out_bias, out,
        width, memory.keys, 0 if mask is None else mask.stride(0), eps,
        NORM=norm, H=memory.heads, HP=heads, SP=MOST_KEYS, BN=channels, DP=triton.next_power_of_2(width), num_warps=8,
    )  # fmt: skip
    return out
