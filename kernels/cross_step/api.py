"""cross_step: the end of a self-attention and the cross-attention after it, on a memory that is folded."""

from collections.abc import Callable, Mapping

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.cross_step import reference
from clavilux.kernels.cross_step.memory import MOST_KEYS, FoldedMemory
from clavilux.kernels.linear import takes_few_rows
from clavilux.kernels.quantized import Int8Weight

MOST_HEADS = 128  # a program holds the scores of all heads to `MOST_KEYS` positions
IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.cross_step,
    "triton": lazy("clavilux.kernels.cross_step.triton", "cross_step"),
}


def cross_step(
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor | Int8Weight,
    bias: torch.Tensor | None,
    memory: FoldedMemory,
    mask: torch.Tensor | None = None,
    out_bias: torch.Tensor | None = None,
    *,
    norm: str = "layer",
    eps: float = 1e-5,
    backend: str | None = None,
) -> torch.Tensor:
    """Compute x1 = x + y @ weight.T + bias, and x1 + out_bias + the attention of its norm to the memory.

    Args:
        x: [B, D], floating, the residual stream.
        y: [B, I], the self-attention's heads.
        weight: [D, I], its output matrix, a tensor or an `Int8Weight`.
        bias: [D] or None.
        memory: of `fold_memory`, with the same weight and bias.
        mask: bool [B, S] with S side by side, the positions that a row reads; None: all. A row that reads none has
            nothing added to it but the biases.
        out_bias: [D], the cross-attention's, or None.
        norm: "layer" or "rms"; its gain and shift are in the memory.
        eps: added to the variance.
        backend: an implementation's name; None chooses by device.

    Returns:
        [B, D] in x's dtype.

    Raises:
        ValueError: a shape, dtype, device or norm that does not fit.
    """
    _check(x, y, weight, memory, mask, norm)
    fits = takes_few_rows(y, weight) and y.dtype == x.dtype == memory.scores.dtype and x.stride(1) == 1
    fits = fits and memory.heads <= MOST_HEADS and memory.keys <= MOST_KEYS
    return choose(IMPLEMENTATIONS, backend, x.device, fits)(x, y, weight, bias, memory, mask, out_bias, norm, eps)


def _check(
    x: torch.Tensor,
    y: torch.Tensor,
    weight: torch.Tensor | Int8Weight,
    memory: FoldedMemory,
    mask: torch.Tensor | None,
    norm: str,
) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"x is {tuple(x.shape)} and y {tuple(y.shape)}; they should be [B, D] and [B, I]")
    batch, width, inner = len(x), x.shape[1], y.shape[1]
    if tuple(weight.shape) != (width, inner):
        raise ValueError(f"weight is {tuple(weight.shape)}; it should be {(width, inner)}")
    scores, scores_out = tuple(memory.scores.shape), tuple(memory.scores_out.shape)
    if scores[2] != width or scores_out != (*scores[:2], inner) or len(memory.slots) != batch:
        raise ValueError(
            f"the memory is folded for {len(memory.slots)} rows of {scores[2]} and {scores_out[2]} columns; "
            f"x and y have {batch} rows of {width} and {inner}"
        )
    if mask is not None and (tuple(mask.shape) != (batch, memory.keys) or mask.dtype != torch.bool):
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}; it should be bool {(batch, memory.keys)}")
    if norm not in ("layer", "rms"):
        raise ValueError(f"norm is {norm!r}; it should be 'layer' or 'rms'")
    for name, part in (("y", y), ("weight", weight), ("the memory", memory.scores), ("mask", mask)):
        if part is not None and part.device != x.device:
            raise ValueError(f"{name} is on {part.device}; x is on {x.device}, and so should it be")
