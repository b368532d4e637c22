"""Janus-Pro (arXiv 2501.17811): a language model that paints; in its authors' layout and in that of transformers.

Knows both layouts' configs and names, and how a prompt is put to it. Only what paints is read: not the part that looks
at pictures, and not the head that writes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.checks import short
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families.configs import describing, section
from clavilux.families.grid_family import (
    VQ_FLOATS,
    VQ_PARAMETERS,
    GridFamily,
    checked,
    facts_of,
    memory_bytes,
    placed,
    tensors_of,
)
from clavilux.families.model_card import model_name
from clavilux.families.musicgen.config import count
from clavilux.families.t5 import read_tokenizer
from clavilux.families.tensors import fingerprint
from clavilux.image.codecs import vq
from clavilux.image.codecs.vq import VQ
from clavilux.image_family import PictureGeneration, PictureRequest
from clavilux.sampling import SamplingSpec
from clavilux.spec import DecoderSpec
from clavilux.strict_weights import check

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SAMPLING = SamplingSpec(temperature=1.0, guidance=5.0)
LONGEST = 1024  # tokens of a prompt; the model was trained on far fewer
# As it was trained: the picture is what the assistant answers.
_ASKED = "<|User|>: {}\n\n<|Assistant|>:"
_BEGIN, _PICTURE, _PAD = "<｜begin▁of▁sentence｜>", "<begin_of_image>", "<｜▁pad▁｜>"
_COLUMNS, _PATCH = 24, 16  # of its authors' models
# What the libraries take where a config leaves something out; and more than any model has.
_LLAMA = {
    "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "max_position_embeddings": 2048,
}  # fmt: skip
_MOST = {"vocab_size": 1 << 20, "intermediate_size": 1 << 20, "num_hidden_layers": 1024, "num_attention_heads": 1024}
_FIXED = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "rope_scaling": None}
_LAYER_NAMES = {
    "attention.norm.weight": ("input_layernorm",),
    "attention.qkv.weight": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out.weight": ("self_attn.o_proj",),
    "ffn.norm.weight": ("post_attention_layernorm",),
    "ffn.up.weight": ("mlp.gate_proj", "mlp.up_proj"),
    "ffn.down.weight": ("mlp.down_proj",),
}


@dataclass(frozen=True)
class Layout:
    """What a layout calls the parts that paint.

    Attributes:
        llm, embed, aligner, head: prefixes of the language model's body, of the table of picture tokens, and of what
            takes these into and out of the body.
        steps: the aligner's linear layers, in order.
        outputs: the head's two.
        others: beginnings of names that are not read.
    """

    llm: str
    embed: str
    aligner: str
    head: str
    steps: tuple[str, ...]
    outputs: tuple[str, str]
    others: tuple[str, ...]


def _transformers(depth: int) -> Layout:
    steps = ("fc1", *(f"hidden_layers.{n}" for n in range(depth - 1)))
    return Layout(
        "model.language_model.", "model.generation_embeddings.weight", "model.generation_aligner.",
        "model.generation_head.", steps, ("proj_out", "vision_head"),
        ("model.vision_model.", "model.aligner.", "model.vqmodel.", "lm_head."),
    )  # fmt: skip


def _original(depth: int) -> Layout:
    return Layout(
        "language_model.model.", "gen_embed.weight", "gen_aligner.", "gen_head.",
        tuple(f"layers.{2 * n}" for n in range(depth)), ("output_mlp_projector", "vision_head"),
        ("vision_model.", "aligner.", "gen_vision_model.", "language_model.lm_head."),
    )  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """What a config says.

    Attributes:
        spec: of the decoder: a prompt, then a picture.
        layout: the names.
        text_vocabulary: ids of the language model's table.
        token_width: of a picture token, before the aligner.
        columns: tokens a side of a picture.
    """

    spec: DecoderSpec
    layout: Layout
    text_vocabulary: int
    token_width: int
    columns: int


class Janus(GridFamily):
    """A decoder that reads a prompt as a prefix, then picture tokens."""

    def __init__(
        self,
        decoder: Decoder,
        codec: VQ,
        columns: int,
        identity: dict[str, Any],
        text_table: Tensor,
        folder: Path,
    ) -> None:
        super().__init__("janus", decoder, codec, SAMPLING, columns * codec.downsampling, identity)
        self.sizes = f"its pictures have rows of {columns} tokens"
        self._text_table, self._folder = text_table, folder
        self._tokenizer: Tokenizer | None = None

    @torch.inference_mode()
    def generation(self, request: PictureRequest) -> PictureGeneration:
        """One picture. ValueError for a prompt that is too long."""
        prompt, padding = self._ids(request.prompt)
        return PictureGeneration(self, request, self.decoder, self._read(prompt), self._read(padding))

    def _ids(self, prompt: str) -> tuple[list[int], list[int]]:
        """A prompt's ids, and the same with padding between the first and the last."""
        if self._tokenizer is None:
            self._tokenizer = read_tokenizer(self._folder / "tokenizer.json")
        begin, picture, pad = (self._id(self._tokenizer, mark) for mark in (_BEGIN, _PICTURE, _PAD))
        ids = self._tokenizer.encode(_ASKED.format(prompt.strip()), add_special_tokens=False).ids
        if len(ids) + 2 > LONGEST:
            raise ValueError(f"the prompt has {len(ids)} tokens with what is said around it; {LONGEST - 2} can be read")
        return [begin, *ids, picture], [begin, *[pad] * len(ids), picture]

    def _id(self, tokenizer: Tokenizer, mark: str) -> int:
        found = tokenizer.token_to_id(mark)
        if found is None or found >= len(self._text_table):
            raise CheckpointError(f"the tokenizer in {str(self._folder)!r} lacks {mark}, which Janus needs")
        return found

    def _read(self, ids: list[int]) -> Conditioning:
        return Conditioning(prefix=self._text_table[torch.tensor(ids)][None].to(self.decoder.embed.weight))


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> Janus:
    """Read a folder of either layout.

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
        ValueError: as `clavilux.precision.prepare`.
    """
    sizes = describe(folder, config)
    spec, layout = sizes.spec, sizes.layout
    tensors = tensors_of(folder, lambda names: [name for name in names if not name.startswith(layout.others)])
    label = f"the checkpoint {str(folder)!r}"
    check(tensors, _shapes(sizes), label, [name for name in tensors if name.endswith(".rotary_emb.inv_freq")])
    codec = checked(vq.load, folder)
    if codec.vocabulary != spec.num_outputs:
        raise CheckpointError(f"{label} has a codec of {codec.vocabulary} tokens and paints {spec.num_outputs}")
    decoder = Decoder.from_weights(spec, _weights(sizes, tensors))
    identity = {"model": model_name(folder), "fingerprint": fingerprint(tensors)}
    identity |= placed(decoder, codec, device, dtype)
    return Janus(decoder, codec, sizes.columns, identity, tensors[f"{layout.llm}embed_tokens.weight"], folder)


