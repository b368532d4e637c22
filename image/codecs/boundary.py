"""What every picture codec asks of the pixels and the tokens that it is given. Knows no codec."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_SLACK = 1e-3  # beyond -1 to 1, for rounding


def checked_pixels(pixels: Tensor, downsampling: int, like: Tensor) -> Tensor:
    """`pixels` with the device and dtype of `like`; ValueError unless float [B, 3, H, W], -1 to 1, of whole tokens."""
    if not isinstance(pixels, Tensor) or pixels.ndim != 4 or not pixels.is_floating_point():
        raise ValueError(f"pixels should be floats [B, 3, H, W], not {_described(pixels)}")
    if pixels.shape[1] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels should be RGB, [B, 3, H, W] with B, H and W at least 1, not {list(pixels.shape)}")
    if pixels.shape[2] % downsampling or pixels.shape[3] % downsampling:
        raise ValueError(
            f"the height and width of pixels should be multiples of {downsampling}, not {list(pixels.shape[2:])}"
        )
    if not torch.isfinite(pixels).all():
        raise ValueError("pixels hold NaN or infinity; every value should be a finite number")
    furthest = pixels.flatten()[pixels.abs().argmax()].item()
    if abs(furthest) > 1 + _SLACK:
        raise ValueError(f"pixels should lie between -1 and 1; there is a {furthest:g}")
    return pixels.to(like)


def checked_tokens(
    tokens: Tensor, vocabulary: int, rows: int | None, device: torch.device, codebooks: int = 1
) -> Tensor:
    """Tokens as int64 on `device`; ValueError unless integers [B, K, rows * cols] within range.

    Returns:
        [B, rows, cols] of a codec with one codebook; else [B, K, rows, cols], K from 1 to `codebooks`.
    """
    wanted = "[B, 1, rows * cols]" if codebooks == 1 else f"[B, K, rows * cols], K up to {codebooks}"
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.dtype not in _INTEGERS:
        raise ValueError(f"tokens should be integers {wanted}, not {_described(tokens)}")
    if tokens.shape[1] > codebooks or 0 in tokens.shape:
        raise ValueError(f"tokens should be {wanted}, each at least 1, not {list(tokens.shape)}")
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or most >= vocabulary:
        wrong = least if least < 0 else most
        raise ValueError(f"tokens of this codec lie between 0 and {vocabulary - 1}; there is a {wrong}")
    count = tokens.shape[2]
    if rows is None:
        rows = math.isqrt(count)
        if rows * rows != count:
            raise ValueError(f"{count} tokens are no square; say how many rows they make")
    if type(rows) is not int or rows < 1 or count % rows:
        raise ValueError(f"{count} tokens cannot make {rows!r} rows of the same length")
    places = (rows, count // rows) if codebooks == 1 else (tokens.shape[1], rows, count // rows)
    return tokens.to(device, torch.int64).reshape(len(tokens), *places)


def _described(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
