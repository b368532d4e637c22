"""Checks of numbers that come from outside: arguments, options and the sizes in a checkpoint's config.

One sentence each: which number, what it is, what would be right. The ground floor: imports nothing of ours.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterable
from typing import Any

LARGEST_SEED = (1 << 63) - 1


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """`value`, if it is an int (no bool) from `least` to `most`; ValueError otherwise."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} is {short(value)}; it should be a whole number from {least} to {most}")
    return value


def number_from(name: str, value: Any, least: float, most: float) -> float:
    """`value` as a float, if it is a finite number (no bool) from `least` to `most`; ValueError otherwise."""
    if not is_number(value) or not least <= value <= most:
        raise ValueError(f"{name} is {short(value)}; it should be a number from {least:g} to {most:g}")
    return float(value)


def seed_of(seed: Any) -> int:
    """The seed that was given, if it is one; a random one for None. ValueError otherwise."""
    return secrets.randbelow(2**31) if seed is None else whole_number("seed", seed, 0, LARGEST_SEED)


def check_known(what: str, given: Iterable[object], known: Collection[str]) -> None:
    """ValueError for names among those given that `what` ("a VAE", say) does not have."""
    unknown = sorted(str(name) for name in set(given) - set(known))
    if unknown:
        raise ValueError(f"{what} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def check_number(name: str, value: Any, unit: str = "") -> float:
    """`value`, an int or a float (no bool), NaN and infinity among them; TypeError for anything else.

    Args:
        unit: "seconds", say: a number of what.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {short(value)}; it should be a number{' of ' if unit else ''}{unit}")
    return value


def check_flag(name: str, value: Any) -> bool:
    """`value`, if it is True or False; ValueError otherwise."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {short(value)}; it should be true or false")
    return value


def is_number(value: Any) -> bool:
    """Whether this is an int or a float (no bool) that is finite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def short(value: object) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
