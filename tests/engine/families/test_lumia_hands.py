"""Hands: how a checkpoint says which words each drew, which one a seed chooses, and what a painter makes of them."""

import json
from collections import Counter

import pytest
import torch

import clavilux
from clavilux import CheckpointError
from clavilux.families.lumia.family import Parts
from clavilux.families.lumia.hands import DRAWING, hand_of, read_table, table_of
from clavilux.families.lumia.places import MARKED
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.training.painter_files import export, painter_spec

WORDS = ["apple", "cat", "owl", *MARKED]
DRAWN = {"apple": {"blob", "flat"}, "cat": {"flat", "glossy", "clipart"}}


def test_a_table_comes_back():
    found = read_table(table_of(WORDS, DRAWN), WORDS)
    assert found[:3] == [{"blob", "flat"}, {"flat", "glossy"}, set()] and not any(found[3:])


@pytest.mark.parametrize("table", [None, "12", "!" * len(WORDS), 7])
def test_a_table_that_is_none_is_refused(table):
    with pytest.raises(ValueError, match="it should be a letter of 0 to V for each of the"):
        read_table(table, WORDS)


def test_a_seed_chooses_among_the_hands_that_drew_all_words():
    apple, cat, owl = (frozenset(DRAWN.get(word, ())) & set(DRAWING) for word in WORDS[:3])
    chosen = Counter(hand_of(seed, [apple, owl]) for seed in range(200))
    assert set(chosen) == {"blob", "flat"} and min(chosen.values()) > 60
    assert {hand_of(seed, [apple, cat]) for seed in range(20)} == {"flat"}
    assert hand_of(3, [owl]) is None and hand_of(3, []) is None and hand_of(3, [apple, frozenset({"glossy"})]) is None
    assert hand_of(2**64 - 1, [apple]) == hand_of(-1, [apple])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("hands") / "painter"
    torch.manual_seed(0)
    parts = Parts(painter_spec(ResidualVQSpec()), len(WORDS))
    export(target, ResidualVQ(ResidualVQSpec()).state_dict(), parts.state_dict(), WORDS, {}, table_of(WORDS, DRAWN))
    return target


def test_a_picture_says_whose_hand_it_has_and_is_that_of_this_hand(folder):
    model = clavilux.load(folder, dtype="float32")
    assert "outlined" in model.accepts["hand"]
    for seed in range(1, 4):
        picture = model.generate("apple", seed=seed)
        hand = picture.receipt["controls"]["hand"]
        assert hand in DRAWN["apple"]
        assert torch.equal(model.generate("apple", seed=seed, hand=hand).tokens, picture.tokens)
        other = model.generate("apple", seed=seed, hand="outlined")
        assert other.receipt["controls"]["hand"] == "outlined" and not torch.equal(other.tokens, picture.tokens)
        assert model.explain(picture).surprise.shape == (8, 8)
    assert "hand" not in model.generate("owl", seed=1).receipt["controls"]
    with pytest.raises(ValueError, match="hand is 'Rembrandt'; it should be one of shaded, blob"):
        model.generate("apple", hand="Rembrandt")


def test_the_bundled_painter_has_hands():
    model = clavilux.load("lumia")
    pictures = model.generate("apple", seed=list(range(20)), batch=20)
    assert {each.receipt["controls"]["hand"] for each in pictures} == {*DRAWING}
    with pytest.raises(ValueError, match="hand is 'Rembrandt'; it should be one of shaded, blob"):
        model.generate("apple", hand="Rembrandt")


def test_a_checkpoint_with_a_wrong_table_is_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text()) | {"hands": "xyz"}
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="hands is 'xyz'; it should be a letter"):
        clavilux.load(tmp_path)
