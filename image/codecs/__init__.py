"""Codecs turn pictures into tokens and back. They know no decoder and no prompt."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

__all__ = ["Codec"]


@runtime_checkable
class Codec(Protocol):
    """What the engine needs of a picture codec, whatever its tokens stand for.

    Tokens are [B, K, T], as those of sound are, so that one decoder and one sampler serve both: T is rows * cols, row
    by row from the top left. Every family predicts them in that order.

    Attributes:
        codebooks: K, tokens at each place; 1 but for codecs that quantize what is left over again.
        vocabulary: V, number of token values.
        downsampling: pixels a side for which one token stands.
    """

    codebooks: int
    vocabulary: int
    downsampling: int

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels float [B, 3, H, W], -1 to 1, H and W multiples of `downsampling` -> int64 [B, K, rows * cols]."""
        ...

    def decode(self, tokens: torch.Tensor, rows: int | None = None) -> torch.Tensor:
        """tokens int [B, K, rows * cols] -> pixels float [B, 3, H, W], -1 to 1; a square where `rows` is None."""
        ...
