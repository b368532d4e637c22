"""Patterns of canvas and print: what repeats in the spectrum of the finest detail.

Source: counting threads by the peaks of the Fourier spectrum (Johnson, Hendriks and Johnson, 2013). Looks at the
picture's own pixels, since a weave or a printing screen is lost in a smaller copy.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

NAMES = ("peak of the spectrum", "peaks", "level and plumb lines", "fine against middle", "frequency of the peak")
CROP = 256  # pixels a side, from the middle


def measure(light: np.ndarray) -> np.ndarray:
    """float64 [5], as `NAMES`: how far peaks stand above their surroundings, in octaves of power; shares in log2.

    Args:
        light: float32 [H, W], L, of the picture's own pixels.
    """
    light = middle(light, CROP)
    window = np.outer(np.hanning(light.shape[0]), np.hanning(light.shape[1]))
    power = np.log2(np.abs(np.fft.rfft2((light - light.mean()) * window)) ** 2 + 1.0)
    down, across = np.fft.fftfreq(light.shape[0])[:, None], np.fft.rfftfreq(light.shape[1])[None]
    radius = np.hypot(down, across)
    stands = power - ndimage.uniform_filter(power, 9, mode="wrap")
    ring = (radius > 0.08) & (radius < 0.5) & (np.abs(down) > 0.02) & (across > 0.02)
    if not ring.any():
        return np.zeros(len(NAMES))
    lines = (radius > 0.08) & (radius < 0.5) & ~((np.abs(down) > 0.02) & (across > 0.02))
    best = np.unravel_index(np.argmax(np.where(ring, stands, -np.inf)), stands.shape)
    fine, coarse = power[ring & (radius > 0.3)].mean(), power[ring & (radius < 0.2)].mean()
    straight = power[lines].mean() - power[ring].mean() if lines.any() else 0.0
    return np.array([stands[best], np.percentile(stands[ring], 99.5), straight, fine - coarse, radius[best]])


def middle(values: np.ndarray, side: int) -> np.ndarray:
    """The middle of [H, W, ...], at most `side` a side."""
    height, width = values.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return values[top : top + side, left : left + side]
