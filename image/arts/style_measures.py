"""Style and content of pictures as numbers: what fine style lowers, and what all styles are judged by.

Style is what a classifier's early layers do on the whole, wherever they do it: the mean and covariance of their
channels (Gatys, Ecker, Bethge, 2016, had their product, the Gram matrix, which is both in one). Content is where
edges run. Knows tensors; does not know how a picture was made, nor what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.arts.features import Features, layer_named
from clavilux.image.arts.full_size import luminance

STYLE_LAYERS: Mapping[str, float] = {
    "stem": 1.0, "blocks.0": 1.0, "blocks.2": 1.0, "blocks.4": 1.0, "blocks.7": 1.0, "blocks.10": 0.5,
}  # fmt: skip
BORDER = 32  # pixels that a picture is continued by, so that no zeros of a convolution are seen at its edge
CONTENT_SIDES = (256, 128, 64, 32)  # pixels a side at which drawings are compared
_LEAST = 1e-4  # of a layer's variance a channel: a picture of one color has none


class Moments(NamedTuple):
    """Weighted sums over the places of one layer; those of parts add up to those of the whole.

    Attributes:
        places: sum of the weights, [].
        first: of the channels, [C].
        second: of their products, [C, C].
    """

    places: Tensor
    first: Tensor
    second: Tensor


class Statistics(NamedTuple):
    """Mean [C] and covariance [C, C] of one layer's channels."""

    mean: Tensor
    covariance: Tensor


Style = dict[str, Statistics]  # by the layer's name


def moments(maps: Tensor, weights: Tensor) -> Moments:
    """Of maps [1, C, h, w] with weights [1, 1, h, w], in float32."""
    root = weights.flatten(1).sqrt()  # [1, h w]: on both sides of the product, so that one copy of the maps is kept
    values = maps[0].float().flatten(1) * root  # [C, h w]
    return Moments(weights.sum(), (values @ root.t())[:, 0], values @ values.t())


