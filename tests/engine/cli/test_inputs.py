"""Sound files that commands are given: a file that is cut off is noted, and refused under --strict."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import call, refuse

SAYS = "cut off: the header promises 3.0 s, 2.0 s are there"


@pytest.fixture
def cut(tmp_path):
    """The first two of three seconds, at 8 kHz."""
    path = tmp_path / "cut.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(24000) * 0.3), 8000)
    os.truncate(path, 44 + 2 * 16000)
    return path


@pytest.mark.parametrize("command", ["info", "analyze"])
def test_what_is_missing_is_noted_first(cut, command):
    assert call(command, cut).stdout.splitlines()[0] == f"note: {SAYS}"
    assert json.loads(call(command, cut, "--json").stdout)["remarks"] == [SAYS]
    assert SAYS in refuse(command, cut, "--strict")


def test_a_whole_file_has_no_remarks(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    assert json.loads(call("info", tmp_path / "a.wav", "--json", "--strict").stdout)["remarks"] == []
    assert "note" not in call("info", tmp_path / "a.wav").stdout


def test_render_looks_at_its_files_before_any_work(cut, tmp_path):
    options = ["--seconds", "3", "--seed", "1", "-o", tmp_path / "a.mid"]
    said = call("render", "", "--continue-from", cut, *options).stdout
    assert said.splitlines()[0] == f"note: --continue-from {str(cut)!r} is {SAYS}"
    refused = refuse("render", "", "--continue-from", cut, "--strict", *options[:-1], tmp_path / "b.mid")
    assert SAYS in refused and not (tmp_path / "b.mid").exists()
    os.mkfifo(tmp_path / "pipe.wav")
    assert "pipe" in refuse("render", "", "--melody", tmp_path / "pipe.wav", "--model", "no-such-model")
    assert "pipe" in refuse("info", tmp_path / "pipe.wav")


def test_nothing_is_written_over_what_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tune.mid").write_bytes(b"MThd")
    Path("link.mid").symlink_to("tune.mid")
    (tmp_path / "red.png").write_bytes(b"x")
    says = "would take the place of the file that is read; give it another name"
    assert says in refuse("play", "tune.mid", "-o", "./tune.mid")
    assert says in refuse("play", "link.mid", "-o", tmp_path / "tune.mid")
    assert says in refuse("render", "waltz", "--continue-from", "tune.mid", "--midi", "tune.mid")
    for option in ("-o", "--preview", "--explain"):
        assert says in refuse("paint", "cat", "--continue-from", "red.png", option, "red.png")
    assert (tmp_path / "tune.mid").read_bytes() == b"MThd" and (tmp_path / "red.png").read_bytes() == b"x"


def test_links_that_go_round_are_no_fault_of_ours(tmp_path):
    loop = tmp_path / "round.mid"
    loop.symlink_to(loop)
    assert refuse("play", loop, "-o", tmp_path / "a.wav").startswith(f"{str(loop)!r} cannot be read: Too many levels")
    call("render", "waltz", "--seconds", "2", "-o", loop)  # a link's place is taken by the file
    assert loop.read_bytes()[:4] == b"MThd"


def test_info_refuses_a_length_that_is_none():
    assert "seconds is inf; it should be above 0" in refuse("info", "aria", "--seconds", "1e400")
