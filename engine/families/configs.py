"""What a config says, as a family reads it: anyone may have edited it, so any value may be of any kind.

Knows how an error reads. Does not know what any config should say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clavilux.checks import short
from clavilux.errors import CheckpointError


@contextmanager
def describing(label: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while a config is read into a CheckpointError of one sentence.

    The interpreter's own words ("'NoneType' object is not iterable") say nothing to whoever has the file: only what was
    raised on purpose is repeated.

    Args:
        label: what the error calls the config.
        what: what it should describe.
    """
    try:
        yield
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{label} lacks {error.args[0]!r}") from None
    except ValueError as error:
        raise CheckpointError(f"{label} describes no {what}: {error}") from None
    except (TypeError, AttributeError, ArithmeticError, LookupError, RecursionError) as error:
        ours = isinstance(error, TypeError) and "; it should" in str(error)
        said = str(error) if ours else "one of its values is of another kind than it should be, or out of range"
        raise CheckpointError(f"{label} describes no {what}: {said}") from None


def section(config: Mapping[str, Any], name: str, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An object inside a config. ValueError for what is none; KeyError if there is none, unless there is a default."""
    value = config[name] if default is None else config.get(name, default)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {short(value)}; it should be an object")
    return value
