"""What is done to queries and keys before they meet: RMS norm a head, and rotation by position.

The decoder does this to a prompt's; inside `decode_attention` it is part of the op.
"""

import torch
import torch.nn.functional as F


def rms(x: torch.Tensor, gain: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x^2) + eps) * gain over the last axis: x [..., E], gain [E]. In x's dtype, from float32 inside.

    Root mean square layer normalization, arXiv 1910.07467.
    """
    return (F.rms_norm(x, x.shape[-1:], eps=eps) * gain).to(x.dtype)


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn each pair (i, i + E/2) by its position's angle: RoPE, arXiv 2104.09864, as half-split pairs.

    Args:
        x: [..., E], E even.
        table: [..., 2, E], cosines, then sines whose first half is negated; its rows are broadcast over x's.

    Returns:
        As x.
    """
    cos, sin = table.unbind(-2)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin).to(x.dtype)
