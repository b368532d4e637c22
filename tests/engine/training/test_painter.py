"""What the painter is taught from: names, pictures, which are taught; and a run's clock and states."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from clavilux.families.lumia.seen_colors import NO_COLOUR, main_colours
from clavilux.families.lumia.words import COLOURS
from clavilux.training import augment, pictures
from clavilux.training.image_dataset import Clock, ImageDataset, save_state, taught_for_words
from clavilux.training.pictures import Named

RED, GREEN = (COLOURS.index(name) for name in ("red", "green"))


def disc(colour, name=("ball",), **about):
    image = Image.new("RGBA", (100, 80), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 5, 95, 75), fill=colour)
    known = {"more": (), "kind": "toy", "source": "emoji", "group": " ".join(name), "file": "ball"}
    return Named(image, name, **known | about)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "pictures.npz"
    toned = disc("blue", ("ball", "light", "tone"), kind="person", group="b")
    augment.build([disc("red"), toned, disc((0, 150, 0), group="c")], path)
    return ImageDataset(path)


@pytest.mark.parametrize(
    ("colour", "name"),
    [("red", "red"), ("blue", "blue"), ("orange", "orange"), ("yellow", "yellow"), ((0, 150, 0), "green"),
     ("purple", "purple"), ("black", "black"), ("grey", "grey"), ((120, 70, 30), "brown"), ("hotpink", "pink")],
)  # fmt: skip
def test_the_colour_that_covers_most(colour, name):
    assert main_colours(augment.place(disc(colour).image)) == (COLOURS.index(name), NO_COLOUR)


def test_a_placed_picture_fills_the_square_without_its_margins():
    placed = np.asarray(augment.place(disc("red").image))
    assert placed.shape == (64, 64, 4)
    columns = np.flatnonzero((placed[..., 3] > 128).any(0))
    assert 4 <= columns[0] <= 7 and 56 <= columns[-1] <= 60


def test_a_dataset_holds_every_picture_once_and_none_in_a_skin_tone(dataset):
    assert [each["words"] for each in dataset.about] == [["ball"], ["ball"]]
    assert dataset.colours[:, 0].tolist() == [RED, GREEN]
    pixels = dataset.batch(np.array([0]))
    assert pixels.shape == (1, 3, 64, 64) and pixels[0, :, 0, 0].eq(1).all() and pixels[0, 0, 32, 32] == 1
    assert dataset.image(1).size == (64, 64) and dataset.image(1).mode == "RGBA"


def test_what_is_drawn_often_is_shown_less_often_each(tmp_path):
    names = [("cat",), ("cat",), ("cat",), ("cat",), ("dog",)]
    augment.build((disc("red", name, group=str(n)) for n, name in enumerate(names)), tmp_path / "pictures.npz")
    dataset = ImageDataset(tmp_path / "pictures.npz")
    odds = dataset.odds(np.arange(5))
    assert odds.sum() == pytest.approx(1) and odds[:4] == pytest.approx(odds[4] / 2)


def test_clip_art_is_taught_where_emoji_have_its_name(tmp_path):
    clip_art = [("cat",), ("cat", "box"), ("cat", "owl"), ("box",), ("cat", "red", "owl"), ("cat", "horse")]
    named = [disc("red", ("cat",)), disc("red", ("red", "owl"), group="x"), disc("red", ("horse",), group="y")]
    named += [disc("red", name, source="clip art", group=" ".join(name)) for name in clip_art]
    augment.build(named, tmp_path / "pictures.npz")
    fit = ImageDataset(tmp_path / "pictures.npz").fit
    # A pair that is never taught together is none in one picture either.
    assert fit.tolist() == [True, True, True, True, False, True, False, False, False]


def test_emoji_that_alone_have_a_word_are_taught():
    about = [
        {"words": ["cat"], "more": ["pet"], "source": "emoji", "held_out": False},
        {"words": ["cat"], "more": ["dog"], "source": "emoji", "held_out": True},
        {"words": ["owl"], "more": [], "source": "clip art", "held_out": False},
        {"words": ["cat", "owl"], "more": [], "source": "emoji", "held_out": True},
        {"words": ["gnat"], "more": [], "source": "clip art", "held_out": True},
    ]
    taught_for_words(about)
    assert [each["held_out"] for each in about] == [False, True, False, False, True]


def test_a_clock_goes_on_and_counts_a_threads_share_of_the_processor(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("clavilux.training.image_dataset.time.process_time", lambda: now[0])
    monkeypatch.setattr("clavilux.training.image_dataset.torch.get_num_threads", lambda: 2)
    clock = Clock(100.0, spent_s=20.0)
    now[0] = 6.0
    assert clock.tick() == clock.tick() == pytest.approx(0.23)
    now[0] = 1000.0
    assert clock.tick() == 1.0


def test_a_state_is_written_whole(tmp_path):
    save_state({"step": 1}, tmp_path / "state.pt")
    with pytest.raises(AttributeError):
        save_state({"step": lambda: 1}, tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == {"step": 1}


EMOJI_TEST = """# group: Food & Drink
# subgroup: food-fruit
1F34E ; fully-qualified # 🍎 E0.6 red apple
1F34F ; unqualified # 🍏 E0.6 green apple
# subgroup: family
1F468 1F3FB 200D 2764 FE0F 200D 1F468 1F3FF ; fully-qualified # x E13.1 couple: light skin tone, dark skin tone
1F44B 1F3FB ; fully-qualified # 👋🏻 E1.0 waving hand: light skin tone
"""


def test_names_of_emoji():
    assert list(pictures.emoji_names(EMOJI_TEST)) == [
        ("\U0001f34e", "red apple", "food-fruit"),
        ("\U0001f44b\U0001f3fb", "waving hand: light skin tone", "family"),
    ]


def test_clip_art_by_folders_names_and_what_is_unwanted(tmp_path):
    for name, colour in (
        ("food/fruit/apple_smith_01", "red"), ("food/fruit/linux", "red"), ("signs_and_symbols/x", "red"),
        ("tools/white", (255, 255, 255)),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        disc(colour).image.save(tmp_path / f"{name}.png")
    found = list(pictures.clip_art(tmp_path, {"apple", "smith", "linux"} - {"smith"}))
    assert [(each.file, each.words, each.kind) for each in found] == [
        ("food/fruit/apple_smith_01.png", ("apple",), "fruit")
    ]
    assert found[0].image.size == (91, 71) and found[0].group == "food/fruit/apple_smith"
    assert isinstance(found[0].held_out, bool)


def test_a_missing_package_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"there is no usr/share/fonts.*unpack the Debian package"):
        next(pictures.pictures(tmp_path))


def test_about_is_plain_json(dataset):
    json.dumps(dataset.about)
