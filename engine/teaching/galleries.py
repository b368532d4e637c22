"""Small pictures in rows with words under each, as one drawing: candidates of a model, the same picture made otherwise.

Knows pictures and words. Does not know what they show.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from clavilux.html_page import data_url
from clavilux.image import io
from clavilux.image.picture import Picture
from clavilux.teaching.drawings import svg

_WIDE, _NUMBER = 720.0, 26.0  # of the drawing, left of a numbered picture
_MARK = "#b5493a"


@dataclass(frozen=True)
class Cell:
    """A picture in a gallery.

    Attributes:
        picture: of any size; its pixels stay to be seen.
        words: lines under it.
        marked: whether it has a frame.
        number: what stands left of it; "" is nothing.
    """

    picture: Picture
    words: tuple[str, ...]
    marked: bool = False
    number: str = ""


def gallery(cells: Sequence[Cell], columns: int, label: str) -> str:
    """SVG of cells row by row; where one has a number, each has the room for one."""
    room = _NUMBER if any(each.number for each in cells) else 0.0
    wide = _WIDE / columns
    side = min(wide - room - 10, 200.0)
    size = 14.0 if columns > 4 else 20.0  # of words; a drawing of few is to be read on a phone without scrolling
    line = 1.3 * size
    tall = side + line * max(len(each.words) for each in cells) + 16
    parts = []
    for place, each in enumerate(cells):
        x, y = place % columns * wide + room + 4, place // columns * tall + 4
        url = data_url(io.encode(each.picture.pixels, ".png"), ".png")
        parts.append(
            f'<image x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" href="{url}" '
            'style="image-rendering:pixelated"/>'
        )
        frame = f'stroke="{_MARK}" stroke-width="4"' if each.marked else 'stroke="currentColor" stroke-opacity=".3"'
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="none" {frame}/>')
        if each.number:
            parts.append(_words(x - 6, y + 18, each.number, "end", size, bold=True))
        parts += [
            _words(x + side / 2, y + side + line * number, words, "middle", size, bold=each.marked and number == 1)
            for number, words in enumerate(each.words, 1)
        ]
    return svg(_WIDE, tall * -(-len(cells) // columns), parts, label)


def _words(x: float, y: float, words: str, anchor: str, size: float, *, bold: bool) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="currentColor"{weight}>'
        f"{html.escape(words)}</text>"
    )
