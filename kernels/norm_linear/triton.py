"""norm_linear as a Triton kernel: the norm before the product and the activation after it, in one launch."""

import torch
import triton
import triton.language as tl

from clavilux.kernels.launch import launch
from clavilux.kernels.prologue import wait
from clavilux.kernels.quantized import Int8Weight
from clavilux.kernels.skinny_gemm import blocks, scaled_and_biased, statistics, tile_of_rows, tile_of_weight


@triton.jit
def activated(y, ACTIVATION: tl.constexpr):
    if ACTIVATION == "gelu":
        return 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
    if ACTIVATION == "quick_gelu":
        return y * tl.sigmoid(1.702 * y)
    return y


@triton.jit
def norm_linear_kernel(
    x, gain, shift, weight, scale, bias, out,
    rows, width, outs, x_row, out_row, eps,
    NORM: tl.constexpr, ACTIVATION: tl.constexpr,
    R: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, EVEN: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """out[r, n] = act(sum over k of norm(x)[r, k] * weight[n, k] * scale[n] + bias[n]).

    For swiglu, `outs` counts half of the matrix's rows: the gates come first, then the values.
    """
    wait(DEPENDENT)
    channel = tl.program_id(0) * BN + tl.arange(0, BN)
    mean = tl.zeros([R], tl.float32)
    deviation = tl.zeros([R], tl.float32)
    if NORM != "none":
        mean, deviation = statistics(x, rows, width, x_row, eps, NORM, R, BK)
    acc = tl.zeros([BN, R], tl.float32)
    values = tl.zeros([BN, R], tl.float32)
    for k0 in range(0, width, BK):
        tile = tile_of_weight(weight, channel, k0, outs, width, BK, EVEN)
        part = tile_of_rows(x, gain, shift, k0, rows, width, x_row, mean, deviation, NORM, R, BK, EVEN)
        part = tl.trans(part)
        acc = tl.dot(tile.to(part.dtype), part, acc, input_precision="ieee")
        if ACTIVATION == "swiglu":
            tile = tile_of_weight(weight, channel + outs, k0, 2 * outs, width, BK, EVEN)
            values = tl.dot(tile.to(part.dtype), part, values, input_precision="ieee")
    y = scaled_and_biased(acc, scale, bias, channel, outs)
    if ACTIVATION == "swiglu":
        y = y * tl.sigmoid(y) * scaled_and_biased(values, scale, bias, channel + outs, 2 * outs)
    else:
        y = activated(y, ACTIVATION)
    r = tl.arange(0, R)
    inside = (channel < outs)[:, None] & (r < rows)[None, :]
    tl.store(out + r[None, :] * out_row + channel[:, None], y.to(out.dtype.element_ty), mask=inside)


def norm_linear(
    x: torch.Tensor,
    norm_weight: torch.Tensor | None,
    norm_bias: torch.Tensor | None,
    weight: torch.Tensor | Int8Weight,
    bias: torch.Tensor | None,
    norm: str,
    eps: float,
    activation: str,
) -> torch.Tensor:
    """The op as `api.norm_linear` calls it: x [..., D], up to 16 rows."""
    values, scale = (weight.values, weight.scale) if isinstance(weight, Int8Weight) else (weight, None)
    rows = x.reshape(-1, x.shape[-1])
    out = norm_linear_op(rows, norm_weight, norm_bias, values, scale, bias, norm, eps, activation)
    return out.view(*x.shape[:-1], out.shape[1])


@torch.library.custom_op("clavilux::norm_linear", mutates_args=())
def norm_linear_op(
    x: torch.Tensor,
    norm_weight: torch.Tensor | None,
    norm_bias: torch.Tensor | None,
    weight: torch.Tensor,
    scale: torch.Tensor | None,
    bias: torch.Tensor | None,
    norm: str,
    eps: float,
    activation: str,
) -> torch.Tensor:
    rows, width = x.shape
    outs = _outs(weight, activation)
    out = x.new_empty(rows, outs)
    constants = blocks(rows, outs, width, x.dtype)
    launch(
        norm_linear_kernel, (triton.cdiv(outs, constants["BN"]),),
        x, norm_weight, norm_bias, weight, scale, bias, out,
        rows, width, outs, x.stride(0), out.stride(0), eps,
        NORM=norm, ACTIVATION=activation, **constants,
    )  # fmt: skip
    return out


@norm_linear_op.register_fake
def _(x, norm_weight, norm_bias, weight, scale, bias, norm, eps, activation):
    return x.new_empty(x.shape[0], _outs(weight, activation))


def _outs(weight: torch.Tensor, activation: str) -> int:
    return weight.shape[0] // 2 if activation == "swiglu" else weight.shape[0]
