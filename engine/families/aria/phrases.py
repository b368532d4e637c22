"""How the bars of a phrase follow from each other and how high they lie, as parts of eight bars of real pieces have it.

`phrases.txt` holds for each kind of music parts that were drawn at random from the pieces that aria learned from, those
that begin a piece and later ones; in each, what a bar has of those before it, and the mean pitch of its melody.
"1 2 1-1 4 1' 6 7 8 | 70 72 68 …": bar 3 is bar 1 a step of the scale lower, bar 5 has its rhythm, the others are new.
Knows no seeds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

BARS = 8  # of a part
_BAR = re.compile(r"(\d)('|[+-]\d)?")


@dataclass(frozen=True)
class PhraseBar:
    """What a bar of a part has of one up to it.

    Attributes:
        number: of that bar in the part, from 0; its own where it is new.
        steps: of the scale by which its notes lie higher, 0 where the two are the same; None for its rhythm alone.
    """

    number: int
    steps: int | None = 0


class Phrases(NamedTuple):
    """(weight, phrase) of parts that begin a piece, and of later ones; () of these for the same."""

    first: tuple[tuple[float, str], ...] = ()
    later: tuple[tuple[float, str], ...] = ()


def read_phrase(text: str) -> list[PhraseBar]:
    """What each of the bars has: "12341278", or with signs, as the head of this file says."""
    bars = text.partition("|")[0]
    return [PhraseBar(int(n) - 1, None if how == "'" else int(how or 0)) for n, how in _BAR.findall(bars)]


def read_heights(text: str) -> list[int]:
    """The mean pitch of the melody in each of the bars; [] where the text does not say it."""
    return [int(pitch) for pitch in text.partition("|")[2].split()]


def counted(*kinds: str, signs: str = "'+-") -> Phrases:
    """The phrases of kinds of music; bars that take up another one by other signs than these count as new."""

    def named(suffix: str) -> tuple[tuple[float, str], ...]:
        return tuple((1.0, _with(phrase, signs)) for kind in kinds for phrase in _counted()[kind + suffix])

    return Phrases(named(""), named(", later"))


def _with(phrase: str, signs: str) -> str:
    bars, _, heights = phrase.partition(" | ")
    kept = [bar if bar[1:2] in signs else str(number) for number, bar in enumerate(bars.split(), 1)]
    return f"{' '.join(kept)} | {heights}"


@cache
def _counted() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "phrases.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, phrase = line.split(": ")
            found.setdefault(kind, []).append(phrase)
    return found
