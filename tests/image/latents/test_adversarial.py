"""Both players' losses and gradients against hand calculation on two parameters; a ring of eight Gaussians."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from clavilux.image.latents.adversarial import Objective, discriminator_loss, generator_loss

# The toy: a generator y = a + z with one parameter a, a discriminator D(x) = b x^2 with one parameter b.
REAL, NOISE, A, B = (0.5, -1.0, 2.0), (0.1, 0.4, -0.3), 0.7, -0.6
PLAYED = [Objective(True, 0.8, 0.3), Objective(False, 0.8, 0.3), Objective(True, 0.0, 0.0), Objective(False, 0.5, 0.0)]


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def softplus(t):
    return math.log(1 + math.exp(t))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def toy():
    a = torch.tensor(A, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(B, dtype=torch.float64, requires_grad=True)
    real = torch.tensor(REAL, dtype=torch.float64)[:, None]
    fake = a + torch.tensor(NOISE, dtype=torch.float64)[:, None]
    return a, b, real, fake, lambda x: b * x[:, 0] ** 2


@pytest.mark.parametrize("objective", PLAYED)
def test_the_discriminators_loss_and_gradient_by_hand(objective):
    a, b, real, fake, judge = toy()
    found = discriminator_loss(judge, real, fake, objective)
    found.total.backward()
    pairs = [(x, A + z) for x, z in zip(REAL, NOISE, strict=True)]
    if objective.relativistic:  # s(b y^2 - b x^2)
        game = mean(softplus(B * (y * y - x * x)) for x, y in pairs)
        by_b = mean(sigmoid(B * (y * y - x * x)) * (y * y - x * x) for x, y in pairs)
    else:  # s(-b x^2) + s(b y^2)
        game = mean(softplus(-B * x * x) + softplus(B * y * y) for x, y in pairs)
        by_b = mean(-sigmoid(-B * x * x) * x * x + sigmoid(B * y * y) * y * y for x, y in pairs)
    # D'(x) = 2 b x, its square 4 b^2 x^2, and that by b 8 b x^2
    real_slope, fake_slope = (mean(4 * B * B * pair[n] ** 2 for pair in pairs) for n in (0, 1))
    total = game + objective.real_penalty / 2 * real_slope + objective.fake_penalty / 2 * fake_slope
    for gamma, n in ((objective.real_penalty, 0), (objective.fake_penalty, 1)):
        by_b += gamma / 2 * mean(8 * B * pair[n] ** 2 for pair in pairs)
    assert found.game.item() == pytest.approx(game, rel=1e-12)
    assert found.total.item() == pytest.approx(total, rel=1e-12)
    assert b.grad.item() == pytest.approx(by_b, rel=1e-12)
    assert a.grad is None  # the generator does not move with it
    assert found.real_slope.item() == pytest.approx(real_slope if objective.real_penalty else 0, rel=1e-12)
    assert found.fake_slope.item() == pytest.approx(fake_slope if objective.fake_penalty else 0, rel=1e-12)


@pytest.mark.parametrize("objective", PLAYED)
def test_the_generators_loss_and_gradient_by_hand(objective):
    a, _, real, fake, judge = toy()
    loss = generator_loss(judge, real, fake, objective)
    loss.backward()
    pairs = [(x, A + z) for x, z in zip(REAL, NOISE, strict=True)]
    if objective.relativistic:  # s(b x^2 - b y^2)
        wanted = mean(softplus(B * (x * x - y * y)) for x, y in pairs)
        by_a = mean(sigmoid(B * (x * x - y * y)) * -2 * B * y for x, y in pairs)
    else:
        wanted = mean(softplus(-B * y * y) for _, y in pairs)
        by_a = mean(sigmoid(-B * y * y) * -2 * B * y for _, y in pairs)
    assert loss.item() == pytest.approx(wanted, rel=1e-12)
    assert a.grad.item() == pytest.approx(by_a, rel=1e-12)


def test_penalties_now_and_then_count_as_much():
    gradients = []
    for factor in (0.0, 1.0, 4.0):
        _, b, real, fake, judge = toy()
        discriminator_loss(judge, real, fake, Objective(True, 0.8, 0.3), penalties=factor).total.backward()
        gradients.append(b.grad.item())
    without, always, fourfold = gradients
    assert (3 * without + fourfold) / 4 == pytest.approx(always, rel=1e-12) != pytest.approx(without)


def test_penalties_that_are_none_are_refused():
    with pytest.raises(ValueError, match="real_penalty is -1; it should be a number from 0 to"):
        Objective(real_penalty=-1)
    with pytest.raises(ValueError, match="relativistic is 1; it should be true or false"):
        Objective(relativistic=1)


def ring_samples(count, random):
    """Points [count, 2] around eight centers on the unit circle, deviation .05."""
    angle = torch.randint(8, (count,), generator=random) * (math.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(count, 2, generator=random)


def noise(count, random):
    """[count, 34]: one of 32 kinds, and two numbers of N(0, 1). A kind can lie at one mode, and all at the same."""
    kinds = torch.randint(32, (count,), generator=random)
    return torch.cat([one_hot(kinds, 32).float(), torch.randn(count, 2, generator=random)], 1)


def learn_ring(seed, steps):
    """Points [4096, 2] of an averaged generator that was taught the ring."""
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = nn.Sequential(nn.Linear(34, 64), nn.LeakyReLU(0.2), nn.Linear(64, 2))
        discriminator = nn.Sequential(
            nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1), nn.Flatten(0)
        )
    averaged, objective = deepcopy(generator), Objective(True, 0.02, 0.02)
    ours, theirs = (
        torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.0, 0.99), fused=True) for net in (generator, discriminator)
    )
    for _ in range(steps):
        real, fake = ring_samples(96, random), generator(noise(96, random)).detach()
        theirs.zero_grad()
        discriminator_loss(discriminator, real, fake, objective).total.backward()
        theirs.step()
        ours.zero_grad()
        generator_loss(discriminator, real, generator(noise(96, random)), objective).backward()
        ours.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged.parameters()), list(generator.parameters()), 0.02)
    with torch.no_grad():
        return averaged(noise(4096, random))


def modes(points):
    """Share of the points within .2 of each of the eight centers, [8]."""
    angle = torch.arange(8) * (math.pi / 4)
    apart = torch.cdist(points, torch.stack([angle.cos(), angle.sin()], 1))
    return (apart < 0.2).float().mean(0)


def test_a_ring_of_eight_gaussians_is_reached_in_all_eight_modes():
    reached = modes(learn_ring(0, 400))
    assert reached.min() > 0.05  # of .125
    assert reached.sum() > 0.85  # of points spread over the whole circle .51 would be


def test_the_measure_of_modes_tells_a_circle_from_a_ring():
    angle = torch.linspace(0, 2 * math.pi, 4001)[:-1]
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    assert modes(circle).sum().item() == pytest.approx(0.51, abs=0.01)
    assert modes(ring_samples(4096, torch.Generator().manual_seed(0))).min() > 0.1
