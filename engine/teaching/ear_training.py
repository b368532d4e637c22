"""Ear training: intervals, chords, cadences and metres to be told by ear, at three levels.

Knows how to make such exercises out of notes. What their answers are by the notes alone is `checking`'s, and every
exercise is checked by it before it is given.
"""

from __future__ import annotations

import random

from clavilux.audio.harmony import QUALITIES, Chord, Key
from clavilux.audio.score import Score
from clavilux.audio.theory.cadences import DECEPTIVE, HALF, PERFECT, PLAGAL
from clavilux.teaching import checking, examples
from clavilux.teaching.lesson import Exercise, Sound
from clavilux.teaching.song_words import CADENCES, INTERVALS, chord_kind

_INTERVALS_OF = {1: (2, 4, 7, 12), 2: (2, 3, 4, 5, 7, 9, 12), 3: (1, 3, 6, 8, 9, 10, 11)}
_LIKE = {
    0: "one note twice", 1: "a shark's two notes", 2: "the first two notes of a scale", 3: "a playground call",
    4: "the first notes of a fanfare", 5: "a hunting horn's leap", 6: "half an octave, which belongs nowhere",
    7: "open strings of a violin", 8: "one step more than a fifth", 9: "a waltz's sigh upwards",
    10: "two fourths on top of each other", 11: "a half step short of the octave", 12: "the same note, higher",
}  # fmt: skip
_CHORDS_OF = {1: ("maj", "min"), 2: ("maj", "min", "dim", "7"), 3: ("maj7", "7", "min7", "dim7", "hdim7")}
_SOUNDS = {
    "maj": "a major third below a minor one", "min": "a minor third below a major one", "dim": "two minor thirds",
    "aug": "two major thirds", "7": "a major triad with a minor seventh", "maj7": "a major triad with a major seventh",
    "min7": "a minor triad with a minor seventh", "dim7": "three minor thirds",
    "hdim7": "a diminished triad with a minor seventh", "sus4": "a fourth that waits for the third",
}  # fmt: skip
_CADENCES_OF = {1: (PERFECT, HALF), 2: (PERFECT, HALF, PLAGAL), 3: (PERFECT, HALF, PLAGAL, DECEPTIVE)}
_METRES_OF = {1: ((2, 4), (3, 4)), 2: ((2, 4), (3, 4), (4, 4)), 3: ((3, 4), (4, 4), (5, 4), (6, 8))}
_METRE_WORDS = {
    (2, 4): "one low note, one chord", (3, 4): "one low note, two chords", (4, 4): "one low note, three chords",
    (5, 4): "one low note, four chords", (6, 8): "two low notes a bar, each with two quick chords behind it",
}  # fmt: skip


def exercises(key: Key, seed: int, *, program: int = examples.PIANO) -> list[Exercise]:
    """Two intervals, two chords, a cadence and a metre of each level.

    Args:
        key: in which cadences are played.
        seed: the same seed gives the same exercises.
        program: the General MIDI program that plays intervals and cadences.
    """
    rng = random.Random(seed)
    found: list[Exercise] = []
    for level in (1, 2, 3):
        sizes = rng.sample(_INTERVALS_OF[level], 2)
        found += [interval(rng, level, size, program) for size in sizes]
        found += [chord(rng, level, quality) for quality in rng.sample(_CHORDS_OF[level], 2)]
        found.append(cadence(level, rng.choice(_CADENCES_OF[level]), key, program))
        found.append(metre(rng, level, rng.choice(_METRES_OF[level]), key))
    return [checking.checked(each) for each in found]


def interval(rng: random.Random, level: int, size: int, program: int = examples.PIANO) -> Exercise:
    """Two notes; upwards one after the other at the first levels, together at the third."""
    low = rng.randint(55, 67)
    together = level == 3
    rows = [(0.0, 1.9 if together else 0.95, low), (0.0 if together else 1.0, 1.9, low + size)]
    score = examples.score_of(rows, 72.0, program)
    others = [each for each in _INTERVALS_OF[level] if each != size]
    chosen = sorted([size, *rng.sample(others, 3)])
    heard = "together" if together else "one after the other"
    return Exercise(
        "intervals", level, f"Two notes, {heard}. Which interval is it?", tuple(INTERVALS[each] for each in chosen),
        INTERVALS[size], f"It spans {size} half {'step' if size == 1 else 'steps'}: {_LIKE[size]}.",
        (_sound("interval", score),), score=score, given={"semitones": size},
    )  # fmt: skip


