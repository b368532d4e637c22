"""DeepDream: that it changes a picture and keeps it, what it climbs, seeds, masks, and tiles against the whole."""

import pytest
import torch
from seen import lite0_features, needs_lite0
from styles import scene

from clavilux.image.arts import dream as dreaming
from clavilux.image.arts.dream import DreamSpec, dream, octave_sizes
from clavilux.image.arts.objective import Objective, parse_targets

QUICK = DreamSpec(octaves=2, iterations=2)


def pixels(height=96, width=128):
    """A disc and stripes under something everywhere, stronger the coarser it is, as photographs have it."""
    y, x = torch.meshgrid(torch.fft.fftfreq(height), torch.fft.rfftfreq(width), indexing="ij")
    noise = torch.randn(3, height, width, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft2(noise) / (x.square() + y.square()).sqrt().clamp(min=1 / height)
    rough = torch.fft.irfft2(spectrum, s=(height, width))
    flat = scene(height, width).permute(2, 0, 1).float() / 127.5 - 1
    return levels(0.5 * flat + 0.25 * rough / rough.std()).clamp(0, 255) / 127.5 - 1


def objective(layers="10", guide=None):
    return Objective(lite0_features(), parse_targets(lite0_features(), layers), guide)


def dreamed(x, layers="10", spec=QUICK, seed=1, mask=None, guide=None):
    *_, last = dream(x, objective(layers, guide), spec, seed, mask)
    return last


def levels(x):
    return ((x + 1) * 127.5).round()


def luminance(x):
    return (levels(x) * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0).flatten()


@needs_lite0
def test_the_defaults_change_a_picture_visibly_and_keep_it():
    x = pixels()
    last = dreamed(x, spec=DreamSpec())
    y = last.picture()
    assert (levels(x) - levels(y)).abs().mean() > 8
    assert torch.corrcoef(torch.stack([luminance(x), luminance(y)]))[0, 1] > 0.25
    assert [(each.width, each.height) for each in last.octaves] == [(47, 35), (65, 49), (91, 69), (128, 96)]
    assert all(each.after[0] > 1.2 * each.before[0] for each in last.octaves)
    assert last.done == last.total == 10 * (47 * 35 + 65 * 49 + 91 * 69 + 128 * 96)


@needs_lite0
@pytest.mark.parametrize("layers", ["4", "blocks.10:3", "blocks.4*0.5,blocks.10", "head"])
def test_every_target_answers_more_strongly(layers):
    last = dreamed(pixels(), layers, DreamSpec(octaves=2, iterations=6))
    for octave in last.octaves:
        assert len(octave.before) == len(octave.after) == layers.count(",") + 1
        assert all(after > before for before, after in zip(octave.before, octave.after, strict=True))


@needs_lite0
def test_a_weight_below_zero_weakens():
    last = dreamed(pixels(), "7*-1", DreamSpec(octaves=1, iterations=6))
    assert last.octaves[0].after[0] < last.octaves[0].before[0]


@needs_lite0
def test_a_guide_makes_another_picture():
    x, guide = pixels(), pixels(64, 64).flip(2)
    spec = DreamSpec(octaves=1, iterations=4)
    guided = dreamed(x, "7", spec, guide=guide)
    assert guided.octaves[0].after[0] > guided.octaves[0].before[0]
    assert (levels(guided.picture()) - levels(dreamed(x, "7", spec).picture())).abs().mean() > 2


@needs_lite0
def test_the_same_seed_gives_the_same_pixels():
    x = pixels()
    first, again, other = (dreamed(x, seed=seed).picture() for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@needs_lite0
def test_outside_the_mask_nothing_changes():
    x = pixels()
    mask = torch.zeros(96, 128)
    mask[20:70, 30:60] = 1
    mask[70:80, 30:60] = 0.5
    y = dreamed(x, mask=mask, spec=DreamSpec(octaves=3, iterations=4)).picture()
    assert torch.equal(y[:, mask == 0], x[:, mask == 0])
    change = (levels(x) - levels(y)).abs().mean(0)
    assert change[mask == 1].mean() > 1.5 * change[mask == 0.5].mean() > 0


@needs_lite0
def test_every_step_is_a_picture_on_its_way():
    x, steps = pixels(), list(dream(pixels(), objective(), QUICK, 1))
    assert len(steps) == 2 * 2
    assert [step.done for step in steps] == sorted({step.done for step in steps})
    assert [len(step.octaves) for step in steps] == [0, 0, 1, 2]
    pictures = [step.picture() for step in steps]
    assert all(each.shape == x.shape and each.abs().max() <= 1 for each in pictures)
    far = [(each - x).abs().mean().item() for each in pictures]
    assert far == sorted(far) and far[0] > 0


def test_octaves_too_small_are_left_out():
    assert octave_sizes(400, 200, DreamSpec(octave_scale=2.0)) == [(50, 25), (100, 50), (200, 100), (400, 200)]
    assert octave_sizes(32, 40, DreamSpec(octave_scale=2.0)) == [(16, 20), (32, 40)]
    assert octave_sizes(512, 512, DreamSpec(octaves=1)) == [(512, 512)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"octaves": 0}, "octaves is 0; it should be a whole number from 1 to 12"),
        ({"octave_scale": 1.0}, "octave_scale is 1.0; it should be a number from 1.05 to 4"),
        ({"iterations": 0}, "iterations is 0"),
        ({"step": float("nan")}, "step is nan; it should be a number from 0.0001 to 0.5"),
        ({"jitter": -1}, "jitter is -1"),
        ({"tile": 200}, "tile is 200; it should be a whole number from 256"),
    ],
)
def test_what_a_spec_may_not_be(change, said):
    with pytest.raises(ValueError) as caught:
        DreamSpec(**change)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("side", "core", "moved"), [(100, 30, 0), (100, 30, 20), (96, 32, 32), (20, 30, 5), (61, 20, 19)]
)
def test_tiles_cover_a_side_once(side, core, moved):
    cut = dreaming._cut(side, core, moved)
    assert [place for piece in cut for place in range(piece.start, piece.stop)] == list(range(side))
    assert all(piece.stop - piece.start <= core for piece in cut)