def describe(folder: Path, config: Mapping[str, Any]) -> Sizes:
    """What the config says. CheckpointError for what it lacks or cannot be."""
    with describing(f"the config.json in {str(folder)!r}", "Janus"):
        return _from_transformers(config) if config.get("model_type") == "janus" else _from_original(config)


def memory_needed(folder: Path, config: Mapping[str, Any], size: int, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that painting takes at its peak, loading included; no weights are read. CheckpointError."""
    sizes = describe(folder, config)
    beside = VQ_PARAMETERS + sizes.text_vocabulary * sizes.spec.width
    return memory_bytes(sizes.spec, size, batch, dtype, blocks=2, beside=beside, floats=VQ_FLOATS)


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The controls that the model takes."""
    return {}


def usual_length(folder: Path, config: Mapping[str, Any]) -> int:
    """Pixels a side that the model was trained on. Raises CheckpointError."""
    columns = describe(folder, config).columns
    with describing(f"the config.json in {str(folder)!r}", "Janus"):
        multipliers = section(config, "vq_config", {}).get("channel_multiplier", [1] * 5)
        if not isinstance(multipliers, list) or not 1 <= len(multipliers) <= 16:
            raise ValueError(f"channel_multiplier is {short(multipliers)}; it should be a list of 1 to 16 numbers")
    return columns * (1 << (len(multipliers) - 1))


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Raises CheckpointError."""
    sizes, size = describe(folder, config), usual_length(folder, config)
    read = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
    beside = VQ_PARAMETERS + sizes.text_vocabulary * sizes.spec.width
    return facts_of(folder, "Janus", sizes.spec, size, sizes.columns**2, beside, read)


def _from_transformers(config: Mapping[str, Any]) -> Sizes:
    codec, vision = section(config, "vq_config"), section(config, "vision_config")
    if codec.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"its vq_config's hidden_act is {codec['hidden_act']!r}; it should be 'gelu'")
    tokens = count("num_image_tokens", vision.get("num_image_tokens", _COLUMNS**2), 1 << 16)
    if math.isqrt(tokens) ** 2 != tokens:
        raise ValueError(f"num_image_tokens is {tokens}; it should be the tokens of a square")
    depth = count("num_hidden_layers", codec.get("num_hidden_layers", 2), 64)
    wide = codec.get("projection_dim", 2048)
    vocabulary, width = codec.get("num_embeddings", 16384), codec.get("embed_dim", 8)
    return _sizes(section(config, "text_config"), _transformers(depth), vocabulary, width, wide, math.isqrt(tokens))


def _from_original(config: Mapping[str, Any]) -> Sizes:
    parts = [section(config, f"gen_{name}_config") for name in ("vision", "aligner", "head")]
    tokens, aligner, head = (section(part, "params") for part in parts)
    if aligner.get("projector_type", "mlp_gelu") != "mlp_gelu":
        raise ValueError(f"its projector_type is {aligner['projector_type']!r}; it should be 'mlp_gelu'")
    depth = count("depth", aligner.get("depth", 1), 64)
    vocabulary, width, wide = tokens["image_token_size"], tokens["n_embed"], head["image_token_embed"]
    return _sizes(section(config, "language_config"), _original(depth), vocabulary, width, wide, _COLUMNS)


def _sizes(
    llama: Mapping[str, Any], layout: Layout, vocabulary: Any, token_width: Any, wide: Any, columns: int
) -> Sizes:
    """Of a Llama's config and what is stated of the picture tokens, any values of which are checked here."""
    stated = {name: llama.get(name, value) for name, value in _LLAMA.items()}
    for name, most in _MOST.items():
        count(name, stated[name], most)
    for name, value in (("vocabulary", vocabulary), ("embed_dim", token_width), ("projection_dim", wide)):
        count(name, value, 1 << 20)
    heads = stated["num_attention_heads"]
    width = count("hidden_size", stated["hidden_size"], 1 << 16)
    for name, only in (_FIXED | {"num_key_value_heads": heads}).items():
        if llama.get(name, only) not in (only, None):
            raise ValueError(f"{name} is {llama[name]!r}; it should be {only!r}")
    turning = section({"rope_parameters": llama.get("rope_parameters") or {}}, "rope_parameters")
    if turning.get("rope_type", "default") != "default":
        raise ValueError(f"rope_type is {turning['rope_type']!r}; it should be 'default'")
    spec = DecoderSpec(
        width=width, layers=stated["num_hidden_layers"], heads=heads, head_dim=llama.get("head_dim") or width // heads,
        ffn_width=stated["intermediate_size"], vocabulary=vocabulary, norm="rms", eps=llama.get("rms_norm_eps", 1e-6),
        activation="swiglu", head_bias=True, head_width=wide, positions="rope",
        rope_theta=turning.get("rope_theta") or llama.get("rope_theta") or 10000.0,
        max_positions=LONGEST + columns**2,
    )  # fmt: skip
    return Sizes(spec, layout, stated["vocab_size"], token_width, columns)


def _shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """What the files should hold of what is read."""
    spec, layout = sizes.spec, sizes.layout
    width, inner, vocabulary = spec.width, spec.heads * spec.head_dim, spec.vocabulary
    assert spec.head_width is not None, "every config gives one"
    outputs: tuple[tuple[int, int], ...] = ((spec.head_width, width), (vocabulary, spec.head_width))
    found: dict[str, tuple[int, ...]] = {
        f"{layout.llm}embed_tokens.weight": (sizes.text_vocabulary, width),
        f"{layout.llm}norm.weight": (width,),
        layout.embed: (vocabulary, sizes.token_width),
    }
    for n, step in enumerate(layout.steps):
        found[f"{layout.aligner}{step}.weight"] = (width, width if n else sizes.token_width)
        found[f"{layout.aligner}{step}.bias"] = (width,)
    for output, shape in zip(layout.outputs, outputs, strict=True):
        found[f"{layout.head}{output}.weight"], found[f"{layout.head}{output}.bias"] = shape, shape[:1]
    layer = {
        "self_attn.q_proj": (inner, width), "self_attn.k_proj": (inner, width), "self_attn.v_proj": (inner, width),
        "self_attn.o_proj": (width, inner), "mlp.gate_proj": (spec.ffn_width, width),
        "mlp.up_proj": (spec.ffn_width, width), "mlp.down_proj": (width, spec.ffn_width),
        "input_layernorm": (width,), "post_attention_layernorm": (width,),
    }  # fmt: skip
    for n in range(spec.layers):
        found |= {f"{layout.llm}layers.{n}.{name}.weight": shape for name, shape in layer.items()}
    return found


def _weights(sizes: Sizes, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's tensors by our names; what a picture token becomes is worked out once, for all of them."""
    spec, layout = sizes.spec, sizes.layout
    up, out = (f"{layout.head}{name}" for name in layout.outputs)
    found = {
        "embed.weight": _aligned(layout, tensors),
        "norm.weight": tensors[f"{layout.llm}norm.weight"],
        "head_up.weight": tensors[f"{up}.weight"],
        "head_up.bias": tensors[f"{up}.bias"],
        "head.weight": tensors[f"{out}.weight"],
        "head.bias": tensors[f"{out}.bias"],
    }
    for n in range(spec.layers):
        for ours, theirs in _LAYER_NAMES.items():
            parts = [tensors[f"{layout.llm}layers.{n}.{name}.weight"] for name in theirs]
            found[f"layers.{n}.{ours}"] = parts[0] if len(parts) == 1 else torch.cat(parts)
    return found


def _aligned(layout: Layout, tensors: Mapping[str, Tensor]) -> Tensor:
    """The table of picture tokens as the body reads them, float32 [V, D]."""
    table = tensors[layout.embed].float()
    for n, step in enumerate(layout.steps):
        weight, bias = (tensors[f"{layout.aligner}{step}.{name}"].float() for name in ("weight", "bias"))
        table = F.linear(F.gelu(table) if n else table, weight, bias)
    return table
