"""How a piece ends: where its last notes begin, and that the melody's is the root of the last chord.

Knows pitches and positions of one bar. Does not know tokens or frames (`grammar`, `frame_grammar`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clavilux.families.aria.form import Bar

RECENT, THIRD, FIFTH = 4, 4, 7  # onsets, semitones


@dataclass(frozen=True)
class Ending:
    """The end of a last bar.

    Attributes:
        at: the position, in steps of the grammar, at which a note of every part begins that lasts to the end.
        root: pitch class of the last chord's root; None where no chord is planned.
        lead: the part whose highest note there is that root, as the grammar names parts.
    """

    at: int
    root: int | None
    lead: int

    @classmethod
    def of(cls, bar: Bar, in_quarter: int, lead: int) -> Ending | None:
        """That of a bar of which a quarter has so many steps; None where the composer ends it as it likes."""
        if bar.final is None:
            return None
        changes = [quarter for quarter, _ in bar.chords or ()]
        root = bar.chords[-1][1].root if bar.chords else None
        return cls(round(max([bar.final, *changes]) * in_quarter), root, lead)

    def pitches(self, pitches: Sequence[int], begun: int, more: int, fewest: int = 0) -> list[int]:
        """Of ascending pitches of the lead's next note those after which its highest can be the root.

        `begun` are the notes that it has there, `more` those that it may begin above this one, `fewest` those that it
        has to begin, this one among them. Where no root is among the pitches, the first note may be any of them.
        """
        roots = [pitch for pitch in pitches if pitch % 12 == self.root]
        if not roots:
            return [] if begun else list(pitches)
        below = [pitch for pitch in pitches if pitch < roots[-1]]
        if fewest == 1 or (fewest > 1 and below):
            return roots if fewest == 1 else below
        return [pitch for pitch in pitches if pitch % 12 == self.root or (more > 0 and pitch < roots[-1])]

    @staticmethod
    def highest(tops: Sequence[int], low: int, high: int, voices: bool) -> int:
        """The highest pitch up to `high` of a part's last notes: a fifth above the highest of its last onsets, of
        `voices` a third above the last one, and nearly an octave above `low` in any case, which has the root.
        """
        reach = tops[-1] + THIRD if voices and tops else max(tops[-RECENT:], default=high) + FIFTH
        return min(high, max(reach, low + 11))

    def is_whole(self, tops: Sequence[int]) -> bool:
        """Whether the last of a melody's notes is the root, and no more than a fifth below the one before."""
        return bool(tops) and tops[-1] % 12 == self.root and tops[-1] >= (tops[-2:-1] or tops[-1:])[0] - FIFTH

    def goes_on(self, tops: Sequence[int], high: int, voices: bool) -> bool:
        """Whether the lead has to begin another note above its last one: a root, which it can reach; of `voices` that
        have room for it one near the note before.
        """
        done = self.is_whole(tops) if voices else tops[-1] % 12 == self.root
        return not done and any(above % 12 == self.root for above in range(tops[-1] + 1, high + 1))
