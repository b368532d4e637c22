"""The names of a model's genes: what a person saw, where somebody looked; numbers otherwise.

They are under "genes" in a checkpoint's config: a list of names from the first gene on, "" where none was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clavilux.checks import short
from clavilux.errors import CheckpointError


def gene_names(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """A name each. CheckpointError for a list that holds anything else, or one name twice."""
    given = config.get("genes", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise CheckpointError(f"the config's genes are {short(given)}; they should be a list of names")
    names = [name or str(number) for number, name in enumerate(given[:count], 1)]
    names += [str(number) for number in range(len(names) + 1, count + 1)]
    if len(set(names)) < count:
        raise CheckpointError(f"the config's genes are {short(given)}; no name should be there twice")
    return tuple(names)
