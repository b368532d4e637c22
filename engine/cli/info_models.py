"""What a checkpoint, a codec or a file of tokens is, as plain facts: the part of `describe` that needs torch.

Knows how to look without loading: a checkpoint's weights are not read, only their names and shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clavilux.audio.codecs.load import load_codec
from clavilux.audio.codecs.token_files import load_tokens
from clavilux.checkpoint import find
from clavilux.families.model_card import licence
from clavilux.image.codecs import vq
from clavilux.memory import usual_pixels
from clavilux.requests import check_seconds

WEIGHTS = (".safetensors", ".bin", ".pth", ".th")


def checkpoint_facts(folder: Path, seconds: float = 30.0, batch: int = 1) -> dict[str, Any]:
    """Family, size, licence, context and the memory needed. CheckpointError; ValueError for a length that is none."""
    found = find(folder)
    pictures = found.makes == "pictures"
    length = usual_pixels(found) if pictures else check_seconds(seconds)
    needed = found.module.memory_needed(found.folder, found.config, length, batch)
    made = f"{length}_pixels" if pictures else f"{length:g}_s"
    return found.module.facts(found.folder, found.config) | {f"memory_for_{batch}_x_{made}_bytes": needed}


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
