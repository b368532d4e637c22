"""Every family of checkpoints, a row each; which of them a folder is, by its files; and what a hub's repository needs.

A family is added here and in a module or folder beside this one (`engine.family.FamilyModule` says what that has).
Reads no weights, and imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clavilux.checkpoint_io import check_file, read_json
from clavilux.errors import CheckpointError

if TYPE_CHECKING:  # modules are loaded by name: that each is what its row needs, type checkers see here
    from clavilux.families import imagegpt, janus, llamagen
    from clavilux.families.aria import family as aria
    from clavilux.families.jukebox import family as jukebox
    from clavilux.families.lumia import family as lumia
    from clavilux.families.musicgen import audiocraft_layout, transformers_layout
    from clavilux.family import CodecApartModule, Family, MusicModule, PictureModule
    from clavilux.image_family import PictureFamily

    _music: list[MusicModule] = [aria, audiocraft_layout, transformers_layout, jukebox]
    _pictures: list[PictureModule] = [imagegpt, janus, llamagen, lumia]
    _codec_apart: list[CodecApartModule] = [llamagen]
    _of_music: list[Callable[..., Family]] = [aria.load, audiocraft_layout.load, transformers_layout.load]
    _of_pictures: list[Callable[..., PictureFamily]] = [imagegpt.load, janus.load, llamagen.load, lumia.load]


@dataclass(frozen=True)
class Entry:
    """A family of checkpoints. Modules and classes are named, so that none is imported before it is needed.

    Attributes:
        module: reads its checkpoints (`clavilux.family.FamilyModule`).
        model: the class that `clavilux.load` gives.
        makes: what comes out.
        prompts: a module without torch whose `check_prompt(config, prompt, anything)` refuses a prompt of which nothing
            is understood; None: any prompt means something to it.
        writes_notes: whether a piece has a score.
        keeps_jobs: whether a render keeps its tokens in a folder and can go on from there.
        codec_apart: whether its codec may lie elsewhere.
    """

    module: str
    model: str
    makes: Literal["music", "pictures"]
    prompts: str | None = None
    writes_notes: bool = False
    keeps_jobs: bool = False
    codec_apart: bool = False


_HERE = "clavilux.families"
_MUSIC, _IMAGES = "clavilux.music_model.MusicModel", "clavilux.image_model.ImageModel"
FAMILIES = {
    "aria": Entry(f"{_HERE}.aria.family", _MUSIC, "music", prompts=f"{_HERE}.aria.refusal", writes_notes=True),
    "audiocraft": Entry(f"{_HERE}.musicgen.audiocraft_layout", _MUSIC, "music"),
    "musicgen": Entry(f"{_HERE}.musicgen.transformers_layout", _MUSIC, "music"),
    "jukebox": Entry(f"{_HERE}.jukebox.family", f"{_HERE}.jukebox.model.JukeboxModel", "music", keeps_jobs=True),
    "imagegpt": Entry(f"{_HERE}.imagegpt", _IMAGES, "pictures"),
    "janus": Entry(f"{_HERE}.janus", _IMAGES, "pictures"),
    "llamagen": Entry(f"{_HERE}.llamagen", _IMAGES, "pictures", codec_apart=True),
    "lumia": Entry(f"{_HERE}.lumia.family", _IMAGES, "pictures", prompts=f"{_HERE}.lumia.prompt"),
}

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


def detect(folder: Path) -> tuple[str, dict[str, Any]]:
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
        if "frames" in config:  # as training wrote it before it named its family
            return "aria", config
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
        kind = f"its model_type is {config['model_type']!r}" if "model_type" in config else "it has no model_type"
        raise CheckpointError(f"{str(path)!r} is not understood: {kind}; understood are {_KNOWN}")
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
        CheckpointError: the folder holds no checkpoint, or another file's weights would be read.
    """
    alone = path.suffix == LLAMAGEN and not (path.parent / "config.json").exists()
    if alone or not path.is_file():
        check_file(path)  # says what it is instead: a Git LFS pointer, whatever its name promises
    if alone:
        return path
    try:
        family, _ = detect(path.parent)
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

    A repository of MusicGen offers up to three copies of the same weights; one of LlamaGen several models, of which
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
