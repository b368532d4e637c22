"""`clavilux.style`: what it takes, what its receipt says, and one sentence for what it cannot take."""

from pathlib import Path

import pytest
import torch
from styles import needs_styles, scene

import clavilux
from clavilux.arts import style as verb
from clavilux.image.arts import style_names
from clavilux.image.arts.style import Blend, FastStyle
from clavilux.image.picture import Picture

pytestmark = needs_styles


@pytest.fixture
def picture():
    return Picture(scene(), receipt={"prompt": "a disc"})


def test_a_picture_and_a_path_give_the_same_pixels_each_time(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    found = [
        clavilux.style(given, "mosaic") for given in (picture, picture, tmp_path / "a.png", str(tmp_path / "a.png"))
    ]
    assert all(torch.equal(found[0].pixels, each.pixels) for each in found[1:])
    assert not torch.equal(found[0].pixels, picture.pixels)


def test_the_receipt_says_what_made_it_and_goes_with_the_file(picture, tmp_path):
    painting = Picture(scene(40, 60).flip(0))
    painting.save(tmp_path / "p.png")
    found = clavilux.style(picture, ["starry night:2", "mosaic"], [tmp_path / "p.png"], strength=0.5, seed=4)
    found.save(tmp_path / "styled.png")
    receipt = Picture.load(tmp_path / "styled.png").receipt
    assert receipt == found.receipt
    controls = receipt["controls"]
    assert controls["like"] == {"starry-night": 0.5, "mosaic": 0.25} and controls["paintings"] == {"p.png": 0.25}
    assert controls["strength"] == 0.5 and receipt["seed"] == 4 and receipt["of"] == {"prompt": "a disc"}
    assert set(receipt["weights"]) == {"built-in", "reader", "paintings"} and len(receipt["paintings"]) == 1


def test_without_a_style_it_is_the_usual_one(picture):
    found = clavilux.style(picture)
    assert torch.equal(found.pixels, clavilux.style(picture, "starry-night").pixels)
    assert "no style was named" in found.receipt["notes"][0]


def test_weights_are_given_in_three_ways(picture, tmp_path, monkeypatch):
    ways = (["ember:3", "copper"], {"ember": 3, "copper": 1}, ["ember:1.5", "copper:0.5"])
    found = [clavilux.style(picture, like) for like in ways]
    assert all(torch.equal(found[0].pixels, each.pixels) for each in found[1:])
    monkeypatch.chdir(tmp_path)
    work = Picture(scene(40, 60))
    work.save("p.png")
    work.save("p.png:2.png")
    Path("p.png:2.png").rename("p.png:2")
    found = clavilux.style(picture, paintings=["p.png:2", ("p.png", 3), work])
    assert found.receipt["controls"]["paintings"] == {"p.png:2": 0.2, "p.png": 0.6, "a picture": 0.2}


def test_a_mask_of_another_size_is_scaled(picture):
    mask = torch.zeros(20, 20, 3, dtype=torch.uint8)
    mask[:, 10:] = 255
    found = clavilux.style(picture, mask=Picture(mask))
    assert torch.equal(found.pixels[:, :32], picture.pixels[:, :32])
    assert not torch.equal(found.pixels[:, 64:], picture.pixels[:, 64:])
    assert found.receipt["mask"] != clavilux.style(picture, mask=Picture(255 - mask)).receipt["mask"]


def test_a_sheet_shows_all(picture):
    found = verb.sheet(picture)
    assert found.receipt["controls"]["sheet"] == 26
    assert found.width > 7 * 90 and found.height > 4 * 64
    tiles = {found.pixels[4:60, left : left + 90].numpy().tobytes() for left in range(4, 7 * 100, 100)}
    assert len(tiles) == 7


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ({"like": "no such"}, ValueError, "there is no style 'no such'; there are amber-haze"),
        ({"like": 3}, TypeError, "like is 3; it should be a name"),
        ({"like": {"ember": -1}}, ValueError, "from 0"),
        ({"like": "ember:0"}, ValueError, "all weights of the styles are 0"),
        ({"strength": 1.5}, ValueError, "strength is 1.5; it should be a number from 0 to 1"),
        ({"strength": float("nan")}, ValueError, "strength is nan"),
        ({"original_colors": "yes"}, ValueError, "original_colors is 'yes'"),
        ({"stroke": 0}, ValueError, "stroke is 0; it should be a number from 0.25 to 8"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"device": "abacus"}, ValueError, "the device 'abacus' is not available"),
        ({"paintings": ["none.png"]}, ValueError, "there is no file 'none.png'"),
        ({"paintings": [3]}, TypeError, "a painting is 3"),
        ({"paintings": [Picture(scene(8, 60))]}, ValueError, "60 x 8 pixels"),
        ({"mask": "none.png"}, ValueError, "there is no file 'none.png'"),
    ],
)
def test_what_is_wrong_is_said(picture, words, error, sentence):
    with pytest.raises(error, match=sentence.replace(".", r"\.")):
        clavilux.style(picture, **words)


def test_a_pixel_has_no_style():
    with pytest.raises(ValueError, match="1 x 1 pixels; style takes 16 and more a side"):
        clavilux.style(Picture(torch.zeros(1, 1, 3, dtype=torch.uint8)))


def test_half_precision_looks_the_same():
    """What a GPU computes in; here on a CPU."""
    blend = Blend([(style_names.find("starry-night"), 1.0)], [(scene(64, 64).flip(2), 1.0)])
    whole, half = (FastStyle(blend, dtype=dtype)(scene()).float() for dtype in (torch.float32, verb.HALF))
    assert (whole - half).abs().mean() < 1.5
