"""Reading a checkpoint's weights, strictly: exactly the names and shapes that its config promises, all finite.

Knows safetensors files. Does not know what the weights are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import CheckpointError


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU, in the file's dtypes.

    Raises:
        CheckpointError: the file is missing or damaged, or differs from `shapes`: what differs is named.
    """
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{str(path)!r} is missing") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} is damaged: {error}") from None
    missing, extra = sorted(set(shapes) - set(weights)), sorted(set(weights) - set(shapes))
    if missing or extra:
        named = (("lacks", missing), ("has", extra))
        differences = " and ".join(f"{word} {', '.join(names[:5])}" for word, names in named if names)
        raise CheckpointError(f"{str(path)!r} does not fit its config: it {differences}")
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise CheckpointError(
                f"{str(path)!r} does not fit its config: {name} is {tuple(weights[name].shape)}, not {shape}"
            )
        if not torch.isfinite(weights[name]).all():
            raise CheckpointError(f"{str(path)!r} holds numbers that are not finite in {name}")
    return weights
