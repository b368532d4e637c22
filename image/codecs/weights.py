"""The tensors of a picture codec's checkpoint, also out of a file of training, which holds more than weights.

Does not know any codec. Every error is a CheckpointError of one sentence.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clavilux import checkpoint_io
from clavilux.checkpoint_io import Select

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
