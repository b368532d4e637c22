"""What `norm_linear` and `linear_residual` have alike: their weights, their checks, and which kernel runs."""

import torch

from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.quantized import Int8Weight, PackedWeight

Weight = torch.Tensor | Int8Weight | PackedWeight | FoldedWeight
MOST_ROWS = 16  # of the Triton kernels; more are better served by a library's
FLOATING = (torch.float32, torch.float16, torch.bfloat16)


def check(x: torch.Tensor, weight: Weight, bias: torch.Tensor | None) -> None:
    """Raise ValueError where x [..., D], weight [N, D] and bias [N] cannot be multiplied."""
    if len(weight.shape) != 2 or x.ndim < 1 or weight.shape[1] != x.shape[-1]:
        raise ValueError(f"weight is {tuple(weight.shape)}; x is {tuple(x.shape)}, so it should be [N, {x.shape[-1]}]")
    if not x.dtype.is_floating_point:
        raise ValueError(f"x is {x.dtype}; it should be floating")
    if weight.device != x.device:
        raise ValueError(f"weight is on {weight.device}; x is on {x.device}, and so should it be")
    if isinstance(weight, PackedWeight):
        if x.dtype not in (torch.float32, torch.bfloat16):
            raise ValueError(f"x is {x.dtype}; a packed weight takes float32 or bfloat16")
    elif isinstance(weight, torch.Tensor) and not weight.dtype.is_floating_point:
        raise ValueError(f"weight is {weight.dtype}; it should be floating, or an Int8Weight")
    if bias is not None and (bias.shape[0] != weight.shape[0] or bias.ndim != 1 or bias.device != x.device):
        raise ValueError(
            f"bias is {tuple(bias.shape)} on {bias.device}; it should be ({weight.shape[0]},) on {x.device}"
        )


def backend_for(weight: Weight, backend: str | None) -> str | None:
    """The implementation that a weight asks for: a packed one has its own and no other.

    Raises:
        ValueError: another one is asked for.
    """
    packed = isinstance(weight, PackedWeight)
    if packed and backend not in (None, "packed"):
        raise ValueError(f"backend {backend!r} is asked for a packed weight; only 'packed' can read it")
    if backend == "packed" and not packed:
        raise ValueError(f"backend 'packed' is asked for {type(weight).__name__}; it reads a PackedWeight")
    return "packed" if packed else backend


def takes_few_rows(x: torch.Tensor, weight: Weight) -> bool:
    """Whether the Triton kernels for few rows are made for this product."""
    if isinstance(weight, PackedWeight):
        return False
    if torch.is_grad_enabled() and (x.requires_grad or getattr(weight, "requires_grad", False)):
        return False  # they have no gradient; PyTorch's own products do
    if not 1 <= x.numel() // max(1, x.shape[-1]) <= MOST_ROWS or x.dtype not in FLOATING or x.stride(-1) != 1:
        return False
    if isinstance(weight, FoldedWeight):
        weight = weight.matrix
    return isinstance(weight, Int8Weight) or (weight.dtype == x.dtype and weight.is_contiguous())
