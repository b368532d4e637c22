"""How the bars of a phrase follow from each other, as parts of eight bars of real pieces have it.

`phrases.txt` holds for each kind of music parts that were drawn at random from the pieces that aria learned from; in
each, what a bar has of those before it. "1 2 1-1 4 1' 6 7 8": bar 3 is bar 1 a step of the scale lower, bar 5 has its
rhythm, the others are new. Knows no seeds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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


def read_phrase(text: str) -> list[PhraseBar]:
    """What each of the bars has: "12341278", or with signs, as the head of this file says."""
    return [PhraseBar(int(n) - 1, None if how == "'" else int(how or 0)) for n, how in _BAR.findall(text)]


def counted(*kinds: str, signs: str = "'+-") -> tuple[tuple[float, str], ...]:
    """(weight, phrase) of kinds of music; bars that take up another one by other signs than these count as new."""
    return tuple((1.0, _with(phrase, signs)) for kind in kinds for phrase in _counted()[kind])


def _with(phrase: str, signs: str) -> str:
    bars = enumerate(phrase.split(), 1)
    return " ".join(bar if bar[1:2] in signs else str(number) for number, bar in bars)


@cache
def _counted() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "phrases.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, phrase = line.split(": ")
            found.setdefault(kind, []).append(phrase)
    return found
