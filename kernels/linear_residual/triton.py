"""linear_residual on the kernel for few rows: the product, the bias and the residual stream in one launch."""

import torch

from clavilux.kernels.quantized import Int8Weight, values_and_scale
from clavilux.kernels.skinny_gemm import skinny_gemm


def linear_residual(
    x: torch.Tensor, weight: torch.Tensor | Int8Weight, bias: torch.Tensor | None, residual: torch.Tensor
) -> torch.Tensor:
    """The op as `api.linear_residual` calls it: x [..., D], up to 16 rows."""
    values, scale = values_and_scale(weight)
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
    out = torch.empty_like(residual, memory_format=torch.contiguous_format)
    skinny_gemm(x, weight, scale, None, bias, residual, out)
    return out


@linear_residual_op.register_fake
def _(x, weight, scale, bias, residual):
    return torch.empty_like(residual, memory_format=torch.contiguous_format)
