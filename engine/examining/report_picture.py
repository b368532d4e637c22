"""The report as one picture, for where a page cannot be shown.

Knows the layout. What is drawn is `figures`'.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from clavilux.examining import figures
from clavilux.files import PathLike, atomic_path
from clavilux.image import io

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec
    from PIL import Image

    from clavilux.examining.examination import Examination
    from clavilux.image.examination.classes import Classification

__all__ = ["draw"]

_WIDTH, _ROW, _CHARACTERS = 8.0, 2.9, 96
_SEEN, _SMALL, _NAME = 700, 220, 19
_HEIGHTS = (1.0, 1.0, 0.62, 1.25)  # of the rows, in `_ROW`


def draw(found: Examination, path: PathLike) -> None:
    """Write a .png. ValueError and OSError as `atomic_path`."""
    from matplotlib.figure import Figure

    name = found.picture.origin.name if found.picture.origin is not None else "A picture"
    words = [
        *textwrap.wrap(found.says, _CHARACTERS),
        *textwrap.wrap(_confounds(found), _CHARACTERS),
        "It does not say who made the picture, nor that it is authentic or forged.",
    ]
    rows = 1 if found.explained else 4 if found.classification is not None else 3
    top = 0.85 + 0.2 * len(words)
    height = top + sum(_HEIGHTS[:rows]) * _ROW
    figure = Figure(figsize=(_WIDTH, height))
    figure.text(0.04, 1 - 0.3 / height, f"{name}, examined", fontsize=15, va="center")
    figure.text(0.04, 1 - 0.5 / height, "\n".join(words), fontsize=9.5, va="top", linespacing=1.35)
    cells = figure.add_gridspec(
        rows, 10, left=0.09, right=0.97, top=1 - top / height, bottom=(0.45 if rows < 4 else 1.0) / height,
        hspace=0.42, wspace=0.5, height_ratios=_HEIGHTS[:rows],
    )  # fmt: skip
    pixels = found.picture.pixels.numpy()
    _image(figure.add_subplot(cells[0, :5]), figures.thumbnail(pixels, _SEEN), "the picture")
    if not found.explained:
        heat = figures.overlaid(pixels, found.unlike, _SEEN)
        _image(figure.add_subplot(cells[0, 5:]), heat, "red: unlike the references")
        _plots(found, figure, cells)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _plots(found: Examination, figure: Figure, grid: GridSpec) -> None:
    if found.enough:
        figures.show_score(found, figure.add_subplot(grid[1, :4]))
    figures.show_shares(found, figure.add_subplot(grid[1, 6:]))
    for place, each in enumerate(found.nearest):
        small = figures.framed(io.read(each.path).pixels, _SMALL)
        words = f"{_short(each.path.name)}\n({each.distance:.2f})"
        _image(figure.add_subplot(grid[2, 2 * place : 2 * place + 2]), small, words)
    if found.classification is not None:
        _folders(found.classification, figure, grid)


def _folders(found: Classification, figure: Figure, grid: GridSpec) -> None:
    places, confusion = figure.add_subplot(grid[3, :5]), figure.add_subplot(grid[3, 7:])
    figures.show_places(found, places)
    places.set_title(f"most like: {found.best}, {found.likeness[found.best]:.0%}", fontsize=9)
    figures.show_confusion(found, confusion)
    own = f"works of (rows) taken for (columns):\n{found.right:.0%} right, {1 / len(found.names):.0%} by guessing"
    confusion.set_title(own, fontsize=9)


def _confounds(found: Examination) -> str:
    if not found.confounds:
        return "No blur, JPEG, other resolution, crop, grain or color cast sets it apart."
    return "Confounds: " + "; ".join(each.sentence for each in found.confounds) + "."


def _short(name: str) -> str:
    """At most `_NAME` letters, cut in the middle."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 10]}…{name[-9:]}"


def _image(axes: Axes, picture: Image.Image, title: str) -> None:
    axes.imshow(np.asarray(picture))
    axes.set_title(title, fontsize=8)
    axes.set(xticks=[], yticks=[])
