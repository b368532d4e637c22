"""Whether a model is the right one: what it makes, and what it needs against what this machine has free.

Knows machines; what is needed is each family's own estimate, made from its config without reading weights.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch

from .files import free_memory_bytes
from .model import FAMILIES, PICTURES, check_seconds, device_named, folder_of, read_config


def needed_bytes(
    source: str | Path, length: float | None, batch: int = 1, dtype: str = "auto", device: str = "auto"
) -> int | None:
    """About what loading a model and rendering with it take at their peak; None where a family does not say.

    Args:
        source, dtype, device: as for `clavilux.load`.
        length: seconds of a piece; or pixels a side of a picture, None for what its model was trained on.
        batch: how many side by side.

    Raises:
        CheckpointError: as `clavilux.load`.
        ValueError, TypeError: what is no length of a piece.
    """
    folder = folder_of(source)
    family, config = read_config(folder)
    module = import_module(FAMILIES[family])
    estimate = getattr(module, "memory_needed", None)
    if device_named(device).type == "cpu":
        dtype = "float32" if dtype == "float32" else "auto"  # weights pass through float32 on their way to being packed
    if family not in PICTURES and length is not None:
        check_seconds(length)
    elif family in PICTURES and length is None:
        length = module.picture_size(folder, config)
    return None if estimate is None else estimate(folder, config, length, batch, dtype)


def check_makes(source: str | Path, what: str) -> None:
    """Refuse a model that makes something else.

    Args:
        source: as for `clavilux.load`.
        what: "music" or "pictures".

    Raises:
        ValueError: it makes the other; the command for that is said.
        CheckpointError: as `clavilux.load`.
    """
    family, _ = read_config(folder_of(source))
    makes, command = ("pictures", "paint") if family in PICTURES else ("music", "render")
    if makes != what:
        raise ValueError(f"the model {str(source)!r} makes {makes}, which is what `clavilux {command}` is for")


def free_bytes(device: str = "auto") -> int | None:
    """What is free where a model would be loaded; None where the system does not say."""
    where = device_named(device)
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    return free_memory_bytes()


def check_fits(
    source: str | Path, length: float | None, batch: int = 1, dtype: str = "auto", device: str = "auto"
) -> None:
    """Refuse a render that would not fit, before anything is loaded. Arguments as `needed_bytes`.

    Raises:
        ValueError: what it needs is more than what is free; both are said.
        CheckpointError: as `clavilux.load`.
    """
    needed, free = needed_bytes(source, length, batch, dtype, device), free_bytes(device)
    if needed is not None and free is not None and needed > free:
        family, _ = read_config(folder_of(source))
        things = "picture" if family in PICTURES else "piece"
        what = f"{batch} {things}{'s' if batch > 1 else ''}"
        if length is not None:
            what += f" of {length:g} {'pixels a side' if family in PICTURES else 's'}"
        raise ValueError(
            f"{what} with {str(source)!r} need{'s' if batch == 1 else ''} about {needed / 2**30:.1f} GiB; "
            f"{free / 2**30:.1f} GiB are free, so ask for less, or for a smaller model"
        )
