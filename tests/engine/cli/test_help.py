"""Headings in the help of commands, what is said of several songs, and how long the process has run."""

import os
import time

from commands import call, refuse

from clavilux.cli.display import _receipt_changes
from clavilux.cli.help import HEADINGS
from clavilux.cli.uptime import process_seconds

OTHERS = ("Picture", "Dream", "Style", "Training")  # headings that are not a song's


def test_many_options_stand_under_headings():
    lines = call("render", "--help").stdout.splitlines()
    at = {heading: lines.index(f"{heading}:") for heading in HEADINGS if heading not in OTHERS}
    assert list(at.values()) == sorted(at.values())
    assert at["Jukebox"] < next(n for n, line in enumerate(lines) if "--lyrics" in line) < at["Files"]
    assert "Jukebox:" not in call("paint", "--help").stdout.splitlines()


def test_a_songs_options_stand_together():
    said = call("render", "--help").stdout
    song = said[said.index("Song:") : said.index("Going on from a file:")]
    at = [song.index(f"--{name.replace('_', '-')} ") for name in HEADINGS["Song"]]
    assert at == sorted(at) and "Picture:" not in said
    painting = call("paint", "--help").stdout
    assert "Song:" not in painting and painting.index("Picture:") < painting.index("--sheet")


def test_what_is_a_trainings_stands_there():
    lines = call("train", "vae", "--help").stdout.splitlines()
    at = {heading: lines.index(f"{heading}:") for heading in ("Training", "Files")}
    for option in ("--size", "--seed", "--batch"):
        assert at["Training"] < next(n for n, line in enumerate(lines) if option in line) < at["Files"]
    assert "Song:" not in lines and "Picture:" not in lines


def test_few_options_need_none():
    said = call("info", "--help").stdout
    assert "Options:" in said and "Files:" not in said


def test_every_heading_names_options_that_there_are():
    names = {name.replace("_", "-") for names in HEADINGS.values() for name in names} - {"class-id"}
    said = "".join(call(command, "--help").stdout for command in ("render", "paint", "dream", "style"))
    said += call("train", "vae", "--help").stdout
    assert not [name for name in names if f"--{name}" not in said]


def test_of_several_songs_what_is_new_is_said():
    first = {"seed": 1, "taken": ["slow = slow tempo"], "controls": {"key": "C major", "tempo": 60.0}, "notes": ["a"]}
    other = {"seed": 2, "taken": ["slow = slow tempo"], "controls": {"key": "C major", "tempo": 62.0}, "notes": ["b"]}
    new = _receipt_changes(other, first)
    assert new["seed"] == 2 and new["controls"] == {"tempo": 62.0} and new["notes"] == ["b"] and new["taken"] == []


def test_the_process_runs_since_its_start():
    before = process_seconds()
    assert 0 < before < time.clock_gettime(time.CLOCK_MONOTONIC) + 1 if os.name == "posix" else before > 0
    assert process_seconds() >= before


def test_an_unknown_ending_is_answered_with_all_that_there_are():
    said = refuse("render", "piano", "-o", "a.xyz")
    assert all(ending in said for ending in ("'a.xyz'", ".wav", ".flac", ".ogg", ".mp3", ".mid"))
