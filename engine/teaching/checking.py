"""What the answer of an exercise is, by its notes alone: found again, not taken from how it was made.

Knows notes, intervals, chords and cadences. Does not know how exercises are made (`ear_training`, `song_exercises`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import chords_between
from clavilux.audio.score import Score
from clavilux.audio.theory.cadences import close_at, phrase_ends
from clavilux.audio.theory.harmony_reading import HarmonyReading
from clavilux.teaching.lesson import Exercise
from clavilux.teaching.song_words import INTERVALS, chord_kind


def checked(exercise: Exercise) -> Exercise:
    """The exercise, if its notes give its answer. RuntimeError otherwise: that would be a fault of this program."""
    found = answer_of(exercise)
    if found is not None and found != exercise.answer:
        raise RuntimeError(f"an exercise on {exercise.topic} says {exercise.answer!r}, and its notes say {found!r}")
    return exercise


def answer_of(exercise: Exercise) -> str | None:
    """The answer that an exercise's notes give; None where it is not one of notes."""
    if exercise.score is None:
        return None
    score = replace(exercise.score, chords=(), key=None)
    match exercise.topic:
        case "intervals":
            return INTERVALS[int(np.ptp(score.notes["pitch"]))]
        case "chords":
            return _kind_of(score, float(exercise.given["from"]))
        case "cadences":
            return _close_of(score, Key.parse(exercise.given["key"]))
        case "metre":
            return _metre_of(score)
        case "harmony":
            return _fitting(score, exercise)
    return None


def _kind_of(score: Score, start: float) -> str:
    pitches = np.unique(score.notes["pitch"][score.notes["start"] > start - 1e-6])
    found = chords_between(score, [(start, score.length)], Key(int(pitches[0]) % 12, "major"))[0]
    return "" if found is None else chord_kind(found.quality)


def _close_of(score: Score, key: Key) -> str:
    reading = HarmonyReading(replace(score, key=key))
    at, end = phrase_ends(reading)[-1]
    found = close_at(reading, at, end, final=True)
    return "" if found is None else found.kind


def _metre_of(score: Score) -> str:
    """From the distance of the single notes, which are the bass, and of the chords between them."""
    onsets, counts = np.unique(score.notes["start"], return_counts=True)
    low = onsets[counts == 1]
    unit = float(np.diff(onsets).min())
    beats = round(float(np.diff(low).min()) / unit)
    return f"{2 * beats}/8" if unit < 0.75 else f"{beats}/4"


def _fitting(score: Score, exercise: Exercise) -> str:
    """Of the chords to choose from, the one that holds most of the time that the melody sounds."""
    held = {choice: share_held(score.notes, Chord.parse(choice)) for choice in exercise.choices}
    return max(held, key=lambda choice: held[choice])


def share_held(notes: np.ndarray, chord: Chord) -> float:
    """The share of the notes' time, 0 to 1, in which they are notes of the chord."""
    inside = np.isin(notes["pitch"] % 12, list(chord.pitch_classes))
    return float(notes["duration"][inside].sum() / max(notes["duration"].sum(), 1e-9))
