"""norm_linear on the kernel for few rows: the product, the norm that is folded into its matrix and the activation."""

import torch

from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.norm_linear.reference import normalize
from clavilux.kernels.quantized import Int8Weight, values_and_scale
from clavilux.kernels.skinny_gemm import skinny_gemm


def norm_linear(
    x: torch.Tensor,
    norm_weight: torch.Tensor | None,
    norm_bias: torch.Tensor | None,
    weight: torch.Tensor | Int8Weight | FoldedWeight,
    bias: torch.Tensor | None,
    norm: str,
    eps: float,
    activation: str,
) -> torch.Tensor:
    """The op as `api.norm_linear` calls it: x [..., D], up to 16 rows.

    A norm that is not folded into the matrix is PyTorch's, a launch of its own.
    """
    matrix, row_sums = (weight.matrix, weight.row_sums) if isinstance(weight, FoldedWeight) else (weight, None)
    if row_sums is None and norm != "none":
        x, norm = normalize(x, norm_weight, norm_bias, norm, eps), "none"
    values, scale = values_and_scale(matrix)
    out = norm_linear_op(x.reshape(-1, x.shape[-1]), values, scale, row_sums, bias, norm, eps, activation)
    return out.view(*x.shape[:-1], out.shape[1])


@torch.library.custom_op("clavilux::norm_linear", mutates_args=())
def norm_linear_op(
    x: torch.Tensor,
    weight: torch.Tensor,
    scale: torch.Tensor | None,
    row_sums: torch.Tensor | None,
    bias: torch.Tensor | None,
    norm: str,
    eps: float,
    activation: str,
) -> torch.Tensor:
    out = x.new_empty(len(x), _outs(weight, activation))
    skinny_gemm(x, weight, scale, row_sums, bias, None, out, norm=norm, eps=eps, activation=activation)
    return out


@norm_linear_op.register_fake
def _(x, weight, scale, row_sums, bias, norm, eps, activation):
    return x.new_empty(len(x), _outs(weight, activation))


def _outs(weight: torch.Tensor, activation: str) -> int:
    return weight.shape[0] // 2 if activation == "swiglu" else weight.shape[0]
