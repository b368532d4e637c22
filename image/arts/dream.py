"""DeepDream: a picture is changed until a layer of a classifier answers more strongly, from coarse to fine.

Knows pixels, octaves and tiles. Does not know which layers there are, seeds that nobody gave, or files. After
Mordvintsev, Olah and Tyka, "Inceptionism" (2015): gradient ascent with jitter, octave by octave, keeping the detail.
Our own: the gradient is the mean of three blurs of itself, each normalized, which takes away most noise of color;
and a large picture's gradient is computed in tiles, so that memory does not grow with it.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.checks import number_from, whole_number
from clavilux.image.arts.objective import Objective

SMALLEST = 32  # pixels of a picture's shorter side
SMALLEST_OCTAVE = 16
# Places of the deepest layer round a tile that are computed and thrown away. With 8 of blocks.10 (128 px) a tile's
# gradient is wrong by .005 of its mean size, with 12 by .0002, with 6 by .018.
MARGIN = 8
_SMALLEST_CORE = 128  # pixels of a tile without its margin
BLURS = (0.5, 1.5, 4.0)  # standard deviations, pixels
# Steps that a pixel moves by at most in one. Where a picture is flat but for an edge, the mean is small and the edge
# would jump past what it climbs.
FURTHEST = 5.0
_LEAST = 1e-12


@dataclass(frozen=True)
class DreamSpec:
    """How a picture is changed.

    Attributes:
        octaves: sizes that it is changed at, the last one its own; those under 16 px a side are left out.
        octave_scale: from one to the next.
        iterations: steps at each.
        step: how far pixels (-1 to 1) move in one, on average.
        jitter: pixels that the picture is moved by at most before each, so that no grid shows.
        tile: pixels a side that are computed at once where a picture is cut, as it is when a side has more than 4/3 of
            this. 1 GiB with Lite0 for 1,024 px in one piece, and no more for a picture of any size: of one that is
            cut, every octave larger than this is, since what it adds to does not become smaller with it.
    """

    octaves: int = 4
    octave_scale: float = 1.4
    iterations: int = 10
    step: float = 0.02
    jitter: int = 16
    tile: int = 768

    def __post_init__(self) -> None:
        whole_number("octaves", self.octaves, 1, 12)
        number_from("octave_scale", self.octave_scale, 1.05, 4)
        whole_number("iterations", self.iterations, 1, 1000)
        number_from("step", self.step, 0.0001, 0.5)
        whole_number("jitter", self.jitter, 0, 256)
        whole_number("tile", self.tile, 256, 16384)


class Octave(NamedTuple):
    """How strongly each target answered at one size, before and after; in the order of the targets."""

    width: int
    height: int
    before: list[float]
    after: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for receipts."""
        digits = {name: [float(f"{each:.6g}") for each in getattr(self, name)] for name in ("before", "after")}
        return {"width": self.width, "height": self.height, **digits}


class Step(NamedTuple):
    """A dream as far as it is.

    Attributes:
        done, total: pixels that were changed and that will have been, counted at every iteration: they grow with the
            time that it takes.
        octaves: those that are complete.
        picture: float32 [3, H, W] in full size, made when it is called.
    """

    done: float
    total: float
    octaves: tuple[Octave, ...]
    picture: Callable[[], Tensor]


def dream(
    pixels: Tensor, objective: Objective, spec: DreamSpec, seed: int, mask: Tensor | None = None
) -> Iterator[Step]:
    """Change a picture; yields after every iteration, at the end the whole.

    Args:
        pixels: float32 [3, H, W], -1 to 1, both sides from `SMALLEST`, on the device of the objective's features.
        objective: what to climb.
        spec: how.
        seed: of the jitter. The same one gives the same pixels on one processor with as many threads.
        mask: float32 [H, W], 0 to 1: how far each pixel may change; 0 stays as it is to the last bit.
    """
    sizes = octave_sizes(pixels.shape[1], pixels.shape[2], spec)
    random = torch.Generator().manual_seed(seed)
    total = float(sum(height * width for height, width in sizes) * spec.iterations)
    x, base, done, octaves = pixels, pixels, 0.0, tuple[Octave, ...]()
    for number, (height, width) in enumerate(sizes):
        detail = x - base if number else None
        base = resized(pixels, height, width)
        x = base if detail is None else (base + resized(detail, height, width)).clamp(-1, 1)
        area = None if mask is None else resized(mask[None], height, width).clamp(0, 1)
        ascent = _Ascent(objective, spec, x, area, random, _uncut(pixels, spec))
        for _ in range(spec.iterations):
            x = ascent.step(x)
            done += height * width
            if done < total:  # what there is when somebody stops it; the last one is given with its octave
                yield Step(done, total, octaves, _whole(pixels, x, base, mask))
        octaves = (*octaves, ascent.finished(x))
    yield Step(total, total, octaves, _whole(pixels, x, base, mask))


