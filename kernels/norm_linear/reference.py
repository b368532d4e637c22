"""act(norm(x) @ weight.T + bias), the specification.

Norms: layer norm (Ba et al., 1607.06450), RMS norm (Zhang and Sennrich, 1910.07467).
Activations: GELU (exact, with erf), quick GELU x * sigmoid(1.702 x) (1606.08415), SwiGLU (2002.05202).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.quantized import Int8Weight, dequantize


def normalize(x: Tensor, norm_weight: Tensor | None, norm_bias: Tensor | None, norm: str, eps: float) -> Tensor:
    """x [..., D] by "layer" or "rms" norm; any other name leaves it as it is."""
    # Both functions accumulate in float32 and round once, to x's dtype.
    if norm == "layer":
        return F.layer_norm(x, x.shape[-1:], norm_weight, norm_bias, eps)
    if norm == "rms":
        return F.rms_norm(x, x.shape[-1:], norm_weight, eps)
    return x


def activate(y: Tensor, activation: str) -> Tensor:
    """y [..., N] by an activation; "swiglu" halves N."""
    if activation == "gelu":
        return F.gelu(y)
    if activation == "quick_gelu":
        return y * torch.sigmoid(1.702 * y)
    if activation == "swiglu":
        gate, value = y.chunk(2, dim=-1)
        return F.silu(gate) * value
    return y


def norm_linear(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    weight: Tensor | Int8Weight | FoldedWeight,
    bias: Tensor | None,
    norm: str,
    eps: float,
    activation: str,
) -> Tensor:
    """The specification of `api.norm_linear`: activation(norm(x) @ weight.T + bias)."""
    if isinstance(weight, FoldedWeight):
        weight, bias = weight.matrix, None if bias is None else bias.to(x.dtype)
    normed = normalize(x, norm_weight, norm_bias, norm, eps)
    return activate(F.linear(normed, dequantize(weight, x.dtype), bias), activation)
