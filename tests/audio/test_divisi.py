"""Several players of one program share its notes: the highest is the first one's, and each has one at a time."""

import numpy as np
import pytest

from clavilux.audio.divisi import Divisi
from clavilux.audio.notes import PART_NOTE, tidy_notes


def notes_of(*rows, program=40, drum=False):
    return np.array([(start, length, pitch, 80, program, drum, 0) for start, length, pitch in rows], PART_NOTE)


def test_the_highest_of_a_chord_is_the_first_players():
    chords = notes_of((0, 1, 60), (0, 1, 72), (1, 1, 74), (1, 1, 62), (1, 1, 50))
    assert Divisi({40: 2}).divided(chords).tolist() == [1, 0, 0, 1, 1]
    assert Divisi({40: 3}).divided(chords).tolist() == [1, 0, 0, 1, 2]


def test_a_single_note_is_the_first_players_unless_he_alone_still_plays():
    divisi = Divisi({40: 2})
    assert divisi.divided(notes_of((0, 4, 70), (1, 1, 76), (2, 1, 65), (3, 2, 64))).tolist() == [0, 1, 1, 1]
    assert divisi.divided(notes_of((4, 4, 50), (4.5, 0.5, 80))).tolist() == [0, 1]  # both play, he until 5
    assert divisi.divided(notes_of((8, 1, 50))).tolist() == [0]


def test_a_pitch_that_sounds_is_struck_again_by_who_holds_it():
    divisi, bars = Divisi({40: 2}), [notes_of((0, 4, 70), (0, 5, 60)), notes_of((4, 1, 60), (4, 1, 72))]
    assert [divisi.divided(bar).tolist() for bar in bars] == [[0, 1], [1, 0]]
    held = notes_of((0, 8, 70), (1, 8, 60), (2, 1, 64), (3, 1, 70))
    held["part"] = Divisi({40: 2}).divided(held)
    assert held["part"].tolist() == [0, 1, 0, 0]
    assert tidy_notes(held)["duration"].tolist() == [3, 8, 1, 1]


def test_other_programs_and_drums_have_one_player():
    notes = np.concatenate([notes_of((0, 1, 60), (0, 1, 64), program=41), notes_of((0, 1, 36), (0, 1, 40), drum=True)])
    assert not Divisi({40: 2}).divided(notes).any() and not Divisi({}).divided(notes).any()
    assert Divisi({40: 2}).divided(notes[:0]).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_two_have_one_note_at_a_time_where_never_more_than_two_sound(seed):
    random = np.random.default_rng(seed)
    lines = []
    for pitches in (range(70, 80), range(55, 65)):
        lengths = random.choice([0.5, 1.0, 1.5, 2.0], 40)
        starts = np.cumsum(lengths) - lengths
        lines += [(start, length, int(random.choice(pitches))) for start, length in zip(starts, lengths, strict=True)]
    notes = notes_of(*sorted(lines))
    notes["part"] = Divisi({40: 2}).divided(notes)
    for player in (0, 1):
        own = notes[notes["part"] == player]
        ends = own["start"] + own["duration"]
        assert len(own) and all(end <= start + 1e-6 for end, start in zip(ends[:-1], own["start"][1:], strict=True))
