"""ImageGPT (Chen et al., ICML 2020) as the transformers library saves it: pixels of 512 colours, unconditional.

Knows that layout: `config.json`, the names of its tensors, and that its matrices are stored the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families.configs import describing
from clavilux.families.grid_family import GridFamily, checked, facts_of, memory_bytes, placed, tensors_of
from clavilux.families.model_card import model_name
from clavilux.families.musicgen.config import count
from clavilux.families.tensors import fingerprint
from clavilux.image.codecs import clusters
from clavilux.image_family import PictureGeneration, PictureRequest
from clavilux.sampling import SamplingSpec
from clavilux.skeleton import skeletons
from clavilux.spec import DecoderSpec
from clavilux.strict_weights import check

SAMPLING = SamplingSpec(temperature=1.0)
# What the library takes where a config leaves something out; and more than any model has.
_DEFAULTS = {"vocab_size": 513, "n_positions": 1024, "n_embd": 512, "n_layer": 24, "n_head": 8}
_MOST = {"vocab_size": 1 << 16, "n_positions": 1 << 16, "n_embd": 1 << 16, "n_layer": 1024, "n_head": 1024}
_FLOATS = 40  # a pixel that decoding keeps
# Causal masks, which older versions saved as if they were weights.
_MASKS = ("attn.bias", "attn.masked_bias")
_NAMES = {
    "attention.norm.weight": "ln_1.weight",
    "attention.qkv.weight": "attn.c_attn.weight",
    "attention.qkv.bias": "attn.c_attn.bias",
    "attention.out.weight": "attn.c_proj.weight",
    "attention.out.bias": "attn.c_proj.bias",
    "ffn.norm.weight": "ln_2.weight",
    "ffn.up.weight": "mlp.c_fc.weight",
    "ffn.up.bias": "mlp.c_fc.bias",
    "ffn.down.weight": "mlp.c_proj.weight",
    "ffn.down.bias": "mlp.c_proj.bias",
}


class ImageGPT(GridFamily):
    """Unconditional: a decoder of the pixels alone."""

    sizes: str | None = "its positions are learned for that size"

    def generation(self, request: PictureRequest) -> PictureGeneration:
        """One picture. ValueError for a prompt."""
        if request.prompt.strip():
            raise ValueError(
                f"the prompt is {request.prompt[:60]!r}; {self.identity['model']} was trained without words, so leave "
                "it out (continue_from gives it a picture to carry on)"
            )
        start = torch.full((1, 1, 1), self.decoder.spec.vocabulary - 1)
        return PictureGeneration(self, request, self.decoder, Conditioning(), None, start)


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> ImageGPT:
    """Read a folder that `save_pretrained` wrote.

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
        ValueError: as `clavilux.precision.prepare`.
    """
    spec = describe(folder, config)
    tensors = tensors_of(folder)
    label = f"the checkpoint {str(folder)!r}"
    names = _names(spec)
    check(tensors, _shapes(spec, names), label, [name for name in tensors if name.endswith(_MASKS)])
    weights = {ours: _turned(ours, tensors[theirs]) for ours, theirs in names.items()}
    codec = checked(clusters.load, folder)
    if codec.vocabulary != spec.num_outputs:
        raise CheckpointError(f"{label} has {codec.vocabulary} colours; its decoder paints {spec.num_outputs}")
    decoder = Decoder.from_weights(spec, weights)
    identity = {
        "model": model_name(folder),
        "fingerprint": fingerprint({name: tensors[name] for name in names.values()}),
    }
    identity |= placed(decoder, codec, device, dtype)
    return ImageGPT("imagegpt", decoder, codec, SAMPLING, math.isqrt(spec.max_positions), identity)


def describe(folder: Path, config: Mapping[str, Any]) -> DecoderSpec:
    """What the config says. CheckpointError for what it lacks or cannot be."""
    sizes = {name: config.get(name, value) for name, value in _DEFAULTS.items()}
    with describing(f"the config.json in {str(folder)!r}", "ImageGPT"):
        for name, most in _MOST.items():
            count(name, sizes[name], most)
        width, heads, positions = sizes["n_embd"], sizes["n_head"], sizes["n_positions"]
        if width % heads:
            raise ValueError(f"n_embd is {width}; it should be a multiple of n_head, {heads}")
        if math.isqrt(positions) ** 2 != positions:
            raise ValueError(f"n_positions is {positions}; it should be the pixels of a square")
        fixed = {
            "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False,
            "tie_word_embeddings": False,
        }  # fmt: skip
        for name, only in fixed.items():
            if config.get(name, only) is not only:
                raise ValueError(f"{name} is {config[name]!r}; it should be {only}")
        return DecoderSpec(
            width=width, layers=sizes["n_layer"], heads=heads, head_dim=width // heads,
            ffn_width=count("n_inner", config.get("n_inner") or 4 * width, 1 << 20),
            vocabulary=sizes["vocab_size"], output_vocabulary=sizes["vocab_size"] - 1, max_positions=positions,
            norm="rms", eps=config.get("layer_norm_epsilon", 1e-5),
            activation=config.get("activation_function", "quick_gelu"), attention_bias=True, ffn_bias=True,
            positions="learned",
        )  # fmt: skip


def memory_needed(folder: Path, config: Mapping[str, Any], size: int, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that painting takes at its peak, loading included; no weights are read. CheckpointError."""
    return memory_bytes(describe(folder, config), size, batch, dtype, blocks=1, beside=0, floats=_FLOATS)


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The controls that the model takes."""
    return {}


def usual_length(folder: Path, config: Mapping[str, Any]) -> int:
    """Pixels a side that the model was trained on. Raises CheckpointError."""
    return math.isqrt(describe(folder, config).max_positions)


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Raises CheckpointError."""
    spec = describe(folder, config)
    read = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
    return facts_of(folder, "ImageGPT", spec, usual_length(folder, config), spec.max_positions, 0, read)


def _names(spec: DecoderSpec) -> dict[str, str]:
    names = {
        "embed.weight": "transformer.wte.weight",
        "positions": "transformer.wpe.weight",
        "norm.weight": "transformer.ln_f.weight",
        "head.weight": "lm_head.weight",
    }
    for n in range(spec.layers):
        names |= {f"layers.{n}.{ours}": f"transformer.h.{n}.{theirs}" for ours, theirs in _NAMES.items()}
    return names


def _shapes(spec: DecoderSpec, names: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    with skeletons():
        ours = {name: tuple(part.shape) for name, part in Decoder(spec).named_parameters()}
    return {theirs: ours[name][::-1] if _is_turned(name) else ours[name] for name, theirs in names.items()}


def _is_turned(name: str) -> bool:
    """Whether the file has a matrix as [inputs, outputs]: those inside the layers."""
    return name.startswith("layers.") and not name.endswith(("norm.weight", ".bias"))


def _turned(name: str, tensor: Tensor) -> Tensor:
    return tensor.t().contiguous() if _is_turned(name) else tensor
