"""Two violins are two parts: in scores, MIDI files and stems, and again where a piece goes on or is written anew."""

import numpy as np
import pytest

from clavilux.audio.divisi import Divisi
from clavilux.audio.midi_writer import part_names
from clavilux.audio.notes import PART_NOTE, players_of
from clavilux.audio.score import Score
from clavilux.families.aria.continuation import given_score
from clavilux.families.aria.rewriting import Rewriting
from clavilux.family import Request
from tests.helpers.drawn_songs import begin, finished

pytestmark = pytest.mark.usefixtures("silent")
QUARTET = ["violin 1", "violin 2", "viola", "cello"]
FIELDS = ["start", "duration", "pitch", "velocity", "program", "drum"]


def names_of(notes):
    return part_names(players_of(notes))


def quartet(aria, seed=1):
    return finished(begin(aria, "string quartet in D", seed=seed, bars=8, form="AB"), seed)


def one_at_a_time(notes, program):
    """The share of a program's notes that begin while no other of their part sounds."""
    own = notes[notes["program"] == program]
    ends = own["start"] + own["duration"]
    alone = [
        ((own["part"] == note["part"]) & (own["start"] <= note["start"] + 1e-6) & (ends > note["start"] + 1e-6)).sum()
        for note in own
    ]
    return float(np.mean(np.array(alone) == 1))


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("string quartet in D", QUARTET),
        ("brass quintet", ["trumpet 1", "trumpet 2", "trombone", "tuba", "French horn"]),
        ("two flutes and piano", ["acoustic grand piano", "flute 1", "flute 2"]),
        ("violin", ["violin"]),  # whose double stops are his own
        ("jig for two fiddles", ["fiddle"]),
        ("guitar duo", ["nylon guitar"]),  # each has a hand full of notes
    ],
)
def test_each_player_is_a_part(aria, prompt, names):
    song = finished(begin(aria, prompt, seed=3, bars=12), 3)
    assert names_of(song.score.notes) == names_of(song.performance.events) == list(song.performance.parts()) == names
    assert sum(len(part.events) for part in song.performance.parts().values()) == len(song.performance.events)


@pytest.mark.parametrize("seed", range(3))
def test_players_change_no_note(aria, monkeypatch, seed):
    song = quartet(aria, seed)
    monkeypatch.setattr(Divisi, "divided", lambda self, notes: np.zeros(len(notes), np.int64))
    whole = quartet(aria, seed)
    assert names_of(whole.score.notes) == ["violin", "viola", "cello"]
    assert one_at_a_time(whole.score.notes, 40) < one_at_a_time(song.score.notes, 40)
    for divided, undivided in (
        (song.score.notes, whole.score.notes),
        (song.performance.events, whole.performance.events),
    ):
        for field in FIELDS:
            assert np.array_equal(divided[field], undivided[field])


def test_a_midi_file_has_its_players_again(aria, tmp_path):
    quartet(aria).save(tmp_path / "a.mid")
    score = Score.from_midi(tmp_path / "a.mid")
    assert names_of(score.notes) == QUARTET
    assert sorted(given_score(score, []).controls()["instruments"]) == ["cello", "viola", "violin", "violin"]
    song = finished(begin(aria, "", seconds=40, seed=5, continue_from=tmp_path / "a.mid"), 5)
    assert names_of(song.score.notes) == list(song.performance.parts()) == QUARTET
    later = song.score.notes[song.score.notes["start"] >= score.length - 1e-6]
    assert names_of(later) == QUARTET
    request = Request("", 20.0, 8, tmp_path / "a.mid", {"regenerate": "3-6"}, True)
    (generation,) = aria.begin([request])
    assert isinstance(generation, Rewriting)
    anew = finished(generation, 8).score.notes
    assert names_of(anew) == QUARTET and names_of(anew[(anew["start"] >= 8) & (anew["start"] < 24)])[:2] == QUARTET[:2]


def test_a_file_with_one_part_for_two_goes_on_as_one(aria, monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        patched.setattr(Divisi, "divided", lambda self, notes: np.zeros(len(notes), np.int64))
        quartet(aria).save(tmp_path / "a.mid")
    song = finished(begin(aria, "", seconds=40, seed=5, continue_from=tmp_path / "a.mid"), 5)
    assert names_of(song.score.notes) == ["violin", "viola", "cello"]


def test_pianos_and_many_parts_are_named_once():
    rows = [
        (bar, 1, 60 + part, 80, program, False, part) for bar in range(4) for part, program in enumerate((0, 0, 40, 40))
    ]
    score = Score(np.array(rows, PART_NOTE))
    assert given_score(score, []).controls()["instruments"] == ["piano", "violin", "violin"]
    rows = [(bar, 1, 60 + part, 80, 40 + part % 2, False, part) for bar in range(4) for part in range(14)]
    assert given_score(Score(np.array(rows, PART_NOTE)), []).controls()["instruments"] == ["violin", "viola"]
