"""From a clip of any rate and channels to a codec's tokens.

Knows what a clip has to become before a codec can read it, and says what was done. Knows no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

if TYPE_CHECKING:
    from torch import nn

    from clavilux.audio.clip import Audio

__all__ = ["Encoded", "encode_clip"]


class Encoded(NamedTuple):
    """A clip's tokens int64 [1, K, T], its scales float32 [1, chunks] or None, how long it was at the codec's rate,
    and what was done to it, in words."""

    tokens: Tensor
    scales: Tensor | None
    num_samples: int
    notes: list[str]


def encode_clip(codec: nn.Module, clip: Audio, codebooks: int | None = None) -> Encoded:
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
    if codebooks is not None and codec.codebooks == 1 != codebooks:
        raise ValueError(f"this codec has one codebook, not {codebooks!r}")
    some = {} if codebooks is None or codec.codebooks == 1 else {"codebooks": codebooks}
    batch = samples[None].to(next(iter(codec.state_dict().values())).device)
    if getattr(codec, "scaled", False):
        tokens, scales = codec.encode_scaled(batch, **some)
    else:
        tokens, scales = codec.encode(batch, **some), None
    return Encoded(tokens, scales, samples.shape[1], notes)