def chord(rng: random.Random, level: int, quality: str) -> Exercise:
    """A chord, its notes one by one and then together."""
    root = rng.randint(53, 64)
    pitches = [root + interval for interval in QUALITIES[quality]]
    rows = [(index * 0.5, 0.5, pitch) for index, pitch in enumerate(pitches)]
    start = len(pitches) * 0.5
    rows += [(start, 2.5, pitch) for pitch in pitches]
    score = examples.score_of(rows, 84.0)
    choices = tuple(chord_kind(each) for each in _CHORDS_OF[level])
    return Exercise(
        "chords", level, "A chord, note by note and then together. What kind is it?", choices, chord_kind(quality),
        f"It is made of {_SOUNDS[quality]}.", (_sound("chord", score),), score=score,
        given={"from": start, "root": root % 12},
    )  # fmt: skip


def cadence_chords(kind: str, key: Key) -> list[Chord]:
    """Four chords that close in this way."""
    minor = key.mode == "minor"
    home = key.home
    four, five = Chord((key.tonic + 5) % 12, home.quality), Chord((key.tonic + 7) % 12, "maj")
    six = Chord((key.tonic + (8 if minor else 9)) % 12, "maj" if minor else "min")
    return {
        PERFECT: [home, four, five, home],
        HALF: [home, four, home, five],
        PLAGAL: [home, five, four, home],
        DECEPTIVE: [home, four, five, six],
    }[kind]


def cadence_score(kind: str, key: Key, program: int = examples.PIANO) -> Score:
    """Such chords with the tonic, the leading note and the tonic on top where the phrase closes at home."""
    chords = cadence_chords(kind, key)
    tonic = 60 + key.tonic + (12 if key.tonic < 4 else 0)
    rows = []
    for index, each in enumerate(chords):
        classes = [(each.root + interval) % 12 for interval in QUALITIES[each.quality]]
        top = _soprano(classes, tonic)
        low = 36 + each.root + (12 if each.root < 5 else 0)
        middle = sorted(top - (top - pitch) % 12 for pitch in classes if pitch != top % 12)
        length = 4.0 if index == len(chords) - 1 else 2.0
        rows += [(index * 2.0, length * 0.97, pitch) for pitch in (low, *middle, top)]
    return examples.score_of(rows, 76.0, program)


def _soprano(classes: list[int], tonic: int) -> int:
    """The tonic where the chord has it, else the note of the chord that lies nearest to it."""
    reach = sorted(range(tonic - 6, tonic + 6), key=lambda pitch: (abs(pitch - tonic), -pitch))
    return next(pitch for pitch in reach if pitch % 12 in classes)


def cadence(level: int, kind: str, key: Key, program: int = examples.PIANO) -> Exercise:
    """Four chords; how do they close?"""
    score = cadence_score(kind, key, program)
    return Exercise(
        "cadences", level, f"A short phrase in {key}. How does it close?", _CADENCES_OF[level], kind,
        f"{CADENCES[kind].capitalize()}.", (_sound("cadence", score),), score=score, given={"key": str(key)},
    )  # fmt: skip


def metre_score(metre: tuple[int, int], key: Key, tempo: float, bars: int = 4) -> Score:
    """A bass note on each strong beat, chords on the others, I and V in turn."""
    numerator, denominator = metre
    unit = 4.0 / denominator
    chords = [key.home, Chord((key.tonic + 7) % 12, "7")]
    rows: list[tuple[float, float, int]] = []
    for bar in range(bars):
        bass, *upper = examples.voiced([chords[bar % 2 if bar < bars - 1 else 0]])[0]
        for step in range(numerator):
            at = (bar * numerator + step) * unit
            strong = step % 3 == 0 if denominator == 8 else step == 0
            rows += [(at, unit * 0.9, bass)] if strong else [(at, unit * 0.5, pitch) for pitch in upper]
    return examples.score_of(rows, tempo, metre=metre)


def metre(rng: random.Random, level: int, answer: tuple[int, int], key: Key) -> Exercise:
    """Four bars; how many beats do they have?"""
    tempo = rng.choice((112.0, 126.0, 138.0))
    score = metre_score(answer, key, tempo)
    return Exercise(
        "metre", level, "Count from low note to low note. Which metre is it?",
        tuple("{}/{}".format(*each) for each in _METRES_OF[level]), "{}/{}".format(*answer),
        f"You hear {_METRE_WORDS[answer]}.", (_sound("metre", score),), score=score,
    )  # fmt: skip


def _sound(name: str, score: Score) -> Sound:
    return Sound(name, "Listen:", examples.clip_of(score))
