"""linear_residual as a Triton kernel: the product, the bias and the residual stream in one launch."""

import torch
import triton
import triton.language as tl

from clavilux.kernels.launch import launch
from clavilux.kernels.prologue import wait
from clavilux.kernels.quantized import Int8Weight
from clavilux.kernels.skinny_gemm import blocks, scaled_and_biased, tile_of_rows, tile_of_weight


@triton.jit
def linear_residual_kernel(
    x, weight, scale, bias, residual, out,
    rows, width, outs, x_row, residual_row, out_row,
    R: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """out[r, n] = residual[r, n] + sum over k of x[r, k] * weight[n, k] * scale[n] + bias[n], rounded once."""
    wait(DEPENDENT)
    channel = tl.program_id(0) * BN + tl.arange(0, BN)
    acc = tl.zeros([BN, R], tl.float32)
    nothing = tl.zeros([R], tl.float32)
    for k0 in range(0, width, BK):
        tile = tile_of_weight(weight, channel, k0, outs, width, BK, EVEN)
        part = tile_of_rows(x, None, None, k0, rows, width, x_row, nothing, nothing, "none", R, BK, EVEN)
        part = tl.trans(part)
        acc = tl.dot(tile.to(part.dtype), part, acc, input_precision="ieee")
    y = scaled_and_biased(acc, scale, bias, channel, outs)
    r = tl.arange(0, R)
    inside = (channel < outs)[:, None] & (r < rows)[None, :]
    before = tl.load(residual + r[None, :] * residual_row + channel[:, None], mask=inside, other=0.0)
    y = before.to(tl.float32) + y
    tl.store(out + r[None, :] * out_row + channel[:, None], y.to(out.dtype.element_ty), mask=inside)


def linear_residual(
    x: torch.Tensor, weight: torch.Tensor | Int8Weight, bias: torch.Tensor | None, residual: torch.Tensor
) -> torch.Tensor:
    """The op as `api.linear_residual` calls it: x [..., D], up to 16 rows."""
    values, scale = (weight.values, weight.scale) if isinstance(weight, Int8Weight) else (weight, None)
    before = residual.reshape(-1, residual.shape[-1])
    return linear_residual_op(x.reshape(-1, x.shape[-1]), values, scale, bias, before).view(residual.shape)


@torch.library.custom_op("clavilux::linear_residual", mutates_args=())
def linear_residual_op(
    x: torch.Tensor,
    weight: torch.Tensor,
    scale: torch.Tensor | None,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
) -> torch.Tensor:
    rows, width = x.shape
    outs = weight.shape[0]
    out = torch.empty_like(residual, memory_format=torch.contiguous_format)
    constants = blocks(rows, outs, width, x.dtype)
    launch(
        linear_residual_kernel, (triton.cdiv(outs, constants["BN"]),),
        x, weight, scale, bias, residual, out,
        rows, width, outs, x.stride(0), residual.stride(0), out.stride(0),
        **constants,
    )  # fmt: skip
    return out


@linear_residual_op.register_fake
def _(x, weight, scale, bias, residual):
    return torch.empty_like(residual, memory_format=torch.contiguous_format)
