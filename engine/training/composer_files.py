"""Weights of composers' checkpoints: to begin a training run with, and the mean of several.

Knows the files of a checkpoint. Does not know how a composer is trained (`composer`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from clavilux.training.labels import STYLE_OF_LABEL
from clavilux.training.token_data import STYLE_NAMES


def begin_with(folder: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint with as many layers, for the styles here: one that it does not know begins as the
    style that it belongs to, and as no style where there is none.
    """
    weights = load_file(folder / "model.safetensors")
    known = json.loads((folder / "config.json").read_text(encoding="utf-8"))["styles"]
    rows = [known.index(n) if n in known else len(known) for n in (_nearest(name, known) for name in STYLE_NAMES)]
    table = weights["conditioner.style.weight"]
    weights["conditioner.style.weight"] = table[[*rows, len(known)]]
    return {name: tensor.float() for name, tensor in weights.items()}


def _nearest(name: str, known: list[str]) -> str | None:
    return name if name in known else STYLE_OF_LABEL[name]


def average(folders: Sequence[Path], folder: Path) -> None:
    """Write the mean of the weights of checkpoints of one shape, with the config of the first, into a folder.

    Weights that were learned one after another from the same ones: their mean is often better than each (Wortsman et
    al. 2022, "Model soups").
    """
    weights = [load_file(each / "model.safetensors") for each in folders]
    config = (folders[0] / "config.json").read_text(encoding="utf-8")
    means = {
        name: torch.stack([each[name].float() for each in weights]).mean(dim=0).to(tensor.dtype).contiguous()
        for name, tensor in weights[0].items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(means, folder / "model.safetensors")
    (folder / "config.json").write_text(config, encoding="utf-8")
