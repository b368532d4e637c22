"""Keys of a mark: the public one that anyone can look for, and private ones in files of their own.

Knows secrets, and gives out only what is made of them: settings and receipts that are kept name a key by its id. What a
mark is, is `marking`'s.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clavilux.files import PathLike

VARIABLE = "CLAVILUX_MARK"
NONE = "none"  # what is said where no mark was wanted; where nothing is said there is none either
_DIGITS = 64


@dataclass(frozen=True)
class MarkKey:
    """A secret that draws are keyed with; it is never shown.

    Attributes:
        secret: 32 bytes.
        name: whose it is, in a sentence's words.
    """

    secret: bytes = field(repr=False)
    name: str = "a private key"

    @property
    def id(self) -> str:
        """8 hexadecimal digits, which tell keys apart and say nothing of the secret."""
        return hashlib.sha256(b"clavilux mark id" + self.secret).hexdigest()[:8]

    def word(self, kind: str) -> int:
        """64 bits for a kind of tokens, as an int64: what the noise is keyed with."""
        digest = hashlib.sha256(b"clavilux mark 1" + self.secret + kind.encode()).digest()
        return int.from_bytes(digest[:8], "little", signed=True)


MarkChoice = MarkKey | PathLike | bool | None  # as `key_of` takes it
OwnKey = MarkKey | PathLike | None  # a private key, or its file
PUBLIC = MarkKey(hashlib.sha256(b"made with Clavilux").digest(), "the public key of Clavilux")


def key_of(mark: MarkChoice) -> MarkKey | None:
    """The key that a call draws with; None for no mark.

    Args:
        mark: a key; the file of a private one, which is made if it does not exist; True: the public key; False: none;
            None: the public key, or none where the environment has CLAVILUX_MARK=0.

    Raises:
        ValueError: a file that is no key, or cannot be read or made; or CLAVILUX_MARK is neither 0 nor 1.
        TypeError: something else.
    """
    if isinstance(mark, MarkKey):
        return mark
    if mark is None:
        return PUBLIC if _by_environment() else None
    if isinstance(mark, bool):
        return PUBLIC if mark else None
    if isinstance(mark, (str, Path)):
        return read_key(mark) if Path(mark).exists() else new_key(mark)
    raise TypeError(f"mark is a {type(mark).__name__}; it should be True, False, a key or a key's file")


def own_key(given: OwnKey) -> MarkKey | None:
    """The key that is given, or the one in its file. ValueError for a file that is no key."""
    return given if isinstance(given, MarkKey) or given is None else read_key(given)


def said(key: MarkKey | None, *, drawn: bool = True) -> dict[str, str]:
    """What settings keep of a mark: its key's id; that none was wanted; nothing where nothing could carry one.

    Args:
        key: as `key_of` gives it.
        drawn: whether anything is drawn by chance, which alone can carry a mark.
    """
    if key is None:
        return {"mark": NONE}
    return {"mark": key.id} if drawn else {}


def is_said(value: object) -> bool:
    """Whether `said` may have kept this as the mark."""
    return isinstance(value, str) and re.fullmatch(f"{NONE}|[0-9a-f]{{8}}", value) is not None


def id_said(settings: Mapping[str, Any]) -> str | None:
    """The id of the key in settings that hold what `said` gave; None for no mark."""
    held = settings.get("mark", NONE)
    return None if held == NONE else held


def in_receipt(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a receipt says of the mark in such settings."""
    held = id_said(settings)
    if held is not None:
        return {"mark": {"key": held}}
    return {"mark": NONE} if "mark" in settings else {}


def _by_environment() -> bool:
    """Whether a mark is drawn where nothing else is said."""
    value = os.environ.get(VARIABLE, "1").strip()
    if value not in ("", "0", "1"):
        raise ValueError(f"{VARIABLE} is {value!r}; it should be 1, or 0 for no mark in what is drawn")
    return value != "0"


def read_key(path: PathLike) -> MarkKey:
    """The private key in a file of 64 hexadecimal digits. ValueError for what is none; the error shows none of it."""
    try:
        text = Path(path).read_bytes()[: 4 * _DIGITS].strip().decode("ascii")
        secret = bytes.fromhex(text)
    except OSError as error:
        raise ValueError(f"the key file {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError:
        secret = b""
    if len(secret) * 2 != _DIGITS:
        raise ValueError(f"{str(path)!r} is no key of a mark: it should hold {_DIGITS} hexadecimal digits")
    return MarkKey(secret)


def new_key(path: PathLike) -> MarkKey:
    """A new private key in a new file that only its owner can read. ValueError where it cannot be made."""
    secret = secrets.token_bytes(_DIGITS // 2)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ValueError(f"the key file {str(path)!r} cannot be made: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
    return MarkKey(secret)
