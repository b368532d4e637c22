"""The slow side of `clavilux.style`: a picture painted after paintings, step by step.

Knows arguments and receipts. Does not know how it is optimized (`clavilux.image.arts.fine_style`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

import torch

from clavilux.arts.inputs import (
    STOPPED,
    Painting,
    check_size,
    fingerprint,
    ingredients,
    loaded,
    read_mask,
    read_painting,
)
from clavilux.checks import check_flag, number_from, short, whole_number
from clavilux.files import PathLike
from clavilux.image.arts import style_names
from clavilux.image.arts.features import layer_named, load_features
from clavilux.image.arts.fine_style import FineStyle, Manner, Progress
from clavilux.image.arts.full_size import Finish
from clavilux.image.picture import Picture
from clavilux.precision import device_named
from clavilux.provenance.stamp import stamp_of

CONTENT, SMOOTHNESS, STROKE = (0.0, 100.0), (0.0, 1000.0), (0.25, 8.0)  # least and most
SIZES = (64, 4096)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class FineOptions(TypedDict, total=False):
    """What fine style takes beside what all style does; `clavilux.style` says what it means."""

    content: float
    smoothness: float
    size: int
    features: str
    layers: Mapping[str, float] | None
    content_layer: str | None
    dtype: str
    progress: Progress | None


def fine_style(
    picture: Picture | PathLike,
    paintings: Sequence[Painting],
    *,
    content: float = 0.25,
    smoothness: float = 6.0,
    stroke: float = 1.0,
    size: int = 1024,
    strength: float = 1.0,
    original_colors: bool = False,
    mask: Picture | PathLike | None = None,
    features: str = "lite0",
    layers: Mapping[str, float] | None = None,
    content_layer: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    progress: Progress | None = None,
) -> Picture:
    """A picture painted after paintings: it is changed, step by step, until it has their statistics.

    Arguments, receipt and errors as `clavilux.style` has them.
    """
    manner = _manner(content, smoothness, stroke, size, layers, content_layer)
    finish = Finish(number_from("strength", strength, 0, 1), check_flag("original_colors", original_colors))
    if seed is not None:
        whole_number("seed", seed, 0, (1 << 63) - 1)
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {short(dtype)}; it should be float32 or bfloat16")
    source = loaded(picture)
    check_size(source)
    if mask is not None:
        where = read_mask(loaded(mask), source)
        finish = replace(finish, mask=where)
        if not where.any():
            raise ValueError("the mask is black everywhere; it should be white where the style goes")
    works = [read_painting(each) for each in paintings]
    if not works:
        raise ValueError("fine style paints after a painting; give one or more")
    shares = style_names.mixture([weight for *_, weight in works], "the paintings")
    started = time.perf_counter()
    on = device_named(device)
    seen = load_features(features, on, DTYPES[dtype])
    for name in (*manner.layers, manner.content_layer):
        layer_named(seen, name)
    style = FineStyle(seen, [(work.pixels, weight) for _, work, weight in works], manner, on)
    read = time.perf_counter()
    found = style(source.pixels, finish, progress)
    receipt: dict[str, Any] = {
        "verb": "style",
        "weights": {seen.name: seen.fingerprint},
        "paintings": [fingerprint(work.pixels) for _, work, _ in works],
        "controls": {
            "fine": True, "paintings": _named([name for name, *_ in works], shares), "content": manner.content,
            "smoothness": manner.smoothness, "stroke": manner.stroke, "size": manner.size,
            "strength": finish.strength, "original_colors": finish.original_colors, "layers": dict(manner.layers),
            "content_layer": manner.content_layer, "dtype": dtype,
        },
        "style_loss": {
            str(run.side): [round(run.losses[0], 4), round(run.losses[-1], 4)] for run in found.runs if run.losses
        },
        "notes": [] if found.finished else [STOPPED],
        **ingredients(source, finish.mask),
    }  # fmt: skip
    if seed is not None:
        receipt["seed"] = seed
    timings = {"weights_s": round(read - started, 6), "style_s": round(time.perf_counter() - read, 6)}
    stamp = stamp_of(picture=source, painting=[work for _, work, _ in works], mask=mask)
    return Picture(found.pixels, receipt=receipt, remarks=source.remarks, timings=timings, stamp=stamp)


def _manner(
    content: float,
    smoothness: float,
    stroke: float,
    size: int,
    layers: Mapping[str, float] | None,
    content_layer: str | None,
) -> Manner:
    found = Manner(
        content=number_from("content", content, *CONTENT),
        smoothness=number_from("smoothness", smoothness, *SMOOTHNESS),
        stroke=number_from("stroke", stroke, *STROKE),
        size=whole_number("size", size, *SIZES),
    )
    if layers is not None:
        if not isinstance(layers, Mapping) or not layers:
            raise TypeError(f"layers is {short(layers)}; it should be a mapping from names to weights")
        weights = {str(name): number_from(f"the weight of {name}", weight, 0, 1e6) for name, weight in layers.items()}
        found = replace(found, layers=weights)
    return found if content_layer is None else replace(found, content_layer=content_layer)


def _named(names: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    """Shares by the paintings' names, those of one name numbered."""
    found: dict[str, float] = {}
    for name, share in zip(names, shares, strict=True):
        number = 1 + sum(other == name or other.startswith(f"{name} (") for other in found)
        found[name if number == 1 else f"{name} ({number})"] = round(share, 6)
    return found
