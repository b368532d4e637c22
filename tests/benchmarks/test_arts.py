"""The arts benchmark: its peers climb what they should, its pairs are fair, and what it says of seams is seen."""

import pytest
import torch
from benchmark_scripts import imported
from seen import lite0_features, needs_lite0
from styles import scene

from clavilux.image.arts.style_measures import STYLE_LAYERS
from clavilux.image.picture import Picture


@pytest.fixture(scope="module")
def arts():
    return imported("arts")


@pytest.fixture(scope="module")
def peers():
    return imported("arts_peers")


def floats(pixels: torch.Tensor) -> torch.Tensor:
    return Picture(pixels).to_floats()[None]


def test_grams_are_mean_products_and_their_loss_is_relative(peers):
    maps = {"a": torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])}  # two channels, two places
    found = peers.grams(maps)
    assert found["a"].tolist() == [[5.0, 1.0], [1.0, 2.0]]
    assert peers.gram_loss(found, found, {"a": 1.0}) == 0
    assert peers.gram_loss({"a": found["a"] * 2}, found, {"a": 0.5}).item() == pytest.approx(0.5)


@needs_lite0
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_plain_loop_of_style_lowers_its_loss(peers, optimizer):
    features, photo, painting = lite0_features(), floats(scene(64, 64)), floats(scene(64, 64).flip(0).roll(1, 2))
    painting = painting + torch.sin(torch.arange(64.0) * 1.3) * 0.3
    wanted = peers.grams(features(painting, list(STYLE_LAYERS)))
    losses = [
        peers.gram_loss(peers.grams(features(x, list(STYLE_LAYERS))), wanted, STYLE_LAYERS).item()
        for x in (photo, peers.gatys(features, photo, painting, STYLE_LAYERS, ("blocks.4", 0.01), 20, optimizer))
    ]
    assert losses[1] < 0.8 * losses[0]


@needs_lite0
def test_the_plain_loop_of_deepdream_makes_its_layer_stronger(peers):
    features, photo = lite0_features(), floats(scene(64, 64))
    found = peers.deepdream(features, photo, "blocks.4", [(45, 45), (64, 64)], 5, 0.02, 8, seed=1)
    assert found.shape == photo.shape and found.abs().max() <= 1
    strength = [features(x, ["blocks.4"])["blocks.4"].square().mean() for x in (photo, found)]
    assert strength[1] > 1.2 * strength[0]


def test_no_photograph_meets_a_painting_that_was_made_of_it(arts):
    photos, paintings = dict.fromkeys("abc"), dict.fromkeys(("c in mosaic", "b in ember"))
    pairs = arts.pairs_of(photos, paintings, 4)
    assert len(set(pairs)) == 4 and ("c", "c in mosaic") not in pairs and ("b", "b in ember") not in pairs
    assert {photo for photo, _ in pairs[:3]} == set("abc")
    assert {painting for _, painting in pairs[:2]} == set(paintings)


@needs_lite0
def test_a_seam_is_seen_where_the_tiles_meet():
    whole = torch.full((64, 64, 3), 100, dtype=torch.uint8)
    tiled = whole.clone()
    tiled[32:] += 10
    found = imported("arts_numbers").apart(whole, tiled, edge=32)
    assert found["mean"] == 5 and found["most"] == 10
    assert found["step_across_tiled"] == 10 and found["step_across_whole"] == 0
