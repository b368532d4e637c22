"""Arithmetic of latents: drawn, mixed, turned towards each other, changed a little.

Knows vectors whose numbers are normally distributed, so that a mix keeps the length of what it is mixed from. Results
are rounded to `PLACES` decimals: a genome's file holds them whole, and other processors' last bits do not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

PLACES = 4
_PARALLEL = 1e-6  # of a sine: below it two vectors have no plane between them


def normals(seed: int, stream: int, count: int) -> np.ndarray:
    """float64 [count] of a normal distribution: Philox-4x64 with the key (seed, stream), by Box and Muller's formula.

    The bits are the same everywhere and for ever, which is promised of `random_raw` and of no distribution in numpy.
    """
    words = np.random.Philox(key=[seed, stream]).random_raw(2 * math.ceil(count / 2))
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # above 0, below 1
    first, second = uniform.reshape(2, -1)
    radius, angle = np.sqrt(-2 * np.log(first)), 2 * np.pi * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def uniforms(seed: int, stream: int, count: int) -> np.ndarray:
    """float64 [count], above 0 and below 1, as `normals` has its bits."""
    words = np.random.Philox(key=[seed, stream]).random_raw(count)
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def rounded(vector: np.ndarray) -> tuple[float, ...]:
    """As a genome holds it."""
    return tuple((np.round(vector, PLACES) + 0.0).tolist())  # + 0: no -0.0


def mixed(vectors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The weighted sum of vectors, brought to their weighted length: a plain mean of normal vectors is too short.

    All weight on one gives exactly this one.
    """
    total: np.ndarray = np.asarray(weights) @ np.stack(vectors)
    length = float(np.linalg.norm(total))
    wanted = sum(weight * float(np.linalg.norm(vector)) for weight, vector in zip(weights, vectors, strict=True))
    return total * (wanted / length) if length > _PARALLEL * max(wanted, 1e-30) else np.zeros_like(vectors[0])


def slerp(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """The vector so far on the arc from the first (0) to the second (1): Shoemake 1985. In a line where no arc is."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    cosine = float(np.clip(first @ second / lengths, -1, 1)) if lengths else 1.0
    angle = math.acos(cosine)
    sine = math.sin(angle)
    if sine < _PARALLEL:
        return (1 - share) * first + share * second
    return math.sin((1 - share) * angle) / sine * first + math.sin(share * angle) / sine * second


def turned(vector: np.ndarray, noise: np.ndarray, strength: float) -> np.ndarray:
    """A vector that is turned towards noise of its own distribution: 0 leaves it, 1 leaves nothing of it."""
    angle = strength * math.pi / 2
    kept, new = (1.0, 0.0) if strength == 0 else (math.cos(angle), math.sin(angle))
    return kept * vector + new * noise


def drawn_shares(seed: int, stream: int, count: int) -> tuple[float, ...]:
    """Shares of `count` parents that sum to 1, from a Dirichlet distribution of 2 each: siblings take after different
    parents, and of two parents one child in eighteen has nine tenths of either.
    """
    return shares((-np.log(uniforms(seed, stream, 2 * count))).reshape(count, 2).sum(1).tolist())


def shares(weights: Sequence[float]) -> tuple[float, ...]:
    """Weights of 0 and more, not all 0, brought to the sum 1 and rounded as a genome holds them."""
    total = sum(weights)
    found = [round(weight / total, PLACES) for weight in weights]
    largest = max(range(len(found)), key=lambda place: found[place])
    found[largest] = round(found[largest] + 1 - sum(found), PLACES)  # what rounding left over
    return tuple(found)
