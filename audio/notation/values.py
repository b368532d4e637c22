"""Note values: how a stretch of time in a bar is written with whole notes, halves, dots, ties and triplets.

Knows ticks and metres. Does not know pitches or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TICKS = 48  # a quarter; a 64th is 3, a 64th of a triplet 2
NAMES = {192: "whole", 96: "half", 48: "quarter", 24: "eighth", 12: "16th", 6: "32nd", 3: "64th"}
_LENGTHS = sorted((v * (2 + dots) // 2, v, dots) for v in NAMES for dots in (0, 1) if v * (2 + dots) % 2 == 0)[::-1]
Metre = tuple[int, int]


@dataclass(frozen=True)
class Value:
    """A written value.

    Attributes:
        at, ticks: where in the bar it begins, and how long it lasts.
        name: "quarter", "eighth" ...
        dots: 0 or 1.
        triplet: three are played in the time of two.
    """

    at: int
    ticks: int
    name: str
    dots: int = 0
    triplet: bool = False


def is_compound(metre: Metre) -> bool:
    """Whether three units make a beat, as in 6/8."""
    return metre[1] >= 8 and metre[0] % 3 == 0


def beat_ticks(metre: Metre) -> int:
    """The ticks of a beat: a quarter of 4/4, a dotted quarter of 6/8."""
    unit = 4 * TICKS // metre[1]
    return 3 * unit if is_compound(metre) else unit


def written(start: int, end: int, metre: Metre) -> Iterator[Value]:
    """The values, tied together, that write a stretch of a bar without triplets; multiples of 3 ticks."""
    while start < end:
        ticks, base, dots = next(
            each for each in _LENGTHS if each[0] <= end - start and _reads_well(start, each, metre)
        )
        yield Value(start, ticks, NAMES[base], dots)
        start += ticks


def _reads_well(start: int, length: tuple[int, int, int], metre: Metre) -> bool:
    """Whether a value there leaves the beats of the metre visible."""
    ticks, base, _ = length
    beat, end = beat_ticks(metre), start + ticks
    if start // beat == (end - 1) // beat:  # within a beat
        return start % beat % max(3, base // 2) == 0
    if start % beat == 0 and ticks % beat == 0:
        return True
    middle = metre[0] * beat // 2 if metre[0] % 4 == 0 and not is_compound(metre) else None
    if is_compound(metre) or (middle is not None and start < middle < end):
        return False
    half = beat // 2
    return start % half == 0 and end % half == 0 and ticks < 2 * beat


def triplets(marks: Iterable[int], length: int, metre: Metre) -> list[tuple[int, int]]:
    """The stretches (start, end) of a bar that are written in triplets.

    Args:
        marks: where notes begin and end, in ticks of the bar.
        length: of the bar.
        metre: its metre.
    """
    inside = sorted({mark for mark in marks if 0 < mark < length})
    found: list[tuple[int, int]] = []
    step = 24 if metre[1] >= 8 else 96
    for start in range(0, length, step):
        found += _triplets_in(start, min(start + step, length), inside)
    return found


def _triplets_in(start: int, end: int, marks: list[int]) -> Iterator[tuple[int, int]]:
    here = [mark - start for mark in marks if start < mark < end]
    size = end - start
    if all(mark % 6 == 0 for mark in here):
        return
    whole = size in (96, 48, 24, 12, 6)
    third = size // 3
    fine = third if size in (96, 6) else third // 2
    if whole and all(mark % fine == 0 for mark in here) and (size == 96 or size // 2 not in here):
        yield start, end
        return
    if size <= 6:  # nothing finer is written
        return
    half = start + (size // 2 if whole else next(part for part in (96, 48, 24, 12, 6, 3) if part < size))
    yield from _triplets_in(start, half, marks)
    yield from _triplets_in(half, end, marks)


def in_triplet(start: int, end: int) -> Iterator[Value]:
    """The values of a stretch that lies within a triplet."""
    while start < end:
        nominal, base, dots = next(
            each for each in _LENGTHS if each[0] * 2 <= (end - start) * 3 and each[0] * 2 % 3 == 0
        )
        yield Value(start, nominal * 2 // 3, NAMES[base], dots, triplet=True)
        start += nominal * 2 // 3
