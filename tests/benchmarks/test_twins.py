"""Songs as users ask for them, as tokens in C."""

import sys
from pathlib import Path

import numpy as np

import clavilux
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.harmony import Key
from clavilux.audio.score import NOTE, Score

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import corpus
import twins


def song_of(label, name, key="G major", bars=8):
    pitches = Key.parse(key).tonic + 60 + np.tile([0, 2, 4, 5, 7, 5, 4, 2], bars)
    notes = np.array([(i / 2, 0.5, pitch, 80, 0, False) for i, pitch in enumerate(pitches.tolist())], NOTE)
    return corpus.Song(Score(notes, key=Key.parse(key), length=4.0 * bars), label, name)


def test_rare_kinds_are_drawn_more_often():
    songs = [song_of("reel", f"r{i}") for i in range(90)] + [song_of("jig", f"j{i}") for i in range(10)]
    chosen = twins.drawn(songs, 40)
    assert twins.drawn(songs, 40) == chosen and len({song.name for song in chosen}) == 40
    assert 6 <= sum(song.label == "jig" for song in chosen) < 40 - 20
    assert len(twins.drawn(songs, 1000)) == 100


def test_a_twin_is_kept_as_it_was_written_in_c(tmp_path):
    song = song_of("reel", "r.mid")
    tokens = twins.tokens_in_c(clavilux.load("aria"), song)
    score = score_tokens().decode(tokens.tolist())
    last = score.notes[score.notes["start"] == score.notes["start"].max()]
    assert last["pitch"].max() % 12 == 0  # of G major
    path = tmp_path / "twins.npz"
    assert twins.read_twins(path) == {}
    twins.save_twins(path, {"r.mid": tokens, "s.mid": tokens[:9]})
    again = twins.read_twins(path)
    assert list(again) == ["r.mid", "s.mid"]
    assert np.array_equal(again["r.mid"], tokens) and np.array_equal(again["s.mid"], tokens[:9])
