"""The mark in aria's scores: found in a MIDI file, after edits, and not where it is not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import clavilux
from clavilux.audio.score import NOTE, Score
from clavilux.families.aria.chances import UNKNOWN, note_chances
from clavilux.mark_key import PUBLIC
from clavilux.marking import Place
from clavilux.provenance.mark_scores import find_in_parts, find_in_score, marked_notes


@pytest.fixture(scope="module")
def songs():
    model = clavilux.load("aria")
    asked = {"seconds": 30, "seed": 5, "temperature": 1.05}
    return [model.generate("string quartet in D", mark=mark, **asked) for mark in (True, False)]


def test_a_marked_score_is_found_in_its_midi_file_and_after_edits(songs, tmp_path):
    marked, plain = songs
    assert marked.receipt["mark"] == {"key": PUBLIC.id} and plain.receipt["mark"] == "none"
    marked.save(tmp_path / "song.mid")
    score = Score.from_midi(tmp_path / "song.mid")
    assert find_in_score(score, PUBLIC).p < 1e-6
    moved = score.notes.copy()
    moved["pitch"] += 3
    assert find_in_score(replace(score, notes=moved), PUBLIC).p < 1e-6
    fewer = score.notes[np.arange(len(score.notes)) % 4 != 0]
    assert find_in_score(replace(score, notes=fewer), PUBLIC).p < 1e-3
    assert find_in_score(replace(score, tempos=((0.0, 61.0),)), PUBLIC).p < 1e-6
    assert find_in_score(score.slice(score.bar_starts()[2], score.length), PUBLIC).p < 1e-3


def test_an_unmarked_score_is_not(songs):
    assert find_in_score(songs[1].score, PUBLIC).p > 1e-3


def test_the_environment_without_a_mark_is_a_call_without_one(songs):
    again = clavilux.load("aria").generate("string quartet in D", seconds=30, seed=5, temperature=1.05)
    assert again.receipt["mark"] == "none" and np.array_equal(again.tokens, songs[1].tokens)


def test_places_are_onsets_programs_and_ranks():
    notes = np.array(
        [(0.5, 1, 64, 90, 0, False), (0.5, 1, 60, 90, 0, False), (0.5, 1, 50, 90, 32, False),
         (1.02, 1, 60, 90, 0, False), (2, 1, 35, 90, 0, True), (3 + 2 / 3, 1, 61, 90, 0, False)],
        dtype=NOTE,
    )  # fmt: skip
    found = marked_notes(Score(notes), np.array([1.0, 0.5, 0.25, 0.5, 0.5, 0.01]))
    assert found.groups == [0, 4, 2, 1]  # one lies beside the grid, one is a drum's
    assert found.places == [Place(12, 0, 0), Place(12, 0, 1), Place(12, 32, 0), Place(88, 0, 0)]
    assert found.weights == [0.0, 1.0, 3.0, 4.0]  # notes stand by pitch in a score: 50, 60, 64; the last is capped
    assert marked_notes(Score(notes), straight=True).places[-1] == Place(84, 0, 0)


def test_the_melody_of_a_band_is_found_among_its_players():
    """What the arranger plays was not drawn, and says nothing of a mark."""
    model = clavilux.load("aria")
    asked = {"seconds": 100, "seed": 2, "tempo": 200}
    marked, plain = (model.generate("country", mark=mark, **asked).score for mark in (True, False))
    chances_of = partial(note_chances, model.family)
    assert find_in_parts(marked, [PUBLIC], chances_of)[0].p < 1e-4 < find_in_score(marked, PUBLIC).p
    assert find_in_parts(plain, [PUBLIC], chances_of)[0].p > 1e-3


def test_an_empty_score_is_no_evidence():
    found = find_in_score(Score(np.empty(0, NOTE)), PUBLIC)
    assert found.p == 1 and found.tokens == 0


def test_what_the_composer_held_of_each_note_makes_a_mark_plainer(songs):
    marked = songs[0].score
    chances = note_chances(clavilux.load("aria").family, marked)
    assert chances.shape == marked.notes.shape and (chances > 0).all() and (chances <= 1).all()
    assert (chances > 0.9).any() and (chances < 0.2).any()  # hardly a choice here, a large one there
    blind, seeing = (find_in_score(marked, PUBLIC, each).p for each in (None, chances))
    assert seeing < blind / 10
    # The composer reads in C, whatever the key is: D and F come there in the same octave.
    assert np.allclose(note_chances(clavilux.load("aria").family, marked.transposed(3)), chances, atol=1e-3)


def test_chances_of_what_no_token_can_say():
    notes = np.array([(0.0, 1, 60, 90, 0, False), (1.0, 1, 40, 90, 0, True)], dtype=NOTE)
    odd = Score(notes, metres=((0.0, (7, 8)),))
    assert note_chances(clavilux.load("aria").family, odd).tolist() == [UNKNOWN, 1.0]
    assert find_in_score(odd, PUBLIC, np.ones(2)).p == 1  # without a choice there is no evidence
