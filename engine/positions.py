"""Position tables: vectors to add to the embeddings, and angles to rotate queries and keys by.

Which table a decoder has is a field of its spec.
"""

import math

import torch


def sinusoidal_table(positions: int, width: int) -> torch.Tensor:
    """[positions, width]: cat[cos, sin] of position / 10000^(i / (width/2 - 1)), as MusicGen has it."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000) / (half - 1)))
    angles = torch.arange(positions, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


def rope_table(positions: int, head_dim: int, theta: float) -> torch.Tensor:
    """[positions, 2, head_dim]: cosines, then sines with the signs that rotating half-split pairs needs."""
    return _turning(torch.arange(positions, dtype=torch.float64)[:, None] * _rates(head_dim, theta))


def grid_table(positions: int, head_dim: int, theta: float, columns: int, prefix: int) -> torch.Tensor:
    """As `rope_table`, for a picture row by row (LlamaGen, arXiv 2406.06525): position prefix + r * columns + c turns
    the first half of the pairs by r and the second half by c.

    The prefix's rows are zeros, cosines too: its queries and keys become 0, so that its positions are all read alike.
    """
    places = torch.arange(positions - prefix, dtype=torch.float64)
    rates = _rates(head_dim // 2, theta)  # a quarter of the head's size
    rows, cols = (places // columns)[:, None] * rates, (places % columns)[:, None] * rates
    table = _turning(torch.cat([rows, cols], dim=1))
    return torch.cat([table.new_zeros(prefix, 2, head_dim), table])


def _rates(size: int, theta: float) -> torch.Tensor:
    return theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)


def _turning(angles: torch.Tensor) -> torch.Tensor:
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1)], dim=1).float()
