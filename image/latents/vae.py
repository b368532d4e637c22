"""A variational autoencoder of small pictures: pictures to a Gaussian over latents, and latents to pictures.

The latents are spatial, a vector for every 8 x 8 pixels, as latent diffusion has them (arXiv 2112.10752). The prior is
the standard normal distribution. Given its latents, each number of a picture is a logistic distribution around what is
decoded, all of one width, which is learned (arXiv 2006.13202 does so with a Gaussian). Knows networks; the losses are
`losses`, files are `files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.checks import check_known, short
from clavilux.image.codecs.vq import Residual

DOWNSAMPLING = 8  # pixels a side that one place of the latents stands for
_SMALLEST, _LARGEST = 16, 512  # pixels a side
# Beyond black and white, as only so their whole step is likely; and no farther: a decoder that may push white away
# without end does so, and the width of the distribution grows with it until the colors in between count for nothing.
BOUND = 1.05
_FIRST_SCALE = 0.1  # of the logistic distribution, in pixels of -1 to 1
_FIRST_LOG_VARIANCE = -3.0  # of the posterior: with 0 the first steps are all noise
_LOG_VARIANCES = (-14.0, 6.0)


class Posterior(NamedTuple):
    """What an encoder says of the latents of pictures: a Gaussian with independent numbers.

    Attributes:
        mean, log_variance: float [B, C, S/8, S/8].
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Latents, of standard normal noise of the same shape; gradients flow to both parts."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


@dataclass(frozen=True)
class VAESpec:
    """The sizes of a VAE.

    Attributes:
        size: S, pixels a side that it is trained on; a multiple of 8.
        latent_channels: C, numbers of a place.
        encoder: channels at 1/4 and 1/8 of the side.
        decoder: channels at 1/8, 1/4 and 1/2 of the side.
        encoder_blocks, decoder_blocks: residual blocks at each of these.
        norm_groups: groups of every group norm; a divisor of all numbers of channels.

    Raises:
        ValueError: a size that is no whole number from 1 up to 4,096, or lists of other lengths.
    """

    size: int = 64
    latent_channels: int = 8
    encoder: tuple[int, ...] = (96, 128)
    decoder: tuple[int, ...] = (128, 96, 48)
    encoder_blocks: tuple[int, ...] = (2, 1)
    decoder_blocks: tuple[int, ...] = (1, 2, 2)
    norm_groups: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # JSON has no tuples
                object.__setattr__(self, field.name, value := tuple(value))
            for size in value if isinstance(value, tuple) and 0 < len(value) <= 8 else (value,):
                if type(size) is not int or not 1 <= size <= 4096:
                    raise ValueError(f"a VAE's {field.name} must be whole numbers from 1 to 4096, not {short(value)}")
        towers = ("encoder", 2), ("encoder_blocks", 2), ("decoder", 3), ("decoder_blocks", 3)
        for name, length in towers:
            if not isinstance(getattr(self, name), tuple) or len(getattr(self, name)) != length:
                raise ValueError(f"a VAE's {name} must be {length} numbers, not {short(getattr(self, name))}")
        for name in ("size", "latent_channels", "norm_groups"):
            if isinstance(getattr(self, name), tuple):
                raise ValueError(f"a VAE's {name} must be one number, not {short(getattr(self, name))}")
        if self.size % DOWNSAMPLING or not _SMALLEST <= self.size <= _LARGEST:
            raise ValueError(
                f"a VAE's size must be a multiple of {DOWNSAMPLING} from {_SMALLEST} to {_LARGEST}, not {self.size}"
            )
        if any(channels % self.norm_groups for channels in (*self.encoder, *self.decoder)):
            raise ValueError(f"a VAE's norm_groups must divide its channels, not {self.norm_groups}")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, S/8, S/8)."""
        side = self.size // DOWNSAMPLING
        return self.latent_channels, side, side

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain values, fit for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> VAESpec:
        """The sizes that `to_dict` gave; ValueError for an unknown name or an impossible size."""
        check_known("a VAE", sizes, [field.name for field in fields(cls)])
        return cls(**sizes)


class VAE(nn.Module):
    """The network. A new one has random weights, to be trained or loaded.

    Attributes:
        spec: the sizes.
        log_scale: the logarithm of the width of a pixel's logistic distribution, in pixels of -1 to 1.
    """

    def __init__(self, spec: VAESpec):
        super().__init__()
        self.spec = spec
        self.encoder, self.decoder = _encoder(spec), Decoder(spec)
        self.log_scale = nn.Parameter(torch.tensor(_FIRST_SCALE).log())
        last = self.encoder[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias[spec.latent_channels :], _FIRST_LOG_VARIANCE)

    def encode(self, pixels: Tensor) -> Posterior:
        """float [B, 3, S, S], -1 to 1 -> the Gaussian of their latents; any sides that are multiples of 8 will do."""
        mean, log_variance = self.encoder(pixels).chunk(2, 1)
        return Posterior(mean, log_variance.clamp(*_LOG_VARIANCES))

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, S/8, S/8] -> pixels [B, 3, S, S], -1.05 to 1.05: black and white lie a little beyond."""
        return self.decoder(latents)


class Decoder(nn.Sequential):
    """Latents to pixels; alone, it is what a GAN in these latents needs of a VAE."""

    def __init__(self, spec: VAESpec):
        eighth, quarter, half = spec.decoder
        blocks, groups = spec.decoder_blocks, spec.norm_groups
        super().__init__(
            nn.Conv2d(spec.latent_channels, eighth, 3, padding=1),
            *(Residual(eighth, eighth, groups) for _ in range(blocks[0])),
            *_larger(eighth, quarter),
            *(Residual(quarter, quarter, groups) for _ in range(blocks[1])),
            *_larger(quarter, half),
            *(Residual(half, half, groups) for _ in range(blocks[2])),
            nn.GroupNorm(groups, half, eps=1e-6),
            nn.SiLU(),
            nn.Conv2d(half, 12, 3, padding=1),
            nn.PixelShuffle(2),  # [B, 12, S/2, S/2] -> [B, 3, S, S]
            Bounded(),
        )


class Bounded(nn.Module):
    """Any numbers -> numbers within `BOUND` of 0, smoothly: 1.05 tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        return BOUND * x.tanh()


def _larger(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    """[B, inputs, rows, cols] -> [B, outputs, 2 rows, 2 cols], for a third of what a 3 x 3 convolution takes."""
    return nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2)


def _encoder(spec: VAESpec) -> nn.Sequential:
    quarter, eighth = spec.encoder
    groups = spec.norm_groups
    return nn.Sequential(
        nn.PixelUnshuffle(4),  # [B, 3, S, S] -> [B, 48, S/4, S/4]
        nn.Conv2d(48, quarter, 3, padding=1),
        *(Residual(quarter, quarter, groups) for _ in range(spec.encoder_blocks[0])),
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * quarter, eighth, 1),
        *(Residual(eighth, eighth, groups) for _ in range(spec.encoder_blocks[1])),
        nn.GroupNorm(groups, eighth, eps=1e-6),
        nn.SiLU(),
        nn.Conv2d(eighth, 2 * spec.latent_channels, 3, padding=1),
    )


def to_pixels(levels: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> float, -1 to 1, as networks take pictures."""
    return levels.float() / 127.5 - 1


def to_levels(pixels: Tensor) -> Tensor:
    """float [B, 3, H, W] -> uint8: -1 is 0, 1 is 255, what lies beyond is clipped."""
    return F.hardtanh(pixels.detach()).add(1).mul(127.5).round().to(torch.uint8)
