"""decode_attention: one query a row over a static cache, into which its own key and value are written."""

from collections.abc import Callable, Mapping

import torch

from clavilux.kernels.backend import choose, lazy
from clavilux.kernels.decode_attention import reference
from clavilux.kernels.prefill_attention.api import FLOATING, check_rows, check_span
from clavilux.kernels.span import Span

IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.decode_attention,
    "triton": lazy("clavilux.kernels.decode_attention.triton", "decode_attention"),
}
MAX_HEAD_DIM = 512


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
    """Attend from one query, at position `length` - 1, to the cache up to there, scaled by 1/sqrt(E).

    Args:
        q: [B, H, E], floating; E at most 512. As new_k and new_v it may be a view of a fused product.
        k: [B, H, T, E], the cache of keys, in q's dtype; what lies at `length` and beyond is not read. With a span, a
            position lies where `Span.slot` says, and T is what `Span.fits_cache`.
        v: the cache of values, as k.
        length: the positions that are valid, the new one included, from 1; up to T where the cache holds all of them;
            or an int32 tensor [1] on the device, whose value is not looked at here.
        new_k: [B, H, E], the key of position `length` - 1, which is written to its slot. None: that position is in
            the cache already.
        new_v: its value, as new_k; both or neither.
        rope: [P, 2, E], P >= length, contiguous: q and new_k are turned by rope[length - 1]; see `rotary.rotate`.
        q_gain: [E], for an RMS norm of q before it is turned.
        k_gain: [E], the same for new_k.
        eps: of that norm.
        span: which positions are read; None: all up to its own.
        starts: int64 [B] or None; row b reads no key before starts[b] (padding on the left).
        mask: bool [B, T] or None; False positions are not read (padding of a memory). They hold finite numbers. As
            starts, it needs a cache that holds positions in their order: no span, or a prefix.
        backend: an implementation's name; None chooses by device.

    Returns:
        [B, H, E]; 0 for a row that may read nothing.

    Raises:
        ValueError: shapes, dtypes, devices or strides that do not fit, or a length outside the cache.
    """
    _check_cache(q, k, v)
    if length.__class__ is not int:
        _check_length(length, k)
    elif length < 1 or (length > k.shape[2] and (span is None or span.__class__ is Span and span.kind == "column")):
        raise ValueError(f"length is {length}; it should be from 1 to the cache's {k.shape[2]} positions")
    if (new_k is None) != (new_v is None):
        given, missing = ("new_k", "new_v") if new_v is None else ("new_v", "new_k")
        raise ValueError(f"{given} is given without {missing}; it should be both, or neither")
    if new_k is not None and new_v is not None:
        _check_heads("new_k", new_k, q)
        _check_heads("new_v", new_v, q)
    if rope is not None:
        _check_rope(rope, q, length)
    if q_gain is not None or k_gain is not None:
        _check_gain("q_gain", q_gain, q)
        _check_gain("k_gain", k_gain, q)
    if span is not None:
        _check_slots(span, k, starts, mask)
    if starts is not None or mask is not None:
        check_rows(starts, mask, k)
    fits = q.dtype != torch.float64  # the kernel sums in float32
    run = choose(IMPLEMENTATIONS, backend, q.device, fits)
    return run(q, k, v, length, new_k, new_v, rope, q_gain, k_gain, eps, span, starts, mask)


def _check_cache(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    if q.ndim != 3 or k.ndim != 4 or q.shape[:2] != k.shape[:2] or q.shape[2] != k.shape[3] or k.shape != v.shape:
        shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        raise ValueError(f"q, k, v are {shapes}; they should be [B, H, E], [B, H, T, E], [B, H, T, E]")
    if q.shape[2] > MAX_HEAD_DIM:
        raise ValueError(f"q has a head_dim of {q.shape[2]}; it should be at most {MAX_HEAD_DIM}")
    if q.dtype not in FLOATING or not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k, v are {q.dtype}, {k.dtype}, {v.dtype}; they should be floating, and the same")
    if not q.device == k.device == v.device:
        raise ValueError(f"q, k, v are on {q.device}, {k.device}, {v.device}; they should be on one device")
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        _check_stride(name, tensor)


def _check_slots(span: Span, k: torch.Tensor, starts: torch.Tensor | None, mask: torch.Tensor | None) -> None:
    check_span(span)
    if not span.fits_cache(k.shape[2]):
        raise ValueError(
            f"k has {k.shape[2]} slots, which do not fit {span}; {span.num_slots(span.size)} would, or more"
        )
    if span.kind != "prefix" and (starts is not None or mask is not None):
        raise ValueError(f"starts or a mask is given with {span}; they need a cache in the order of positions")


def _check_stride(name: str, tensor: torch.Tensor) -> None:
    if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
        raise ValueError(f"{name} has strides {tensor.stride()}; its last axis should be contiguous")


def _check_heads(name: str, tensor: torch.Tensor, q: torch.Tensor) -> None:
    if tensor.shape != q.shape or tensor.dtype != q.dtype or tensor.device != q.device:
        given = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
        raise ValueError(f"{name} is {given}; it should be as q, {q.dtype} {tuple(q.shape)} on {q.device}")
    _check_stride(name, tensor)


def _check_length(length: object, k: torch.Tensor) -> None:
    if not isinstance(length, torch.Tensor):
        raise ValueError(f"length is {length!r}; it should be a whole number or an int32 tensor [1]")
    if length.shape != (1,) or length.dtype != torch.int32:
        raise ValueError(f"length is {length.dtype} {tuple(length.shape)}; a tensor should be int32 [1]")
    if length.device != k.device:
        raise ValueError(f"length is on {length.device}; k is on {k.device}, and so should it be")


def _check_rope(rope: torch.Tensor, q: torch.Tensor, length: int | torch.Tensor) -> None:
    head_dim = q.shape[2]
    if rope.ndim != 3 or rope.shape[1:] != (2, head_dim) or head_dim % 2 or rope.dtype not in FLOATING:
        given = f"{rope.dtype} {tuple(rope.shape)}"
        raise ValueError(f"rope is {given} with a head_dim of {head_dim}; it should be floating [P, 2, E], E even")
    if rope.device != q.device:
        raise ValueError(f"rope is on {rope.device}; q is on {q.device}, and so should it be")
    if not rope.is_contiguous():
        raise ValueError(f"rope has strides {rope.stride()}; it should be contiguous")
    if length.__class__ is int and length > len(rope):
        raise ValueError(f"length is {length}; rope has {len(rope)} positions, it should have as many")


def _check_gain(name: str, gain: torch.Tensor | None, q: torch.Tensor) -> None:
    if gain is None:
        return
    if gain.shape != q.shape[2:] or gain.dtype not in FLOATING:
        raise ValueError(f"{name} is {gain.dtype} {tuple(gain.shape)}; it should be floating {tuple(q.shape[2:])}")
    if gain.device != q.device:
        raise ValueError(f"{name} is on {gain.device}; q is on {q.device}, and so should it be")
    _check_stride(name, gain)
