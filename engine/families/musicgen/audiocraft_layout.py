"""MusicGen, MusicGen-melody and AudioGen (2306.05284, 2209.15352) as audiocraft saves them.

Knows that layout: `state_dict.bin`, whose settings are a YAML text inside it, and `compression_state_dict.bin`, which
holds a codec or names one. What is done with a loaded model is in `family`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from clavilux.audio.codecs import encodec
from clavilux.checkpoint_io import read_torch
from clavilux.errors import CheckpointError
from clavilux.families import int8
from clavilux.families.configs import describing
from clavilux.families.model_card import model_name
from clavilux.families.musicgen import family
from clavilux.families.musicgen.config import Melody, MusicGenConfig
from clavilux.families.musicgen.family import Conditioner, MusicGen
from clavilux.families.musicgen.transformers_layout import (
    SAMPLING,
    STRIDE_S,
    WINDOW_S,
    assembled,
    facts_of,
    fitting,
    linear_of,
)
from clavilux.families.t5 import from_name
from clavilux.families.tensors import NameMap, Rows, Weight, decoder_of, fingerprint, mapped
from clavilux.precision import text_dtype
from clavilux.strict_weights import Shapes, check

_TEXT = "condition_provider.conditioners.description.output_proj"
_MELODY = "condition_provider.conditioners.self_wav.output_proj"
# The window of a spectrogram, which is computed here.
NOT_READ = ("condition_provider.conditioners.self_wav.chroma.spec.window",)
# Width and number of weights of the encoders that audiocraft knows by name.
_T5 = {
    "small": (512, 35_000_000), "base": (768, 110_000_000), "large": (1024, 335_000_000),
    "3b": (1024, 1_240_000_000), "11b": (1024, 4_760_000_000),
}  # fmt: skip
_HOPS = {32000: 640, 16000: 320}  # of the released codecs
_AUDIOGEN_STRIDE = 0.2  # of its window of 10 s; MusicGen's is 0.6 of 30 s
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
# What the settings must be, where they are stated, for this decoder to be the same.
_REQUIRED = {
    "lm_model": "transformer_lm",
    "transformer_lm.activation": "gelu",
    "transformer_lm.norm": "layer_norm",
    "transformer_lm.norm_first": True,
    "transformer_lm.bias_ff": False,
    "transformer_lm.bias_attn": False,
    "transformer_lm.bias_proj": False,
    "transformer_lm.causal": True,
    "transformer_lm.past_context": None,
    "transformer_lm.layer_scale": None,
    "transformer_lm.positional_embedding": "sin",
    "transformer_lm.qk_layer_norm": False,
    "transformer_lm.qk_layer_norm_cross": False,
    "transformer_lm.kv_repeat": 1,
    "fuser.cross_attention_pos_emb": False,
    "conditioners.description.model": "t5",
    "conditioners.description.t5.normalize_text": False,
    "interleave_stereo_codebooks.per_timestep": False,
}
_MISSING = object()


class Settings:
    """The settings of a training run: nested, read by dotted names, `${other.name}` followed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, name: str, default: Any = _MISSING) -> Any:
        """A setting. Raises ValueError where it is not stated and there is no default."""
        seen = [name]
        while True:
            value = self._at(seen[-1])
            reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
            if reference is None:
                break
            if reference[1] in seen:
                raise ValueError(f"{' -> '.join([*seen, reference[1]])} goes round in circles")
            seen.append(reference[1])
        if value is not _MISSING and value != "???":
            return value
        if default is _MISSING:
            raise ValueError(f"{name} is not stated")
        return default

    def _at(self, name: str) -> Any:
        value: Any = self._values
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return _MISSING
            value = value[part]
        return value


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> MusicGen:
    """Read a folder of audiocraft's two files; `config` is not used.

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
        ValueError: as `clavilux.precision.prepare`.
    """
    settings, tensors = read(folder)
    label = f"the checkpoint {str(folder / 'state_dict.bin')!r}"
    mono = _codec(folder)
    sizes = describe(folder, settings, _text_width(tensors), mono.hop)
    check(tensors, shapes(sizes), label, NOT_READ)
    decoder = decoder_of(sizes.spec, mapped(tensors, names(sizes)))
    conditioner = Conditioner(
        linear_of(tensors, _TEXT, label), linear_of(tensors, _MELODY, label) if sizes.melody is not None else None
    )
    name = settings.get("conditioners.description.t5.name")
    text = from_name(name, folder, sizes.text_width, device, text_dtype(device, dtype))
    codec = fitting(mono, sizes, label)
    identity = {"model": model_name(folder), "fingerprint": fingerprint(tensors)}
    del tensors  # so that what was stacked, or will be packed, is there once
    return assembled("audiocraft", sizes, decoder, conditioner, text, codec, identity, device, dtype)


