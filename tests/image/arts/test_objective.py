"""What a dream climbs: how targets are named, and that sums of parts are those of the whole."""

import pytest
import torch

from clavilux.image.arts.features import Layer
from clavilux.image.arts.objective import Objective, Target, parse_targets


class TwoLayers:
    """Features without weights: the pixels' means over squares of 2 and of 4, a channel each and their sum."""

    name, fingerprint = "two", "0" * 64
    layers = (Layer("blocks.0", "", 4, 2), Layer("blocks.1", "", 4, 4))

    def __call__(self, pixels, layers):
        every = torch.cat([pixels, pixels.sum(1, keepdim=True)], 1)
        return {name: torch.nn.functional.avg_pool2d(every, {"blocks.0": 2, "blocks.1": 4}[name]) for name in layers}


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (1, [Target("blocks.1")]),
        ("blocks.1:3", [Target("blocks.1", 3)]),
        ("0*0.5, blocks.1 : 2 * -2", [Target("blocks.0", None, 0.5), Target("blocks.1", 2, -2.0)]),
        (["0", 1], [Target("blocks.0"), Target("blocks.1")]),
    ],
)
def test_targets_by_name(asked, wanted):
    found = parse_targets(TwoLayers(), asked)
    assert list(found) == wanted
    assert parse_targets(TwoLayers(), [str(target) for target in found]) == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("2", "two has no layer '2'; it has blocks.0, blocks.1"),
        ("1:4", "blocks.1 has no channel '4'; its channels are 0 to 3"),
        ("1:", "blocks.1 has no channel ''"),
        ("1:-1", "no channel '-1'"),
        ("1*0", "the weight of blocks.1 is '0'; it should be a number from -10 to 10, but not 0"),
        ("1*nan", "the weight of blocks.1 is 'nan'"),
        ("1*", "the weight of blocks.1 is ''"),
        ("1*11", "the weight of blocks.1 is '11'"),
        (" , ", "no layer is named"),
        ([], "no layer is named"),
    ],
)
def test_what_is_no_target(asked, said):
    with pytest.raises(ValueError) as caught:
        parse_targets(TwoLayers(), asked)
    assert said in str(caught.value)


def test_sums_of_parts_are_those_of_the_whole():
    features, pixels = TwoLayers(), random(1, 3, 16, 24)
    for targets, guide in (("0,1:2*3", None), ("0,1", random(3, 40, 56, seed=1))):
        objective = Objective(features, parse_targets(features, targets), guide)
        whole = objective.sums(features(pixels, objective.layers))
        parts = [objective.sums(features(part, objective.layers)) for part in pixels.split(8, 3)]
        assert torch.allclose(sum(parts), whole, rtol=1e-5)


def test_a_layer_counts_by_its_squares_and_a_channel_by_its_mean():
    features, pixels = TwoLayers(), random(1, 3, 16, 16)
    objective = Objective(features, parse_targets(features, "0,1:2"))
    found = features(pixels, objective.layers)
    values = objective.values(objective.sums(found))
    assert values == pytest.approx([found["blocks.0"].square().mean().item(), found["blocks.1"][:, 2].mean().item()])


def test_each_target_counts_as_its_weight_says_however_strong_it_is():
    """The gradient of the logarithm: a layer a hundred times as strong pulls no more than another."""
    features = TwoLayers()
    objective = Objective(features, (Target("blocks.0", None, 1.0), Target("blocks.1", None, 0.5)))
    loud, quiet = {"blocks.0": random(1, 4, 8, 8) * 100}, {"blocks.1": random(1, 4, 4, 4, seed=1)}
    sums = objective.sums(loud | quiet)
    relative = objective.scales(sums) * sums[:, 0] / sums[:, 2]
    assert relative.tolist() == pytest.approx([1.0, 0.5])


def test_with_a_guide_every_place_counts_by_its_likest():
    features, pixels, guide = TwoLayers(), random(1, 3, 8, 8), random(3, 12, 16, seed=3)
    objective = Objective(features, parse_targets(features, "0"), guide)
    ours = features(pixels, ["blocks.0"])["blocks.0"][0].flatten(1).T
    theirs = features(guide[None], ["blocks.0"])["blocks.0"][0].flatten(1).T
    wanted = (ours @ theirs.T).max(1).values.sum().item()
    assert objective.sums(features(pixels, ["blocks.0"]))[0, 0].item() == pytest.approx(wanted, rel=1e-5)


def test_a_guide_and_a_channel_exclude_each_other():
    features = TwoLayers()
    with pytest.raises(ValueError, match="a guide is followed by whole layers; blocks.1:2 names a channel"):
        Objective(features, parse_targets(features, "0,1:2"), random(3, 8, 8))
