"""linear_residual: a linear layer whose result is added to the residual stream."""

import torch

from clavilux.kernels.backend import choose
from clavilux.kernels.linear_residual import reference

IMPLEMENTATIONS = {"reference": reference.linear_residual}


def linear_residual(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
    *,
    backend: str | None = None,
) -> torch.Tensor:
    """Compute residual + x @ weight.T + bias. Differentiable; `residual` is not changed.

    Args:
        x: [..., D], floating.
        weight: [N, D].
        bias: [N] or None.
        residual: [..., N], with x's leading shape.
        backend: an implementation's name; None chooses by device.

    Returns:
        [..., N] in the wider dtype of residual and x.

    Raises:
        ValueError: shapes that do not fit.
    """
    if weight.shape[1] != x.shape[-1]:
        raise ValueError(f"weight is {tuple(weight.shape)}; x has {x.shape[-1]} columns, so should weight")
    if residual.shape[:-1] != x.shape[:-1] or residual.shape[-1] != weight.shape[0]:
        expected = (*x.shape[:-1], weight.shape[0])
        raise ValueError(f"residual is {tuple(residual.shape)}; it should be {expected}")
    return choose(IMPLEMENTATIONS, backend, x.device)(x, weight, bias, residual)
