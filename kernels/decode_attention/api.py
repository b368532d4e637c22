"""decode_attention: one query a row over a static cache, which it also writes."""

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.decode_attention import reference
from clavilux.kernels.span import Span

LARGEST_HEAD = 512
FLOATING = (torch.float32, torch.float16, torch.bfloat16)
IMPLEMENTATIONS = {
    "reference": reference.decode_attention,
    "triton": lazy("clavilux.kernels.decode_attention.triton", "decode_attention"),
}


def decode_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    length: int | torch.Tensor,
    *,
    new_k: torch.Tensor | None = None,
    new_v: torch.Tensor | None = None,
    rope: torch.Tensor | None = None,
    q_gain: torch.Tensor | None = None,
    k_gain: torch.Tensor | None = None,
    eps: float = 1e-5,
    span: Span | None = None,
    starts: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Attend from one query to the first `length` positions of a cache, scaled by 1/sqrt(E).

    Args:
        q: [B, H, E], floating, its last axis contiguous; E up to 512.
        k, v: [B, H, T, E], the cache; what lies at `length` and beyond is not read.
        length: 1..T, the positions that are valid; an int, or an int32 tensor [1] on the device, whose value is not
            looked at here.
        new_k, new_v: [B, H, E]: the key and value of position length - 1, which are written there.
        rope: [P, 2, E], cosines and signed sines: q and new_k are turned by row length - 1.
        q_gain, k_gain: [E]: q and new_k are divided by their root mean square and multiplied by these, before rope.
        eps: of that norm.
        span: which positions are read; None: all.
        starts: int64 [B] or None; row b reads no key before starts[b] (padding on the left).
        mask: bool [B, T] or None; False positions are not read (padding of a memory).
        backend: an implementation's name; None chooses by device.

    Returns:
        [B, H, E]; 0 for a row that may read nothing.

    Raises:
        ValueError: a shape, dtype, device or stride that does not fit, or a length outside the cache.
    """
    if q.ndim != 3 or k.ndim != 4 or q.shape[:2] != k.shape[:2] or q.shape[2] != k.shape[3] or k.shape != v.shape:
        shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        raise ValueError(f"q, k, v are {shapes}; they should be [B, H, E], [B, H, T, E], [B, H, T, E]")
    if q.dtype not in FLOATING or k.dtype != q.dtype or v.dtype != q.dtype:
        raise ValueError(f"q, k, v are {q.dtype}, {k.dtype}, {v.dtype}; they should be of one floating dtype")
    if k.device != q.device or v.device != q.device:
        raise ValueError(f"q, k, v are on {q.device}, {k.device}, {v.device}; they should be on one device")
    if q.shape[2] > LARGEST_HEAD:
        raise ValueError(f"the head size is {q.shape[2]}; it should be at most {LARGEST_HEAD}")
    if q.stride(2) != 1 or k.stride(3) != 1 or v.stride(3) != 1:
        raise ValueError(f"q, k, v step by {q.stride(2)}, {k.stride(3)}, {v.stride(3)} in a head; it should be by 1")
    _check_length(length, k.shape[2], q.device)
    if (new_k is None) != (new_v is None):
        raise ValueError(f"{'new_v' if new_k is None else 'new_k'} is given alone; both or none should be")
    for name, new in (("new_k", new_k), ("new_v", new_v)):
        if new is not None and (new.shape != q.shape or new.dtype != q.dtype or new.stride(2) != 1):
            raise ValueError(f"{name} is {new.dtype} {tuple(new.shape)}; it should be as q, {q.dtype} {tuple(q.shape)}")
    _check_turn(q, k.shape[2], rope, q_gain, k_gain)
    if span is not None and not isinstance(span, Span):
        raise ValueError(f"span is {span!r}; it should be a Span or None")
    if starts is not None and (starts.shape != k.shape[:1] or starts.dtype != torch.int64):
        raise ValueError(f"starts is {starts.dtype} {tuple(starts.shape)}; it should be int64 ({k.shape[0]},)")
    if mask is not None and (mask.shape != (k.shape[0], k.shape[2]) or mask.dtype != torch.bool):
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}; it should be bool {(k.shape[0], k.shape[2])}")
    run = choose(IMPLEMENTATIONS, backend, q.device)
    return run(q, k, v, length, new_k, new_v, rope, q_gain, k_gain, eps, span, starts, mask)


def _check_length(length, capacity, device):
    if isinstance(length, torch.Tensor):
        if length.shape != (1,) or length.dtype != torch.int32 or length.device != device:
            raise ValueError(
                f"length is {length.dtype} {tuple(length.shape)} on {length.device}; "
                f"a tensor should be int32 [1] on {device}"
            )
    elif not 1 <= length <= capacity:
        raise ValueError(f"length is {length}; it should be from 1 to the cache's {capacity} positions")


def _check_turn(q, capacity, rope, q_gain, k_gain):
    size = q.shape[2]
    if rope is not None and (rope.ndim != 3 or rope.shape[1:] != (2, size) or not rope.is_contiguous() or size % 2):
        raise ValueError(f"rope is {tuple(rope.shape)}; it should be contiguous [P, 2, {size}], the head size even")
    for name, gain in (("q_gain", q_gain), ("k_gain", k_gain)):
        if gain is not None and gain.shape != (size,):
            raise ValueError(f"{name} is {tuple(gain.shape)}; it should be ({size},)")
