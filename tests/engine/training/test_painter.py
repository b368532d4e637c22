"""What the painter is taught with: names, colours, variants, controls; and a run that goes on from where it stopped."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from clavilux.families.int8 import SCALE
from clavilux.families.lumia.family import unpacked
from clavilux.families.lumia.prefix_controls import PrefixControls
from clavilux.families.lumia.seen_colors import NO_COLOUR, main_colours
from clavilux.families.lumia.words import COLOURS, words_of
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.training import augment, pairs, pictures
from clavilux.training.image_dataset import Clock, ImageDataset, save_state, taught_for_words
from clavilux.training.painter import disturbed, packed, tokenise
from clavilux.training.pairs import NEVER_TOGETHER, SMALL, Pairs
from clavilux.training.pictures import Named
from clavilux.training.tokens import FIRST_SHOWN, PAIR_SHARE, CaptionSampler, load_tokens, save_tokens, vocabulary_of

RED, BLUE, GREEN = (COLOURS.index(name) for name in ("red", "blue", "green"))


def disc(colour, name=("ball",), **about):
    image = Image.new("RGBA", (100, 80), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 5, 95, 75), fill=colour)
    known = {"more": (), "kind": "toy", "source": "emoji", "group": " ".join(name), "file": "ball"}
    return Named(image, name, **known | about)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "pictures.npz"
    augment.build([disc("red"), disc("blue", ("ball", "light", "tone"), kind="person", group="b")], path)
    return ImageDataset(path)


@pytest.mark.parametrize(
    ("colour", "name"),
    [("red", "red"), ("blue", "blue"), ("orange", "orange"), ("yellow", "yellow"), ((0, 150, 0), "green"),
     ("purple", "purple"), ("black", "black"), ("grey", "grey"), ((120, 70, 30), "brown"), ("hotpink", "pink")],
)  # fmt: skip
def test_the_colour_that_covers_most(colour, name):
    assert main_colours(augment.place(disc(colour).image)) == (COLOURS.index(name), NO_COLOUR)


def test_turned_hues_are_another_colour():
    placed = augment.place(disc("red").image)
    assert main_colours(augment.turn_hues(placed, 2 / 3))[0] == BLUE
    assert main_colours(augment.turn_hues(placed, 1 / 3))[0] == GREEN


def test_a_placed_picture_fills_the_square_without_its_margins():
    placed = np.asarray(augment.place(disc("red").image))
    assert placed.shape == (64, 64, 4)
    columns = np.flatnonzero((placed[..., 3] > 128).any(0))
    assert 4 <= columns[0] <= 7 and 56 <= columns[-1] <= 60


def test_a_dataset_holds_variants_of_every_picture(dataset):
    each = augment.PLAIN + augment.TURNED + augment.IN_PLACE
    assert dataset.picture.tolist() == [0] * each + [1] * augment.VARIANTS_OF_A_TONE
    assert np.flatnonzero(dataset.first).tolist() == [0, each]
    assert dataset.placed.sum() == 2 + augment.IN_PLACE
    assert dataset.turned.sum() == augment.TURNED + augment.IN_PLACE and not dataset.turned[dataset.picture == 1].any()
    assert len(np.unique(dataset.pixels.reshape(len(dataset.pixels), -1), axis=0)) == len(dataset.pixels)
    pixels = dataset.batch(np.array([0]))
    assert pixels.shape == (1, 3, 64, 64) and pixels[0, :, 0, 0].eq(1).all()
    in_place = dataset.colours[dataset.placed & dataset.turned, 0].tolist()
    assert dataset.colours[0, 0] == RED and RED not in in_place and len(set(in_place)) >= 4


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


def test_emoji_in_place_and_without_tones_are_taught(dataset):
    assert dataset.taught.tolist() == np.flatnonzero(dataset.placed & (dataset.picture == 0)).tolist()


def test_briefs_say_parts_of_what_is_known(dataset):
    words = vocabulary_of(dataset)
    assert words == sorted(words) and "ball" in words
    tokens = torch.arange(len(dataset.pixels))[:, None, None].expand(-1, 4, 64).to(torch.int16)
    shown = dataset.taught
    sampler = CaptionSampler(tokens, dataset, shown, words, seed=1)
    drawn, controls = sampler.batch(200)
    assert drawn.dtype == torch.int64 and drawn.shape == (200, 4, 64)
    assert all(each.words in ((), (words.index("ball"),)) for each in controls)
    rows = drawn[:, 0, 0].numpy()
    assert set(rows) <= set(shown)
    for row, each in zip(rows, controls, strict=True):
        said = bool(each.words or each.colours)
        assert set(each.colours) <= set(dataset.colours[row].tolist())
        assert each.colours or not (said and dataset.turned[row])
    assert 5 <= sum(each == PrefixControls() for each in controls) <= 40
    as_it_is = (rows == 0).mean()
    assert abs(as_it_is - FIRST_SHOWN / (FIRST_SHOWN + augment.IN_PLACE)) < 0.15


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Six things in their colours, two of which are never taught together."""
    path = tmp_path_factory.mktemp("zoo") / "pictures.npz"
    colours = {"tiger": "orange", "elephant": "grey", "cactus": "green", "whale": "blue", "bus": "red", "plus": "black"}
    kinds = {"plus": "symbol"}
    augment.build([disc(c, (n,), kind=kinds.get(n, "toy"), group=n) for n, c in colours.items()], path)
    return ImageDataset(path)


