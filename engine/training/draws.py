"""Random numbers of a training run: each draw follows from the seed and a number, so that a run can stop anywhere.

Knows seeds and rows. Does not know what is drawn for.
"""

from __future__ import annotations

import numpy as np
import torch

ROWS, AUGMENT, NOISE, FIRST = range(4)  # streams: draws that have nothing to do with each other


def random_of(seed: int, stream: int, number: int) -> np.random.Generator:
    """Random numbers of their own for each (seed, stream, number), by Philox."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, number]))


def noise_of(seed: int, stream: int, number: int) -> torch.Generator:
    """The same for torch, on the CPU: the same numbers whatever device computes with them."""
    return torch.Generator().manual_seed(int(random_of(seed, stream, number).integers(2**62)))


def some_of(seed: int, most: int, rows: np.ndarray) -> np.ndarray:
    """int64: at most so many of `rows`, at random, always the same ones: rows lie in the order of classes."""
    return rows_of(seed, 0, min(most, len(rows)), rows)


def pieces(count: int, together: int) -> list[slice]:
    """Slices of `together` rows or fewer."""
    return [slice(start, start + together) for start in range(0, count, together)]


def rows_of(seed: int, step: int, batch: int, rows: np.ndarray) -> np.ndarray:
    """int64 [batch]: which of `rows` a step takes: all of them in a random order, then again in another."""
    first = step * batch
    rounds = range(first // len(rows), (first + batch - 1) // len(rows) + 1)
    order = np.concatenate([random_of(seed, ROWS, number).permutation(rows) for number in rounds])
    return order[first - rounds[0] * len(rows) :][:batch]
