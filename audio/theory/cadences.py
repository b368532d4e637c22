"""Cadences: where phrases close, and how.

Knows readings of scores. A phrase is taken to end where its upper line comes to a long note or a rest, or, in dances
that run through, every four bars. How it closes is asked of the notes right there, beat by beat, since chords change
faster at a close than elsewhere. Where there is only a melody its chords are heard into it, and what the bass does is
not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import chords_between
from clavilux.audio.score import bar_quarters
from clavilux.audio.theory.functions import DOMINANT, SUBDOMINANT, function_of
from clavilux.audio.theory.harmony_reading import NEAR, HarmonyReading

PERFECT, IMPERFECT, HALF, PLAGAL, DECEPTIVE = (
    "perfect authentic", "imperfect authentic", "half", "plagal", "deceptive"
)  # fmt: skip
AUTHENTIC = "authentic"  # of a melody alone, whose bass is not known
KINDS = (PERFECT, IMPERFECT, AUTHENTIC, HALF, PLAGAL, DECEPTIVE)
LONG = 1.45  # a phrase ends on a note so many times as long as the median, until the next one
REST = 0.5  # quarters of silence after a note that end a phrase
PHRASE = 4  # bars
MONODY = 1.15  # notes at once, up to which a score is a melody alone
_BACK = 4.0  # quarters, how far before its last chord a cadence's first is looked for


@dataclass(frozen=True)
class Cadence:
    """A close.

    Attributes:
        kind: one of `KINDS`.
        quarter: where its last chord begins.
        start: where its first chord begins.
        end: where the phrase ends.
        bar: of the last chord, counted from 1.
        chords: the two chords.
        key: in which it closes; the piece's own, or that of a degree that has its dominant before it.
        final: whether the piece ends with it.
    """

    kind: str
    quarter: float
    start: float
    end: float
    bar: int
    chords: tuple[Chord, Chord]
    key: Key
    final: bool = False

    @property
    def numerals(self) -> tuple[str, str]:
        """Of its chords in `key`."""
        first, last = self.chords
        return function_of(first, self.key, last).numeral, function_of(last, self.key).numeral


def find_cadences(reading: HarmonyReading) -> list[Cadence]:
    """The cadences of a score, in order; places where a phrase ends otherwise are passed over."""
    found: list[Cadence] = []
    ends = phrase_ends(reading)
    for number, (at, end) in enumerate(ends):
        cadence = close_at(reading, at, end, final=number == len(ends) - 1)
        if cadence is not None and (not found or cadence.quarter > found[-1].quarter + NEAR):
            found.append(cadence)
    return found


def phrase_ends(reading: HarmonyReading) -> list[tuple[float, float]]:
    """(where the last note of a phrase begins, where the phrase ends) in quarters; the last is the piece's end."""
    line = reading.melody
    starts, lengths = line["start"], line["duration"]
    until = np.append(starts[1:] - starts[:-1], max(reading.score.length - starts[-1], lengths[-1]))
    median = float(np.median(until))
    beat = 4.0 / reading.score.metre_at(0.0)[1]
    long = (until >= LONG * median - NEAR) & (until >= beat - NEAR)
    long |= (until - lengths >= REST - NEAR) & (until >= beat - NEAR)
    if long.mean() > 0.34:  # long notes are usual here, so they say nothing: the longest do
        long = until >= max(np.quantile(until, 0.75), LONG * median) - NEAR
    picked = {int(index) for index in np.flatnonzero(long)}
    # Of several long notes in a row, and within a bar, the last ends the phrase.
    bar = bar_quarters(reading.score.metre_at(0.0))
    kept = [i for i in sorted(picked) if not any(starts[i] < starts[j] <= starts[i] + bar * 0.75 for j in picked)]
    kept += [index for index in _by_fours(reading) if all(abs(starts[index] - starts[i]) > bar for i in kept)]
    kept = sorted({*kept, len(line) - 1})
    return [(float(starts[i]), float(starts[i] + until[i])) for i in kept]


def _by_fours(reading: HarmonyReading) -> list[int]:
    """In a tune that runs through, the last strong note of every fourth bar, as an index into the melody."""
    bars, line = reading.bars, reading.melody
    first = 1 if len(bars) > 1 and line["start"][0] > (bars[1] - bars[0]) / 2 - NEAR else 0
    if len(bars) > 1 and bars[1] - bars[0] < bar_quarters(reading.score.metre_at(float(bars[1]))) - NEAR:
        first = 1
    found = []
    for last in range(first + PHRASE - 1, len(bars), PHRASE):
        begin, end = bars[last], bars[last + 1] if last + 1 < len(bars) else reading.score.length
        middle = begin + (end - begin) / 2
        inside = np.flatnonzero((line["start"] >= begin - NEAR) & (line["start"] <= middle + NEAR))
        if len(inside):
            found.append(int(inside[-1]))
    return found


