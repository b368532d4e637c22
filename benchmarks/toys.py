"""Toy checkpoints for scripts that run whole models: the tests' own, with random weights from fixed seeds.

`write(folder)` makes what is not there yet, so that two commits can be given the very same files. Knows where the
tests make them; needs what the tests need.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]


def write(folder: Path) -> dict[str, Path]:
    """Name -> checkpoint, each a folder below `folder`."""
    for name, make in MAKERS.items():
        if not (folder / name).exists():
            unfinished = folder / f".{name}"
            make(unfinished)
            unfinished.rename(folder / name)
    return {name: folder / name for name in MAKERS}


def _module(path: str) -> ModuleType:
    """A module of the tests, with what they share importable."""
    for shared in ("goldens", "helpers"):
        if (where := str(ROOT / "tests" / shared)) not in sys.path:
            sys.path.insert(0, where)
    spec = importlib.util.spec_from_file_location(f"toys_{Path(path).stem}", ROOT / "tests" / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _musicgen(kind: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _module("engine/conftest.py").save_musicgen(folder, kind, "small")
        _fill_codebooks(folder / "model.safetensors")

    return make


def _fill_codebooks(path: Path) -> None:
    """The library begins a codec's vectors with zeros, and then every token sounds the same."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors, chance = load_file(path), torch.Generator().manual_seed(1)
    for name in sorted(tensors):
        if name.endswith("codebook.embed"):
            tensors[name] = torch.randn(tensors[name].shape, generator=chance)
    save_file(tensors, path, metadata={"format": "pt"})


def _jukebox(name: str) -> Callable[[Path], None]:
    return lambda folder: _module("goldens/jukebox_goldens.py").save_toy(folder, "transformers", name)


def _llamagen(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    fixture = _module("conftest.py").llamagen
    fixture.__wrapped__(SimpleNamespace(mktemp=lambda _: folder))


def _imagegpt(folder: Path) -> None:
    import torch

    with torch.no_grad():
        _module("engine/families/test_imagegpt.py").save(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "musicgen": _musicgen("mono"),
    "musicgen-stereo": _musicgen("stereo"),
    "musicgen-melody": _musicgen("melody"),
    "jukebox": _jukebox("plain"),
    "jukebox-lyrics": _jukebox("separate"),
    "llamagen": _llamagen,
    "imagegpt": _imagegpt,
}
