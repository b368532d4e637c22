"""Mean, deviation and principal components of latents, and draws from them."""

import pytest
import torch

from clavilux.image.latents.statistics import statistics_of


def latents(count=300, shape=(2, 3, 3), seed=0):
    """Correlated: a few directions hold most of the variance."""
    torch.manual_seed(seed)
    numbers = shape[0] * shape[1] * shape[2]
    spread = torch.linspace(3, 0.1, numbers)
    mixing = torch.linalg.qr(torch.randn(numbers, numbers))[0]
    return (torch.randn(count, numbers) * spread @ mixing + 5).view(count, *shape)


@pytest.mark.parametrize("count", [300, 10])  # more pictures than numbers, and fewer
def test_components_are_those_of_the_covariance(count):
    given = latents(count)
    found = statistics_of(given, components=4)
    rows = given.flatten(1)
    torch.testing.assert_close(found.mean, given.mean(0))
    covariance = torch.cov(rows.T)
    directions = found.components.flatten(1)
    lengths = directions.square().sum(1)  # variances
    torch.testing.assert_close(lengths, torch.linalg.eigvalsh(covariance).flip(0)[:4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(directions @ directions.T, torch.diag(lengths), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(directions @ covariance, directions * lengths[:, None], rtol=1e-3, atol=1e-3)


def test_scale_is_a_channels_deviation_from_the_mean_picture():
    given = latents()
    expected = (given - given.mean(0)).square().mean((0, 2, 3)).sqrt()
    torch.testing.assert_close(statistics_of(given).scale.flatten(), expected)


def test_draws_have_the_mean_and_the_covariance():
    given = latents()
    found = statistics_of(given)
    drawn = found.draw(20_000, torch.Generator().manual_seed(3))
    assert drawn.shape == (20_000, 2, 3, 3)
    torch.testing.assert_close(drawn.mean(0), found.mean, rtol=0, atol=0.1)
    torch.testing.assert_close(torch.cov(drawn.flatten(1).T), torch.cov(given.flatten(1).T), rtol=0, atol=0.35)
    assert torch.equal(found.draw(3, torch.Generator().manual_seed(4)), found.draw(3, torch.Generator().manual_seed(4)))


def test_two_pictures_have_one_component_between_them():
    given = latents(2)
    found = statistics_of(given)
    assert found.components.shape == (1, 2, 3, 3)
    half = (given[0] - given[1]) / 2**0.5
    torch.testing.assert_close(found.components[0].abs(), half.abs(), rtol=1e-4, atol=1e-5)


def test_signs_are_settled():
    """An eigenvector is one either way round: the largest number of each is made positive."""
    flat = statistics_of(latents()).components.flatten(1)
    assert (flat.gather(1, flat.abs().argmax(1, keepdim=True)) > 0).all()


def test_pictures_that_are_all_alike():
    found = statistics_of(torch.ones(5, 2, 2, 2))
    assert torch.equal(found.draw(3), torch.ones(3, 2, 2, 2))