def close_at(reading: HarmonyReading, at: float, end: float, *, final: bool = False) -> Cadence | None:
    """The cadence that a phrase makes whose last note begins at `at`; None where it makes none."""
    monody = reading.voices < MONODY
    last, first, start = _monody_chords(reading, at) if monody else _chords(reading, at, end)
    if first is None or last is None:
        return None
    key, kind = _kind(reading, first, last, start, at, monody)
    if not kind:
        return None
    return Cadence(kind, at, start, end, reading.bar_of(at), (first, last), key, final)


def _monody_chords(reading: HarmonyReading, at: float) -> tuple[Chord | None, Chord | None, float]:
    spans = [span for span in reading.spans if span.start <= at + NEAR]
    if len(spans) < 2:
        return None, None, at
    return spans[-1].chord, spans[-2].chord, max(spans[-2].start, at - _BACK)


def _chords(reading: HarmonyReading, at: float, end: float) -> tuple[Chord | None, Chord | None, float]:
    """(the last chord, the one before it, where that begins), by beats and by the bass notes that lead to the end."""
    low = _bass_line(reading, at)
    if not low:
        return None, None, at
    beat = 4.0 / reading.score.metre_at(at)[1]
    onsets = reading.notes["start"]
    beats = [at - beat * i for i in range(1, round(_BACK / beat) + 1)]
    low = sorted({*low, *(each for each in beats if (np.abs(onsets - each) < 0.02).any())})
    until = min(end, at + bar_quarters(reading.score.metre_at(at)))
    last = chords_between(reading.score, [(at, max(until, at + NEAR))], reading.key)[0]
    stop = at
    for begin in low[::-1]:
        before = chords_between(reading.score, [(begin, stop)], reading.key)[0]
        if before is None or last is None:
            continue
        if before.root == last.root:  # the last chord, struck before
            stop = begin
        elif at - begin > 0.2:
            return last, before, begin
    return last, None, at


def _bass_line(reading: HarmonyReading, at: float) -> list[float]:
    """Where the bass moves in the `_BACK` quarters before `at`."""
    notes = reading.notes
    near = notes[(notes["start"] < at - NEAR) & (notes["start"] + notes["duration"] > at - _BACK)]
    begins: list[float] = []
    for begin in np.unique(np.maximum(near["start"], max(at - _BACK, 0.0))).tolist():
        low, before = reading.lowest(begin, at), reading.lowest(begins[-1], at) if begins else None
        if low is not None and low != before:
            begins.append(float(begin))
    return begins


def _kind(reading: HarmonyReading, first: Chord, last: Chord, start: float, at: float, monody: bool) -> tuple[Key, str]:
    """(the key of the close, its kind or "")."""
    home = reading.key
    function, goal = function_of(first, home, last), function_of(last, home)
    degree = (last.root - home.tonic) % 12
    top = _top_at(reading, at)
    if degree == 0 and function.role == DOMINANT and not function.target:
        return home, _authentic(reading, first, last, home, start, at, top, monody)
    if degree == 7 and last.quality in ("maj", "7"):
        return home, HALF
    if degree == 0 and function.role == SUBDOMINANT and (first.root - home.tonic) % 12 == 5:
        rooted = monody or reading.bass_at(at, at + 1) == home.tonic  # over its fifth it would delay a dominant
        return home, PLAGAL if rooted else ""
    if (first.root - home.tonic) % 12 == 7 and function.role == DOMINANT and degree in (8, 9):
        return home, DECEPTIVE
    if function.target and function.target == goal.numeral.rstrip("7maj") and last.quality in ("maj", "min"):
        there = Key(last.root, "minor" if last.quality == "min" else "major")
        return there, _authentic(reading, first, last, there, start, at, top, monody)
    return home, ""


def _authentic(
    reading: HarmonyReading, first: Chord, last: Chord, key: Key, start: float, at: float, top: int, monody: bool
) -> str:
    """Perfect: both chords stand on their roots and the upper line ends on the tonic."""
    if monody:
        return AUTHENTIC if top == key.tonic else ""
    low = (reading.bass_at(_last_bass(reading, start, at, last.root), at), reading.bass_at(at, at + 1))
    rooted = (first.root - key.tonic) % 12 == 7 and low[0] == first.root and low[1] == last.root
    return PERFECT if rooted and top == key.tonic else IMPERFECT


def _last_bass(reading: HarmonyReading, start: float, at: float, root: int) -> float:
    """Where the bass of the chord before the last one begins, after what delays it; a last chord may be struck twice,
    so a bass on its root is not that one's.
    """
    begins = [each for each in _bass_line(reading, at) if each >= start - NEAR]
    begins = [each for each in begins if reading.bass_at(each, at) != root] or begins
    return begins[-1] if begins else start


def _top_at(reading: HarmonyReading, at: float) -> int:
    """Pitch class of the upper line where the last chord begins."""
    line = reading.melody
    index = max(0, int(np.searchsorted(line["start"], at + NEAR, side="right")) - 1)
    return int(line["pitch"][index]) % 12
