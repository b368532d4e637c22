"""Confounds: what sets a picture apart from others although it says nothing of who made it.

Brushwork that was told apart by computers has more than once been sharpness of the photographs, so these are looked
for first. A confound is found where the picture lies beyond nearly all references in a measure of quality, by more than
a copy usually costs; it explains a difference where the difference is gone once the references are made alike.

Knows qualities and pixels. Does not know the measurements of a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from clavilux.image.examination import copies
from clavilux.image.examination.quality import Quality, measure

__all__ = ["NAMES", "Confound", "find", "made_alike"]

NAMES = ("blur", "jpeg", "resolution", "crop", "scan", "cast")
_BEYOND = 0.025  # share of the references that may be as far out as the picture
_QUALITIES = (92, 80, 65, 50, 35, 20)  # of JPEG, that are tried
_KEPT = (0.9, 0.8, 0.7, 0.6, 0.5)  # of each side, when a crop's size is looked for
_TRIED = 6  # references that these are tried on
_LEAST = {"blur": 0.35, "jpeg": 0.15, "resolution": 0.4, "aspect": 0.3, "border": 0.15, "scan": 1.6, "cast": 0.05}


class Confound(NamedTuple):
    """One that was found.

    Attributes:
        name: one of `NAMES`.
        size: in `unit`.
        unit: of the size.
        sentence: what was found, for a reader.
        kept: of a crop by its border, the share of each side that is left; else 1.
    """

    name: str
    size: float
    unit: str
    sentence: str
    kept: float = 1.0


def find(
    here: Quality, others: Sequence[Quality], pixels_of: Callable[[int], np.ndarray]
) -> tuple[list[Confound], list[Quality]]:
    """Those of a picture among references, in the order of `NAMES`, and the qualities that they were found by.

    Sharpness, grain and JPEG change with the size. So where a picture has another resolution, the references are
    brought to it, and what else is found is found by their qualities there.

    Args:
        here: the picture's.
        others: the references'.
        pixels_of: number of a reference -> uint8 [H, W, 3]; a few are read where a size has to be tried out.
    """
    table = np.array(others)
    resolution = _resolution(here, Quality(*np.median(table, 0)), table[:, Quality._fields.index("resolution")])
    if resolution is not None:
        read, pixels_of = pixels_of, lambda number: _resized(read(number), here.resolution)
        others = [measure(pixels_of(number)) for number in range(len(others))]
    table = np.array(others)  # [N, 8]
    usual = Quality(*np.median(table, 0))
    column = {name: table[:, number] for number, name in enumerate(Quality._fields)}
    found = [
        _blur(here, usual, column["blur"]),
        _jpeg(here, usual, column["jpeg"], pixels_of),
        resolution,
        _crop(here, usual, column, pixels_of),
        _scan(here, usual, column["grain"]),
        _cast(here, usual, column),
    ]
    return [each for each in found if each is not None], list(others)


def _resized(pixels: np.ndarray, resolution: float) -> np.ndarray:
    return copies.resized(pixels, 2 ** (resolution - math.log2(pixels.shape[0] * pixels.shape[1]) / 2))


def made_alike(
    pixels: np.ndarray, own: Quality, here: Quality, usual: Quality, found: Sequence[Confound]
) -> np.ndarray:
    """A reference as it would look with the confounds of the picture: uint8 [H', W', 3].

    Args:
        pixels: of the reference, uint8 [H, W, 3].
        own: its quality, as `find` gave it back.
        here: the picture's.
        usual: the median of those of all references.
        found: what to imitate, in the order in which copies are made.
    """
    by_name = {each.name: each for each in found}
    if crop := by_name.get("crop"):
        pixels = copies.cropped(pixels, crop.kept, 2**here.aspect if crop.kept == 1 else None)
    if "resolution" in by_name:
        pixels = _resized(pixels, here.resolution)
    if "cast" in by_name:
        pixels = copies.tinted(pixels, here.red - usual.red, here.blue - usual.blue)
    if "blur" in by_name and here.blur > own.blur:
        pixels = copies.blurred(pixels, math.sqrt(here.blur**2 - own.blur**2))
    if "scan" in by_name and here.grain > own.grain:
        pixels = copies.grainy(pixels, math.sqrt(here.grain**2 - own.grain**2))
    if jpeg := by_name.get("jpeg"):
        pixels = copies.recompressed(pixels, round(jpeg.size))
    return pixels


def _is_beyond(value: float, others: np.ndarray) -> bool:
    return int((others >= value).sum()) <= _BEYOND * len(others)


def _blur(here: Quality, usual: Quality, others: np.ndarray) -> Confound | None:
    size = math.sqrt(max(0.0, here.blur**2 - usual.blur**2))
    if size < _LEAST["blur"] or not _is_beyond(here.blur, others):
        return None
    return Confound("blur", size, "px", f"it is blurred by about {size:.1f} pixels more than the references are")


def _jpeg(here: Quality, usual: Quality, others: np.ndarray, pixels_of: Callable[[int], np.ndarray]) -> Confound | None:
    if here.jpeg - max(0.0, usual.jpeg) < _LEAST["jpeg"] or not _is_beyond(here.jpeg, others):
        return None
    tried = [pixels_of(number) for number in _some(others)]  # read once, compressed at each quality
    levels = [
        float(np.median([measure(copies.recompressed(pixels, quality)).jpeg for pixels in tried]))
        for quality in _QUALITIES
    ]
    size = _QUALITIES[int(np.argmin(np.abs(np.array(levels) - here.jpeg)))]
    return Confound(
        "jpeg", size, "quality", f"it was compressed as JPEG more than the references were, to about quality {size}"
    )


def _resolution(here: Quality, usual: Quality, others: np.ndarray) -> Confound | None:
    apart = here.resolution - usual.resolution
    sign = 1 if apart > 0 else -1
    if abs(apart) < _LEAST["resolution"] or not _is_beyond(sign * here.resolution, sign * others):
        return None
    size = float(2**apart)
    words = f"{size:.1f} times as large" if size > 1 else f"only {size:.2f} times as large"
    return Confound("resolution", size, "times", f"a side of it is {words} as those of the references, in pixels")


def _crop(
    here: Quality, usual: Quality, column: dict[str, np.ndarray], pixels_of: Callable[[int], np.ndarray]
) -> Confound | None:
    more = here.border - usual.border
    if more >= _LEAST["border"] and _is_beyond(here.border, column["border"]):
        kept = _KEPT[-1]
        tried = [pixels_of(number) for number in _some(column["border"])]
        for share in _KEPT:
            cut = [measure(copies.cropped(pixels, share)).border for pixels in tried]
            if np.median(cut) >= here.border:
                kept = share
                break
        words = f"it looks cut out: its content runs over {here.border:.0%} of the border, {usual.border:.0%} are usual"
        return Confound("crop", 1 - kept, "of a side", words, kept)
    apart = here.aspect - usual.aspect
    sign = 1 if apart > 0 else -1
    if abs(apart) < _LEAST["aspect"] or not _is_beyond(sign * here.aspect, sign * column["aspect"]):
        return None
    what = "wide" if sign > 0 else "tall"
    return Confound("crop", 1 - 2 ** -abs(apart), "of a side", f"it is more {what} than the references are")


def _scan(here: Quality, usual: Quality, others: np.ndarray) -> Confound | None:
    size = math.sqrt(max(0.0, here.grain**2 - usual.grain**2))
    if size < _LEAST["scan"] or not _is_beyond(here.grain, others):
        return None
    return Confound(
        "scan", size, "levels",
        f"it has the grain of a scan or photograph, {size:.1f} levels more than the references have",
    )  # fmt: skip


def _cast(here: Quality, usual: Quality, column: dict[str, np.ndarray]) -> Confound | None:
    size = math.hypot(here.red - usual.red, here.blue - usual.blue)
    others = np.hypot(column["red"] - usual.red, column["blue"] - usual.blue)
    if size < _LEAST["cast"] or not _is_beyond(size, others):
        return None
    red, blue = here.red - usual.red, here.blue - usual.blue
    color = "yellow" if blue < 0 and red > blue / 2 else "red" if red > 0 else "blue" if blue > 0 else "green"
    return Confound(
        "cast", float(size), "octaves", f"its brightest parts are more {color} than those of the references"
    )


def _some(others: np.ndarray) -> list[int]:
    return sorted({round(each) for each in np.linspace(0, len(others) - 1, _TRIED)})
