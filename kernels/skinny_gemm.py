"""The product of a large matrix with a few rows, in Triton: what `norm_linear` and `linear_residual` share.

One kernel for 1 to 16 rows, which does nothing but read the matrix: a program owns BN output channels and walks the
width, S parts of BK numbers at a time. Each part is a warp's, `tl.dot` with S as its leading axis, so that S short
chains of tensor-core products run side by side where one long one would have to wait for itself; the S sums are added
at the end. The matrix is the first operand and the rows, transposed, the second: tensor cores then pad the rows to 8.

A norm whose gain lies in the matrix (`clavilux.kernels.folded`) costs no pass of its own: W' (x - mean) is W' x less
the mean times the row sums of W', and mean and mean square are products as well, 1 X' and the diagonal of X X', taken
in the same loop. Every sum has one order, whatever rows are beside it: a row's bits do not depend on its batch.
"""

import torch
import triton
import triton.language as tl

from clavilux.kernels.backend import interpreted
from clavilux.kernels.launch import launch, recording, waves_of_64
from clavilux.kernels.linear import MOST_ROWS
from clavilux.kernels.prologue import ask_for, wait


@triton.jit
def weight_tile(weight, channel, k, outs, width, EVEN: tl.constexpr):
    """[S, BN, BK] of the matrix, read once and by nobody else, so it need not stay in the cache; k: [S, 1, BK]."""
    places = weight + channel.to(tl.int64)[None, :, None] * width + k
    if EVEN:
        return tl.load(places, eviction_policy="evict_first")
    inside = (channel < outs)[None, :, None] & (k < width)
    return tl.load(places, mask=inside, other=0.0, eviction_policy="evict_first")


@triton.jit
def row_tile(x, k, rows, width, x_row, R: tl.constexpr, EVEN: tl.constexpr):
    """[S, R, BK] of the rows; 0 beyond rows and width."""
    r = tl.arange(0, R)[None, :, None]
    inside = (r < rows) & (k >= 0)
    if not EVEN:
        inside = inside & (k < width)
    return tl.load(x + r * x_row + k, mask=inside, other=0.0)


@triton.jit
def ask_for_weights(weight, channel, outs, width, LINES: tl.constexpr):
    """Have the first LINES lines of 128 bytes of each of a program's channels on their way to the second-level cache.

    All at once, more than there is room for in shared memory: by Little's law 26 KiB have to be under way on each of an
    H200's processors, and before the rows are there nothing else can be done.
    """
    ITEM: tl.constexpr = weight.dtype.element_ty.primitive_bitwidth // 8
    k = tl.arange(0, LINES) * (128 // ITEM)
    # Beyond the end there is nothing to ask for: the last ones again.
    places = tl.minimum(channel, outs - 1).to(tl.int64)[:, None] * width + tl.minimum(k, width - 1)[None, :]
    ask_for(weight + places)


@triton.jit
def statistics(ones, squares, width, eps, NORM: tl.constexpr, R: tl.constexpr):
    """Mean and reciprocal deviation of each row, float32 [R], of the sums ones [S, 16, R] and squares [S, R, R]."""
    row, column = tl.arange(0, R)[None, :, None], tl.arange(0, R)[None, None, :]
    # Along axis 1 all numbers but one are 0, so that their order does not matter.
    variance = tl.sum(tl.sum(tl.where(row == column, squares, 0.0), 1), 0) / width
    mean = tl.zeros([R], tl.float32)
    if NORM == "layer":
        first = tl.arange(0, 16)[None, :, None] == 0
        mean = tl.sum(tl.sum(tl.where(first, ones, 0.0), 1), 0) / width
        variance = tl.maximum(variance - mean * mean, 0.0)
    return mean, tl.rsqrt(variance + eps)


@triton.jit
def finished(
    acc, scale, row_sums, bias, mean, deviation, channel, outs, NORM: tl.constexpr,
):  # fmt: skip
    """float32 [BN, R] of the sums acc [S, BN, R]: times an int8 matrix's scales, of the normed rows, plus the bias."""
    inside = channel < outs
    y = tl.sum(acc, 0)
    if scale is not None:
        y = y * tl.load(scale + channel, mask=inside, other=0.0)[:, None]
    if NORM == "layer":
        y = y - tl.load(row_sums + channel, mask=inside, other=0.0)[:, None] * mean[None, :]
    if NORM != "none":
        y = y * deviation[None, :]
    if bias is not None:
        y = y + tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)[:, None]
    return y


@triton.jit
def activated(y, ACTIVATION: tl.constexpr):
    """y by an activation that takes one number."""
    if ACTIVATION == "gelu":
        return 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
    if ACTIVATION == "quick_gelu":
        return y * tl.sigmoid(1.702 * y)
    return y


