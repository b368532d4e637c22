"""A score read as harmony: its chords in order, each with its bars, its bass and its function.

Knows scores, keys and functions. Does not know cadences (`cadences`) or what is said of any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import find_chords, find_key
from clavilux.audio.melodies import top_line
from clavilux.audio.score import Score
from clavilux.audio.theory.functions import DOMINANT, ChordFunction, functions_of

NEAR = 1e-3  # quarters


@dataclass(frozen=True)
class Span:
    """A chord where it stands.

    Attributes:
        start, end: quarters.
        bar: counted from 1.
        function: what it does; its `chord` too.
        bass: pitch class of the lowest note as it begins, None where nothing sounds.
    """

    start: float
    end: float
    bar: int
    function: ChordFunction
    bass: int | None

    @property
    def chord(self) -> Chord:
        """The chord."""
        return self.function.chord


class HarmonyReading:
    """One score, read once.

    Args:
        score: with at least one note that has a pitch; its own chords count where it names them.
        key: to read it in; the score's own, or the one that is found, if None.

    Raises:
        ValueError: no note with a pitch.
    """

    def __init__(self, score: Score, key: Key | None = None) -> None:
        self.score = score
        self.notes = score.notes[~score.notes["drum"]]
        if not len(self.notes):
            raise ValueError("the score has no notes with a pitch, so it has no harmony; give one that has some")
        self.key = key or score.key or find_key(score)
        self.bars = score.bar_starts()

    def bar_of(self, quarter: float) -> int:
        """The bar of a time, counted from 1."""
        return max(1, int(np.searchsorted(self.bars, quarter + NEAR, side="right")))

    @cached_property
    def melody(self) -> np.ndarray:
        """The upper line, `PART_NOTE` records in order."""
        return top_line(self.notes)

    @cached_property
    def voices(self) -> float:
        """How many notes sound at once, on average where any does."""
        start, end = self.notes["start"], self.notes["start"] + self.notes["duration"]
        counts = [int(((start < at + NEAR) & (end > at + NEAR)).sum()) for at in np.unique(start)]
        return float(np.mean(counts))

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The chords in order; one that is named twice in a row is one."""
        events = [(float(at), chord) for at, chord in self.score.chords or find_chords(self.score, self.key)]
        events = [each for i, each in enumerate(events) if not i or each[1] != events[i - 1][1]]
        functions = functions_of([chord for _, chord in events], self.key)
        ends = [*(at for at, _ in events[1:]), self.score.length]
        spans = [
            Span(at, end, self.bar_of(at), function, self.bass_at(at, end))
            for (at, _), end, function in zip(events, ends, functions, strict=True)
            if end > at + NEAR
        ]
        return tuple(_with_six_fours(spans))

    def lowest(self, start: float, end: float) -> int | None:
        """MIDI pitch of the lowest note that sounds as [start, end) begins, or else of the first that comes in it."""
        begin, stop = self.notes["start"], self.notes["start"] + self.notes["duration"]
        here = self.notes["pitch"][(begin < start + NEAR) & (stop > start + NEAR)]
        if not len(here):
            inside = self.notes[(begin >= start) & (begin < end - NEAR)]
            here = inside["pitch"][inside["start"] < inside["start"].min() + NEAR] if len(inside) else here
        return int(here.min()) if len(here) else None

    def bass_at(self, start: float, end: float) -> int | None:
        """Its pitch class, 0 to 11."""
        low = self.lowest(start, end)
        return None if low is None else low % 12


def _with_six_fours(spans: list[Span]) -> list[Span]:
    """A tonic chord over its fifth that the dominant follows is a delay of that dominant."""
    found = []
    for span, after in zip(spans, [*spans[1:], None], strict=True):
        key, chord = span.function.key, span.chord
        on_fifth = chord.root == key.tonic and span.bass == (key.tonic + 7) % 12
        dominant = after is not None and after.function.role == DOMINANT and after.chord.root == (key.tonic + 7) % 12
        if on_fifth and dominant and chord.quality in ("maj", "min"):
            numeral = f"{span.function.numeral}6/4"
            span = replace(span, function=replace(span.function, numeral=numeral, role=DOMINANT))
        found.append(span)
    return found
