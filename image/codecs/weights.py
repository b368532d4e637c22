"""The weights of a picture codec's checkpoint: read without running code, and checked strictly.

Knows safetensors (whole or in shards) and PyTorch's own files; of a checkpoint that holds more than the codec, only
the codec is read. Does not know any codec. Every error is a ValueError of one sentence.
"""

from __future__ import annotations

import argparse
import json
import pickle
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

__all__ = ["check_tensors", "fill", "read_json", "read_metadata", "read_tensors", "read_torch"]

FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_NESTED = (
    "ema",
    "model",
    "module",
    "state_dict",
)  # where a file of training keeps its weights, the averaged ones first
_NAMED = 5  # names that an error lists
Select = Callable[[Collection[str]], Collection[str]]  # of all the names in a checkpoint, those to read


def read_tensors(path: Path, select: Select = set) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, in the file's dtypes.

    Args:
        path: a safetensors file, a PyTorch file of tensors by name (as they are, or under "ema", "model",
            "module" or "state_dict", sought in that order), an index of shards (`*.index.json`), or a folder with one
            of `FOLDER_FILES`.
        select: given all the names, says which to read; the others are not brought into memory.

    Raises:
        ValueError: nothing there, a damaged file, a missing shard, or a pickle of more than tensors.
    """
    if path.is_dir():
        found = [path / name for name in FOLDER_FILES if (path / name).exists()]
        if not found:
            raise ValueError(f"{str(path)!r} holds no weights; there should be one of {', '.join(FOLDER_FILES)}")
        path = found[0]
    if path.name.endswith(".index.json"):
        return _read_shards(path, select)
    if path.suffix == ".safetensors":
        return _read_safetensors(path, select)
    content = read_torch(path)
    nested = [content[key] for key in _NESTED if isinstance(content.get(key), Mapping)]
    content = (nested or [content])[0]
    chosen = set(select([str(name) for name in content]))
    return check_tensors({name: value for name, value in content.items() if str(name) in chosen}, repr(str(path)))


def check_tensors(values: Mapping[str, Any], label: str) -> dict[str, Tensor]:
    """The same values, all of them tensors by name; ValueError if one is something else."""
    others = sorted(str(name) for name, value in values.items() if not isinstance(value, Tensor))
    if others:
        raise ValueError(f"{label} should hold tensors only, but {_listed(others)} is something else")
    return dict(values)


def read_torch(path: Path) -> dict[str, Any]:
    """A PyTorch file: a dict of plain values and tensors. A pickle that could run code is refused unread.

    `argparse.Namespace`, in which trainers keep their settings, is a plain value too. Tensors are mapped where the
    format allows it, so that what is not used is not read.

    Raises:
        ValueError: it is missing, damaged, no dict, or holds more than plain values and tensors.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise ValueError(f"{str(path)!r} is missing") from None
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise ValueError(
                f"{str(path)!r} holds more than plain values and tensors, which could run code, so it was not read; "
                "save its tensors as safetensors"
            ) from None
        raise ValueError(f"{str(path)!r} is damaged: {_first_line(error)}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{str(path)!r} is damaged: {_first_line(error)}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{str(path)!r} holds a {type(content).__name__}; it should hold a dict")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that is an object, such as `config.json`. ValueError if it is missing or not that."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{str(path)!r} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is no JSON: {_first_line(error)}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{str(path)!r} holds a JSON {type(content).__name__}; it should hold an object")
    return content


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a safetensors file holds beside its tensors. Raises as `read_tensors`."""
    return _with_safetensors(path, lambda file: dict(file.metadata() or {}))


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    label: str,
    *,
    names: Mapping[str, str] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Give a module, which may stand on the meta device, exactly these tensors as float32 copies.

    Args:
        module: its `state_dict()` says which names and shapes there must be.
        tensors: by the checkpoint's names.
        label: what errors call the checkpoint.
        names: the module's names -> the checkpoint's; the same ones by default.
        skip: names in `tensors` that are not wanted.

    Raises:
        ValueError: missing, unexpected or misshapen tensors (all kinds named), or numbers that are not finite.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    names = {name: name for name in shapes} if names is None else names
    wanted = {names[name]: shape for name, shape in shapes.items()}
    missing = sorted(set(wanted) - set(tensors))
    extra = sorted(set(tensors) - set(wanted) - set(skip))
    if missing or extra:
        named = (("lacks", missing), ("has", extra))
        differences = " and ".join(f"{word} {_listed(found)}" for word, found in named if found)
        raise ValueError(f"{label} does not fit its sizes: it {differences}")
    found = {name: tuple(tensors[name].shape) for name in wanted}
    bad = [f"{name} is {found[name]}, not {shape}" for name, shape in sorted(wanted.items()) if found[name] != shape]
    if bad:
        raise ValueError(f"{label} does not fit its sizes: {_listed(bad)}")
    copies = {name: tensors[names[name]].to(torch.float32, copy=True).contiguous() for name in shapes}
    infinite = sorted(names[name] for name, tensor in copies.items() if not torch.isfinite(tensor).all())
    if infinite:
        raise ValueError(f"{label} holds numbers that are not finite in {_listed(infinite)}")
    module.load_state_dict(copies, strict=True, assign=True)


def _read_safetensors(path: Path, select: Select) -> dict[str, Tensor]:
    return _with_safetensors(path, lambda file: {name: file.get_tensor(name) for name in select(list(file.keys()))})


def _with_safetensors(path: Path, use: Callable[[Any], Any]) -> Any:
    try:
        with safe_open(path, "pt") as file:
            return use(file)
    except FileNotFoundError:
        raise ValueError(f"{str(path)!r} is missing") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {_first_line(error)}") from None


def _read_shards(index: Path, select: Select) -> dict[str, Tensor]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise ValueError(f"{str(index)!r} is no index of shards: it has no 'weight_map' from names to files")
    if any(Path(file).name != file or file.endswith(".index.json") for file in names.values()):
        raise ValueError(f"{str(index)!r} names shards outside its folder; they should lie beside it")
    expected = set(select(list(names)))
    tensors: dict[str, Tensor] = {}
    for file in sorted({names[name] for name in expected}):
        tensors.update(read_tensors(index.parent / file, expected.intersection))
    different = sorted(expected ^ set(tensors))
    if different:
        raise ValueError(f"the shards of {str(index)!r} do not hold what it says: {_listed(different)}")
    return tensors


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
