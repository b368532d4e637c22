"""Files from outside: which may be opened, and how large they may be; and how much room the machine has.

Knows paths and sizes. Does not know what is in a file. The ground floor: imports nothing of ours.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MIB = 2**20
MIDI_ENDINGS = (".mid", ".midi")  # of what is written; those of what is read are more
_READ_AS_MIDI = (*MIDI_ENDINGS, ".rmi", ".kar")
# Bytes that a file of a kind may have; more is a mistake (a disk image, a video) or an attack.
LARGEST_BYTES = {
    "MIDI file": 64 * MIB,
    "sound file": 16_384 * MIB,
    "picture": 1024 * MIB,
    "text file": 16 * MIB,
    "JSON file": 64 * MIB,
    "token file": 4096 * MIB,
    "checkpoint": 1 << 40,
}


def check_readable(path: str | os.PathLike, kind: str) -> Path:
    """The path, if a file of this kind can be read there.

    Only regular files pass: a FIFO blocks for ever, and `/dev/zero` has no end.

    Args:
        path: of the file; links are followed.
        kind: a key of `LARGEST_BYTES`, which is also its name in the error.

    Raises:
        ValueError: nothing is there, it is no regular file, it is empty, larger than its kind may be, or it may not
            be read.
    """
    given, path = str(path), Path(path)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ValueError(f"there is no file {given!r}; give the path of a {kind}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise ValueError(f"{given!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a device or a socket"
        raise ValueError(f"{given!r} is {what}; give the path of a {kind}")
    if found.st_size == 0:
        raise ValueError(f"{given!r} is empty (0 bytes); a {kind} was expected")
    if found.st_size > LARGEST_BYTES[kind]:
        size, largest = found.st_size / MIB, LARGEST_BYTES[kind] / MIB
        raise ValueError(f"{given!r} has {size:,.0f} MiB; a {kind} may have {largest:,.0f}")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{given!r} may not be read; its permissions forbid it")
    return path


def is_midi(path: str | os.PathLike) -> bool:
    """Whether a file is called one of MIDI, or is one by its first bytes; False for what cannot be read."""
    path = Path(path)
    if path.suffix.lower() in _READ_AS_MIDI:
        return True
    if not path.is_file() or not os.access(path, os.R_OK):
        return False
    with open(path, "rb") as file:
        head = file.read(12)
    return head[:4] == b"MThd" or head[:4] == b"RIFF" and head[8:] == b"RMID"


def read_text(path: str | os.PathLike, kind: str = "text file") -> str:
    """What a file of UTF-8 holds. Raises ValueError: as `check_readable`, or it is no UTF-8."""
    try:
        return check_readable(path, kind).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is no UTF-8 from byte {error.start:,} on; save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None


def free_memory_bytes() -> int | None:
    """Main memory that is free; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    available = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return None if available is None else int(available.split()[1]) * 1024
