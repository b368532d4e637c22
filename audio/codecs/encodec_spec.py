"""What an EnCodec is, and how checkpoints say it: transformers' config, audiocraft's config, or the weights alone.

Knows configs and shapes. Does not know how the codec computes or where its weights are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clavilux.audio.codecs.seanet import SeanetSpec
from clavilux.checks import short, whole_number

_DEFAULT_BANDWIDTHS = (1.5, 3.0, 6.0, 12.0, 24.0)


@dataclass(frozen=True)
class EncodecSpec:
    """What an EnCodec is.

    Attributes:
        network: sizes of encoder and decoder.
        sample_rate: Hz.
        codebooks: K, vector quantizers one after another.
        vocabulary: V, vectors in each of them.
        normalize: whether each chunk (or the whole, without chunks) is divided by its RMS before it is encoded.
        chunk_samples, stride_samples: length of a chunk and distance between the starts of two; None for no chunks.
        bandwidths: kbit/s that the checkpoint was trained for, where it says so.
    """

    network: SeanetSpec = SeanetSpec()
    sample_rate: int = 24000
    codebooks: int = 32
    vocabulary: int = 1024
    normalize: bool = False
    chunk_samples: int | None = None
    stride_samples: int | None = None
    bandwidths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        whole_number("sample_rate of EnCodec", self.sample_rate, 1, 655350)
        whole_number("codebooks of EnCodec", self.codebooks, 1, 1024)
        whole_number("vocabulary of EnCodec", self.vocabulary, 2, 1 << 20)
        if not isinstance(self.normalize, bool):
            raise ValueError(f"normalize of EnCodec is true or false, not {short(self.normalize)}")
        if (self.chunk_samples is None) != (self.stride_samples is None):
            raise ValueError("EnCodec needs both a chunk and a stride, or neither")
        if self.chunk_samples is not None:
            whole_number("the chunk's samples of EnCodec", self.chunk_samples, 1, 1 << 30)
            whole_number("the stride's samples of EnCodec", self.stride_samples, 1, self.chunk_samples)

    @property
    def chunks(self) -> tuple[int, int] | None:
        """(chunk_samples, stride_samples), None for no chunks."""
        if self.chunk_samples is None or self.stride_samples is None:
            return None
        return self.chunk_samples, self.stride_samples

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> EncodecSpec:
        """What a transformers `config.json` (or the sub-config of a MusicGen) says; its defaults for what it does not.

        Raises:
            ValueError: it is of another kind, or a value is impossible.
        """
        if config.get("model_type", "encodec") != "encodec":
            raise ValueError(f"the config is of a {short(config['model_type'])}; it should be of an 'encodec'")
        norm = config.get("norm_type", "weight_norm")
        if norm not in ("weight_norm", "time_group_norm"):
            raise ValueError(f"norm_type of EnCodec is 'weight_norm' or 'time_group_norm', not {short(norm)}")
        network = SeanetSpec(
            channels=config.get("audio_channels", 1),
            latent_width=config.get("hidden_size", 128),
            filters=config.get("num_filters", 32),
            ratios=_ratios(config.get("upsampling_ratios", (8, 5, 4, 2))),
            residual_layers=config.get("num_residual_layers", 1),
            kernel=config.get("kernel_size", 7),
            last_kernel=config.get("last_kernel_size", 7),
            residual_kernel=config.get("residual_kernel_size", 3),
            dilation_growth=config.get("dilation_growth_rate", 2),
            compress=config.get("compress", 2),
            lstm_layers=config.get("num_lstm_layers", 2),
            causal=config.get("use_causal_conv", True),
            pad_mode=config.get("pad_mode", "reflect"),
            conv_shortcut=config.get("use_conv_shortcut", True),
            group_norm=norm == "time_group_norm",
            trim_right=config.get("trim_right_ratio", 1.0),
        )
        if config.get("codebook_dim") not in (None, network.latent_width):
            raise ValueError(
                f"codebook_dim {short(config['codebook_dim'])} of EnCodec must be its hidden_size "
                f"{network.latent_width}"
            )
        rate = whole_number("sampling_rate of EnCodec", config.get("sampling_rate", 24000), 1, 655350)
        vocabulary = whole_number("codebook_size of EnCodec", config.get("codebook_size", 1024), 2, 1 << 20)
        bandwidths = _bandwidths(config.get("target_bandwidths", _DEFAULT_BANDWIDTHS))
        bits = math.ceil(rate / network.hop) * math.ceil(math.log2(vocabulary))
        chunk, stride = _chunk(config.get("chunk_length_s"), config.get("overlap"), rate)
        return cls(
            network=network,
            sample_rate=rate,
            codebooks=int(1000 * bandwidths[-1] // bits),
            vocabulary=vocabulary,
            normalize=config.get("normalize", False),
            chunk_samples=chunk,
            stride_samples=stride,
            bandwidths=bandwidths,
        )

    @classmethod
    def from_audiocraft(cls, text: str) -> EncodecSpec:
        """What `xp.cfg` of a `compression_state_dict.bin` says: YAML, of which only the lines needed are understood.

        Raises:
            ValueError: a key that is needed is missing (it is named), or a value is not supported.
        """
        config = _Audiocraft(text)
        config.expect("compression_model", "encodec")
        config.expect("encodec.autoencoder", "seanet")
        config.expect("encodec.quantizer", "rvq")
        config.expect("seanet.activation", "ELU")
        config.expect("seanet.disable_norm_outer_blocks", 0)
        config.expect("seanet.decoder.final_activation", None)
        norm = config["seanet.norm"]
        if norm not in ("weight_norm", "none", "time_group_norm"):
            raise ValueError(f"seanet.norm is 'weight_norm', 'none' or 'time_group_norm', not {short(norm)}")
        names = {
            "latent_width": "dimension", "filters": "n_filters", "residual_layers": "n_residual_layers",
            "kernel": "kernel_size", "last_kernel": "last_kernel_size", "residual_kernel": "residual_kernel_size",
            "dilation_growth": "dilation_base", "compress": "compress", "lstm_layers": "lstm", "pad_mode": "pad_mode",
        }  # fmt: skip
        return cls(
            network=SeanetSpec(
                **{ours: config[f"seanet.{theirs}"] for ours, theirs in names.items()},
                channels=config["encodec.channels"],
                ratios=_ratios(config["seanet.ratios"]),
                causal=config["encodec.causal"],
                conv_shortcut=config["seanet.true_skip"] is False,
                group_norm=norm == "time_group_norm",
                trim_right=config.get("seanet.decoder.trim_right_ratio", 1.0),
            ),
            sample_rate=config["encodec.sample_rate"],
            codebooks=config["rvq.n_q"],
            vocabulary=config["rvq.bins"],
            normalize=config.get("encodec.renormalize", False),
        )

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> EncodecSpec:
        """What the shapes of an original state dict tell, by its own names with weight norm folded.

        What they cannot tell is that of the two published files: with group norm 48 kHz in chunks of 1 s, with scales
        and without causality; else 24 kHz and causal.

        Raises:
            ValueError: they are not those of an EnCodec.
        """
        try:
            convs = _layers(shapes, r"encoder\.model\.(\d+)\.conv\.conv\.weight")
            ups = _layers(shapes, r"decoder\.model\.(\d+)\.convtr\.convtr\.weight")
            blocks = _layers(shapes, r"decoder\.model\.(\d+)\.block\.1\.conv\.conv\.weight")
            embeds = _layers(shapes, r"quantizer\.vq\.layers\.(\d+)\._codebook\.embed")
            group_norm = "encoder.model.0.conv.norm.weight" in shapes
            network = SeanetSpec(
                channels=convs[0][1],
                latent_width=convs[-1][0],
                filters=convs[0][0],
                ratios=tuple(shape[2] // 2 for shape in ups),
                residual_layers=len(blocks) // len(ups),
                kernel=convs[0][2],
                last_kernel=convs[-1][2],
                residual_kernel=blocks[0][2],
                compress=blocks[0][1] // blocks[0][0],
                lstm_layers=len(_layers(shapes, r"decoder\.model\.\d+\.lstm\.weight_hh_l(\d+)")),
                causal=not group_norm,
                conv_shortcut=any(".shortcut." in name for name in shapes),
                group_norm=group_norm,
            )
            vocabulary = embeds[0][0]
        except (ValueError, IndexError, ZeroDivisionError) as error:
            raise ValueError(f"these are not the weights of an EnCodec in its original layout ({error})") from None
        return cls(
            network=network,
            sample_rate=48000 if group_norm else 24000,
            codebooks=len(embeds),
            vocabulary=vocabulary,
            normalize=group_norm,
            chunk_samples=48000 if group_norm else None,
            stride_samples=47520 if group_norm else None,
        )


def _layers(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> list[tuple[int, ...]]:
    """The shapes whose names match, by the number in the name."""
    matches = [(re.fullmatch(pattern, name), shape) for name, shape in shapes.items()]
    return [shape for _, shape in sorted((int(match[1]), shape) for match, shape in matches if match)]


def _ratios(values: Any) -> tuple[int, ...]:
    return tuple(values) if isinstance(values, list) else values


def _bandwidths(values: Any) -> tuple[float, ...]:
    good = isinstance(values, (list, tuple)) and 0 < len(values) <= 64
    if not good or not all(type(value) in (int, float) and 0 < value < 1e6 for value in values):
        raise ValueError(f"target_bandwidths of EnCodec are positive numbers of kbit/s, not {short(values)}")
    return tuple(float(value) for value in values)


def _chunk(length_s: Any, overlap: Any, rate: int) -> tuple[int | None, int | None]:
    """Samples of a chunk and between two, rounded as published."""
    if length_s is None:
        return None, None
    if type(length_s) not in (int, float) or not 0 < length_s <= 3600:
        raise ValueError(f"chunk_length_s of EnCodec lies between 0 and 3600, not {short(length_s)}")
    if type(overlap) not in (int, float) or not 0 <= overlap < 1:
        raise ValueError(f"overlap of EnCodec with chunks lies from 0 to below 1, not {short(overlap)}")
    chunk = int(length_s * rate)
    return chunk, max(1, int((1.0 - overlap) * chunk))


class _Audiocraft:
    """Values of a YAML text by dotted name. Knows nested mappings, plain scalars, lists and `${dotted.name}`."""

    def __init__(self, text: str):
        self._values = _yaml_values(text)

    def __getitem__(self, name: str) -> Any:
        seen = [name]
        while True:
            if seen[-1] not in self._values:
                way = " by way of " + " and ".join(seen[:-1]) if len(seen) > 1 else ""
                raise ValueError(f"the checkpoint's xp.cfg lacks {seen[-1]!r}, which is needed{way}")
            value = self._values[seen[-1]]
            reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
            if reference is None:
                return value
            if reference[1] in seen:
                raise ValueError(f"the checkpoint's xp.cfg goes round in circles: {' -> '.join(seen)}")
            seen.append(reference[1])

    def get(self, name: str, default: Any) -> Any:
        return self[name] if name in self._values else default

    def expect(self, name: str, only: Any) -> None:
        value = self.get(name, only)
        if value != only:
            raise ValueError(f"{name} of the checkpoint's xp.cfg is {short(value)}; only {only!r} is supported")


def _yaml_values(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    above: list[tuple[int, str]] = []  # indentation and dotted name of the mappings that a line is in
    for line in text.splitlines():
        item = re.match(r"\s*- +(\S.*)", line)
        if item and above and isinstance(values.get(above[-1][1]) or [], list):
            values[above[-1][1]] = [*(values.get(above[-1][1]) or []), _scalar(item[1])]
            continue
        pair = re.match(r"( *)([\w.-]+):(?: +(.*))?$", line)
        if not pair:
            continue
        indent = len(pair[1])
        while above and above[-1][0] >= indent:
            above.pop()
        name = f"{above[-1][1]}.{pair[2]}" if above else pair[2]
        above.append((indent, name))
        values[name] = _scalar(pair[3] or "")
    return values


def _scalar(text: str) -> Any:
    text = text.strip()
    if text[:1] + text[-1:] in ("''", '""') and len(text) > 1:
        return text[1:-1]
    text = re.sub(r"\s+#.*", "", text)
    if text[:1] == "[" and text[-1:] == "]":
        return [_scalar(part) for part in text[1:-1].split(",") if part.strip()]
    words = {"": None, "~": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