def describe(folder: Path, settings: Settings, text_width: int | None = None, hop: int | None = None) -> MusicGenConfig:
    """What the settings say. CheckpointError for what they lack or cannot be.

    Args:
        folder: for the error.
        settings: of the decoder's file.
        text_width: of the text encoder; None: as its name says.
        hop: samples a frame of the codec; None: that of the released codec of this sample rate.
    """
    with describing(f"the settings in {str(folder / 'state_dict.bin')!r}", "decoder of audiocraft's that is known"):
        return _blueprint(settings, text_width, hop)


def sizes_of(folder: Path, tensors: Mapping[str, Weight]) -> tuple[int | None, int]:
    """What `describe` takes beside the settings: the width of the text encoder and the hop of the codec."""
    return _text_width(tensors), _codec(folder).hop


def _text_width(tensors: Mapping[str, Weight]) -> int | None:
    projection = tensors.get(f"{_TEXT}.weight")
    return None if projection is None else projection.shape[1]


def memory_needed(folder: Path, config: Mapping[str, Any], seconds: float, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that a render takes at its peak, loading included. Raises CheckpointError."""
    return described(folder).memory_bytes(seconds, batch, dtype)


def described(folder: Path) -> MusicGenConfig:
    """What a folder's settings say; its tensors are not read. Raises CheckpointError."""
    return describe(folder, _read(folder, mmap=True)[0])


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The controls that the model takes. CheckpointError."""
    return family.accepts_of(described(folder))


def check_controls(folder: Path, config: Mapping[str, Any], prompt: str, controls: dict[str, Any]) -> None:
    """Refuse controls out of range. ValueError; CheckpointError as `describe`."""
    family.check_controls(described(folder), controls)


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Raises CheckpointError."""
    settings, _ = read(folder)
    return facts_of(folder, _family(settings), describe(folder, settings), None)


def names(sizes: MusicGenConfig) -> NameMap:
    """Our names of the decoder's tensors -> the file's."""
    d = sizes.width
    ours = {
        "embed.weight": tuple(Rows(f"emb.{k}.weight") for k in range(sizes.codebooks)),
        "head.weight": tuple(Rows(f"linears.{k}.weight") for k in range(sizes.codebooks)),
        "norm.weight": (Rows("out_norm.weight"),),
        "norm.bias": (Rows("out_norm.bias"),),
    }
    for n in range(sizes.layers):
        here, there = f"layers.{n}", f"transformer.layers.{n}"
        norms = {"attention": "norm1", "ffn": "norm2"}
        ours[f"{here}.attention.qkv.weight"] = (Rows(f"{there}.self_attn.in_proj_weight"),)
        ours[f"{here}.attention.out.weight"] = (Rows(f"{there}.self_attn.out_proj.weight"),)
        if sizes.melody is None:
            norms["cross"] = "norm_cross"
            fused = f"{there}.cross_attention.in_proj_weight"  # queries, keys, values: [3 D, D]
            ours[f"{here}.cross.q.weight"] = (Rows(fused, 0, d),)
            ours[f"{here}.cross.kv.weight"] = (Rows(fused, d),)
            ours[f"{here}.cross.out.weight"] = (Rows(f"{there}.cross_attention.out_proj.weight"),)
        ours[f"{here}.ffn.up.weight"] = (Rows(f"{there}.linear1.weight"),)
        ours[f"{here}.ffn.down.weight"] = (Rows(f"{there}.linear2.weight"),)
        for part, norm in norms.items():
            for word in ("weight", "bias"):
                ours[f"{here}.{part}.norm.{word}"] = (Rows(f"{there}.{norm}.{word}"),)
    return ours


def shapes(sizes: MusicGenConfig) -> Shapes:
    """What the decoder's file should hold."""
    d, wide, vocabulary = sizes.width, sizes.ffn_width, sizes.vocabulary
    kinds = {
        "emb": (vocabulary + 1, d), "linears": (vocabulary, d), "in_proj_weight": (3 * d, d), "out_proj": (d, d),
        "linear1": (wide, d), "linear2": (d, wide),
        "norm1": (d,), "norm2": (d,), "norm_cross": (d,), "out_norm": (d,),
    }  # fmt: skip
    found = {
        part.name: next(kinds[word] for word in reversed(part.name.split(".")) if word in kinds)
        for parts in names(sizes).values()
        for part in parts
    }
    found |= {f"{_TEXT}.weight": (d, sizes.text_width), f"{_TEXT}.bias": (d,)}
    if sizes.melody is not None:
        found |= {f"{_MELODY}.weight": (d, sizes.melody.num_chroma), f"{_MELODY}.bias": (d,)}
    return found


def read(folder: Path) -> tuple[Settings, dict[str, Weight]]:
    """The settings and the tensors of the decoder's file."""
    return _read(folder)


def _read(folder: Path, mmap: bool = False) -> tuple[Settings, dict[str, Weight]]:
    path = folder / "state_dict.bin"
    content = read_torch(path, mmap=mmap)
    for part, kind in (("best_state", Mapping), ("xp.cfg", str)):
        if not isinstance(content.get(part), kind):
            raise CheckpointError(f"{str(path)!r} holds no {part!r}; a decoder that audiocraft exported has one")
    return _settings(path, content["xp.cfg"]), _tensors(path, content["best_state"])


def _settings(path: Path, text: str) -> Settings:
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"the settings in {str(path)!r} are no YAML: {first}") from None
    if not isinstance(values, Mapping):
        raise CheckpointError(f"the settings in {str(path)!r} are no mapping")
    return Settings(values)