def _uncut(pixels: Tensor, spec: DreamSpec) -> int:
    """Pixels of the longest side of an octave that is computed in one piece."""
    most = spec.tile * 4 // 3
    return most if max(pixels.shape[1:]) <= most else spec.tile


def octave_sizes(height: int, width: int, spec: DreamSpec) -> list[tuple[int, int]]:
    """(height, width) of each octave, from the smallest on."""
    powers = [spec.octave_scale**-power for power in reversed(range(spec.octaves))]
    sizes = [(round(height * power), round(width * power)) for power in powers]
    return [size for size in sizes if min(size) >= SMALLEST_OCTAVE]


def resized(pixels: Tensor, height: int, width: int) -> Tensor:
    """[C, H, W] -> [C, height, width]: bicubic, without aliases where it shrinks."""
    if pixels.shape[1:] == (height, width):
        return pixels
    smaller = height < pixels.shape[1]
    size = (height, width)
    return F.interpolate(pixels[None], size=size, mode="bicubic", align_corners=False, antialias=smaller)[0]


def _whole(pixels: Tensor, x: Tensor, base: Tensor, mask: Tensor | None) -> Callable[[], Tensor]:
    """What a step's picture is made of: the given one, and what was changed so far."""

    def picture() -> Tensor:
        found = (pixels + resized(x - base, *pixels.shape[1:])).clamp(-1, 1)
        return found if mask is None else torch.where(mask > 0, found, pixels)

    return picture


