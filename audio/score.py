"""Scores: notes with tempi, metres, key and chords; MIDI files in and out.

Knows quarters, seconds and bars. Time in a score is in quarter notes; only the tempo map turns it into
seconds. It knows nothing of tokens or of sound.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from clavilux.audio.controllers import controls_between, controls_joined, parts_matched
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.midi import MidiFile, read_midi
from clavilux.audio.midi_writer import OWN_MARKER, midi_bytes
from clavilux.audio.notes import CONTROL, NOTE, as_parts, tidy_controls, tidy_notes
from clavilux.audio.reading import receipt_from
from clavilux.files import PathLike, atomic_path

__all__ = ["NOTE", "Score", "bar_quarters"]

DEFAULT_TEMPO, DEFAULT_METRE = 120.0, (4, 4)
_Value = TypeVar("_Value")
Events = tuple[tuple[float, _Value], ...]  # (quarter, what holds from there on)


@dataclass(frozen=True, eq=False)
class Score:
    """Notes and the map of tempi, metres and chords that they stand on. Times are in quarter notes from the start.

    Attributes:
        notes: `PART_NOTE` records, a `NOTE` being of part 0; kept sorted by (start, program, pitch), without empty
            notes, each cut where the next of its pitch, program and part begins.
        tempos: (quarter, quarters per minute), the first at 0.
        metres: (quarter, (numerator, denominator)), the first at 0; each begins a bar.
        key: the key, where it is known.
        chords: (quarter, chord) at each change.
        length: quarters, at least the end of the last note.
        signature: the key that a file's key signature names; its mode is often only a default.
        controls: `CONTROL` records: pedals, volume, pan, bend and bank of parts that have notes, in the order of time.
        remarks: what was damaged in the file that it was read from, was read otherwise than it is written, or is not
            played; sentences without their end.
        sections: (quarter, name) where a part of the form begins, "verse".
        receipt: how the file that it was read from was made; {} where that is not said.

    Raises:
        ValueError: times that are not finite or go back, MIDI values outside 0 to 127, a tempo or metre that there is
            not.
    """

    notes: np.ndarray
    tempos: Events[float] = ((0.0, DEFAULT_TEMPO),)
    metres: Events[tuple[int, int]] = ((0.0, DEFAULT_METRE),)
    key: Key | None = None
    chords: Events[Chord] = ()
    length: float = 0.0
    signature: Key | None = None
    controls: np.ndarray = field(default_factory=lambda: np.empty(0, CONTROL))
    remarks: tuple[str, ...] = ()
    sections: Events[str] = ()
    receipt: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        notes = tidy_notes(as_parts(self.notes))
        end = float((notes["start"] + notes["duration"]).max()) if len(notes) else 0.0
        controls = tidy_controls(self.controls)
        object.__setattr__(self, "controls", controls[np.isin(controls["part"], notes["part"])])
        object.__setattr__(self, "notes", notes)
        object.__setattr__(self, "length", max(float(self.length), end))
        for name, events in (("tempos", self.tempos), ("metres", self.metres)):
            times = [time for time, _ in events]
            if not times or times[0] != 0 or any(a >= b for a, b in itertools.pairwise(times)):
                raise ValueError(f"The {name} must begin at quarter 0 and move forward, not at {times[:8]}.")
        for _, tempo in self.tempos:
            if not 0 < tempo < np.inf:
                raise ValueError(f"A tempo must be a positive number of quarters a minute, not {tempo}.")
        for _, (numerator, denominator) in self.metres:
            if numerator < 1 or denominator not in (1, 2, 4, 8, 16, 32, 64):
                raise ValueError(f"A metre must be like 3/4 or 6/8, not {numerator}/{denominator}.")

    # Time

    @property
    def duration_s(self) -> float:
        """Seconds from the start to `length`."""
        return float(self.seconds_at(self.length))

    @overload
    def seconds_at(self, quarters: float) -> float: ...
    @overload
    def seconds_at(self, quarters: np.ndarray) -> np.ndarray: ...
    def seconds_at(self, quarters: float | np.ndarray) -> float | np.ndarray:
        """Seconds at a position in quarters (a number or an array)."""
        times, seconds, tempos = self._tempo_map()
        at = np.maximum(np.searchsorted(times, quarters, side="right") - 1, 0)
        return seconds[at] + (np.asarray(quarters) - times[at]) * 60.0 / tempos[at]

    @overload
    def quarters_at(self, seconds: float) -> float: ...
    @overload
    def quarters_at(self, seconds: np.ndarray) -> np.ndarray: ...
    def quarters_at(self, seconds: float | np.ndarray) -> float | np.ndarray:
        """The position in quarters at a time in seconds (a number or an array)."""
        times, starts, tempos = self._tempo_map()
        at = np.maximum(np.searchsorted(starts, seconds, side="right") - 1, 0)
        return times[at] + (np.asarray(seconds) - starts[at]) * tempos[at] / 60.0

    def _tempo_map(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        times, tempos = np.array(self.tempos, dtype=np.float64).T
        seconds = np.concatenate([[0.0], np.cumsum(np.diff(times) * 60.0 / tempos[:-1])])
        return times, seconds, tempos

    def bar_starts(self) -> np.ndarray:
        """Quarters at which bars begin, from 0 to before `length` (float64 [bars], at least one).

        A change of metre begins a bar, so the bar before it may be short. A pickup is written that way too.
        """
        bars = []
        ends = [time for time, _ in self.metres[1:]] + [self.length]
        for (start, metre), end in zip(self.metres, ends, strict=True):
            if start > 0 and start >= self.length:
                break
            count = int(np.ceil((min(end, self.length) - start) / bar_quarters(metre) - 1e-6))
            bars.append(start + bar_quarters(metre) * np.arange(max(count, 1)))
        return np.concatenate(bars)

    def metre_at(self, quarter: float) -> tuple[int, int]:
        return [metre for time, metre in self.metres if time <= quarter + 1e-9][-1]

    # Changes

    def transposed(self, semitones: int) -> Score:
        """The score moved by `semitones`, drums apart.

        Raises:
            ValueError: notes would leave MIDI's pitches 0 to 127.
        """
        notes = self.notes.copy()
        notes["pitch"][~notes["drum"]] += semitones
        if len(notes) and (notes["pitch"].min() < 0 or notes["pitch"].max() > 127):
            raise ValueError(f"Transposing by {semitones} semitones moves notes outside MIDI's pitches 0 to 127.")
        return replace(
            self,
            notes=notes,
            key=self.key and self.key.transposed(semitones),
            signature=self.signature and self.signature.transposed(semitones),
            chords=tuple((time, chord.transposed(semitones)) for time, chord in self.chords),
        )

    def with_programs(self, programs: int | Mapping[int, int]) -> Score:
        """The score on other instruments; drums stay.

        Args:
            programs: one General MIDI program, 0 to 127, for all notes; or old program -> new.

        Raises:
            ValueError: a program outside 0 to 127.
        """
        notes = self.notes.copy()
        table = np.arange(128)
        if isinstance(programs, Mapping):
            table[list(programs.keys())] = list(programs.values())
        else:
            table[:] = programs
        if table.min() < 0 or table.max() > 127:
            raise ValueError(f"A General MIDI program must be 0 to 127, not {programs}.")
        pitched = ~notes["drum"]
        notes["program"][pitched] = table[notes["program"][pitched]]
        return replace(self, notes=notes)

    def slice(self, start: float, end: float) -> Score:
        """The part from `start` to `end` in quarters, moved to 0: notes that begin there, cut at `end`.

        Bars stay where they are: a cut inside a bar leaves a short first bar.

        Raises:
            ValueError: the slice does not go forward from quarter 0 or later.
        """
        if not 0 <= start < end:
            raise ValueError(f"A slice must go forward from quarter 0 or later, not from {start} to {end}.")
        notes = self.notes[(self.notes["start"] >= start - 1e-6) & (self.notes["start"] < end - 1e-6)].copy()
        notes["start"] = np.maximum(notes["start"] - start, 0.0)
        notes["duration"] = np.minimum(notes["duration"], end - start - notes["start"])
        metres = _events_between(self.metres, start, end)
        bars = self.bar_starts()
        next_bars = bars[bars > start + 1e-6]
        begins_bar = np.abs(bars - start).min() < 1e-6
        if not begins_bar and len(next_bars) and next_bars[0] < end:
            at = float(next_bars[0]) - start
            metres = (*metres[:1], (at, self.metre_at(next_bars[0])), *(m for m in metres[1:] if m[0] > at + 1e-6))
        return replace(
            self,
            notes=notes,
            tempos=_events_between(self.tempos, start, end),
            metres=metres,
            chords=_events_between(self.chords, start, end),
            sections=_events_between(self.sections, start, end),
            length=end - start,
            controls=controls_between(self.controls, start, end),
        )

    def concat(self, other: Score) -> Score:
        """This score, then `other` from this one's `length`; key and signature are this one's.

        A part of `other` goes on as the part of its instrument here, with its controllers at rest or where `other` sets
        them.
        """
        later, names = other.notes.copy(), parts_matched(self.notes, other.notes)
        later["start"] += self.length
        later["part"] = [names[voice] for voice in other.notes[["part", "program", "drum"]].tolist()]
        moves = [
            (time, new, kind, value)
            for time, part, kind, value in other.controls.tolist()
            for new in sorted({new for voice, new in names.items() if voice[0] == part})
        ]
        return replace(
            self,
            notes=np.concatenate([self.notes, later]),
            tempos=_joined(self.tempos, other.tempos, self.length),
            metres=self._metres_then(other),
            chords=_joined(self.chords, other.chords, self.length),
            length=self.length + other.length,
            controls=controls_joined(self.controls, np.array(moves, dtype=CONTROL), self.length),
            remarks=tuple(dict.fromkeys([*self.remarks, *other.remarks])),
            sections=self.sections + tuple((time + self.length, name) for time, name in other.sections),
        )

    def _metres_then(self, other: Score) -> Events[tuple[int, int]]:
        ends_with_bar = abs(self.bar_starts()[-1] + bar_quarters(self.metres[-1][1]) - self.length) < 1e-6
        shifted = tuple((time + self.length, metre) for time, metre in other.metres)
        before = tuple(event for event in self.metres if event[0] < self.length)
        if before and ends_with_bar and before[-1][1] == shifted[0][1]:
            shifted = shifted[1:]
        return before + shifted

    # Files

    @classmethod
    def from_midi(cls, path: PathLike, *, strict: bool = False) -> Score:
        """Read a standard MIDI file. `length` is the end of the bar in which the last note ends.

        Channel 10 is drums. A part is what one track plays on one channel. Files written by `save_midi` give their key,
        chords and sections back; others leave `key` None and keep the key signature as `signature`. Of a damaged file
        there is what can be read; that, and what is not played, stands in `remarks`.

        Args:
            path: of the file; RIFF-wrapped ones (.rmi) are read as well.
            strict: a damaged file, or one that is cut off, is an error.

        Raises:
            ValueError: the file is missing, is not MIDI, has no notes or is longer than a day, see `midi.read_midi`.
        """
        file = read_midi(path)
        if strict and file.damage:
            raise ValueError(f"{str(path)!r}: {'; '.join(file.damage)}")
        key, chords, sections, remarks = _read_markers(file)
        score = cls(
            file.notes,
            tuple((time, _plain_tempo(microseconds)) for time, microseconds in file.tempos.items()),
            tuple(file.metres.items()),
            key,
            chords,
            0.0,
            file.signature and _key_of(*file.signature),
            file.controls,
            (*file.damage, *file.remarks, *remarks),
            sections,
            receipt_from(file.own_data),
        )
        last_bar = float(score.bar_starts()[-1])
        return replace(score, length=last_bar + bar_quarters(score.metre_at(last_bar)))

    def save_midi(self, path: PathLike) -> None:
        """Write a standard MIDI file: a track for each part, named by its instrument, drums on channel 10, chord names
        and, in brackets, sections as markers.

        The same score gives the same bytes. Times are rounded to 1/1920 of a quarter, tempi to a microsecond
        a quarter.

        Raises:
            ValueError: more than 15 programs beside the drums (MIDI has 16 channels), or `path` cannot be written.
        """
        data = midi_bytes(self)
        with atomic_path(path) as temporary:
            Path(temporary).write_bytes(data)

    def merged(self) -> Score:
        """The score with one part for each program and no controllers, which is what score tokens can write."""
        notes = self.notes.copy()
        notes["part"] = 0
        return replace(self, notes=notes, controls=np.empty(0, CONTROL))


def bar_quarters(metre: tuple[int, int]) -> float:
    """The length of a bar in quarters: 4 for 4/4, 3 for 6/8."""
    return metre[0] * 4.0 / metre[1]


def _events_between(events: Events[_Value], start: float, end: float) -> Events[_Value]:
    """Events of [start, end) moved by -start, the one in force at `start` first."""
    before = [value for time, value in events if time <= start + 1e-6]
    inside = [(time - start, value) for time, value in events if start + 1e-6 < time < end - 1e-6]
    return tuple([(0.0, value) for value in before[-1:]] + inside)


def _joined(first: Events[_Value], second: Events[_Value], offset: float) -> Events[_Value]:
    joined = [event for event in first if event[0] < offset - 1e-6]
    for time, value in second:
        if not joined or joined[-1][1] != value:
            joined.append((time + offset, value))
    return tuple(joined)


def _plain_tempo(microseconds: int) -> float:
    """The shortest decimal that MIDI would store as this many microseconds a quarter: 68.0 for 882353."""
    for digits in range(8):
        tempo = round(60e6 / microseconds, digits)
        if tempo > 0 and round(60e6 / tempo) == microseconds:
            return tempo
    return 60e6 / microseconds


def _key_of(sharps: int, minor: bool) -> Key:
    tonic = sharps * 7 % 12
    return Key((tonic + 9) % 12, "minor") if minor else Key(tonic, "major")


def _read_markers(file: MidiFile) -> tuple[Key | None, Events[Chord], Events[str], list[str]]:
    """(key, chords, sections, remarks) of a file that was written here; others mean other things by their markers.

    A program that has changed such a file may have added markers of its own.
    """
    at = next((i for i, (_, text) in enumerate(file.markers) if text.split(",")[0] == OWN_MARKER), None)
    if at is None:
        return None, (), (), []
    key, chords, sections, foreign = None, {}, {}, []
    for index, (time, text) in enumerate(file.markers):
        try:
            if index == at:
                name = text.partition(", ")[2]
                key = Key.parse(name) if name else None
            elif text[:1] == "[" and text[-1:] == "]":
                sections[time] = text[1:-1]
            else:
                chords[time] = Chord.parse(text)
        except ValueError:
            foreign.append(text)
    shown = ", ".join(repr(text[:24]) for text in foreign[:4]) + ", ..." * (len(foreign) > 4)
    remarks = [f"markers that are no chords passed over: {shown}"] if foreign else []
    return key, tuple(chords.items()), tuple(sections.items()), remarks
