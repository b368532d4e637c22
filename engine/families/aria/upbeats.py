"""The upbeat before a tune's first bar, as the composer is told of it: nobody plays it.

Most tunes begin with one: of those that the composer has read eight jigs in ten, nine hornpipes and airs, six reels. It
stands there in a bar of its own, after rests. A piece here begins on its first beat. Without that bar before it the
composer takes the first bar for the one of the upbeat: it fills it with a long note and an upbeat, and is a bar late
with every phrase. Knows kinds of tunes and notes in the composer's key, C. Which notes and how often was counted in
O'Neill's and Ryan's collections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio.harmony import Key
from clavilux.audio.score import NOTE, Score, bar_quarters
from clavilux.families.aria.form import upbeat_quarters
from clavilux.families.aria.seeded import weighted
from clavilux.families.aria.voices import Part

if TYPE_CHECKING:
    from clavilux.families.aria.controls import Controls

KINDS = ("jig", "slip jig", "reel", "hornpipe", "strathspey", "air")
# (weight, pitches): they share its length.
_NOTES: dict[str, tuple[tuple[int, tuple[int, ...]], ...]] = {
    "major": ((8, (67,)), (3, (72, 74)), (3, (79, 77)), (3, (79,)), (2, (72,)), (2, (67, 65)), (2, (76, 74))),
    "minor": ((4, (72, 74)), (4, (67,)), (2, (75, 74)), (2, (72, 70)), (2, (79, 77)), (1, (72,))),
}


def upbeat_of(kind: str | None, controls: Controls, tempo: float, parts: Sequence[Part], seed: int) -> Score | None:
    """The bar with the upbeat of a kind's tune; None where it has none, or where the part that plays cannot have it."""
    if kind not in KINDS:
        return None
    metre, key = controls.metre, Key(0, controls.key.mode)
    pitches = weighted([(pitches, weight) for weight, pitches in _NOTES[key.mode]], seed, "upbeat")
    low, high = parts[0].low, parts[0].high
    octave = 12 if min(pitches) < low else -12 if max(pitches) > high else 0
    pitches = tuple(pitch + octave for pitch in pitches)
    if min(pitches) < low or max(pitches) > high:
        return None
    length = upbeat_quarters(metre)
    each, begin = length / len(pitches), bar_quarters(metre) - length
    rows = [(begin + i * each, each, pitch, 100, parts[0].program, False) for i, pitch in enumerate(pitches)]
    return Score(np.array(rows, NOTE), ((0.0, tempo),), ((0.0, metre),), key, ((0.0, key.home),), bar_quarters(metre))
