"""prefill_attention: many queries over keys and values; training, prompts, and memory."""

from collections.abc import Callable, Mapping

import torch

from clavilux.kernels.backend import choose
from clavilux.kernels.prefill_attention import blocks, reference
from clavilux.kernels.span import Span

IMPLEMENTATIONS: Mapping[str, Callable[..., torch.Tensor]] = {
    "reference": reference.prefill_attention,
    "blocks": blocks.prefill_attention,
}
FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def prefill_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = True,
    span: Span | None = None,
    starts: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Attend from T queries to S keys, scaled by 1/sqrt(E). Differentiable.

    There is no kernel of our own: PyTorch's fused attention serves this, for spans over a whole sequence after a
    reshape ("blocks"), and otherwise under a mask ("reference").

    Args:
        q: [B, H, T, E], floating.
        k: [B, H, S, E]. Where causal, S >= T and the last query sits on the last key, so that a prompt may be taken
            in pieces.
        v: [B, H, S, E].
        causal: a query reads the keys up to its own position.
        span: which of those it reads; None: all. Its blocks begin at the first key.
        starts: int64 [B] or None; row b reads no key before starts[b] (padding on the left).
        mask: bool [B, S] or None; False keys are not read (padding of a memory).
        backend: an implementation's name; None chooses.

    Returns:
        [B, H, T, E]; 0 for a query that may read nothing.

    Raises:
        ValueError: shapes, dtypes, devices or options that do not fit.
    """
    _check(q, k, v, causal, span)
    check_rows(starts, mask, k)
    serves = blocks.fits(q, k, causal, span, starts, mask)
    if backend == "blocks" and not serves:
        raise ValueError("backend 'blocks' is asked for; it serves a span over a whole sequence without starts or mask")
    run = choose(IMPLEMENTATIONS, "blocks" if backend is None and serves else backend, q.device)
    return run(q, k, v, causal, span, starts, mask)


def _check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool, span: Span | None) -> None:
    fits = q.ndim == k.ndim == 4 and q.shape[:2] == k.shape[:2] and q.shape[3] == k.shape[3] and k.shape == v.shape
    if not fits:
        shapes = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        raise ValueError(f"q, k, v are {shapes}; they should be [B, H, T, E], [B, H, S, E], [B, H, S, E]")
    if q.dtype not in FLOATING or not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k, v are {q.dtype}, {k.dtype}, {v.dtype}; they should be floating, and the same")
    if not q.device == k.device == v.device:
        raise ValueError(f"q, k, v are on {q.device}, {k.device}, {v.device}; they should be on one device")
    if causal and k.shape[2] < q.shape[2]:
        raise ValueError(f"{q.shape[2]} causal queries have {k.shape[2]} keys; they need at least as many")
    check_span(span)
    if span is not None and not causal:
        raise ValueError(f"causal is False with {span}; a span reads no position after a query's own")


def check_span(span: Span | None) -> None:
    """Raises ValueError for what is no span."""
    if span is not None and not isinstance(span, Span):
        raise ValueError(f"span is {span!r}; it should be a Span or None")


def check_rows(starts: torch.Tensor | None, mask: torch.Tensor | None, k: torch.Tensor) -> None:
    """Raises ValueError for starts or a mask that do not fit the keys [B, H, S, E]."""
    batch, _, num_keys, _ = k.shape
    if starts is not None and (starts.shape != (batch,) or starts.dtype != torch.int64):
        raise ValueError(f"starts is {starts.dtype} {tuple(starts.shape)}; it should be int64 {(batch,)}")
    if mask is not None and (mask.shape != (batch, num_keys) or mask.dtype != torch.bool):
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}; it should be bool {(batch, num_keys)}")
    for name, tensor in (("starts", starts), ("mask", mask)):
        if tensor is not None and tensor.device != k.device:
            raise ValueError(f"{name} is on {tensor.device}; k is on {k.device}, and so should it be")
