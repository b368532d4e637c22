"""Fine style: a picture is changed, step by step, until its statistics are those of a painting. Slower, and truer.

Coarse to fine: a small picture first, whose strokes the next size sharpens. It starts from the photograph, and what is
returned is a running average of the steps, which leaves less noise than the last of them. Knows tensors and how to
stop early; does not know files, names or receipts. After Gatys, Ecker and Bethge (2016), with means and covariances in
the place of their Gram matrices. Nothing is drawn at random: on one CPU the same pictures give the same pixels.

Above 4/3 of a tile's side the gradient is taken in tiles, so that memory hardly grows with the picture. The loss is of
the whole all the same: a first pass adds up the tiles' moments, a second carries the loss's gradient with respect to
them back into each tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.arts import full_size, style_measures
from clavilux.image.arts.features import Features, layer_named
from clavilux.image.arts.full_size import Finish
from clavilux.image.arts.style_measures import STYLE_LAYERS, Moments, Style
from clavilux.image.arts.style_names import mixture

LEAST_SIDE = 32  # pixels of the shorter side, in the network's sight
TILE, MARGIN = 512, 96  # pixels a side: what is a tile's own, and what it sees of its neighbors
LARGEST_PAINTING = 1.25  # a painting is seen at most so much larger than it is: beyond that it is blurred
FORMS = 0.5  # what content is counted with: half of a relative squared difference
# Of Adam: each pixel of -1 to 1 moves by about the rate a step. At .02 two of six pairs stayed above a tenth of the
# photograph's style loss with content .02; at .03 none does, and forms are still seen.
_RATE, _BOLD_RATE, _BETAS = 0.02, 0.03, (0.9, 0.99)
_STARTED = 24  # steps after which the average's memory no longer grows

Progress = Callable[[float, float], None]  # (done, total), in steps at 512 px
Range = tuple[int, int]


class Stage(NamedTuple):
    """Steps at one size: the side of a square of as many pixels."""

    side: int
    steps: int


FAITHFUL = (Stage(192, 60), Stage(384, 40), Stage(512, 20))
BOLD = (Stage(128, 60), Stage(256, 40), Stage(384, 24), Stage(512, 20))
BOLD_BELOW = 0.1  # content: whoever asks for less of the photograph gets stages and steps that go further from it
LARGER = (Stage(1024, 6), Stage(2048, 4))  # where the picture is, after either


@dataclass(frozen=True)
class Manner:
    """How fine style goes about it.

    Attributes:
        content: how much the photograph's forms count. .25 keeps faces; .02 dissolves them.
        smoothness: how much roughness counts (total variation).
        stroke: how large strokes are; 2 is twice as large.
        size: side of a square of as many pixels as are optimized at most; a larger picture gets the change by
            `full_size`.
        stages: in place of those that `content` and `size` stand for.
        layers: of the style, with weights.
        content_layer: where forms are compared.
        tile: pixels a side that are seen at once of a picture that is cut: a multiple of 32.
    """

    content: float = 0.25
    smoothness: float = 6.0
    stroke: float = 1.0
    size: int = 1024
    stages: tuple[Stage, ...] | None = None
    layers: Mapping[str, float] = field(default_factory=lambda: dict(STYLE_LAYERS))
    content_layer: str = "blocks.4"
    tile: int = TILE


class Run(NamedTuple):
    """What one stage did: its side, and the style loss before its first step and before each other."""

    side: int
    losses: tuple[float, ...]


class Found(NamedTuple):
    """A result.

    Attributes:
        pixels: uint8 [H, W, 3].
        runs: of the stages that were begun.
        finished: False where it was stopped (Ctrl-C) and holds what was there by then.
    """

    pixels: Tensor
    runs: tuple[Run, ...]
    finished: bool


class FineStyle:
    """Paintings to paint after, with shares, and the manner; for any number of photographs."""

    def __init__(
        self,
        features: Features,
        paintings: Sequence[tuple[Tensor, float]],
        manner: Manner | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """Nothing is computed yet.

        Args:
            features: what looks; on `device`, of any dtype.
            paintings: (uint8 [H, W, 3], weight) of each.
            manner: as the facts stand in `Manner` if None.

        Raises:
            ValueError: no painting, or a weight that is no number from 0.
        """
        if not paintings:
            raise ValueError("there is no style to paint in; give a painting")
        self.manner = Manner() if manner is None else manner
        self._features, self._device = features, torch.device(device)
        self._paintings = [pixels for pixels, _ in paintings]
        self._shares = mixture([weight for _, weight in paintings], "the paintings")

    def __call__(self, pixels: Tensor, finish: Finish | None = None, progress: Progress | None = None) -> Found:
        """uint8 [H, W, 3] to the same, of the same size.

        Args:
            pixels: the photograph.
            finish: strength, original colors, a mask; all of the picture at full strength if None. Of a masked
                picture the region alone is given the painting's statistics.
            progress: called with (done, total) after each step.
        """
        finish = Finish() if finish is None else finish
        stages = stages_for(pixels.shape[0], pixels.shape[1], self.manner)
        total = sum(stage.steps * stage.side**2 for stage in stages) / 512**2
        x, runs, done, finished = _floats(pixels, self._device), list[Run](), 0.0, True
        small = pixels
        for stage in stages:
            small = scaled(pixels, stage.side)
            x = _resized(x, *small.shape[:2])
            losses = list[float]()
            try:
                for average, loss in self._steps(x, small, stage, finish):
                    x = average
                    losses.append(loss)
                    done += stage.side**2 / 512**2
                    if progress is not None:
                        progress(done, total)
            except KeyboardInterrupt:
                finished = False
            runs.append(Run(stage.side, tuple(losses)))
            if not finished:
                break
        changed = (x[0].float().cpu() * 0.5 + 0.5).clamp(0, 1)
        return Found(full_size.lay(pixels, small, changed, finish), tuple(runs), finished)

    def _steps(self, x: Tensor, small: Tensor, stage: Stage, finish: Finish) -> Iterator[tuple[Tensor, float]]:
        """(the average so far, the style loss before the step) after each step at one size."""
        photo = _floats(small, self._device)
        region = None if finish.mask is None else _region(finish.mask, *small.shape[:2]).to(self._device)
        wanted = self._wanted(stage, photo, finish.original_colors)
        if finish.original_colors:
            photo, x = _gray(photo), _gray(x)
        sight = _Sight(self._features, self.manner, wanted, photo, region)
        del photo
        x = x.clone().requires_grad_()
        average = x.detach().clone()
        adam = _Adam(x, _BOLD_RATE if self.manner.content < BOLD_BELOW else _RATE)
        for number in range(1, stage.steps + 1):
            loss = sight.gradient(x)
            adam.step()
            with torch.no_grad():
                x.clamp_(-1, 1)
                average.lerp_(x, 2 / (min(number, _STARTED) + 1))
            yield average, loss

    def _wanted(self, stage: Stage, photo: Tensor, gray: bool) -> Style:
        """The statistics to come to, of the paintings at this stage's size."""
        styles = []
        for painting in self._paintings:
            own = math.sqrt(painting.shape[0] * painting.shape[1])
            side = min(stage.side, LARGEST_PAINTING * own) * self.manner.stroke
            seen = _floats(scaled(painting, side), self._device)
            if gray:
                seen = _like_in_gray(seen, photo)
            styles.append(seen_style(self._features, seen, self.manner.layers))
        return style_measures.mixed(styles, self._shares)


