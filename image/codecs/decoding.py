"""How a picture codec's decoder runs on a GPU: in float16, and a small picture as one CUDA graph. Knows no layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clavilux.capture import Captured
from clavilux.half_decoding import HalfDecoding

# Beyond, kernels are longer than their launches, and a graph would hold on to a gigabyte and more of what it computes.
MOST_CAPTURED = 256 * 256  # pixels
_SHAPES = 4


class PixelDecoder(HalfDecoding, ABC):
    """A codec whose tokens stand for vectors, from which a network makes pixels."""

    def __init__(self, downsampling: int) -> None:
        super().__init__()
        self.downsampling = downsampling
        self._captured = Captured(_SHAPES)

    @abstractmethod
    def lookup(self, tokens: Tensor) -> Tensor:
        """The vectors of tokens, [B, E, rows, cols]."""

    @abstractmethod
    def decode_latent(self, latent: Tensor) -> Tensor:
        """[B, E, rows, cols] -> pixels [B, 3, H, W], about -1 to 1, not clipped."""

    def _painted(self, tokens: Tensor, together: int) -> Tensor:
        """int64 [B, ..., rows, cols] -> pixels [B, 3, H, W], clipped to -1 to 1; so many pictures at a time."""
        return self.in_range(lambda: torch.cat([self._pixels(piece) for piece in tokens.split(together)]))

    def _pixels(self, tokens: Tensor) -> Tensor:
        places = len(tokens) * tokens.shape[-2] * tokens.shape[-1]
        if not self._captured.serves(tokens.device) or places * self.downsampling**2 > MOST_CAPTURED:
            return self._clipped(tokens)
        [pixels], _ = self._captured(self._pixels_of_tensors, (), [tokens])
        return pixels

    def _pixels_of_tensors(self, fixed: Any, tensors: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        """As `Captured` takes it."""
        return [self._clipped(tensors[0])], None

    def _clipped(self, tokens: Tensor) -> Tensor:
        return self.decode_latent(self.lookup(tokens)).clamp(-1, 1)
