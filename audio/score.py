"""Scores: notes with tempi, metres, key and chords; MIDI files in and out.

Knows quarters, seconds and bars. Time in a score is in quarter notes; only the tempo map turns it into
seconds. It knows nothing of tokens or of sound.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import symusic

from .harmony import Chord, Key

NOTE = np.dtype(
    [
        ("start", "f8"),
        ("duration", "f8"),
        ("pitch", "i2"),
        ("velocity", "i2"),
        ("program", "i2"),
        ("drum", "?"),
    ]
)  # start and duration in quarters; pitch, velocity and General MIDI program 0..127 (a drum's is its kit)

TICKS_PER_QUARTER = 1920  # a multiple of 384, 480 and 960, so most files keep their exact times
DEFAULT_TEMPO, DEFAULT_METRE = 120.0, (4, 4)
OWN_MARKER = "Clavilux"  # the first marker of a file written here; without it markers are not read as chords


@dataclass(frozen=True, eq=False)
class Score:
    """Notes and the map of tempi, metres and chords that they stand on. Times are in quarters from the start.

    notes: `NOTE` records; kept sorted by (start, program, pitch), without empty notes, each cut where the
        next of its pitch and program begins
    tempos: (quarter, quarters per minute), the first at 0
    metres: (quarter, (numerator, denominator)), the first at 0; each begins a bar
    key: the key, where it is known
    chords: (quarter, chord) at each change
    length: quarters, at least the end of the last note
    signature: the key that a file's key signature names; its mode is often only a default
    """

    notes: np.ndarray
    tempos: tuple[tuple[float, float], ...] = ((0.0, DEFAULT_TEMPO),)
    metres: tuple[tuple[float, tuple[int, int]], ...] = ((0.0, DEFAULT_METRE),)
    key: Key | None = None
    chords: tuple[tuple[float, Chord], ...] = ()
    length: float = 0.0
    signature: Key | None = None

    def __post_init__(self):
        notes = tidy_notes(np.asarray(self.notes, dtype=NOTE))
        end = float((notes["start"] + notes["duration"]).max()) if len(notes) else 0.0
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

    def seconds_at(self, quarters):
        """Seconds at a position in quarters (a number or an array)."""
        times, seconds, tempos = self._tempo_map()
        at = np.maximum(np.searchsorted(times, quarters, side="right") - 1, 0)
        return seconds[at] + (np.asarray(quarters) - times[at]) * 60.0 / tempos[at]

    def quarters_at(self, seconds):
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
        """The score moved by `semitones`, drums apart; notes that leave 0..127 are a ValueError."""
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
        """The score on other instruments: one program for all notes, or old program -> new; drums stay."""
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
            metres = (
                metres[:1] + ((at, self.metre_at(next_bars[0])),) + tuple(m for m in metres[1:] if m[0] > at + 1e-6)
            )
        return replace(
            self,
            notes=notes,
            tempos=_events_between(self.tempos, start, end),
            metres=metres,
            chords=_events_between(self.chords, start, end),
            length=end - start,
        )

    def concat(self, other: Score) -> Score:
        """This score, then `other` from this one's `length`; key and signature are this one's."""
        later = other.notes.copy()
        later["start"] += self.length
        return replace(
            self,
            notes=np.concatenate([self.notes, later]),
            tempos=_joined(self.tempos, other.tempos, self.length),
            metres=self._metres_then(other),
            chords=_joined(self.chords, other.chords, self.length),
            length=self.length + other.length,
        )

    def _metres_then(self, other: Score) -> tuple:
        ends_with_bar = abs(self.bar_starts()[-1] + bar_quarters(self.metres[-1][1]) - self.length) < 1e-6
        shifted = tuple((time + self.length, metre) for time, metre in other.metres)
        before = tuple(event for event in self.metres if event[0] < self.length)
        if before and ends_with_bar and before[-1][1] == shifted[0][1]:
            shifted = shifted[1:]
        return before + shifted

    # Files

    @classmethod
    def from_midi(cls, path: str | os.PathLike) -> Score:
        """Read a standard MIDI file. `length` is the end of the bar in which the last note ends.

        Channel 10 is drums. Files written by `save_midi` give their key and chords back; others leave `key`
        None and keep the key signature as `signature`. Raises ValueError if the file is missing, empty,
        damaged, not MIDI, or has no notes.
        """
        midi = _read_midi(Path(path))
        tpq = midi.ticks_per_quarter
        notes = _notes_of(midi, tpq)
        if not len(notes):
            raise ValueError(f"{str(path)!r} is a MIDI file without notes.")
        tempos = _first_at_zero({e.time / tpq: _plain_tempo(e.mspq) for e in midi.tempos if e.mspq > 0}, DEFAULT_TEMPO)
        metres = {
            e.time / tpq: (e.numerator, e.denominator)
            for e in midi.time_signatures
            if e.numerator > 0 and e.denominator in (1, 2, 4, 8, 16, 32, 64)
        }
        key, chords = _read_markers(midi, tpq)
        score = cls(notes, tempos, _first_at_zero(metres, DEFAULT_METRE), key, chords, 0.0, _signature_of(midi))
        last_bar = float(score.bar_starts()[-1])
        return replace(score, length=last_bar + bar_quarters(score.metre_at(last_bar)))

    def save_midi(self, path: str | os.PathLike) -> None:
        """Write a standard MIDI file: a track for each program, drums on channel 10, chord names as markers.

        The same score gives the same bytes. Times are rounded to 1/1920 of a quarter, tempi to a microsecond
        a quarter. Raises ValueError if there are more than 15 programs beside the drums (MIDI has 16
        channels) or if `path` cannot be written.
        """
        from .io import atomic_path  # here, because reading a score needs no sound library

        data = self._to_midi().dumps_midi()
        with atomic_path(path) as temporary:
            Path(temporary).write_bytes(data)

    def _to_midi(self) -> symusic.Score:
        midi = symusic.Score(TICKS_PER_QUARTER)
        tick = lambda quarter: round(quarter * TICKS_PER_QUARTER)  # noqa: E731
        for drum in (False, True):
            for program in np.unique(self.notes["program"][self.notes["drum"] == drum]).tolist():
                notes = self.notes[(self.notes["drum"] == drum) & (self.notes["program"] == program)]
                starts = np.round(notes["start"] * TICKS_PER_QUARTER).astype(np.int32)
                ends = np.round((notes["start"] + notes["duration"]) * TICKS_PER_QUARTER).astype(np.int32)
                track = symusic.Track(program=program, is_drum=drum)
                track.notes = symusic.Note.from_numpy(
                    starts,
                    np.maximum(ends - starts, 1),
                    notes["pitch"].astype(np.int8),
                    notes["velocity"].astype(np.int8),
                )
                midi.tracks.append(track)
        pitched = sum(not track.is_drum for track in midi.tracks)
        if pitched > 15:
            raise ValueError(
                f"A MIDI file has channels for 15 instruments beside the drums, and this score has {pitched}."
            )
        for time, tempo in self.tempos:
            midi.tempos.append(symusic.Tempo(tick(time), mspq=round(60e6 / tempo)))
        for time, (numerator, denominator) in self.metres:
            midi.time_signatures.append(symusic.TimeSignature(tick(time), numerator, denominator))
        key = self.key or self.signature
        if key:
            midi.key_signatures.append(symusic.KeySignature(0, key.sharps, int(key.mode == "minor")))
        midi.markers.append(symusic.TextMeta(0, f"{OWN_MARKER}, {self.key}" if self.key else OWN_MARKER))
        for time, chord in self.chords:
            midi.markers.append(symusic.TextMeta(tick(time), chord.name(self.key)))
        return midi


def bar_quarters(metre: tuple[int, int]) -> float:
    """The length of a bar in quarters: 4 for 4/4, 3 for 6/8."""
    return metre[0] * 4.0 / metre[1]


def tidy_notes(notes: np.ndarray) -> np.ndarray:
    """Sort `NOTE` records by (start, program, pitch), drop empty ones, cut a pitch's overlaps."""
    notes = notes[notes["duration"] > 1e-6]
    if not len(notes):
        return notes
    if notes["start"].min() < 0:
        raise ValueError(f"Notes must not begin before quarter 0, and one begins at {notes['start'].min()}.")
    for name in ("pitch", "velocity", "program"):
        low, high = notes[name].min(), notes[name].max()
        if low < 0 or high > 127:
            raise ValueError(f"A note's {name} must be 0 to 127, and here it reaches from {low} to {high}.")
    voice = (notes["drum"].astype(np.int64) * 128 + notes["program"]) * 128 + notes["pitch"]
    order = np.lexsort((-notes["duration"], notes["start"], voice))
    notes, voice = notes[order], voice[order]
    # Of those that start together the longest, which comes first, stays.
    again = (np.diff(voice) == 0) & (np.diff(notes["start"]) < 1e-6)
    keep = np.append(True, ~again)
    notes, voice = notes[keep], voice[keep]
    until_next = np.where(np.diff(voice) == 0, np.diff(notes["start"]), np.inf)
    notes["duration"][:-1] = np.minimum(notes["duration"][:-1], until_next)
    return notes[np.lexsort((notes["drum"], notes["pitch"], notes["program"], notes["start"]))]


