"""A settled score as a listener takes it apart: bars, melody, bass, chords, and which bars are alike.

Knows notes and bars. Does not know what is measured of them (`song_measures`, `song_features`). Times are in quarters;
the bars that are compared are held as sets of (position in the bar, pitch), so that likeness is a share of equal notes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from corpus import DANCES, TUNES, Song, top_voice

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import find_chords, find_key
from clavilux.audio.score import Score, bar_quarters

PRINTED = (*TUNES, *DANCES)  # kinds that are read as print has them
NEAR = 1e-4  # quarters; a step of the grid is 1/12


class Reading:
    """One score, taken apart once."""

    def __init__(self, score: Score) -> None:
        self.score, self.notes = score, score.notes
        self.key: Key = score.key or find_key(score)
        self.bars = score.bar_starts()
        self.metre = score.metre_at(0.0)
        self.bar_length = bar_quarters(self.metre)
        self.beat = beat_quarters(self.metre)

    def bar_index(self, times: np.ndarray) -> np.ndarray:
        """The bar of each time: int [n]."""
        return np.searchsorted(self.bars, times + NEAR, side="right") - 1

    def inside_bar(self, times: np.ndarray) -> np.ndarray:
        """Quarters since the bar began: float [n]."""
        return times - self.bars[self.bar_index(times)]

    def phase(self, times: np.ndarray, steps: int) -> np.ndarray:
        """Which of `steps` equal parts of its bar each time is in: int [n]."""
        return np.clip((self.inside_bar(times) + NEAR) / self.bar_length * steps, 0, steps - 1).astype(int)

    def on_beat(self, times: np.ndarray) -> np.ndarray:
        within = np.mod(self.inside_bar(times) + NEAR, self.beat)
        return within < 2 * NEAR

    @cached_property
    def melody(self) -> np.ndarray:
        """The top voice, NOTE records in order."""
        return top_voice(self.notes)

    @cached_property
    def under_melody(self) -> np.ndarray:
        """All notes but the melody's."""
        own = set(self.melody[["start", "pitch"]].tolist())
        others = [note not in own for note in self.notes[["start", "pitch"]].tolist()]
        return self.notes[np.array(others, dtype=bool)]

    @cached_property
    def intervals(self) -> np.ndarray:
        """Semitones from each melody note to the next: int [n - 1]."""
        return np.diff(self.melody["pitch"].astype(int))

    @cached_property
    def gaps(self) -> np.ndarray:
        """Quarters from each melody onset to the next: float [n - 1]."""
        return np.diff(self.melody["start"])

    @cached_property
    def lowest(self) -> np.ndarray:
        """The lowest pitch that begins or sounds on each bar's first beat, -1 where there is none: int [bars]."""
        start, end = self.notes["start"], self.notes["start"] + self.notes["duration"]
        found = np.full(len(self.bars), -1)
        for i, bar in enumerate(self.bars):
            here = self.notes["pitch"][(start < bar + NEAR) & (end > bar + NEAR)]
            found[i] = here.min() if len(here) else -1
        return found

    @cached_property
    def chords(self) -> tuple[tuple[float, Chord], ...]:
        return find_chords(self.score, self.key)

    @cached_property
    def melody_bars(self) -> list[frozenset[tuple[int, int]]]:
        """Each bar's melody as (twelfth of a quarter, pitch)."""
        return self._by_bar(self.melody, pitched=True)

    @cached_property
    def rhythm_bars(self) -> list[frozenset[tuple[int, int]]]:
        """Each bar's melody as (twelfth of a quarter, 0)."""
        return self._by_bar(self.melody, pitched=False)

    @cached_property
    def full_bars(self) -> list[frozenset[tuple[int, int]]]:
        """Each bar's notes as (twelfth of a quarter, pitch)."""
        return self._by_bar(self.notes, pitched=True)

    def _by_bar(self, notes: np.ndarray, pitched: bool) -> list[frozenset[tuple[int, int]]]:
        bars: list[set[tuple[int, int]]] = [set() for _ in self.bars]
        steps = np.round(self.inside_bar(notes["start"]) * 12).astype(int)
        rows = zip(self.bar_index(notes["start"]).tolist(), steps.tolist(), notes["pitch"].tolist(), strict=True)
        for bar, step, pitch in rows:
            bars[bar].add((step, pitch if pitched else 0))
        return [frozenset(bar) for bar in bars]

    @cached_property
    def contours(self) -> list[tuple[tuple[int, int], ...]]:
        """Each bar's melody as (twelfth, semitones above the bar's first note): equal where a bar is a sequence."""
        found = []
        for bar in self.melody_bars:
            ordered = sorted(bar)
            found.append(tuple((step, pitch - ordered[0][1]) for step, pitch in ordered))
        return found

    def degrees(self, pitches: np.ndarray) -> np.ndarray:
        """Semitones above the tonic, 0 to 11."""
        return (pitches.astype(int) - self.key.tonic) % 12


