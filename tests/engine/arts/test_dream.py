"""`clavilux.dream`: what it takes, what its receipt says, Ctrl-C, zooms, sheets, and what it cannot take."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from seen import lite0_features, needs_lite0
from styles import scene

import clavilux
from clavilux.arts import dream as verb
from clavilux.image.arts import dream as climbing
from clavilux.image.arts.dream import DreamSpec
from clavilux.image.picture import Picture

pytestmark = needs_lite0
QUICK = {"octaves": 2, "iterations": 1, "seed": 3}


@pytest.fixture
def picture():
    return Picture(scene(48, 64), receipt={"prompt": "a disc"})


def dream(picture, *layers, **options):
    return clavilux.dream(picture, *layers, **{"features": lite0_features(), **QUICK, **options})


def test_a_picture_and_a_path_give_the_same_pixels_each_time(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    found = [dream(given) for given in (picture, picture, tmp_path / "a.png", str(tmp_path / "a.png"))]
    assert all(torch.equal(found[0].pixels, each.pixels) for each in found[1:])
    assert not torch.equal(found[0].pixels, picture.pixels)
    assert not torch.equal(found[0].pixels, dream(picture, seed=4).pixels)


def test_the_receipt_says_what_made_it_and_goes_with_the_file(picture, tmp_path):
    Picture(scene(40, 60).flip(0)).save(tmp_path / "flower.png")
    found = dream(picture, "4*0.5,10", guide=tmp_path / "flower.png", mask=Picture(scene(48, 64)))
    found.save(tmp_path / "dream.jpg")
    receipt = Picture.load(tmp_path / "dream.jpg").receipt
    assert receipt == json.loads(json.dumps(found.receipt)) == found.receipt
    controls = receipt["controls"]
    assert controls["layers"] == ["blocks.4*0.5", "blocks.10"] and controls["guide"] == "flower.png"
    assert controls["iterations"] == 1 and controls["step"] == 0.02
    assert receipt["verb"] == "dream" and receipt["seed"] == 3 and receipt["of"] == {"prompt": "a disc"}
    assert receipt["weights"] == {"lite0": lite0_features().fingerprint}
    assert {"source", "guide", "mask"} <= receipt.keys() and receipt["notes"] == []
    first, last = receipt["octaves"]
    assert (first["width"], first["height"], last["width"], last["height"]) == (46, 34, 64, 48)
    assert len(last["before"]) == len(last["after"]) == 2


def test_another_receipt_makes_the_picture_again(picture):
    receipt = dream(picture, seed=None).receipt
    controls = dict(receipt["controls"])
    again = dream(picture, controls.pop("layers"), **controls, seed=receipt["seed"])
    assert again.receipt == receipt
    assert torch.equal(again.pixels, dream(picture, seed=receipt["seed"]).pixels)


def test_progress_and_previews(picture):
    told, shown = [], []
    dream(picture, iterations=5, progress=lambda *each: told.append(each), preview=shown.append)
    assert len(told) == 2 * 5 and told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert 4 <= len(shown) <= 9 and all(each.pixels.shape == picture.pixels.shape for each in shown)


def test_ctrl_c_keeps_what_is_there(picture):
    def stop(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    stopped = dream(picture, iterations=6, progress=stop)
    assert stopped.receipt["notes"] == [verb.STOPPED]
    assert not torch.equal(stopped.pixels, picture.pixels)
    assert not torch.equal(stopped.pixels, dream(picture, iterations=6).pixels)


def test_ctrl_c_before_anything_is_there(picture, monkeypatch):
    def nothing(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(climbing, "dream", nothing)
    with pytest.raises(KeyboardInterrupt):
        dream(picture)


def test_outside_the_mask_a_picture_keeps_its_bytes(picture):
    mask = torch.zeros(48, 64, 3, dtype=torch.uint8)
    mask[:, 40:] = 255
    found = dream(picture, mask=Picture(mask))
    assert torch.equal(found.pixels[:, :40], picture.pixels[:, :40])
    assert not torch.equal(found.pixels[:, 40:], picture.pixels[:, 40:])


def test_a_zoom_goes_on_from_frame_to_frame(picture):
    dreamer = verb.Dreamer(7, spec=DreamSpec(octaves=1, iterations=2), features=lite0_features(), device="cpu")
    told = []
    frames = list(verb.zoom(dreamer, picture, 3, by=1.2, iterations=1, seed=5, progress=lambda *x: told.append(x)))
    assert torch.equal(frames[0].pixels, dreamer(picture, 5).pixels)
    assert [frame.receipt["frame"] for frame in frames] == [0, 1, 2]
    assert frames[2].receipt["controls"]["zoom_by"] == 1.2
    assert told[-1][0] == told[-1][1] and len({total for _, total in told}) == 1
    for before, after in pairwise(frames):
        closer = Image.fromarray(before.pixels.numpy()).crop((5, 4, 58, 44)).resize((64, 48), Image.Resampling.BICUBIC)
        difference = np.abs(np.asarray(closer).astype(int) - after.pixels.numpy()).mean()
        assert 0.5 < difference < np.abs(before.pixels.numpy().astype(int) - after.pixels.numpy()).mean()


def test_a_sheet_shows_every_layer(picture, monkeypatch):
    monkeypatch.setattr(verb, "ON_SHEET", DreamSpec(octaves=1, iterations=1))
    monkeypatch.setattr(verb, "SIDE_ON_SHEET", 40)
    dreamer = verb.Dreamer(features=lite0_features(), device="cpu")
    found = verb.sheet(dreamer, picture, seed=1)
    assert found.receipt["controls"]["sheet"] == 18
    assert found.width == 4 + 6 * (43 + 4)  # 32 pixels are the least a side
    cells = {found.pixels[4:36, left : left + 43].numpy().tobytes() for left in range(4, 280, 47)}
    assert len(cells) == 6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": "99"}, "lite0 has no layer '99'; it has stem, blocks.0"),
        ({"layers": "10:200"}, "blocks.10 has no channel '200'; its channels are 0 to 111"),
        ({"octaves": 0}, "octaves is 0; it should be a whole number from 1 to 12"),
        ({"seed": -1}, "seed is -1"),
        ({"mask": Picture(torch.zeros(8, 8, 3, dtype=torch.uint8))}, "the mask is black everywhere"),
        ({"guide": "none.png"}, "there is no file 'none.png'"),
        (
            {"layers": "10:3", "guide": Picture(scene())},
            "a guide is followed by whole layers; blocks.10:3 names a channel",
        ),
        ({"device": "tpu"}, "the device 'tpu' is not available"),
        ({"features": "lite0", "dtype": "int8"}, "dtype is 'int8'; it should be auto, float32, bfloat16 or float16"),
    ],
)
def test_what_it_cannot_take(picture, options, said):
    with pytest.raises(ValueError) as caught:
        dream(picture, **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (32, 20000)])
def test_too_small_and_too_large(size):
    blank = Picture(torch.zeros(*size, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=f"has {size[1]} x {size[0]} pixels; a dream takes 32 to 8,192 a side"):
        dream(blank)


def test_too_little_memory(picture, monkeypatch):
    monkeypatch.setattr(verb, "free_memory_bytes", lambda: 2**28)
    with pytest.raises(ValueError, match="a dream of 64 x 48 pixels takes about 600 MiB, and 256 are free"):
        dream(picture)


def test_a_flat_picture_is_no_trouble():
    found = dream(Picture(torch.full((40, 40, 3), 128, dtype=torch.uint8)))
    assert found.pixels.float().std() > 0
