"""What a dream climbs: how strongly layers or channels answer, or how like those of a guide they become.

Knows activations. Does not know how pixels are changed, or how a picture is cut into tiles: it gives sums over the
places that it is shown, so that those of tiles add up to those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.arts.features import Features, layer_named

GUIDE_SIDE = 512  # pixels of the guide's longer side
GUIDE_PLACES = 1024  # of the guide, that each place of the picture is compared with
_CHUNK = 1 << 24  # products that are held at once
_LEAST = 1e-12


class Target(NamedTuple):
    """What is to become stronger.

    Attributes:
        layer: its full name.
        channel: one of it, or None for all.
        weight: its share beside other targets; below 0 it is weakened.
    """

    layer: str
    channel: int | None = None
    weight: float = 1.0

    def __str__(self) -> str:
        channel = "" if self.channel is None else f":{self.channel}"
        return f"{self.layer}{channel}" + ("" if self.weight == 1 else f"*{self.weight:g}")


def parse_targets(features: Features, asked: str | int | Iterable[str | int]) -> tuple[Target, ...]:
    """The targets of `10`, "blocks.10", "blocks.10:3", "4*0.5,10" or a list of such.

    Raises:
        ValueError: none, a layer or a channel that is not there, or a weight that is no number from -10 to 10, or is 0.
    """
    parts = [asked] if isinstance(asked, (str, int)) else list(asked)
    texts = [piece.strip() for part in parts for piece in str(part).split(",")]
    found = tuple(_target(features, text) for text in texts if text)
    if not found:
        raise ValueError("no layer is named; give one or more, such as 10, blocks.10:3 or blocks.4*0.5,blocks.10")
    return found


def _target(features: Features, text: str) -> Target:
    named, star, weight = (part.strip() for part in text.partition("*"))
    name, colon, channel = (part.strip() for part in named.partition(":"))
    layer = layer_named(features, name)
    if colon and not (channel.isdecimal() and int(channel) < layer.channels):
        raise ValueError(f"{layer.name} has no channel {channel!r}; its channels are 0 to {layer.channels - 1}")
    try:
        number = float(weight) if star else 1.0
    except ValueError:
        number = 0.0
    if not 0 < abs(number) <= 10:  # NaN too
        raise ValueError(f"the weight of {layer.name} is {weight!r}; it should be a number from -10 to 10, but not 0")
    return Target(layer.name, int(channel) if colon else None, number)


class Objective:
    """A weighted sum over targets, each relative to what it was at the start of an octave.

    A whole layer counts by the mean of its squares (Mordvintsev, Olah and Tyka, "Inceptionism", 2015), a channel by its
    mean, and with a guide every place by the product with the guide's place that is most like it.
    """

    def __init__(self, features: Features, targets: Sequence[Target], guide: Tensor | None = None):
        """Args: guide: float [3, H, W], -1 to 1, on the features' device, or None.

        Raises:
            ValueError: a guide together with a channel.
        """
        single = next((target for target in targets if target.channel is not None), None)
        if guide is not None and single is not None:
            raise ValueError(f"a guide is followed by whole layers; {single} names a channel")
        self.features, self.targets = features, tuple(targets)
        self.layers = tuple(dict.fromkeys(target.layer for target in targets))
        self.reduction = max(layer_named(features, name).reduction for name in self.layers)
        self._guide = {} if guide is None else self._places(guide)

    @torch.no_grad()
    def _places(self, guide: Tensor) -> dict[str, Tensor]:
        """float32 [places, C] of the guide in each layer."""
        shrink = min(1.0, GUIDE_SIDE / max(guide.shape[1:]))
        size = [max(1, round(side * shrink)) for side in guide.shape[1:]]
        small = F.interpolate(guide[None], size=size, mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)
        found = self.features(small, self.layers)
        return {name: _spread(each[0].float().flatten(1).T) for name, each in found.items()}

    def sums(self, activations: Mapping[str, Tensor]) -> Tensor:
        """float32 [targets, 3]: sum of the value, sum of squares, how many numbers either is of; differentiable.

        Args:
            activations: [1, C, h, w] by layer.
        """
        rows = []
        for target in self.targets:
            x = activations[target.layer].float()
            x = x if target.channel is None else x[:, target.channel : target.channel + 1]
            squares = x.square().sum()
            if target.layer in self._guide:
                value, count = _likeness(x[0].flatten(1).T, self._guide[target.layer]), x[0, 0].numel()
            else:
                value, count = squares if target.channel is None else x.sum(), x.numel()
            rows.append(torch.stack([value, squares.detach(), squares.new_tensor(count)]))
        return torch.stack(rows)

    def values(self, sums: Tensor) -> list[float]:
        """What is reported of each target: its mean."""
        return [value / count for value, _, count in sums.tolist()]

    def scales(self, sums: Tensor) -> Tensor:
        """float32 [targets]: what the value's sum is multiplied with to count as its weight says."""
        found = []
        for target, (value, squares, count) in zip(self.targets, sums.tolist(), strict=True):
            channel = target.channel is not None
            size = math.sqrt(squares * count) if channel else abs(value)  # a channel's mean can be near 0
            found.append(target.weight / max(size, _LEAST))
        # times the count: gradients of about 1 a place suit float16 too; their size is normalized away later
        return sums.new_tensor(found) * sums[:, 2]


def _spread(places: Tensor) -> Tensor:
    """At most `GUIDE_PLACES` rows, evenly taken."""
    if len(places) <= GUIDE_PLACES:
        return places.contiguous()
    chosen = torch.linspace(0, len(places) - 1, GUIDE_PLACES, device=places.device).round().long()
    return places[chosen].contiguous()


def _likeness(x: Tensor, guide: Tensor) -> Tensor:
    """x [places, C] -> sum of each place's product with the guide's place that has the largest."""
    with torch.no_grad():
        rows = max(1, _CHUNK // len(guide))
        nearest = torch.cat([(part @ guide.T).argmax(1) for part in x.detach().split(rows)])
    return (x * guide[nearest]).sum()
