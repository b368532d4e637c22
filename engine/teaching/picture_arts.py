"""The picture in the style of another, and as layers of a classifier see it.

Knows which styles and layers are shown, and that they need the extra `arts`. Does not know how either is made
(`clavilux.arts`).
"""

from __future__ import annotations

from importlib.util import find_spec

from clavilux.arts.dream import Dreamer
from clavilux.arts.style import Styler
from clavilux.image.arts import INSTALL, LITE0, style_names, style_networks
from clavilux.image.arts.dream import DreamSpec
from clavilux.image.arts.features import layer_named
from clavilux.image.picture import Picture
from clavilux.teaching.lesson import Block, Image, Row, Section, Text, shrunk

SIDE = 320  # pixels of the longer side: each takes a second or three on a core
STYLES = ("starry-night", "charcoal")
LAYERS = (3, 9)  # an early one and a late one
_CLIMB = DreamSpec(octaves=2, iterations=10)
_NEEDED = (LITE0, style_networks.PACKAGE, "onnx")


def seen_by_others(picture: Picture, seed: int, device: str) -> Section:
    """The section; without the extra it says what is missing."""
    title = "As others would see it"
    if any(find_spec(each) is None for each in _NEEDED):
        missing = (
            f"Here the picture would stand in two other styles, and as a classifier sees it: {INSTALL} brings both."
        )
        return Section(title, (Text(missing),))
    small = _sized(picture)
    styled: list[Block] = []
    for name in STYLES:
        words = style_names.STYLES[style_names.find(name)].words
        styled.append(
            Image(f"style {name}", f"The picture in the style {name}", Styler(name, device=device)(small),
                  f"*In the style {name}*: {words}.")
        )  # fmt: skip
    dreamed: list[Block] = []
    for number in LAYERS:
        dreamer = Dreamer(number, spec=_CLIMB, device=device)
        layer = layer_named(dreamer.features, number)
        dreamed.append(
            Image(f"dream {layer.name}", f"The picture as layer {layer.name} of a classifier dreams it",
                  dreamer(small, seed), f"*What layer {number} sees*: {layer.words}.")
        )  # fmt: skip
    return Section(title, (
        Text(
            "Style is what stays when the things are taken away: colors that go together, and how marks are made. A "
            "network that learned this from paintings lays the same picture out in two other manners."
        ),
        Row(tuple(styled)),
        Text(
            "A network that tells things apart looks at a picture in layers: early ones answer to edges and stripes, "
            "late ones to eyes, fur and faces. Here the picture was changed, step by step, until one layer answers "
            "more strongly. What comes out is not in the picture; it is what that layer looks for."
        ),
        Row(tuple(dreamed)),
    ))  # fmt: skip


def _sized(picture: Picture) -> Picture:
    """Its longer side `SIDE`; a smaller one is enlarged, as the networks know no marks of a pixel's size."""
    if max(picture.width, picture.height) >= SIDE:
        return shrunk(picture, SIDE)
    factor = SIDE / max(picture.width, picture.height)
    return picture.resized(round(picture.width * factor), round(picture.height * factor))
