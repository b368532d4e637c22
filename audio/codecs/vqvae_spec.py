"""The sizes of Jukebox's VQ-VAE, read from transformers' config or from the shapes of the weights, and checked.

Every size is bounded before anything is built from it. Knows no tensors, only their shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from clavilux.checks import check_flag, short, whole_number

_MOST_HOP, _MOST_DILATION = 1 << 20, 1 << 20
# least and most; where a level has its own, they hold for each. The largest published ones are 128, 3, 64, 8 and 2048.
_SIZES = {
    "sample_rate": (1, 655350), "channels": (1, 16), "latent_width": (1, 1 << 16), "vocabulary": (1, 1 << 20),
    "dilation_growth": (1, 1 << 10),
}  # fmt: skip
_LEVEL_SIZES = {
    "downs": (1, 16), "strides": (2, 1 << 10), "widths": (1, 1 << 16), "depths": (1, 64), "hidden_widths": (1, 1 << 16),
}  # fmt: skip
_MOST_LEVELS = 8
# What a transformers config says of the network's shape, and its default. Its other words are about training,
# sampling or files.
_TRANSFORMERS_KEYS = {
    "levels": 3, "res_downs_t": (3, 2, 2), "res_strides_t": (2, 2, 2), "res_conv_width": 32, "res_conv_depth": 4,
    "multipliers": (2, 1, 1), "res_convolution_multiplier": 1, "res_dilation_growth_rate": 3,
    "res_dilation_cycle": None, "conv_res_scale": False, "conv_input_shape": 1, "embed_dim": 64,
    "nb_discrete_codes": 2048,
}  # fmt: skip


@dataclass(frozen=True)
class VQVAESpec:
    """The sizes of a VQ-VAE with several levels (arXiv 2005.00341, section 3 and appendix B.1); by default Jukebox's.

    A level has an encoder, a decoder and a codebook of its own. The encoder of level l shortens the sound in l + 1
    blocks: the blocks 0 to l of `downs` and `strides`, all with the width and depth of level l.

    Attributes:
        sample_rate: Hz.
        channels: of the sound.
        downs: for each level, how many strided convolutions its last block adds to those of the level below.
        strides: for each level, the stride of those; even, for an odd one would not give whole frames.
        widths: for each level, channels between its residual blocks.
        depths: for each level, residual blocks beside every strided convolution.
        hidden_widths: for each level, channels inside a residual block.
        latent_width: width of a codebook's vectors, and of what passes from block to block.
        vocabulary: vectors in each codebook.
        dilation_growth: residual block d has the dilation `dilation_growth ** d`.
        dilation_cycle: where given, d begins again at 0 after so many.
        reverse_dilation: whether the decoder has the widest dilation first.
        scale_residuals: whether what a residual block adds is divided by the root of the depth.
    """

    sample_rate: int = 44100
    channels: int = 1
    downs: tuple[int, ...] = (3, 2, 2)
    strides: tuple[int, ...] = (2, 2, 2)
    widths: tuple[int, ...] = (64, 32, 32)
    depths: tuple[int, ...] = (8, 4, 4)
    hidden_widths: tuple[int, ...] = (64, 32, 32)
    latent_width: int = 64
    vocabulary: int = 2048
    dilation_growth: int = 3
    dilation_cycle: int | None = None
    reverse_dilation: bool = True
    scale_residuals: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in _SIZES.items():
            whole_number(f"a VQ-VAE's {name}", getattr(self, name), least, most)
        if self.dilation_cycle is not None:
            whole_number("a VQ-VAE's dilation_cycle", self.dilation_cycle, 1, 64)
        for name in ("reverse_dilation", "scale_residuals"):
            check_flag(f"a VQ-VAE's {name}", getattr(self, name))
        for name, (least, most) in _LEVEL_SIZES.items():
            values = getattr(self, name)
            if not isinstance(values, tuple) or not 1 <= len(values) <= _MOST_LEVELS:
                raise ValueError(f"a VQ-VAE's {name} must be 1 to {_MOST_LEVELS} numbers, not {short(values)}")
            for value in values:
                whole_number(f"a VQ-VAE's {name}", value, least, most)
        self._check_fit()

    def _check_fit(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in _LEVEL_SIZES}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"a VQ-VAE needs one value a level of {', '.join(lengths)}, not {list(lengths.values())}")
        if any(stride % 2 for stride in self.strides):
            raise ValueError(f"a VQ-VAE's strides must be even, not {list(self.strides)}")
        hop = 1  # grows block by block, so that no huge power is computed
        for down, stride in zip(self.downs, self.strides, strict=True):
            for _ in range(down):
                hop *= stride
                whole_number("a VQ-VAE's hop, the product of its strides,", hop, 1, _MOST_HOP)
        whole_number(
            "a VQ-VAE's widest dilation", max(map(max, map(self.dilations, range(self.levels)))), 1, _MOST_DILATION
        )

    @property
    def levels(self) -> int:
        """How many levels there are; level 0 has the shortest hop."""
        return len(self.downs)

    def hop(self, level: int) -> int:
        """Samples a token of a level: 8, 32 and 128 for Jukebox's."""
        pairs = zip(self.strides[: level + 1], self.downs[: level + 1], strict=True)
        return math.prod(stride**down for stride, down in pairs)

    def dilations(self, level: int) -> tuple[int, ...]:
        """Those of the residual blocks beside one strided convolution of an encoder, in order."""
        cycle = self.dilation_cycle or self.depths[level]
        return tuple(self.dilation_growth ** (index % cycle) for index in range(self.depths[level]))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VQVAESpec:
        """A spec from a mapping of its own words, such as a JSON object; ValueError for a word that there is not."""
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown:
            raise ValueError(f"a VQ-VAE's spec has no {', '.join(unknown)}; its words are {', '.join(names)}")
        sizes: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**sizes)

    def to_dict(self) -> dict[str, Any]:
        """The words and their values, fit for JSON and for `from_dict`."""
        return asdict(self)

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> VQVAESpec:
        """What a transformers `config.json` says, of the VQ-VAE alone or of a whole Jukebox that holds it.

        Args:
            config: of `model_type` "jukebox_vqvae", or "jukebox" with a "vqvae_config"; defaults as published.

        Raises:
            ValueError: it is of another kind, has an unknown word about the network, or an impossible value.
        """
        rate = config.get("sampling_rate", 44100)
        if config.get("model_type") == "jukebox":
            inner = config.get("vqvae_config")
            if not isinstance(inner, Mapping):
                raise ValueError("the config of a Jukebox should hold that of its VQ-VAE as 'vqvae_config'")
            config = inner
        kind = config.get("model_type", "jukebox_vqvae")
        if kind != "jukebox_vqvae":
            raise ValueError(f"the config is of a {short(kind)}; it should be of a 'jukebox_vqvae' or a 'jukebox'")
        unknown = sorted(
            name for name in config if str(name).startswith(("res_", "conv_")) and name not in _TRANSFORMERS_KEYS
        )
        if unknown or config.get("act_fn", "relu") != "relu":
            wrong = ", ".join(unknown) or f"act_fn {short(config['act_fn'])}"
            raise ValueError(f"a VQ-VAE's config has {wrong}, which is not understood; its activation is 'relu'")
        said = {name: config.get(name, default) for name, default in _TRANSFORMERS_KEYS.items()}
        levels = whole_number("a VQ-VAE's levels", said["levels"], 1, _MOST_LEVELS)
        width, depth = (
            whole_number("a VQ-VAE's width", said["res_conv_width"], 1, 1 << 16),
            whole_number("a VQ-VAE's depth", said["res_conv_depth"], 1, 64),
        )
        hidden = whole_number("a VQ-VAE's res_convolution_multiplier", said["res_convolution_multiplier"], 1, 1 << 10)
        multipliers = _listed("multipliers", said["multipliers"] or (1,) * levels, levels)
        return cls(
            sample_rate=rate,
            channels=said["conv_input_shape"],
            downs=_listed("res_downs_t", said["res_downs_t"], levels),
            strides=_listed("res_strides_t", said["res_strides_t"], levels),
            widths=tuple(width * multiplier for multiplier in multipliers),
            depths=tuple(depth * multiplier for multiplier in multipliers),
            hidden_widths=tuple(hidden * width * multiplier for multiplier in multipliers),
            latent_width=said["embed_dim"],
            vocabulary=said["nb_discrete_codes"],
            dilation_growth=said["res_dilation_growth_rate"],
            dilation_cycle=said["res_dilation_cycle"],
            scale_residuals=said["conv_res_scale"],
        )

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> VQVAESpec:
        """What the shapes of an original state dict tell, by its own names.

        They do not tell the sample rate, the dilations and whether residuals are scaled: those are as published.

        Raises:
            ValueError: they are not those of a VQ-VAE.
        """
        try:
            codebooks = _found(shapes, r"bottleneck\.level_blocks\.(\d+)\.k")
            top, levels = len(codebooks) - 1, range(len(codebooks))
            strided = [
                _found(shapes, rf"encoders\.{top}\.level_blocks\.{level}\.model\.(\d+)\.0\.weight") for level in levels
            ]
            first = [shapes[f"encoders.{level}.level_blocks.0.model.0.0.weight"] for level in levels]
            stem = r"encoders\.{}\.level_blocks\.0\.model\.0\.1\.model\.(\d+)\.model\.1\.weight"
            inside = [_found(shapes, stem.format(level)) for level in levels]
            return cls(
                channels=first[0][1],
                downs=tuple(len(convolutions) for convolutions in strided),
                strides=tuple(convolutions[0][2] // 2 for convolutions in strided),
                widths=tuple(shape[0] for shape in first),
                depths=tuple(len(blocks) for blocks in inside),
                hidden_widths=tuple(blocks[0][0] for blocks in inside),
                latent_width=codebooks[0][1],
                vocabulary=codebooks[0][0],
            )
        except (KeyError, IndexError, ValueError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else error
            raise ValueError(
                f"these are not the weights of a Jukebox VQ-VAE in its original layout ({reason})"
            ) from None


def _found(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> list[tuple[int, ...]]:
    """The shapes whose names match, by the number in the name; at least one."""
    matches = [(re.fullmatch(pattern, name), shape) for name, shape in shapes.items()]
    found = [shape for _, shape in sorted((int(match[1]), shape) for match, shape in matches if match)]
    if not found:
        raise ValueError(f"there is no {pattern}".replace("\\", "").replace("(d+)", "0"))
    return found


def _listed(name: str, values: Any, levels: int) -> tuple[int, ...]:
    """The numbers of a config, one a level."""
    if not isinstance(values, (list, tuple)) or len(values) != levels:
        raise ValueError(f"a VQ-VAE of {levels} levels needs as many values of {name}, not {short(values)}")
    return tuple(whole_number(f"a VQ-VAE's {name}", value, 1, 1 << 16) for value in values)