def _events_between(events: tuple, start: float, end: float) -> tuple:
    """Events of [start, end) moved by -start, the one in force at `start` first."""
    before = [value for time, value in events if time <= start + 1e-6]
    inside = [(time - start, value) for time, value in events if start + 1e-6 < time < end - 1e-6]
    return tuple([(0.0, value) for value in before[-1:]] + inside)


def _joined(first: tuple, second: tuple, offset: float) -> tuple:
    joined = [event for event in first if event[0] < offset - 1e-6]
    for time, value in second:
        if not joined or joined[-1][1] != value:
            joined.append((time + offset, value))
    return tuple(joined)


def _first_at_zero(events: dict, default) -> tuple:
    """Events sorted by time without repetitions, with `default` at 0 if none stands there."""
    kept = [(0.0, default)] if 0.0 not in events else []
    for time, value in sorted(events.items()):
        kept.append((time, value))
    return tuple(kept)


def _plain_tempo(microseconds: int) -> float:
    """The shortest decimal that MIDI would store as this many microseconds a quarter: 68.0 for 882353."""
    for digits in range(8):
        tempo = round(60e6 / microseconds, digits)
        if tempo > 0 and round(60e6 / tempo) == microseconds:
            return tempo
    return 60e6 / microseconds


def _read_midi(path: Path) -> symusic.Score:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"There is no file {str(path)!r}; give the path of a MIDI file.") from None
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    if not data:
        raise ValueError(f"{str(path)!r} is empty, so it is not a MIDI file.")
    if data[:4] != b"MThd":
        raise ValueError(f"{str(path)!r} is not a MIDI file: it does not begin with MThd.")
    try:
        midi = symusic.Score.from_midi(data)
    except RuntimeError as error:  # symusic's only error; its text names a cursor, which helps nobody
        raise ValueError(f"{str(path)!r} is a damaged or truncated MIDI file.") from error
    declared, found = int.from_bytes(data[10:12], "big"), data.count(b"MTrk")
    if found < declared:  # cut between two tracks, which symusic does not notice
        raise ValueError(f"{str(path)!r} is truncated: it has {found} of its {declared} MIDI tracks.")
    return midi


