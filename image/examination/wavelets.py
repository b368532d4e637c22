"""Directional wavelets and the tails of their coefficients.

Source: Liu, Chan and Yao, "Geometric tight frame based stylometry for art authentication of van Gogh paintings" (arXiv
1407.0439): filters of several directions, and of each the spread and the share of coefficients beyond one deviation.
The filters here are this project's, not their eighteen: first and second differences in four directions at three
scales.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from clavilux.image.examination.canvas import Canvas

SCALES = (1, 2, 4)  # pixels between the taps
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # down, across
_FLOOR = 0.05  # of a spread, in L: below it a filter sees rounding

NAMES = tuple(
    f"{order}, {scale} px: {what}"
    for scale in SCALES
    for order in ("slope", "bend")
    for what in ("strength", "tail", "far tail", "level against plumb", "straight against slanted")
)


def measure(canvas: Canvas) -> np.ndarray:
    """float64 [30], as `NAMES`: of each scale and order the log2 of the spread, the log-odds of the share beyond one
    deviation and beyond three (few strong marks on quiet ground), and the spread's balance over directions.
    """
    found: list[float] = []
    for scale in SCALES:
        smooth = ndimage.gaussian_filter(canvas.light, 0.4 * scale)
        for bend in (False, True):
            found += _of_order(smooth, scale, bend)
    return np.array(found)


def _of_order(light: np.ndarray, scale: int, bend: bool) -> list[float]:
    spreads, tails, far = [], [], []
    for down, across in _STEPS:
        values = _difference(light, down * scale, across * scale, bend)
        spread = max(float(values.std()), _FLOOR)
        size = np.abs(values - values.mean())
        spreads.append(np.log2(spread))
        tails.append(_log_odds(float((size > spread).mean())))
        far.append(_log_odds(float((size > 3 * spread).mean())))
    level, plumb, falling, rising = spreads
    straight, slanted = (level + plumb) / 2, (falling + rising) / 2
    return [float(np.mean(spreads)), float(np.mean(tails)), float(np.mean(far)), level - plumb, straight - slanted]


def _difference(light: np.ndarray, down: int, across: int, bend: bool) -> np.ndarray:
    """Where both neighbors are inside."""
    height, width = light.shape
    top, left = abs(down), abs(across)

    def moved(sign: int) -> np.ndarray:
        row, column = top + sign * down, left + sign * across
        return light[row : row + height - 2 * top, column : column + width - 2 * left]

    return (moved(1) + moved(-1)) / 2 - moved(0) if bend else (moved(1) - moved(-1)) / 2


def _log_odds(share: float) -> float:
    share = min(max(share, 0.001), 0.999)
    return float(np.log(share / (1 - share)))
