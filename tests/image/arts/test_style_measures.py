"""What the numbers of style and content say of pictures whose answer is known."""

import pytest
import torch
import torch.nn.functional as F
from seen import lite0_features, needs_lite0

from clavilux.image.arts import style_measures as measures
from clavilux.image.arts.style_measures import Moments, Statistics


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clouds(seed: int, side: int = 128, cells: int = 8) -> torch.Tensor:
    """float [1, 3, side, side]: soft blobs."""
    return F.interpolate(noise(seed, 1, 3, cells, cells), size=(side, side), mode="bicubic").clamp(-2, 2) / 2


def test_moments_are_the_mean_and_the_covariance_of_the_places_that_count():
    maps = noise(0, 1, 5, 6, 8) + 1
    weights = torch.ones(1, 1, 6, 8)
    weights[..., 4:] = 0
    found = measures.statistics(measures.moments(maps, weights))
    places = maps[0, :, :, :4].flatten(1)
    torch.testing.assert_close(found.mean, places.mean(1))
    torch.testing.assert_close(found.covariance, torch.cov(places, correction=0), atol=1e-5, rtol=1e-5)


def test_moments_of_parts_add_up_to_those_of_the_whole():
    maps, weights = noise(1, 1, 4, 8, 8), torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    whole = measures.moments(maps, weights)
    halves = measures.added(
        [measures.moments(maps[:, :, rows], weights[:, :, rows]) for rows in (slice(3), slice(3, 8))]
    )
    for ours, theirs in zip(halves, whole, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert isinstance(halves, Moments)


def test_the_border_repeats_the_edge_counts_for_nothing_and_makes_sides_multiples():
    pixels = noise(3, 1, 3, 37, 50)
    padded, weights = measures.continued(pixels), measures.interior(pixels)
    assert padded.shape[2:] == weights.shape[2:] and not any(side % 32 for side in padded.shape[2:])
    assert torch.equal(padded[:, :, 32:69, 32:82], pixels) and weights.sum() == 37 * 50
    assert (weights[:, :, 32:69, 32:82] == 1).all()
    assert torch.equal(padded[0, :, 0, 32:82], pixels[0, :, 0])


def gaussian(mean: float, deviation: float, channels: int = 3) -> Statistics:
    return Statistics(torch.full((channels,), mean), torch.eye(channels) * deviation**2)


def test_the_distance_of_styles_is_the_closed_form_of_gaussians_in_either_order():
    one, other = {"a": gaussian(0, 1)}, {"a": gaussian(2, 3)}
    wanted = ((3 * 4 + 3 * (1 - 3) ** 2) / (3 * 4 + 3 * (1 + 9))) ** 0.5  # per channel: (m - n)^2 + (s - t)^2
    assert measures.style_distance(one, other) == pytest.approx(wanted, rel=1e-6)
    assert measures.style_distance(other, one) == pytest.approx(wanted, rel=1e-6)
    assert measures.style_distance(one, one) == pytest.approx(0, abs=1e-6)


def test_the_style_loss_is_relative_to_what_is_wanted_and_weighs_layers():
    found, wanted = {"a": gaussian(1, 1)}, {"a": gaussian(0, 2)}
    apart = 3 / 12 + 3 * (1 - 4) ** 2 / (3 * 16)
    assert measures.style_loss(found, wanted, {"a": 1.0}).item() == pytest.approx(apart, rel=1e-4)
    assert measures.style_loss(found, wanted, {"a": 0.5}).item() == pytest.approx(apart / 2, rel=1e-4)
    assert measures.style_loss(wanted, wanted, {"a": 1.0}) == 0


def test_the_loss_of_a_flat_painting_is_finite():
    flat = {"a": gaussian(0.5, 0)}
    assert torch.isfinite(measures.style_loss({"a": gaussian(0, 1)}, flat, {"a": 1.0}))


def test_shares_lead_from_one_style_to_the_other():
    one, other = {"a": gaussian(0, 1)}, {"a": gaussian(2, 3)}
    assert torch.equal(measures.mixed([one, other], [1.0, 0.0])["a"].covariance, one["a"].covariance)
    half = measures.mixed([one, other], [0.5, 0.5])["a"]
    assert half.mean.tolist() == [1, 1, 1] and half.covariance.diagonal().tolist() == [5, 5, 5]


@needs_lite0
def test_a_region_has_the_style_of_what_is_in_it():
    features = lite0_features()
    coarse, fine = clouds(4, 256, 8), clouds(5, 256, 96)
    both = torch.cat([coarse[..., :128], fine[..., 128:]], 3)
    left, right = torch.zeros(256, 256), torch.zeros(256, 256)
    left[:, :112], right[:, 144:] = 1, 1
    of_left, of_right, of_coarse, of_fine = (
        measures.style_of(features, pixels, region)
        for pixels, region in ((both, left), (both, right), (coarse, None), (fine, None))
    )
    assert measures.style_distance(of_left, of_coarse) < measures.style_distance(of_left, of_fine) / 2
    assert measures.style_distance(of_right, of_fine) < measures.style_distance(of_right, of_coarse) / 2


def test_content_is_all_kept_by_the_picture_itself_and_none_by_another():
    picture = clouds(6)
    assert measures.content_kept(picture, picture) == pytest.approx(1, abs=1e-6)
    assert abs(measures.content_kept(picture, clouds(7))) < 0.15
    assert measures.content_kept(picture, -picture) == pytest.approx(-1, abs=1e-6)
    assert measures.content_kept(picture, torch.zeros_like(picture)) == 0


def test_content_is_lost_little_by_little_and_colors_do_not_count():
    picture = clouds(8)
    less = [measures.content_kept(picture, picture + share * noise(9, *picture.shape)) for share in (0.05, 0.2, 0.8)]
    assert 1 > less[0] > less[1] > less[2] > 0
    gray = (picture * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True).expand_as(picture)
    assert measures.content_kept(picture, gray) == pytest.approx(1, abs=1e-5)
    assert measures.content_kept(picture, picture * 0.3 - 0.2) == pytest.approx(1, abs=1e-5)