def _notes_of(midi: symusic.Score, tpq: int) -> np.ndarray:
    parts = [np.empty(0, NOTE)]
    for track in midi.tracks:
        columns = track.notes.numpy()
        part = np.empty(len(columns["time"]), NOTE)
        part["start"] = columns["time"] / tpq
        part["duration"] = columns["duration"] / tpq
        part["pitch"], part["velocity"] = columns["pitch"], columns["velocity"]
        part["program"], part["drum"] = track.program, track.is_drum
        parts.append(part)
    notes = np.concatenate(parts)
    return tidy_notes(notes[notes["pitch"] >= 0])  # symusic reads a faulty data byte above 127 as a negative pitch


def _signature_of(midi: symusic.Score) -> Key | None:
    if not midi.key_signatures:
        return None
    first = min(midi.key_signatures, key=lambda event: event.time)
    tonic = first.key * 7 % 12
    return Key((tonic + 9) % 12, "minor") if first.tonality else Key(tonic, "major")


def _read_markers(midi: symusic.Score, tpq: int) -> tuple[Key | None, tuple[tuple[float, Chord], ...]]:
    markers = sorted(midi.markers, key=lambda event: event.time)
    at = next((i for i, event in enumerate(markers) if event.text.split(",")[0] == OWN_MARKER), None)
    if at is None:
        return None, ()
    _, _, key = markers[at].text.partition(", ")
    chords = tuple((e.time / tpq, Chord.parse(e.text)) for i, e in enumerate(markers) if i != at)
    return (Key.parse(key) if key else None), chords
