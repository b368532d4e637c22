"""How much of a Jukebox render is done. Knows levels and their parameters; draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clavilux.families.jukebox.cascade import LevelPlan
from clavilux.family import Progress

if TYPE_CHECKING:
    from clavilux.families.jukebox.family import Jukebox


class Work:
    """How much of a render is done, its levels weighed by their parameters."""

    def __init__(self, family: Jukebox, plans: list[LevelPlan], seconds: float, progress: Progress | None) -> None:
        self._weights = {plan.level: _weight(family, plan) for plan in plans}
        self._total = sum(self._weights[plan.level] * plan.length for plan in plans)
        self._seconds, self._progress = seconds, progress
        self._done, self._step, self._columns = 0.0, 0.0, 0

    def begins(self, plan: LevelPlan, columns: int) -> None:
        """A level, so many columns of which are there."""
        self._step, self._columns = self._weights[plan.level], columns
        self._done += columns * self._step

    def step(self) -> int:
        """Another column; how many there are."""
        self._columns += 1
        self._done += self._step
        if self._progress is not None:
            self._progress(min(1.0, self._done / self._total) * self._seconds, self._seconds)
        return self._columns

    def over(self) -> None:
        if self._progress is not None:
            self._progress(self._seconds, self._seconds)


def _weight(family: Jukebox, plan: LevelPlan) -> float:
    sizes = family.files.sizes.get(plan.level)
    return 0.0 if sizes is None else float(sizes.parameters)
