"""The sizes of a Descript Audio Codec, read from the configuration of either layout and checked.

Every size is bounded before anything is built from it. Knows no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clavilux.checks import short, whole_number

_MOST_WIDTH, _MOST_HOP = 1 << 16, 1 << 20
# least and most. The largest published sizes are 1536, 8, 1024 and 32 codebooks.
_SIZES = {
    "sample_rate": (1, 655350), "encoder_width": (1, _MOST_WIDTH), "latent_width": (1, _MOST_WIDTH),
    "decoder_width": (1, _MOST_WIDTH), "vocabulary": (1, 1 << 20),
}  # fmt: skip
# least, most, and the greatest length. A rate of 1 would make frames of no samples.
_MOST_CODEBOOKS = 256
_LISTS = {
    "encoder_rates": (2, 1024, 16),
    "decoder_rates": (2, 1024, 16),
    "codebook_widths": (1, _MOST_WIDTH, _MOST_CODEBOOKS),
}


@dataclass(frozen=True)
class DacSpec:
    """The sizes of a DAC.

    Attributes:
        sample_rate: Hz.
        encoder_width: channels before the first strided convolution; each one doubles them.
        encoder_rates: strides; their product is the hop, samples a frame.
        latent_width: channels between encoder, quantizers and decoder.
        decoder_width: channels before the first transposed convolution; each one halves them.
        decoder_rates: strides; the same product.
        codebook_widths: width of each codebook's vectors; as many as there are codebooks.
        vocabulary: vectors in each codebook.
    """

    sample_rate: int = 44100
    encoder_width: int = 64
    encoder_rates: tuple[int, ...] = (2, 4, 8, 8)
    latent_width: int = 1024
    decoder_width: int = 1536
    decoder_rates: tuple[int, ...] = (8, 8, 4, 2)
    codebook_widths: tuple[int, ...] = (8,) * 9
    vocabulary: int = 1024

    def __post_init__(self) -> None:
        for name, (least, most) in _SIZES.items():
            whole_number(f"a DAC's {name}", getattr(self, name), least, most)
        for name, (least, most, length) in _LISTS.items():
            value = getattr(self, name)
            if not isinstance(value, tuple) or not 1 <= len(value) <= length:
                raise ValueError(f"a DAC's {name} must be 1 to {length} numbers, not {short(value)}")
            for number in value:
                whole_number(f"a DAC's {name}", number, least, most)
        self._check_fit()

    def _check_fit(self) -> None:
        encoder, decoder = list(self.encoder_rates), list(self.decoder_rates)
        if self.hop != math.prod(decoder):
            raise ValueError(f"a DAC's encoder_rates {encoder} and decoder_rates {decoder} must have the same product")
        whole_number("a DAC's hop, the product of its rates,", self.hop, 1, _MOST_HOP)
        whole_number(
            "a DAC's encoder_width, doubled with every rate,", self.encoder_width << len(encoder), 1, _MOST_WIDTH
        )
        whole_number(
            "a DAC's decoder_width, halved with every rate,", self.decoder_width >> len(decoder), 1, _MOST_WIDTH
        )

    @property
    def hop(self) -> int:
        return math.prod(self.encoder_rates)

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> DacSpec:
        """The sizes that a transformers `config.json` states; ValueError if they contradict each other."""
        rates = _numbers(config.get("downsampling_ratios", (2, 4, 8, 8)))
        spec = cls(
            sample_rate=config.get("sampling_rate", 16000),
            encoder_width=config.get("encoder_hidden_size", 64),
            encoder_rates=rates,
            latent_width=_latent_width(config.get("encoder_hidden_size", 64), rates),
            decoder_width=config.get("decoder_hidden_size", 1536),
            decoder_rates=rates[::-1],
            codebook_widths=_repeated(config.get("codebook_dim", 8), config.get("n_codebooks", 9)),
            vocabulary=config.get("codebook_size", 1024),
        )
        # that library derives these from the others, whatever the file says
        derived = {"upsampling_ratios": list(spec.decoder_rates), "hidden_size": spec.latent_width}
        for name, value in derived.items():
            stated = config.get(name, value)
            if (list(stated) if isinstance(stated, tuple) else stated) != value:
                raise ValueError(f"a DAC config has {name} {short(config[name])}, but its other sizes make it {value}")
        return spec

    @classmethod
    def from_original(cls, kwargs: Mapping[str, Any]) -> DacSpec:
        """The sizes that `metadata["kwargs"]` of an original checkpoint states; ValueError as above."""
        rates, width = _numbers(kwargs.get("encoder_rates", (2, 4, 8, 8))), kwargs.get("encoder_dim", 64)
        latent = kwargs.get("latent_dim")
        return cls(
            sample_rate=kwargs.get("sample_rate", 44100),
            encoder_width=width,
            encoder_rates=rates,
            latent_width=_latent_width(width, rates) if latent is None else latent,
            decoder_width=kwargs.get("decoder_dim", 1536),
            decoder_rates=_numbers(kwargs.get("decoder_rates", (8, 8, 4, 2))),
            codebook_widths=_repeated(kwargs.get("codebook_dim", 8), kwargs.get("n_codebooks", 9)),
            vocabulary=kwargs.get("codebook_size", 1024),
        )


def _numbers(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"the rates of a DAC must be a list, not {short(value)}")
    return tuple(value)


def _repeated(width: Any, codebooks: Any) -> tuple[Any, ...]:
    """The width of every codebook's vectors, which a checkpoint states once for all or one by one."""
    whole_number("a DAC's number of codebooks", codebooks, 1, _MOST_CODEBOOKS)
    widths = tuple(width) if isinstance(width, (list, tuple)) else (width,) * codebooks
    if len(widths) != codebooks:
        raise ValueError(f"a DAC of {codebooks} codebooks needs as many values of codebook_dim, not {len(widths)}")
    return widths


def _latent_width(encoder_width: Any, rates: tuple[Any, ...]) -> int:
    """What the encoder ends with; a stand-in where the sizes are not ones that `DacSpec` accepts."""
    return encoder_width << len(rates) if isinstance(encoder_width, int) and len(rates) <= 16 else 1
