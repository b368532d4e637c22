"""A score as it is written: parts with staves, bars and voices of note values. MusicXML and ABC are written from it.

Knows instruments, clefs and how bars are filled. Does not know file formats or sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import key_of
from clavilux.audio.midi_writer import part_names
from clavilux.audio.notation.grid import Bar, bars_of, in_ticks, ticks_at
from clavilux.audio.notation.spelling import Spelled, spelled
from clavilux.audio.notation.values import Value, in_triplet, triplets, written
from clavilux.audio.notation.voices import Chordal, Struck, Voice, voices_of
from clavilux.audio.notes import players_of

if TYPE_CHECKING:
    from clavilux.audio.score import Score

_KEYBOARDS = frozenset((*range(9), 11, 12, *range(16, 22), 23, 46))  # on two staves where they need them
_OCTAVE_BELOW = frozenset((*range(24, 40), 43))  # guitars and basses are written an octave above their sound
_HIGH = frozenset((40, 56, 64, 65, 68, 69, *range(71, 80), 105, 110))  # always read in the treble clef
_LOW = frozenset((42, 47, 57, 58, 70))  # always in the bass clef: cello, timpani, trombone, tuba, bassoon
_SPLIT = 60  # middle C: what is lower is on a keyboard's lower staff
T = TypeVar("T")
Row = tuple[int, int, int, int]  # start, end, pitch, velocity


@dataclass(frozen=True)
class Clef:
    """A clef: its sign on its line, and by how many octaves the sound is higher than what is written."""

    sign: str
    line: int
    octaves: int = 0


TREBLE, BASS, ALTO, PERCUSSION = Clef("G", 2), Clef("F", 4), Clef("C", 3), Clef("percussion", 2)
TREBLE_8, BASS_8 = Clef("G", 2, -1), Clef("F", 4, -1)


@dataclass(frozen=True)
class Note:
    """A written note: how it is spelled (None for drums), its MIDI pitch and velocity, and its ties."""

    spelled: Spelled | None
    struck: Struck


@dataclass(frozen=True)
class Event:
    """A chord, or a rest where `notes` is empty; `opens` and `closes` a group of triplets."""

    value: Value
    notes: tuple[Note, ...]
    opens: bool = False
    closes: bool = False


@dataclass(frozen=True)
class Staff:
    """A staff: in each bar a row of voices, each a row of events that fill the bar, empty where it is silent."""

    clef: Clef
    bars: tuple[tuple[tuple[Event, ...], ...], ...]

    @property
    def num_voices(self) -> int:
        """How many voices it has."""
        return len(self.bars[0])


@dataclass(frozen=True)
class Part:
    """An instrument."""

    name: str
    program: int
    drum: bool
    staves: tuple[Staff, ...]


@dataclass(frozen=True)
class Page:
    """All of it.

    Attributes:
        key: whose signature is written.
        bars: where they are.
        chords: of each bar, (tick in the bar, chord).
        tempos: of each bar, (tick in the bar, quarters a minute).
        parts: in the order of `players_of`.
        title: or "".
        sections: of each bar, (tick in the bar, name).
    """

    key: Key
    bars: tuple[Bar, ...]
    chords: tuple[tuple[tuple[int, Chord], ...], ...]
    tempos: tuple[tuple[tuple[int, float], ...], ...]
    parts: tuple[Part, ...]
    title: str = ""
    sections: tuple[tuple[tuple[int, str], ...], ...] = ()

    def opens(self, number: int) -> bool:
        """Whether the metre is to be written at a bar."""
        return number == 0 or self.bars[number].metre != self.bars[number - 1].metre


def page_of(score: Score, title: str = "") -> Page:
    """A score as it is written. Times that stand on no grid are brought to the nearest that can be read.

    Raises:
        ValueError: there are no notes.
    """
    if not len(score.notes):
        raise ValueError("the score has no notes, so there is nothing to write")
    key = key_of(score)
    bars = bars_of(score)
    starts, ends = in_ticks(score, bars)
    ends = np.minimum(ends, bars[-1].start + bars[-1].ticks)
    chords = [(ticks_at(time, bars), chord) for time, chord in score.chords]
    players = score.notes[["drum", "program", "part"]].tolist()
    pitches, velocities = score.notes["pitch"].tolist(), score.notes["velocity"].tolist()
    rows = list(zip(starts.tolist(), ends.tolist(), pitches, velocities, strict=True))
    parts = players_of(score.notes)
    made = []
    for name, player in zip(part_names(parts), parts, strict=True):
        drum, program, _ = player
        mine = [row for row, own in zip(rows, players, strict=True) if own == player]
        writer = _Writer(bars, key, [] if drum else chords, drum)
        staves = tuple(writer.staff(clef, notes) for clef, notes in _staves(mine, program, drum))
        made.append(Part(name, program, drum, staves))
    tempos = [(ticks_at(time, bars), tempo) for time, tempo in score.tempos]
    sections = _by_bar([(ticks_at(time, bars), name) for time, name in score.sections], bars)
    return Page(key, tuple(bars), _by_bar(chords, bars), _by_bar(tempos, bars), tuple(made), title, sections)


def _by_bar(events: list[tuple[int, T]], bars: list[Bar]) -> tuple[tuple[tuple[int, T], ...], ...]:
    return tuple(
        tuple((at - bar.start, value) for at, value in events if bar.start <= at < bar.start + bar.ticks)
        for bar in bars
    )


def _staves(rows: list[Row], program: int, drum: bool) -> list[tuple[Clef, list[Row]]]:
    """The staves of a part, with the notes (start, end, pitch, velocity) that stand on each."""
    if drum:
        return [(PERCUSSION, rows)]
    pitches = [pitch for _, _, pitch, _ in rows]
    if program in _KEYBOARDS and min(pitches) < _SPLIT - 5 and max(pitches) >= _SPLIT:
        upper = [row for row in rows if row[2] >= _SPLIT]
        return [(TREBLE, upper), (BASS, [row for row in rows if row[2] < _SPLIT])]
    middle = sorted(pitches)[len(pitches) // 2]
    if program in _OCTAVE_BELOW:
        return [(TREBLE_8 if program < 32 else BASS_8, rows)]
    if program == 41:
        return [(ALTO, rows)]
    return [(TREBLE if program in _HIGH or (middle >= 57 and program not in _LOW) else BASS, rows)]


class _Writer:
    """Writes the staves of a part."""

    def __init__(self, bars: list[Bar], key: Key, chords: list[tuple[int, Chord]], drum: bool) -> None:
        self._bars, self._key, self._chords, self._drum = bars, key, chords, drum

    def staff(self, clef: Clef, rows: list[Row]) -> Staff:
        """A staff with notes; one without any is silent."""
        voices = voices_of(rows) or [[]]
        by_voice = [self._in_bars(voice) for voice in voices]  # [voice][bar]
        by_bar = zip(*by_voice, strict=True)
        return Staff(
            clef,
            tuple(
                tuple(self._bar(bar, chords) for chords in voices)
                for bar, voices in zip(self._bars, by_bar, strict=True)
            ),
        )

    def _in_bars(self, voice: Voice) -> list[list[Chordal]]:
        """A voice's chords in each bar, cut at bar lines, their times counted from the bar's start."""
        found: list[list[Chordal]] = [[] for _ in self._bars]
        number = 0
        for chord in voice:
            rest: Chordal | None = chord
            while rest is not None:
                while rest.start >= self._bars[number].start + self._bars[number].ticks:
                    number += 1
                begin, end = self._bars[number].start, self._bars[number].start + self._bars[number].ticks
                here, rest = rest.cut(end) if rest.end > end else (rest, None)
                found[number].append(Chordal(here.start - begin, here.end - begin, here.notes))
        return found

    def _bar(self, bar: Bar, chords: list[Chordal]) -> tuple[Event, ...]:
        if not chords:
            return ()
        filled: list[Chordal] = []
        at = 0
        for chord in [*chords, Chordal(bar.ticks, bar.ticks, ())]:
            if chord.start > at:
                filled.append(Chordal(at, chord.start, ()))
            filled.append(chord)
            at = chord.end
        groups = triplets([each.start for each in filled], bar.ticks, bar.metre)
        edges = sorted({edge for group in groups for edge in group})
        events = []
        for piece in _cut_at(filled[:-1], edges):
            inside = next((group for group in groups if group[0] <= piece.start < group[1]), None)
            if inside is None:
                values = list(written(piece.start, piece.end, bar.metre))
            else:
                values = list(in_triplet(piece.start, piece.end))
            events += self._events(bar, piece, values, inside)
        return tuple(events)

    def _events(self, bar: Bar, piece: Chordal, values: list[Value], group: tuple[int, int] | None) -> list[Event]:
        """A chord or rest as one value or several that are tied."""
        events = []
        for number, value in enumerate(values):
            first, last = number == 0, number == len(values) - 1
            notes = tuple(
                Note(
                    self._spelled(note.pitch, bar.start + piece.start),
                    replace(note, tied_in=note.tied_in or not first, tied_out=note.tied_out or not last),
                )
                for note in piece.notes
            )
            opens = group is not None and value.at == group[0]
            closes = group is not None and value.at + value.ticks == group[1]
            events.append(Event(value, notes, opens, closes))
        return events

    def _spelled(self, pitch: int, at: int) -> Spelled | None:
        if self._drum:
            return None
        chord = next((chord for time, chord in reversed(self._chords) if time <= at), None)
        return spelled(pitch, self._key, chord)


def _cut_at(chords: list[Chordal], edges: list[int]) -> list[Chordal]:
    """Chords and rests cut where groups of triplets begin and end."""
    pieces = []
    for chord in chords:
        rest = chord
        for edge in edges:
            if rest.start < edge < rest.end:
                before, rest = rest.cut(edge)
                pieces.append(before)
        pieces.append(rest)
    return pieces
