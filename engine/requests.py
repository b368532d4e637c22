"""What every model checks of a request: its length, its options, its number of pieces and their seeds."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from clavilux.checks import check_number, whole_number
from clavilux.sampling import SamplingSpec

LONGEST_S, USUAL_S = 3600.0, 20.0
MOST_ROWS = 64


def check_seconds(seconds: float) -> float:
    """The length of a piece. TypeError or ValueError for what is none."""
    if not 0 < check_number("seconds", seconds) <= LONGEST_S:
        raise ValueError(f"seconds is {seconds}; it should be above 0 and at most {LONGEST_S:g}")
    return seconds


def check_taken(model: str, options: Iterable[str], takes: Iterable[str], named: Iterable[str] = ()) -> None:
    """Raise TypeError for options that a model does not take; those that it takes are named, and `named` with them."""
    unknown = sorted({*options} - {*takes})
    if unknown:
        raise TypeError(f"{model} does not take {', '.join(unknown)}; it takes {', '.join(sorted({*takes, *named}))}")


def check_batch(batch: int) -> int:
    """How many are made side by side. Raises ValueError for what is no such number."""
    return whole_number("batch", batch, 1, MOST_ROWS)


def seeds_of(seed: int | Sequence[int] | None, rows: int) -> list[int]:
    """A seed a row: a list's own, or one number and those that follow it."""
    if seed is None:
        seed = secrets.randbelow(2**31)
    if isinstance(seed, (list, tuple)):
        if len(seed) != rows:
            raise ValueError(f"there are {len(seed)} seeds; there should be one for each of {rows} pieces")
        seeds = list(seed)
    else:
        if type(seed) is not int:
            raise TypeError(f"seed is {seed!r}; it should be a whole number")
        seeds = [seed + row for row in range(rows)]
    SamplingSpec(seed=tuple(seeds))  # checks each
    return seeds
