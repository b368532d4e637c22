"""How high a melody is to lie in each bar, as the parts of real pieces do: the second part of a tune above the first.

A composer that reads its own notes stays where it began: its second parts lay half a semitone above the first, those of
reels and jigs lie three or four higher. Knows pitches and bars. Does not know where heights come from (`phrases`) or
tokens (`leaning`).
"""

from __future__ import annotations

from collections.abc import Sequence

from clavilux.families.aria.form import Bar

NOTES = 6  # the last ones, whose mean is beside a bar's height
APART = 5.0  # semitones between the two at which a pitch as far away from the mean has one nat more or less
NEAR = 0.5  # how much of that is against pitches that are far from the mean on either side; without it melodies widen
INSIDE = 3  # semitones that the mean of all heights is inside of the range


def heights_in(bars: Sequence[Bar], low: int, high: int) -> list[int | None]:
    """The heights of bars in the octave of a range that is the nearest to their own."""
    known = [bar.height for bar in bars if bar.height is not None]
    if not known:
        return [None] * len(bars)
    mean = sum(known) / len(known)
    octaves = [k for k in range(-10, 11) if low + INSIDE <= mean + 12 * k <= high - INSIDE] or [0]
    nearest = 12 * min(octaves, key=abs)
    return [None if bar.height is None else bar.height + nearest for bar in bars]


def height_leaning(height: int, line: Sequence[int]) -> dict[int, float]:
    """Nats to add to the logits of pitches after those of a melody: the more for what is higher, the lower its last
    notes were.
    """
    last = line[-NOTES:]
    mean = sum(last) / len(last) if last else height
    away = {pitch: (pitch - mean) / APART for pitch in range(128)}
    return {pitch: (height - mean) / APART * far - NEAR * far**2 / 2 for pitch, far in away.items()}
