"""Codecs turn samples into tokens and back. They know no decoder and no prompt."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

__all__ = ["Codec"]


@runtime_checkable
class Codec(Protocol):
    """What the engine needs of a codec, whatever its tokens stand for.

    Attributes:
        sample_rate: Hz of the samples.
        frame_rate: token frames a second.
        codebooks: K, tokens a frame.
        vocabulary: V, number of token values in each codebook.
    """

    sample_rate: int
    frame_rate: float
    codebooks: int
    vocabulary: int

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """samples float32 [B, C, N] -> tokens int64 [B, K, T]."""
        ...

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        """tokens int64 [B, K, T] -> samples float32 [B, C, N]."""
        ...
