"""The bundled painter: it paints the same again, in the colour that was asked for, and says what it did not know."""

import pytest
import torch

import clavilux
from clavilux.describe import bundled_models, describe
from clavilux.memory import needed_bytes

GREEDY = [25, 197, 144, 10, 20, 4, 61, 125, 486, 103, 4, 4, 4, 4, 258, 425]  # two rows of places


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
    tokens = model.generate("red apple", seed=1, temperature=0).tokens
    assert tokens[0, 16:32].tolist() == GREEDY


def test_it_is_listed_and_small():
    [facts] = [each for each in bundled_models() if each["name"] == "lumia"]
    assert facts["picture"] == "64 x 64 pixels" and facts["licence"] == "Apache-2.0" and facts["words"] > 2000
    assert facts["size_bytes"] < 9 * 2**20
    assert {"apple", "cat", "house"} <= set(clavilux.load("lumia").family._words)
    assert describe("lumia")["parameters"] == facts["parameters"]
    assert needed_bytes("lumia", None) < 2**29


def test_a_picture_is_carried_on(model, apple):
    other = model.generate("blue apple", seed=5, temperature=1.0, continue_from=apple, keep=(0, 0, 64, 32))
    assert torch.equal(other.tokens[:, :32], apple.tokens[:, :32])
    assert not torch.equal(other.tokens, apple.tokens)
