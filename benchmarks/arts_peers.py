"""Imported by `arts.py`: image style transfer and DeepDream as their authors' texts have them, the plain loops.

Both look through the features, layers and sizes that ours do, so that what differs is the method. Style: Gatys, Ecker
and Bethge (CVPR 2016), Gram matrices of one size, from the photograph, L-BFGS as in the paper or Adam as most have it.
DeepDream: Mordvintsev's notebook (2015), gradient ascent on the squares of a layer, the gradient divided by its mean
size, the picture rolled by a random jitter, octave by octave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.arts.features import Features

LINE = {"history_size": 100, "max_iter": 1, "lr": 1.0}  # L-BFGS with a gradient a step; lr .5 reached less in 60


def grams(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """[C, C] of each layer [1, C, h, w]: the mean product of two channels."""
    return {name: x[0].flatten(1) @ x[0].flatten(1).t() / x[0, 0].numel() for name, x in maps.items()}


def gram_loss(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], layers: Mapping[str, float]) -> Tensor:
    """Squared differences relative to what is wanted, weighted by layers, as our own loss is."""
    parts = [w * (found[n] - wanted[n]).square().sum() / wanted[n].square().sum() for n, w in layers.items()]
    return torch.stack(parts).sum()


def gatys(
    features: Features,
    photo: Tensor,
    painting: Tensor,
    layers: Mapping[str, float],
    content: tuple[str, float],
    steps: int,
    optimizer: str,
) -> Tensor:
    """float [1, 3, H, W], -1 to 1.

    Args:
        photo, painting: float [1, 3, H, W], -1 to 1.
        layers: of the style, with weights.
        content: (layer, weight), the difference relative to the variance of the photograph's forms.
        steps: gradients, all at the photograph's size.
        optimizer: "lbfgs" or "adam".
    """
    name, weight = content
    with torch.no_grad():
        wanted = grams(features(painting, list(layers)))
        forms = features(photo, [name])[name]
        scale = weight / (forms - forms.mean((2, 3), keepdim=True)).square().sum()
    x = photo.clone().requires_grad_()
    adam = optimizer == "adam"
    step = torch.optim.Adam([x], lr=0.02) if adam else torch.optim.LBFGS([x], **LINE)

    def closure() -> Tensor:
        step.zero_grad()
        maps = features(x, [*layers, name])
        loss = gram_loss(grams({n: maps[n] for n in layers}), wanted, layers)
        loss = loss + scale * (maps[name] - forms).square().sum()
        loss.backward()
        x.grad = x.grad.contiguous()  # the network's order of channels is none that L-BFGS takes
        return loss

    for _ in range(steps):
        step.step(closure)
        with torch.no_grad():
            x.clamp_(-1, 1)
    return x.detach()


def deepdream(
    features: Features,
    photo: Tensor,
    layer: str,
    sizes: Sequence[tuple[int, int]],
    iterations: int,
    step: float,
    jitter: int,
    seed: int,
) -> Tensor:
    """float [1, 3, H, W], -1 to 1; `sizes` are the octaves' (height, width), the last one the photograph's."""
    generator = torch.Generator().manual_seed(seed)
    detail = torch.zeros(1, 3, *sizes[0])
    for height, width in sizes:
        base = F.interpolate(photo, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
        detail = F.interpolate(detail, size=(height, width), mode="bilinear", align_corners=False)
        x = base + detail
        for _ in range(iterations):
            by = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
            x = x.roll(by, (2, 3)).requires_grad_()
            features(x, [layer])[layer].square().sum().mul(0.5).backward()
            with torch.no_grad():
                x = (x + x.grad * (step / x.grad.abs().mean())).clamp(-1, 1)
            x = x.roll([-each for each in by], (2, 3))
        detail = x - base
    return x