def test_pairs_are_of_two_things_and_leave_some_out(zoo):
    assert {"tiger", "elephant"} in [set(each.split()) for each in NEVER_TOGETHER]
    rows = pairs.choose(zoo, 300, np.random.default_rng(0))
    assert rows.shape == (300, 2) and np.isin(rows, zoo.taught).all()
    said = [{zoo.about[number]["words"][0] for number in zoo.picture[pair]} for pair in rows]
    assert all(len(each) == 2 and "plus" not in each for each in said)
    assert {"tiger", "elephant"} not in said and {"elephant", "cactus"} in said


def test_pairs_that_are_left_out_are_prompts_of_two_things():
    assert all(2 <= len(words_of(each)) <= 3 for each in NEVER_TOGETHER)


def test_the_second_of_a_pair_lies_at_the_bottom_right_over_the_first(zoo):
    red, blue = (zoo.pixels[np.flatnonzero(zoo.first)[index]] for index in (4, 3))
    both = pairs.together(red, blue).astype(int)
    middle = SMALL // 2
    assert both.shape == (64, 64, 3) and both[middle, middle].argmax() == 0 and both[-middle, -middle].argmax() == 2
    assert (both[:24, SMALL:] == 255).all() and (both[SMALL:, :24] == 255).all()


def test_pairs_are_tokenised_and_come_back(zoo, tmp_path):
    torch.manual_seed(0)
    rows, said = pairs.choose(zoo, 10, np.random.default_rng(0)), []
    codec = ResidualVQ(ResidualVQSpec())
    made = Pairs(tokenise(codec, rows, partial(pairs.pixels_of, zoo), said.append), rows)
    assert made.tokens.shape == (10, 4, 64) and made.tokens.dtype == torch.int16
    made.save(tmp_path / "pairs.npz")
    again = Pairs.load(tmp_path / "pairs.npz")
    assert torch.equal(again.tokens, made.tokens) and np.array_equal(again.rows, made.rows)


def test_briefs_of_pairs_say_both_in_order(zoo):
    words = vocabulary_of(zoo)
    first = np.flatnonzero(zoo.first)
    tokens = torch.arange(len(zoo.pixels))[:, None, None].expand(-1, 4, 64).to(torch.int16)
    pair = Pairs(tokens[:1] - 1, first[None, [3, 4]])  # a whale, then a bus
    drawn, controls = CaptionSampler(tokens, zoo, zoo.taught, words, seed=1, pairs=pair).batch(400)
    of_pairs = [each for row, each in zip(drawn[:, 0, 0].tolist(), controls, strict=True) if row == -1]
    assert abs(len(of_pairs) - 400 * PAIR_SHARE) < 40
    assert {each.words for each in of_pairs} == {(), (words.index("whale"), words.index("bus"))}
    assert {each.colours for each in of_pairs if each.words} == {(), (BLUE, RED)}


def test_disturbed_tokens_are_another_pictures_at_the_same_place():
    torch.manual_seed(0)
    tokens = torch.arange(400)[:, None, None].expand(-1, 4, 64)
    read = disturbed(tokens, 0.5, 0.3)
    wrong = read != tokens
    assert torch.equal(read[wrong], ((tokens - 1) % 400)[wrong])
    shares = wrong.float().mean((1, 2))
    assert 150 < (shares > 0).sum() < 250 and shares.max() < 0.4
    assert torch.equal(disturbed(tokens, 0.0, 0.3), tokens)


def test_tokens_and_words_come_back(tmp_path):
    tokens = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    save_tokens(tmp_path / "tokens.npz", tokens, ["a", "b"])
    found, words = load_tokens(tmp_path / "tokens.npz")
    assert np.array_equal(found.numpy(), tokens) and words == ["a", "b"]


def test_packed_weights_come_back_within_half_a_level():
    torch.manual_seed(0)
    weights = {"matrix": torch.randn(7, 11), "vector": torch.randn(5)}
    found = packed(weights)
    assert found["matrix"].dtype == torch.int8 and set(found) == {"matrix", "matrix" + SCALE, "vector"}
    again = unpacked(found)
    error = (again["matrix"] - weights["matrix"]).abs() / found["matrix" + SCALE][:, None]
    assert 0.1 < error.max() <= 0.5 + 127 * 2**-11
    assert set(again) == set(weights) and torch.equal(again["vector"], weights["vector"].half().float())


def test_a_clock_goes_on_and_does_not_count_stops(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("clavilux.training.image_dataset.time.monotonic", lambda: now[0])
    clock = Clock(100.0, spent_s=20.0)
    now[0] = 3.0
    assert clock.tick() == pytest.approx(0.23)
    now[0] = 1000.0
    assert clock.tick() == pytest.approx(0.23 + Clock.LONGEST_S / 100)


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
