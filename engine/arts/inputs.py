"""What dream and style are given: pictures, paintings with weights, masks; and what their receipts say of these.

Knows arguments. Does not know what is made of them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clavilux.checks import short
from clavilux.files import PathLike
from clavilux.image.arts import full_size, style_names
from clavilux.image.arts.style import LEAST
from clavilux.image.picture import Picture

Painting = PathLike | Picture | tuple[PathLike | Picture, float]
STOPPED = "it was stopped: this is what was there by then"  # a note in the receipt of what Ctrl-C ended


def check_size(picture: Picture) -> None:
    """Raise ValueError for a picture that is too small to have a style."""
    if min(picture.width, picture.height) < LEAST:
        raise ValueError(
            f"the picture has {picture.width} x {picture.height} pixels; style takes {LEAST} and more a side"
        )


def loaded(picture: Picture | PathLike) -> Picture:
    """A picture, read if it is a path."""
    return picture if isinstance(picture, Picture) else Picture.load(picture)


def read_painting(given: Painting) -> tuple[str, Picture, float]:
    """(what it is called, the picture, its weight)."""
    weight = 1.0
    if isinstance(given, tuple):
        if len(given) != 2:
            raise TypeError(f"a painting is {short(given)}; it should be a picture, or one with its weight")
        given, weight = given
    elif isinstance(given, str):
        given, weight = style_names.weighted(given)
    if not isinstance(given, (str, Path, Picture)):
        raise TypeError(f"a painting is {short(given)}; it should be a picture or the path of one")
    picture = loaded(given)
    if min(picture.width, picture.height) < LEAST:
        size = f"{picture.width} x {picture.height}"
        raise ValueError(f"a painting has {size} pixels; {LEAST} and more a side can be read")
    return ("a picture" if isinstance(given, Picture) else Path(given).name), picture, weight


def read_mask(mask: Picture, picture: Picture) -> Tensor:
    """uint8 [H, W] of the picture's size: how white the mask is."""
    scaled = full_size.smaller(mask.pixels, picture.height, picture.width)
    return full_size.luminance(scaled.permute(2, 0, 1).float())[0].round().clamp(0, 255).byte()


def fingerprint(pixels: Tensor) -> str:
    """Of pixels and their shape, 16 digits of SHA-256."""
    shape = torch.tensor(pixels.shape).numpy().tobytes()
    return hashlib.sha256(shape + pixels.contiguous().numpy().tobytes()).hexdigest()[:16]


def ingredients(picture: Picture, mask: Tensor | None) -> dict[str, Any]:
    """What a receipt says of what was changed, and of the mask: fingerprints, and the picture's own receipt."""
    found: dict[str, Any] = {"source": fingerprint(picture.pixels)}
    if mask is not None:
        found["mask"] = fingerprint(mask)
    if picture.receipt:
        found["of"] = picture.receipt
    return found
