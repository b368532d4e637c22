"""From a clip of any rate and channels to a codec's tokens.

Knows what a clip has to become before a codec can read it, and says what was done. Knows no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from clavilux.audio.codecs import ScaledCodec

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio
    from clavilux.audio.codecs import NeuralCodec

__all__ = ["Encoded", "encode_clip"]


class Encoded(NamedTuple):
    """A clip's tokens int64 [1, K, T], its scales float32 [1, chunks] or None, how long it was at the codec's rate,
    and what was done to it, in words.
    """

    tokens: Tensor
    scales: Tensor | None
    num_samples: int
    notes: list[str]


def encode_clip(codec: NeuralCodec, clip: Audio, codebooks: int | None = None) -> Encoded:
    """Encode a clip at the codec's rate and with its channels.

    Args:
        codec: a neural codec of `clavilux.audio.codecs`, on any device.
        clip: the sound.
        codebooks: how many of the first codebooks to use; all by default.

    Raises:
        ValueError: a number of codebooks that there is not.
    """
    notes, samples = [], clip.resample(codec.sample_rate).samples  # [C, N]
    if clip.sample_rate != codec.sample_rate:
        notes.append(f"resampled from {clip.sample_rate} to {codec.sample_rate} Hz")
    if len(samples) != codec.channels:
        notes.append(f"{len(samples)} channels mixed to {codec.channels}")
        samples = samples.mean(0, keepdim=True).expand(codec.channels, -1)
    batch, scales = samples[None].to(codec.device), None
    if isinstance(codec, ScaledCodec):
        tokens, scales = codec.encode_scaled(batch, codebooks)
    else:
        tokens = codec.encode(batch, codebooks)
    return Encoded(tokens, scales, samples.shape[1], notes)
