"""All measurements of a picture, in groups, each with its source and a sentence that explains it.

Knows pixels. Does not know other pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clavilux.image.examination import (
    canvas,
    detail,
    early_layers,
    palette,
    patches,
    patterns,
    quality,
    strokes,
    wavelets,
)

if TYPE_CHECKING:
    from clavilux.image.arts.features import Features

__all__ = ["GROUPS", "LEAST", "VERSION", "Group", "Measured", "measure"]

LEAST = 32  # pixels a side that a picture needs
VERSION = 2  # of the numbers; what was kept by another version is measured anew


class Group(NamedTuple):
    """Measurements that belong together.

    Attributes:
        name: a key.
        title: as a page shows it.
        sentence: what it measures, for a reader.
        source: where it is from.
        names: of its numbers.
    """

    name: str
    title: str
    sentence: str
    source: str
    names: tuple[str, ...]


GROUPS = {
    group.name: group
    for group in (
        Group(
            "wavelets", "Wavelet tails",
            "how strong fine marks of each direction and size are, and whether few strong ones stand on quiet ground",
            "Liu, Chan, Yao, arXiv 1407.0439 (the statistics; filters of our own)", wavelets.NAMES,
        ),
        Group(
            "strokes", "Strokes", "how marks run: how straight, in which directions, how wide, outlined or not",
            "structure tensor: Bigun and Granlund 1987", strokes.NAMES,
        ),
        Group(
            "palette", "Palette", "the colors: how light, how warm, how many, and how they are shared out",
            "CIELAB, CIE 1976", palette.NAMES,
        ),
        Group(
            "detail", "Contrast and detail", "how much happens at which size, and how much is flat or softly shaded",
            "Field 1987; Peli 1990", detail.NAMES,
        ),
        Group(
            "patterns", "Canvas and print", "what repeats in the finest detail: threads of a canvas, a printing screen",
            "Johnson, Hendriks, Johnson 2013", patterns.NAMES,
        ),
        Group(
            "layers", "Early layers", "what the first layers of a picture classifier answer to, on the whole",
            "Gatys, Ecker, Bethge 2016; EfficientNet-Lite0", early_layers.NAMES,
        ),
    )
}  # fmt: skip
_ON_CANVAS: dict[str, Callable[[canvas.Canvas], np.ndarray]] = {
    "wavelets": wavelets.measure, "strokes": strokes.measure, "palette": palette.measure, "detail": detail.measure,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Measured:
    """One picture in numbers.

    Attributes:
        groups: name -> float64 [n], as `Group.names`.
        quality: what may confound a comparison.
        cells: float32 [64, 10], as `patches.measure`.
        size: (width, height) in pixels.
    """

    groups: dict[str, np.ndarray]
    quality: quality.Quality
    cells: np.ndarray
    size: tuple[int, int]


def measure(pixels: np.ndarray, side: int, features: Features | None = None) -> Measured:
    """All of them.

    Args:
        pixels: uint8 [H, W, 3], `LEAST` a side at least.
        side: root of the area that it is brought to first, one of `canvas.SIDES`.
        features: Lite0, or None: then there is no group "layers".
    """
    here = canvas.Canvas(canvas.scaled(pixels, side))
    groups = {name: one(here) for name, one in _ON_CANVAS.items()}
    groups["patterns"] = patterns.measure(canvas.lab_of(patterns.middle(pixels, patterns.CROP))[..., 0])
    if features is not None:
        groups["layers"] = early_layers.measure(features, here.pixels)
    return Measured(groups, quality.measure(pixels), patches.measure(here), (pixels.shape[1], pixels.shape[0]))
