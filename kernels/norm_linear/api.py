"""norm_linear: a norm, a linear layer and an activation in one op."""

from collections.abc import Callable, Mapping

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.linear import Weight, backend_for, check, takes_few_rows
from clavilux.kernels.norm_linear import packed, reference

NORMS = ("none", "layer", "rms")
ACTIVATIONS = ("none", "gelu", "quick_gelu", "swiglu")
IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.norm_linear,
    "packed": packed.norm_linear,
    "triton": lazy("clavilux.kernels.norm_linear.triton", "norm_linear"),
}


def norm_linear(
    x: torch.Tensor,
    norm_weight: torch.Tensor | None,
    norm_bias: torch.Tensor | None,
    weight: Weight,
    bias: torch.Tensor | None = None,
    *,
    norm: str = "layer",
    eps: float = 1e-5,
    activation: str = "none",
    backend: str | None = None,
) -> torch.Tensor:
    """Compute act(norm(x) @ weight.T + bias). Differentiable.

    Args:
        x: [..., D], floating.
        norm_weight: [D], or None for a norm without a gain.
        norm_bias: [D] or None; layer norm only.
        weight: [N, D], a tensor, an `Int8Weight`, a `PackedWeight` or a `FoldedWeight`, which holds the norm's gain.
            For "swiglu" N is even: the gate's rows first, then the value's.
        bias: [N] or None; of a folded weight in float32.
        norm: "none", "layer" or "rms" (not centred).
        eps: added to the variance, or to the mean square.
        activation: "none", "gelu" (exact), "quick_gelu" or "swiglu".
        backend: an implementation's name; None chooses by device.

    Returns:
        [..., N], or [..., N/2] for "swiglu".

    Raises:
        ValueError: a shape, dtype, device or stride that does not fit, or an unknown word.
    """
    check(x, weight, bias)
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; it should be one of {', '.join(NORMS)}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; it should be one of {', '.join(ACTIVATIONS)}")
    if norm_bias is not None and norm != "layer":
        raise ValueError(f"norm_bias is given with norm {norm!r}; only layer norm has a bias")
    if isinstance(weight, FoldedWeight) and (norm == "none" or norm_weight is not None or norm_bias is not None):
        given = "no norm" if norm == "none" else "a norm's gain or shift"
        raise ValueError(f"{given} is given with a FoldedWeight; it should be a norm whose gain and shift it holds")
    if activation == "swiglu" and weight.shape[0] % 2:
        raise ValueError(f"weight has {weight.shape[0]} rows; swiglu needs an even number")
    for name, part in (("norm_weight", norm_weight), ("norm_bias", norm_bias)):
        if part is not None and part.shape != x.shape[-1:]:
            raise ValueError(f"{name} is {tuple(part.shape)}; it should be ({x.shape[-1]},)")
    run = choose(IMPLEMENTATIONS, backend_for(weight, backend), x.device, takes_few_rows(x, weight))
    return run(x, norm_weight, norm_bias, weight, bias, norm, eps, activation)
