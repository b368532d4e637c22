"""One query a row over a cache, the specification.

In this order: the gains and the turn of the query and the new key, the write, and the attention. What the cache
holds beyond `length` is never read: it may be NaN. Softmax and sums are float32.
"""

import torch

from clavilux.kernels.prefill_attention import reference
from clavilux.kernels.rotary import rms, rotate


def decode_attention(q, k, v, length, new_k, new_v, rope, q_gain, k_gain, eps, span, starts, mask):
    """[B, H, E]; writes the new key and value into k and v [B, H, T, E] at length - 1."""
    length = int(length)  # a tensor too: on a CPU that waits for nothing
    position = length - 1
    if q_gain is not None:
        q = rms(q, q_gain, eps)
    if rope is not None:
        q = rotate(q, rope[position])
    if new_k is not None:
        if k_gain is not None:
            new_k = rms(new_k, k_gain, eps)
        if rope is not None:
            new_k = rotate(new_k, rope[position])
        k[:, :, position] = new_k
        v[:, :, position] = new_v
    end, step, start = length, 1, 0
    if span is not None:
        start, step, count = span.keys(position)
        if not count:
            return torch.zeros_like(q)
        end = start + step * (count - 1) + 1
        if starts is not None:  # as a mask, which can be cut like the keys
            readable = torch.arange(k.shape[2], device=q.device) >= starts[:, None]
            mask, starts = readable if mask is None else mask & readable, None
    keys = slice(start, end, step)
    mask = None if mask is None else mask[:, keys]
    # [B, H, 1, E] over [B, H, keys, E]
    return reference.prefill_attention(q[:, :, None], k[:, :, keys], v[:, :, keys], False, starts, mask)[:, :, 0]
