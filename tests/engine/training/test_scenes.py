"""What the painter is taught: things recolored, in sizes and places, two together, and what is said of them."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from clavilux.families.lumia.places import MARK, MARKED
from clavilux.families.lumia.prefix_controls import PrefixControls
from clavilux.families.lumia.seen_colors import main_colours
from clavilux.families.lumia.words import COLOURS, words_of
from clavilux.training import augment
from clavilux.training.image_dataset import NEVER_TOGETHER, ImageDataset
from clavilux.training.pictures import Named
from clavilux.training.recolor import TARGETS, recolored
from clavilux.training.scenes import (
    ARRANGEMENTS,
    GRID,
    OWN,
    Part,
    Scene,
    SceneMaker,
    from_array,
    pixels_of,
    to_array,
)  # fmt: skip
from clavilux.training.shapes import SHAPES, shapes
from clavilux.training.tokens import CaptionSampler, ScenePool, load_words, save_words, vocabulary_of

RED, BLUE, GREEN = (COLOURS.index(name) for name in ("red", "blue", "green"))
COLORS = {"tiger": "orange", "elephant": "grey", "cactus": "green", "whale": "blue", "bus": "red", "plus": "black"}


def box(color, name, **about):
    """A box in a color, with a white light, a dark window and an outline."""
    image = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((5, 5, 95, 95), fill=color, outline="black", width=3)
    draw.rectangle((20, 20, 35, 35), fill="white")
    draw.rectangle((60, 60, 75, 75), fill=(40, 40, 60))
    known = {"more": ("thing",), "kind": "toy", "source": "emoji", "group": name, "file": name}
    return Named(image, (name,), **known | about)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Six things in their colors, two of which are never taught together, one of which is a symbol."""
    path = tmp_path_factory.mktemp("zoo") / "pictures.npz"
    augment.build([box(c, n, kind="symbol" if n == "plus" else "toy") for n, c in COLORS.items()], path)
    dataset = ImageDataset(path)
    dataset.taught = np.arange(len(COLORS))  # whatever is held out by name
    return dataset


@pytest.mark.parametrize("own", ["red", "grey", "white", (60, 40, 30)])
@pytest.mark.parametrize("color", TARGETS)
def test_a_thing_of_any_color_gets_any_other(own, color):
    drawn = augment.place(box(own, "box").image)
    changed = recolored(drawn, color)
    assert changed is not None and main_colours(changed)[0] == color
    assert np.array_equal(np.asarray(changed)[..., 3], np.asarray(drawn)[..., 3])
    if own == "red":  # the light and the window are not of its color
        before, after = np.asarray(drawn), np.asarray(changed)
        assert np.array_equal(after[16:20, 16:20], before[16:20, 16:20])
        assert np.array_equal(after[42:44, 42:44], before[42:44, 42:44])


def test_what_cannot_come_out_in_a_color_is_none():
    nothing = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    assert all(recolored(nothing, color) is None for color in TARGETS)


def test_shapes_are_one_color_and_have_different_names():
    drawn = list(shapes())
    assert len({each.words for each in drawn}) == len(SHAPES) == len(drawn)
    assert all(main_colours(augment.place(each.image))[0] == RED for each in drawn)


def test_scenes_lie_on_the_grid_and_inside(zoo):
    maker = SceneMaker(zoo, seed=0)
    scenes = [maker.scene() for _ in range(400)]
    assert {each.arrangement for each in scenes} == set(ARRANGEMENTS)
    for part in (part for each in scenes for part in each.parts):
        assert part.x % GRID == part.y % GRID == part.size % GRID == 0
        assert 0 <= part.x <= 64 - part.size and 0 <= part.y <= 64 - part.size
    for each in scenes:
        names = {zoo.about[part.picture]["words"][0] for part in each.parts}
        assert names != {"tiger", "elephant"} and len(names) == len(each.parts)
        assert "plus" not in names or len(names) == 1
    assert all(2 <= len(words_of(each)) <= 3 for each in NEVER_TOGETHER)


def test_scenes_come_back_from_their_numbers(zoo):
    maker = SceneMaker(zoo, seed=1)
    scenes = [maker.scene() for _ in range(50)]
    rows = to_array(scenes)
    assert rows.dtype == np.int16 and [from_array(row) for row in rows] == scenes


def middle(pixels, color):
    """(x, y) of the middle of what is red or blue."""
    other = {RED: 2, BLUE: 0}[color]
    rows, columns = np.nonzero((pixels[..., 2 - other] > 150) & (pixels[..., other] < 120))
    return columns.mean(), rows.mean()


