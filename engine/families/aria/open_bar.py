"""A bar while it is written in note frames: what is asked of it, and what is still due in it.

Knows positions and parts of one bar. Does not know which ids may follow (`frame_grammar`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.codecs.note_frames import STEPS
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.ending import Ending
from clavilux.families.aria.form import Bar
from clavilux.families.aria.voices import Part

Frame = list[int]  # of five ids; OPEN for one that is still to be drawn


@dataclass
class OpenBar:
    """What is known of the bar that is being written; positions as in a frame's `when`.

    plan: what is asked of it.
    parts: who plays in it, by row of `WHO`.
    left: steps from its start to the end of its part of the form, over which no note is held.
    known: nothing is open in it.
    chords: those still to come, by their position.
    free: the composer may write others.
    bass: pitch class of the bass that was asked for, by position.
    ending: of a last bar, where it is planned.
    due: rows of `WHO` that begin a note there, by position.
    """

    index: int
    plan: Bar
    parts: dict[int, Part]
    left: int
    known: bool
    chords: dict[int, Frame] = field(default_factory=dict)
    free: bool = True
    bass: dict[int, int] = field(default_factory=dict)
    ending: Ending | None = None
    due: dict[int, frozenset[int]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return round(bar_quarters(self.plan.metre) * STEPS)

    @property
    def latest(self) -> int:
        """The last position at which a note may begin: what begins late in a last bar does not end with the others."""
        if self.ending is not None:
            return self.ending.at
        changes = [round(q * STEPS) for q, _ in self.plan.chords or ()]
        return max([self.length // 2, *changes]) if self.plan.section == "last" else self.length

    @property
    def lowest(self) -> int:
        """The row of the part that reaches lowest."""
        return min(self.parts, key=lambda row: self.parts[row].low)

    def leading(self, row: int, when: int) -> Ending | None:
        """The ending, where a part's notes at a position are the last of the melody."""
        return self.ending if self.ending and (row, when) == (self.ending.lead, self.ending.at) else None

    @property
    def beat(self) -> int:
        return STEPS * 4 // WRITTEN_METRES[self.plan.metre][1]
