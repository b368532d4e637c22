"""MusicGen and MusicGen-melody (2306.05284) as the transformers library saves them.

Knows that layout: `config.json`, `generation_config.json`, and the names of its tensors. What is done with a loaded
model is in `family`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clavilux.audio.codecs import encodec
from clavilux.audio.codecs.encodec import Encodec, StereoEncodec
from clavilux.checkpoint_io import read_json
from clavilux.checks import short
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families import int8
from clavilux.families.configs import describing, section
from clavilux.families.model_card import licence, model_name, size_bytes
from clavilux.families.musicgen import family
from clavilux.families.musicgen.config import Melody, MusicGenConfig, count, delays_of, t5_parameters
from clavilux.families.musicgen.family import Conditioner, MusicGen
from clavilux.families.t5 import TextEncoder, from_tensors, installed
from clavilux.families.tensors import (
    NameMap,
    Rows,
    W,
    Weight,
    count_elements,
    decoder_of,
    fingerprint,
    mapped,
    not_rounded,
    read_folder,
    under,
)
from clavilux.precision import place_codec, prepare, text_dtype
from clavilux.sampling import SamplingSpec
from clavilux.strict_weights import Shapes, check

WINDOW_S, STRIDE_S = 30.0, 18.0
SAMPLING = SamplingSpec(temperature=1.0, top_k=250, guidance=3.0)
# Sines that older versions saved, and that are computed here.
NOT_READ = ("decoder.model.decoder.embed_positions.weights",)
_BODY = "decoder.model.decoder."
_BESIDE = ("text_encoder.", "audio_encoder.")
# What the library takes where a config leaves something out.
_DEFAULTS: dict[str, Any] = {
    "vocab_size": 2048,
    "max_position_embeddings": 2048,
    "num_hidden_layers": 24,
    "ffn_dim": 4096,
    "num_attention_heads": 16,
    "hidden_size": 1024,
    "num_codebooks": 4,
    "audio_channels": 1,
    "activation_function": "gelu",
    "tie_word_embeddings": False,
}
# Larger than any model there is; above these a number is a mistake, found before it is waited for.
_MOST = {
    "vocab_size": 1 << 20,
    "max_position_embeddings": 1 << 20,
    "num_hidden_layers": 1024,
    "ffn_dim": 1 << 20,
    "num_attention_heads": 1024,
    "hidden_size": 1 << 16,
    "num_codebooks": 128,
}


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> MusicGen:
    """Read a folder that `save_pretrained` wrote.

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
        ValueError: as `clavilux.precision.prepare`.
    """
    sizes = describe(folder, config)
    tensors = read_folder(folder)
    label = f"the checkpoint {str(folder)!r}"
    body = body_of(tensors)
    check(body, shapes(sizes), label, NOT_READ)
    decoder = decoder_of(sizes.spec, mapped(body, names(sizes)))
    conditioner = Conditioner(
        linear_of(body, "enc_to_dec_proj", label) if sizes.text_projected else None,
        linear_of(body, "audio_enc_to_dec_proj", label) if "audio_enc_to_dec_proj.weight" in body else None,
    )
    of_text = not_rounded(under(tensors, "text_encoder."), label)
    text = from_tensors(config["text_encoder"], of_text, folder, device, text_dtype(device, dtype))
    if installed():
        text.prepare()
    codec = read_codec(config["audio_encoder"], not_rounded(under(tensors, "audio_encoder."), label), sizes, label)
    identity = {"model": model_name(folder), "fingerprint": fingerprint(body)}
    del tensors, body  # so that what was stacked, or will be packed, is there once
    return assembled("musicgen", sizes, decoder, conditioner, text, codec, identity, device, dtype)


def body_of(tensors: Mapping[str, W]) -> dict[str, W]:
    """All but the text encoder and the codec."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_BESIDE)}


def describe(folder: Path, config: Mapping[str, Any]) -> MusicGenConfig:
    """What a folder's configs say. CheckpointError for what they lack or cannot be."""
    with describing(f"the config.json in {str(folder)!r}", "MusicGen"):
        return _blueprint(config, _generation_config(folder))


