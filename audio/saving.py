"""Saving sound: at its loudness, with its receipt, in one step, whether it is in memory or still being made.

Knows what a saved song of this package is. How a file is encoded is `io`'s, how loud it becomes is `loudness`'s.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.audio import io
from clavilux.audio.blocks import Blocks, DiskBlocks
from clavilux.audio.loudness import TARGET_LUFS, leveled
from clavilux.files import PathLike, atomic_path
from clavilux.stamp import Stamp, public


def save(
    path: PathLike,
    blocks: Blocks,
    sample_rate: int,
    *,
    loudness: bool | float = True,
    receipt: dict[str, Any] | None = None,
    stamp: Stamp | None = None,
) -> None:
    """Write sound that can be gone through several times.

    Args:
        path: where to; its ending chooses the format, one of `io.FORMATS`.
        blocks: finite samples.
        sample_rate: Hz.
        loudness: True brings the sound to -14 LUFS with its peak below -1 dBFS; a number is another target in LUFS;
            False keeps the level.
        receipt: for the comment tag.
        stamp: called with the finished file.

    Raises:
        ValueError: unknown ending, or the format does not hold such sound, a folder that is missing or not writable.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    target, kept = _check(path, sample_rate, blocks.channels, loudness), public(stamp, receipt)
    with atomic_path(path) as temporary:
        _write(temporary, blocks, sample_rate, target, kept)
        if stamp is not None:
            stamp(temporary, Path(path).name, receipt or {})


def save_stream(
    path: PathLike,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    *,
    loudness: bool | float = True,
    receipt: dict[str, Any] | None = None,
    stamp: Stamp | None = None,
) -> int:
    """`save` of sound that can be gone through only once; it takes a few MiB of memory however long it is.

    How loud the whole is cannot be known before its end, so it goes through a file without a name beside `path`, 4
    bytes a sample; not with `loudness=False`.

    Returns:
        The samples a channel that were written.
    """
    target, said = _check(path, sample_rate, channels, loudness), public(stamp, receipt)
    with atomic_path(path) as temporary:
        if target is None:
            counted = _Counted(blocks)
            io.write_blocks(temporary, counted, sample_rate, channels, comment=_comment(said))
            num_samples = counted.num_samples
        else:
            with DiskBlocks(temporary.parent, channels) as kept:
                for block in blocks:
                    kept.append(block)
                _write(temporary, kept, sample_rate, target, said)
                num_samples = kept.num_samples
        if stamp is not None:
            stamp(temporary, Path(path).name, receipt or {})
    return num_samples


def check_room(path: PathLike, seconds: float, sample_rate: int, channels: int) -> None:
    """Raise a ValueError unless the disk of `path` has room for what `save_stream` puts there."""
    needed = round(seconds * sample_rate * channels * (4 + 2))  # the file without a name, and at most a wav
    folder = Path(os.path.realpath(path)).parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{seconds:.0f} s of sound need about {needed / 2**30:.1f} GiB on the disk of {str(path)!r} while they are "
            f"made; {free / 2**30:.1f} GiB are free"
        )


def _comment(receipt: dict[str, Any] | None) -> str:
    return json.dumps({"clavilux": receipt}, sort_keys=True) if receipt else ""


def _check(path: PathLike, sample_rate: int, channels: int, loudness: bool | float) -> float | None:
    """The target in LUFS, None to keep the level; everything that can be wrong is found before the work."""
    io.check_format(io.format_of(path), sample_rate, channels)
    return None if loudness is False else target_of(loudness)


def target_of(loudness: bool | float) -> float:
    """LUFS of `loudness` as `save` takes it, but for False. ValueError for what is out of range."""
    target = TARGET_LUFS if loudness is True else float(loudness)
    if not -70 < target <= 0:
        raise ValueError(f"The loudness must lie between -70 and 0 LUFS, not {target}.")
    return target


def _write(path: Path, blocks: Blocks, sample_rate: int, target: float | None, receipt: dict[str, Any] | None) -> None:
    source = blocks if target is None else leveled(blocks, sample_rate, target_lufs=target)
    io.write_blocks(path, source, sample_rate, blocks.channels, comment=_comment(receipt))


class _Counted:
    """Blocks that are counted as they pass."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks, self.num_samples = blocks, 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.num_samples += block.shape[1]
            yield block
