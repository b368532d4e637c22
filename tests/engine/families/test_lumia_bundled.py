"""The bundled painter: it paints the same again, in the colour that was asked for, and says what it did not know."""

import pytest
import torch

import clavilux
from clavilux.cli.info import bundled_models, describe
from clavilux.families.lumia.seen_colors import main_colours, on_nothing
from clavilux.families.lumia.words import COLOURS
from clavilux.memory import needed_bytes

GREEDY = [357, 461, 57, 57, 57, 12, 169, 247, 357, 297, 185, 57, 185, 174, 12, 247]  # two rows of places


@pytest.fixture(scope="module")
def model():
    return clavilux.load("lumia")


@pytest.fixture(scope="module")
def apple(model):
    return model.generate("a red apple on the xyzzy", seed=3, temperature=1.0)


def test_the_same_seed_paints_the_same_picture_alone_and_in_a_batch(model, apple):
    again, other = model.generate("a red apple on the xyzzy", seed=[3, 4], batch=2, temperature=1.0)
    assert torch.equal(again.pixels, apple.pixels) and torch.equal(again.tokens, apple.tokens)
    assert not torch.equal(other.tokens, apple.tokens)
    assert (apple.width, apple.height, apple.tokens.shape) == (64, 64, (4, 64))


def test_what_was_heard_is_said(apple):
    assert apple.receipt["taken"] == ["red = red", "apple = apple"]
    assert apple.receipt["unknown"] == ["xyzzy"]
    assert apple.receipt["model"] == "lumia"


def test_a_color_that_did_not_come_out_is_not_said_to_be_taken(model):
    for picture in model.generate("blue elephant", seed=1, batch=6):
        seen = [COLOURS[each] for each in main_colours(on_nothing(picture.pixels.numpy())) if each >= 0]
        taken, unmet = picture.receipt["taken"], picture.receipt["unmet"]
        assert ("blue = blue" in taken) == ("blue" in seen) == (not unmet)
        assert "elephant = elephant" in taken
        assert not unmet or unmet[0].startswith("blue (asked of the model; the picture came out ")


def test_nothing_is_painted_of_words_that_are_not_understood(model):
    with pytest.raises(ValueError, match="not understood: 'xyzzy qwfpg' names nothing"):
        model.generate(["red apple", "xyzzy qwfpg"], seed=1)
    picture = model.generate("xyzzy qwfpg", seed=1, anything=True)
    assert picture.receipt["unknown"] == ["xyzzy", "qwfpg"] and picture.receipt["controls"]["anything"] is True
    assert torch.equal(model.generate("", seed=1).pixels, picture.pixels)
    model.explain(picture)


def test_names_in_other_languages_paint_the_same_picture(model):
    pictures = model.generate(["red apple", "pomme rouge", "赤いりんご", "🍎"], seed=[1, 1, 1, 1])
    assert all(torch.equal(picture.tokens, pictures[0].tokens) for picture in pictures)
    assert pictures[1].receipt["taken"] == ["pomme rouge = red apple"]


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("blue", 2)])
def test_colours_are_heard(model, colour, channel):
    """Of what is not white, in four pictures."""
    pictures = model.generate(f"{colour} apple", seed=1, batch=4)
    pixels = torch.cat([picture.pixels.flatten(0, 1) for picture in pictures]).float()
    ink = pixels[pixels.amin(1) < 235].mean(0)
    assert ink.argmax() == channel and ink.max() > 1.3 * ink.min()


def test_greedy_tokens_are_those_of_these_weights():
    """In float32 the likeliest tokens are far enough from the next to be the same on every machine."""
    model = clavilux.load("lumia", dtype="float32")
    tokens = model.generate("cat", seed=1, temperature=0, guidance=1, hand="blob").tokens
    assert tokens[0, 16:32].tolist() == GREEDY


def test_it_is_listed_and_small():
    [facts] = [each for each in bundled_models() if each["name"] == "lumia"]
    more = describe("lumia")
    assert more["picture"] == "64 x 64 pixels" and facts["licence"] == "Apache-2.0" and more["words"] == 2127
    assert facts["size_bytes"] < 9 * 2**20
    assert {"apple", "cat", "house"} <= set(clavilux.load("lumia").family.words)
    assert more["parameters"] == facts["parameters"]
    assert needed_bytes("lumia", None) < 2**29


def test_a_picture_is_carried_on(model, apple):
    other = model.generate("blue apple", seed=5, temperature=1.0, continue_from=apple, keep=(0, 0, 64, 32))
    assert torch.equal(other.tokens[:, :32], apple.tokens[:, :32])
    assert not torch.equal(other.tokens, apple.tokens)
