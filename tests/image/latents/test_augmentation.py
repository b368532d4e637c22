"""What augmentation does to single samples, that gradients flow through it, and the rule of its probability."""

import pytest
import torch

from clavilux.image.latents.augmentation import MOST, adapted, augmented, overfitting


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(batch=64, channels=2, side=8):
    return torch.randn(batch, channels, side, side, generator=random(9))


def test_without_a_probability_nothing_happens_and_nothing_is_drawn():
    generator, x = random(), samples()
    assert augmented(x, 0.0, generator) is x
    assert torch.equal(generator.get_state(), random().get_state())


def test_the_same_generator_makes_the_same_and_some_samples_stay():
    x = samples(256)
    once, again = augmented(x, 0.3, random(1)), augmented(x, 0.3, random(1))
    assert torch.equal(once, again) and not torch.equal(once, augmented(x, 0.3, random(2)))
    stayed = (once == x).flatten(1).all(1).float().mean().item()
    assert 0.12 < stayed < 0.4  # .7^4 = .24 are not touched; of the moves one in nine stays where it is


def test_each_change_is_what_it_says():
    """Of a map that counts its columns: mirrored, moved by one at most, a hole of zeros, a factor a channel."""
    columns = torch.arange(1.0, 9.0).expand(400, 1, 8, 8)
    found, kinds = augmented(columns, 0.4, random(3)), set()
    for sample in found[:, 0]:
        rows = sample[(sample != 0).all(1)]
        if len(rows) == 0:
            continue  # the hole may be in every row
        if (sample == 0).any():
            kinds.add("hole")
        row, factor = rows[0], (rows[0].max() - rows[0].min()) / 7
        steps = row.diff() / row.diff().abs().max()
        assert (steps.sign() * steps[3].sign() >= 0).all()  # all in one direction
        assert (steps[1:-1].abs() - 1).abs().max() < 1e-4
        kinds |= {"mirror"} if steps[3] < 0 else set()
        kinds |= {"moved"} if 0 in (steps[0].abs().round(decimals=4), steps[-1].abs().round(decimals=4)) else set()
        kinds |= {"scaled"} if abs(float(factor) - 1) > 0.15 else set()
    assert kinds == {"hole", "mirror", "moved", "scaled"}


def test_gradients_flow_to_what_is_seen_and_only_there():
    x = samples(32).requires_grad_()
    found = augmented(x, 0.8, random(4))
    found.sum().backward()
    assert x.grad.abs().sum() > 0
    hidden = (found == 0).flatten(1).sum(1)
    assert hidden.max() >= 8  # holes


@pytest.mark.parametrize(
    ("trained", "held_out", "fake", "wanted"),
    [(2.0, 2.0, -2.0, 0.0), (2.0, -2.0, -2.0, 1.0), (2.0, 1.0, 0.0, 0.5), (1.0, 0.0, 1.0, 0.0)],
)
def test_overfitting_is_how_far_unseen_pictures_pass_for_generated_ones(trained, held_out, fake, wanted):
    assert overfitting(*(torch.full((4,), value) for value in (trained, held_out, fake))) == wanted


def test_the_probability_follows_and_keeps_its_bounds():
    assert adapted(0.2, 0.9, 0.1) == pytest.approx(0.3)
    assert adapted(0.2, 0.1, 0.1) == pytest.approx(0.1)
    assert adapted(0.0, 0.1, 0.1) == 0.0
    assert adapted(MOST, 0.9, 0.1) == MOST
