"""Contrast and the scale of detail: how much happens at which size, how much is flat or shaded smoothly.

Sources: the falling spectrum of natural pictures (Field, 1987) and contrast in bands (Peli, 1990).
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from clavilux.image.examination.canvas import Canvas

BANDS = (0.7, 1.4, 2.8, 5.6, 11.2)  # deviations of the Gaussians between which contrast is taken
NAMES = (
    *(f"contrast, {low:g} to {high:g} px" for low, high in itertools.pairwise(BANDS)),
    "slope of the spectrum", "bend of the spectrum", "flat", "shaded", "edges", "steepest edges", "edges' kurtosis",
    "colored edges", "balance of detail",
)  # fmt: skip
_TINY = 1e-3


def measure(canvas: Canvas) -> np.ndarray:
    """float64 [13], as `NAMES`: contrasts as log2 of L, shares 0 to 1 as their roots."""
    blurred = [ndimage.gaussian_filter(canvas.light, sigma) for sigma in BANDS]
    contrasts = [float(np.log2((low - high).std() + 0.05)) for low, high in itertools.pairwise(blurred)]
    steep = canvas.steepness
    flat = (steep < 0.25).mean()
    shaded = ((steep >= 0.25) & (steep < 2)).mean()
    edges = steep > 5
    kurtosis = ((steep - steep.mean()) ** 4).mean() / (steep.var() + _TINY) ** 2
    chroma = np.hypot(*(ndimage.gaussian_gradient_magnitude(canvas.lab[..., each], 0.7) for each in (1, 2)))
    colored = np.log2((chroma.mean() + 0.05) / (steep.mean() + 0.05))
    return np.array([
        *contrasts, *_slope(canvas.light), np.sqrt(flat), np.sqrt(shaded), np.sqrt(edges.mean()),
        np.log2(np.percentile(steep, 99) + 0.05), np.log2(kurtosis + 0.1), colored, _balance(steep),
    ])  # fmt: skip


def _slope(light: np.ndarray) -> tuple[float, float]:
    """Of log power over log frequency: its slope, and how much steeper its upper half is."""
    window = np.outer(np.hanning(light.shape[0]), np.hanning(light.shape[1]))
    power = np.abs(np.fft.rfft2((light - light.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(light.shape[0])[:, None], np.fft.rfftfreq(light.shape[1])[None])
    edges = np.geomspace(0.02, 0.5, 13)
    place = np.digitize(radius, edges)
    levels = np.array([np.log2(power[place == ring].mean() + _TINY) if (place == ring).any() else np.nan
                       for ring in range(1, 13)])  # fmt: skip
    middle = np.log2(np.sqrt(edges[1:] * edges[:-1]))
    there = np.isfinite(levels)
    middle, levels = middle[there], levels[there]
    half = len(middle) // 2
    low, high = (float(np.polyfit(middle[part], levels[part], 1)[0]) for part in (np.s_[:half], np.s_[half:]))
    return float(np.polyfit(middle, levels, 1)[0]), high - low


def _balance(steep: np.ndarray) -> float:
    """How unevenly detail lies over the picture: the spread of its share in 6 x 6 cells."""
    rows = np.array_split(steep, 6, 0)
    cells = np.array([cell.mean() for row in rows for cell in np.array_split(row, 6, 1)])
    return float(cells.std() / (cells.mean() + _TINY))
