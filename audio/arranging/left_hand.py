"""A pianist's left hand: which of a style's figures it plays in which bar, and which bars it plays as earlier ones.

Knows weights of figures, and bars by their melodies and chords. Does not know what a figure means (`figures`) or where
sections begin.

The numbers are counts of the left hands of some 400 printed dances for piano: few play one figure through a part, most
have some figures of their own that change with the bar.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from clavilux.audio.arranging.band import HOLD, REST, Pattern
from clavilux.audio.arranging.figures import Row

AGAIN = 0.8  # of bars with melody and chords of an earlier one: how many have the same left hand, and company above it
_AS_FOUR_BEFORE = (
    0.4  # of bars: how many have the figure of the bar four before, so that half phrases answer each other
)
_PHRASE = 4
_CHORD = 3  # notes of a whole chord
_LOOSE = 0.1  # the weight of a figure without a common onset, against 1 of one with the same rhythm

Hand = tuple[list[Row], list[Row]]  # what the left hand plays in a bar, what is under the melody


def tastes(patterns: Sequence[Pattern], mixed: float, rng: random.Random) -> list[float]:
    """A piece's own weights of figures, on average those of the style; the smaller `mixed` is, the fewer it has."""
    whole = sum(pattern.weight for pattern in patterns)
    own = [rng.gammavariate(mixed * pattern.weight / whole, 1) for pattern in patterns]
    return own if sum(own) > 0 else [pattern.weight for pattern in patterns]


def figure_of_bar(patterns: Sequence[Pattern], own: Sequence[float], bar: int, rng: random.Random) -> Pattern:
    """The figure that a bar of a section has; `rng` is the section's, the same in each of its bars.

    One that has the rhythm of the bar before it is likelier than others; some bars answer the one of four before. A
    section begins on its first beat, where the style has figures that do.
    """
    found: list[Pattern] = []
    begins = [weight if 0 in _strokes(each) else 0.0 for each, weight in zip(patterns, own, strict=True)]
    for at in range(bar + 1):
        weights = [
            weight * (_LOOSE + _alike(pattern, found[-1])) if found else weight
            for pattern, weight in zip(patterns, begins if at == 0 and any(begins) else own, strict=True)
        ]
        drawn, answers = rng.choices(patterns, weights)[0], rng.random() < _AS_FOUR_BEFORE
        found.append(found[at - _PHRASE] if answers and at >= _PHRASE else drawn)
    return found[bar]


@lru_cache(8192)
def _alike(one: Pattern, other: Pattern) -> float:
    """How alike the first bars of two figures are: the share of onsets that both have, of those that either has, times
    the smaller number of notes over the greater.
    """
    here, there = _strokes(one), _strokes(other)
    if not here or not there:
        return float(not here and not there)
    fewer, more = sorted(sum(strokes.values()) for strokes in (here, there))
    return len(here.keys() & there.keys()) / len(here.keys() | there.keys()) * fewer / more


def _strokes(pattern: Pattern) -> Counter[Fraction]:
    """Onsets, as shares of the bar, and how many notes are struck there."""
    found: Counter[Fraction] = Counter()
    for _, row in pattern.rows:
        for step, symbol in enumerate(row[: pattern.steps]):
            if symbol not in (REST, HOLD):
                found[Fraction(step, pattern.steps)] += _CHORD if symbol in "xXo" else 1
    return found


@dataclass
class Memory:
    """What two hands played: `places` as bars of sections, `bars` as melodies with their chords, as they came first."""

    places: dict[Hashable, tuple[Hashable, Hand]] = field(default_factory=dict)
    bars: dict[Hashable, tuple[int, Hand]] = field(default_factory=dict)

    def again(self, index: int, place: Hashable, bar: Hashable, rng: random.Random) -> Hand | None:
        """What the hands play again: in a section that returns all, of other bars `AGAIN`; None for what is new."""
        if place in self.places and self.places[place][0] == bar:
            return self.places[place][1]
        first, hand = self.bars.get(bar, (index, None))
        return hand if first < index and rng.random() < AGAIN else None

    def keep(self, index: int, place: Hashable, bar: Hashable, hand: Hand) -> None:
        self.places.setdefault(place, (bar, hand))
        self.bars.setdefault(bar, (index, hand))