@needs_lite0
@pytest.mark.parametrize(("layers", "width", "tile", "most"), [("4", 380, 256, 1e-4), ("10", 560, 384, 0.02)])
def test_the_seams_of_tiles_do_not_show(layers, width, tile, most):
    """The gradient in tiles against the whole: nearly the same, and no worse where tiles meet.

    Layer 4 asks of nothing farther away than a tile's margin: there the two differ by rounding. Layer 10 does a little.
    """
    x = pixels(300, width)
    gradients = []
    for side in (1024, tile):
        random = torch.Generator().manual_seed(1)
        ascent = dreaming._Ascent(objective(layers), DreamSpec(tile=side), x, None, random, side * 4 // 3)
        ascent.grid.manual_seed(3)
        gradients.append(ascent._gradient(x))
    assert len(list(ascent._tiles(ascent._view(x, (0, 0)), 16, 16))) >= 9
    whole, cut = gradients
    wrong = (whole - cut).abs().mean(0) / whole.abs().mean()
    assert 0 < wrong.mean() < most
    for line in (wrong.mean(0), wrong.mean(1)):  # a seam would be a row or a column that is all wrong
        assert line.max() < 5 * most


@needs_lite0
def test_a_picture_in_tiles_is_the_whole_one():
    """What is left after all steps, in levels of 255; the change itself is more than 5."""
    x = pixels(300, 360)
    whole, cut = (dreamed(x, "4", DreamSpec(octaves=1, iterations=3, tile=tile)) for tile in (1024, 256))
    assert (levels(whole.picture()) - levels(x)).abs().mean() > 5
    assert (levels(whole.picture()) - levels(cut.picture())).abs().mean() < 0.1
    assert cut.octaves[0].before == pytest.approx(whole.octaves[0].before, rel=1e-3)


@needs_lite0
def test_a_layer_never_sees_more_than_a_tile():
    """So memory does not grow with the picture."""
    shown = []

    class Watched:
        def __init__(self):
            self.layers, self.name = lite0_features().layers, "watched"

        def __call__(self, part, layers):
            shown.append(part.shape[2] * part.shape[3])
            return lite0_features()(part, layers)

    x = pixels(300, 900)
    *_, last = dream(x, Objective(Watched(), parse_targets(Watched(), "1")), DreamSpec(1, 1.4, 2, tile=256), 1)
    assert max(shown) <= 256 * 256 < 300 * 900 and len(shown) > 4
    assert last.octaves[0].after[0] > last.octaves[0].before[0]


def test_of_a_large_picture_every_octave_larger_than_a_tile_is_cut():
    """Its memory would else be that of an octave in one piece beside what belongs to the whole picture."""
    spec = DreamSpec(tile=768)
    assert dreaming._uncut(torch.empty(3, 1024, 600), spec) == 1024
    assert dreaming._uncut(torch.empty(3, 600, 1025), spec) == 768
