"""Listening: by the first player that is installed, here one of our own that notes what it was given."""

import sys

import numpy as np
import pytest

from clavilux.audio import io, listening


@pytest.fixture
def player(tmp_path, monkeypatch):
    """Put a player of this name in an otherwise empty PATH; it copies its file and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name, code=0):
        script = folder / name
        script.write_text(
            f"#!{sys.executable}\nimport shutil, sys\nshutil.copy(sys.argv[-1], {str(tmp_path / 'heard.wav')!r})\n"
            f"print('no card 0', file=sys.stderr)\nsys.exit({code})\n"
        )
        script.chmod(0o755)
        return script

    return install


def sound(path):
    io.write(path, np.sin(np.arange(2000) / 20).astype(np.float32) / 2, 22050)
    return path


def test_a_wav_is_played_as_it_is(player, tmp_path):
    player("aplay")
    path = sound(tmp_path / "a.wav")
    listening.listen(path)
    assert (tmp_path / "heard.wav").read_bytes() == path.read_bytes()


def test_other_files_are_played_as_wav(player, tmp_path):
    player("paplay")
    listening.listen(sound(tmp_path / "a.flac"))
    assert (tmp_path / "heard.wav").read_bytes()[:4] == b"RIFF"


def test_a_player_that_fails_is_quoted(player, tmp_path):
    player("ffplay", code=1)
    with pytest.raises(ValueError, match=r"ffplay could not play .*a\.wav' \(no card 0\)"):
        listening.listen(sound(tmp_path / "a.wav"))


def test_without_a_player_that_is_said(player):
    with pytest.raises(ValueError, match="no program that plays sound is installed; one of pw-play, paplay, aplay"):
        listening.find_player()


def test_the_first_of_several_is_taken(player):
    player("ffplay")
    player("aplay")
    assert listening.find_player()[0].endswith("aplay")
