"""Whether a render fits: what a family says it needs, against what this machine has free.

Knows machines; what is needed is each family's own estimate, made from its config without reading weights.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch

from .model import FAMILIES, device_named, folder_of, read_config


def needed_bytes(
    source: str | Path, seconds: float, batch: int = 1, dtype: str = "auto", device: str = "auto"
) -> int | None:
    """About what loading a model and rendering with it take at their peak; None where a family does not say.

    Raises:
        CheckpointError: as `clavilux.load`.
    """
    folder = folder_of(source)
    family, config = read_config(folder)
    estimate = getattr(import_module(FAMILIES[family]), "memory_needed", None)
    if device_named(device).type == "cpu":
        dtype = "float32"  # which weights pass through on their way to being packed
    return None if estimate is None else estimate(folder, config, seconds, batch, dtype)


def free_bytes(device: str = "auto") -> int | None:
    """What is free where a model would be loaded; None where the system does not say."""
    where = device_named(device)
    if where.type == "cuda":
        return torch.cuda.mem_get_info(where)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    available = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return None if available is None else int(available.split()[1]) * 1024


def check_fits(source: str | Path, seconds: float, batch: int = 1, dtype: str = "auto", device: str = "auto") -> None:
    """Refuse a render that would not fit, before anything is loaded.

    Raises:
        ValueError: what it needs is more than what is free; both are said.
        CheckpointError: as `clavilux.load`.
    """
    needed, free = needed_bytes(source, seconds, batch, dtype, device), free_bytes(device)
    if needed is not None and free is not None and needed > free:
        raise ValueError(
            f"{seconds:g} s in {batch} piece{'s' if batch > 1 else ''} with {str(source)!r} need about "
            f"{needed / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free, so ask for less, or for a smaller model"
        )
