"""Where the parts of a Jukebox lie: in a folder as transformers saves it, or in its original files.

An original folder holds `vqvae.pth.tar` and `prior_level_N.pth.tar`, and may hold a `jukebox.json`, which says what no
shape tells, and where files lie that are elsewhere (the published lyrics models have no upsamplers of their own):

    {"files": {"vqvae": "../5b/vqvae.pth.tar", "1": "../5b/prior_level_1.pth.tar"},
     "levels": {"2": {"heads": 2, "blocks": 64, "order": 12}}, "vqvae": {"sample_rate": 44100}}

Knows files and sizes. Reads no weights but those that are asked for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from clavilux.audio.codecs import vqvae
from clavilux.audio.codecs.vqvae import VQVAE, VQVAESpec
from clavilux.checkpoint_io import FOLDER_FILES, read_json, read_torch
from clavilux.errors import CheckpointError
from clavilux.families.configs import describing
from clavilux.families.jukebox.checkpoint_config import NAMES, from_original, from_transformers
from clavilux.families.jukebox.config import PriorConfig, as_json
from clavilux.families.jukebox.prior import Prior
from clavilux.families.jukebox.weights import Source, file_source, filled, folder_source

CODEC = "vqvae.pth.tar"
PRIOR = re.compile(r"prior_level_(\d+)\.pth\.tar")
_BLOCK, _BLOCKS = 4096, 256  # of a file, of which an identity is made


@dataclass(frozen=True)
class JukeboxFiles:
    """A checkpoint's parts, and what its files say of them. Made by `find`.

    Attributes:
        folder: where it is.
        spec: the VQ-VAE's sizes.
        sizes: each prior's, by level; an original folder may lack upsamplers.
        sources: where the tensors of each prior lie.
        codec: the VQ-VAE's file; None where it is in the folder of transformers' layout.
    """

    folder: Path
    spec: VQVAESpec
    sizes: Mapping[int, PriorConfig]
    sources: Mapping[int, Source]
    codec: Path | None

    @property
    def top(self) -> int:
        """The highest level."""
        return self.spec.levels - 1

    @cached_property
    def paths(self) -> dict[str, Path]:
        """The files of weights, by what is in them."""
        if self.codec is None:
            weights = sorted(path for path in self.folder.iterdir() if path.suffix in (".safetensors", ".bin"))
            return {path.name: path for path in weights if path.name.startswith(("model", "pytorch_model"))}
        found = {"vqvae": self.codec}
        for level, source in self.sources.items():
            assert source.path is not None, "in the original layout each prior is a file"
            found[str(level)] = source.path
        return found

    def identity(self) -> dict[str, str]:
        """What tells these files from others, by what is in them, without reading all of them."""
        sizes = {level: as_json(sizes) for level, sizes in sorted(self.sizes.items())}
        text = json.dumps([self.spec.to_dict(), sizes], sort_keys=True)
        config = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {"config": config} | {name: _identity(path) for name, path in self.paths.items()}

    def load_codec(self) -> VQVAE:
        """The VQ-VAE. Raises CheckpointError."""
        return vqvae.load(self.folder if self.codec is None else self.codec, self.spec if self.codec else None)

    def load_prior(self, level: int, dtype: torch.dtype) -> Prior:
        """The prior of a level, on the CPU. Raises CheckpointError; ValueError for a level that there is not."""
        if level not in self.sizes:
            held = ", ".join(map(str, sorted(self.sizes, reverse=True)))
            raise ValueError(
                f"the prior of level {level} is not in {str(self.folder)!r}, which holds level {held}; "
                f"draw fewer levels (levels, --levels), or add prior_level_{level}.pth.tar"
            )
        return filled(self.sizes[level], self.sources[level], dtype)


def find(folder: Path, config: Mapping[str, Any]) -> JukeboxFiles:
    """The parts of a checkpoint: everything that shows without its weights is checked.

    Raises:
        CheckpointError: files that are missing, damaged, of another level, or that do not fit each other.
    """
    with describing(f"what lies in {str(folder)!r}", "Jukebox"):
        return _transformers(folder, config) if config else _original(folder)


def _transformers(folder: Path, config: Mapping[str, Any]) -> JukeboxFiles:
    spec = VQVAESpec.from_transformers(config)
    sizes = from_transformers(config, spec)
    if not any((folder / name).is_file() for name in FOLDER_FILES):
        raise CheckpointError(f"{str(folder)!r} holds no weights; there should be one of {', '.join(FOLDER_FILES)}")
    sources = {level: folder_source(folder, f"priors.{len(sizes) - 1 - level}.") for level in sizes}
    empty = [level for level, source in sources.items() if not source.shapes]
    if empty:
        raise CheckpointError(f"the weights in {str(folder)!r} hold nothing of the prior of level {empty[0]}")
    return JukeboxFiles(folder, spec, sizes, sources, None)


def _original(folder: Path) -> JukeboxFiles:
    own = read_json(folder / "jukebox.json") if (folder / "jukebox.json").exists() else {}
    unknown = sorted(set(own) - {"files", "levels", "vqvae", "licence"})
    if unknown:
        raise ValueError(f"its jukebox.json has {', '.join(unknown)}; its keys are files, levels, vqvae and licence")
    files = {name: folder / path for name, path in own.get("files", {}).items()}
    codec = files.pop("vqvae", folder / CODEC)
    priors = {int(match[1]): path for path in folder.iterdir() if (match := PRIOR.fullmatch(path.name))}
    priors |= {int(level): path for level, path in files.items()}
    if not codec.is_file():
        raise CheckpointError(f"{str(folder)!r} holds priors but no {CODEC}, without which their tokens are no sound")
    if not priors:
        raise CheckpointError(f"{str(folder)!r} holds a {CODEC} but no prior_level_2.pth.tar or another level's")
    spec = _codec_spec(codec, own.get("vqvae", {}))
    beyond = [level for level in priors if level >= spec.levels]
    if beyond:
        raise ValueError(f"there is a prior of level {beyond[0]}; its VQ-VAE has the levels 0 to {spec.levels - 1}")
    sources = {level: file_source(path) for level, path in sorted(priors.items(), reverse=True)}
    sizes = {}
    for level, source in sources.items():
        settings = own.get("levels", {}).get(str(level), {})
        wrong = sorted(set(settings) - NAMES)
        if wrong:
            raise ValueError(
                f"its jukebox.json says {', '.join(wrong)} of a level; known are {', '.join(sorted(NAMES))}"
            )
        try:
            sizes[level] = from_original(source.shapes, source.settings, level, spec, settings)
        except ValueError as error:
            raise CheckpointError(f"{source.label} is not understood: {error}") from None
    return JukeboxFiles(folder, spec, sizes, sources, codec)


def _codec_spec(path: Path, own: Mapping[str, Any]) -> VQVAESpec:
    """The VQ-VAE's sizes from the shapes in its file, and the settings that none of them shows."""
    content = read_torch(path)
    weights = content.get("model", content)
    shapes = {str(name): tuple(value.shape) for name, value in weights.items()}
    return replace(VQVAESpec.from_shapes(shapes), **own)


def _identity(path: Path) -> str:
    """16 hex digits of a file: of its size and of pieces from all over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    count = -(-size // _BLOCK)
    with open(path, "rb") as file:
        for index in range(min(count, _BLOCKS)):
            file.seek(index * count // min(count, _BLOCKS) * _BLOCK)
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:16]