@triton.jit
def skinny_gemm_kernel(
    x, x_left, x_right, weight, scale, row_sums, bias, residual, out,
    rows, width, outs, x_row, residual_row, out_row, eps,
    NORM: tl.constexpr, ACTIVATION: tl.constexpr, LINES: tl.constexpr,
    R: tl.constexpr, BN: tl.constexpr, S: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr, STAGES: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """out[r, n] = act(sum over k of norm(x)[r, k] * weight[n, k] * scale[n] + bias[n]) + residual[r, n].

    For swiglu, `outs` counts half of the matrix's rows: the gates come first, then the values. `x_left` and `x_right`
    are x again: Triton does not ask ahead for a tile that two products want in different layouts.
    """
    channel = tl.program_id(0) * BN + tl.arange(0, BN)
    if LINES > 0:
        ask_for_weights(weight, channel, outs, width, LINES)
        if ACTIVATION == "swiglu":
            ask_for_weights(weight, channel + outs, 2 * outs, width, LINES)
    wait(DEPENDENT)
    acc = tl.zeros([S, BN, R], tl.float32)
    values = tl.zeros([S, BN, R], tl.float32)
    ones = tl.zeros([S, 16, R], tl.float32)
    squares = tl.zeros([S, R, R], tl.float32)
    for k0 in tl.range(0, width, S * BK, num_stages=STAGES):
        # The parts lie side by side: a step reads S * BK numbers of a channel.
        k = k0 + (tl.arange(0, S) * BK)[:, None, None] + tl.arange(0, BK)[None, None, :]
        tile = weight_tile(weight, channel, k, outs, width, EVEN)
        part = tl.permute(row_tile(x, k, rows, width, x_row, R, EVEN), (0, 2, 1))
        acc = tl.dot(tile.to(part.dtype), part, acc, input_precision="ieee")
        if ACTIVATION == "swiglu":
            tile = weight_tile(weight, channel + outs, k, 2 * outs, width, EVEN)
            values = tl.dot(tile.to(part.dtype), part, values, input_precision="ieee")
        if NORM != "none":
            left = row_tile(x_left, k, rows, width, x_row, R, EVEN)
            if scale is not None:  # beside 8-bit weights the rows lie in another order
                part = tl.permute(row_tile(x_right, k, rows, width, x_row, R, EVEN), (0, 2, 1))
            squares = tl.dot(left, part, squares, input_precision="ieee")
            if NORM == "layer":
                ones = tl.dot(tl.full([S, 16, BK], 1.0, part.dtype), part, ones, input_precision="ieee")
    mean, deviation = 0.0, 0.0
    if NORM != "none":
        mean, deviation = statistics(ones, squares, width, eps, NORM, R)
    y = finished(acc, scale, row_sums, bias, mean, deviation, channel, outs, NORM)
    if ACTIVATION == "swiglu":
        up = finished(values, scale, row_sums, bias, mean, deviation, channel + outs, 2 * outs, NORM)
        y = y * tl.sigmoid(y) * up
    else:
        y = activated(y, ACTIVATION)
    r = tl.arange(0, R)
    inside = (channel < outs)[:, None] & (r < rows)[None, :]
    if residual is not None:
        before = tl.load(residual + r[None, :] * residual_row + channel[:, None], mask=inside, other=0.0)
        y = before.to(tl.float32) + y
    tl.store(out + r[None, :] * out_row + channel[:, None], y.to(out.dtype.element_ty), mask=inside)


def skinny_gemm(
    x: torch.Tensor,
    weight: torch.Tensor,
    scale: torch.Tensor | None,
    row_sums: torch.Tensor | None,
    bias: torch.Tensor | None,
    residual: torch.Tensor | None,
    out: torch.Tensor,
    *,
    norm: str = "none",
    eps: float = 0.0,
    activation: str = "none",
) -> None:
    """Launch the kernel: x [rows, D] to out [rows, N], up to 16 rows; `scale` where the matrix is int8."""
    rows, width = x.shape
    outs = out.shape[1]
    constants = blocks(rows, outs, width, weight.dtype, norm, activation)
    launch(
        skinny_gemm_kernel, (triton.cdiv(outs, constants["BN"]),),
        x, x, x, weight, scale, row_sums if norm == "layer" else None, bias, residual, out,
        rows, width, outs, x.stride(0), 0 if residual is None else residual.stride(0), out.stride(0), eps,
        NORM=norm, ACTIVATION=activation, STAGES=constants["num_stages"], **constants,
    )  # fmt: skip


PROCESSORS = 132  # of an H100 or H200; an A100 has 108
ASKED_FOR = 64 * 1024  # bytes of the matrix that a program asks for at its beginning


def blocks(
    rows: int, outs: int, width: int, dtype: torch.dtype, norm: str = "none", activation: str = "none"
) -> dict[str, int | bool]:
    """The constants of a launch. What decides the order of a sum depends on the matrix alone, not on the rows.

    16 channels a program while there are few, so that all processors have something to do, and 32 of a large matrix:
    then the rows, which every program reads, are a smaller part of what goes through the cache.
    """
    matrices = 2 if activation == "swiglu" else 1
    block_n = 32 if matrices * outs > 4096 and matrices == 1 else 16
    # 16 KiB of weights a step, in runs of 64 bytes and more for each part.
    block_k = 32 if dtype.itemsize == 4 or (dtype.itemsize == 2 and block_n * matrices == 32) else 64
    parts = 8
    # AMD's matrix instruction takes 16 rows, and Triton spills where it is given fewer.
    block_r = MOST_ROWS if waves_of_64() or rows > 8 else 8
    tiles = (0 if norm == "none" else 2 if dtype == torch.int8 else 1) + 1  # of the rows
    step = parts * block_k * (block_n * matrices * dtype.itemsize + tiles * block_r * max(2, dtype.itemsize))
    programs = triton.cdiv(outs, block_n)
    # Two programs a processor have to fit in 227 KiB, one in the 163 KiB of an A100.
    room = (104 if programs > PROCESSORS else 152) * 1024
    stages = 2 if waves_of_64() else max(2, min(6, room // step, triton.cdiv(width, parts * block_k) + 1))
    lines = triton.next_power_of_2(triton.cdiv(width * dtype.itemsize, 128))
    if waves_of_64() or (interpreted() and not recording()):
        lines = 0  # what asks is an instruction of NVIDIA's
    return {
        "LINES": min(lines, ASKED_FOR // (block_n * matrices * 128)),
        "R": block_r,
        "BN": block_n,
        "S": parts,
        "BK": block_k,
        "EVEN": outs % block_n == 0 and width % (parts * block_k) == 0,
        "num_warps": parts,
        "num_stages": stages,
    }
