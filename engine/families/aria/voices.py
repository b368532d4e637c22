"""How many notes of a part sound at once, where it is written for voices: a hymn's four.

Knows pitches, and when notes begin and end, in quarters. Does not know tokens (`grammar`).
"""

from __future__ import annotations

from collections.abc import Sequence

TOP = 77  # the highest pitch of a hymn's melody, in C
LEAP, SPACING = 5, 3  # semitones above the highest of the last notes; between two voices
RECENT = 8  # notes


class Voices:
    """The notes of a part that sound: there should be `count` where a bar begins, and at most one less elsewhere, where
    two voices meet or one has a rest.
    """

    def __init__(self, count: int) -> None:
        self.count, self.fewest = count, count
        self._at = 0.0
        self._ends: dict[int, float] = {}  # pitch -> quarter

    def move(self, quarter: float, begins_bar: bool) -> None:
        """Go on to a later time."""
        self._at, self.fewest = quarter, self.count if begins_bar else self.count - 1
        self._ends = {pitch: end for pitch, end in self._ends.items() if end > quarter + 1e-6}

    def begin(self, pitch: int, end: float) -> None:
        """Take note of a note that begins here and ends there; one that sounds already begins anew."""
        self._ends[pitch] = end

    @property
    def missing(self) -> int:
        """How many have to begin here."""
        return max(0, self.fewest - len(self._ends))

    @property
    def until(self) -> float:
        """The quarter up to which enough of them sound for the middle of a bar."""
        ends = sorted(self._ends.values())
        return ends[1 - self.count] if len(ends) >= self.count - 1 else self._at

    def highest(self, tops: Sequence[int]) -> int:
        """The highest pitch of the next note, after the highest at each onset so far: the voices that are missing above
        it have room under where the melody may go. Chords grow from below; without this a composer that has
        begun too high piles up seconds to fill them.
        """
        melody = min(TOP, max((*tops[-RECENT:], TOP - LEAP)) + LEAP)
        return melody - SPACING * max(0, self.missing - 1)
