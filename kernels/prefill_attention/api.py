"""prefill_attention: many queries over keys and values; training, prompts, and memory."""

import torch

from clavilux.kernels.backend import choose
from clavilux.kernels.prefill_attention import reference

IMPLEMENTATIONS = {"reference": reference.prefill_attention}


def prefill_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = True,
    starts: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Attend from T queries to S keys, scaled by 1/sqrt(E). Differentiable.

    Args:
        q: [B, H, T, E], floating.
        k, v: [B, H, S, E]. Where causal, S >= T and the last query sits on the last key, so that a prompt may
            be taken in pieces.
        causal: a query reads the keys up to its own position.
        starts: int64 [B] or None; row b reads no key before starts[b] (padding on the left).
        mask: bool [B, S] or None; False keys are not read (padding of a memory).
        backend: an implementation's name; None chooses by device.

    Returns:
        [B, H, T, E]; 0 for a query that may read nothing.

    Raises:
        ValueError: shapes that do not fit.
    """
    if q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3] or k.shape != v.shape:
        shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        raise ValueError(f"q, k, v are {shapes}; they should be [B, H, T, E], [B, H, S, E], [B, H, S, E]")
    if causal and k.shape[2] < q.shape[2]:
        raise ValueError(f"{q.shape[2]} causal queries have {k.shape[2]} keys; they need at least as many")
    if starts is not None and starts.shape != k.shape[:1]:
        raise ValueError(f"starts is {tuple(starts.shape)}; it should be ({k.shape[0]},)")
    if mask is not None and (mask.shape != (k.shape[0], k.shape[2]) or mask.dtype != torch.bool):
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}; it should be bool {(k.shape[0], k.shape[2])}")
    return choose(IMPLEMENTATIONS, backend, q.device)(q, k, v, causal, starts, mask)
