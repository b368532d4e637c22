"""Drawings as a model may paint them, made of numbers alone: the same on every processor."""

import numpy as np
import torch

from clavilux.image.picture import Picture


def drawing(seed, height=64, width=64):
    """A few shaded discs on white, a little restless where they are."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.full((height, width, 3), 255.0)
    for _ in range(6):
        row, column, radius = rng.integers(8, height - 8), rng.integers(8, width - 8), rng.integers(6, 20)
        inside = (y - row) ** 2 + (x - column) ** 2 < radius**2
        shade = rng.integers(20, 220, 3) + (x - column)[..., None] * rng.integers(-2, 3)
        pixels[inside] = (shade + rng.integers(-4, 5, (height, width, 1)))[inside]
    return Picture(torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)))
