"""What a classifier's early layers do in a picture on the whole: mean and spread of each channel.

Source: texture as the statistics of a network's channels (Gatys, Ecker and Bethge, 2016); Lite0's, by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from clavilux.image.arts.features import Features

LAYERS = ("stem", "blocks.0", "blocks.2")
CHANNELS = 32 + 16 + 24
NAMES = tuple(f"{what} {number}" for what in ("mean", "spread") for number in range(CHANNELS))


def measure(features: Features, pixels: np.ndarray) -> np.ndarray:
    """float64 [144]: means of all channels of `LAYERS`, then log2 of their spreads.

    Args:
        features: Lite0.
        pixels: uint8 [H, W, 3].
    """
    values = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1  # [1, 3, H, W]
    with torch.inference_mode():
        found = features(values, LAYERS)
        maps = [found[layer][0].flatten(1) for layer in LAYERS]
        means = torch.cat([each.mean(1) for each in maps])
        spreads = torch.cat([each.std(1) for each in maps])
    return torch.cat([means, torch.log2(spreads + 0.01)]).double().numpy()
