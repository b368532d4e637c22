"""The pictures of a report: the map of what is unlike, thumbnails, where the score lies, the folders in their order.

Knows arrays and pictures; draws with matplotlib. Does not know how a page is laid out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clavilux.examining.examination import Examination
    from clavilux.image.examination.classes import Classification

__all__ = [
    "by_time", "encoded", "framed", "overlaid", "plotted", "show_confusion", "show_places", "show_score", "show_shares",
    "thumbnail",
]  # fmt: skip

_WARM = np.array([214, 64, 32], np.float64)
_INK, _SOFT, _MARK = "#222222", "#8a8577", "#c2401f"
_LETTERS = 40  # of all names that stand in a line under a plot
_FROM = 0.5  # unlikeness from which a cell is tinted: half of all cells of the references are below


def thumbnail(pixels: np.ndarray, longest: int) -> Image.Image:
    """Small, its shape kept; never enlarged.

    Args:
        pixels: uint8 [H, W, 3].
        longest: pixels of its longer side at most.
    """
    found = Image.fromarray(pixels)
    found.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return found


def framed(pixels: np.ndarray, side: int) -> Image.Image:
    """A thumbnail in the middle of a white square of `side` pixels, so that several stand in a row."""
    small = thumbnail(pixels, side)
    square = Image.new("RGB", (side, side), "white")
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def overlaid(pixels: np.ndarray, unlike: np.ndarray, longest: int) -> Image.Image:
    """The picture in gray, red where its cells are unlike those of the references.

    Args:
        pixels: uint8 [H, W, 3].
        unlike: float [8, 8], 0 to 1.
        longest: pixels of its longer side at most.
    """
    small = thumbnail(pixels, longest)
    gray = np.asarray(small.convert("L"), np.float64)[..., None] * 0.6 + 100
    heat = Image.fromarray(np.float32(np.clip((unlike - _FROM) / (1 - _FROM), 0, 1)))
    share = np.asarray(heat.resize(small.size, Image.Resampling.BICUBIC)).clip(0, 1)[..., None] * 0.8
    return Image.fromarray(np.clip(gray * (1 - share) + _WARM * share, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, ending: str = ".jpg") -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG" if ending == ".jpg" else "PNG", **({"quality": 88} if ending == ".jpg" else {}))
    return buffer.getvalue()


def plotted(draw: Callable[[Axes], None], width: float, height: float) -> str:
    """An SVG of one plot, `width` x `height` inches, without a fixed size: a page scales it."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    draw(figure.subplots())
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "clavilux", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})  # a page may be dark
    text = buffer.getvalue()
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text[text.index("<svg") :])
    )


def show_score(found: Examination, axes: Axes) -> None:
    """The references' scores as a histogram, the picture's as a line."""
    others = found.comparison.others
    axes.hist(others, bins=max(5, min(20, len(others) // 4)), color="#b9b3a2")
    axes.axvline(found.comparison.score, color=_MARK, lw=2.5)
    most = axes.get_ylim()[1]
    axes.set_ylim(0, 1.2 * most)  # the words stand above the bars
    axes.text(found.comparison.score, 1.19 * most, "the picture  ", color=_MARK, ha="right", va="top", fontsize=9)
    axes.set_xlim(0, max(others.max(), found.comparison.score) * 1.1)
    _finish(axes, "distance to the nearest references", "references")


def show_shares(found: Examination, axes: Axes) -> None:
    """Each group of measurements: how many times as unlike as usual."""
    from clavilux.image.examination.measurements import GROUPS

    names = sorted(found.comparison.times, key=lambda name: found.comparison.times[name])
    times = [found.comparison.times[name] for name in names]
    axes.barh(
        [GROUPS[name].title for name in names], times, color=[_MARK if each > 1.5 else "#b9b3a2" for each in times]
    )
    axes.axvline(1, color=_INK, lw=1)
    _finish(axes, "times as unlike as usual", "")


def by_time(names: tuple[str, ...]) -> list[int]:
    """The folders in the order of the years in their names, where all have one; else as they were given."""
    found = [match.group() for name in names if (match := re.search(r"(?<!\d)(1[0-9]|20)\d\d(?!\d)", name))]
    if len(found) < len(names):
        return list(range(len(names)))
    return sorted(range(len(names)), key=lambda number: int(found[number]))


def show_places(found: Classification, axes: Axes) -> None:
    """A line of time, or of folders: each work's place along what sets the folders apart most; the picture across."""
    order = by_time(found.names)
    generator = np.random.default_rng(0)
    for place, number in enumerate(order):
        values = found.places[:-1][found.owners == number]
        axes.scatter(place + generator.uniform(-0.16, 0.16, len(values)), values, s=14, color=_SOFT, alpha=0.6, lw=0)
        axes.plot([place - 0.28, place + 0.28], [np.median(values)] * 2, color=_INK, lw=1.5)
    axes.axhline(found.places[-1], color=_MARK, lw=1.2, ls="--")
    best = order.index(found.names.index(found.best))
    axes.scatter([best], [found.places[-1]], s=90, marker="D", color=_MARK, zorder=5)
    turned = 20 if sum(len(name) for name in found.names) > _LETTERS else 0
    axes.set_xticks(range(len(order)), [found.names[number] for number in order], rotation=turned)
    axes.set_xlim(-0.6, len(order) - 0.4)
    _finish(axes, "", "along what sets the folders apart")


def show_confusion(found: Classification, axes: Axes) -> None:
    """How many of each folder's works were taken for which, as a square of numbers; a row is a folder's works."""
    order = by_time(found.names)
    counts = found.confusion[np.ix_(order, order)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1.6)
    for (row, column), count in np.ndenumerate(counts):
        own = "bold" if row == column else "normal"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=9, weight=own, color=_INK)
    names = [found.names[number] for number in order]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)


def _finish(axes: Axes, across: str, up: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    axes.tick_params(labelsize=9)
