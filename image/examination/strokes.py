"""Strokes: how marks run, how straight, how wide, and whether they are outlined.

Source: the structure tensor (Bigun and Granlund, 1987), which gives each place an orientation and how coherent it is.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from clavilux.image.examination.canvas import Canvas

RADII = (1.0, 3.0)  # pixels over which gradients are gathered
NAMES = (
    *(f"{what}, {radius:g} px" for radius in RADII for what in (
        "coherence", "coherence's spread", "one direction", "cross of directions", "level or plumb",
        "variety of directions",
    )),
    "turning", "dark edges", "width of marks", "curling",
)  # fmt: skip
_BINS = 12
_TINY = 1e-6


def measure(canvas: Canvas) -> np.ndarray:
    """float64 [16], as `NAMES`. Directions are weighted by the strength of the gradient."""
    found: list[float] = []
    angles = []
    for radius in RADII:
        values, angle = _of_radius(canvas, radius)
        found += values
        angles.append(angle)
    weight = canvas.steepness
    total = float(weight.sum()) + _TINY
    turning = float((weight * (1 - np.cos(angles[0] - angles[1]))).sum()) / total  # between fine and coarse
    return np.array([*found, turning, _dark_edges(canvas), _width(canvas), _curling(angles[0], weight)])


def tensor(canvas: Canvas, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The structure tensor of L, gathered over a radius in pixels.

    Returns:
        float32 [H, W] each: strength, the square of a gradient; coherence, 0 to 1; twice the angle of the gradient,
        which crosses the mark, in radians with y downwards.
    """
    across, down = canvas.gradient
    xx, yy, xy = (ndimage.gaussian_filter(each, radius) for each in (across**2, down**2, across * down))
    strength = xx + yy
    return strength, np.hypot(xx - yy, 2 * xy) / (strength + 0.01), np.arctan2(2 * xy, xx - yy)


def _of_radius(canvas: Canvas, radius: float) -> tuple[list[float], np.ndarray]:
    """(the first measurements, float32 [H, W] of twice the orientation)."""
    strength, coherence, angle = tensor(canvas, radius)
    weight = np.sqrt(strength) * coherence
    total = float(weight.sum()) + _TINY
    mean = float((np.sqrt(strength) * coherence).sum() / (np.sqrt(strength).sum() + _TINY))
    deviation = float(np.sqrt((np.sqrt(strength) * (coherence - mean) ** 2).sum() / (np.sqrt(strength).sum() + _TINY)))
    one = abs(complex((weight * np.cos(angle)).sum(), (weight * np.sin(angle)).sum())) / total
    cross = float((weight * np.cos(2 * angle)).sum()) / total
    level = float((weight * np.cos(angle)).sum()) / total
    histogram = np.histogram(angle, _BINS, (-np.pi, np.pi), weights=weight)[0] / total + _TINY
    variety = float(-(histogram * np.log2(histogram)).sum())
    return [mean, deviation, one, cross, level, variety], angle


def _dark_edges(canvas: Canvas) -> float:
    """How much darker strong edges are than what is around them, in L: drawn outlines are, painted borders are not."""
    around = ndimage.gaussian_filter(canvas.light, 4)
    weight = ndimage.gaussian_filter(canvas.steepness, 1)
    return float((weight * (canvas.light - around)).sum() / (weight.sum() + _TINY))


def _width(canvas: Canvas) -> float:
    """log2 of pixels: how far L stays alike, from its autocorrelation's width at one half."""
    light = canvas.light - canvas.light.mean()
    power = np.abs(np.fft.rfft2(light)) ** 2
    found = np.fft.irfft2(power, light.shape)
    height, width = light.shape
    reach = min(height, width) // 2
    rows = np.stack([found[0, :reach], found[:reach, 0]]).mean(0)
    below = np.flatnonzero(rows < rows[0] / 2)
    return float(np.log2(below[0] if rows[0] > _TINY and len(below) else reach))


def _curling(angle: np.ndarray, weight: np.ndarray) -> float:
    """How fast the direction changes from place to place, where there is one."""
    change = (1 - np.cos(np.diff(angle, axis=0)))[:, 1:] + (1 - np.cos(np.diff(angle, axis=1)))[1:]
    weight = weight[1:, 1:]
    return float(np.log2((weight * change).sum() / (weight.sum() + _TINY) + 0.001))
