"""How the bars of a phrase follow from each other, how high they lie and in which rhythm, as in parts of eight bars of
real pieces.

`phrases.txt` holds for each kind of music parts that were drawn at random from the pieces that aria learned from; of
kinds whose melodies are composed alone whole pieces, by metre, part after part. In each, what a bar has of those before
it, and the mean pitch of its melody, with its rhythm where melodies are composed alone.
"1 2 1-1 4 1' 1~4 7 a8 | 70:12.6.6 72:-6.18 …": bar 3 is bar 1 a step of the scale lower, bar 5 has its rhythm, bar 6
has its notes but in the last quarter, bar 8 is bar 8 of the part that begins the piece, the others are new; bar 1 has a
quarter and two eighths, bar 2 an eighth's rest and a dotted quarter. Knows no seeds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from clavilux.families.aria.styles import Metre

BARS = 8  # of a part
QUARTERS = 4  # of a bar, in any metre
NEXT = " || "  # between the parts of a piece
FIRST = "a"  # before the number of a bar of the part that begins a piece
_NAME = re.compile(r"(.+?)(?: (\d+/\d+))?")
_RHYTHM = re.compile(r":\S+")
_BAR = re.compile(r"(a?)(\d)('|~\d+|[+-]\d)?")


@dataclass(frozen=True)
class PhraseBar:
    """What a bar of a part has of one up to it.

    Attributes:
        number: of that bar in its part, from 0; its own where it is new.
        steps: of the scale by which its notes lie higher, 0 where they do not; None for its rhythm alone.
        anew: the quarters of the bar, from 0, in which it has other notes than that one.
        in_first: that bar is in the part that begins the piece.
    """

    number: int
    steps: int | None = 0
    anew: tuple[int, ...] = ()
    in_first: bool = False

    @property
    def is_again(self) -> bool:
        """Whether it is that bar, or new."""
        return self.steps == 0 and not self.anew


class Shape(NamedTuple):
    """The melody of a bar: its mean pitch, and when its notes begin and how long they last, in twelfths of a quarter
    from the bar's start; () for any rhythm.
    """

    height: int
    rhythm: tuple[tuple[int, int], ...] = ()


class Phrases(NamedTuple):
    """(weight, the phrases of a piece one after another); by the name of their metre those that have rhythms."""

    pieces: tuple[tuple[float, tuple[str, ...]], ...] = ()
    metres: Mapping[str, Phrases] = MappingProxyType({})

    def in_metre(self, metre: Metre | None) -> Phrases:
        """Those with the rhythms of a metre; all of them without where there are none."""
        return self.metres.get(metre_name(metre), self) if metre is not None else self

    def anew(self) -> Phrases:
        """The same shapes, and no bar that takes up another one."""
        new = " ".join(map(str, range(1, BARS + 1)))
        texts = ((weight, (f"{new} | {text.partition(' | ')[2]}" for text in piece)) for weight, piece in self.pieces)
        return Phrases(tuple((weight, tuple(piece)) for weight, piece in texts))


def metre_name(metre: Metre) -> str:
    """The metre in whose phrases one finds its rhythms: "4/4" for 2/2."""
    beats, unit = metre if metre[1] != 2 else (2 * metre[0], 4)
    return f"{beats}/{unit}"


def read_phrase(text: str) -> list[PhraseBar]:
    """What each of the bars has: "12341278", or with signs, as the head of this file says."""
    return [_read_bar(*found) for found in _BAR.findall(text.partition("|")[0])]


def _read_bar(first: str, number: str, how: str) -> PhraseBar:
    steps = None if how == "'" else int(how) if how[:1] in ("+", "-") else 0
    anew = tuple(int(quarter) - 1 for quarter in how[1:]) if how[:1] == "~" else ()
    return PhraseBar(int(number) - 1, steps, anew, first == FIRST)


def read_shapes(text: str) -> list[Shape]:
    """The melody of each of the bars; [] where the text does not say it."""
    bars = (bar.partition(":") for bar in text.partition("|")[2].split())
    return [Shape(int(height), _read_rhythm(rhythm)) for height, _, rhythm in bars]


def _read_rhythm(text: str) -> tuple[tuple[int, int], ...]:
    lengths = [int(length) for length in text.split(".") if length]
    starts = accumulate(map(abs, lengths), initial=0)
    return tuple((start, length) for start, length in zip(starts, lengths, strict=False) if length > 0)


def counted(*kinds: str) -> Phrases:
    """The phrases of kinds of music."""
    metres: dict[str, list[tuple[float, tuple[str, ...]]]] = {}
    for name, pieces in _counted().items():
        named = _NAME.fullmatch(name)
        assert named is not None, "a kind, and its metre where it has one"
        if named[1] in kinds:
            metres.setdefault(named[2] or "", []).extend((1.0, tuple(piece.split(NEXT))) for piece in pieces)
    any_metre = [
        (weight, tuple(_RHYTHM.sub("", phrase) for phrase in piece))
        for pieces in metres.values()
        for weight, piece in pieces
    ]
    named_ones = {metre: Phrases(tuple(pieces)) for metre, pieces in metres.items() if metre}
    return Phrases(tuple(any_metre), MappingProxyType(named_ones))


@cache
def _counted() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "phrases.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, phrase = line.split(": ")
            found.setdefault(kind, []).append(phrase)
    return found
