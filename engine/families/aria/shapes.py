"""How high a melody is to lie in each bar and in which rhythm it moves, as in the parts of real pieces: the second part
of a tune lies above the first, and a mazurka has its dotted first beat.

A composer that reads its own notes stays where it began: its second parts lay half a semitone above the first, those of
reels and jigs lie three or four higher; one jig of four ran in sixteenths from end to end, and strathspeys lost their
dotted notes. Knows pitches, bars and tokens. Does not know where shapes come from (`phrases`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.families.aria.form import Bar

NOTES = 6  # the last ones, whose mean is beside a bar's height
APART = 5.0  # semitones between the two at which a pitch as far away from the mean has one nat more or less
NEAR = 0.5  # how much of that is against pitches that are far from the mean on either side; without it melodies widen
RHYTHM = 8.0  # nats for when a note begins and ends in the rhythm that a bar is to have
INSIDE = 3  # semitones that the mean of all heights is inside of the range


def heights_in(bars: Sequence[Bar], low: int, high: int) -> list[int | None]:
    """The heights of bars in the octave of a range that is the nearest to their own."""
    known = [bar.shape.height for bar in bars if bar.shape is not None]
    if not known:
        return [None] * len(bars)
    mean = sum(known) / len(known)
    octaves = [k for k in range(-10, 11) if low + INSIDE <= mean + 12 * k <= high - INSIDE] or [0]
    nearest = 12 * min(octaves, key=abs)
    return [None if bar.shape is None else bar.shape.height + nearest for bar in bars]


def height_leaning(height: int, line: Sequence[int]) -> dict[int, float]:
    """Nats to add to the logits of pitches after those of a melody: the more for what is higher, the lower its last
    notes were.
    """
    last = line[-NOTES:]
    mean = sum(last) / len(last) if last else height
    away = {pitch: (pitch - mean) / APART for pitch in range(128)}
    return {pitch: (height - mean) / APART * far - NEAR * far**2 / 2 for pitch, far in away.items()}


class Pattern:
    """The rhythm that a melody is to have in a bar.

    Args:
        tokens: the vocabulary.
        bar: the bar, which has a rhythm.
    """

    def __init__(self, tokens: ScoreTokens, bar: Bar) -> None:
        assert bar.shape is not None, "a rhythm is that of a shape"
        _, unit = WRITTEN_METRES[bar.metre]
        lengths = tokens.of_kind("Duration")
        quarters = tokens.duration_beats[lengths] * 4 / unit
        self._lengths = {
            start * unit // 4: int(lengths[np.abs(quarters - length / 12).argmin()])
            for start, length in bar.shape.rhythm
        }
        self._onsets = {start: tokens.ids[f"Position_{start}"] for start in sorted(self._lengths)}
        self._bar = tokens.ids["Bar_None"]
        self._elsewhere = [self._bar, *tokens.of_kind("Position").tolist()]

    @classmethod
    def of(cls, tokens: ScoreTokens, bar: Bar) -> Pattern | None:
        """That of a bar; None where it may have any."""
        return cls(tokens, bar) if bar.shape is not None and bar.shape.rhythm else None

    def leaning(self, position: int, last: str, begun: bool) -> dict[int, float]:
        """Nats to add to the logits of tokens at a position, after one of a kind; `begun`: a note begins there."""
        if last == "Pitch":
            return {self._lengths[position]: RHYTHM} if position in self._lengths else {}
        if position in self._lengths and not begun:
            return dict.fromkeys(self._elsewhere, -RHYTHM)
        following = next((token for start, token in self._onsets.items() if start > position), self._bar)
        return {following: RHYTHM}
