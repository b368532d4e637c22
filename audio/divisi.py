"""Divisi: the notes of one program for several players of it, each with one note at a time as far as that goes.

Knows notes. Does not know who wrote them, nor which programs have several players.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_EPSILON = 1e-6  # quarters


class Divisi:
    """Gives notes to players as they are written, a piece at a time.

    Args:
        players: General MIDI program -> how many play it, one note at a time each; programs that are not named have one
            player, with as many notes as there are.
    """

    def __init__(self, players: Mapping[int, int]) -> None:
        self._desks = {program: _Desk(count) for program, count in players.items()}

    def divided(self, notes: np.ndarray) -> np.ndarray:
        """The player of each of `PART_NOTE` records, int64 [N] from 0; none of them begins before those that came.

        Of notes that begin together the highest is the first player's. Fewer than there are players go to those who are
        free, the first of them first, or are so soonest. A pitch that sounds is struck again by who holds it, so that
        it ends there.
        """
        found = np.zeros(len(notes), np.int64)
        for program, desk in self._desks.items():
            own = np.flatnonzero(~notes["drum"] & (notes["program"] == program))
            own = own[np.lexsort((-notes["pitch"][own], notes["start"][own]))]
            for together in np.split(own, np.flatnonzero(np.diff(notes["start"][own]) > _EPSILON) + 1):
                found[together] = desk.given(notes[together])
        return found


class _Desk:
    """The players of a program, and until when each of them plays."""

    def __init__(self, count: int) -> None:
        self._ends = [0.0] * count
        self._held: dict[int, tuple[int, float]] = {}  # pitch -> (who had it last, its end)

    def given(self, notes: np.ndarray) -> list[int]:
        """Who plays notes that begin together, the highest first."""
        if not len(notes):
            return []
        start = float(notes["start"][0]) + _EPSILON
        free = [player for player, end in enumerate(self._ends) if end <= start]
        busy = sorted((player for player, end in enumerate(self._ends) if end > start), key=self._ends.__getitem__)
        chosen = sorted([*free, *busy][: len(notes)])
        given = []
        for place, note in enumerate(notes):
            pitch, end = int(note["pitch"]), float(note["start"] + note["duration"])
            holder, until = self._held.get(pitch, (0, 0.0))
            player = holder if until > start else chosen[min(place, len(chosen) - 1)]
            self._held[pitch] = player, end
            self._ends[player] = max(self._ends[player], end)
            given.append(player)
        return given