def beat_quarters(metre: tuple[int, int]) -> float:
    """The beat: a dotted quarter in 3/8, 6/8, 9/8 and 12/8, a quarter in all others."""
    return 1.5 if metre[1] == 8 and metre[0] % 3 == 0 else 1.0


def alike(bars: list[frozenset[tuple[int, int]]], lag: int) -> np.ndarray:
    """How alike each bar is to the one `lag` before: the share of notes in both of the notes in either, 0 to 1, float
    [bars - lag]; two empty bars are not alike, for nothing returns in them."""
    pairs = zip(bars[lag:], bars[: len(bars) - lag], strict=True)
    return np.array([_shared(a, b) for a, b in pairs])


def likeness(bars: list[frozenset[tuple[int, int]]]) -> np.ndarray:
    """The same of every two bars: float [bars, bars]."""
    return np.array([[_shared(a, b) for b in bars] for a in bars])


def _shared(a: frozenset[tuple[int, int]], b: frozenset[tuple[int, int]]) -> float:
    return len(a & b) / max(len(a | b), 1)


def printed(song: Song) -> Song:
    """A tune or a dance as print has it: from its first whole bar, with a part that is played twice at once written
    once, under its second ending.

    An upbeat stands in a bar of its own. With it the 16 bars of a tune would be 17, of which a passage has the first
    16: it would not close, where a song without an upbeat does, and its phrases would end a bar later. Of a hundred of
    a kind 94 jigs and 96 hornpipes have a part twice in their files, 75 minuets, 65 waltzes, 55 mazurkas, 36 reels, 29
    krakowiaks and fewer than one in ten airs, slip jigs and strathspeys, where all are played AABB. Other music is as
    it is.
    """
    score = song.score
    if song.label in PRINTED and _upbeat(score):
        score = score.slice(float(score.bar_starts()[1]), score.length)
    while song.label in PRINTED and (found := _repeat(Reading(score))) is not None:
        begin, end = found
        notes = score.notes[(score.notes["start"] < begin - NEAR) | (score.notes["start"] >= end - NEAR)].copy()
        notes["start"][notes["start"] >= end - NEAR] -= end - begin
        score = replace(score, notes=notes, length=score.length - (end - begin))
    return replace(song, score=score)


def _upbeat(score: Score) -> bool:
    """Whether the first bar has nothing but an upbeat, in its second half."""
    length = bar_quarters(score.metre_at(0.0))
    return len(score.bar_starts()) > 1 and length / 2 - NEAR <= float(score.notes["start"].min()) < length - NEAR


def _repeat(reading: Reading) -> tuple[float, float] | None:
    """The quarters of a part of 16 or 8 bars that comes again at once but for its last two bars; None for none."""
    bars = reading.full_bars
    for size in (16, 8):  # four bars that come again are a phrase, which print repeats too
        for at in range(0, len(bars) - 2 * size + 1, size):
            if all(_shared(bars[at + i], bars[at + size + i]) == 1 for i in range(size - 2)):
                return float(reading.bars[at]), float(reading.bars[at + size])
    return None


def histogram(values: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Shares of `values` between `edges` (the outermost bins are open); zeros where there are none."""
    at = np.searchsorted(np.asarray(edges), values, side="right")
    counts = np.bincount(at, minlength=len(edges) + 1).astype(float)
    return counts / max(counts.sum(), 1e-9)
