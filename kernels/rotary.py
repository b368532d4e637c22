"""What happens to queries and keys before they meet: a norm of each head, and the turn by their position."""

import torch
import torch.nn.functional as F


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn each pair (i, i + E/2) of x [..., E] by its position's angle (2104.09864, half-split pairs).

    Args:
        x: floating.
        table: [..., 2, E], cosines and signed sines; without its axis of two it broadcasts against x.
    """
    cos, sin = table[..., 0, :], table[..., 1, :]
    return (x * cos + x.roll(x.shape[-1] // 2, -1) * sin).to(x.dtype)


def rms(x: torch.Tensor, gain: torch.Tensor, eps: float) -> torch.Tensor:
    """x [..., E] over its root mean square, times a gain [E]; of x's dtype."""
    return (F.rms_norm(x, x.shape[-1:], eps=eps) * gain).to(x.dtype)