def memory_needed(folder: Path, config: Mapping[str, Any], seconds: float, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that a render takes at its peak, loading included; no weights are read. CheckpointError."""
    rounded = bool(int8.facts_of(folder / "model.safetensors"))
    return describe(folder, config).memory_bytes(seconds, batch, dtype, rounded=rounded)


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The controls that the model takes. CheckpointError."""
    return family.accepts_of(describe(folder, config))


def check_controls(folder: Path, config: Mapping[str, Any], prompt: str, controls: dict[str, Any]) -> None:
    """Refuse controls out of range. ValueError; CheckpointError as `describe`."""
    family.check_controls(describe(folder, config), controls)


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Weights are not read, their heads are. Raises CheckpointError."""
    sizes = describe(folder, config)
    elements = count_elements(folder)
    beside = None
    if elements is not None:
        beside = sum(n for name, n in elements.items() if name.startswith(_BESIDE))
    return facts_of(folder, "MusicGen", sizes, beside) | int8.facts_of(folder / "model.safetensors")


def facts_of(folder: Path, family: str, sizes: MusicGenConfig, beside: int | None) -> dict[str, Any]:
    """The same for sizes; `beside`: parameters of the text encoder and the codec, where they are known."""
    kind = [*(["melody"] if sizes.melody else []), "stereo" if sizes.channels == 2 else "mono"]
    return {
        "kind": "checkpoint",
        "family": f"{family} ({', '.join(kind)})",
        "parameters": sizes.decoder_parameters,
        "parameters_beside": sizes.text_parameters if beside is None else beside,
        "size_bytes": size_bytes(folder),
        "licence": licence(folder),
        "sample_rate": sizes.sample_rate,
        "channels": sizes.channels,
        "frame_rate": sizes.frame_rate,
        "codebooks": sizes.codebooks,
        "vocabulary": sizes.vocabulary,
        "layers": sizes.layers,
        "width": sizes.width,
        "window_s": round(sizes.context_frames / sizes.frame_rate, 3),
    }


def names(sizes: MusicGenConfig) -> NameMap:
    """Our names of the decoder's tensors -> the file's."""

    def whole(*parts: str) -> tuple[Rows, ...]:
        return tuple(Rows(part) for part in parts)

    codebooks = range(sizes.codebooks)
    ours = {
        "embed.weight": whole(*(f"{_BODY}embed_tokens.{k}.weight" for k in codebooks)),
        "head.weight": whole(*(f"decoder.lm_heads.{k}.weight" for k in codebooks)),
        "norm.weight": whole(f"{_BODY}layer_norm.weight"),
        "norm.bias": whole(f"{_BODY}layer_norm.bias"),
    }
    for n in range(sizes.layers):
        here, there = f"layers.{n}", f"{_BODY}layers.{n}"
        attention, cross = f"{there}.self_attn", f"{there}.encoder_attn"
        norms = {"attention": "self_attn_layer_norm", "ffn": "final_layer_norm"}
        ours[f"{here}.attention.qkv.weight"] = whole(*(f"{attention}.{part}_proj.weight" for part in "qkv"))
        ours[f"{here}.attention.out.weight"] = whole(f"{attention}.out_proj.weight")
        if sizes.melody is None:
            norms["cross"] = "encoder_attn_layer_norm"
            ours[f"{here}.cross.q.weight"] = whole(f"{cross}.q_proj.weight")
            ours[f"{here}.cross.kv.weight"] = whole(f"{cross}.k_proj.weight", f"{cross}.v_proj.weight")
            ours[f"{here}.cross.out.weight"] = whole(f"{cross}.out_proj.weight")
        ours[f"{here}.ffn.up.weight"] = whole(f"{there}.fc1.weight")
        ours[f"{here}.ffn.down.weight"] = whole(f"{there}.fc2.weight")
        for part, norm in norms.items():
            for word in ("weight", "bias"):
                ours[f"{here}.{part}.norm.{word}"] = whole(f"{there}.{norm}.{word}")
    return ours


def shapes(sizes: MusicGenConfig) -> Shapes:
    """What the file should hold beside the text encoder and the codec."""
    d, wide, vocabulary = sizes.width, sizes.ffn_width, sizes.vocabulary
    found: dict[str, tuple[int, ...]] = {}
    for parts in names(sizes).values():
        for name in (part.name for part in parts):
            if "embed_tokens" in name:
                found[name] = (vocabulary + 1, d)
            elif "lm_heads" in name:
                found[name] = (vocabulary, d)
            elif "norm" in name:
                found[name] = (d,)
            else:
                found[name] = {"fc1": (wide, d), "fc2": (d, wide)}.get(name.split(".")[-2], (d, d))
    if sizes.text_projected:
        found |= {"enc_to_dec_proj.weight": (d, sizes.text_width), "enc_to_dec_proj.bias": (d,)}
    if sizes.melody is not None and sizes.melody.num_chroma != d:
        found |= {
            "audio_enc_to_dec_proj.weight": (d, sizes.melody.num_chroma),
            "audio_enc_to_dec_proj.bias": (d,),
        }
    return found


def assembled(
    name: str,
    sizes: MusicGenConfig,
    decoder: Decoder,
    conditioner: Conditioner,
    text: TextEncoder,
    codec: Encodec | StereoEncodec,
    identity: dict[str, Any],
    device: torch.device,
    dtype: str,
) -> MusicGen:
    """Everything on its device: the decoder in its dtype, the conditioner in float32, the codec by `place_codec`."""
    conditioner.eval().requires_grad_(False).to(device=device, dtype=torch.float32)
    place_codec(codec, device, dtype)
    identity = identity | prepare(decoder, decoder, device, dtype)
    return MusicGen(name, sizes, decoder, conditioner, text, codec, identity)


def read_codec(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], sizes: MusicGenConfig, label: str
) -> Encodec | StereoEncodec:
    """The codec inside a checkpoint, checked against the decoder. Raises CheckpointError."""
    if config.get("model_type") != "encodec":
        raise CheckpointError(f"{label} has the codec {config.get('model_type')!r}; encodec is known")
    try:
        return fitting(encodec.from_config(config, tensors, f"the codec of {label}"), sizes, label)
    except ValueError as error:
        message = str(error)
        raise CheckpointError(message if label in message else f"the codec of {label}: {message}") from None


def fitting(mono: Encodec, sizes: MusicGenConfig, label: str) -> Encodec | StereoEncodec:
    """The codec, for one channel or for two, as the decoder's tokens need it. Raises CheckpointError."""
    if mono.scaled or mono.spec.chunk_samples is not None:
        raise CheckpointError(f"{label} has a codec that works in chunks or with scales; its tokens say neither")
    codec = StereoEncodec(mono) if sizes.channels == 2 else mono
    has = (codec.codebooks, codec.vocabulary, codec.channels, codec.sample_rate, codec.hop)
    needs = (
        sizes.codebooks, sizes.vocabulary, sizes.channels, sizes.sample_rate, sizes.hop,
    )  # fmt: skip
    if has[0] < needs[0] or has[1:] != needs[1:]:
        text = "{} codebooks of {} ids, {} channels, {} Hz and {} samples a frame"
        raise CheckpointError(f"{label} has a codec of {text.format(*has)}; its decoder needs {text.format(*needs)}")
    return codec


def linear_of(tensors: Mapping[str, Weight], name: str, label: str) -> nn.Linear:
    """A linear layer that holds `name.weight` and `name.bias`. Raises CheckpointError if they are rounded."""
    plain = not_rounded(under(tensors, f"{name}."), label)
    weight = plain["weight"]
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.load_state_dict({"weight": weight, "bias": plain["bias"]}, assign=True)
    return linear


def _blueprint(config: Mapping[str, Any], generation: Mapping[str, Any]) -> MusicGenConfig:
    text, codec = section(config, "text_encoder"), section(config, "audio_encoder")
    decoder = _DEFAULTS | section(config, "decoder")
    for name, most in _MOST.items():
        count(name, decoder[name], most)
    rate = count("sampling_rate", codec["sampling_rate"], 384_000)
    ratios = codec.get("upsampling_ratios", [8, 5, 4, 2])
    if not isinstance(ratios, list):
        raise ValueError(f"upsampling_ratios is {short(ratios)}; it should be a list")
    hop = math.prod(count("an upsampling ratio", ratio, 1024) for ratio in ratios)
    if decoder["activation_function"] != "gelu":
        raise ValueError(f"activation_function is {decoder['activation_function']!r}; it should be 'gelu'")
    if decoder["tie_word_embeddings"]:
        raise ValueError("tie_word_embeddings is true; the heads should be their own")
    if text.get("model_type", "t5") != "t5":
        raise ValueError(f"the text encoder is {text['model_type']!r}; t5 is known")
    if decoder.get("cross_attention_hidden_size") is not None:
        raise ValueError(f"cross_attention_hidden_size is {decoder['cross_attention_hidden_size']}; it should be null")
    special = decoder.get("pad_token_id", decoder["vocab_size"])
    if special not in (None, decoder["vocab_size"]):
        raise ValueError(f"pad_token_id is {special!r}; it should be {decoder['vocab_size']}, beyond the codec's ids")
    melody = None
    if config["model_type"] == "musicgen_melody":
        melody = Melody(config.get("num_chroma", 12), config.get("chroma_length", 235))
    context_frames = min(round(WINDOW_S * rate / hop), decoder["max_position_embeddings"])
    channels = count("audio_channels", decoder["audio_channels"], 2)
    return MusicGenConfig(
        width=decoder["hidden_size"],
        layers=decoder["num_hidden_layers"],
        heads=decoder["num_attention_heads"],
        ffn_width=decoder["ffn_dim"],
        vocabulary=decoder["vocab_size"],
        codebooks=decoder["num_codebooks"],
        channels=channels,
        delays=delays_of(decoder["num_codebooks"], channels),
        text_width=text["d_model"],
        text_parameters=t5_parameters(text),
        text_projected=text["d_model"] != decoder["hidden_size"],
        melody=melody,
        sample_rate=rate,
        hop=hop,
        context_frames=context_frames,
        stride_frames=max(1, round(context_frames * STRIDE_S / WINDOW_S)),
        sampling=_sampling(generation),
    )


def _sampling(generation: Mapping[str, Any]) -> SamplingSpec:
    """The usual settings, but for what a generation_config.json states."""

    def stated(ours: str, theirs: str) -> Any:
        value = generation.get(theirs)
        return getattr(SAMPLING, ours) if value is None else value

    return SamplingSpec(
        temperature=0.0 if generation.get("do_sample") is False else stated("temperature", "temperature"),
        top_k=_whole(stated("top_k", "top_k")),
        top_p=stated("top_p", "top_p"),
        guidance=float(stated("guidance", "guidance_scale")),
    )


def _whole(value: Any) -> Any:
    """50.0 as 50, which some tools write; what is not whole stays, to be refused."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _generation_config(folder: Path) -> dict[str, Any]:
    path = folder / "generation_config.json"
    return read_json(path) if path.exists() else {}
