"""What a job.json must hold, and of what kind, before anything is done with it: anyone may have edited it.

Knows names and types. What a setting means is the family's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from clavilux.errors import CheckpointError
from clavilux.mark_key import is_said

MOST_SEEDS, LONGEST_S = 64, 3600.0

Check = Callable[[Any], bool]


def check_settings(job: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings of a job. Raises CheckpointError, with `where` it stands, for what they cannot be."""
    settings = job.get("settings")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{where} is damaged: it holds no settings")
    for name, (right, kind) in {**_ALL, **_BY_LEVEL}.items():
        if name not in settings:
            raise CheckpointError(f"{where} is damaged: its settings lack {name!r}")
        value, by_level = settings[name], name in _BY_LEVEL
        parts = value.values() if by_level and isinstance(value, dict) else [value]
        if by_level and not isinstance(value, dict) or not all(right(part) for part in parts):
            each = "for each level " if by_level else ""
            raise CheckpointError(f"{where} is damaged: {name} is {str(value)[:60]!r}; it should be {each}{kind}")
    mark = settings.get("mark")  # which jobs without one do not say
    if mark is not None and not is_said(mark):
        raise CheckpointError(f"{where} is damaged: mark is {str(mark)[:60]!r}; it should be a key's id, or 'none'")
    for name in ("hops", "temperatures"):
        lacking = [level for level in settings["levels"] if str(level) not in settings[name]]
        if lacking:
            raise CheckpointError(f"{where} is damaged: {name} lacks level {lacking[0]}")
    return settings


def check_rest(job: dict[str, Any], where: str) -> None:
    """As `check_settings`, of what stands beside them."""
    for name, (right, kind) in _BESIDE.items():
        if not right(job.get(name)):
            raise CheckpointError(f"{where} is damaged: {name} is {str(job.get(name))[:60]!r}; it should be {kind}")


def _whole(least: int, most: int = 2**63 - 1) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def _number(least: float, most: float = math.inf) -> Check:
    return lambda value: type(value) in (int, float) and value <= 1e300 and least <= value <= most


def _listed(right: Check, fewest: int = 0, most: int = 2**31) -> Check:
    return lambda value: isinstance(value, list) and fewest <= len(value) <= most and all(map(right, value))


def _levels(value: Any) -> bool:
    """As a render has them: downwards, without a gap."""
    return _listed(_whole(0, 9), 1)(value) and value == list(range(value[0], value[0] - len(value), -1))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for part in value.values())


_ALL: dict[str, tuple[Check, str]] = {
    "seconds": (lambda value: _number(0, LONGEST_S)(value) and value > 0, f"a number above 0 up to {LONGEST_S:g}"),
    "levels": (_levels, "levels one below the other, such as [2, 1, 0]"),
    "song_samples": (_whole(1), "a whole number above 0"),
    "given": (lambda value: isinstance(value, dict), "tokens by level"),
    "seeds": (_listed(_whole(-(2**63), 2**64 - 1), 1, MOST_SEEDS), f"1 to {MOST_SEEDS} whole numbers"),
    "dtype": (_text, "a dtype's name"),
    "lyrics": (_text, "a text"),
    "characters": (_listed(_whole(0)), "whole numbers"),
    "top_k": (_whole(0), "a whole number"),
    "top_p": (_number(0, 1), "a number from 0 to 1"),
    "parallel_windows": (_whole(1), "a whole number above 0"),
}
_BY_LEVEL: dict[str, tuple[Check, str]] = {
    "artist": (_whole(0), "a whole number"),
    "genres": (_listed(_whole(0)), "whole numbers"),
    "temperatures": (_number(0), "a number"),
    "hops": (lambda value: _number(0, 1)(value) and value > 0, "a share above 0 up to 1"),
}
_BESIDE: dict[str, tuple[Check, str]] = {
    "checkpoint": (_texts, "the checkpoint's files and what identifies each"),
    "device": (_text, "a device's name"),
    "notes": (_listed(_text), "sentences"),
    "words": (lambda value: isinstance(value, dict), "what the command was told"),
}
