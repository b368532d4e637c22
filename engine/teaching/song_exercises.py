"""Exercises on the song at hand: what a chord does, which part is heard, harmonise a melody, continue a phrase.

Knows what was read of a song, and a model that writes bars anew. Does not know ear training in general.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio.arranging.harmonizer import harmonize
from clavilux.audio.clip import Audio
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.synth import render_score
from clavilux.audio.theory.functions import DOMINANT, SUBDOMINANT, TONIC
from clavilux.teaching import checking, ear_training, examples
from clavilux.teaching import song_words as words
from clavilux.teaching.drawings import pitch_name
from clavilux.teaching.lesson import Exercise, Section, Sound, Table
from clavilux.teaching.song_facts import SongFacts

if TYPE_CHECKING:
    from clavilux.music_model import MusicModel

_CALL_BARS = 2  # that are heard, and as many that go on from them
_CHOICES = 3
_CLEARLY = 0.15  # of a bar's time that a right chord holds more than a wrong one
_WHICH = ("the first", "the second", "the third")


def exercise_sections(facts: SongFacts, model: MusicModel | None, seed: int, remarks: list[str]) -> list[Section]:
    """Ear training, then exercises on the song; what could not be made is said in `remarks`."""
    program = next((each.program for each in facts.players if each.program >= 0), examples.PIANO)
    rng = random.Random(seed)
    own = [*functions_heard(facts, rng), *parts_heard(facts, rng), *harmonise(facts, rng)]
    if model is not None:
        try:
            own += continuations(facts, model, seed)
        except ValueError as error:
            remarks.append(f"there is no phrase to continue: {error}")
    ears = ear_training.exercises(facts.reading.key, seed, program=program)
    own.sort(key=lambda each: each.level)
    return [Section("Train your ear", tuple(ears)), Section("Work with this piece", tuple(own))]


def functions_heard(facts: SongFacts, rng: random.Random) -> list[Exercise]:
    """Up to two chords of the piece: what do they do?"""
    roles = (TONIC, SUBDOMINANT, DOMINANT)
    if facts.implied:
        return []
    found: list[Exercise] = []
    for role in rng.sample(roles, 3):
        spans = [
            span
            for span in facts.reading.spans
            if span.function.role == role
            and not span.function.target
            and span.end - span.start >= 0.9
            and "6/4" not in span.function.numeral
        ]
        if not spans or len(found) == 2:
            continue
        span = rng.choice(spans[:24])
        begin = max(0.0, span.start - bar_quarters(facts.metre))
        score = facts.score.slice(begin, min(span.end, span.start + bar_quarters(facts.metre)))
        name, key = span.chord.name(facts.reading.key), facts.reading.key
        found.append(
            Exercise(
                "functions",
                2,
                f"The music stops in bar {span.bar}. What does the last chord do?",
                roles,
                role,
                f"It is {name}, {span.function.numeral} in {key}: {words.ROLES[role]}.",
                (Sound("chord in place", "Listen:", examples.clip_of(score)),),
                given={"chord": str(span.chord), "key": str(key)},
            )
        )
    return found


def parts_heard(facts: SongFacts, rng: random.Random) -> list[Exercise]:
    """Which part of the form is it? Only where there are two that sound apart."""
    names = list(dict.fromkeys(name.rstrip("'’ ") for name, _, _ in facts.sections))[:3]
    if len(names) < 2:
        return []
    answer = rng.choice(names)
    _, first, count = rng.choice([each for each in facts.sections if each[0].rstrip("'’ ") == answer])
    score = facts.bars(first, first + min(count, 3) - 1)
    return [
        Exercise(
            "form",
            1,
            "Listen to the parts of the form above again. Which of them begins here?",
            tuple(names),
            answer,
            f"These are bars {first} and following.",
            (Sound("part", "Listen:", examples.clip_of(score)),),
            given={"bar": first},
        )
    ]


def harmonise(facts: SongFacts, rng: random.Random) -> list[Exercise]:
    """A melody of four bars: which chord fits one of them, and then all of them."""
    first = _melody_bars(facts)
    if first is None:
        return []
    key, count = facts.reading.key, min(4, len(facts.reading.bars) - first + 1)
    part = facts.bars(first, first + count - 1)
    starts = part.bar_starts()
    line = examples.melody_alone(part)
    answer = harmonize(line.notes, [part.metre_at(float(at)) for at in starts], key)
    played = _with_chords(line, answer)
    by_bar = [
        [chord.name(key) for at, chord in answer if begin - 1e-6 <= at < end - 1e-6]
        for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), part.length], strict=True)
    ]
    held = "-"
    cells = []
    for names in by_bar:
        held = " ".join(names) or held
        cells.append(held)
    whole = Exercise(
        "harmony",
        3,
        f"Harmonise this melody: write a chord over each of its {count} bars (it is in {key}). Sing the "
        "melody over your chords before you look.",
        (),
        " | ".join(cells),
        "That is one answer of several: ours holds the notes on strong beats, goes from chord to chord as songs of "
        "this kind do, and ends at home.",
        (
            Sound("melody", f"The melody of bars {first} to {first + count - 1}:", examples.clip_of(line)),
            _names_of(line, key),
        ),
        (Sound("melody and chords", "With our chords:", examples.clip_of(played)),),
        given={"chords": [[at, str(chord)] for at, chord in answer], "key": str(key)},
    )
    return [*_one_bar(facts, line, answer, first, rng), whole]


def _melody_bars(facts: SongFacts) -> int | None:
    """The first bar of four in which a melody sounds in each."""
    bars, line = facts.reading.bars, facts.reading.melody
    index = np.searchsorted(bars, line["start"] + 1e-3, side="right")
    for first in range(1, max(2, len(bars) - 2)):
        counts = [(index == bar).sum() for bar in range(first, min(first + 4, len(bars) + 1))]
        if all(count >= 1 for count in counts) and sum(counts) >= 4:
            return first
    return None


def _names_of(line: Score, key: Key) -> Table:
    """The melody's notes by name, bar by bar."""
    starts = line.bar_starts()
    index = np.searchsorted(starts, line.notes["start"] + 1e-3, side="right")
    rows = [
        (str(bar), " ".join(pitch_name(int(pitch), key) for pitch in line.notes["pitch"][index == bar]))
        for bar in range(1, len(starts) + 1)
    ]
    return Table(("bar", "its notes"), tuple(rows))


