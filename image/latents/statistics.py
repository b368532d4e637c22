"""How the latents of a VAE's pictures are spread, so that pictures can be drawn.

The latents of pictures do not fill the prior: a draw from the standard normal distribution decodes to mush. A Gaussian
with the mean and the leading principal components of the latents of real pictures comes nearer. Knows tensors only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

COMPONENTS = 128  # kept at most


class Statistics(NamedTuple):
    """Of latents [N, C, h, w].

    Attributes:
        mean: float [C, h, w].
        scale: float [C, 1, 1], the deviation of a channel over all places and pictures.
        components: float [K, C, h, w], the principal components, the largest first, orthogonal; the length of each is
            the latents' deviation along it.
    """

    mean: Tensor
    scale: Tensor
    components: Tensor

    def draw(self, count: int, random: torch.Generator | None = None) -> Tensor:
        """Latents [count, C, h, w] of the Gaussian with this mean and these components; noise is drawn on the CPU."""
        noise = torch.randn(count, len(self.components), generator=random).to(self.mean)
        return self.mean + torch.einsum("nk,kchw->nchw", noise, self.components)


def statistics_of(latents: Tensor, components: int = COMPONENTS) -> Statistics:
    """The statistics of float [N, C, h, w], N from 2; of K components at most N - 1 and C h w."""
    count, shape = len(latents), latents.shape[1:]
    rows = latents.flatten(1).double()
    mean = rows.mean(0)
    centered = rows - mean
    # Of the covariance the eigenvectors, by way of the smaller of the two products.
    tall = count > rows.shape[1]
    product = centered.T @ centered if tall else centered @ centered.T
    values, vectors = torch.linalg.eigh(product / (count - 1))  # ascending
    kept = min(components, count - 1, rows.shape[1])
    values, vectors = values.flip(0)[:kept].clamp_min(0), vectors.flip(1)[:, :kept]  # [.., K]
    directions = vectors.T if tall else torch.nn.functional.normalize(vectors.T @ centered)
    directions = directions * _signs(directions)
    scaled = directions * values.sqrt()[:, None]
    scale = (latents.double() - mean.view(shape)).square().mean((0, 2, 3)).sqrt()
    return Statistics(mean.view(shape).float(), scale[:, None, None].float(), scaled.view(-1, *shape).float())


def _signs(directions: Tensor) -> Tensor:
    """1 or -1 [K, 1]: the largest number of each is to be positive, which eigenvectors leave open."""
    largest = directions.abs().argmax(1, keepdim=True)
    return torch.where(directions.gather(1, largest) < 0, -1.0, 1.0)
