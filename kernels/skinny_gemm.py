"""The product of a large matrix with a few rows, in Triton: what `norm_linear` and `linear_residual` share.

One path for 1 to 16 rows. A program owns BN output channels and walks the width in steps of BK, so that every sum is
taken in the same order whatever rows are beside it: a row's bits do not depend on its batch. The matrix is the first
operand of `tl.dot` and the rows, transposed, the second: tensor cores then pad 2 rows to 8, not to 16, and every
weight is read once, 16 bytes a thread, through shared memory.
"""

import torch
import triton
import triton.language as tl

from clavilux.kernels.launch import waves_of_64
from clavilux.kernels.linear import MOST_ROWS


@triton.jit
def statistics(x, rows, width, x_row, eps, NORM: tl.constexpr, R: tl.constexpr, BK: tl.constexpr):
    """Mean and reciprocal deviation of each row, float32 [R] each.

    Row after row, each as a vector of BK: in a tile of all rows the order of a sum would depend on how many there are.
    Sums are of differences from the row's first value, so that a large mean does not cancel the variance.
    """
    index = tl.arange(0, R)
    k = tl.arange(0, BK)
    mean = tl.zeros([R], tl.float32)
    scale = tl.zeros([R], tl.float32)
    for r in range(rows):
        first = 0.0
        if NORM == "layer":
            first = tl.load(x + r * x_row).to(tl.float32)
        total = tl.zeros([BK], tl.float32)
        square = tl.zeros([BK], tl.float32)
        for k0 in range(0, width, BK):
            inside = k0 + k < width
            value = tl.load(x + r * x_row + k0 + k, mask=inside, other=0.0).to(tl.float32)
            value = tl.where(inside, value - first, 0.0)
            total += value
            square += value * value
        shift = 0.0
        if NORM == "layer":
            shift = tl.sum(total, 0) / width
        variance = tl.sum(square, 0) / width - shift * shift
        mean = tl.where(index == r, first + shift, mean)
        scale = tl.where(index == r, tl.rsqrt(variance + eps), scale)
    return mean, scale


@triton.jit
def tile_of_rows(
    x, gain, shift, k0, rows, width, x_row, mean, scale,
    NORM: tl.constexpr, R: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """[R, BK] of the rows, normed and rounded to their dtype as a norm of its own would; 0 beyond rows and width."""
    r = tl.arange(0, R)
    k = k0 + tl.arange(0, BK)
    inside = (r < rows)[:, None]
    if not EVEN:
        inside = inside & (k < width)[None, :]
    values = tl.load(x + r[:, None] * x_row + k[None, :], mask=inside, other=0.0)
    if NORM != "none":
        normed = (values.to(tl.float32) - mean[:, None]) * scale[:, None]
        if gain is not None:
            normed = normed * tl.load(gain + k, mask=k < width, other=0.0).to(tl.float32)[None, :]
        if shift is not None:
            normed = normed + tl.load(shift + k, mask=k < width, other=0.0).to(tl.float32)[None, :]
        values = normed.to(values.dtype)
    return values


@triton.jit
def tile_of_weight(weight, channel, k0, outs, width, BK: tl.constexpr, EVEN: tl.constexpr):
    """[BN, BK] of the matrix, read once and by nobody else, so it need not stay in the cache."""
    k = k0 + tl.arange(0, BK)
    places = weight + channel.to(tl.int64)[:, None] * width + k[None, :]
    if EVEN:
        return tl.load(places, eviction_policy="evict_first")
    inside = (channel < outs)[:, None] & (k < width)[None, :]
    return tl.load(places, mask=inside, other=0.0, eviction_policy="evict_first")


@triton.jit
def scaled_and_biased(acc, scale, bias, channel, outs):
    """acc [BN, R] times an int8 matrix's scales, plus the bias; both a value an output channel."""
    inside = channel < outs
    if scale is not None:
        acc = acc * tl.load(scale + channel, mask=inside, other=0.0)[:, None]
    if bias is not None:
        acc = acc + tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)[:, None]
    return acc


def blocks(rows: int, outs: int, width: int, dtype: torch.dtype) -> dict[str, int | bool]:
    """The constants of a launch. Block sizes depend on the matrix alone: sums must not depend on the rows.

    16 channels a program while there are few, so that 132 processors have something to do; 2 warps share the loading.
    """
    block_n = 32 if outs > 4096 else 16
    # The longest run of a row that divides the width, so that nothing is masked. Longer ones spill where programs are
    # wide (32 channels), and on AMD.
    longest = 128 if waves_of_64() else 512 if block_n == 16 else 256  # bytes
    runs = [size // dtype.itemsize for size in (512, 256, 128) if size <= longest]
    block_k = next((run for run in runs if width % run == 0), min(longest, 256) // dtype.itemsize)
    return {
        # AMD's matrix instruction takes 16 rows, and Triton spills where it is given fewer.
        "R": MOST_ROWS if waves_of_64() else max(2, triton.next_power_of_2(rows)),
        "BN": block_n,
        "BK": block_k,
        "EVEN": outs % block_n == 0 and width % block_k == 0,
        "num_warps": 4 if waves_of_64() else 2,
        "num_stages": 2 if waves_of_64() else 4,
    }
