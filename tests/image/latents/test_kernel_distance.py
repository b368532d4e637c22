"""KID against a sum over all pairs, and what it says of sets that are alike or not; nearest neighbors."""

import pytest
import torch

from clavilux.image.latents.kernel_distance import kernel_distance, nearest, squared_discrepancy


def features(count, width=5, seed=0, mean=0.0):
    return mean + torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def directly(x, y):
    """The unbiased estimate as it is written down: sums over pairs."""

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def among(rows):
        return sum(kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j)

    x, y = x.tolist(), y.tolist()
    n, m = len(x), len(y)
    across = sum(kernel(a, b) for a in x for b in y)
    return among(x) / (n * (n - 1)) + among(y) / (m * (m - 1)) - 2 * across / (n * m)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 4), (3, 12)])
def test_it_is_the_sum_over_pairs(n, m):
    x, y = features(n, seed=n), features(m, seed=100 + m, mean=0.5)
    assert squared_discrepancy(x, y) == pytest.approx(directly(x, y), rel=1e-12)
    assert kernel_distance(x, y, subsets=2, subset=2).distance == squared_discrepancy(x, y)


def test_of_one_distribution_it_is_about_nothing_and_grows_with_what_differs():
    real = features(400)
    same, near, far = (
        kernel_distance(features(300, seed=n, mean=mean), real) for n, mean in ((1, 0), (2, 0.3), (3, 1))
    )
    assert same.subset == 150
    assert abs(same.distance) < 3 * same.deviation < near.distance < far.distance
    # The mean over many small sets of one distribution is nothing: that is what unbiased means. A biased one adds the
    # diagonal, here about 2.
    found = [squared_discrepancy(features(8, seed=2 * n), features(8, seed=2 * n + 1)) for n in range(400)]
    assert abs(sum(found) / len(found)) < 0.15


def test_a_seed_repeats_the_deviation():
    x, y = features(20), features(30, seed=1)
    assert kernel_distance(x, y, seed=3) == kernel_distance(x, y, seed=3)
    assert kernel_distance(x, y, seed=3).deviation != kernel_distance(x, y, seed=4).deviation


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"features are \[3, 5\] and \[3, 4\]; they should be"):
        squared_discrepancy(features(3), features(3, width=4))
    with pytest.raises(ValueError, match="subset is 9; it should be a whole number from 2 to 8"):
        kernel_distance(features(8), features(8), subset=9)


def test_the_nearest_is_found_with_its_distance():
    among = torch.tensor([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]])
    distance, index = nearest(torch.tensor([[0.0, 1.0], [3.0, 4.0], [7.0, 1.0]]), among)
    assert index.tolist() == [0, 1, 2]
    assert distance.tolist() == pytest.approx([1.0, 0.0, 10**0.5])