def added(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts together."""
    return Moments(*(torch.stack(each).sum(0) for each in zip(*parts, strict=True)))


def statistics(found: Moments) -> Statistics:
    """Mean and covariance of what was summed up."""
    mean = found.first / found.places
    return Statistics(mean, found.second / found.places - mean[:, None] * mean)


def continued(pixels: Tensor, border: int = BORDER, multiple: int = 32) -> Tensor:
    """[1, 3, H, W] with its edge repeated: `border` pixels left and above, at least as many right and below.

    The sides become multiples of `multiple`, so that every layer's places lie alike in the whole and in its parts.
    """
    height, width = pixels.shape[2:]
    right, below = (border + -(side + 2 * border) % multiple for side in (width, height))
    return F.pad(pixels, (border, right, border, below), "replicate")


def interior(pixels: Tensor, region: Tensor | None = None, border: int = BORDER, multiple: int = 32) -> Tensor:
    """Weights [1, 1, ...] of the pixels of `continued`: `region` [H, W] (everywhere 1 if None), 0 in what was added."""
    height, width = pixels.shape[2:]
    right, below = (border + -(side + 2 * border) % multiple for side in (width, height))
    inside = pixels.new_ones(height, width) if region is None else region.to(pixels)
    return F.pad(inside[None, None], (border, right, border, below))


def pooled(weights: Tensor, reduction: int) -> Tensor:
    """Weights of pixels as those of a layer's places."""
    return F.avg_pool2d(weights, reduction, ceil_mode=True) if reduction > 1 else weights


def style_of(
    features: Features,
    pixels: Tensor,
    region: Tensor | None = None,
    layers: Mapping[str, float] = STYLE_LAYERS,
) -> Style:
    """The statistics of a picture, or of a region of it.

    Args:
        features: what looks at it.
        pixels: float [1, 3, H, W], -1 to 1, on its device; gradients flow.
        region: float [H, W], how much each pixel counts.
        layers: names; their weights are not looked at.
    """
    weights = interior(pixels, region)
    maps = features(continued(pixels), list(layers))
    return {
        name: statistics(moments(each, pooled(weights, layer_named(features, name).reduction)))
        for name, each in maps.items()
    }


def mixed(styles: Sequence[Style], shares: Sequence[float]) -> Style:
    """Several styles as one, by shares that add up to 1: means and covariances between theirs."""

    def blend(parts: list[Tensor]) -> Tensor:
        return torch.stack([share * part for share, part in zip(shares, parts, strict=True)]).sum(0)

    return {
        name: Statistics(
            blend([style[name].mean for style in styles]), blend([style[name].covariance for style in styles])
        )
        for name in styles[0]
    }


def style_loss(found: Style, wanted: Style, layers: Mapping[str, float] = STYLE_LAYERS) -> Tensor:
    """How far a style is from the wanted one: 0 is the same; each layer relative to what is wanted, times its weight.

    A layer's part is |mean - mean*|^2 / trace(covariance*) + |covariance - covariance*|^2 / |covariance*|^2.
    """
    total = next(iter(wanted.values())).mean.new_zeros(())
    for name, weight in layers.items():
        ours, theirs = found[name], wanted[name]
        spread = theirs.covariance.trace() + _LEAST * len(theirs.mean)
        size = theirs.covariance.square().sum() + _LEAST**2 * len(theirs.mean)
        means = (ours.mean - theirs.mean).square().sum() / spread
        total = total + weight * (means + (ours.covariance - theirs.covariance).square().sum() / size)
    return total


def style_distance(one: Style, other: Style) -> float:
    """How unlike two styles are, 0 to 1, in either order: the Frechet distance of Gaussians, mean over the layers.

    It is not what `style_loss` says and fine style lowers, so that it can judge it. A layer's part is the root of
    (|m - n|^2 + trace(S + T - 2 (S T)^1/2)) / (|m - n|^2 + trace(S + T)): 1 where nothing is shared.
    """
    parts = []
    for name, (mean, covariance) in one.items():
        theirs = other[name]
        apart = (mean - theirs.mean).double().square().sum()
        root = _root(covariance.double())
        shared = torch.linalg.eigvalsh(root @ theirs.covariance.double() @ root).clamp_min(0).sqrt().sum()
        both = covariance.double().trace() + theirs.covariance.double().trace()
        whole = (apart + both).clamp_min(1e-12)
        parts.append(((apart + both - 2 * shared).clamp_min(0) / whole).sqrt().item())
    return sum(parts) / len(parts)


def _root(matrix: Tensor) -> Tensor:
    """The symmetric root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(0).sqrt() @ vectors.t()


def content_kept(before: Tensor, after: Tensor) -> float:
    """How much of a picture's drawing is left: 1 all, 0 none (two unrelated pictures: -.1 to .1), -1 a negative.

    The correlation of the luminance's gradients, [dx, dy] at each place, mean over four sizes. Colors do not count,
    nor what a style adds evenly; an edge that is gone, moved or turned over does. Pictures that were looked at: fine
    style with the face intact .9 and more, with the face lost .8 and more, blurred by 6 of 512 px .8.

    It needs no network, so that it is not what any style lowers. The error of a classifier's features, which fine style
    does lower, would not do: it stays near 1 with the face intact, since paint is all it sees.

    Args:
        before: float [1, 3, H, W], any range.
        after: the same.
    """
    found = []
    for side in CONTENT_SIDES:
        ours, theirs = (_gradients(luminance(_square(pixels, side))) for pixels in (before, after))
        found.append((ours * theirs).sum() / (ours.norm() * theirs.norm()).clamp_min(1e-9))
    return torch.stack(found).mean().item()


def _square(pixels: Tensor, side: int) -> Tensor:
    return F.interpolate(pixels.float(), size=(side, side), mode="area")


def _gradients(gray: Tensor) -> Tensor:
    """[1, 1, s, s] to [1, 2, s, s]: central differences, the edge repeated."""
    around = F.pad(gray, (1, 1, 1, 1), "replicate")
    across = around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]
    down = around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]
    return torch.cat([across, down], 1)
