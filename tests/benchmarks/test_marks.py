"""The mark's benchmark: shares with their bounds, edits that do what they say, and what is kept between runs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.score import NOTE, Score

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import mark_songs
import marks


@pytest.fixture
def score():
    rows = [(n / 4, 0.25, 60 + n % 7, 80, 0, False) for n in range(64)]
    return Score(np.array(rows, dtype=NOTE), metres=((0.0, (4, 4)),))


def test_shares_stand_between_their_bounds():
    found = marks.share(3, 300)
    assert found["share"] == 0.01 and 0 < found["low"] < 0.01 < found["high"] < 0.03
    none = marks.share(0, 1000)
    assert none["low"] == 0 and none["high"] == pytest.approx(1 - 0.025 ** (1 / 1000))
    rates = marks.rates([[1e-4, 30], [0.5, 30]], (1e-3, 1e-6))
    assert [rates[limit]["found"] for limit in ("0.001", "1e-06")] == [1, 0]
    rows = marks.by_length([[1e-9, 30], [0.5, 80], [1e-7, 81]])
    assert [(row["notes"], row["1e-06"]["found"], row["1e-06"]["of"]) for row in rows] == [
        ([24, 49], 1, 1),
        ([75, 99], 1, 2),
    ]


def test_edits_change_what_they_say(score):
    made = {name: edit(score, np.random.default_rng(1)) for name, edit in marks.edits().items()}
    assert np.array_equal(made["as it is"].notes, score.notes)
    assert (made["up a fourth"].notes["pitch"] - score.notes["pitch"] == 5).all()
    assert made["another tempo"].tempos == ((0.0, 71.0),)
    assert np.array_equal(made["quantised to 16ths"].notes["start"], score.notes["start"])
    assert set(made["quantised to 8ths"].notes["start"] % 0.5) == {0.0}
    assert 0.5 < len(made["a quarter of the notes deleted"].notes) / 64 < 0.95
    assert made["its first two bars cut off"].length == 8
    assert (made["another instrument in the file"].notes["program"] == 3).all()
    assert len(marks.excerpt(score, 1).notes) == 16 and len(marks.excerpt(score, 99).notes) == 64


def test_what_was_looked_at_is_looked_at_once(score, tmp_path, monkeypatch):
    first = marks.Kept(tmp_path / "p.json").of([("a", score)])
    monkeypatch.setattr(marks, "find_in_score", lambda *_: pytest.fail("it was looked at before"))
    assert marks.Kept(tmp_path / "p.json").of([("a", score)]) == first and first["a"][1] == 64


def test_songs_of_a_folder_are_read_in_order(score, tmp_path):
    for seed in (0, 1):
        score.save_midi(tmp_path / f"{seed:05}.mid")
    rows = [{"seed": seed, "kind": 0, "key": "C major", "entropy": [2.5, None][seed]} for seed in (0, 1)]
    (tmp_path / "00000.json").write_text(json.dumps(rows))
    songs = list(mark_songs.read(tmp_path))
    assert [song.seed for song in songs] == [0, 1] and songs[0].entropy == 2.5 and np.isnan(songs[1].entropy)
    assert songs[0].label == mark_songs.KINDS[0][1] and len(songs[0].score.notes) == 64
    likeness = marks.likeness(songs)
    assert (likeness["pairs"], likeness["shared"], likeness["pairs of one nonce"]) == (1, 1.0, 0)
