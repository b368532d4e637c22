"""The VAE's network and its losses: against closed forms, against sampling, against the probabilities they are of."""

import math

import pytest
import torch

from clavilux.image.latents import losses
from clavilux.image.latents.vae import BOUND, VAE, Bounded, Posterior, VAESpec, to_levels, to_pixels

TINY = VAESpec(16, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1))
LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def tiny(seed=0):
    torch.manual_seed(seed)
    return VAE(TINY)


def test_shapes():
    vae = VAE(VAESpec(latent_channels=4))
    posterior = vae.encode(torch.zeros(2, 3, 64, 64))
    assert posterior.mean.shape == posterior.log_variance.shape == (2, 4, 8, 8) == (2, *vae.spec.latent_shape)
    assert vae.decode(posterior.mean).shape == (2, 3, 64, 64)
    wide = vae.encode(torch.zeros(1, 3, 32, 128))
    assert vae.decode(wide.mean).shape == (1, 3, 32, 128)


def test_the_bundled_size_fits_into_four_megabytes_with_its_statistics():
    spec = VAESpec()
    numbers = sum(parameter.numel() for parameter in VAE(spec).parameters()) + 129 * math.prod(spec.latent_shape)
    assert 2 * numbers < 4 * 2**20


def test_levels_and_pixels():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(to_levels(to_pixels(levels)), levels)
    assert to_levels(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_gaussian_kl_is_torchs_and_that_of_sampling():
    torch.manual_seed(0)
    posterior = Posterior(torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2))
    found = losses.gaussian_kl(posterior)
    normal = torch.distributions.Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(found, torch.distributions.kl_divergence(normal, prior))
    # E_q[log q(z) - log p(z)] by sampling, with four times its standard error around it.
    z = posterior.sample(torch.randn(40_000, 2, 3, 2, 2))
    drawn = normal.log_prob(z) - prior.log_prob(z)
    assert ((drawn.mean(0) - found).abs() < 4 * drawn.std(0) / math.sqrt(len(z)) + 1e-6).all()


def test_gaussian_kl_by_hand():
    # m = 3, s = 2: (9 + 4 - 1 - log 4) / 2; the prior itself: 0.
    posterior = Posterior(torch.tensor([[[[3.0]], [[0.0]]]]), torch.tensor([[[[math.log(4)]], [[0.0]]]]))
    found = losses.gaussian_kl(posterior).flatten()
    torch.testing.assert_close(found, torch.tensor([(12 - math.log(4)) / 2, 0.0]))


def test_free_bits_are_free_a_channel():
    kl = torch.tensor([[[[0.1, 0.3]], [[2.0, 4.0]]], [[[0.2, 0.2]], [[1.0, 1.0]]]])  # [2, 2, 1, 2]: means .2 and 2
    free = 0.5
    assert float(losses.free_kl(kl, 0.0)) == pytest.approx(2 * 0.2 + 2 * 2.0)
    assert float(losses.free_kl(kl, free)) == pytest.approx(2 * free * math.log(2) + 2 * 2.0)
    kl.requires_grad_()
    losses.free_kl(kl, free).backward()
    assert kl.grad[:, 0].eq(0).all() and kl.grad[:, 1].eq(0.5).all()  # of 2 places, of 2 pictures x 2 places


@pytest.mark.parametrize("scale", [0.002, 0.02, 0.5])
@pytest.mark.parametrize("mean", [-1.2, 0.0, 0.003, 0.99])
def test_the_steps_of_a_number_have_probabilities_that_sum_to_one(mean, scale):
    """Against differences of the sigmoid, in float64, where these have the digits."""
    log_scale = torch.tensor(scale, dtype=torch.float64).log()
    nats = losses.logistic_nats(LEVELS.view(1, 1, 1, 256), torch.full((1, 1, 1, 256), mean).double(), log_scale)
    chance = (-nats).exp().flatten()
    assert float(chance.sum()) == pytest.approx(1, abs=1e-12)
    edges = torch.cat([torch.tensor([-math.inf]), LEVELS[:-1] + 1 / 255, torch.tensor([math.inf])]).double()
    below = torch.sigmoid((edges - mean) / scale)
    torch.testing.assert_close(chance, below.diff(), rtol=1e-4, atol=1e-10)


def test_far_off_numbers_keep_their_digits_and_gradients():
    pixels = torch.tensor([-1.0, 0.2, 1.0]).view(1, 1, 1, 3)
    decoded = torch.tensor([1.5, -1.0, -1.5]).view(1, 1, 1, 3).requires_grad_()
    nats = losses.logistic_nats(pixels, decoded, torch.tensor(0.004).log())
    nats.sum().backward()
    # Far from its mean a logistic distribution falls as e^(-distance / scale): what it lacks is a small constant.
    distance = ((pixels - decoded).abs() / 0.004).detach()
    assert torch.isfinite(nats).all() and ((nats - distance).abs() < 2).all()
    torch.testing.assert_close(decoded.grad.flatten(), torch.tensor([250.0, -250.0, -250.0]), rtol=1e-3, atol=0)