def _tensors(path: Path, state: Mapping[str, Any]) -> dict[str, Weight]:
    others = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
    if others:
        raise CheckpointError(f"{str(path)!r} should hold tensors, but {', '.join(others[:5])} is something else")
    return int8.merge_scales(state, f"the checkpoint {str(path)!r}")


def _codec(folder: Path) -> encodec.Encodec:
    """The codec of `compression_state_dict.bin`, or the one that it names: in the folder, else from the hub."""
    path = folder / "compression_state_dict.bin"
    try:
        name = encodec.pretrained_name(path)
        return encodec.load(path if name is None else _named(name, folder))
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _named(name: str, folder: Path) -> Path:
    name = name.removeprefix("//pretrained/")
    for local in (folder / name, folder / Path(name).name):
        if local.is_dir() and local.resolve().is_relative_to(folder.resolve()):
            return local
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the hub's client raises its own, its HTTP library's and the system's errors
        raise CheckpointError(
            f"the codec {name!r} is neither a folder in {str(folder)!r} nor could the hub be asked for it "
            f"({type(error).__name__}); check the network"
        ) from None


def _family(settings: Settings) -> str:
    return "AudioGen" if str(settings.get("solver", "")).startswith("audiogen") else "MusicGen"


def _blueprint(settings: Settings, text_width: int | None, hop: int | None) -> MusicGenConfig:
    for name, value in _REQUIRED.items():
        if settings.get(name, value) != value:
            raise ValueError(f"{name} is {settings.get(name)!r}; it should be {value!r}")
    codebooks = settings.get("transformer_lm.n_q")
    channels = 2 if settings.get("interleave_stereo_codebooks.use", False) else 1
    melody = _melody(settings)
    sample_rate = settings.get("sample_rate")
    text = settings.get("conditioners.description.t5.name")
    width, parameters = _T5.get(text.rpartition("-")[2], (768, 110_000_000))
    segment_s = float(settings.get("dataset.segment_duration", WINDOW_S))
    hop = hop or _HOPS.get(sample_rate)
    if hop is None:
        raise ValueError(f"sample_rate is {sample_rate!r}; codecs of 16000 and 32000 Hz are known")
    context_frames = round(segment_s * sample_rate / hop)
    part = _AUDIOGEN_STRIDE if _family(settings) == "AudioGen" else STRIDE_S / WINDOW_S
    d = settings.get("transformer_lm.dim")
    return MusicGenConfig(
        width=d,
        layers=settings.get("transformer_lm.num_layers"),
        heads=settings.get("transformer_lm.num_heads"),
        ffn_width=int(settings.get("transformer_lm.hidden_scale", 4) * d),
        vocabulary=settings.get("transformer_lm.card"),
        codebooks=codebooks,
        channels=channels,
        delays=_delays(settings, codebooks),
        text_width=width if text_width is None else text_width,
        text_parameters=parameters,
        text_projected=True,
        melody=melody,
        sample_rate=sample_rate,
        hop=hop,
        context_frames=context_frames,
        stride_frames=max(1, round(context_frames * part)),
        sampling=SAMPLING,
    )


def _melody(settings: Settings) -> Melody | None:
    """The melody's shape, where the conditions stand before the tokens."""
    before, across = settings.get("fuser.prepend", []), settings.get("fuser.cross", [])
    if (before, across) == ([], ["description"]):
        return None
    if sorted(before) != ["description", "self_wav"] or across:
        raise ValueError(f"the fuser puts {before} before the tokens and attends to {across}; that is not known")
    kind = settings.get("conditioners.self_wav.model")
    if kind != "chroma_stem":
        raise ValueError(f"conditioners.self_wav.model is {kind!r}; chroma_stem is known")
    if settings.get("conditioners.self_wav.chroma_stem.radix2_exp", 14) != 14:
        raise ValueError("conditioners.self_wav.chroma_stem.radix2_exp should be 14")
    samples = float(settings.get("dataset.segment_duration", WINDOW_S)) * settings.get("sample_rate")
    return Melody(settings.get("conditioners.self_wav.chroma_stem.n_chroma", 12), 1 + int(samples) // 4096)


def _delays(settings: Settings, codebooks: int) -> tuple[int, ...]:
    pattern = settings.get("codebooks_pattern.modeling")
    if pattern == "parallel":
        return (0,) * codebooks
    if pattern != "delay":
        raise ValueError(f"codebooks_pattern.modeling is {pattern!r}; delay and parallel are known")
    for name in ("flatten_first", "empty_initial"):
        if settings.get(f"codebooks_pattern.delay.{name}", 0) != 0:
            raise ValueError(f"codebooks_pattern.delay.{name} should be 0")
    return tuple(settings.get("codebooks_pattern.delay.delays", None) or range(codebooks))
