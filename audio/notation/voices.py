"""Notes that sound at once as voices of a staff: in each one chord or rest after another.

Knows ticks and pitches. Does not know bars, note values or files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

MOST_VOICES = 4  # on a staff; more cannot be told apart, and programs that read them do not


@dataclass(frozen=True)
class Struck:
    """A note of a chord: its MIDI pitch and velocity, and whether it is tied to the same pitch before and after."""

    pitch: int
    velocity: int
    tied_in: bool = False
    tied_out: bool = False


@dataclass(frozen=True)
class Chordal:
    """Notes that begin and end together, from tick `start` to `end`."""

    start: int
    end: int
    notes: tuple[Struck, ...]

    @property
    def height(self) -> float:
        """The mean of its pitches."""
        return sum(note.pitch for note in self.notes) / len(self.notes)

    def cut(self, at: int) -> tuple[Chordal, Chordal]:
        """Its two parts, tied together."""
        before = tuple(replace(note, tied_out=True) for note in self.notes)
        after = tuple(replace(note, tied_in=True) for note in self.notes)
        return Chordal(self.start, at, before), Chordal(at, self.end, after)


Voice = list[Chordal]


def voices_of(notes: Iterable[tuple[int, int, int, int]]) -> list[Voice]:
    """Voices, the highest first, of notes (start, end, pitch, velocity); at most `MOST_VOICES`.

    Notes that begin and end together are a chord. A chord goes on with the voice that is free and nearest in pitch.
    What needs more voices is cut where the others change, and tied.
    """
    together: dict[tuple[int, int], dict[int, int]] = {}
    for start, end, pitch, velocity in notes:
        at = together.setdefault((start, end), {})
        at[pitch] = max(velocity, at.get(pitch, 0))
    chords = [
        Chordal(start, end, tuple(Struck(pitch, velocity) for pitch, velocity in sorted(pitches.items())))
        for (start, end), pitches in together.items()
    ]
    voices: list[Voice] = []
    for chord in sorted(chords, key=lambda each: (each.start, -each.height, -each.end)):
        free = [voice for voice in voices if voice[-1].end <= chord.start]
        if free:
            min(free, key=lambda voice: abs(voice[-1].height - chord.height)).append(chord)
        else:
            voices.append([chord])
    voices.sort(key=lambda voice: -sum(chord.height for chord in voice) / len(voice))
    if len(voices) > MOST_VOICES:
        voices = [
            *voices[: MOST_VOICES - 1],
            _merged([chord for voice in voices[MOST_VOICES - 1 :] for chord in voice]),
        ]
    return voices


def _merged(chords: list[Chordal]) -> Voice:
    """Chords that overlap as one voice, cut wherever any of them begins or ends."""
    marks = sorted({mark for chord in chords for mark in (chord.start, chord.end)})
    merged = []
    waiting = sorted(chords, key=lambda chord: chord.start)
    sounding: list[Chordal] = []
    for start, end in pairwise(marks):
        while waiting and waiting[0].start == start:
            sounding.append(waiting.pop(0))
        sounding = [chord for chord in sounding if chord.end > start]
        found: dict[int, Struck] = {}
        for chord in sounding:
            for note in chord.notes:
                tied = replace(note, tied_in=chord.start < start, tied_out=chord.end > end)
                found.setdefault(note.pitch, tied)
        if found:
            merged.append(Chordal(start, end, tuple(found[pitch] for pitch in sorted(found))))
    return merged
