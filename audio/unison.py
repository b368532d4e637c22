"""Parts of a score that play another one's notes, in unison or octaves apart: found, left out, and played again.

Knows notes. Does not know who wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clavilux.audio.notes import PART_NOTE, players_of
from clavilux.audio.score import Score

MOST_OCTAVES = 3
_FEWEST, _SHARE = 8, 0.9  # notes of a part that doubles, and how many of either part the other one has too
_TICKS = 24  # of a quarter, in which onsets are compared


@dataclass(frozen=True)
class Double:
    """A part that plays another one's notes.

    Attributes:
        program, part: of the notes that it plays.
        of: (program, part) of the notes that it follows.
        semitones: above these, a multiple of 12.
    """

    program: int
    part: int
    of: tuple[int, int]
    semitones: int


def doubles_in(score: Score) -> tuple[Double, ...]:
    """The parts that double one that comes before them in the score."""
    notes = score.notes[~score.notes["drum"]]
    leads: dict[tuple[int, int], set[tuple[int, int]]] = {}
    found = []
    for _, program, part in players_of(notes):
        own = notes[(notes["program"] == program) & (notes["part"] == part)]
        ticks = np.round(own["start"] * _TICKS).astype(np.int64)
        mine = set(zip(ticks.tolist(), own["pitch"].tolist(), strict=True))
        double = next(
            (Double(program, part, of, up) for of, theirs in leads.items() if (up := _above(mine, theirs)) is not None),
            None,
        )
        if double is None:
            leads[program, part] = mine
        else:
            found.append(double)
    return tuple(found)


def _above(mine: set[tuple[int, int]], theirs: set[tuple[int, int]]) -> int | None:
    """How many semitones above `theirs` the (tick, pitch) pairs of `mine` lie; None where they are other notes."""
    if len(mine) < _FEWEST:
        return None
    for semitones in sorted(range(-12 * MOST_OCTAVES, 12 * MOST_OCTAVES + 1, 12), key=abs):
        shared = sum((tick, pitch - semitones) in theirs for tick, pitch in mine)
        if shared >= _SHARE * max(len(mine), len(theirs)):
            return semitones
    return None


def without(score: Score, doubles: tuple[Double, ...]) -> Score:
    """The score without those parts."""
    notes = score.notes
    gone = np.zeros(len(notes), dtype=bool)
    for double in doubles:
        gone |= ~notes["drum"] & (notes["program"] == double.program) & (notes["part"] == double.part)
    return replace(score, notes=notes[~gone])


def with_doubles(notes: np.ndarray, doubles: tuple[Double, ...]) -> np.ndarray:
    """`PART_NOTE` records and those that double them."""
    found = [np.asarray(notes, PART_NOTE)]
    for double in doubles:
        program, part = double.of
        own = notes[~notes["drum"] & (notes["program"] == program) & (notes["part"] == part)].copy()
        own["program"], own["part"] = double.program, double.part
        own["pitch"] += double.semitones
        found.append(own[(own["pitch"] >= 0) & (own["pitch"] <= 127)])
    return np.concatenate(found)
