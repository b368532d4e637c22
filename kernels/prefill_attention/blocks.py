"""A span over a whole sequence as plain attention over its blocks: no mask, and only the keys that are read.

Where the queries start at position 0, every span is a reshape away from what PyTorch's fused attention serves on
every device, so there is no kernel of our own here. A reshape is as far as it goes: starts and masks are not known.
"""

import torch.nn.functional as F
from torch import Tensor

from clavilux.kernels.span import Span
from clavilux.kernels.steady import attention


def fits(q: Tensor, k: Tensor, causal: bool, span: Span | None, starts: Tensor | None, mask: Tensor | None) -> bool:
    """Whether this serves a call."""
    whole = causal and q.shape[2] == k.shape[2]
    return whole and span is not None and starts is None and mask is None


def prefill_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    causal: bool,
    span: Span,
    starts: Tensor | None,
    mask: Tensor | None,
) -> Tensor:
    """Attention over a span, block by block, of a call that `fits`."""
    num_positions, size = q.shape[2], span.size
    if span.kind == "prefix":
        # The causal triangle starts at the first query and key; later queries read all that is left.
        return attention(q, k[:, :, :size], v[:, :, :size], causal=True)
    # The last block is filled up; only what fills it reads what fills it, and is cut off again.
    missing = -num_positions % size
    q, k, v = (F.pad(x, (0, 0, 0, missing)).unflatten(2, (-1, size)) for x in (q, k, v))  # [B, H, N, s, E]
    if span.kind == "row":
        out = _attend(q, k, v, causal=True)
    elif span.kind == "column":
        out = _attend(q.transpose(2, 3), k.transpose(2, 3), v.transpose(2, 3), causal=True).transpose(2, 3)
    else:
        rest = q[:, :, 1:]
        # Of no blocks at all, PyTorch's attention on a GPU returns None.
        out = _attend(rest, k[:, :, :-1], v[:, :, :-1], causal=False) if rest.shape[2] else rest
        out = F.pad(out, (0, 0, 0, 0, 1, 0))  # the first block reads nothing
    return out.flatten(2, 3)[:, :, :num_positions]


def _attend(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Each [B, H, N, s, E]: attention along s, for each of the H * N."""
    out = attention(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), causal=causal)
    return out.unflatten(1, q.shape[1:3])
