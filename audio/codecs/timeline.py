"""When the bars of a piece are played, who is heard in them and how loudly.

Knows bars, quarters and seconds. Does not know notes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clavilux.audio.notes import NOTE
from clavilux.audio.score import Events, Score, bar_quarters


@dataclass(frozen=True)
class Timeline:
    """The bars of a piece, from its own start.

    Attributes:
        metres: (numerator, denominator) of each bar.
        tempos: (quarter, quarters a minute) at each change, the first at 0.
        sections: (quarter, name) where a part of the form begins.
        programs: of each bar the General MIDI programs that are heard of what is written; None is all. () for all bars.
        dynamics: of each bar "ppp" to "fff"; None leaves it to the player. () for all bars.
        silence: quarters of the last bar after the notes that end the piece.
    """

    metres: tuple[tuple[int, int], ...]
    tempos: Events[float]
    sections: Events[str] = ()
    programs: tuple[frozenset[int] | None, ...] = ()
    dynamics: tuple[str | None, ...] = ()
    silence: float = 0.0

    @classmethod
    def even(cls, metre: tuple[int, int], tempo: float, num_bars: int) -> Timeline:
        """So many bars of one metre at one tempo."""
        return cls((metre,) * num_bars, ((0.0, tempo),))

    @cached_property
    def starts(self) -> tuple[float, ...]:
        """The quarter at which each bar begins, and that of the end."""
        return tuple(itertools.accumulate((bar_quarters(metre) for metre in self.metres), initial=0.0))

    @property
    def metre_changes(self) -> Events[tuple[int, int]]:
        """(quarter, metre) at each change, the first at 0."""
        bars = list(zip(self.starts, self.metres, strict=False))
        return tuple(bar for i, bar in enumerate(bars) if not i or bars[i - 1][1] != bar[1])

    def seconds_at(self, quarters: np.ndarray) -> np.ndarray:
        """Seconds at positions in quarters, float64 of any shape; the last tempo holds on after the end."""
        return self._map.seconds_at(np.asarray(quarters, dtype=np.float64))

    def quarters_at(self, seconds: float) -> float:
        """The position in quarters at a time."""
        return float(self._map.quarters_at(seconds))

    @cached_property
    def _map(self) -> Score:
        return Score(np.empty(0, NOTE), self.tempos)
