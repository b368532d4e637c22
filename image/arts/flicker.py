"""Flicker between styled frames: how much there is, and less of it.

Knows frames as pixels, one and the one before. Does not know how they were styled. Each frame goes through the network
by itself, so a little noise in the source becomes other strokes: flicker, where the source stands still.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

STILL = 4  # of 255: the largest change of a color between frames that counts as none
_NOISE = 10.0  # of 255: a change around a place at which the last frame counts e times less
_RADIUS = 4  # pixels around a place that must stand still, too


class Flicker(NamedTuple):
    """Mean changes from one frame to the next, of 255.

    Attributes:
        source_change: of the source.
        styled_change: of the styled frames.
        still_change: of the styled frames, where the source changed by `STILL` at most; 0 where it never did.
        still_share: of all places that is.
    """

    source_change: float
    styled_change: float
    still_change: float
    still_share: float


class Meter:
    """Adds up changes frame by frame."""

    def __init__(self) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64)
        self._places = 0
        self._last: tuple[Tensor, Tensor] | None = None

    def add(self, source: Tensor, styled: Tensor) -> None:
        """The next frame, before and after: uint8 [H, W, 3] both."""
        if self._last is not None:
            moved, changed = _change(source, self._last[0]), _change(styled, self._last[1])
            still = moved.amax(-1) <= STILL
            changes = changed.mean(-1)
            self._sums += torch.stack([moved.mean(-1).sum(), changes.sum(), changes[still].sum(), still.sum()]).double()
            self._places += still.numel()
        self._last = (source, styled)

    def read(self) -> Flicker:
        """What was found so far; zeros for less than two frames."""
        source, styled, still, still_places = self._sums.tolist()
        places = max(self._places, 1)
        return Flicker(source / places, styled / places, still / max(still_places, 1), still_places / places)


class Steadier:
    """Mixes a styled frame with the one before it, where the source stood still.

    The share of the one before falls with the change around a place as exp(-(change / 10)^2), so that noise counts as
    standing still, and what moves leaves no trail.
    """

    def __init__(self, share: float) -> None:
        """`share`: 0 leaves frames as they are, 1 keeps what stands still for ever."""
        self._share = share
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, source: Tensor, styled: Tensor) -> Tensor:
        """uint8 [H, W, 3]: the styled frame, steadied."""
        mixed = styled.float()  # kept unrounded, or the last half of a step would never be taken
        if self._last is not None and self._share > 0:
            moved = _change(source, self._last[0]).amax(-1)  # [H, W]
            radius = min(_RADIUS, *(side - 1 for side in moved.shape))
            around = F.avg_pool2d(F.pad(moved[None, None], (radius,) * 4, "replicate"), 2 * radius + 1, 1)[0, 0]
            around = torch.maximum(around, moved / 2)  # an edge that moves is no wider than it is
            share = (self._share * torch.exp(-((around / _NOISE) ** 2)))[..., None]
            mixed = mixed + share * (self._last[1] - mixed)
        self._last = (source, mixed)
        return mixed.round().clamp(0, 255).byte()


def _change(frame: Tensor, before: Tensor) -> Tensor:
    """float [H, W, 3]: how far each color moved."""
    return (frame.float() - before.float()).abs()
