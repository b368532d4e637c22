"""Bars that were read from a notation file, put together as a score: repeats played out, ties joined.

Knows bars, repeats and ties. Does not know any file format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import DEFAULT_TEMPO, Score, bar_quarters

MOST_BARS = 50_000  # played; repeats of repeats make more of a small file
Quarters = Fraction | float
MARKS = {"ppp": 26, "pp": 36, "p": 50, "mp": 64, "mf": 78, "f": 94, "ff": 108, "fff": 119}  # velocities


@dataclass
class ReadNote:
    """A note of a bar; `at` and `length` in quarters, `at` from the bar's start."""

    at: Quarters
    length: Quarters
    pitch: int
    velocity: int
    program: int
    drum: bool
    part: int
    tied_in: bool = False
    tied_out: bool = False


@dataclass
class ReadBar:
    """A bar as it stands in a file.

    Attributes:
        metre: that holds in it.
        length: quarters, which an upbeat has fewer of.
        notes, chords, tempos, sections: what begins in it, with times from its start.
        opens_repeat: a repeat begins with it.
        repeats: how often all is played up to here, from where a repeat begins; 1 is once.
        endings: the rounds of a repeat in which it is played; () is all.
    """

    metre: tuple[int, int]
    length: Quarters
    notes: list[ReadNote] = field(default_factory=list)
    chords: list[tuple[Quarters, Chord]] = field(default_factory=list)
    tempos: list[tuple[Quarters, float]] = field(default_factory=list)
    sections: list[tuple[Quarters, str]] = field(default_factory=list)
    opens_repeat: bool = False
    repeats: int = 1
    endings: tuple[int, ...] = ()


def played_order(bars: Sequence[ReadBar], given: str) -> list[int]:
    """The numbers of the bars in the order in which they are played.

    Raises:
        ValueError: there are more than `MOST_BARS`.
    """
    order: list[int] = []
    at = begin = 0
    turn, back = 1, False
    while at < len(bars):
        bar = bars[at]
        if bar.opens_repeat and not back and at != begin:
            begin, turn = at, 1
        back = False
        if bar.endings and turn not in bar.endings:
            at += 1
            continue
        order.append(at)
        if len(order) > MOST_BARS:
            raise ValueError(f"{given!r} has more than {MOST_BARS:,} bars when its repeats are played")
        often = max(bar.repeats, max(bar.endings) + 1) if bar.repeats > 1 and bar.endings else bar.repeats
        if turn < often:
            at, turn, back = begin, turn + 1, True
            continue
        at += 1
        if bar.repeats > 1 or (bar.endings and not (at < len(bars) and bars[at].endings)):
            begin, turn = at, 1
    return order


def score_of(
    bars: Sequence[ReadBar], given: str, *, key: Key | None, signature: Key | None, remarks: Sequence[str]
) -> Score:
    """The score that bars make.

    Raises:
        ValueError: no notes, or too many bars.
    """
    rows: list[list[float]] = []
    open_ties: dict[tuple[int, int], int] = {}  # (part, pitch) -> the row that goes on
    metres: dict[float, tuple[int, int]] = {}
    chords: dict[float, Chord] = {}
    tempos: dict[float, float] = {}
    sections: dict[float, str] = {}
    at: Quarters = Fraction(0)
    short = True  # a bar behind a short one states its metre, as that begins a bar
    for number in played_order(bars, given):
        bar = bars[number]
        if short or bar.metre != list(metres.values())[-1]:
            metres[float(at)] = bar.metre
        for note in sorted(bar.notes, key=lambda note: note.at):
            _add(rows, open_ties, note, float(at + note.at))
        chords |= {float(at + time): chord for time, chord in bar.chords}
        tempos |= {float(at + time): tempo for time, tempo in bar.tempos}
        sections |= {float(at + time): name for time, name in bar.sections}
        short = abs(float(bar.length) - bar_quarters(bar.metre)) > 1e-6
        at += bar.length
    if not rows:
        raise ValueError(f"{given!r} holds no notes")
    return Score(
        np.array([tuple(row) for row in rows], PART_NOTE),
        _from_start(tempos, DEFAULT_TEMPO),
        tuple(metres.items()),
        key,
        tuple(sorted(_changes(chords).items())),
        float(at),
        signature,
        remarks=tuple(remarks),
        sections=tuple(sorted(sections.items())),
    )


def _add(rows: list[list[float]], open_ties: dict[tuple[int, int], int], note: ReadNote, start: float) -> None:
    place = (note.part, note.pitch)
    row = open_ties.pop(place, None) if note.tied_in else None
    if row is not None and abs(rows[row][0] + rows[row][1] - start) < 1e-3:
        rows[row][1] = start + float(note.length) - rows[row][0]
    else:
        rows.append([start, float(note.length), note.pitch, note.velocity, note.program, note.drum, note.part])
        row = len(rows) - 1
    if note.tied_out:
        open_ties[place] = row


def _from_start(tempos: dict[float, float], usual: float) -> tuple[tuple[float, float], ...]:
    """Changes of tempo, the first of them at 0."""
    found = dict(sorted(tempos.items()))
    first = found.pop(0.0, next(iter(found.values()), usual))
    kept = {0.0: first}
    for time, tempo in found.items():
        if tempo != list(kept.values())[-1]:
            kept[time] = tempo
    return tuple(kept.items())


def _changes(chords: dict[float, Chord]) -> dict[float, Chord]:
    kept: dict[float, Chord] = {}
    last: Chord | None = None
    for time, chord in sorted(chords.items()):
        if chord != last:
            kept[time] = last = chord
    return kept
