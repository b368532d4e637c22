"""residual + x @ weight.T + bias with a packed weight, on a CPU."""

from torch import Tensor

from clavilux.kernels.quantized import PackedWeight


def linear_residual(x: Tensor, weight: PackedWeight, bias: Tensor | None, residual: Tensor) -> Tensor:
    """As the reference; x float32 or bfloat16 [..., D]."""
    y = weight.product(x if x.ndim == 2 else x.reshape(-1, x.shape[-1]))
    if bias is not None:
        y.add_(bias)
    y = y if x.ndim == 2 else y.view(*x.shape[:-1], y.shape[-1])
    return y.add_(residual) if residual.dtype == y.dtype else y + residual
