"""What every measurement looks at: a picture at a common scale, in CIELAB, and its gradients.

Knows pixels. Does not know what is measured of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from scipy import ndimage

__all__ = ["SIDES", "Canvas", "lab_of", "linear_of", "rgb_of", "scaled"]

SIDES = (64, 96, 128, 192, 256, 320)  # roots of areas that pictures are brought to
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_TO_XYZ = np.array([
    [0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip
_FROM_XYZ = np.linalg.inv(_TO_XYZ)


def linear_of(levels: np.ndarray) -> np.ndarray:
    """sRGB 0 to 1 as linear light 0 to 1, any shape (IEC 61966-2-1)."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


_LINEAR = linear_of(np.arange(256) / 255)


def lab_of(pixels: np.ndarray) -> np.ndarray:
    """CIELAB (CIE 1976, white D65) of sRGB pixels.

    Args:
        pixels: uint8 [..., 3].

    Returns:
        float32 [..., 3]: L 0 to 100, a and b about -110 to 110.
    """
    xyz = (_LINEAR[pixels] @ _TO_XYZ.T / _WHITE).astype(np.float32)
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def rgb_of(lab: np.ndarray) -> np.ndarray:
    """sRGB of CIELAB, the inverse of `lab_of`; what no screen shows is clipped.

    Args:
        lab: float [..., 3].

    Returns:
        uint8 [..., 3].
    """
    y = (lab[..., 0] + 16) / 116
    root = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(root > 6 / 29, root**3, (116 * root - 16) * 27 / 24389) * _WHITE
    linear = np.clip(xyz @ _FROM_XYZ.T, 0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(levels * 255).astype(np.uint8)


def scaled(pixels: np.ndarray, side: int) -> np.ndarray:
    """The picture with an area of about side * side pixels, its shape kept (Lanczos).

    Args:
        pixels: uint8 [H, W, 3].
        side: root of the area wanted; each side keeps 16 pixels at least.
    """
    height, width = pixels.shape[:2]
    factor = side / math.sqrt(height * width)
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture at a scale.

    Attributes:
        pixels: uint8 [H, W, 3].
    """

    pixels: np.ndarray

    @cached_property
    def lab(self) -> np.ndarray:
        """float32 [H, W, 3]."""
        return lab_of(self.pixels)

    @property
    def light(self) -> np.ndarray:
        """float32 [H, W]: L, 0 to 100."""
        return self.lab[..., 0]

    @cached_property
    def gradient(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 [H, W] twice: L across and down, a pixel (Sobel's differences over 8)."""
        return ndimage.sobel(self.light, 1) / 8, ndimage.sobel(self.light, 0) / 8

    @cached_property
    def steepness(self) -> np.ndarray:
        """float32 [H, W]: length of the gradient."""
        return np.hypot(*self.gradient)