@pytest.mark.parametrize(("arrangement", "axis"), [("beside", 0), ("above", 1), ("on", 1)])
def test_two_things_lie_as_their_arrangement_says(zoo, arrangement, axis):
    maker, seen = SceneMaker(zoo, seed=2), 0
    while seen < 10:
        scene = maker.pair()
        if scene.arrangement != arrangement:
            continue
        seen += 1
        first, second = (
            part._replace(picture=number, color=OWN) for part, number in zip(scene.parts, (4, 3), strict=True)
        )
        pixels = pixels_of(zoo, Scene((first, second), arrangement)).astype(int)
        assert middle(pixels, BLUE)[axis] - middle(pixels, RED)[axis] > 15
        if arrangement == "on":  # no white row between them
            rows = np.flatnonzero((pixels.min(-1) < 200).any(1))
            assert len(rows) == rows[-1] - rows[0] + 1


def test_a_mirrored_and_a_recolored_part_are_drawn_so(zoo):
    plain = pixels_of(zoo, Scene((Part(4, OWN, 0, 64, 0, 0),), "whole"))
    mirrored = pixels_of(zoo, Scene((Part(4, OWN, 1, 64, 0, 0),), "whole"))
    assert np.array_equal(plain[:, ::-1], mirrored) and not np.array_equal(plain, mirrored)
    small = pixels_of(zoo, Scene((Part(4, BLUE, 0, 32, 32, 16),), "right"))
    assert (small[:, :32] == 255).all() and (small[:16] == 255).all() and small[32, 48].argmax() == 2


@pytest.fixture
def pool(tmp_path):
    return ScenePool(tmp_path)


def test_a_pool_grows_and_comes_back(pool, tmp_path):
    assert len(pool) == 0
    for number in (1, 2):
        pool.add(torch.full((3, 4, 64), number, dtype=torch.int16), np.full((3, 13), number, np.int16))
    again = ScenePool(tmp_path)
    assert len(again) == len(pool) == 6 and torch.equal(again.tokens, pool.tokens)
    assert again.tokens[:, 0, 0].tolist() == again.scenes[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert not list(tmp_path.glob("*.part"))


def test_single_whole_things_are_shown_as_often_as_is_asked(zoo, pool):
    others = [Scene((Part(4, color, 0, 64, 0, 0),), name) for color, name in ((RED, "whole"), (OWN, "medium"))] * 10
    scenes = [*others, Scene((Part(4, OWN, 0, 64, 0, 0),), "whole")]
    pool.add(torch.arange(21, dtype=torch.int16)[:, None, None].expand(-1, 4, 64), to_array(scenes))
    for plain, least, most in ((0.0, 0, 60), (0.5, 450, 600), (1.0, 1000, 1000)):
        tokens, _ = CaptionSampler(pool, zoo, vocabulary_of(zoo), seed=3, plain=plain).batch(1000)
        assert least <= (tokens[:, 0, 0] == 20).sum() <= most


def said(zoo, pool, scene, times=300):
    """(words, colors) of many controls of a scene, those that say nothing left out."""
    words = vocabulary_of(zoo)
    sampler = CaptionSampler(pool, zoo, words, seed=3)
    every = [sampler.controls(scene) for _ in range(times)]
    assert 0.04 < sum(each == PrefixControls() for each in every) / times < 0.3
    return {(" ".join(words[word] for word in each.words), each.colours) for each in every if each.words}


def test_what_is_said_of_one_thing(zoo, pool):
    found = said(zoo, pool, Scene((Part(4, BLUE, 0, 32, 0, 16),), "left"))
    assert {colors for _, colors in found} == {(BLUE,)}
    words = {each for each, _ in found}
    assert {"bus @left", "bus @left @shaded"} <= words and all("bus" in each for each in words)
    own = said(zoo, pool, Scene((Part(4, OWN, 0, 64, 0, 0),), "whole"))
    assert {colors for _, colors in own} >= {(), (RED,)} and not any("@left" in each for each, _ in own)


def test_what_is_said_of_two_things(zoo, pool):
    parts = (Part(4, BLUE, 0, 32, 0, 16), Part(2, OWN, 0, 32, 32, 16))
    found = said(zoo, pool, Scene(parts, "beside"))
    words = {each.removesuffix(" @shaded") for each, _ in found}
    assert words == {"bus @left cactus", "cactus @right bus", "bus cactus", "cactus bus"}
    assert {colors for each, colors in found if each.startswith("bus")} == {(BLUE, None), (BLUE, GREEN)}
    assert {colors for each, colors in found if each.startswith("cactus")} == {(None, BLUE), (GREEN, BLUE)}
    on = {each.removesuffix(" @shaded") for each, _ in said(zoo, pool, Scene(parts, "on"))}
    assert "bus @on cactus" in on and "cactus @on bus" not in on


def test_a_vocabulary_holds_names_then_the_words_of_places(zoo, tmp_path):
    words = vocabulary_of(zoo)
    assert words[: -len(MARKED)] == sorted([*COLORS, "thing"]) and words[-len(MARKED) :] == list(MARKED)
    assert all(each.startswith(MARK) for each in MARKED)
    save_words(tmp_path / "words.json", words)
    assert load_words(tmp_path / "words.json") == words
