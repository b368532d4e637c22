"""Whether a model is the right one: what it makes, and what it needs against what this machine has free.

Knows machines; what is needed is each family's own estimate, made from its config without reading weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from clavilux.checkpoint import Checkpoint, find
from clavilux.files import free_memory_bytes
from clavilux.precision import device_named, usual
from clavilux.requests import USUAL_S, check_seconds

if TYPE_CHECKING:
    from clavilux.family import PictureModule


def needed_bytes(
    source: str | Path | Checkpoint, length: float | None, batch: int = 1, dtype: str = "auto", device: str = "auto"
) -> int:
    """About what loading a model and rendering with it take at their peak.

    Args:
        source, dtype, device: as for `clavilux.load`.
        length: seconds of a piece, or pixels a side of a picture; None for what is usual.
        batch: how many side by side.

    Raises:
        CheckpointError: as `clavilux.load`.
        ValueError, TypeError: what is no length of a piece.
    """
    found, where = find(source), device_named(device)
    if where.type == "cpu":
        dtype = "float32" if dtype == "float32" else "auto"  # weights pass through float32 on their way to being packed
    elif where.type == "cuda" and dtype == "auto":
        dtype = usual(1, where)  # nothing passes through float32 there: each weight is cast on its way to the GPU
    if found.makes == "music":
        length = check_seconds(USUAL_S if length is None else length)
    elif length is None:
        length = usual_pixels(found)
    return found.module.memory_needed(found.folder, found.config, length, batch, dtype)


def usual_pixels(found: Checkpoint) -> int:
    """Pixels a side that a model of pictures was trained on. Raises CheckpointError."""
    return cast("PictureModule", found.module).usual_length(found.folder, found.config)


def check_makes(source: str | Path | Checkpoint, what: str) -> None:
    """Refuse a model that makes something else.

    Args:
        source: as for `clavilux.load`.
        what: "music" or "pictures".

    Raises:
        ValueError: it makes the other; the message names the command for that.
        CheckpointError: as `clavilux.load`.
    """
    found = find(source)
    if found.makes != what:
        command = {"pictures": "paint", "music": "render"}[found.makes]
        raise ValueError(f"the model {found.name!r} makes {found.makes}, which is what `clavilux {command}` is for")


def free_bytes(device: str = "auto") -> int | None:
    """What is free where a model would be loaded; None where the system does not say."""
    where = device_named(device)
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    return free_memory_bytes()


def check_fits(
    source: str | Path | Checkpoint, length: float | None, batch: int = 1, dtype: str = "auto", device: str = "auto"
) -> None:
    """Refuse a render that would not fit, before anything is loaded. Arguments as `needed_bytes`.

    Raises:
        ValueError: what it needs is more than what is free; the message has both.
        CheckpointError: as `clavilux.load`.
    """
    found = find(source)
    needed, free = needed_bytes(found, length, batch, dtype, device), free_bytes(device)
    if free is not None and needed > free:
        things = "picture" if found.makes == "pictures" else "piece"
        what = f"{batch} {things}{'s' if batch > 1 else ''}"
        if length is not None:
            what += f" of {length:g} {'pixels a side' if found.makes == 'pictures' else 's'}"
        raise ValueError(
            f"{what} with {found.name!r} need{'s' if batch == 1 else ''} about {needed / 2**30:.1f} GiB; "
            f"{free / 2**30:.1f} GiB are free, so ask for less, or for a smaller model"
        )
