"""Where the pattern of `pixel_mark` could lie in a picture: its fine structure, folded over the pattern's period.

The detector knows neither how large the picture was when it was made nor where it was cut: it brings it back to each
size that it may have had, and correlates with the pattern from its corner on, and from every place on, also turned by
quarters and mirrored.
Knows no key; what a correlation is worth is said elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from clavilux.image.pixel_mark import BLOCK, LIGHT, PERIOD, SIDE

SCALES = range(1, 9)  # times that a picture was enlarged, and perhaps cut afterwards
LEAST, MOST = 16, 512  # pixels a side, of a picture that is brought back, that are looked at
_SMOOTH = (1, 4, 6, 4, 1)
_WAYS = 8  # that a picture may be turned and mirrored
_FLOOR = 2.5  # levels; where structure is finer it is as sure as it gets


@dataclass(frozen=True, eq=False)
class Folds:
    """The residuals of a picture that was brought back in R ways, summed over the pattern's period.

    Attributes:
        sums: float64 [R, PERIOD, PERIOD]; in each the pattern may begin at the left upper corner.
        blocks: of each, that hold some structure.
        cut: how many of them, the first ones, may be parts of a picture, so that it may begin anywhere.
    """

    sums: np.ndarray
    blocks: tuple[int, ...]
    cut: int

    @property
    def tries(self) -> tuple[int, int]:
        """In how many places each pattern is looked for: at corners, and anywhere."""
        return len(self.sums), _WAYS * self.cut * PERIOD**2

    def correlations(self, pattern: np.ndarray) -> tuple[tuple[float, int], tuple[float, int]]:
        """At corners, and anywhere: the largest correlation with a pattern [SIDE, SIDE], in standard deviations, and
        how many blocks that rests on.

        Under a pattern of fair, independent signs each is a weighted sum of signs whose weights' squares sum to 1.
        """
        corners = _by_parity(self.sums)[:, 0, 0]
        at_corners = (corners * pattern).sum((1, 2)) / _norms(corners)
        spectra, norms = self._anywhere
        places = np.fft.irfft2(spectra * np.conj(np.fft.rfft2(pattern)), s=(SIDE, SIDE))
        at_places = (places.max((3, 4)) / norms).max((1, 2))
        best, place = int(at_corners.argmax()), int(at_places.argmax())
        return (
            (float(at_corners[best]), self.blocks[best]),
            (float(at_places[place]), self.blocks[place % self.cut]),
        )

    @functools.cached_property
    def _anywhere(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each way to lay the parts: the spectra of its blocks, and their norms."""
        parts = _by_parity(np.concatenate([_laid(self.sums[: self.cut], way) for way in range(_WAYS)]))
        return np.fft.rfft2(parts), _norms(parts)


def folds_of(pixels: np.ndarray, sizes: Sequence[int], fewest: int, tiles: Sequence[np.ndarray] = ()) -> Folds:
    """The folds of a picture in every way that it may be brought back.

    Args:
        pixels: uint8 [H, W, 3].
        sizes: pixels a side that a square picture may have had, of whatever size it is now.
        fewest: blocks with some structure that there should be; a way that leaves fewer is not looked at, but for one.
        tiles: uint8 [h, w, 3] each, of a sheet, as large as they were made: their patterns begin at their own corners,
            so they count together.
    """
    ways = [_fold(each) for each in brought_back(pixels, sizes)]
    ways = [each for each in ways if each[1] >= fewest] or [max(ways, key=lambda each: each[1])]
    cut = len(ways)
    if tiles:
        parts = [_fold(tile) for tile in tiles]
        ways.append((np.sum([sums for sums, _ in parts], axis=0), sum(blocks for _, blocks in parts)))
    return Folds(np.stack([sums for sums, _ in ways]), tuple(blocks for _, blocks in ways), cut)


def brought_back(pixels: np.ndarray, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """A picture uint8 [H, W, 3], or its left upper part, as large as it may have been."""
    height, width, _ = pixels.shape
    for scale in SCALES:
        rows, columns = min(height // scale, MOST), min(width // scale, MOST)
        if scale == 1:
            yield pixels[:rows, :columns]
        elif min(rows, columns) >= LEAST:
            yield _resized(pixels[: rows * scale, : columns * scale], rows, columns)
    for size in sizes:
        if height == width and height % size and size / 2 <= height <= SCALES[-1] * size:
            yield _resized(pixels, size, size)


def residual_of(pixels: np.ndarray) -> np.ndarray:
    """float32 [H, W]: what is finer than the neighbourhood; restless places count less.

    Filtered once more, as the pattern would be, so that a sum over a block is that block's part of a correlation with
    the filtered pattern.
    """
    light = (pixels.astype(np.float32) * (np.array(LIGHT, np.float32) / 8)).sum(2)
    fine = light - _smoothed(light, _SMOOTH)
    unrest = _smoothed(fine**2, (1, 1, 1))
    weighed = fine / (unrest + _FLOOR**2)
    return weighed - _smoothed(weighed, _SMOOTH)


def _smoothed(values: np.ndarray, weights: Sequence[int]) -> np.ndarray:
    """The weighted means of neighbours along both axes, those at an edge repeated; exact for eighths of a level."""
    return _along_rows(_along_rows(values, weights).T, weights).T


def _along_rows(values: np.ndarray, weights: Sequence[int]) -> np.ndarray:
    width, reach = values.shape[1], len(weights) // 2
    around = np.pad(values, ((0, 0), (reach, reach)), mode="edge")
    sums = np.zeros_like(values)
    for start, weight in enumerate(weights):
        sums += np.float32(weight / sum(weights)) * around[:, start : start + width]
    return sums


def _resized(pixels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    smaller = Image.Resampling.BOX if rows < pixels.shape[0] else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize((columns, rows), smaller))


def _fold(pixels: np.ndarray) -> tuple[np.ndarray, int]:
    """(float64 [PERIOD, PERIOD], the sums of residuals that lie whole periods apart; blocks with some structure)"""
    residual = residual_of(pixels)
    height, width = residual.shape
    rows, columns = -(-height // PERIOD), -(-width // PERIOD)
    whole = np.pad(residual, ((0, rows * PERIOD - height), (0, columns * PERIOD - width)))
    sums = whole.reshape(rows, PERIOD, columns, PERIOD).sum((0, 2), dtype=np.float64)
    return sums, int(np.count_nonzero(residual)) // BLOCK**2


def _laid(folds: np.ndarray, way: int) -> np.ndarray:
    """Folds [R, PERIOD, PERIOD] turned by quarters, and mirrored from the fourth way on."""
    turned = np.rot90(folds, way % 4, (1, 2))
    return turned if way < 4 else turned[:, :, ::-1]


def _by_parity(folds: np.ndarray) -> np.ndarray:
    """float64 [R, 2, 2, SIDE, SIDE] of [R, PERIOD, PERIOD]: the sums of blocks that begin at even and odd places."""
    sums = folds + np.roll(folds, -1, 1)
    sums = sums + np.roll(sums, -1, 2)
    return sums.reshape(-1, SIDE, BLOCK, SIDE, BLOCK).transpose(0, 2, 4, 1, 3)


def _norms(parts: np.ndarray) -> np.ndarray:
    """The root of the sum of squares [...] of blocks [..., SIDE, SIDE]; infinite where nothing is."""
    squares = (parts**2).sum((-2, -1))
    return np.sqrt(np.where(squares > 0, squares, np.inf))
