"""How dense pieces of a kind are in each metre: `densities.txt` holds counts, sparse, medium and dense, of pieces that
aria learned from. Knows no seeds.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from clavilux.families.aria.styles import Metre


def usual_densities(label: str, metre: Metre) -> list[float]:
    """How usual each is in a kind of music that a composer knows; a third each where none of it is in the metre."""
    return _counted().get(f"{label}, {metre[0]}/{metre[1]}", [1.0, 1.0, 1.0])


@cache
def _counted() -> dict[str, list[float]]:
    lines = (Path(__file__).parent / "densities.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split(": ") for line in lines if not line.startswith("#"))
    return {name: [float(count) for count in counts.split()] for name, counts in rows}
