"""A part, and how many of its notes sound at once where it is written for voices: a hymn's four, a keyboard's hands.

Knows pitches, and when notes begin and end, in quarters. Does not know tokens (`grammar`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from clavilux.families.aria.leaning import ENSEMBLE, Manner, Texture
from clavilux.families.aria.voice_leading import HYMNS, Leanings, VoiceLeading

SPACING = 3  # semitones between two voices
DOWN = 16  # notes after which a right hand that went down comes up again
UP = 40  # notes after which a left hand that went up comes down again; real ones may be up for as long


@dataclass(frozen=True)
class Voicing:
    """How many notes sound: at least `at_bars` where one begins with a bar, `elsewhere` in the middle of it.

    `leanings` are those of a fixed number of voices, which sound when none is missing; None for any number.
    `right` is the lowest one of a right hand: of `DOWN` notes one is as high, or the next bar begins with one that is.
    `left` is the highest one of a left hand: likewise of `UP` notes.
    """

    at_bars: int
    elsewhere: int
    leanings: Leanings | None = None
    right: int | None = None
    left: int | None = None

    @property
    def count(self) -> int:
        """How many voices there are; 0 for any number."""
        return 0 if self.leanings is None else len(self.leanings.middles)

    def moved(self, shift: int) -> Voicing:
        """The same in a key that is so many semitones higher."""
        return self if self.leanings is None else replace(self, leanings=self.leanings.moved(shift))


# Now and then two of four voices meet, or one has a rest.
HYMN = Voicing(3, 3, HYMNS)
# A composer forgets a hand, and goes on without it: one piano piece in five was a rumble from end to end, and of three
# who accompanied a singer one had no right hand and one played above the voice throughout.
KEYBOARD = Voicing(2, 0, right=57, left=60)
ACCOMPANIST = replace(KEYBOARD, at_bars=0)


@dataclass(frozen=True)
class Part:
    """One part of the ensemble: the program it is written as, its pitches (low, high) in written pitch, how many notes
    it may begin at once, whether it is a melody by itself, of what voices it is (None for any), after how many bars of
    silence it comes in again, and how its melody moves.
    """

    program: int
    low: int
    high: int
    most_notes: int
    leads: bool = False
    voicing: Voicing | None = None
    rests: int = 4
    manner: Manner = "tune"

    @property
    def is_line(self) -> bool:
        """Whether one note ends before the next one begins."""
        return self.leads or self.most_notes == 1

    def enters(self, index: int, silent: int, num_bars: int) -> bool:
        """Whether it comes in with a bar of so many, after `silent` bars without a note, this one among them."""
        return index % self.rests == min(2, self.rests - 1, num_bars - 1) and silent >= min(self.rests, index + 1)


def texture_of(parts: Sequence[Part]) -> Texture:
    """What parts are together, for their leanings."""
    if any(part.voicing is not None and part.voicing.count for part in parts):
        return "hymn"
    return "ensemble" if len(parts) >= ENSEMBLE else ""


class Voices:
    """The notes of a part that sound, and how many are missing."""

    def __init__(self, voicing: Voicing) -> None:
        self.voicing, self._fewest = voicing, voicing.at_bars
        self._at = 0.0
        self._ends: dict[int, float] = {}  # pitch -> quarter
        self._leading = VoiceLeading(voicing.leanings) if voicing.leanings is not None else None
        self._down, self._up = DOWN, 0  # notes since one of the right hand, and of the left
        self._begins_bar = True

    def move(self, quarter: float, begins_bar: bool) -> None:
        """Go on to a later time."""
        self._at, self._begins_bar = quarter, begins_bar
        self._fewest = self.voicing.at_bars if begins_bar else self.voicing.elsewhere
        if self._leading is not None:
            self._leading.hear(sorted(self._ends))
        self._ends = {pitch: end for pitch, end in self._ends.items() if end > quarter + 1e-6}

    def begin(self, pitch: int, end: float) -> None:
        """Take note of a note that begins here and ends there; one that sounds already begins anew."""
        self._ends[pitch] = end
        self._down = 0 if self.voicing.right is None or pitch >= self.voicing.right else self._down + 1
        self._up = 0 if self.voicing.left is None or pitch <= self.voicing.left else self._up + 1

    @property
    def missing(self) -> int:
        """How many have to begin here."""
        return max(int(self._comes_up), self._fewest - len(self._ends))

    def are_full(self, quarter: float) -> bool:
        """Whether all sound at a time to come, so that none may begin."""
        return 0 < self.voicing.count <= sum(end > quarter + 1e-6 for end in self._ends.values())

    @property
    def leaning(self) -> dict[int, float]:
        """Nats to add to the logits of pitches of a voice that begins (`voice_leading`)."""
        return {} if self._leading is None else self._leading.leaning(sorted(self._ends), self._begins_bar)

    @property
    def _comes_up(self) -> bool:
        """Whether a right hand that was down begins here."""
        return self._begins_bar and self.voicing.right is not None and self._down >= DOWN

    def lowest(self, low: int) -> int:
        """The lowest pitch from `low` on of the next note."""
        right = self.voicing.right
        return max(low, right) if right is not None and self._comes_up and self.missing == 1 else low

    @property
    def until(self) -> float:
        """The quarter up to which enough of them sound for the middle of a bar."""
        fewest = self.voicing.elsewhere
        if not fewest:
            return math.inf
        return sorted(self._ends.values())[-fewest] if len(self._ends) >= fewest else self._at

    def highest(self, high: int, room: int = 0) -> int:
        """The highest pitch up to `high` of the next note: the voices that are missing above it have room, and `room`
        more semitones. Chords grow from below; without this a composer that has begun too high piles up seconds to fill
        them.
        """
        left = self.voicing.left
        if left is not None and self._begins_bar and self._up >= UP:
            return min(high, left)
        return high - (SPACING * (self.missing - 1) + room if self.missing > 1 else 0)