class _Ascent:
    """The steps of one octave: measured before and after under the same jitter, so that the two can be compared."""

    def __init__(
        self, objective: Objective, spec: DreamSpec, x: Tensor, area: Tensor | None, random: torch.Generator, uncut: int
    ):
        self.objective, self.spec, self.area, self.random, self.uncut = objective, spec, area, random, uncut
        # of its own: whether a picture is cut must not change its jitter
        self.grid = torch.Generator().manual_seed(x.shape[1] * 65536 + x.shape[2])
        self.place = self._drawn()
        self.before = self._measured(x)
        self.scales = objective.scales(self.before)

    def step(self, x: Tensor) -> Tensor:
        """x [3, H, W] -> the same, a little further."""
        gradient = self._gradient(x)
        if self.area is not None:
            gradient = gradient * self.area
        change = smoothed(gradient)
        if self.area is not None:
            change = change * self.area
        mean = change.abs().mean() if self.area is None else change.abs().sum() / (3 * self.area.sum()).clamp(min=1)
        change = (change / mean.clamp(min=_LEAST)).clamp(-FURTHEST, FURTHEST)
        return (x + change * self.spec.step).clamp(-1, 1)

    def finished(self, x: Tensor) -> Octave:
        """The octave's report."""
        values = self.objective.values
        return Octave(x.shape[2], x.shape[1], values(self.before), values(self._measured(x)))

    def _drawn(self) -> tuple[int, int]:
        """Pixels of the reflected border above and to the left of the picture: 0 to the jitter."""
        top, left = torch.randint(0, self.spec.jitter + 1, (2,), generator=self.random).tolist()
        return top, left

    def _view(self, x: Tensor, place: tuple[int, int]) -> Tensor:
        """The picture moved: [1, 3, H + top + bottom, W + left + right], what is beyond its edges reflected.

        Its sides are whole places of the deepest layer: where convolutions halve an odd side they stand elsewhere than
        in a tile, and a tile's gradient would be another one.
        """
        (top, bottom), (left, right) = (self._border(each, side) for each, side in zip(place, x.shape[1:], strict=True))
        return F.pad(x[None], (left, right, top, bottom), mode="reflect")

    def _border(self, before: int, side: int) -> tuple[int, int]:
        """Pixels (before, after) a side; a reflection is shorter than what it reflects."""
        before = min(before, side - 1)
        whole = -(-(side + self.spec.jitter) // self.objective.reduction) * self.objective.reduction
        return before, min(whole - side - before, side - 1)

    @torch.no_grad()
    def _measured(self, x: Tensor) -> Tensor:
        view = self._view(x, self.place)
        total = torch.zeros(len(self.objective.targets), 3, device=x.device)
        for tile in self._tiles(view, 0, 0):
            found = self.objective.features(view[:, :, tile.rows, tile.columns], self.objective.layers)
            total += self.objective.sums({name: self._core(each, tile, view) for name, each in found.items()})
        return total

    def _core(self, activations: Tensor, tile: _Tile, view: Tensor) -> Tensor:
        """Without the places that stand in the tile's margin."""
        down, along = (
            (whole.stop - whole.start) / places
            for whole, places in zip((tile.rows, tile.columns), activations.shape[2:], strict=True)
        )
        rows, columns = _inside(tile.core_rows, tile.rows, down), _inside(tile.core_columns, tile.columns, along)
        return activations[:, :, rows, columns]

    def _gradient(self, x: Tensor) -> Tensor:
        """[3, H, W], of the weighted objective, under a new jitter."""
        place = self._drawn()
        view = self._view(x, place)
        gradient = torch.empty_like(view)
        half = self._core_side() // self.objective.reduction // 2 * self.objective.reduction
        down, along = (torch.randint(0, 2, (2,), generator=self.grid) * half).tolist()  # few shapes of tiles
        for tile in self._tiles(view, down, along):
            part = view[:, :, tile.rows, tile.columns].detach().requires_grad_()
            with torch.enable_grad():
                sums = self.objective.sums(self.objective.features(part, self.objective.layers))
                (found,) = torch.autograd.grad((sums[:, 0] * self.scales).sum(), part)
            rows, columns = _inside(tile.core_rows, tile.rows, 1), _inside(tile.core_columns, tile.columns, 1)
            gradient[:, :, tile.core_rows, tile.core_columns] = found[:, :, rows, columns]
        (top, _), (left, _) = (self._border(each, side) for each, side in zip(place, x.shape[1:], strict=True))
        return gradient[0, :, top : top + x.shape[1], left : left + x.shape[2]]

    def _core_side(self) -> int:
        reduction = self.objective.reduction
        return max(_SMALLEST_CORE, self.spec.tile // reduction * reduction - 2 * self._margin())

    def _margin(self) -> int:
        return MARGIN * self.objective.reduction

    def _tiles(self, view: Tensor, down: int, along: int) -> Iterator[_Tile]:
        """Tiles of the view, their grid moved by (down, along); one where the view is small enough."""
        height, width = view.shape[2:]
        if max(height, width) <= self.uncut + self.spec.jitter + self.objective.reduction:
            whole = (slice(0, height), slice(0, width))
            yield _Tile(*whole, *whole)
            return
        rows, columns = (_cut(side, self._core_side(), moved) for side, moved in ((height, down), (width, along)))
        for row in rows:
            for column in columns:
                yield _Tile(_wider(row, self._margin(), height), _wider(column, self._margin(), width), row, column)
            _release_free_memory()


class _Tile(NamedTuple):
    """Where a tile is computed, and the part of it, its core, that counts. Cores cover a picture once."""

    rows: slice
    columns: slice
    core_rows: slice
    core_columns: slice


def _release_free_memory() -> None:
    """Give the allocator's free memory back to the system: tiles of several shapes leave holes, 450 MiB at 2,048 px.

    After every tile it would take as long as a quarter of the dream, after every row of them little. Only glibc has it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _cut(side: int, core: int, moved: int) -> list[slice]:
    """0 to `side` in pieces of `core`, the first one shorter where the grid is moved."""
    if side <= core:
        return [slice(0, side)]
    edges = sorted({0, side, *range(moved, side, core)})
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _wider(core: slice, margin: int, side: int) -> slice:
    return slice(max(0, core.start - margin), min(side, core.stop + margin))


def _inside(core: slice, whole: slice, reduction: float) -> slice:
    """Where the core is in the tile, in places of a layer."""
    return slice(round((core.start - whole.start) / reduction), math.ceil((core.stop - whole.start) / reduction))


def smoothed(gradient: Tensor) -> Tensor:
    """[3, H, W] -> the mean of `BLURS` of it, each divided by its mean size."""
    total, blurred = torch.zeros_like(gradient), torch.empty_like(gradient)
    for deviation in BLURS:
        for channel in range(len(gradient)):  # one at a time: 400 MB less at 2,048 px
            blurred[channel] = _blurred(gradient[channel], deviation)
        size = blurred.abs().mean().clamp(min=_LEAST)
        total += blurred.div_(size * len(BLURS))
    return total


def _blurred(x: Tensor, deviation: float) -> Tensor:
    """[H, W] under a Gaussian."""
    radius = math.ceil(3 * deviation)
    places = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-0.5 * (places / deviation) ** 2)
    weights = weights / weights.sum()
    x = F.pad(x[None, None], (radius,) * 4, mode="reflect")  # [1, 1, H + 2 radius, W + 2 radius]
    return F.conv2d(F.conv2d(x, weights.reshape(1, 1, -1, 1)), weights.reshape(1, 1, 1, -1))[0, 0]
