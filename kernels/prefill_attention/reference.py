"""softmax(q k^T / sqrt(E)) v over the keys that a query may read, the specification.

A query that may read nothing gets 0. PyTorch's fused attention keeps the softmax and its sums in float32.
"""

import torch
from torch import Tensor

from clavilux.kernels.span import Span
from clavilux.kernels.steady import attention


def readable(
    num_queries: int,
    num_keys: int,
    causal: bool,
    span: Span | None,
    starts: Tensor | None,
    mask: Tensor | None,
    device: torch.device,
) -> Tensor:
    """bool [B or 1, 1, T or 1, S]: which keys each query reads; the last query sits on the last key."""
    keys = torch.arange(num_keys, device=device)
    allowed = torch.ones(1, 1, 1, num_keys, dtype=torch.bool, device=device)
    if causal:
        queries = torch.arange(num_keys - num_queries, num_keys, device=device)[:, None]
        allowed = (keys <= queries if span is None else span.reads(queries, keys))[None, None]
    if starts is not None:
        allowed = allowed & (keys >= starts[:, None])[:, None, None]
    if mask is not None:
        allowed = allowed & mask[:, None, None]
    return allowed


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
    """q [B, H, T, E], k and v [B, H, S, E], allowed bool, broadcast to [B, H, T, S]."""
    nothing = ~allowed.any(-1, keepdim=True)  # these read everything, then give 0: no NaN in the gradient either
    out = attention(q, k, v, mask=allowed | nothing)
    return out.masked_fill(nothing, 0.0)


def prefill_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool,
    span: Span | None,
    starts: Tensor | None,
    mask: Tensor | None,
) -> Tensor:
    """The specification of `api.prefill_attention`."""
    num_queries, num_keys = q.shape[2], k.shape[2]
    if span is None and starts is None and mask is None:
        if not causal or num_queries == 1:
            return attention(q, k, v)
        if num_queries == num_keys:
            return attention(q, k, v, causal=True)
    return attend(q, k, v, readable(num_queries, num_keys, causal, span, starts, mask, q.device))
