"""Int8 copies of whole checkpoints: a folder that loads like the original, smaller.

Knows which matrices of each layout every step reads, which norm is before each, and which files a folder needs. How a
matrix is rounded and what it is called then is `int8`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from clavilux.checkpoint_io import read_torch
from clavilux.decoder import Decoder
from clavilux.errors import CheckpointError
from clavilux.families.int8 import ERROR, NormBefore, Rounding, copy_beside, new_copy
from clavilux.families.model_card import size_bytes
from clavilux.families.musicgen import audiocraft_layout, transformers_layout
from clavilux.families.musicgen.config import MusicGenConfig
from clavilux.families.registry import SMALL_FILES, detect
from clavilux.families.tensors import NameMap, Weight, read_folder
from clavilux.skeleton import skeletons
from clavilux.strict_weights import check

# Where transformers says how weights are stored; it warns of a method that it does not know.
_MARK = {"quantization_config": {"quant_method": "clavilux-int8"}}


def write_int8(folder: Path, target: Path) -> dict[str, Any]:
    """Write a copy of a checkpoint with the decoder's matrices in 8 bits, whole or not at all.

    Returns:
        {"family", "size_before_bytes", "size_bytes", "weights_error"}, JSON values.

    Raises:
        CheckpointError: a family of which no such copy can be made, or a checkpoint that would not load.
        ValueError: `target` is there already, or is no place for a folder.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    family, config = detect(folder)
    if family not in _WRITERS:
        raise CheckpointError(
            f"{str(folder)!r} is of the family {family!r}; int8 copies are made of {', '.join(_WRITERS)}"
        )
    with new_copy(target) as temporary:
        error = _WRITERS[family](folder, config, temporary)
    return {
        "family": family,
        "size_before_bytes": size_bytes(folder),
        "size_bytes": size_bytes(target),
        "weights_error": round(error, 6),
    }


def _transformers(folder: Path, config: dict[str, Any], target: Path) -> float:
    sizes = transformers_layout.describe(folder, config)
    tensors = _plain(read_folder(folder), folder)
    for name in transformers_layout.NOT_READ:
        tensors.pop(name, None)
    body = transformers_layout.body_of(tensors)
    check(body, transformers_layout.shapes(sizes), f"the checkpoint {str(folder)!r}")
    rounding = _rounding(sizes, transformers_layout.names(sizes))
    rounded = rounding(tensors)
    save_file(rounded | rounding.marks, target / "model.safetensors", {"format": "pt"})
    (target / "config.json").write_text(json.dumps(config | _MARK, indent=2) + "\n", encoding="utf-8")
    copy_beside(folder, target, lambda name: _is_small(name) and name != "config.json", folders=False)
    return rounding.error


def _audiocraft(folder: Path, config: dict[str, Any], target: Path) -> float:
    weights, codec = "state_dict.bin", "compression_state_dict.bin"
    settings, held = audiocraft_layout.read(folder)
    tensors = _plain(held, folder)
    for name in audiocraft_layout.NOT_READ:
        tensors.pop(name, None)
    sizes = audiocraft_layout.describe(folder, settings, *audiocraft_layout.sizes_of(folder, tensors))
    check(tensors, audiocraft_layout.shapes(sizes), f"the checkpoint {str(folder / weights)!r}")
    rounding = _rounding(sizes, audiocraft_layout.names(sizes))
    content = read_torch(folder / weights)
    torch.save(content | {"best_state": rounding(tensors) | rounding.marks}, target / weights)
    copy_beside(folder, target, lambda name: _is_small(name) or name == codec, folders=True)
    return rounding.error


_WRITERS: dict[str, Callable[[Path, dict[str, Any], Path], float]] = {
    "musicgen": _transformers,
    "audiocraft": _audiocraft,
}


def _plain(tensors: Mapping[str, Weight], folder: Path) -> dict[str, torch.Tensor]:
    plain = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    if len(plain) < len(tensors) or ERROR in tensors:
        raise CheckpointError(f"{str(folder)!r} is an int8 copy already")
    return plain


def _rounding(sizes: MusicGenConfig, names: NameMap) -> Rounding:
    """Of what holds nothing but rows of matrices that every step reads, by the file's names; norms go in before."""
    with skeletons():
        decoder = Decoder(sizes.spec)
    every_step = {f"{name}.weight" for name in decoder.matrices()}
    rounded, others = set[str](), set[str]()
    for ours, parts in names.items():
        (rounded if ours in every_step else others).update(part.name for part in parts)
    return Rounding(rounded - others, _norms(decoder, names, rounded - others))


def _norms(decoder: Decoder, names: NameMap, matrices: Collection[str]) -> dict[str, NormBefore]:
    """The norm before each of these matrices, where nothing else reads it. A tied head's table is none of them."""
    found: dict[str, NormBefore] = {}
    pairs = decoder.normed_linears()
    ours = {module: name for name, module in decoder.named_modules()}
    for norm, linear in pairs:
        assert linear.bias is None, "no layer of a MusicGen has a bias, and no layout names one"
        parts = [part.name for part in names.get(f"{ours[linear]}.weight", ())]
        if all(part in matrices for part in parts):  # else the norm is needed as it is
            (gain,), (shift,) = names[f"{ours[norm]}.weight"], names[f"{ours[norm]}.bias"]
            found |= dict.fromkeys(parts, NormBefore(gain.name, shift.name))
    return found


def _is_small(name: str) -> bool:
    return (name.endswith(SMALL_FILES) or name.upper().startswith("LICEN")) and not name.endswith(".index.json")
