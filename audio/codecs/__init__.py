"""Codecs turn samples into tokens and back. They know no decoder and no prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Codec", "DecoderStream", "NeuralCodec", "ScaledCodec"]


@runtime_checkable
class Codec(Protocol):
    """What the engine needs of a codec, whatever its tokens stand for.

    Attributes:
        sample_rate: Hz of the samples.
        channels: C of the samples.
        frame_rate: token frames a second.
        codebooks: K, tokens a frame.
        vocabulary: V, number of token values in each codebook.
    """

    sample_rate: int
    channels: int
    frame_rate: float
    codebooks: int

    @property
    def vocabulary(self) -> int: ...

    def encode(self, samples: Tensor) -> Tensor:
        """samples float32 [B, C, N] -> tokens int64 [B, K, T]."""
        ...

    def decode(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, K, T] -> samples float32 [B, C, N]."""
        ...


class DecoderStream(Protocol):
    """Decodes the frames of one signal as they come."""

    def push(self, tokens: Tensor) -> Tensor | None:
        """tokens int64 [B, K, t] -> the samples [B, C, n] that they make certain, None while there are none."""
        ...

    def finish(self) -> Tensor:
        """The samples that are left, [B, C, n]."""
        ...


@runtime_checkable
class NeuralCodec(Codec, Protocol):
    """A codec that hears: it encodes sound, and decodes it as frames come.

    Attributes:
        family: "encodec", "dac" or "vqvae".
        hop: samples a frame.
        overlap_frames: frames of context on each side with which a part of a decode equals the whole; None where
            there is no such number.
        lookahead_frames: frames that must be known behind one before all of it can be heard.
    """

    family: str
    hop: int
    lookahead_frames: int

    @property
    def overlap_frames(self) -> int | None: ...

    @property
    def device(self) -> torch.device:
        """Where the weights are; samples and tokens are brought there."""
        ...

    def encode(self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None) -> Tensor:
        """samples float [B, C, N] -> tokens int64 [B, codebooks, num_frames(N)]; all codebooks by default.

        `sample_rate` is that of the samples, to have it checked.
        """
        ...

    def decoder_stream(self) -> DecoderStream:
        """A decoder of one signal's frames; what it gives, joined, is `decode` of them all."""
        ...

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples are encoded to."""
        ...

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Its weights."""
        ...


@runtime_checkable
class ScaledCodec(NeuralCodec, Protocol):
    """A neural codec that may divide sound by its loudness first; where it does, tokens need scales beside them.

    Attributes:
        scaled: whether this one does.
    """

    scaled: bool

    def encode_scaled(
        self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """As `encode`, and the scales, float32 [B, chunks]; None if not `scaled`."""
        ...

    def decode(self, tokens: Tensor, scales: Tensor | None = None) -> Tensor:
        """As `Codec.decode`, times the scales."""
        ...
