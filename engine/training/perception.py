"""What an ImageNet classifier sees in pictures, for a loss and for measuring.

Knows pixels; does not know what they show.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.arts.features import Features

# Layers of Lite0 that are compared: 1/2, 1/4, 1/8 and 1/16 of the side.
LEVELS = ("blocks.0", "blocks.2", "blocks.4", "blocks.7")


@torch.no_grad()
def describe(features: Features, pixels: Tensor, side: int = 224) -> Tensor:
    """pixels float [B, 3, H, W], -1 to 1 -> the last features of Lite0, averaged over the picture, float [B, 1280]."""
    large = F.interpolate(pixels, size=(side, side), mode="bicubic", align_corners=False).clamp(-1, 1)
    return features(large, ["head"])["head"].mean((2, 3))


def perceptual_loss(features: Features, painted: Tensor, real: Tensor) -> Tensor:
    """How far two batches of pictures are apart in every level, each level relative to its own size."""
    with torch.no_grad():
        wanted = features(real, LEVELS)
    total = painted.new_zeros(())
    found = features(painted, LEVELS)
    for level in LEVELS:
        ours, theirs = found[level], wanted[level]
        total = total + (ours - theirs).abs().mean() / (theirs - theirs.mean((2, 3), keepdim=True)).abs().mean()
    return total / len(LEVELS)
