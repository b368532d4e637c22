"""What the 26 built-in styles are called: by what is seen, since their file only numbers them.

Knows names, and which of them a few words mean. Does not know networks.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from clavilux.checks import short


class Style(NamedTuple):
    """One of the 26: its name, and what is seen on it."""

    name: str
    words: str


STYLES = (  # in the order of the network's tables
    Style("amber-haze", "soft ochre and pale blue on canvas"),
    Style("yellow-ink", "thick black lines, fields of yellow on white"),
    Style("charcoal", "charcoal strokes over pale peach and grey"),
    Style("wild-strokes", "short thick strokes of blue, red, gold and black; little of the picture is left"),
    Style("crimson-poster", "flat crimson, orange and light blue"),
    Style("rust-and-violet", "slanting brush strokes in rust, violet and black"),
    Style("spotted-night", "dim violet with dark dots; a ghost of the picture"),
    Style("primary-colors", "glowing yellow, blue and red, melting into black"),
    Style("color-pencil", "pencil on white paper: pink, teal, yellow"),
    Style("mosaic", "teal and red pebbles with white between them"),
    Style("copper", "copper plate: orange brown and near black"),
    Style("gold-etching", "brown etched lines on gold and cream"),
    Style("soft-pastel", "blurred pastel in yellow and lilac"),
    Style("lime-and-teal", "lime green, teal and red with light outlines"),
    Style("sea-mist", "pale teal and pink, in fine lines"),
    Style("stained-glass", "small pale panes with thin dark leading"),
    Style("blue-crayon", "slanting crayon in blue, violet and olive"),
    Style("woven-bars", "a weave of red, orange and blue bars; nearly nothing of the picture is left"),
    Style("carved-wood", "relief cut into light wood"),
    Style("starry-night", "short curved strokes in blue and yellow, like a starry night of 1889"),
    Style("ember", "glowing red over black and blue"),
    Style("pop-art", "flat sky blue, pink and cream with black brush lines"),
    Style("brush-and-ink", "black brush lines on grey blue, spots of red"),
    Style("tinted-photo", "an old photograph, dark and tinted by hand"),
    Style("wave-print", "navy and teal on cream, like a print of a wave"),
    Style("impasto", "thick broken strokes of blue, orange and black"),
)
NAMES = tuple(style.name for style in STYLES)
DEFAULT = "starry-night"
# What people say for some of them.
_ALSO = {
    "van gogh": "starry-night", "vangogh": "starry-night", "hokusai": "wave-print", "great wave": "wave-print",
    "sketch": "charcoal", "etching": "gold-etching", "pencil": "color-pencil", "crayon": "blue-crayon",
    "pastel": "soft-pastel", "comic": "pop-art", "oil": "impasto", "wood": "carved-wood", "glass": "stained-glass",
    "coloured pencil": "color-pencil", "colored pencil": "color-pencil", "primary colours": "primary-colors",
}  # fmt: skip
_SURE = 0.75  # likeness of two spellings from which on one is meant


def find(text: str) -> int:
    """The number of the style that a few words mean: its name, the words of it in any order, or a near spelling.

    Raises:
        ValueError: none is meant, or several could be; the names are listed.
    """
    asked = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    if asked in _ALSO:
        return NAMES.index(_ALSO[asked])
    spoken = [name.replace("-", " ") for name in NAMES]
    if asked in spoken:
        return spoken.index(asked)
    words = set(asked.split())
    holding = [number for number, name in enumerate(spoken) if words and words <= set(name.split())]
    if len(holding) > 1:
        raise ValueError(f"{short(text)} could be {' or '.join(NAMES[number] for number in holding)}; say which")
    if holding:
        return holding[0]
    near = difflib.get_close_matches(asked, [*spoken, *_ALSO], 1, _SURE)
    if near:
        return NAMES.index(_ALSO[near[0]]) if near[0] in _ALSO else spoken.index(near[0])
    raise ValueError(f"there is no style {short(text)}; there are {', '.join(NAMES)}")


def weighted(text: str) -> tuple[str, float]:
    """A name and its weight: of "a.png:2" ("a.png", 2.0).

    The weight is 1.0 without a number behind a colon, and where a file has all of it as its name.
    """
    name, colon, number = text.rpartition(":")
    try:
        weight = float(number)
    except ValueError:
        return text, 1.0
    return (text, 1.0) if not colon or Path(text).exists() else (name, weight)


def mixture(weights: Sequence[float], what: str) -> list[float]:
    """Shares that add up to 1.

    Raises:
        ValueError: a weight is no number from 0 on, or all are 0.
    """
    for weight in weights:
        if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0 <= weight < math.inf:
            raise ValueError(f"the weight of {what} is {short(weight)}; it should be a number from 0")
    if not (total := sum(weights)):
        raise ValueError(f"all weights of {what} are 0; give one of them more")
    return [weight / total for weight in weights]
