"""Cadences in four voices that were written for them, and where phrases end."""

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score
from clavilux.audio.theory.cadences import find_cadences
from clavilux.audio.theory.harmony_reading import HarmonyReading

# Bass, tenor, alto, soprano of each quarter; the last one is held.
PHRASES = {
    "perfect authentic": ("C3 G3 E4 C5", "F3 A3 F4 C5", "G3 G3 D4 B4", "C3 G3 E4 C5"),
    "imperfect authentic": ("C3 G3 E4 C5", "F3 A3 F4 C5", "G3 B3 F4 D5", "C3 G3 C4 E5"),
    "half": ("C3 G3 E4 C5", "F3 A3 C4 A4", "C3 G3 E4 C5", "G3 G3 D4 B4"),
    "plagal": ("G3 G3 D4 B4", "C3 G3 E4 C5", "F3 A3 F4 C5", "C3 G3 E4 C5"),
    "deceptive": ("C3 G3 E4 C5", "F3 A3 F4 C5", "G3 G3 D4 B4", "A3 A3 E4 C5"),
}
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def pitch(name):
    return STEPS[name[0]] + 12 * (int(name[1]) + 1)


def phrase(chords, start=0.0):
    rows = []
    for index, chord in enumerate(chords):
        length = 4.0 if index == len(chords) - 1 else 1.0
        rows += [(start + index, length, pitch(name), 80, 19, False, part) for part, name in enumerate(chord.split())]
    return np.array(rows, dtype=PART_NOTE)


@pytest.mark.parametrize("kind", PHRASES)
@pytest.mark.parametrize("moved", [0, 3, 7])
def test_each_kind_is_found_at_the_end_in_any_key(kind, moved):
    score = Score(phrase(PHRASES[kind]), key=Key(0, "major")).transposed(moved)
    (found,) = find_cadences(HarmonyReading(score))
    assert found.kind == kind and found.final and found.quarter == 3.0 and found.key == Key(moved, "major")


def test_phrases_that_follow_each_other_are_told_apart_by_their_long_notes():
    kinds = ("half", "deceptive", "perfect authentic")
    notes = np.concatenate([phrase(PHRASES[kind], 8.0 * index) for index, kind in enumerate(kinds)])
    notes["duration"][notes["duration"] > 3.9] = 5.0  # to the next phrase, without a rest
    found = find_cadences(HarmonyReading(Score(notes, key=Key(0, "major"))))
    assert [each.kind for each in found] == list(kinds)
    assert [each.bar for each in found] == [1, 3, 5] and [each.final for each in found] == [False, False, True]


def test_an_inverted_dominant_is_no_full_stop():
    chords = list(PHRASES["perfect authentic"])
    chords[2] = "B3 G4 D4 B4"
    (found,) = find_cadences(HarmonyReading(Score(phrase(chords), key=Key(0, "major"))))
    assert found.kind == "imperfect authentic"


def test_a_last_chord_that_is_struck_twice_is_still_a_full_stop():
    chords = [*PHRASES["perfect authentic"][:3], "C3 G3 E4 C5", "C3 G3 E4 C5"]
    (found,) = find_cadences(HarmonyReading(Score(phrase(chords), key=Key(0, "major"))))
    assert found.kind == "perfect authentic"


def test_a_subdominant_before_a_six_four_chord_is_no_amen():
    chords = ("C3 G3 E4 C5", "F3 A3 F4 C5", "F3 A3 F4 C5", "G3 G3 E4 C5")
    assert not find_cadences(HarmonyReading(Score(phrase(chords), key=Key(0, "major"))))


def test_a_six_four_chord_belongs_to_the_dominant_that_follows_it():
    chords = ("F3 A3 F4 A4", "G3 G3 E4 C5", "G3 G3 D4 B4", "C3 G3 E4 C5")
    score = Score(phrase(chords), key=Key(0, "major"), metres=((0.0, (1, 4)),))
    spans = HarmonyReading(score).spans
    assert [(span.function.numeral, span.function.role) for span in spans] == [
        ("IV", "subdominant"), ("I6/4", "dominant"), ("V", "dominant"), ("I", "tonic"),
    ]  # fmt: skip


def test_a_melody_alone_closes_without_a_bass():
    rows = [(i, 1.0, p, 80, 73, False, 0) for i, p in enumerate((60, 64, 67, 64, 65, 62, 59, 62))] + [
        (8, 4.0, 60, 80, 73, False, 0)
    ]
    found = find_cadences(HarmonyReading(Score(np.array(rows, dtype=PART_NOTE), key=Key(0, "major"))))
    assert [each.kind for each in found] == ["authentic"]


def test_drums_alone_have_no_harmony():
    with pytest.raises(ValueError, match="no notes with a pitch"):
        HarmonyReading(Score(np.array([(0, 1, 38, 90, 0, True, 0)], dtype=PART_NOTE)))
