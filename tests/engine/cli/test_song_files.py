"""Stems, loops and one's own SoundFont from the command line."""

import json

import numpy as np
import pytest
import soundfile
from commands import call, refuse

from clavilux.audio.notes import NOTE
from clavilux.audio.score import Score
from clavilux.audio.soundfont import FOLDER


@pytest.fixture
def midi(tmp_path):
    rows = [(0, 1, 60, 90, 0, False), (1, 3, 64, 90, 0, False), (0, 4, 43, 80, 42, False), (3, 1, 38, 90, 0, True)]
    path = tmp_path / "tune.mid"
    Score(np.array(rows, NOTE)).save_midi(path)
    return path


def remarks(*arguments):
    return json.loads(call(*arguments, "--json").stdout)["remarks"]


def test_stems_and_a_loop_of_a_midi_file(midi, tmp_path):
    said = remarks("play", midi, "-o", tmp_path / "loop.wav", "--loop", "--stems", tmp_path / "parts")
    assert said[0].startswith("a loop of 1 bars, 88,200 samples; the wave bends at the seam by -")
    assert "3 stems in" in said[1] and "at most -1" in said[1]  # below -100 dBFS
    assert soundfile.info(tmp_path / "loop.wav").frames == 88200
    files = sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert files == ["acoustic-grand-piano.wav", "cello.wav", "drums.wav"]


def test_ones_own_soundfont_plays(midi, tmp_path):
    """The bundled one under another name and without its measured levels is played louder or softer."""
    font = tmp_path / "mine.sf3"
    font.write_bytes((FOLDER / "clavilux.sf3").read_bytes())
    call("play", midi, "-o", tmp_path / "a.wav", "--no-loudness")
    report = json.loads(
        call("play", midi, "-o", tmp_path / "b.wav", "--no-loudness", "--soundfont", font, "--json").stdout
    )
    assert report["songs"][0]["receipt"]["soundfont"] == "mine.sf3"
    ours, theirs = (soundfile.read(tmp_path / name)[0] for name in ("a.wav", "b.wav"))
    assert np.abs(ours[:1000] - theirs[:1000]).max() > 1e-4


def test_what_cannot_be_written_is_said_before_the_work(midi, tmp_path):
    assert ".mp3 begins with a little silence" in refuse("play", midi, "-o", tmp_path / "a.mp3", "--loop")
    assert "is not a SoundFont 2 or 3 file" in refuse("play", midi, "-o", tmp_path / "a.wav", "--soundfont", midi)
    assert "there is no file" in refuse("play", midi, "-o", tmp_path / "a.wav", "--soundfont", tmp_path / "no.sf2")
    said = refuse("play", midi, "-o", tmp_path / "a.wav", "--stems", tmp_path)
    assert "is there already" in said
    said = refuse("render", "waltz", "-o", tmp_path / "a.wav", "--soundfont", midi)
    assert "is not a SoundFont 2 or 3 file" in said
    assert [path.name for path in tmp_path.iterdir()] == ["tune.mid"]


def test_the_score_is_written_beside_the_sound(midi, tmp_path):
    files = [tmp_path / name for name in ("a.musicxml", "a.abc", "a.txt")]
    options = [part for path in files for part in ("--score", path)]
    report = json.loads(call("play", midi, "-o", tmp_path / "a.wav", *options, "--json").stdout)
    assert list(report["songs"][0]["files"]) == ["audio", "score", "score 2", "score 3"]
    assert all(path.stat().st_size for path in files)
    call("play", tmp_path / "a.musicxml", "-o", tmp_path / "b.mid")
    call("play", tmp_path / "a.abc", "-o", tmp_path / "c.mid")
    pitches = [
        sorted(Score.from_midi(path).notes["pitch"].tolist()) for path in (midi, tmp_path / "b.mid", tmp_path / "c.mid")
    ]
    assert pitches[0] == pitches[1] == pitches[2] == [38, 43, 60, 64]


def test_what_cannot_be_listened_to_is_said_before_the_work(midi, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no program that plays sound" in refuse("play", midi, "-o", tmp_path / "a.wav", "--listen")
    monkeypatch.setattr("clavilux.audio.listening.find_player", lambda: ["player"])
    assert "--listen plays sound" in refuse("play", midi, "-o", tmp_path / "a.mid", "--listen")
    assert "should end in" in refuse("render", "waltz", "-o", tmp_path / "a.wav", "--score", tmp_path / "a.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["tune.mid"]
