"""`clavilux.dream`: a picture in which a classifier sees more and more of what it looks for.

Knows arguments, seeds and receipts. Does not know how a dream climbs (`clavilux.image.arts`) or animated files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clavilux.arts.inputs import STOPPED, fingerprint, ingredients, loaded, read_mask
from clavilux.checks import number_from, seed_of, short, whole_number
from clavilux.files import MIB, PathLike, free_memory_bytes
from clavilux.image.arts import dream as climbing
from clavilux.image.arts.dream import DreamSpec, Step, resized
from clavilux.image.arts.features import Features, load_features
from clavilux.image.arts.objective import Objective, parse_targets
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.precision import device_named
from clavilux.provenance.stamp import stamp_of

Layers = str | int | Iterable[str | int]
Progress = Callable[[float, float], None]
USUAL = DreamSpec()
DTYPES = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SMALLEST, LARGEST = climbing.SMALLEST, 8192  # pixels a side
PREVIEWS = 8
MOST_FRAMES = 10_000
SIDE_ON_SHEET, MOST_ON_SHEET = 256, 24  # pixels of the longer side; layers, evenly taken where there are more
ON_SHEET = replace(USUAL, octaves=3)
# Of a run, for an estimate: a tile of Lite0 with its gradient, and the copies of each pixel that are held beside it.
_TILE_BYTES, _PIXEL_BYTES = 600 * MIB, 120


class Dreamer:
    """What to dream of, ready for any number of pictures. Arguments and errors as `dream`.

    Attributes:
        features, device, spec: what looks, where, and how pixels are changed.
        guide: the picture whose content is sought, if any.
        settings: what a receipt says of it.
    """

    def __init__(
        self,
        layers: Layers = 10,
        *,
        guide: Picture | PathLike | None = None,
        spec: DreamSpec = USUAL,
        features: str | Features = "lite0",
        weights: PathLike | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        self.device, self.spec = device_named(device), spec
        shown = None if guide is None else loaded(guide)
        self.features = load(features, weights, self.device, dtype) if isinstance(features, str) else features
        targets = parse_targets(self.features, layers)
        pixels = None if shown is None else shown.to_floats().to(self.device)
        self._objective = Objective(self.features, targets, pixels)
        named = "a picture" if isinstance(guide, Picture) else None if guide is None else Path(guide).name
        self.guide = shown
        self.settings: dict[str, Any] = {
            "verb": "dream",
            "weights": {self.features.name: self.features.fingerprint},
            "controls": {
                "layers": [str(target) for target in targets], **({"guide": named} if named else {}), **asdict(spec),
            },
        }  # fmt: skip
        if shown is not None:
            self.settings["guide"] = fingerprint(shown.pixels)

    def steps(
        self, pixels: Tensor, seed: int, mask: Tensor | None = None, spec: DreamSpec | None = None
    ) -> Iterator[Step]:
        """As `clavilux.image.arts.dream.dream`; pixels and mask from any device."""
        where = None if mask is None else mask.to(self.device)
        return climbing.dream(pixels.to(self.device), self._objective, spec or self.spec, seed, where)

    def __call__(
        self,
        picture: Picture,
        seed: int | None = None,
        mask: Picture | None = None,
        progress: Progress | None = None,
        preview: Callable[[Picture], None] | None = None,
    ) -> Picture:
        """The picture as it is dreamed, with a receipt; as `dream`."""
        check_size(picture)
        check_memory(picture)
        seed, area = seed_of(seed), where_white(mask, picture)
        receipt = self.settings | {"seed": seed} | ingredients(picture, None if mask is None else mask.pixels)
        stamp, last, stopped = stamp_of(picture=picture, guide=self.guide, mask=mask), None, False
        try:
            shown = 0
            for last in self.steps(picture.to_floats(), seed, area):
                if progress is not None:
                    progress(last.done, last.total)
                if preview is not None and int(PREVIEWS * last.done / last.total) > shown:
                    shown = int(PREVIEWS * last.done / last.total)
                    shows = Picture.from_floats(last.picture(), receipt=receipt)
                    shows.stamp = stamp
                    preview(shows)
        except KeyboardInterrupt:
            if last is None:
                raise
            stopped = True
        assert last is not None
        receipt["octaves"] = [octave.as_dict() for octave in last.octaves]
        receipt["notes"] = [STOPPED] if stopped else []
        found = Picture.from_floats(last.picture(), receipt=receipt)
        found.stamp = stamp
        return found


def dream(
    picture: Picture | PathLike,
    layers: Layers = 10,
    *,
    guide: Picture | PathLike | None = None,
    mask: Picture | PathLike | None = None,
    seed: int | None = None,
    octaves: int = USUAL.octaves,
    octave_scale: float = USUAL.octave_scale,
    iterations: int = USUAL.iterations,
    step: float = USUAL.step,
    jitter: int = USUAL.jitter,
    tile: int = USUAL.tile,
    features: str | Features = "lite0",
    weights: PathLike | None = None,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
    preview: Callable[[Picture], None] | None = None,
) -> Picture:
    """DeepDream: a picture, changed until a layer of a classifier answers more strongly to it.

    It needs the extra `arts`, or a model of torchvision or timm. Ctrl-C ends it with what is there by then, and a note
    in the receipt. The same seed gives the same pixels on one CPU with the same number of threads.

    Args:
        picture: a `Picture`, or the path of one; 32 to 8,192 pixels a side.
        layers: what to strengthen: 10 or "blocks.10" is a layer, "blocks.10:3" a channel of it, "4*0.5,10" two layers
            with weights (below 0 weakens); a list of such.
        guide: a picture; what it shows is sought instead of whatever the layer answers to.
        mask: a picture that is white where dreams go, black where nothing changes; scaled to the picture.
        seed: of the jitter; a random one if None.
        octaves: 1 to 12 sizes that the picture is changed at, from small to its own.
        octave_scale: 1.05 to 4, from one size to the next.
        iterations: 1 to 1000 steps at each size.
        step: 0.0001 to 0.5; how far pixels move in one.
        jitter: 0 to 256 pixels that the picture is moved by before a step, so that no grid shows.
        tile: 256 to 16384 pixels a side that are computed at once, where a side has more than 4/3 of it.
        features: what looks: "lite0", "torchvision:NAME", "timm:NAME", or what `load_features` gave.
        weights: a file to read its weights from instead.
        device: auto, cpu, cuda or mps.
        dtype: auto (float32), float32, bfloat16 or float16: what the features are computed in.
        progress: called with (done, total) after each step, in pixels that were changed.
        preview: called with the picture as far as it is, about 8 times.

    Returns:
        `Picture`, uint8 [H, W, 3], of the picture's size, with a receipt: layers, settings, seed, fingerprints, and how
        strongly each layer answered before and after at each size.

    Raises:
        ValueError: a file that is no picture or has too few or too many pixels, a layer or a channel that is not there
            (those that are, are named), a number out of range, a guide with a channel, a mask that is black
            everywhere, too little memory, or weights that are not installed (what to install is said).
        CheckpointError: weights that do not fit the model's names.
    """
    spec = DreamSpec(octaves, octave_scale, iterations, step, jitter, tile)
    source, area = loaded(picture), None if mask is None else loaded(mask)
    check_size(source)
    where_white(area, source)  # before weights are read
    started = time.perf_counter()
    dreamer = Dreamer(layers, guide=guide, spec=spec, features=features, weights=weights, device=device, dtype=dtype)
    read = time.perf_counter()
    found = dreamer(source, seed, area, progress, preview)
    found.remarks = source.remarks
    found.timings = {"weights_s": round(read - started, 6), "dream_s": round(time.perf_counter() - read, 6)}
    return found


def zoom(
    dreamer: Dreamer,
    picture: Picture,
    frames: int,
    *,
    by: float = 1.05,
    iterations: int = 2,
    seed: int | None = None,
    mask: Picture | None = None,
    progress: Progress | None = None,
) -> Iterator[Picture]:
    """Frames of a flight into a dream: each is the one before it, larger by a little and dreamed on.

    Args:
        dreamer: what to dream of; the first frame is what it makes of the picture.
        picture: where it begins.
        frames: 1 to 10,000.
        by: 1 to 2: how much larger from frame to frame.
        iterations: 1 to 100 steps at each octave of every frame after the first.
        seed: of the first frame; each other has the next.
        mask: as for `dream`; it stays where it is.
        progress: as for `dream`, over all frames.

    Yields:
        Pictures of the given one's size; no more than one is held.
    """
    whole_number("frames", frames, 1, MOST_FRAMES)
    by = number_from("zoom_by", by, 1, 2)
    short_spec = replace(dreamer.spec, iterations=whole_number("frame_iterations", iterations, 1, 100))
    check_size(picture)
    check_memory(picture)
    seed, area = seed_of(seed), where_white(mask, picture)
    controls = dreamer.settings["controls"] | {"zoom_by": by, "frame_iterations": iterations}
    receipt = dreamer.settings | {"controls": controls, "seed": seed, "source": fingerprint(picture.pixels)}
    if mask is not None:
        receipt["mask"] = fingerprint(mask.pixels)
    stamp = stamp_of(picture=picture, guide=dreamer.guide, mask=mask)
    x, done, last = picture.to_floats(), 0.0, None
    for frame in range(frames):
        spec = short_spec if frame else dreamer.spec
        for last in dreamer.steps(x, (seed + frame) % (1 << 63), area, spec):
            if progress is not None:
                rest = (frames - 1 - frame) * last.total * short_spec.iterations / spec.iterations
                progress(done + last.done, done + last.total + rest)
        assert last is not None
        x, done = last.picture().cpu(), done + last.total
        shows = Picture.from_floats(x, receipt=receipt | {"frame": frame})
        shows.stamp = stamp
        yield shows
        x = _closer(x, by)


def sheet(dreamer: Dreamer, picture: Picture, seed: int | None = None, progress: Progress | None = None) -> Picture:
    """What each layer sees in a picture: small dreams of all of them, with their names."""
    check_size(picture)
    names = [layer.name for layer in dreamer.features.layers]
    if len(names) > MOST_ON_SHEET:
        names = [names[round(place * (len(names) - 1) / (MOST_ON_SHEET - 1))] for place in range(MOST_ON_SHEET)]
    shrink = max(SIDE_ON_SHEET / max(picture.width, picture.height), SMALLEST / min(picture.width, picture.height))
    width, height = (max(SMALLEST, round(side * min(1, shrink))) for side in (picture.width, picture.height))
    small, seed, pictures = picture.resized(width, height), seed_of(seed), []
    for number, name in enumerate(names):
        one = Dreamer(name, spec=ON_SHEET, features=dreamer.features, device=str(dreamer.device))
        for last in one.steps(small.to_floats(), seed):
            if progress is not None:
                progress(number + last.done / last.total, len(names))
        pictures.append(Picture.from_floats(last.picture()))
    found = contact_sheet(pictures, columns=6, labels=names)
    found.stamp = stamp_of(picture=picture)
    found.receipt = {
        "verb": "dream", "weights": dreamer.settings["weights"], "seed": seed, "source": fingerprint(picture.pixels),
        "controls": {"sheet": len(names), **asdict(ON_SHEET)}, "notes": [],
    }  # fmt: skip
    return found


def load(features: str, weights: PathLike | None, device: torch.device, dtype: str) -> Features:
    """What looks, by name, in a dtype by name. Errors as `load_features`."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {short(dtype)}; it should be auto, float32, bfloat16 or float16")
    return load_features(features, device, DTYPES[dtype], weights=weights)


