"""Sound examples: bars of a song, the same bars changed, chords and scales, as scores and as sound.

Knows scores. Does not know what they are examples of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clavilux.audio.clip import Audio
from clavilux.audio.harmony import QUALITIES, Chord, Key
from clavilux.audio.melodies import top_line
from clavilux.audio.notes import CONTROL, PART_NOTE
from clavilux.audio.score import Score
from clavilux.audio.synth import render_score

PIANO, WOODBLOCK = 0, 115
CLICK_HIGH, CLICK_LOW = 76, 77  # General MIDI's wood blocks, of the drum channel
RATE = 32000  # Hz; up to 16 kHz is heard, and a page is made in two thirds of the time
LONGEST_S = 14.0  # of an example of several bars
_TAIL_S = 1.2  # that rings on after an example


def clip_of(score: Score) -> Audio:
    """A score's sound, ringing on for a moment."""
    last = float(score.seconds_at((score.notes["start"] + score.notes["duration"]).max(initial=0.0)))
    return Audio(render_score(score, RATE, last + _TAIL_S), RATE, score=score)


def cut(score: Score) -> Score:
    """Its first `LONGEST_S` seconds."""
    until = float(score.quarters_at(LONGEST_S))
    return score if until >= score.length else score.slice(0, until)


def notes_of(rows: Sequence[tuple[float, float, int]], program: int = PIANO, velocity: int = 80) -> np.ndarray:
    """(start, duration, pitch) in quarters as `PART_NOTE` records."""
    notes = np.zeros(len(rows), PART_NOTE)
    for index, (start, duration, pitch) in enumerate(rows):
        notes[index] = (start, duration, pitch, velocity, program, False, 0)
    return notes


def score_of(rows: Sequence[tuple[float, float, int]], tempo: float = 80.0, program: int = PIANO,
             metre: tuple[int, int] = (4, 4)) -> Score:  # fmt: skip
    """The same as a score."""
    return Score(notes_of(rows, program), ((0.0, tempo),), ((0.0, metre),))


def clicks(times: Sequence[tuple[float, bool]], tempo: float, metre: tuple[int, int]) -> Score:
    """Wood blocks at (quarter, accented)."""
    notes = np.zeros(len(times), PART_NOTE)
    for index, (time, accented) in enumerate(times):
        notes[index] = (time, 0.25, CLICK_HIGH if accented else CLICK_LOW, 115 if accented else 70, 0, True, 0)
    return Score(notes, ((0.0, tempo),), ((0.0, metre),))


def voiced(chords: Sequence[Chord], *, center: int = 62) -> list[list[int]]:
    """Chords as pitches: the bass below C4, the other notes near those of the chord before and around `center`."""
    found: list[list[int]] = []
    before: list[int] = [center - 2, center + 2, center + 6]
    for chord in chords:
        classes = [(chord.root + interval) % 12 for interval in QUALITIES[chord.quality]]
        low = chord.root if chord.bass is None else chord.bass
        bass = 36 + (low - 0) % 12
        bass += 12 if bass < 41 else 0
        upper = _nearest(classes, before)
        found.append([bass, *upper])
        before = upper
    return found


def _nearest(classes: list[int], before: list[int]) -> list[int]:
    """A close spacing of these pitch classes that moves least from the notes before."""
    best: tuple[float, list[int]] | None = None
    middle = float(np.mean(before))
    for lowest in range(52, 68):
        if lowest % 12 not in classes:
            continue
        pitches = sorted(lowest + (each - lowest) % 12 for each in classes)
        moved = abs(float(np.mean(pitches)) - middle) + 0.3 * abs(pitches[-1] - before[-1])
        moved += 0.4 * abs(float(np.mean(pitches)) - 62)
        if best is None or moved < best[0]:
            best = (moved, pitches)
    assert best is not None, "a pitch class has a pitch in every octave"
    return best[1]


def chords_played(chords: Sequence[Chord], quarters: float = 2.0, tempo: float = 80.0, program: int = PIANO) -> Score:
    """Chords one after another, the last one twice as long."""
    rows = []
    for index, pitches in enumerate(voiced(chords)):
        length = quarters * (2 if index == len(chords) - 1 else 1)
        rows += [(index * quarters, length * 0.96, pitch) for pitch in dict.fromkeys(pitches)]
    score = score_of(rows, tempo, program)
    return replace(score, chords=tuple((index * quarters, chord) for index, chord in enumerate(chords)))


def scale_played(key: Key, program: int = PIANO) -> Score:
    """A scale up over an octave, then the chord of its tonic; a minor one is harmonic, with the raised seventh."""
    steps = (0, 2, 4, 5, 7, 9, 11, 12) if key.mode == "major" else (0, 2, 3, 5, 7, 8, 11, 12)
    root = 60 + key.tonic if key.tonic <= 7 else 48 + key.tonic
    rows = [(index * 0.5, 0.5, root + step) for index, step in enumerate(steps)]
    third = 4 if key.mode == "major" else 3
    rows += [(4.0, 2.0, pitch) for pitch in (root - 12, root, root + third, root + 7)]
    return score_of(rows, 92.0, program)


def melody_alone(score: Score) -> Score:
    """The upper line of a score, on the instrument that plays most of it, without controllers."""
    line = top_line(score.notes[~score.notes["drum"]])
    return replace(score, notes=line, chords=(), controls=np.empty(0, CONTROL))


def without(score: Score, chosen: np.ndarray) -> Score:
    """A score without the notes that are chosen (bool [n])."""
    return replace(score, notes=score.notes[~chosen])


def seventh_notes(score: Score) -> np.ndarray:
    """Which notes are the seventh of the chord that they begin under: bool [n]."""
    marked = np.zeros(len(score.notes), dtype=bool)
    for (begin, chord), (end, _) in zip(score.chords, [*score.chords[1:], (score.length, None)], strict=True):
        intervals = QUALITIES[chord.quality]
        if len(intervals) < 4:
            continue
        seventh = (chord.root + intervals[3]) % 12
        inside = (score.notes["start"] >= begin - 1e-6) & (score.notes["start"] < end - 1e-6)
        marked |= inside & ~score.notes["drum"] & (score.notes["pitch"] % 12 == seventh)
    return marked


def in_other_mode(score: Score, key: Key) -> Score:
    """The same notes in the key of the other mode on the same tonic: third, sixth and seventh are moved.

    In minor the seventh stays raised under a dominant, as it does in real minor pieces.
    """
    notes = score.notes.copy()
    pitched = ~notes["drum"]
    degree = (notes["pitch"] - key.tonic) % 12
    under = np.array([_chord_root_at(score, float(at)) for at in notes["start"]])
    dominant = (under - key.tonic) % 12 == 7
    if key.mode == "major":
        move = np.isin(degree, (4, 9)) | ((degree == 11) & ~dominant)
        notes["pitch"][pitched & move] -= 1
    else:
        move = np.isin(degree, (3, 8)) | ((degree == 10) & (under >= 0))
        notes["pitch"][pitched & move] += 1
    return replace(score, notes=notes, key=key.parallel, chords=(), signature=None)


def _chord_root_at(score: Score, quarter: float) -> int:
    before = [chord.root for at, chord in score.chords if at <= quarter + 1e-6]
    return before[-1] if before else -1
