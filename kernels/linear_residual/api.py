"""linear_residual: a linear layer whose result is added to the residual stream."""

from collections.abc import Callable, Mapping

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.linear import Weight, backend_for, check, takes_few_rows
from clavilux.kernels.linear_residual import packed, reference

IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.linear_residual,
    "packed": packed.linear_residual,
    "triton": lazy("clavilux.kernels.linear_residual.triton", "linear_residual"),
}


def linear_residual(
    x: torch.Tensor,
    weight: Weight,
    bias: torch.Tensor | None,
    residual: torch.Tensor,
    *,
    backend: str | None = None,
) -> torch.Tensor:
    """Compute residual + x @ weight.T + bias. Differentiable; `residual` is not changed.

    Args:
        x: [..., D], floating.
        weight: [N, D], a tensor, an `Int8Weight` or a `PackedWeight`.
        bias: [N] or None.
        residual: [..., N], with x's leading shape.
        backend: an implementation's name; None chooses by device.

    Returns:
        [..., N] in the wider dtype of residual and x.

    Raises:
        ValueError: a shape, dtype, device or stride that does not fit.
    """
    check(x, weight, bias)
    if isinstance(weight, FoldedWeight):
        raise ValueError("weight is a FoldedWeight; no norm comes before this op, so it should be a plain one")
    if residual.shape[:-1] != x.shape[:-1] or residual.shape[-1] != weight.shape[0]:
        expected = (*x.shape[:-1], weight.shape[0])
        raise ValueError(f"residual is {tuple(residual.shape)}; it should be {expected}")
    if residual.device != x.device:
        raise ValueError(f"residual is on {residual.device}; x is on {x.device}, and so should it be")
    return choose(IMPLEMENTATIONS, backend_for(weight, backend), x.device, takes_few_rows(x, weight))(
        x, weight, bias, residual
    )
