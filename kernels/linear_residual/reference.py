"""residual + x @ weight.T + bias, the specification."""

import torch.nn.functional as F
from torch import Tensor

from clavilux.kernels.quantized import Int8Weight, dequantize


def linear_residual(x: Tensor, weight: Tensor | Int8Weight, bias: Tensor | None, residual: Tensor) -> Tensor:
    """The specification of `api.linear_residual`: residual + x @ weight.T + bias."""
    # Not folded into the product (addmm): under autocast that would round the residual to bfloat16.
    return residual + F.linear(x, dequantize(weight, x.dtype), bias)