def check_size(picture: Picture) -> None:
    """Raise ValueError for a picture that is too small or too large for a dream."""
    if min(picture.width, picture.height) < SMALLEST or max(picture.width, picture.height) > LARGEST:
        size = f"{picture.width} x {picture.height}"
        raise ValueError(f"the picture has {size} pixels; a dream takes {SMALLEST} to {LARGEST:,} a side")


def check_memory(picture: Picture) -> None:
    """Raise ValueError where a dream of this size would take more memory than is free."""
    needed, free = _TILE_BYTES + _PIXEL_BYTES * picture.width * picture.height, free_memory_bytes()
    if free is not None and needed > free:
        size = f"{picture.width} x {picture.height}"
        raise ValueError(
            f"a dream of {size} pixels takes about {needed / MIB:,.0f} MiB, and {free / MIB:,.0f} are free; make the "
            "picture smaller"
        )


def where_white(mask: Picture | None, picture: Picture) -> Tensor | None:
    """float32 [H, W], 0 to 1, of the picture's size: how white the mask is; ValueError where it is black everywhere."""
    if mask is None:
        return None
    area = read_mask(mask, picture).float() / 255
    if not area.any():
        raise ValueError("the mask is black everywhere; it should be white where dreams go")
    return area


def _closer(x: Tensor, by: float) -> Tensor:
    """[3, H, W]: its middle, larger by so much."""
    height, width = x.shape[1:]
    rows, columns = (max(1, round(side / by)) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return resized(x[:, top : top + rows, left : left + columns], height, width).clamp(-1, 1)
