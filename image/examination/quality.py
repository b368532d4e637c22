"""How a picture was kept and copied: sharpness, JPEG, pixels, cut edges, grain, a cast. What confounds a comparison.

Looks at the picture's own pixels. Does not know other pictures (`confounds` compares).

Sources: the width of edges from contrast over slope (Elder and Zucker, 1998); traces of JPEG from coefficients on its
grid of 8 x 8 (Wallace, 1991) against a grid that is moved by half a block; grain by Immerkaer's mask (1996); the cast
by the brightest pixels (Land, 1977).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from clavilux.image.examination.canvas import lab_of
from clavilux.image.examination.patterns import middle

__all__ = ["Quality", "measure"]

CROP = 384  # pixels a side, from the middle, that sharpness, JPEG and grain are measured in
_WINDOW = 11  # pixels over which an edge's contrast is taken; a blur of some 3 pixels is the most that is told apart
_EDGE = 12.0  # contrast in L from which a place is an edge
_HIGH = np.add.outer(np.arange(8), np.arange(8)) >= 8  # coefficients that JPEG rounds coarsely
_GRAIN = np.array([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
_FLATTEST = 10  # percent of the blocks; with 20 a few crowded icons among references looked as grainy as a scan
_SHOWN = 0.54  # of a channel's noise: luma averages three channels, and the flattest blocks show the least of it


class Quality(NamedTuple):
    """One picture's.

    Attributes:
        blur: deviation in pixels of the Gaussian that its sharpest edges look blurred by; about 0.4 is a hard step.
        jpeg: mean octaves by which fine coefficients are weaker on JPEG's grid than beside it; near 0 without JPEG.
        resolution: log2 of the root of its pixels.
        aspect: log2 of width over height.
        border: share of the outermost pixels where something is cut, 0 to 1.
        grain: deviation in levels (of 255) of the noise in each channel that the flattest places look grainy by.
        red, blue: log2 of red and of blue over green in the brightest tenth.
    """

    blur: float
    jpeg: float
    resolution: float
    aspect: float
    border: float
    grain: float
    red: float
    blue: float


def measure(pixels: np.ndarray) -> Quality:
    """Of uint8 [H, W, 3], 16 pixels a side at least."""
    height, width = pixels.shape[:2]
    part = middle(pixels, CROP)
    light = lab_of(part)[..., 0]
    luma = part @ np.array([0.299, 0.587, 0.114], np.float32)
    top, left = max(0, (height - CROP) // 2), max(0, (width - CROP) // 2)
    red, blue = _cast(pixels)
    return Quality(
        blur=_blur(light), jpeg=_jpeg(luma[-top % 8 :, -left % 8 :]), resolution=math.log2(height * width) / 2,
        aspect=math.log2(width / height), border=_border(pixels), grain=_grain(luma), red=red, blue=blue,
    )  # fmt: skip


def _blur(light: np.ndarray) -> float:
    contrast = ndimage.maximum_filter(light, _WINDOW) - ndimage.minimum_filter(light, _WINDOW)
    steep = np.maximum(
        np.abs(np.diff(light, axis=0, append=light[-1:])), np.abs(np.diff(light, axis=1, append=light[:, -1:]))
    )
    edges = (contrast > _EDGE) & (steep >= ndimage.maximum_filter(steep, 5)) & (steep > 0.5)
    if edges.sum() < 8:
        return 0.0
    width = contrast[edges] / (steep[edges] * math.sqrt(2 * math.pi))
    return float(np.percentile(width, 20))


def _jpeg(luma: np.ndarray) -> float:
    """Arguments: float32 [H, W] whose corner lies on the file's grid of 8 x 8."""
    aligned, moved = _high_frequencies(luma), _high_frequencies(luma[4:, 4:])
    if aligned is None or moved is None:
        return 0.0
    return moved - aligned


def _high_frequencies(luma: np.ndarray) -> float | None:
    """Mean log2 size of fine coefficients in the blocks with content; sizes from that of JPEG's rounding on."""
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    if rows * columns < 4:
        return None
    blocks = luma[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).swapaxes(1, 2)  # [rows, columns, 8, 8]
    busy = np.ptp(blocks, axis=(2, 3)) > 4
    if busy.sum() < 4:
        return None
    return float(np.log2(np.abs(fft.dctn(blocks[busy], axes=(1, 2), norm="ortho")[:, _HIGH]) + 0.3).mean())


def _grain(luma: np.ndarray) -> float:
    noise = np.abs(ndimage.convolve(luma, _GRAIN))
    size = 8 * (noise.shape[0] // 8), 8 * (noise.shape[1] // 8)
    blocks = noise[: size[0], : size[1]].reshape(size[0] // 8, 8, -1, 8).mean((1, 3))
    level = luma[: size[0], : size[1]].reshape(size[0] // 8, 8, -1, 8).mean((1, 3))
    inner = blocks[(level > 6) & (level < 250)]  # black and white are clipped
    least = np.percentile(inner if len(inner) > 3 else blocks, _FLATTEST)
    return float(math.sqrt(math.pi / 2) * least / _SHOWN)


def _border(pixels: np.ndarray) -> float:
    """Colors along the four edges that differ from their edge's commonest by more than 24 levels."""
    edges = [pixels[1], pixels[-2], pixels[:, 1], pixels[:, -2]]
    away = [np.abs(edge - np.median(edge, axis=0)).max(-1) > 24 for edge in edges]
    return float(np.concatenate(away).mean())


def _cast(pixels: np.ndarray) -> tuple[float, float]:
    step = max(1, int(math.sqrt(pixels.shape[0] * pixels.shape[1]) / 256))
    flat = pixels[::step, ::step].reshape(-1, 3).astype(np.float32)
    light = flat @ np.array([0.299, 0.587, 0.114], np.float32)
    red, green, blue = flat[light >= np.percentile(light, 90)].mean(0) + 1.0
    return float(np.log2(red / green)), float(np.log2(blue / green))
