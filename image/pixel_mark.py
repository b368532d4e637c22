"""A mark in pixels: blocks of 2 x 2 are made a little lighter or darker, by a keyed pattern.

Spread spectrum in the pixels, as I. Cox, J. Kilian, F. T. Leighton and T. Shamoon, "Secure spread spectrum
watermarking for multimedia" (IEEE Transactions on Image Processing 6, 1997), with their rule that what masks more is
changed more. The pattern begins at the left upper corner and again every `PERIOD` pixels, so a picture of any size has
it, and so has a part that is cut out of one.

Knows a key's 64 bits and pixels. Whose key it is, and what a trace of it is worth, is said elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from clavilux.kernels.sample.reference import fair_signs

BLOCK, PERIOD = 2, 64  # pixels a side
SIDE = PERIOD // BLOCK  # blocks
LIGHT = (2, 5, 1)  # eighths of red, green and blue: about a television's luma, in whole numbers
AROUND = 5  # pixels a side of what masks a pixel
# By so many levels a pixel is changed whose surroundings differ by fewer than this, in eighths of a level; else by one
# more. On plain white two levels can be seen in an enlarged picture, one cannot.
STEPS = (64, 192)


def pattern_of(word: int) -> Tensor:
    """The signs of a key's 64 bits, int16 [SIDE, SIDE]: 1 lighter, -1 darker."""
    return fair_signs(word, SIDE * SIDE).view(SIDE, SIDE).short()


def marked(pixels: Tensor, word: int, where: Tensor | None = None) -> Tensor:
    """Pixels uint8 [H, W, 3] with the mark of a key's 64 bits.

    Args:
        pixels: on the CPU. They are moved off black and white first, so that nothing is cut off there and white keeps
            one mean.
        word: 64 bits of a key, as an int64.
        where: bool [H, W]; others stay as they are. None: everywhere.
    """
    rows, columns = (torch.arange(length) // BLOCK % SIDE for length in pixels.shape[:2])
    signs = pattern_of(word)[rows][:, columns]
    levels = _levels(pixels)
    if where is not None:
        levels = levels * where
    levels = levels[..., None]
    return (pixels.short().clamp(levels, 255 - levels) + levels * signs[..., None]).byte()


def _levels(pixels: Tensor) -> Tensor:
    """int16 [H, W]: by how much each pixel is changed. In whole numbers, so the same everywhere."""
    red, green, blue = pixels.float().unbind(2)
    light = LIGHT[0] * red + LIGHT[1] * green + LIGHT[2] * blue
    spread = max_pool2d(torch.stack([light, -light]), AROUND, 1, AROUND // 2).sum(0)
    levels = torch.ones(spread.shape, dtype=torch.int16)
    for step in STEPS:
        levels += spread >= step
    return levels
