"""Which colours a picture has, by plain names: the labels of training pictures, and what a painted one came out as.

Knows pixels; does not know what was asked for.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from clavilux.families.lumia.words import COLOURS

NO_COLOUR = -1
_RED, _ORANGE, _YELLOW, _GREEN, _BLUE, _PURPLE, _PINK, _BROWN, _BLACK, _GREY, _WHITE = range(len(COLOURS))
_PAPER = 235  # what is lighter in red, green and blue is the white that pictures lie on


def main_colours(image: Image.Image) -> tuple[int, int]:
    """The numbers in `COLOURS` of the colour that covers most of a picture, and of a second one, or -1."""
    alpha = np.asarray(image.getchannel("A"))
    hsv = np.asarray(image.convert("RGB").convert("HSV"))[alpha > 128]
    if len(hsv) < 40:
        return NO_COLOUR, NO_COLOUR
    names = name_colours(hsv)
    share = np.bincount(names[names >= 0], minlength=len(COLOURS)) / len(hsv)
    # Outlines, lights and shadows are in every picture; they count where they are most of it.
    for common, most in ((_BLACK, 0.4), (_WHITE, 0.5), (_GREY, 0.35)):
        share[common] = share[common] if share[common] > most else share[common] / 3
    first, second = np.argsort(-share, kind="stable")[:2]
    if share[first] < 0.15:
        return NO_COLOUR, NO_COLOUR
    return int(first), int(second) if share[second] > 0.15 else NO_COLOUR


def name_colours(hsv: np.ndarray) -> np.ndarray:
    """uint8 [N, 3], hue, saturation and value -> int64 [N], numbers in `COLOURS`, or -1 for what has no plain name."""
    hue = hsv[:, 0] * (360 / 256)
    saturation, value = hsv[:, 1] / 255, hsv[:, 2] / 255
    edges = np.array([14, 40, 68, 165, 255, 290, 345])
    names = np.array([_RED, _ORANGE, _YELLOW, _GREEN, _BLUE, _PURPLE, _PINK, _RED])[
        np.searchsorted(edges, hue, "right")
    ]
    reddish = (names == _RED) | (names == _ORANGE) | (names == _YELLOW)
    names[(names == _PINK) & (value < 0.6)] = _PURPLE
    names[(names == _RED) & (saturation < 0.55) & (value > 0.75)] = _PINK
    names[(names == _ORANGE) & ((value < 0.7) | ((saturation < 0.65) & (value < 0.85)))] = _BROWN
    names[(names == _YELLOW) & (value < 0.55)] = _BROWN
    names[reddish & (saturation < 0.55) & (value >= 0.7) & (names != _PINK)] = NO_COLOUR  # skin, cream, sand
    grey = saturation < 0.18
    names[grey] = _GREY
    names[grey & (value > 0.85)] = _WHITE
    names[value < 0.24] = _BLACK
    return names


def on_nothing(pixels: np.ndarray) -> Image.Image:
    """RGBA of a picture on white, uint8 [H, W, 3]: what is white in it is taken for transparent."""
    image = Image.fromarray(pixels).convert("RGBA")
    image.putalpha(Image.fromarray(np.where(pixels.min(2) < _PAPER, 255, 0).astype(np.uint8)))
    return image
