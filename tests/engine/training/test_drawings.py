"""Icon sets: which icon an emoji is, by its name, its character's name, an alias; and what is missing."""

import json

import numpy as np
import pytest

from clavilux.training.drawings import ARTISTS, IconSet, drawings, letters, style_of

pytest.importorskip("resvg_py", reason="needs the extra `painter`")

NAMES = {
    "\U0001f34e": "red apple", "\U0001f408": "cat", "\U0001f408\u200d\u2b1b": "black cat", "\U0001f43b": "bear",
    "\U0001f44b\U0001f3fb": "waving hand: light skin tone", "\U0001f3e0": "house", "\U0001f40b": "whale",
}  # fmt: skip


def body(color):
    return {"body": f'<rect width="16" height="16" fill="{color}"/>'}


@pytest.fixture
def icons(tmp_path):
    sets = {
        "icons": {
            "red-apple": body("#f00"), "cat": body("#00f"), "bear-1": body("#0f0"), "bear-2": body("#ff0"),
            "waving-hand-light-skin-tone": body("#fff"), "housebuilding": body("#f0f") | {"width": 32},
        },
        "aliases": {"black-cat": {"parent": "cat"}},
    }  # fmt: skip
    path = tmp_path / "icons.json"
    path.write_text(json.dumps(sets))
    return IconSet(path, NAMES)


@pytest.mark.parametrize(
    ("name", "color"),
    [("red apple", (255, 0, 0)), ("cat", (0, 0, 255)), ("black cat", (0, 0, 255)), ("bear", (0, 255, 0)),
     ("house", (255, 0, 255)), ("whale", None), ("waving hand: light skin tone", None)],
)  # fmt: skip
def test_an_emoji_is_found_by_its_names(icons, name, color):
    [sequence] = [sequence for sequence, each in NAMES.items() if each == name]
    image = icons.image(sequence)
    if color is None:
        assert image is None
    else:
        assert np.asarray(image)[8, 8].tolist() == [*color, 255]
        assert image.size == ((64, 64) if name == "house" else (128, 128))  # a half of what is twice as wide


def test_names_by_their_letters():
    assert letters("Red apple") == letters("red-apple") == "redapple" and letters("Q&A") == "qanda"


def test_missing_sets_are_said(tmp_path):
    with pytest.raises(ValueError, match=r"there is no @iconify-json/noto-v1@1\.2\.5 in .*; npm install"):
        next(drawings(tmp_path, tmp_path))


def test_every_source_has_a_style():
    styles = [style_of(source) for source in ("emoji", "clip art", "shape", *(artist.style for artist in ARTISTS))]
    assert styles == ["shaded", "clipart", "plain", "blob", "glossy", "flat", "outlined"]
