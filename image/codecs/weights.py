"""The weights of a picture codec's checkpoint, checked strictly. Files are read by `checkpoint_io`.

Knows what a file of training holds beside the weights. Does not know any codec. Every error is a CheckpointError of one
sentence.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clavilux import checkpoint_io
from clavilux.checkpoint_io import Select, check_names, listed
from clavilux.errors import CheckpointError

_NESTED = (
    "ema",
    "model",
    "module",
    "state_dict",
)  # where a file of training keeps its weights, the averaged ones first


def read_tensors(path: Path, select: Select = set) -> dict[str, Tensor]:
    """As `checkpoint_io.read_tensors`, for files of training too: they hold tensors by name as they are, or under
    "ema", "model", "module" or "state_dict", sought in that order. Those of a zip file are mapped, not read.
    """
    path = checkpoint_io.weights_file(path)
    if path.suffix in (".safetensors", ".json"):
        return checkpoint_io.read_tensors(path, select)
    content = read_torch(path)
    nested = [content[key] for key in _NESTED if isinstance(content.get(key), Mapping)]
    return checkpoint_io.tensors_in((nested or [content])[0], select, path)


def read_torch(path: Path) -> dict[str, Any]:
    """As `checkpoint_io.read_torch`; `argparse.Namespace`, in which trainers keep their settings, is a plain value."""
    return checkpoint_io.read_torch(path, mmap=True, plain=[argparse.Namespace])


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
        CheckpointError: missing, unexpected or misshapen tensors (all kinds named), or numbers that are not finite.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    names = {name: name for name in shapes} if names is None else names
    wanted = {names[name]: shape for name, shape in shapes.items()}
    check_names(tensors, wanted, f"{label} does not fit its sizes", skip)
    found = {name: tuple(tensors[name].shape) for name in wanted}
    bad = [f"{name} is {found[name]}, not {shape}" for name, shape in sorted(wanted.items()) if found[name] != shape]
    if bad:
        raise CheckpointError(f"{label} does not fit its sizes: {listed(bad)}")
    copies = {name: tensors[names[name]].to(torch.float32, copy=True).contiguous() for name in shapes}
    infinite = sorted(names[name] for name, tensor in copies.items() if not torch.isfinite(tensor).all())
    if infinite:
        raise CheckpointError(f"{label} holds numbers that are not finite in {listed(infinite)}")
    module.load_state_dict(copies, strict=True, assign=True)
