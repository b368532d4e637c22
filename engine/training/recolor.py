"""A picture with its main color made another, so that the painter learns colors of things that never have them.

What has the main color, in whatever shade, gets the new one; eyes, leaves, windows, outlines stay. Turning all hues,
which is simpler, leaves a gray elephant gray. Knows pixels; whether the new color is what covers most is looked at, as
a painted picture is (`seen_colors`), and a picture that does not come out so is no picture of that color.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from clavilux.families.lumia.seen_colors import NO_COLOUR, main_colours
from clavilux.families.lumia.words import COLOURS

# hue in degrees, saturation and value of the middle of a colored part, and how much of the shading is kept.
_LOOK = {
    "red": (0, 0.80, 0.85, 0.8), "orange": (27, 0.88, 0.96, 0.5), "yellow": (51, 0.85, 0.97, 0.4),
    "green": (125, 0.62, 0.66, 0.8), "blue": (214, 0.74, 0.84, 0.8), "purple": (272, 0.60, 0.70, 0.8),
    "pink": (335, 0.46, 0.97, 0.4), "brown": (24, 0.62, 0.50, 0.7), "black": (220, 0.10, 0.13, 0.25),
    "grey": (220, 0.05, 0.60, 0.7), "white": (50, 0.03, 0.95, 0.3),
}  # fmt: skip
# White things on white paper are hardly seen, and their outlines would be most of them.
TARGETS = tuple(index for index, name in enumerate(COLOURS) if name != "white")
_NEAR_HUE = 32.0  # degrees around the main hue that count as it, in lights and shadows
_GRAY = 0.20  # saturation below which there is no hue
_ENOUGH = 0.15  # of what is seen; a smaller part is not what a color is said of


def recolored(image: Image.Image, color: int) -> Image.Image | None:
    """RGBA with its main color made `COLOURS[color]`; None where that would not be what covers most."""
    pixels = np.asarray(image)
    alpha = pixels[..., 3]
    hue, saturation, value = _hsv(pixels)
    for part in _parts(hue, saturation, value, alpha > 64):
        if (part & (alpha > 128)).sum() <= _ENOUGH * (alpha > 128).sum():
            continue
        changed = _painted(pixels, part, saturation, value, _LOOK[COLOURS[color]])
        if main_colours(changed)[0] == color:
            return changed
    return None


def _parts(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray, seen: np.ndarray) -> list[np.ndarray]:
    """What may have the main color, the likeliest first: the commonest hue, the grays, all but outlines and lights."""
    colored = seen & (saturation >= _GRAY) & (value > 0.15)
    grays = seen & (saturation < _GRAY + 0.05) & (value > 0.2)
    found = []
    if colored.any():
        weight, edges = np.histogram(hue[colored], 36, (0, 360), weights=saturation[colored])
        smooth = weight + np.roll(weight, 1) + np.roll(weight, -1)
        main = edges[smooth.argmax()] + 5
        found.append(colored & (np.abs((hue - main + 180) % 360 - 180) < _NEAR_HUE))
    found.append(grays)
    found.sort(key=lambda part: -int(part.sum()))
    whole = seen & (value > 0.2) & ~((saturation < 0.1) & (value > 0.93))
    dark = seen & (value <= 0.35)
    return [*found, whole, dark, seen]


def _painted(
    pixels: np.ndarray, part: np.ndarray, saturation: np.ndarray, value: np.ndarray, look: tuple[float, ...]
) -> Image.Image:
    hue, wanted_saturation, wanted_value, kept = look
    middle = np.median(value[part])
    new_value = np.clip(wanted_value + kept * (value - middle), 0.04, 1.0)
    usual = max(float(np.median(saturation[part])), 0.05)
    ratio = np.clip(saturation / usual, 0.6, 1.25) if usual > _GRAY else np.ones_like(saturation)
    new_saturation = np.clip(wanted_saturation * ratio, 0, 1)
    hsv = np.stack([np.full_like(value, hue / 360), new_saturation, new_value], -1)
    levels = np.rint(hsv * [255.99, 255, 255]).clip(0, 255).astype(np.uint8)
    rgb = np.asarray(Image.fromarray(levels, "HSV").convert("RGB"))
    changed = pixels.copy()
    changed[part, :3] = rgb[part]
    return Image.fromarray(changed)


def _hsv(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees, saturation and value from 0 to 1, each [H, W]."""
    levels = np.asarray(Image.fromarray(pixels[..., :3]).convert("HSV")).astype(np.float64)
    return levels[..., 0] * (360 / 256), levels[..., 1] / 255, levels[..., 2] / 255


def main_color(image: Image.Image) -> int:
    """The number in `COLOURS` of what covers most, or -1."""
    found = main_colours(image)[0]
    return found if found != NO_COLOUR else -1
