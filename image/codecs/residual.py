"""A small picture codec with a residual quantiser: several codebooks, each for what those before it left over.

Residual quantisation of a picture's places: arXiv 2203.01941 (RQ-VAE). The first codebook says roughly what stands in
a place of 8 x 8 pixels, the following ones refine it, so a decoder can draw them as the codebooks of one frame. It is
the bundled painter's codec. Knows nothing of how it is trained beyond what gradients need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.checks import check_known
from clavilux.image.codecs.boundary import checked_pixels, checked_tokens
from clavilux.image.codecs.decoding import PixelDecoder
from clavilux.image.codecs.vq import Downsample, Residual, Upsample
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

__all__ = ["ResidualVQ", "ResidualVQSpec", "from_weights"]

_TOGETHER = 64  # pictures to compute at once


@dataclass(frozen=True)
class ResidualVQSpec:
    """The sizes of a residual picture codec.

    Attributes:
        codebooks: K, how often what is left over is quantized.
        vocabulary: V, vectors in each codebook.
        embedding_width: E, their width.
        patch: pixels a side that the first layer takes together.
        encoder, decoder: channels at each resolution, the finest first; between two of them it is halved.
        encoder_blocks, decoder_blocks: residual blocks at each resolution, the finest first.
        norm_groups: groups of every group norm; a divisor of all numbers of channels.

    Raises:
        ValueError: a size that is no whole number from 1 up to 65,536, or lists of different lengths.
    """

    codebooks: int = 4
    vocabulary: int = 512
    embedding_width: int = 32
    patch: int = 2
    encoder: tuple[int, ...] = (48, 80, 96)
    decoder: tuple[int, ...] = (64, 96, 128)
    encoder_blocks: tuple[int, ...] = (1, 1, 1)
    decoder_blocks: tuple[int, ...] = (2, 2, 1)
    norm_groups: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # JSON has no tuples
                object.__setattr__(self, field.name, value := tuple(value))
            for size in value if isinstance(value, tuple) and 0 < len(value) <= 8 else (value,):
                if type(size) is not int or not 1 <= size <= 1 << 16:
                    raise ValueError(f"a residual codec's {field.name} must be whole numbers from 1 up, not {value!r}")
        towers = (self.encoder, self.decoder, self.encoder_blocks, self.decoder_blocks)
        if any(not isinstance(tower, tuple) or len(tower) != len(self.encoder) for tower in towers):
            raise ValueError(f"a residual codec's towers must have as many levels each, not {towers}")
        if any(channels % self.norm_groups for channels in (*self.encoder, *self.decoder)):
            raise ValueError(f"a residual codec's norm_groups must divide its channels, not {self.norm_groups}")

    @property
    def downsampling(self) -> int:
        """Pixels a side for which one place stands."""
        return self.patch << (len(self.encoder) - 1)

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain values, fit for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> ResidualVQSpec:
        """The sizes that `to_dict` gave; ValueError for an unknown name or an impossible size."""
        check_known("a residual codec", sizes, [field.name for field in fields(cls)])
        return cls(**sizes)


class ResidualVQ(PixelDecoder):
    """A picture codec with K codebooks; see `Codec`. A new one has random weights, to be trained or loaded.

    `encode` and `decode` check what they are given and keep no gradients. Training puts them together from their
    parts: `latent`, `nearest`, `lookup` and `decode_latent`.

    Attributes:
        spec: the sizes.
        codebooks, vocabulary, downsampling: as every picture codec has them.
    """

    family = "residual_vq"

    def __init__(self, spec: ResidualVQSpec):
        super().__init__(spec.downsampling)
        self.spec = spec
        self.codebooks, self.vocabulary = spec.codebooks, spec.vocabulary
        self.encoder, self.decoder = _encoder(spec), _decoder(spec)
        self.codebook = nn.Parameter(torch.empty(spec.codebooks, spec.vocabulary, spec.embedding_width))
        nn.init.normal_(self.codebook)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Tokens of pictures.

        Args:
            pixels: float [B, 3, H, W], -1 to 1; H and W multiples of `downsampling`.

        Returns:
            int64 [B, K, rows * cols], row by row.

        Raises:
            ValueError: another shape, NaN, infinity, or a value out of range.
        """
        pixels = checked_pixels(pixels, self.downsampling, self.codebook)
        return torch.cat([self.nearest(self.latent(piece))[0] for piece in pixels.split(_TOGETHER)]).flatten(2)

    @torch.no_grad()
    def decode(self, tokens: Tensor, rows: int | None = None) -> Tensor:
        """Pictures of tokens.

        Args:
            tokens: integers [B, K or fewer, rows * cols], 0 <= token < vocabulary; the first codebooks alone make a
                rougher picture.
            rows: places from top to bottom; a square if None.

        Returns:
            float [B, 3, rows * downsampling, cols * downsampling], clipped to -1 to 1.

        Raises:
            ValueError: another shape, a token out of range, or no such rows.
        """
        tokens = checked_tokens(tokens, self.vocabulary, rows, self.codebook.device, self.codebooks)
        return self._painted(tokens, _TOGETHER)

    def latent(self, pixels: Tensor) -> Tensor:
        """float [B, 3, H, W] -> what is quantized, [B, E, rows, cols]."""
        return self.encoder(F.pixel_unshuffle(pixels, self.spec.patch))

    def nearest(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """float [B, E, rows, cols] -> the tokens, int64 [B, K, rows, cols], and what each codebook was to quantize,
        float32 [B, K, E, rows, cols]; float32 throughout.
        """
        left, tokens, asked = latent.float(), [], []
        for codebook in self.codebook.float():
            places = left.permute(0, 2, 3, 1).flatten(0, 2)  # [B * rows * cols, E]
            lengths = codebook.square().sum(1)  # |a - b|^2 less |a|^2, which is the same for all
            found = (lengths - 2 * places @ codebook.t()).argmin(1).view(len(left), *left.shape[2:])
            asked.append(left)
            tokens.append(found)
            left = left - F.embedding(found, codebook).permute(0, 3, 1, 2)
        return torch.stack(tokens, 1), torch.stack(asked, 1)

    def lookup(self, tokens: Tensor) -> Tensor:
        """int64 [B, K or fewer, rows, cols] -> the sum of their vectors, [B, E, rows, cols]."""
        vectors = [F.embedding(found, self.codebook[k]) for k, found in enumerate(tokens.unbind(1))]
        return torch.stack(vectors).sum(0).permute(0, 3, 1, 2)

    def decode_latent(self, latent: Tensor) -> Tensor:
        """[B, E, rows, cols] -> pixels [B, 3, H, W], about -1 to 1, not clipped."""
        return F.pixel_shuffle(self.decoder(latent.to(self.decoding_dtype)), self.spec.patch).to(latent.dtype)

    def decoding_parts(self) -> Sequence[nn.Module]:
        """As `HalfDecoding`."""
        return (self.decoder,)


def from_weights(spec: ResidualVQSpec, weights: Mapping[str, Tensor], label: str = "the codec") -> ResidualVQ:
    """A codec with these weights, float32 on the CPU. ValueError, all named: missing, extra or misshapen tensors."""
    with skeletons():
        codec = ResidualVQ(spec)
    fill(codec, weights, label, promise="sizes")
    return codec.requires_grad_(False).eval()


def _encoder(spec: ResidualVQSpec) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3 * spec.patch**2, spec.encoder[0], 3, padding=1)]
    inputs = spec.encoder[0]
    for level, (channels, blocks) in enumerate(zip(spec.encoder, spec.encoder_blocks, strict=True)):
        if level:
            layers.append(Downsample(inputs))
        layers += [Residual(inputs if not block else channels, channels, spec.norm_groups) for block in range(blocks)]
        inputs = channels
    layers += [nn.GroupNorm(spec.norm_groups, inputs, eps=1e-6), nn.SiLU(), nn.Conv2d(inputs, spec.embedding_width, 1)]
    return nn.Sequential(*layers)


def _decoder(spec: ResidualVQSpec) -> nn.Sequential:
    inputs = spec.decoder[-1]
    layers: list[nn.Module] = [nn.Conv2d(spec.embedding_width, inputs, 3, padding=1)]
    levels = list(zip(spec.decoder, spec.decoder_blocks, strict=True))[::-1]
    for level, (channels, blocks) in enumerate(levels):
        if level:
            layers.append(Upsample(inputs))
        layers += [Residual(inputs if not block else channels, channels, spec.norm_groups) for block in range(blocks)]
        inputs = channels
    pixels = nn.Conv2d(inputs, 3 * spec.patch**2, 3, padding=1)
    return nn.Sequential(*layers, nn.GroupNorm(spec.norm_groups, inputs, eps=1e-6), nn.SiLU(), pixels)
