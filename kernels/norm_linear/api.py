"""norm_linear: a norm, a linear layer and an activation in one op."""

import torch

from clavilux.kernels.backend import choose
from clavilux.kernels.norm_linear import reference

NORMS = ("none", "layer", "rms")
ACTIVATIONS = ("none", "gelu", "quick_gelu", "swiglu")
IMPLEMENTATIONS = {"reference": reference.norm_linear}


def norm_linear(
    x: torch.Tensor,
    norm_weight: torch.Tensor | None,
    norm_bias: torch.Tensor | None,
    weight: torch.Tensor,
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
        weight: [N, D]. For "swiglu" N is even: the gate's rows first, then the value's.
        bias: [N] or None.
        norm: "none", "layer" or "rms" (not centred).
        eps: added to the variance, or to the mean square.
        activation: "none", "gelu" (exact), "quick_gelu" or "swiglu".
        backend: an implementation's name; None chooses by device.

    Returns:
        [..., N], or [..., N/2] for "swiglu".

    Raises:
        ValueError: shapes that do not fit, or an unknown word.
    """
    if weight.shape[1] != x.shape[-1]:
        raise ValueError(f"weight is {tuple(weight.shape)}; x has {x.shape[-1]} columns, so should weight")
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}; it should be one of {', '.join(NORMS)}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; it should be one of {', '.join(ACTIVATIONS)}")
    if norm_bias is not None and norm != "layer":
        raise ValueError(f"norm_bias is given with norm {norm!r}; only layer norm has a bias")
    if activation == "swiglu" and weight.shape[0] % 2:
        raise ValueError(f"weight has {weight.shape[0]} rows; swiglu needs an even number")
    run = choose(IMPLEMENTATIONS, backend, x.device)
    return run(x, norm_weight, norm_bias, weight, bias, norm, eps, activation)
