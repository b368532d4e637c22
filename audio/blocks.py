"""Sound as a row of blocks that can be gone through more than once: in memory, or in a file without a name.

Knows memory and disks. Does not know what the sound is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clavilux.files import PathLike

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 16  # samples a channel


class Blocks(Protocol):
    """Sound of `num_samples` a channel; going through it yields float32 [C, n], each time from the beginning."""

    channels: int
    num_samples: int

    def __iter__(self) -> Iterator[np.ndarray]: ...


class ArrayBlocks:
    """Samples in memory, float32 [C, N]."""

    def __init__(self, samples: torch.Tensor) -> None:
        self._data = samples.numpy()
        self.channels, self.num_samples = self._data.shape

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, self.num_samples, BLOCK):
            yield self._data[:, start : start + BLOCK]


class DiskBlocks:
    """Samples on a disk: 4 bytes each, in a file that has no name, so that nothing is left of it however a run ends.

    A context manager.

    Args:
        folder: on whose disk.
        channels: how many.
    """

    def __init__(self, folder: PathLike, channels: int) -> None:
        self.channels, self.num_samples = channels, 0
        self._file = tempfile.TemporaryFile(dir=Path(folder))  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> DiskBlocks:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, block: np.ndarray) -> None:
        """Write float32 [C, n] to the end."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(block.T, np.float32).data)
        self.num_samples += block.shape[1]

    def __iter__(self) -> Iterator[np.ndarray]:
        self._file.flush()
        for start in range(0, self.num_samples, BLOCK):
            self._file.seek(start * self.channels * 4)
            count = min(BLOCK, self.num_samples - start)
            found = np.frombuffer(self._file.read(count * self.channels * 4), np.float32)
            yield found.reshape(count, self.channels).T


def rechunked(blocks: Iterable[np.ndarray], size: int = BLOCK) -> Iterator[np.ndarray]:
    """The same samples in blocks of exactly `size`, but for the last."""
    rest: list[np.ndarray] = []
    held = 0
    for block in blocks:
        rest.append(block)
        held += block.shape[1]
        if held < size:
            continue
        joined = np.concatenate(rest, axis=1)
        for start in range(0, held - size + 1, size):
            yield joined[:, start : start + size]
        rest = [joined[:, held // size * size :]]
        held %= size
    if held:
        yield np.concatenate(rest, axis=1)
