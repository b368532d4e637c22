"""What a network did to a small picture, brought to the whole one, a strip of rows at a time.

Knows pixels only: no network, no style. Memory is that of one strip and of the small pictures. The change is enlarged
(bicubic); what the small picture could not hold, the detail of the whole one, is added as strongly as the change kept
the contrast of the place: the gain of a local straight line from luminance to luminance, as in a guided filter (He,
Sun, Tang, 2010). So detail fades where the style flattened, and turns over where it turned light into dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
_RADIUS, _LEAST_VARIANCE = 4, 1e-3  # of the windows in which the gain is found; below it there is no contrast to keep
_LARGEST_GAIN = 1.5
_STRIP = 1 << 20  # pixels


@dataclass(frozen=True)
class Finish:
    """How a change is laid on a picture.

    Attributes:
        strength: 0 is the picture as it was, 1 the whole change.
        original_colors: only the luminance changes; the hues stay.
        mask: uint8 [H, W] of the picture's size, 255 where it changes; everywhere if None.
    """

    strength: float = 1.0
    original_colors: bool = False
    mask: Tensor | None = None


def luminance(pixels: Tensor) -> Tensor:
    """[..., 3, H, W] to [..., 1, H, W]."""
    weights = torch.tensor(LUMINANCE, dtype=pixels.dtype, device=pixels.device).view(3, 1, 1)
    return (pixels * weights).sum(-3, keepdim=True)


def smaller(pixels: Tensor, height: int, width: int) -> Tensor:
    """uint8 [H, W, 3] to uint8 [height, width, 3], by Lanczos; larger, too, where that is asked for."""
    if tuple(pixels.shape[:2]) == (height, width):
        return pixels
    scaled = Image.fromarray(pixels.numpy()).resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(scaled))


def lay(pixels: Tensor, small: Tensor, changed: Tensor, finish: Finish) -> Tensor:
    """The whole picture, changed as the small one was.

    Args:
        pixels: uint8 [H, W, 3], on the CPU.
        small: uint8 [h, w, 3], the same smaller, or itself.
        changed: float [3, h, w], 0 to 1: what became of `small`.
        finish: how it is laid on the whole.

    Returns:
        uint8 [H, W, 3].
    """
    height, width = pixels.shape[:2]
    found = torch.empty_like(pixels)
    rows = max(_STRIP // width, 1)
    whole = tuple(changed.shape[1:]) == (height, width)
    layers = None if whole else _layers(small.permute(2, 0, 1).float() / 255, changed, width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        before = pixels[top:bottom].permute(2, 0, 1).float() / 255
        if layers is None:
            after = changed[:, top:bottom]
        else:
            near = [_rows(layer, top, bottom, height) for layer in layers]
            after = near[0] + near[1] * (luminance(before) - near[2])
        strip = _finished(before, after, finish, None if finish.mask is None else finish.mask[top:bottom])
        found[top:bottom] = (strip * 255).round().clamp(0, 255).byte().permute(1, 2, 0)
    return found


def _finished(before: Tensor, after: Tensor, finish: Finish, mask: Tensor | None) -> Tensor:
    """float [3, h, w] of a strip before and after the change, together as `finish` says."""
    after = after.clamp(0, 1)
    if finish.original_colors:
        after = (before + luminance(after) - luminance(before)).clamp(0, 1)
    share = finish.strength if mask is None else finish.strength * (mask.float() / 255)
    return before + share * (after - before)


def _layers(small: Tensor, changed: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """(the change, its gain, the luminance that it came from), as wide as the whole and as high as the small."""
    before, after = luminance(small), luminance(changed)
    mean, mean_after = _mean(before), _mean(after)
    covariance = _mean(before * after) - mean * mean_after
    gain = covariance / ((_mean(before.square()) - mean.square()).clamp_min(0) + _LEAST_VARIANCE)
    gain = gain.clamp(-_LARGEST_GAIN, _LARGEST_GAIN)
    return tuple(_rows(layer.mT, 0, width, width).mT.contiguous() for layer in (changed, gain, before))  # type: ignore[return-value]


def _mean(x: Tensor) -> Tensor:
    """[1, h, w]: over a window around each place."""
    radius = min(_RADIUS, *(side - 1 for side in x.shape[1:]))
    padded = F.pad(x[None], (radius, radius, radius, radius), "replicate")
    return F.avg_pool2d(padded, 2 * radius + 1, 1)[0]


def _rows(x: Tensor, top: int, bottom: int, height: int) -> Tensor:
    """Rows `top` to `bottom` of [C, h, w] enlarged to `height` rows (Catmull-Rom), the same in any strip."""
    places = (torch.arange(top, bottom, dtype=torch.float64) + 0.5) * (x.shape[1] / height) - 0.5
    first = places.floor()
    t = (places - first).float()
    taps = torch.stack([
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ])  # fmt: skip
    indices = (first.long()[None] + torch.arange(-1, 3)[:, None]).clamp(0, x.shape[1] - 1)  # [4, rows]
    found = torch.zeros(x.shape[0], bottom - top, x.shape[2])
    for tap, index in zip(taps, indices, strict=True):
        found.addcmul_(x[:, index], tap[:, None])
    return found
