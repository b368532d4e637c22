"""KID: how far two sets of pictures are apart, by a kernel on what a classifier sees in them; and nearest neighbors.

Knows vectors of features; not what they are of, nor who made them. The number means something only beside the name of
the features and the sizes of the sets: it is no FID, and of other features it is another number.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from clavilux.checks import whole_number


class KernelDistance(NamedTuple):
    """One measurement.

    Attributes:
        distance: the unbiased squared maximum mean discrepancy of all pictures; it can be below 0.
        deviation: of the same distance between random subsets, of `subset` pictures each: how far chance moves it.
        subset: pictures in each subset.
    """

    distance: float
    deviation: float
    subset: int


def squared_discrepancy(x: Tensor, y: Tensor) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel k(a, b) = (a b / D + 1)^3.

        mean of k(x_i, x_j), i != j  +  mean of k(y_i, y_j), i != j  -  2 mean of k(x_i, y_j)

    as Binkowski et al. have it, "Demystifying MMD GANs" (arXiv 1801.01401); computed in float64.

    Args:
        x: features [N, D], N at least 2.
        y: features [M, D], M at least 2.

    Raises:
        ValueError: other shapes.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"features are {list(x.shape)} and {list(y.shape)}; they should be [2 or more, D] alike")
    x, y = x.double(), y.double()
    return _among(x) + _among(y) - 2 * float(_kernel(x, y).mean())


def kernel_distance(
    x: Tensor, y: Tensor, *, subsets: int = 100, subset: int | None = None, seed: int = 0
) -> KernelDistance:
    """KID of two sets of features.

    Args:
        x: features [N, D], N at least 4.
        y: features [M, D], M at least 4.
        subsets: how many pairs of subsets the deviation is of; 2 or more.
        subset: pictures in each, drawn without replacement from both; half of the smaller set, at most 1,000, if None.
        seed: of the subsets.

    Raises:
        ValueError: other shapes, or no such subsets.
    """
    smaller = min(len(x), len(y))
    subset = min(1000, smaller // 2) if subset is None else subset
    whole_number("subsets", subsets, 2, 1 << 20)
    whole_number("subset", subset, 2, max(2, smaller))
    random = torch.Generator().manual_seed(seed)
    found = [
        squared_discrepancy(*(z[torch.randperm(len(z), generator=random)[:subset]] for z in (x, y)))
        for _ in range(subsets)
    ]
    return KernelDistance(squared_discrepancy(x, y), float(torch.tensor(found).std()), subset)


def nearest(vectors: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """(distance float [N], index int64 [N]) of what lies nearest to each vector; Euclid's distance.

    Args:
        vectors: float [N, D].
        among: float [M, D], M at least 1.
    """
    found = [torch.cdist(part.double(), among.double()).min(1) for part in vectors.split(256)]
    return torch.cat([each.values for each in found]).float(), torch.cat([each.indices for each in found])


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.t() / x.shape[1] + 1) ** 3


def _among(x: Tensor) -> float:
    """Mean kernel of two different ones."""
    kernel = _kernel(x, x)
    return float(kernel.sum() - kernel.diagonal().sum()) / (len(x) * (len(x) - 1))
