"""Stereo from a mono codec: each channel has its own codebooks, left and right in turn (stereo MusicGen).

Codebook 2k is the left channel's k, 2k + 1 the right channel's. Knows nothing of how the mono codec works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from clavilux.audio.codecs import DecoderStream
    from clavilux.audio.codecs.encodec import Encodec

__all__ = ["StereoEncodec"]


class StereoEncodec(nn.Module):
    """A mono codec on both channels; see `Encodec` for the rest.

    Args:
        mono: the codec, shared by both channels.

    Raises:
        ValueError: `mono` is not mono, or needs scales.
    """

    channels = 2

    def __init__(self, mono: Encodec):
        super().__init__()
        if mono.channels != 1 or mono.scaled:
            raise ValueError("a codec for each channel must be mono and without scales")
        self.mono, self.family = mono, mono.family
        self.sample_rate, self.frame_rate, self.hop = mono.sample_rate, mono.frame_rate, mono.hop
        self.codebooks, self.vocabulary = 2 * mono.codebooks, mono.vocabulary
        self.overlap_frames, self.lookahead_frames = mono.overlap_frames, mono.lookahead_frames

    def encode(self, samples: Tensor, codebooks: int | None = None, *, sample_rate: int | None = None) -> Tensor:
        """samples float [B, 2, N] -> tokens int64 [B, codebooks, T]; an even number of codebooks, all by default."""
        if codebooks is not None and (
            type(codebooks) is not int or codebooks % 2 or not 2 <= codebooks <= self.codebooks
        ):
            raise ValueError(f"this codec has 2 to {self.codebooks} codebooks, an even number, not {codebooks!r}")
        if not isinstance(samples, Tensor) or samples.ndim != 3 or samples.shape[1] != 2:
            found = list(samples.shape) if isinstance(samples, Tensor) else f"a {type(samples).__name__}"
            raise ValueError(f"samples should be [B, 2, N], not {found}")
        each = None if codebooks is None else codebooks // 2
        tokens = self.mono.encode(samples.flatten(0, 1)[:, None], each, sample_rate=sample_rate)  # [2 B, K, T]
        return tokens.unflatten(0, (-1, 2)).transpose(1, 2).flatten(1, 2)

    def decode(self, tokens: Tensor) -> Tensor:
        """tokens [B, K, T], K even -> samples float32 [B, 2, num_samples(T)]."""
        return self.mono.decode(_as_rows(tokens)).unflatten(0, (-1, 2))[:, :, 0]

    def decode_in_half(self) -> bool:
        """As `clavilux.half_decoding.DecodesInHalf`."""
        return self.mono.decode_in_half()

    def decoder_stream(self) -> StereoStream:
        """As `Encodec.decoder_stream`."""
        return StereoStream(self.mono.decoder_stream())

    @property
    def device(self) -> torch.device:
        """Where the weights are; samples and tokens are brought there."""
        return self.mono.device

    def num_frames(self, samples: int) -> int:
        """Frames that so many samples are encoded to."""
        return self.mono.num_frames(samples)

    def num_samples(self, frames: int) -> int:
        """Samples that so many frames are decoded to."""
        return self.mono.num_samples(frames)


class StereoStream:
    """A mono stream whose rows are both channels of each row of tokens."""

    def __init__(self, mono: DecoderStream):
        self._mono = mono

    def push(self, tokens: Tensor) -> Tensor | None:
        """tokens [B, K, t] -> samples [B, 2, n], or None while there is nothing yet."""
        samples = self._mono.push(_as_rows(tokens))
        return None if samples is None else samples.unflatten(0, (-1, 2))[:, :, 0]

    def finish(self) -> Tensor:
        """The samples that are left, [B, 2, n]."""
        return self._mono.finish().unflatten(0, (-1, 2))[:, :, 0]


def _as_rows(tokens: Tensor) -> Tensor:
    """tokens [B, 2 K, T] -> [2 B, K, T]: left and right as rows of their own."""
    if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.shape[1] % 2 or tokens.shape[1] == 0:
        found = list(tokens.shape) if isinstance(tokens, Tensor) else f"a {type(tokens).__name__}"
        raise ValueError(f"tokens should be [B, K, T] with an even K, left and right in turn, not {found}")
    return tokens.unflatten(1, (-1, 2)).transpose(1, 2).flatten(0, 1)
