"""Painting anew only a part of a picture: which of its tokens are known beforehand.

Knows grids of tokens and pixels. A picture is drawn token by token, row by row from the top left, so a token that is
kept is seen by those after it and by none before it. Does not know how tokens are drawn.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clavilux.checks import is_number
from clavilux.files import PathLike
from clavilux.image.codecs import Codec
from clavilux.image.picture import Picture
from clavilux.layout import OPEN

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def plan_of(
    codec: Codec,
    size: int,
    source: Picture | PathLike | None,
    keep: Box | None,
    vary: float | None,
    seed: int,
    model: Mapping[str, Any],
) -> tuple[Tensor, list[str]]:
    """The tokens of a picture that are known, and notes on what that means.

    Args:
        codec: a picture codec.
        size: pixels a side of the picture that is painted.
        source: None, or the picture, or its file, that is carried on: alone, as many whole rows as it has; with keep
            or vary its middle square.
        keep: None, or (x, y, width, height) in pixels of the new picture: all tokens that it touches are kept.
        vary: None, or the share of tokens, 0 to 1, that is kept, chosen by `seed`.
        model: what tells the model apart; tokens that it made itself are taken as they are.

    Returns:
        (int64 [1, K, rows * cols], `OPEN` for what is to be drawn; sentences).

    Raises:
        ValueError, TypeError: what is asked for cannot be, or leaves nothing to paint.
    """
    cols = size // codec.downsampling
    plan = torch.full((codec.codebooks, cols, cols), OPEN)
    if source is None:
        if keep is not None or vary is not None:
            raise ValueError(f"{'vary' if keep is None else 'keep'} is given without a picture to take tokens from")
        return plan.flatten(1)[None], []
    picture = _picture(source)
    remarks = [f"of the picture that is continued: {remark}" for remark in picture.remarks]
    if keep is None and vary is None:
        given = _rows_of(codec, picture, size, model)
        plan[:, : given.shape[1]] = given
        return plan.flatten(1)[None], [f"keeps {given.shape[1]} of {cols} rows of tokens", *remarks]
    given = tokens_of(codec, picture, size, model)
    kept = torch.zeros(cols, cols, dtype=torch.bool)
    if keep is not None:
        kept |= _region(keep, size, codec.downsampling)
    if vary is not None:
        kept |= _some(vary, cols, seed)
    if kept.all():
        raise ValueError("every token of the picture is kept, so nothing is left to paint; keep less")
    plan[:, kept] = given[:, kept]
    return plan.flatten(1)[None], [*_notes(kept), *remarks]


def _picture(source: Picture | PathLike) -> Picture:
    if isinstance(source, Picture):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"continue_from is {type(source).__name__}; it should be a picture's file or a Picture")
    return Picture.load(source)


def _rows_of(codec: Codec, picture: Picture, size: int, model: Mapping[str, Any]) -> Tensor:
    """int64 [K, r, cols]: the whole rows of tokens of a picture that is scaled to the new one's width."""
    patch, cols = codec.downsampling, size // codec.downsampling
    rows = round(picture.height * size / picture.width) // patch
    if rows < 1:
        raise ValueError(
            f"what is to be continued is {picture.width} x {picture.height} pixels, less than a row of tokens at "
            f"{size} pixels' width; it should have at least {math.ceil(patch * picture.width / size)} pixels of height"
        )
    if rows >= cols:
        raise ValueError(
            f"what is to be continued is {picture.width} x {picture.height} pixels, so it has all {cols} rows already; "
            "give its upper part, or say what to keep (keep, vary)"
        )
    own = _own_tokens(codec, picture, size, rows * patch, model)
    if own is not None:
        return own
    scaled = picture.resized(size, max(rows * patch, round(picture.height * size / picture.width)))
    return _encoded(codec, scaled.to_floats()[:, : rows * patch]).view(-1, rows, cols)


def tokens_of(codec: Codec, picture: Picture, size: int, model: Mapping[str, Any]) -> Tensor:
    """int64 [K, cols, cols]: the tokens of a picture's middle square, scaled to `size`; arguments as `plan_of`."""
    cols = size // codec.downsampling
    own = _own_tokens(codec, picture, size, size, model)
    return _encoded(codec, picture.fit(size).to_floats()).view(-1, cols, cols) if own is None else own


def _own_tokens(codec: Codec, picture: Picture, width: int, height: int, model: Mapping[str, Any]) -> Tensor | None:
    """int64 [K, rows, cols]: the tokens that a picture of exactly this size was made from by this very model."""
    rows, cols = height // codec.downsampling, width // codec.downsampling
    made_here = model.get("fingerprint") is not None and picture.receipt.get("fingerprint") == model["fingerprint"]
    tokens = picture.tokens
    if tokens is None or not made_here or (picture.width, picture.height) != (width, height):
        return None
    return tokens.view(-1, rows, cols) if tuple(tokens.shape) == (codec.codebooks, rows * cols) else None


def _encoded(codec: Codec, pixels: Tensor) -> Tensor:
    return codec.encode(pixels[None]).cpu()[0]  # [K, rows * cols]


def _region(keep: Box, size: int, patch: int) -> Tensor:
    """bool [cols, cols]: the tokens that a rectangle of pixels touches."""
    whole = isinstance(keep, (list, tuple)) and len(keep) == 4 and all(type(number) is int for number in keep)
    if not whole:
        raise ValueError(f"keep is {keep!r}; it should be four whole numbers of pixels: x, y, width, height")
    x, y, width, height = keep
    if min(x, y) < 0 or min(width, height) < 1 or x + width > size or y + height > size:
        raise ValueError(f"keep is {keep!r}; it should lie within the {size} x {size} pixels of the picture")
    kept = torch.zeros(size // patch, size // patch, dtype=torch.bool)
    kept[y // patch : math.ceil((y + height) / patch), x // patch : math.ceil((x + width) / patch)] = True
    return kept


def _some(share: float, cols: int, seed: int) -> Tensor:
    """bool [cols, cols]: a share of the tokens, by chance."""
    if not is_number(share) or not 0 <= share <= 1:
        raise ValueError(f"vary is {share!r}; it should be the share of tokens that is kept, from 0 to 1")
    chance = torch.Generator().manual_seed(seed % 2**63)
    order = torch.randperm(cols * cols, generator=chance)
    kept = torch.zeros(cols * cols, dtype=torch.bool)
    kept[order[: round(share * cols * cols)]] = True
    return kept.view(cols, cols)


def _notes(kept: Tensor) -> list[str]:
    places = kept.flatten().nonzero().flatten()
    notes = [f"keeps {len(places)} of {kept.numel()} tokens"]
    blind = int(places[-1]) + 1 - len(places) if len(places) else 0
    if blind:
        notes.append(
            f"tokens are painted row by row, so {blind} new ones do not see all that is kept: what is kept shapes what "
            "comes to the right of it and below, not what lies above"
        )
    return notes
