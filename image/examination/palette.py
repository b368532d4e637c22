"""Palette: the colours of a picture in CIELAB, how warm, how many, how they are shared out.

Source: CIE 1976 L*a*b*; colourfulness in the manner of Hasler and Suesstrunk (2003), by means and spreads of opponent
channels.
"""

from __future__ import annotations

import numpy as np

from clavilux.image.examination.canvas import Canvas

NAMES = (
    "lightness", "lightness's spread", "red against green", "warmth", "spread of red and green",
    "spread of yellow and blue", "chroma", "strongest chroma", "variety of hues", "variety of colors", "largest color",
    "white", "black", "gray", "warm share", "darkest tenth", "lightest tenth",
)  # fmt: skip
_CELL = np.array([10.0, 12.0, 12.0])  # L, a, b of one color that is counted
_HUES = 12
_COLORED = 8.0  # chroma from which a pixel has a hue


def measure(canvas: Canvas) -> np.ndarray:
    """float64 [17], as `NAMES`: L, a and b in their own units, varieties in bits, shares 0 to 1 as their roots."""
    lab = canvas.lab.reshape(-1, 3)
    light, a, b = lab.T
    chroma = np.hypot(a, b)
    colored = chroma > _COLORED
    hue = np.histogram(np.arctan2(b, a)[colored], _HUES, (-np.pi, np.pi), weights=chroma[colored])[0]
    cells = np.floor(lab / _CELL).astype(np.int64)
    counts = np.unique(cells @ np.array([10_000, 100, 1]), return_counts=True)[1] / len(lab)
    warm = float((colored & (b + a > 0)).mean())
    return np.array([
        light.mean(), light.std(), a.mean(), b.mean(), a.std(), b.std(), chroma.mean(), np.percentile(chroma, 95),
        _bits(hue), _bits(counts), np.sqrt(counts.max()), np.sqrt((light > 97).mean()), np.sqrt((light < 12).mean()),
        np.sqrt((~colored & (light > 12) & (light < 97)).mean()), np.sqrt(warm), np.percentile(light, 10),
        np.percentile(light, 90),
    ])  # fmt: skip


def _bits(counts: np.ndarray) -> float:
    total = counts.sum()
    if total <= 0:
        return 0.0
    shares = counts[counts > 0] / total
    return float(-(shares * np.log2(shares)).sum())