def _one_bar(
    facts: SongFacts, line: Score, answer: list[tuple[float, Chord]], first: int, rng: random.Random
) -> list[Exercise]:
    """A bar in which one of three chords of the key holds more of the melody than the others."""
    key = facts.reading.key
    starts = line.bar_starts()
    ends = [*starts[1:].tolist(), line.length]
    for bar, (begin, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
        chosen = [chord for at, chord in answer if begin - 1e-6 <= at < end - 1e-6]
        part = line.slice(begin, end)
        if len(chosen) != 1 or not len(part.notes):
            continue
        held = checking.share_held(part.notes, chosen[0])
        minor = key.mode == "minor"
        usual = [
            (0, minor),
            (5, minor),
            (7, False),
            (9 if not minor else 8, not minor),
            (2 if not minor else 3, not minor),
        ]
        others = [Chord((key.tonic + degree) % 12, "min" if is_minor else "maj") for degree, is_minor in usual]
        wrong = [
            chord
            for chord in others
            if chord.root != chosen[0].root and checking.share_held(part.notes, chord) < held - _CLEARLY
        ]
        if len(wrong) < _CHOICES - 1 or held < 0.5:
            continue
        choices = [chosen[0], *rng.sample(wrong, _CHOICES - 1)]
        rng.shuffle(choices)
        # By plain names, so that a second reader of the answer needs no key to spell them in.
        names = tuple(str(chord) for chord in choices)
        exercise = Exercise(
            "harmony",
            2,
            f"Which of these chords fits bar {first + bar} of the melody best?",
            names,
            str(chosen[0]),
            f"It holds {held:.0%} of the bar's time; the other two hold less.",
            (Sound("bar", "Listen:", examples.clip_of(part)), _names_of(part, key)),
            (Sound("bar with its chord", "With the chord:", examples.clip_of(_with_chords(part, [(0.0, chosen[0])]))),),
            score=part,
        )
        return [checking.checked(exercise)]
    return []


def _with_chords(line: Score, chords: list[tuple[float, Chord]]) -> Score:
    """A melody over chords that are played softly below it."""
    voiced = examples.voiced([chord for _, chord in chords], center=57)
    ends = [*(at for at, _ in chords[1:]), line.length]
    rows = [
        (at, end - at, pitch)
        for (at, _), end, pitches in zip(chords, ends, voiced, strict=True)
        for pitch in dict.fromkeys(pitches)
    ]
    notes = np.concatenate([line.notes, examples.notes_of(rows, velocity=52)])
    return replace(line, notes=notes, chords=tuple(chords))


def continuations(facts: SongFacts, model: MusicModel, seed: int) -> list[Exercise]:
    """Two bars, and three ways to go on: the piece's own, and two that a model wrote under the same chords.

    Raises:
        ValueError: bars that the model cannot write.
    """
    bars = len(facts.reading.bars)
    if bars < 2 * _CALL_BARS:
        raise ValueError(f"the piece has {bars} bars, and {2 * _CALL_BARS} are needed")
    part = facts.bars(1, 2 * _CALL_BARS)
    cut = float(part.bar_starts()[_CALL_BARS])
    samples = render_score(part, examples.RATE, part.duration_s)
    whole = Audio(samples, examples.RATE, score=part)
    found: list[Score] = []
    for attempt in range(6):
        written = model.generate(
            "", continue_from=whole, regenerate=f"{_CALL_BARS + 1}-{2 * _CALL_BARS}", seed=seed + attempt
        ).score
        assert written is not None, "what writes bars anew writes notes"
        if all(_differs(written, other) for other in [part, *found]):
            found.append(written)
        if len(found) == _CHOICES - 1:
            break
    if len(found) < _CHOICES - 1:
        raise ValueError("the model writes these bars as they are")
    rng = random.Random(seed)
    order = [part, *found]
    rng.shuffle(order)
    place = next(index for index, each in enumerate(order) if each is part)
    shown = [Sound("call", "The first two bars:", examples.clip_of(part.slice(0, cut)))]
    shown += [
        Sound(f"answer {index}", f"{name.capitalize()} way on:", examples.clip_of(each))
        for index, (name, each) in enumerate(zip(_WHICH, order, strict=True), 1)
    ]
    sing = Exercise(
        "phrases",
        2,
        "Listen to the first two bars, and sing or play two more that answer them.",
        (),
        "There is no one answer.",
        "Below is how the piece itself goes on. Did yours come to rest where it does?",
        (shown[0],),
        (Sound("own answer", "The piece:", examples.clip_of(part)),),
    )
    pick = Exercise(
        "phrases",
        3,
        "Here are the two bars with three ways on. One is the piece's own; two were written by a machine "
        "for this page, under the same chords. Which is the piece's?",
        _WHICH,
        _WHICH[place],
        f"{_WHICH[place].capitalize()} one has the piece's notes. If you liked another better, that is an answer too.",
        tuple(shown[1:]),
        given={"place": place},
    )
    return [sing, pick]


def _differs(one: Score, other: Score) -> bool:
    return one.notes[["start", "pitch"]].tolist() != other.notes[["start", "pitch"]].tolist()
