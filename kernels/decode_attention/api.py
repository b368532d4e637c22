"""decode_attention: one query a row over a static cache."""

import torch

from clavilux.kernels.backend import choose
from clavilux.kernels.decode_attention import reference

IMPLEMENTATIONS = {"reference": reference.decode_attention}


def decode_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    length: int,
    *,
    starts: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Attend from one query to the first `length` positions of a cache, scaled by 1/sqrt(E).

    Args:
        q: [B, H, E], floating.
        k, v: [B, H, T, E], the cache; what lies at `length` and beyond is not read.
        length: 1..T, the positions that are valid.
        starts: int64 [B] or None; row b reads no key before starts[b] (padding on the left).
        mask: bool [B, T] or None; False positions are not read (padding of a memory).
        backend: an implementation's name; None chooses by device.

    Returns:
        [B, H, E]; 0 for a row that may read nothing.

    Raises:
        ValueError: shapes that do not fit, or a length outside the cache.
    """
    if q.shape[:2] != k.shape[:2] or q.shape[2] != k.shape[3] or k.shape != v.shape:
        shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        raise ValueError(f"q, k, v are {shapes}; they should be [B, H, E], [B, H, T, E], [B, H, T, E]")
    if not 1 <= length <= k.shape[2]:
        raise ValueError(f"length is {length}; it should be from 1 to the cache's {k.shape[2]} positions")
    if starts is not None and starts.shape != k.shape[:1]:
        raise ValueError(f"starts is {tuple(starts.shape)}; it should be ({k.shape[0]},)")
    if mask is not None and (mask.shape != (k.shape[0], k.shape[2]) or mask.dtype != torch.bool):
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}; it should be bool {(k.shape[0], k.shape[2])}")
    return choose(IMPLEMENTATIONS, backend, q.device)(q, k, v, length, starts, mask)
