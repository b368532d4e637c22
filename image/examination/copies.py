"""Copies of pictures that are worse in a known way: blurred, recompressed, resized, cropped, grainy, tinted.

Knows pixels. What is worse about a picture, and how much, is `confounds`'.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

__all__ = ["blurred", "cropped", "grainy", "recompressed", "resized", "tinted"]


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """uint8 [H, W, 3], by a Gaussian of `sigma` pixels."""
    return np.clip(np.rint(ndimage.gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0))), 0, 255).astype(
        np.uint8
    )


def recompressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Saved as JPEG of this quality (1 to 95), color at half the resolution, and read again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Each side times `factor` (bicubic), 16 pixels at least."""
    size = (max(16, round(pixels.shape[1] * factor)), max(16, round(pixels.shape[0] * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def cropped(pixels: np.ndarray, kept: float, aspect: float | None = None) -> np.ndarray:
    """The middle with this share of each side; then, of it, the largest part of this width over height."""
    height, width = (max(16, round(each * kept)) for each in pixels.shape[:2])
    if aspect is not None:
        height, width = max(16, min(height, round(width / aspect))), max(16, min(width, round(height * aspect)))
    height, width = min(height, pixels.shape[0]), min(width, pixels.shape[1])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def grainy(pixels: np.ndarray, deviation: float) -> np.ndarray:
    """With Gaussian noise of this many levels, the same for the same picture."""
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape).astype(np.float32)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def tinted(pixels: np.ndarray, red: float, blue: float) -> np.ndarray:
    """Red and blue times 2 ** these; then all three such that none gets brighter."""
    gains = np.exp2(np.array([red, 0.0, blue], np.float32))
    return np.clip(np.rint(pixels * (gains / gains.max())), 0, 255).astype(np.uint8)
