"""The sizes of a VQ picture codec, read from a configuration or from the shapes of its weights, and checked.

Every size is bounded before anything is built from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from clavilux.checks import check_flag, check_known, whole_number

_MOST_CHANNELS = 1 << 14
# least and most. The largest published sizes are 16384 codes, 512 channels, 5 levels and 2 blocks.
_RANGES = {
    "vocabulary": (1, 1 << 20),
    "embedding_width": (1, _MOST_CHANNELS),
    "latent_channels": (1, _MOST_CHANNELS),
    "base_channels": (1, _MOST_CHANNELS),
    "residual_blocks": (1, 64),
    "norm_groups": (1, _MOST_CHANNELS),
}
_MOST_LEVELS = 8
# transformers' JanusVQVAEConfig: ours -> theirs, and what it says where a file does not
_TRANSFORMERS = {
    "vocabulary": ("num_embeddings", 16384),
    "embedding_width": ("embed_dim", 8),
    "latent_channels": ("latent_channels", 256),
    "base_channels": ("base_channels", 128),
    "multipliers": ("channel_multiplier", (1, 1, 2, 2, 4)),
    "residual_blocks": ("num_res_blocks", 2),
}


@dataclass(frozen=True)
class VQSpec:
    """The sizes of a VQ picture codec; the defaults are those of LlamaGen's VQ-16 and of Janus.

    VQ-8 has the multipliers (1, 2, 2, 4).

    Attributes:
        vocabulary: vectors in the codebook.
        embedding_width: width of its vectors.
        latent_channels: channels at the narrow end of encoder and decoder.
        base_channels: channels at full resolution.
        multipliers: channels at each resolution, as multiples of `base_channels`; between two of them the resolution
            is halved.
        residual_blocks: blocks at each resolution of the encoder; the decoder has one more.
        attention: attention after every block at the lowest resolution and between the two middle blocks.
        norm_groups: groups of every group norm; a divisor of all numbers of channels.
        normalized: compare directions only: codebook and latent are scaled to length 1.
    """

    vocabulary: int = 16384
    embedding_width: int = 8
    latent_channels: int = 256
    base_channels: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    residual_blocks: int = 2
    attention: bool = True
    norm_groups: int = 32
    normalized: bool = True

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            whole_number(f"a VQ codec's {name}", getattr(self, name), least, most)
        if not isinstance(self.multipliers, tuple) or not 1 <= len(self.multipliers) <= _MOST_LEVELS:
            raise ValueError(f"a VQ codec's multipliers must be 1 to {_MOST_LEVELS} numbers, not {self.multipliers!r}")
        for multiplier in self.multipliers:
            whole_number("a VQ codec's multipliers", multiplier, 1, _MOST_CHANNELS // self.base_channels)
        for name in ("attention", "normalized"):
            check_flag(f"a VQ codec's {name}", getattr(self, name))
        if self.base_channels % self.norm_groups:
            raise ValueError(
                f"a VQ codec's norm_groups must divide its base_channels {self.base_channels}, not {self.norm_groups}"
            )

    @property
    def downsampling(self) -> int:
        """Pixels a side for which one token stands."""
        return 1 << (len(self.multipliers) - 1)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at each resolution, the full one first."""
        return tuple(self.base_channels * multiplier for multiplier in self.multipliers)

    def to_dict(self) -> dict[str, Any]:
        """The sizes as plain JSON values."""
        return asdict(self) | {"multipliers": list(self.multipliers)}

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> VQSpec:
        """The sizes that `to_dict` gave; ValueError for an unknown name or an impossible size."""
        check_known("a VQ codec", sizes, [field.name for field in fields(cls)])
        return cls(**{name: _tupled(value) for name, value in sizes.items()})

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> VQSpec:
        """The sizes that a `config.json` of transformers states, of a JanusVQVAE or of a whole Janus.

        Its `num_patches` only says how many tokens a picture of the whole model has.

        Raises:
            ValueError: an impossible size, or a variant without a decoder for it (`double_latent`, not RGB).
        """
        config = config.get("vq_config", {}) if config.get("model_type") == "janus" else config
        if not isinstance(config, Mapping):
            raise ValueError(f"a Janus config's vq_config must be an object, not {config!r}")
        for name, only in (("double_latent", False), ("in_channels", 3), ("out_channels", 3)):
            if config.get(name, only) != only:
                raise ValueError(f"a Janus VQ config must have {name} {only}, not {config[name]!r}")
        return cls(**{ours: _tupled(config.get(name, value)) for ours, (name, value) in _TRANSFORMERS.items()})

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]], label: str) -> VQSpec:
        """The sizes that LlamaGen's tensors have, whose files state none. Group norms are taken to have 32 groups.

        Args:
            shapes: LlamaGen's names -> shapes.
            label: what errors call the checkpoint.

        Raises:
            ValueError: a tensor that the sizes are read from is missing, or makes no sense.
        """

        def shape(name: str, dimensions: int) -> tuple[int, ...]:
            if name not in shapes:
                raise ValueError(f"{label} lacks {name}")
            if len(shapes[name]) != dimensions or 0 in shapes[name]:
                raise ValueError(
                    f"{label} has a {name} of {tuple(shapes[name])}; it should have {dimensions} dimensions"
                )
            return shapes[name]

        vocabulary, width = shape("quantize.embedding.weight", 2)
        base = shape("encoder.conv_in.weight", 4)[0]
        levels = _count(shapes, "encoder.conv_blocks")
        outputs = [shape(f"encoder.conv_blocks.{level}.res.0.conv1.weight", 4)[0] for level in range(levels)]
        if any(channels % base for channels in outputs):
            raise ValueError(f"{label} has {outputs} channels, which are no multiples of its first {base}")
        return cls(
            vocabulary=vocabulary,
            embedding_width=width,
            latent_channels=shape("encoder.conv_out.weight", 4)[0],
            base_channels=base,
            multipliers=tuple(channels // base for channels in outputs),
            residual_blocks=_count(shapes, "encoder.conv_blocks.0.res"),
        )


def _count(names: Mapping[str, object], prefix: str) -> int:
    """How many members a list of modules has: one more than the greatest number after its name."""
    numbers = [name[len(prefix) + 1 :].partition(".")[0] for name in names if name.startswith(prefix + ".")]
    return max((int(number) for number in numbers if number.isdecimal() and len(number) < 4), default=-1) + 1


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
