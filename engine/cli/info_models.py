"""What a checkpoint, a codec or a file of tokens is, as plain facts: the part of `describe` that needs torch.

Knows how to look without loading: a checkpoint's weights are not read, only their names and shapes.
"""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

from clavilux.audio.codecs.files import load_tokens
from clavilux.audio.codecs.load import load_codec
from clavilux.checkpoint import FAMILIES, PICTURES, read_config
from clavilux.checkpoint_io import open_safetensors, unwrapped_names
from clavilux.decoder import DecoderSpec
from clavilux.errors import CheckpointError
from clavilux.families.configs import describing, section
from clavilux.families.musicgen.transformers_layout import licence
from clavilux.image.codecs import vq
from clavilux.model import device_named
from clavilux.precision import held_bytes, usual

WEIGHTS = (".safetensors", ".bin", ".pth", ".th")


def checkpoint_facts(folder: Path, seconds: float = 30.0, batch: int = 1) -> dict[str, Any]:
    """Family, size, licence, context and the memory needed. Raises CheckpointError."""
    family, config = read_config(folder)
    module = import_module(FAMILIES[family])
    if family in PICTURES:
        size = module.picture_size(folder, config)
        needed = module.memory_needed(folder, config, size, batch)
        return module.facts(folder, config) | {f"memory_for_{batch}_x_{size}_pixels_bytes": needed}
    if hasattr(module, "facts"):
        needed = module.memory_needed(folder, config, seconds, batch)
        return module.facts(folder, config) | {f"memory_for_{batch}_x_{seconds:g}_s_bytes": needed}
    with describing(f"the config.json in {str(folder)!r}", "decoder"):
        spec = DecoderSpec.from_dict(section(config, "decoder"))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{str(folder)!r} holds no safetensors file, so its weights are missing")
    shapes = [shape for file in files for shape in _shapes(file).items()]
    parameters = sum(math.prod(shape) for _, shape in shapes)
    device = device_named("auto")
    dtype = usual(parameters, device)
    in_matrices, in_others, in_cache = held_bytes(dtype, device)
    matrices = sum(math.prod(shape) for name, shape in shapes if name.startswith("decoder.layers.") and len(shape) == 2)
    others = parameters - matrices
    if spec.tied and in_matrices != in_others:  # the table is packed once more, as the head
        matrices += spec.vocabulary * spec.width
    cached = 2 * spec.layers * spec.heads * spec.head_dim * spec.max_positions
    return {
        "kind": "checkpoint",
        "family": family,
        "parameters": parameters,
        "size_bytes": sum(file.stat().st_size for file in files),
        "licence": config.get("licence", "not stated"),
        "context_tokens": spec.max_positions,
        "layers": spec.layers,
        "width": spec.width,
        "dtype": dtype,
        "memory_for_weights_bytes": matrices * in_matrices + others * in_others,
        "memory_for_each_piece_bytes": cached * in_cache,
    }


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Of a safetensors file's tensors, by name. Raises CheckpointError."""
    with open_safetensors(path) as file:
        return {n: tuple(file.get_slice(theirs).get_shape()) for n, theirs in unwrapped_names(file.keys()).items()}


def codec_facts(path: Path) -> dict[str, Any]:
    """What a neural codec is. It is loaded to find out: it is small. Raises ValueError."""
    codec = load_codec(path)
    files = [path] if path.is_file() else [file for file in path.iterdir() if file.suffix in WEIGHTS]
    return {
        "kind": "codec",
        "family": codec.family,
        "parameters": sum(p.numel() for p in codec.parameters()),
        "size_bytes": sum(file.stat().st_size for file in files),
        "licence": licence(path if path.is_dir() else path.parent),
        "sample_rate": codec.sample_rate,
        "channels": codec.channels,
        "frame_rate": codec.frame_rate,
        "codebooks": codec.codebooks,
        "vocabulary": codec.vocabulary,
    }


def picture_codec_facts(path: Path) -> dict[str, Any]:
    """What a VQ codec of pictures is. It is loaded to find out: it is small. Raises ValueError."""
    codec = vq.load(path)
    return {
        "kind": "picture codec",
        "family": codec.family,
        "parameters": sum(p.numel() for p in codec.parameters()),
        "size_bytes": path.stat().st_size,
        "licence": licence(path.parent),
        "vocabulary": codec.vocabulary,
        "downsampling": codec.downsampling,
    }


def token_facts(path: Path) -> dict[str, Any]:
    """What a file of a codec's tokens holds. Raises ValueError."""
    file = load_tokens(path)
    frames, codec = file.tokens.shape[-1], file.codec
    seconds = frames / codec["frame_rate"] if file.num_samples is None else file.num_samples / codec["sample_rate"]
    return {
        "kind": "tokens",
        "duration_s": round(seconds, 3),
        "codebooks": file.tokens.shape[-2],
        "frames": frames,
        "codec": {name: value for name, value in codec.items() if name != "weights"},
        "size_bytes": path.stat().st_size,
    }
