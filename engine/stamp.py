"""A stamp: what is done to a file when it is whole and before it takes its name, such as signing it.

The seam between what writes files, which does not know who signs them, and what signs them, which does not know what a
song or a picture is. The ground floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Stamp(Protocol):
    """What a song or a picture carries with it to the files that it is saved as."""

    def public(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """What of a receipt is written into the file."""
        ...

    def __call__(self, file: Path, name: str, receipt: Mapping[str, Any]) -> None:
        """Stamp a finished file.

        Args:
            file: changed in place, and left as it is where that fails; its ending says its format.
            name: what it will be called, without folders.
            receipt: how it was made, all of it.

        Raises:
            ValueError: the file cannot be stamped.
            OSError: writing failed.
        """
        ...

    def joined(self, others: Sequence[Stamp | None]) -> Stamp:
        """One for a file that shows several things: this one's, and those of others."""
        ...


def joined(stamps: Sequence[Stamp | None]) -> Stamp | None:
    """The stamp of what is put together from several things; None where none of them has one."""
    found = [stamp for stamp in stamps if stamp is not None]
    return found[0].joined(found[1:]) if found else None


def public(stamp: Stamp | None, receipt: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a receipt a file keeps: all of it without a stamp."""
    receipt = receipt or {}
    return dict(receipt) if stamp is None or not receipt else stamp.public(receipt)
