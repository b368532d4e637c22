"""residual + x @ weight.T + bias, the specification."""

import torch.nn.functional as F

from clavilux.kernels.quantized import dequantize


def linear_residual(x, weight, bias, residual):
    # Not folded into the product (addmm): under autocast that would round the residual to bfloat16.
    return residual + F.linear(x, dequantize(weight, x.dtype), bias)
