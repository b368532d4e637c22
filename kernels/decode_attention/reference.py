"""One query over the first `length` positions of a cache, the specification.

What the cache holds beyond `length` is never read: it may be NaN.
"""

from clavilux.kernels.prefill_attention import reference


def decode_attention(q, k, v, length, starts, mask):
    mask = None if mask is None else mask[:, :length]
    # [B, H, 1, E] over [B, H, length, E]
    out = reference.prefill_attention(q[:, :, None], k[:, :, :length], v[:, :, :length], False, starts, mask)
    return out[:, :, 0]
