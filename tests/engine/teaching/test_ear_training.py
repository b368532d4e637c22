"""Ear training: every answer by the notes alone, with arithmetic of its own that shares nothing with the makers."""

import random

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.teaching import checking, ear_training, examples
from clavilux.teaching.lesson import Exercise


@pytest.fixture(autouse=True)
def silent(monkeypatch):
    """Sound is not what is tested here, and takes a second an exercise."""
    monkeypatch.setattr(examples, "clip_of", lambda score: None)


def interval_by_arithmetic(score):
    low, high = sorted(int(pitch) for pitch in score.notes["pitch"])
    names = "unison,minor second,major second,minor third,major third,perfect fourth,tritone,perfect fifth,minor sixth"
    return [*names.split(","), "major sixth", "minor seventh", "major seventh", "octave"][high - low]


def chord_by_arithmetic(score):
    """The last chord's intervals above its lowest note."""
    last = score.notes["pitch"][score.notes["start"] == score.notes["start"].max()]
    above = tuple(sorted(int(pitch - last.min()) for pitch in last))
    return {
        (0, 4, 7): "major triad", (0, 3, 7): "minor triad", (0, 3, 6): "diminished triad",
        (0, 4, 7, 10): "dominant seventh", (0, 4, 7, 11): "major seventh", (0, 3, 7, 10): "minor seventh",
        (0, 3, 6, 9): "diminished seventh", (0, 3, 6, 10): "half-diminished seventh",
    }[above]  # fmt: skip


def cadence_by_arithmetic(score, key):
    """The bass of the last two chords, in degrees of the key."""
    starts = np.unique(score.notes["start"])
    bass = [int(score.notes["pitch"][score.notes["start"] == at].min()) for at in starts[-2:]]
    return {
        (7, 0): "perfect authentic", (0, 7): "half", (5, 0): "plagal", (7, 9): "deceptive", (7, 8): "deceptive",
    }[tuple((pitch - key.tonic) % 12 for pitch in bass)]  # fmt: skip


def metre_by_arithmetic(score):
    """A low note stands alone: count the onsets from one to the next."""
    onsets = sorted(set(score.notes["start"].tolist()))
    alone = [onset for onset in onsets if (score.notes["start"] == onset).sum() == 1]
    count = onsets.index(alone[1])
    return f"{count}/4" if onsets[1] == 1.0 else f"{2 * count}/8"


BY_ARITHMETIC = {"intervals": interval_by_arithmetic, "chords": chord_by_arithmetic, "metre": metre_by_arithmetic}


@pytest.mark.parametrize("seed", range(4))
def test_eighteen_exercises_a_seed_have_the_answers_of_a_second_method(seed):
    key = Key(seed * 5 % 12, ("major", "minor")[seed % 2])
    found = ear_training.exercises(key, seed)
    assert len(found) == 18
    for each in found:
        if each.topic == "cadences":
            second = cadence_by_arithmetic(each.score, key)
        else:
            second = BY_ARITHMETIC[each.topic](each.score)
        assert second == each.answer and each.answer in each.choices


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("kind", ["perfect authentic", "half", "plagal", "deceptive"])
def test_cadences_hold_in_every_key(kind, mode):
    for tonic in range(12):
        exercise = ear_training.cadence(3, kind, Key(tonic, mode))
        assert checking.answer_of(exercise) == kind == cadence_by_arithmetic(exercise.score, Key(tonic, mode))


def test_a_wrong_answer_is_noticed():
    right = ear_training.interval(random.Random(1), 1, 7)
    wrong = Exercise(right.topic, 1, right.question, right.choices, "octave", "", score=right.score)
    with pytest.raises(RuntimeError, match="its notes say 'perfect fifth'"):
        checking.checked(wrong)