def test_the_elbo_is_its_two_terms_and_bounds_the_evidence():
    """One number of latent, one of a picture, a decoder m = z: log p(x) is an integral that can be added up."""
    x, log_scale = torch.tensor([[[[0.2]]]]).mul(127.5).round().div(127.5).double(), torch.tensor(0.3).log().double()
    grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64).view(-1, 1, 1, 1)
    prior = torch.exp(-0.5 * grid.square()) / math.sqrt(2 * math.pi)
    likelihood = (-losses.logistic_nats(x.expand_as(grid), grid, log_scale)).exp()
    evidence = float(torch.trapezoid((prior * likelihood).flatten(), grid.flatten()).log())
    noise = torch.special.ndtri((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000).view(-1, 1, 1, 1)  # normal
    found = []
    for mean, log_variance in ((0.2, -1.5), (1.0, 0.0), (-0.5, -3.0)):
        posterior = Posterior(*(torch.full((4000, 1, 1, 1), value).double() for value in (mean, log_variance)))
        z = posterior.sample(noise)
        found.append(float(losses.elbo(x.expand_as(z), posterior, z, log_scale).mean()))
    assert max(found) < evidence and found[0] > evidence - 0.1 and min(found) < evidence - 0.4


@torch.no_grad()
def test_elbo_sums_over_a_picture():
    vae, pixels = tiny(), torch.rand(3, 3, 16, 16).mul(255).round() / 127.5 - 1
    posterior = vae.encode(pixels)
    decoded = vae.decode(posterior.mean)
    found = losses.elbo(pixels, posterior, decoded, vae.log_scale)
    nats = losses.logistic_nats(pixels, decoded, vae.log_scale)
    for row in range(3):
        expected = -float(nats[row].sum()) - float(losses.gaussian_kl(posterior)[row].sum())
        assert float(found[row]) == pytest.approx(expected, rel=1e-5)


def test_a_tiny_vae_learns_four_pictures():
    torch.manual_seed(0)
    vae, pixels = tiny(), torch.ones(4, 3, 16, 16)
    for row in range(4):
        pixels[row, row % 3, 4 * (row // 2) : 4 * (row // 2) + 8, 2:12] = -1
    optimizer = torch.optim.Adam(vae.parameters(), 1e-2)
    bounds = []
    for _ in range(60):
        posterior = vae.encode(pixels)
        decoded = vae.decode(posterior.sample(torch.randn_like(posterior.mean)))
        bound = losses.elbo(pixels, posterior, decoded, vae.log_scale).mean()
        (-bound / 768).backward()
        optimizer.step()
        optimizer.zero_grad()
        bounds.append(float(bound.detach()))
    assert sum(bounds[-5:]) / 5 > 0.5 * bounds[0] and max(bounds) < 0


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"size": 60}, "multiple of 8 from 16 to 512, not 60"),
        ({"size": 8}, "multiple of 8 from 16"),
        ({"latent_channels": 0}, "latent_channels must be whole numbers from 1 to 4096, not 0"),
        ({"latent_channels": (8,)}, "latent_channels must be one number"),
        ({"encoder": (96,)}, "encoder must be 2 numbers"),
        ({"decoder": (96, 96, 50)}, "norm_groups must divide its channels"),
        ({"decoder_blocks": "abc"}, "decoder_blocks must be whole numbers"),
        ({"dept": 3}, "has no dept; it has decoder, decoder_blocks"),
    ],
)
def test_sizes_that_make_no_vae(sizes, says):
    with pytest.raises(ValueError, match=says):
        VAESpec.from_dict(sizes)


def test_sizes_come_back():
    spec = VAESpec(128, 4)
    assert VAESpec.from_dict(spec.to_dict()) == spec and VAESpec.from_dict({}) == VAESpec()


def test_pixels_reach_white_and_go_no_farther():
    """White must lie within reach, with room for its step's probability; without a bound the decoder runs away."""
    ends = Bounded()(torch.tensor([-50.0, 0.0, 50.0]))
    torch.testing.assert_close(ends, torch.tensor([-BOUND, 0.0, BOUND]))
    white = losses.logistic_nats(torch.ones(1, 1, 1, 1), ends[2:].view(1, 1, 1, 1), torch.tensor(0.01).log())
    assert float(white) < 0.02
    vae = tiny()
    assert float(vae.decode(1000 * torch.randn(2, 2, 2, 2)).detach().abs().max()) <= BOUND