def stages_for(height: int, width: int, manner: Manner) -> tuple[Stage, ...]:
    """The stages of a picture: none is larger than it is, or than `manner.size`; the last one is as large as that."""
    stages = manner.stages
    if stages is None:
        stages = (BOLD if manner.content < BOLD_BELOW else FAITHFUL) + LARGER
    most = min(round(math.sqrt(height * width)), manner.size)
    found = [stage for stage in stages if stage.side <= most]
    if not found or found[-1].side < most * 0.98:
        following = next((stage for stage in stages if stage.side > most), stages[-1])
        found.append(Stage(most, following.steps))
    return tuple(found)


class _Sight:
    """The loss of a picture and its gradient, the picture seen whole or in tiles."""

    def __init__(self, features: Features, manner: Manner, wanted: Style, photo: Tensor, region: Tensor | None) -> None:
        self._features, self._manner, self._wanted = features, manner, wanted
        names = {*manner.layers, manner.content_layer}
        self._reductions = {name: layer_named(features, name).reduction for name in names}
        self._weights = style_measures.interior(photo, region)
        self._tiles = tiles_of(self._weights.shape[2], self._weights.shape[3], manner.tile)
        padded = style_measures.continued(photo)
        with torch.no_grad():
            self._forms = [
                self._seen(padded, tile, (manner.content_layer,))[manner.content_layer] for tile in self._tiles
            ]
            parts = [
                style_measures.moments(forms, self._pooled(tile, manner.content_layer))
                for forms, tile in zip(self._forms, self._tiles, strict=True)
            ]
            found = style_measures.added(parts)
            spread = style_measures.statistics(found).covariance.trace() + 1e-4 * len(found.first)
            self._form_scale = FORMS * manner.content / (found.places * spread)

    def gradient(self, x: Tensor) -> float:
        """Puts the gradient of the loss into `x.grad`; returns the style's part of the loss."""
        x.grad = None
        padded = style_measures.continued(x)
        seen = padded.detach().requires_grad_()
        wholes = [self._moments(seen, tile) for tile in self._tiles] if len(self._tiles) > 1 else []
        if wholes:
            loss, slopes = self._slopes(
                {name: style_measures.added([each[name] for each in wholes]) for name in wholes[0]}
            )
            for tile, forms in zip(self._tiles, self._forms, strict=True):
                maps = self._seen(seen, tile)
                part = self._form_loss(maps, tile, forms)
                for name, (first, second) in slopes.items():
                    ours = style_measures.moments(maps[name], self._pooled(tile, name))
                    part = part + (first * ours.first).sum() + (second * ours.second).sum()
                part.backward()
        else:
            [tile], [forms] = self._tiles, self._forms
            maps = self._seen(seen, tile)
            found = {
                name: style_measures.statistics(style_measures.moments(maps[name], self._pooled(tile, name)))
                for name in self._manner.layers
            }
            styled = style_measures.style_loss(found, self._wanted, self._manner.layers)
            (styled + self._form_loss(maps, tile, forms)).backward()
            loss = styled.item()
        assert seen.grad is not None
        padded.backward(seen.grad)
        del padded, seen
        for channel in x.split(1, dim=1):  # one at a time: 150 MB less at 2,048 px
            (self._manner.smoothness / 3 * roughness(channel)).backward()
        return loss

    def _seen(self, padded: Tensor, tile: _Tile, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        (top, bottom), (left, right) = tile.sees
        return self._features(padded[:, :, top:bottom, left:right], names or list(self._reductions))

    def _pooled(self, tile: _Tile, name: str) -> Tensor:
        return _places(self._weights, tile, self._reductions[name])

    @torch.no_grad()
    def _moments(self, padded: Tensor, tile: _Tile) -> dict[str, Moments]:
        maps = self._seen(padded, tile, list(self._manner.layers))
        return {name: style_measures.moments(each, self._pooled(tile, name)) for name, each in maps.items()}

    def _slopes(self, found: dict[str, Moments]) -> tuple[float, dict[str, tuple[Tensor, Tensor]]]:
        """(the style loss of the whole, its gradient with respect to each layer's sums)."""
        sums = {name: (each.first.requires_grad_(), each.second.requires_grad_()) for name, each in found.items()}
        whole = {name: style_measures.statistics(Moments(found[name].places, *each)) for name, each in sums.items()}
        loss = style_measures.style_loss(whole, self._wanted, self._manner.layers)
        slopes = torch.autograd.grad(loss, [each for pair in sums.values() for each in pair])
        return loss.item(), {name: (slopes[2 * n], slopes[2 * n + 1]) for n, name in enumerate(sums)}

    def _form_loss(self, maps: Mapping[str, Tensor], tile: _Tile, forms: Tensor) -> Tensor:
        """The content's part, of a tile: half the squared difference of forms, relative to their variance."""
        name = self._manner.content_layer
        apart = (maps[name].float() - forms.float()).square() * self._pooled(tile, name)
        return apart.sum() * self._form_scale


class _Adam:
    """Adam (Kingma and Ba, 2015) on one tensor. torch's own imports its compiler: 140 MB, and seconds."""

    def __init__(self, x: Tensor, rate: float) -> None:
        self._x, self._rate, self._steps = x, rate, 0
        self._mean, self._square = torch.zeros_like(x), torch.zeros_like(x)

    @torch.no_grad()
    def step(self) -> None:
        """Move x against its gradient."""
        assert self._x.grad is not None
        self._steps += 1
        self._mean.lerp_(self._x.grad, 1 - _BETAS[0])
        self._square.mul_(_BETAS[1]).addcmul_(self._x.grad, self._x.grad, value=1 - _BETAS[1])
        scale = self._rate / (1 - _BETAS[0] ** self._steps)
        for x, mean, square in zip(self._x[0], self._mean[0], self._square[0], strict=True):
            x.addcdiv_(mean, (square / (1 - _BETAS[1] ** self._steps)).sqrt_().add_(1e-8), value=-scale)


class _Tile(NamedTuple):
    """(rows, columns) of the picture with its border: a tile's own, and all that it sees."""

    own: tuple[Range, Range]
    sees: tuple[Range, Range]


def tiles_of(height: int, width: int, tile: int = TILE) -> list[_Tile]:
    """A picture with its border in tiles of a multiple of 32 pixels; one, where a square of 4/3 of a tile holds it."""
    if height * width <= (tile * 4 // 3 + 2 * style_measures.BORDER) ** 2:
        everything = (0, height), (0, width)
        return [_Tile(everything, everything)]

    def cut(length: int) -> list[tuple[Range, Range]]:
        count = max(1, -(-(length - 2 * style_measures.BORDER) // tile))
        own = -(-length // (32 * count)) * 32  # alike, not a thin last one
        edges = [(start, min(start + own, length)) for start in range(0, length, own)]
        return [((a, b), (max(a - MARGIN, 0), min(b + MARGIN, length))) for a, b in edges]

    return [
        _Tile((rows, columns), (sees_rows, sees_columns))
        for rows, sees_rows in cut(height)
        for columns, sees_columns in cut(width)
    ]


def _places(weights: Tensor, tile: _Tile, reduction: int) -> Tensor:
    """How much each place of a layer counts in a tile: what is its own, of what counts at all."""
    (top, bottom), (left, right) = tile.own
    (sees_top, sees_bottom), (sees_left, sees_right) = tile.sees
    around = (left - sees_left, sees_right - right, top - sees_top, sees_bottom - bottom)
    return style_measures.pooled(F.pad(weights[:, :, top:bottom, left:right], around), reduction)


@torch.no_grad()
def seen_style(features: Features, pixels: Tensor, layers: Mapping[str, float], tile: int = TILE) -> Style:
    """`style_measures.style_of` of a picture of any size, in tiles where it is large."""
    weights, padded = style_measures.interior(pixels), style_measures.continued(pixels)
    reductions = {name: layer_named(features, name).reduction for name in layers}
    found: dict[str, list[Moments]] = {name: [] for name in layers}
    for part in tiles_of(padded.shape[2], padded.shape[3], tile):
        (top, bottom), (left, right) = part.sees
        for name, maps in features(padded[:, :, top:bottom, left:right], list(layers)).items():
            found[name].append(style_measures.moments(maps, _places(weights, part, reductions[name])))
    return {name: style_measures.statistics(style_measures.added(parts)) for name, parts in found.items()}


def roughness(x: Tensor) -> Tensor:
    """Mean squared difference of neighbors in x [1, C, H, W]."""
    return (x[:, :, 1:] - x[:, :, :-1]).square().mean() + (x[:, :, :, 1:] - x[:, :, :, :-1]).square().mean()


def _floats(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 [H, W, 3] to float [1, 3, H, W], -1 to 1."""
    return pixels.to(device).permute(2, 0, 1)[None].float() / 127.5 - 1


def scaled(pixels: Tensor, side: float) -> Tensor:
    """uint8 [H, W, 3] with as many pixels as a square of this side; the shorter side has `LEAST_SIDE` at least."""
    height, width = pixels.shape[:2]
    scale = max(side / math.sqrt(height * width), LEAST_SIDE / min(height, width))
    return full_size.smaller(pixels, round(height * scale), round(width * scale))


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    """float [1, 3, h, w] at another size."""
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bicubic", antialias=True, align_corners=False).clamp(-1, 1)


def _region(mask: Tensor, height: int, width: int) -> Tensor:
    """uint8 [H, W] to float [height, width], 0 to 1."""
    return F.interpolate(mask[None, None].float() / 255, size=(height, width), mode="area")[0, 0]


def _gray(pixels: Tensor) -> Tensor:
    return full_size.luminance(pixels).expand_as(pixels)


def _like_in_gray(painting: Tensor, photo: Tensor) -> Tensor:
    """A painting's luminance, as bright and as rich in contrast as the photograph's."""
    ours, theirs = _gray(photo), _gray(painting)
    return ((theirs - theirs.mean()) * (ours.std() / theirs.std().clamp_min(1e-3)) + ours.mean()).clamp(-1, 1)
