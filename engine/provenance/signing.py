"""Whether and as whom files are signed, and what they keep to themselves: the user's choice, for a while or for good.

A choice holds inside a `with`, in this thread, whatever is saved there; without one the environment decides. Knows
choices. Does not know keys or files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from clavilux.files import PathLike
from clavilux.provenance.identity import Identity

VARIABLE = "CLAVILUX_CREDENTIALS"


@dataclass(frozen=True)
class Signing:
    """How files are signed.

    Attributes:
        credentials: whether they are.
        identity: who signs; None is the user's own identity.
        private: leave out of the file what somebody wrote: prompts, lyrics, names of files.
        side_files: where a format cannot carry credentials (.ogg, .mid), write them beside it.
    """

    credentials: bool = True
    identity: Identity | None = None
    private: bool = False
    side_files: bool = False


_CHOSEN: ContextVar[Signing | None] = ContextVar("signing", default=None)


def current() -> Signing:
    """The choice that holds here: the innermost `signing`, else `CLAVILUX_CREDENTIALS` (0 is off), else signing.

    Raises:
        ValueError: `CLAVILUX_CREDENTIALS` is neither 0 nor 1.
    """
    chosen = _CHOSEN.get()
    return Signing(credentials=_by_environment()) if chosen is None else chosen


@contextmanager
def signing(
    *,
    credentials: bool | None = None,
    identity: PathLike | None = None,
    private: bool = False,
    side_files: bool = False,
) -> Iterator[None]:
    """Have what is saved inside signed otherwise than usual.

    Args:
        credentials: whether files are signed; what `CLAVILUX_CREDENTIALS` says if None.
        identity: a PEM file with a private key and its certificates; the user's own identity if None.
        private: leave out of the files what somebody wrote: prompts, lyrics, names of files.
        side_files: also write `song.ogg.c2pa` beside a file that cannot carry credentials (.ogg, .mid).

    Raises:
        ValueError: a file that is no identity, or one that is named although nothing is signed.
    """
    signs = _by_environment() if credentials is None else credentials
    if identity is not None and not signs:
        raise ValueError("an identity is given and files are not signed; leave one of the two out")
    found = None
    if identity is not None:
        from clavilux.provenance.keys import identity_in

        found = identity_in(identity)
    token = _CHOSEN.set(Signing(signs, found, private, side_files))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def _by_environment() -> bool:
    value = os.environ.get(VARIABLE, "1")
    if value not in ("0", "1"):
        raise ValueError(f"{VARIABLE} is {value!r}; it should be 0 (files are not signed) or 1")
    return value == "1"
