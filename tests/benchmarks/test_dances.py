"""What `benchmarks/dances.py` finds in songs whose form, metre and end are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.score import NOTE, Score

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import dances
from composers import Request
from corpus import Song
from readings import Reading, printed

A = [(74, 76, 78, 79, 81, 83), (81, 79, 78, 76, 74, 73), (71, 73, 74, 76, 78, 79), (76, 74, 73, 71, 69, 71)]
B = [(86, 85, 83, 81, 79, 78), (79, 81, 83, 85, 86, 88), (83, 81, 79, 78, 76, 74), (85, 83, 81, 79, 78, 76)]


def jig(bars, last=74, tempo=170.0):
    """A jig of eighths whose last bar is one dotted half."""
    notes = [
        (bar * 3 + place / 2, 0.5, pitch, 80, 110, False)
        for bar, six in enumerate(bars[:-1])
        for place, pitch in enumerate(six)
    ]
    notes.append(((len(bars) - 1) * 3.0, 3.0, last, 80, 110, False))
    made = np.array(notes, NOTE)
    return Score(made, ((0.0, tempo),), ((0.0, (6, 8)),), key=Key.parse("D major"))


def request(words="irish jig"):
    return Request("jig", "a", words, 1)


def test_a_jig_is_one():
    found = dances.checked(jig(A + A + B + B), request())
    assert found == dict.fromkeys(("metre", "tempo", "AABB", "on the tonic", "long last note"), True)


@pytest.mark.parametrize(
    ("bars", "is_so"), [(A + A + B + B, True), (A + B + A + B, False), (A + A + A + A, False), (A + B, False)]
)
def test_two_parts_come_twice(bars, is_so):
    assert dances.parts_return(Reading(jig(bars))) == is_so


def test_what_is_wrong_is_found():
    assert not dances.checked(jig(A + A + B + B, last=76), request())["on the tonic"]
    assert not dances.checked(jig(A + A + B + B, tempo=90.0), request())["tempo"]
    assert not dances.checked(jig(A + A + B + B), Request("reel", "a", "reel", 1))["metre"]


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(ValueError, match="holds none of the dances; name a --model"):
        dances.measured([], [request()], tmp_path)


def test_a_tune_is_printed_with_each_part_once():
    first, second = A + B, B + A
    song = Song(jig(first + first[:7] + second[:1] + second + second), "jig", "a")  # a second ending
    once = printed(song).score
    expected = jig(first[:7] + second[:1] + second)
    assert once.notes["pitch"].tolist() == expected.notes["pitch"].tolist()
    assert np.allclose(once.notes["start"], expected.notes["start"])
    assert np.array_equal(printed(Song(song.score, "waltz", "a")).score.notes, once.notes)
    assert printed(Song(song.score, "romantic", "a")).score is song.score
    phrases = Song(jig(A + A + B + B), "jig", "a")  # phrases of four bars are no parts
    assert printed(phrases).score is phrases.score
