"""The two players of a GAN: a generator whose every layer has a style of its own, and a discriminator.

What they make and judge are a VAE's latents, or pixels. Knows networks; does not know losses, files or what latents
look like. A style (w in the literature) reaches a layer as factors on its input channels, and the layer's outputs are
brought back to unit size by what its weights say, not by what is in the batch: Karras et al., "Analyzing and Improving
the Image Quality of StyleGAN" (arXiv 1912.04958). The discriminator compares classes by projection: Miyato and Koyama,
"cGANs with Projection Discriminator" (arXiv 1802.05637).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.checks import check_known, short, whole_number

LEAK = 0.2  # of the rectifiers
GAIN = math.sqrt(2)  # brings what a rectifier lets through back to about unit size
COARSEST = 4  # patches a side of the first tower
MOST_CHANNELS, MOST_TOWERS, MOST_BLOCKS, MOST_CLASSES = 4096, 8, 16, 4096
_Spec = TypeVar("_Spec", bound="_Towers")
_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


@dataclass(frozen=True)
class _Towers:
    """What the two specs have in common."""

    channels: int = 8
    towers: tuple[int, ...] = (104,)
    blocks: tuple[int, ...] = (4,)
    classes: int = 0
    patch: int = 2

    def __post_init__(self) -> None:
        for name in ("towers", "blocks"):
            object.__setattr__(self, name, _whole_numbers(name, getattr(self, name)))
        if len(self.towers) != len(self.blocks):
            raise ValueError(f"towers is {self.towers} and blocks {self.blocks}; they should have as many numbers")
        whole_number("channels", self.channels, 1, MOST_CHANNELS)
        whole_number("classes", self.classes, 0, MOST_CLASSES)
        whole_number("patch", self.patch, 1, 16)

    @property
    def size(self) -> int:
        """Places a side of what is made or judged."""
        return self.patch * COARSEST << (len(self.towers) - 1)

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain values, fit for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls: type[_Spec], sizes: Mapping[str, Any]) -> _Spec:
        """The sizes that `to_dict` gave; ValueError for an unknown name or an impossible size."""
        check_known(cls.__name__, sizes, [field.name for field in fields(cls)])
        return cls(**sizes)


@dataclass(frozen=True)
class GeneratorSpec(_Towers):
    """The sizes of a generator.

    Attributes:
        channels: of what it makes: a VAE's latents, or 3 colors.
        towers: channels at each resolution, that of 4 x 4 patches first; each next one has twice as many a side.
        blocks: residual blocks at each resolution.
        classes: 0 where there are none.
        patch: places a side that the finest resolution has as one: a quarter of the work, with 2.
        noise: length of z.
        width: length of a style.

    Raises:
        ValueError: an impossible size.
    """

    noise: int = 64
    width: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("noise", self.noise, 1, MOST_CHANNELS)
        whole_number("width", self.width, 1, MOST_CHANNELS)

    @property
    def layers(self) -> int:
        """How many styles there are: one a block, the coarsest first, and the last for what comes out."""
        return sum(self.blocks) + 1


@dataclass(frozen=True)
class DiscriminatorSpec(_Towers):
    """The sizes of a discriminator; the first five as the generator has them.

    Attributes:
        features: channels of what its last layer but one says of a sample.

    Raises:
        ValueError: an impossible size.
    """

    features: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("features", self.features, 1, MOST_CHANNELS)


class Generator(nn.Module):
    """z -> one style -> a style a layer -> a sample. A new one has random weights.

    Styles of the first layers say what stands where, those of the last in what colors and with what edges.

    Attributes:
        spec: the sizes.
        mean_style: float [width], the mean of styles; `settle` takes it. `styles` can draw nearer to it.
    """

    mean_style: Tensor

    def __init__(self, spec: GeneratorSpec):
        super().__init__()
        self.spec = spec
        self.embedding = nn.Embedding(spec.classes, spec.noise) if spec.classes else None
        inputs = spec.noise * (2 if spec.classes else 1)
        wide = 2 * spec.width
        self.mapping = nn.Sequential(
            _unit(nn.Linear(inputs, wide)), nn.LeakyReLU(LEAK), _unit(nn.Linear(wide, spec.width))
        )
        self.register_buffer("mean_style", torch.zeros(spec.width))
        self.start = nn.Parameter(torch.empty(spec.towers[0], COARSEST, COARSEST))
        nn.init.normal_(self.start)
        blocks, source = list[nn.Module](), spec.towers[0]
        for level, (channels, count) in enumerate(zip(spec.towers, spec.blocks, strict=True)):
            for number in range(count):
                blocks.append(StyledBlock(source, channels, spec.width, larger=level > 0 and number == 0))
                source = channels
        self.blocks = nn.ModuleList(blocks)
        self.output = StyledConv(source, spec.channels * spec.patch**2, 1, spec.width)

    def style(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """One style each.

        Args:
            z: float [B, noise], of N(0, 1).
            classes: int64 [B]; None where the generator has none.

        Returns:
            float [B, width].
        """
        if self.embedding is None:
            return self.mapped(z)
        if classes is None:
            raise ValueError(f"classes is missing; each picture should have one of 0 to {self.spec.classes - 1}")
        return self.mapped(z, self.embedding(classes))

    def mapped(self, z: Tensor, named: Tensor | None = None) -> Tensor:
        """Styles [B, width] of z [B, noise] and, where there are classes, of rows [B, noise] of their embedding, or of
        mixtures of such rows.
        """
        parts = [z] if named is None else [z, named]
        return self.mapping(torch.cat([x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt() for x in parts], 1))

    def styles(self, z: Tensor, classes: Tensor | None = None, *, truncation: float = 1.0) -> Tensor:
        """The same style for every layer, as `forward` takes them.

        Args:
            z: as for `style`.
            classes: as for `style`.
            truncation: how far from the mean of styles, 0 to 1: less is more usual, and less various.

        Returns:
            float [B, layers, width].
        """
        style = self.style(z, classes)
        if truncation != 1:
            style = self.mean_style + truncation * (style - self.mean_style)
        return style[:, None].expand(-1, self.spec.layers, -1)

    def forward(self, styles: Tensor) -> Tensor:
        """float [B, layers, width] -> samples, float [B, channels, size, size]."""
        x = self.start.expand(len(styles), -1, -1, -1)  # [B, C, 4, 4]
        for layer, block in enumerate(self.blocks):
            x = block(x, styles[:, layer])
        return F.pixel_shuffle(self.output(x, styles[:, -1]), self.spec.patch)

    @torch.no_grad()
    def settle(self, count: int = 4096, seed: int = 0) -> None:
        """Take the mean of `count` styles, of all classes alike, as `mean_style`."""
        random = torch.Generator().manual_seed(seed)
        z = torch.randn(count, self.spec.noise, generator=random).to(self.start.device)
        classes = torch.arange(count, device=z.device) % self.spec.classes if self.spec.classes else None
        self.mean_style.copy_(self.style(z, classes).mean(0))


class StyledConv(nn.Module):
    """A convolution whose input channels a style scales; its outputs are scaled to unit size.

    With style factors s and weights W: y = conv(x s, W) / sqrt(sum (W s)^2) + bias, which is the convolution by weights
    that are normalized for each sample, without a weight each.
    """

    def __init__(self, source: int, target: int, kernel: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(target, source, kernel, kernel))
        nn.init.normal_(self.weight, std=(source * kernel**2) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(target))
        self.factors = _unit(nn.Linear(width, source))
        nn.init.ones_(self.factors.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x [B, C, H, W], style [B, width] -> [B, D, H, W]."""
        factors = self.factors(style)  # [B, C]
        size = factors.square() @ self.weight.square().sum((2, 3)).t()  # [B, D]
        y = F.conv2d(x * factors[:, :, None, None], self.weight, padding=self.weight.shape[2] // 2)
        return y * (size + 1e-8).rsqrt()[:, :, None, None] + self.bias[:, None, None]


class StyledBlock(nn.Module):
    """Two styled convolutions beside a shortcut, after doubling the side where it is the first of a resolution."""

    def __init__(self, source: int, target: int, width: int, *, larger: bool):
        super().__init__()
        self.larger = larger
        self.first = StyledConv(source, target, 3, width)
        self.second = StyledConv(target, target, 3, width)
        self.shortcut = _shortcut(source, target)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x [B, C, H, W], style [B, width] -> [B, D, H, W], or twice the side."""
        short_cut = self.shortcut(x)  # before the side is doubled: a quarter of the work
        if self.larger:
            x, short_cut = (
                F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False) for y in (x, short_cut)
            )
        y = F.leaky_relu(self.first(x, style), LEAK) * GAIN
        y = F.leaky_relu(self.second(y, style), LEAK) * GAIN
        return (short_cut + y) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """A sample -> one logit. No normalization: a sample's logit, and its gradient, are of that sample alone."""

    def __init__(self, spec: DiscriminatorSpec):
        super().__init__()
        self.spec = spec
        source = spec.towers[-1]
        self.input = _unit(nn.Conv2d(spec.channels * spec.patch**2, source, 1))
        blocks = list[nn.Module]()
        for level in range(len(spec.towers))[::-1]:
            for number in range(spec.blocks[level]):
                smaller = number == 0 and level < len(spec.towers) - 1
                blocks.append(JudgingBlock(source, spec.towers[level], smaller=smaller))
                source = spec.towers[level]
        self.blocks = nn.Sequential(*blocks)
        self.features = _unit(nn.Linear(source * COARSEST**2, spec.features), GAIN)
        self.logit = _unit(nn.Linear(spec.features, 1))
        self.embedding = nn.Embedding(spec.classes, spec.features) if spec.classes else None

    def forward(self, samples: Tensor, classes: Tensor | None = None) -> Tensor:
        """Logits of samples; the higher, the more real.

        Args:
            samples: float [B, channels, size, size].
            classes: int64 [B]; None where the discriminator has none.

        Returns:
            float [B].
        """
        x = self.blocks(self.input(F.pixel_unshuffle(samples, self.spec.patch)))  # [B, C, 4, 4]
        x = F.leaky_relu(self.features(x.flatten(1)), LEAK) * GAIN  # [B, F]
        logit = self.logit(x)[:, 0]
        if self.embedding is None:
            return logit
        if classes is None:
            raise ValueError(f"classes is missing; each sample should have one of 0 to {self.spec.classes - 1}")
        return logit + (self.embedding(classes) * x).mean(1)


class JudgingBlock(nn.Module):
    """Two convolutions beside a shortcut, after halving the side where it is the first of a resolution."""

    def __init__(self, source: int, target: int, *, smaller: bool):
        super().__init__()
        self.smaller = smaller
        self.first = nn.Conv2d(source, target, 3, padding=1)
        self.second = nn.Conv2d(target, target, 3, padding=1)
        for conv, gain in ((self.first, GAIN), (self.second, 0.5)):  # the branch starts small, the sum at unit size
            _unit(conv, gain)
        self.shortcut = _shortcut(source, target)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W] -> [B, D, H, W], or half the side."""
        if self.smaller:
            x = F.avg_pool2d(x, 2)
        y = self.second(F.leaky_relu(self.first(F.leaky_relu(x, LEAK)), LEAK))
        return self.shortcut(x) + y


def _shortcut(source: int, target: int) -> nn.Module:
    return nn.Identity() if source == target else _unit(nn.Conv2d(source, target, 1, bias=False))


def _unit(layer: _Layer, gain: float = 1.0) -> _Layer:
    """The layer, with weights such that inputs of unit size give outputs of size `gain`, and a bias of zeros."""
    nn.init.normal_(layer.weight, std=gain * layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _whole_numbers(name: str, values: Any) -> tuple[int, ...]:
    """A tuple or list of whole numbers as a tuple."""
    least, most = (1, MOST_CHANNELS) if name == "towers" else (1, MOST_BLOCKS)
    if not isinstance(values, (tuple, list)) or not 1 <= len(values) <= MOST_TOWERS:
        raise ValueError(f"{name} is {short(values)}; it should be 1 to {MOST_TOWERS} whole numbers")
    return tuple(whole_number(f"a number of {name}", value, least, most) for value in values)
