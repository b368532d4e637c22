"""`clavilux examine`: its report and what it refuses."""

import json

import numpy as np
import pytest
from commands import call, refuse
from PIL import Image

from clavilux.examining import verb


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.setattr(verb, "LITE0", "no_such_module")
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))


@pytest.fixture
def works(tmp_path):
    (tmp_path / "works").mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(tmp_path / "works" / f"{number}.png")
    Image.fromarray(pixels[:, ::-1]).save(tmp_path / "a.png")
    return tmp_path / "works"


def test_numbers_words_and_a_page(works, tmp_path):
    said = json.loads(
        call("examine", tmp_path / "a.png", "--reference", works, "--json", "-o", tmp_path / "a.html").stdout
    )
    assert said["p"] is None and said["verdict"] == "not enough evidence" and said["confounds"] == []
    assert {each["name"] for each in said["measurements"]} == {"wavelets", "strokes", "palette", "detail", "patterns"}
    assert (tmp_path / "a.html").stat().st_size > 10_000
    shown = call("examine", tmp_path / "a.png", "--reference", works, "-o", tmp_path / "b.png", "-q").stdout
    assert shown == "" and (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert "verdict: not enough evidence" in call("examine", tmp_path / "a.png", "--reference", works).stdout


def test_what_cannot_be_examined_is_said_in_one_sentence(works, tmp_path):
    picture = tmp_path / "a.png"
    assert "there is no folder" in refuse("examine", picture, "--reference", tmp_path / "none")
    assert "is a file" in refuse("examine", picture, "--reference", picture)
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in refuse("examine", picture, "--reference", tmp_path / "empty")
    (tmp_path / "one").mkdir()
    (works / "0.png").rename(tmp_path / "one" / "0.png")
    assert "holds one picture" in refuse("examine", picture, "--reference", tmp_path / "one")
    assert "given twice" in refuse("examine", picture, "--reference", works, "--reference", works)
    Image.new("RGB", (1, 1)).save(tmp_path / "tiny.png")
    assert "has 1 x 1 pixels; 32 and more" in refuse("examine", tmp_path / "tiny.png", "--reference", works)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "large.png")
    assert "more pixels than" in refuse("examine", tmp_path / "large.png", "--reference", works)
    assert "should end in" in refuse("examine", picture, "--reference", works, "-o", tmp_path / "a.pdf")
    assert "take the place" in refuse("examine", picture, "--reference", works, "-o", picture)
    (works / "notes.txt").write_text("hello")
    assert "1 file that is no picture (notes.txt)" in refuse("examine", picture, "--reference", works)
    (works / "notes.txt").rename(works / "notes.png")
    assert "not a picture" in refuse("examine", picture, "--reference", works)
    assert not (tmp_path / "a.html").exists()
