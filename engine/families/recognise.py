"""Whose checkpoint a folder is, told by its files; and which files of a hub's repository are needed.

Knows the marks of each layout. Reads no weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..checkpoint_io import check_file, read_json
from ..errors import CheckpointError

# model_type -> our family; multi_modality is Janus's own
TRANSFORMERS = {
    "musicgen": "musicgen",
    "musicgen_melody": "musicgen",
    "imagegpt": "imagegpt",
    "jukebox": "jukebox",
    "janus": "janus",
    "multi_modality": "janus",
}
AUDIOCRAFT = ("state_dict.bin", "compression_state_dict.bin")
JUKEBOX = re.compile(r"(vqvae|prior_level_\d+)\.pth\.tar")  # its original files
LLAMAGEN = ".pt"  # the ending of its files, which have no config beside them; its codecs' names begin with vq
_KNOWN = (
    f"clavilux's own folders, transformers' (model_type {', '.join(TRANSFORMERS)}), audiocraft's "
    f"({' and '.join(AUDIOCRAFT)}), Jukebox's (vqvae.pth.tar and prior_level_2.pth.tar) and LlamaGen's files "
    "(c2i_B_256.pt beside vq_ds16_c2i.pt, for one)"
)
SMALL_FILES = (".json", ".model", ".txt", ".md")
_STEMS = ("config.json", "model", "pytorch_model")  # of a config, of weights, of their shards and indices
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def recognise(folder: Path) -> tuple[str, dict[str, Any]]:
    """(family, its config.json) of a folder, or of LlamaGen's file; {} where there is no config.json.

    Raises:
        CheckpointError: nothing that is understood; the error says what would be.
    """
    if folder.suffix == LLAMAGEN and folder.is_file():
        return "llamagen", {}
    path = folder / "config.json"
    if path.is_file():
        config = read_json(path)
        if "family" in config:
            return str(config["family"]), config
        kind = config.get("model_type")
        if isinstance(kind, str) and kind in TRANSFORMERS:
            return TRANSFORMERS[kind], config
    else:
        config = {}
    found = [name for name in AUDIOCRAFT if (folder / name).is_file()]
    if len(found) == len(AUDIOCRAFT):
        return "audiocraft", {}
    if found:
        lacking = next(name for name in AUDIOCRAFT if name not in found)
        raise CheckpointError(f"{str(folder)!r} holds {found[0]} but no {lacking}; an audiocraft model has both")
    if folder.is_dir() and not config and any(JUKEBOX.fullmatch(path.name) for path in folder.iterdir()):
        return "jukebox", {}
    if not config and any(folder.glob(f"*{LLAMAGEN}")):
        return "llamagen", {}
    if config:
        said = f"its model_type is {config['model_type']!r}" if "model_type" in config else "it has no model_type"
        raise CheckpointError(f"{str(path)!r} is not understood: {said}; understood are {_KNOWN}")
    raise CheckpointError(f"{str(folder)!r} holds no checkpoint that is understood; understood are {_KNOWN}")


def llamagen_files(path: Path) -> tuple[Path, Path | None]:
    """LlamaGen's transformer and its codec, which may not be there, out of a folder or beside the transformer.

    Raises:
        CheckpointError: a folder without a transformer, or with several; or several codecs that would fit.
    """
    folder = path if path.is_dir() else path.parent
    names = sorted(file.name for file in folder.glob(f"*{LLAMAGEN}"))
    transformers = [path.name] if path.is_file() else [name for name in names if not name.startswith("vq")]
    if len(transformers) != 1:
        found = f"holds several transformers ({', '.join(transformers)})" if transformers else "holds no transformer"
        raise CheckpointError(f"{str(folder)!r} {found} of LlamaGen's; give the file of one, such as c2i_B_256.pt")
    codecs = _llamagen_codecs(transformers[0], names)
    if len(codecs) > 1:
        raise CheckpointError(
            f"{str(folder)!r} holds several codecs ({', '.join(codecs)}) that {transformers[0]} could have; say which "
            "one it is (codec, --codec)"
        )
    return folder / transformers[0], folder / codecs[0] if codecs else None


def _llamagen_codecs(transformer: str, names: Iterable[str]) -> list[str]:
    """The codecs that a transformer could have: of several, those for the same task, and of these the one of 16."""
    found = [name for name in names if name.startswith("vq") and name.endswith(LLAMAGEN)]
    for mark in (transformer[:3], "ds16"):
        found = [name for name in found if mark in name] or found
    return found


def folder_of_file(path: Path) -> Path:
    """The folder of the checkpoint that a file is a part of: its config.json, or one of the files that would be read.

    A transformer of LlamaGen's stands for itself, as several may lie side by side.

    Raises:
        CheckpointError: the folder holds no checkpoint, or another file's numbers would be read.
    """
    alone = path.suffix == LLAMAGEN and not (path.parent / "config.json").exists()
    if alone or not path.is_file():
        check_file(path)  # says what it is instead: a Git LFS pointer, whatever its name promises
    if alone:
        return path
    try:
        family, _ = recognise(path.parent)
    except CheckpointError as error:
        check_file(path)
        raise CheckpointError(f"{str(path)!r} belongs to no checkpoint: {error}") from None
    beside = [file.name for file in path.parent.iterdir() if file.is_file()]
    read = AUDIOCRAFT if family == "audiocraft" else [name for name in needed(beside) if name.startswith(_STEMS)]
    if family == "jukebox" and not (path.parent / "config.json").exists():
        read = [name for name in beside if JUKEBOX.fullmatch(name)]
    if path.name not in read:
        raise CheckpointError(
            f"{str(path)!r} is not what is read of the checkpoint beside it ({', '.join(read)}); give one of those, or "
            "the folder"
        )
    return path.parent


def needed(names: Iterable[str], file: str | None = None) -> list[str]:
    """Which files of a repository a checkpoint needs: one layout of its weights, not all that are offered.

    A repository of MusicGen offers up to three copies of the same numbers; one of LlamaGen several models, of which
    `file` is one.
    """
    names = sorted(names)
    if file is not None:
        return [file, *_llamagen_codecs(file, names)]
    small = [name for name in names if name.endswith(SMALL_FILES) or name.upper().startswith("LICEN")]
    for weights in _WEIGHTS:
        stem, ending = weights.rsplit(".", 1)
        shards = [name for name in names if name.startswith(f"{stem}-0") and name.endswith(f".{ending}")]
        if weights in names or shards:
            return small + ([weights] if weights in names else shards)
    return small + [name for name in names if name in AUDIOCRAFT or JUKEBOX.fullmatch(name)]
