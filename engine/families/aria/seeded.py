"""Draws of what a seed decides before a note is composed: the same for the same seed and name everywhere.

Knows seeds and weights. Does not know what is chosen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def draw(seed: int, name: str) -> float:
    """0 to 1 (strings seed by SHA-512)."""
    return random.Random(f"{seed}:{name}").random()


def weighted(choices: Sequence[tuple[T, float]], seed: int, name: str) -> T:
    """One of (choice, weight), each as likely as it weighs."""
    at = draw(seed, name) * sum(weight for _, weight in choices)
    for choice, weight in choices:
        at -= weight
        if at < 0:
            return choice
    return choices[-1][0]
