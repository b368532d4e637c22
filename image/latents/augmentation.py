"""Augmentation of what a discriminator sees, real and generated alike, so that it cannot learn few pictures by heart.

Differentiable, so that the generator learns through it: Zhao et al., arXiv 2006.10738. Each change happens to a sample
with a probability below 1, which keeps the generator from imitating the changes: Karras et al., arXiv 2006.06676, from
where the rule of the probability is, too. Knows maps [B, C, H, W], latents or pixels; nothing of networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 0.8  # of the probability: at 1 a sample that is always changed is as good as one
WANTED = 0.5  # of `overfitting`
SHIFT = 1 / 8  # of the side
HOLE = 1 / 2  # of the side
SPREAD = 0.2  # of the logarithm of a channel's factor


def augmented(samples: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Samples each perhaps mirrored, moved, with a hole of zeros, and with channels scaled, in this order.

    Args:
        samples: float [B, C, H, W]; gradients flow through.
        probability: of each of the four changes, 0 to `MOST`; at 0 nothing is drawn.
        random: on the CPU; what is drawn depends on it and the shape alone.

    Returns:
        float [B, C, H, W].
    """
    if probability <= 0:
        return samples
    batch, channels, height, width = samples.shape
    happens = torch.rand(4, batch, generator=random) < probability
    largest = max(1, round(SHIFT * width))
    moves = torch.randint(-largest, largest + 1, (2, batch), generator=random)
    center = (torch.rand(2, batch, generator=random) * torch.tensor([[height], [width]])).long()
    factors = (SPREAD * torch.randn(batch, channels, 1, 1, generator=random)).exp()

    rows, cols = (torch.arange(side).expand(batch, side) for side in (height, width))
    cols = torch.where(happens[0, :, None], width - 1 - cols, cols)
    moved = torch.where(happens[1], moves, 0)
    rows, cols = rows + moved[0, :, None], cols + moved[1, :, None]
    samples = gathered(samples, rows.clamp(0, height - 1), cols.clamp(0, width - 1))  # edges are repeated

    inside = []
    for axis, side in enumerate((height, width)):
        half = max(1, round(HOLE * side / 2))
        offset = torch.arange(side) - center[axis, :, None]  # [B, side]
        inside.append((-half <= offset) & (offset < half))
    hole = inside[0][:, :, None] & inside[1][:, None, :] & happens[2, :, None, None]  # [B, H, W]
    factors = torch.where(happens[3, :, None, None, None], factors, 1.0) * ~hole[:, None]
    return samples * factors.to(samples)


def gathered(samples: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """samples [B, C, H, W] at rows [B, H] and columns [B, W] of their own."""
    index = (rows[:, :, None] * samples.shape[3] + cols[:, None, :]).flatten(1).to(samples.device)  # [B, H * W]
    return samples.flatten(2).gather(2, index[:, None].expand(-1, samples.shape[1], -1)).view_as(samples)


def overfitting(trained: Tensor, held_out: Tensor, fake: Tensor) -> float:
    """How far a discriminator takes unseen pictures for generated ones: 0 not at all, 1 wholly.

    (mean D(trained) - mean D(held out)) / (mean D(trained) - mean D(generated)); 0 where it tells nothing apart.
    """
    seen, unseen, made = (float(logits.mean()) for logits in (trained, held_out, fake))
    return (seen - unseen) / (seen - made) if seen > made else 0.0


def adapted(probability: float, measured: float, rate: float) -> float:
    """The next probability: up by `rate` where `overfitting` was above `WANTED`, else down; 0 to `MOST`."""
    return min(MOST, max(0.0, probability + (rate if measured > WANTED else -rate)))
