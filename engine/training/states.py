"""The state of a training run as one safetensors file: the same state, the same bytes.

A pickle's bytes also say which of its texts are one object, which differs between a run that went on and one that never
stopped. Knows tensors and plain JSON values by name. Does not know what they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from clavilux import checkpoint_io
from clavilux.errors import CheckpointError
from clavilux.files import atomic_path

_KEY = "clavilux_run"  # the one text beside the tensors: of several, safetensors would write them in any order


def save_state(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors by name and plain JSON values, the whole file or nothing."""
    text = json.dumps(about, sort_keys=True, allow_nan=False)
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(held, temporary, {_KEY: text})


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_state` wrote. CheckpointError for what is damaged, or something else."""
    text = checkpoint_io.read_metadata(path).get(_KEY)
    if text is None:
        raise CheckpointError(f"{str(path)!r} is not the state of a training run")
    with checkpoint_io.open_safetensors(path) as file:  # names as they are: a wrapper's prefix may be a learner's own
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, json.loads(text)


def joined(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by name of several parts as one: "part.name". `beginning` takes them apart."""
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def beginning(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer keeps of each parameter, by the parameter's number: "3.exp_avg"."""
    kept: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value) for number, values in kept.items() for name, value in values.items()
    }


def fill_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer what `optimizer_tensors` gave. Rates stay as they are."""
    state = optimizer.state_dict()
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition(".")
        found.setdefault(int(number), {})[what] = tensor
    optimizer.load_state_dict({**state, "state": found})
