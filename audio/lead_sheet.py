"""Lead sheets: what a song is before anybody plays it, that is sections of bars with chords, and a melody.

Knows bars, chords and times in quarters. Does not know who plays, how a sheet is written as text, or sound.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notes import NOTE_FIELDS
from clavilux.audio.score import Events, Score, bar_quarters

DYNAMICS = ("ppp", "pp", "p", "mp", "mf", "f", "ff", "fff")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class SheetBar:
    """A bar.

    Attributes:
        metre: (numerator, denominator).
        chords: (quarters from the bar's start, chord), the times rising; () where the chord before goes on.

    Raises:
        ValueError: a metre that there is not, or a chord outside the bar or out of order.
    """

    metre: tuple[int, int] = (4, 4)
    chords: tuple[tuple[float, Chord], ...] = ()

    def __post_init__(self) -> None:
        numerator, denominator = self.metre
        if numerator < 1 or denominator not in (1, 2, 4, 8, 16, 32, 64):
            raise ValueError(f"A metre must be like 3/4 or 6/8, not {numerator}/{denominator}.")
        times = [time for time, _ in self.chords]
        if times and not (times[0] >= 0 and times[-1] < self.quarters):
            raise ValueError(f"The chords of a bar must begin within its {self.quarters:g} quarters, not at {times}.")
        if any(a >= b for a, b in itertools.pairwise(times)):
            raise ValueError(f"The chords of a bar must follow one another, not begin at {times}.")

    @property
    def quarters(self) -> float:
        return bar_quarters(self.metre)


def labelled(name: str, varied: bool) -> str:
    """The name of a section, with a prime where it returns varied: "A'"."""
    return f"{name}'" if varied else name


@dataclass(frozen=True)
class SheetSection:
    """Bars that belong together.

    Attributes:
        name: "intro", "verse", "chorus", "bridge", "solo", "outro", "A", "B" and so on. Sections of one name are one
            section that returns.
        bars: at least one.
        dynamic: "ppp" to "fff"; None leaves it to who plays.
        instruments: names of those who play here; None is everybody.
        varied: it returns with other figures instead of exactly.

    Raises:
        ValueError: no bars, or an unknown dynamic.
    """

    name: str
    bars: tuple[SheetBar, ...]
    dynamic: str | None = None
    instruments: tuple[str, ...] | None = None
    varied: bool = False

    def __post_init__(self) -> None:
        if not self.bars:
            raise ValueError(f"The section {self.name!r} has no bars: it needs at least one.")
        if self.dynamic is not None and self.dynamic not in DYNAMICS:
            raise ValueError(f"Unknown dynamic {self.dynamic!r}: it must be one of {', '.join(DYNAMICS)}.")

    @property
    def label(self) -> str:
        """Its name, with a prime where it returns with other figures."""
        return labelled(self.name, self.varied)

    @property
    def quarters(self) -> float:
        return sum(bar.quarters for bar in self.bars)


@dataclass(frozen=True, eq=False)
class LeadSheet:
    """A song's form, chords and melody.

    Attributes:
        key: of the whole.
        tempo: quarters a minute.
        sections: in the order in which they are played, at least one.
        title: "" for none.
        style: the band style that it asks for, by name.
        swing: where the second of two eighths falls, as a share of their quarter: 0.5 is even, 2/3 a triplet's; None
            leaves it to the style.
        melody: `NOTE` or `PART_NOTE` records, in quarters from the sheet's start; None for none.

    Raises:
        ValueError: no sections, a tempo that is no positive number, a swing outside 0.5 to 0.75, or a melody that
            begins before the sheet or after its end.
    """

    key: Key
    tempo: float
    sections: tuple[SheetSection, ...]
    title: str = ""
    style: str | None = None
    swing: float | None = None
    melody: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not self.sections:
            raise ValueError("A lead sheet needs at least one section.")
        if not 0 < self.tempo < math.inf:
            raise ValueError(f"A tempo must be a positive number of quarters a minute, not {self.tempo}.")
        if self.swing is not None and not 0.5 <= self.swing <= 0.75:
            raise ValueError(f"A swing must be 0.5 (even) to 0.75, 2/3 being a triplet's, not {self.swing}.")
        if self.melody is not None and len(self.melody):
            first, last = self.melody["start"].min(), self.melody["start"].max()
            if not (first >= 0 and last < self.quarters):
                raise ValueError(
                    f"A melody must begin within the sheet's {self.quarters:g} quarters, not reach from {first:g} "
                    f"to {last:g}."
                )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LeadSheet):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.key, self.tempo, self.sections))

    def _facts(self) -> tuple[object, ...]:
        fields = [name for name, _ in NOTE_FIELDS]
        melody = None if self.melody is None else self.melody[fields].tolist()
        return self.key, self.tempo, self.sections, self.title, self.style, self.swing, melody

    @property
    def bars(self) -> tuple[SheetBar, ...]:
        """All bars, in the order in which they are played."""
        return tuple(bar for section in self.sections for bar in section.bars)

    @property
    def quarters(self) -> float:
        return sum(section.quarters for section in self.sections)

    @property
    def duration_s(self) -> float:
        return self.quarters * 60.0 / self.tempo

    def bar_starts(self) -> tuple[float, ...]:
        """The quarter at which each bar begins."""
        return tuple(itertools.accumulate((bar.quarters for bar in self.bars[:-1]), initial=0.0))

    def section_starts(self) -> tuple[tuple[float, str], ...]:
        """(quarter, label) of each section."""
        lengths = (section.quarters for section in self.sections[:-1])
        starts = itertools.accumulate(lengths, initial=0.0)
        return tuple((start, section.label) for start, section in zip(starts, self.sections, strict=True))

    def metres(self) -> Events[tuple[int, int]]:
        """(quarter, metre) at each change, the first at 0."""
        return _changes([(start, bar.metre) for start, bar in zip(self.bar_starts(), self.bars, strict=True)])

    def chords(self) -> Events[Chord]:
        """(quarter, chord) at each change, from the sheet's start."""
        bars = zip(self.bar_starts(), self.bars, strict=True)
        return _changes([(start + time, chord) for start, bar in bars for time, chord in bar.chords])

    def score(self) -> Score:
        """The melody alone as a score, with the sheet's chords, metres, tempo and key."""
        notes = np.empty(0, [*NOTE_FIELDS]) if self.melody is None else self.melody
        return Score(
            notes, ((0.0, self.tempo),), self.metres(), self.key, self.chords(), self.quarters,
            sections=self.section_starts(),
        )  # fmt: skip


def _changes(events: list[tuple[float, _Value]]) -> Events[_Value]:
    return tuple(event for i, event in enumerate(events) if not i or events[i - 1][1] != event[1])
