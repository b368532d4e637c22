"""Files: which of those from outside may be opened, and how ours are written: whole or not at all.

Knows paths and sizes, and how much memory is free. Does not know what is in a file. The ground floor.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import stat
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PathLike = str | os.PathLike[str]

MIB = 2**20
MIDI_ENDINGS = (".mid", ".midi")  # of what is written; those of what is read are more
SCORE_ENDINGS = (*MIDI_ENDINGS, ".musicxml", ".abc")  # all of notes that are written
PAGE_ENDINGS = (".svg", ".png", ".txt")  # of what a score is drawn as, and of a sheet of its chords
NOTATION_READ = (".musicxml", ".mxl", ".xml", ".abc")  # beside MIDI
_READ_AS_MIDI = (*MIDI_ENDINGS, ".rmi", ".kar")
# Bytes that a file of a kind may have; more is a mistake (a disk image, a video) or an attack.
LARGEST_BYTES = {
    "MIDI file": 64 * MIB,
    "sound file": 16_384 * MIB,
    "sound, picture or score": 16_384 * MIB,
    "score file": 64 * MIB,
    "SoundFont": 8192 * MIB,
    "picture": 1024 * MIB,
    "text file": 16 * MIB,
    "JSON file": 64 * MIB,
    "token file": 4096 * MIB,
    "checkpoint": 1 << 40,
}
_HOST = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:32] or "host"
_LONGEST_STEM = 80  # of a temporary name: a file's name may have 255 bytes, and more is added to it


def checked_folder(folder: PathLike, holds: str) -> Path:
    """The folder, if it can be listed; ValueError otherwise, which says what it should hold: "pictures in it"."""
    path = Path(folder)
    if not path.exists():
        raise ValueError(f"there is no folder {str(folder)!r}; give one with {holds}")
    if not path.is_dir():
        raise ValueError(f"{str(folder)!r} is a file; give a folder with {holds}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise ValueError(f"the folder {str(folder)!r} may not be read; its permissions forbid it")
    return path


def check_readable(path: PathLike, kind: str) -> Path:
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


def is_midi(path: PathLike) -> bool:
    """Whether a file is called one of MIDI, or is one by its first bytes; False for what cannot be read."""
    path = Path(path)
    if path.suffix.lower() in _READ_AS_MIDI:
        return True
    if not path.is_file() or not os.access(path, os.R_OK):
        return False
    with open(path, "rb") as file:
        head = file.read(12)
    return head[:4] == b"MThd" or head[:4] == b"RIFF" and head[8:] == b"RMID"


def is_score(path: PathLike) -> bool:
    """Whether a file is of notes: MIDI, or by its name one of notation that is read."""
    return Path(path).suffix.lower() in NOTATION_READ or is_midi(path)


def read_text(path: PathLike, kind: str = "text file") -> str:
    """What a file of UTF-8 holds. Raises ValueError: as `check_readable`, or it is no UTF-8."""
    try:
        return check_readable(path, kind).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is no UTF-8 from byte {error.start:,} on; save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None


def check_target(path: PathLike) -> None:
    """Raise a ValueError unless a file can be written at `path`; it may exist already."""
    given, path = str(path), Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise ValueError(f"{given!r} is not a regular file; give the name of a file.")
    _check_parent(given, path)


def check_new_folder(path: PathLike) -> None:
    """Raise a ValueError unless a folder can be made at `path`: an empty one may be there."""
    given, path = str(path), Path(os.path.realpath(path))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{given!r} is there already; give the name of a new folder")
    _check_parent(given, path)


@contextmanager
def new_folder(path: PathLike) -> Iterator[Path]:
    """Yield a folder to fill, which takes its name `path` at the end; whatever goes wrong, nothing is left.

    Raises:
        ValueError: as `check_new_folder`.
    """
    check_new_folder(path)
    target = Path(path)
    place = target.with_name(f".{target.name[:_LONGEST_STEM]}.{uuid.uuid4().hex[:8]}.part")
    place.mkdir()
    try:
        yield place
        if target.is_dir():  # an empty one, which not every system replaces
            target.rmdir()
        place.rename(target)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def check_ending(path: PathLike, endings: Collection[str]) -> str:
    """The ending of `path`, lower case, if it is one of `endings`; otherwise a ValueError."""
    ending = Path(path).suffix.lower()
    if ending not in endings:
        *others, last = endings
        raise ValueError(f"{str(path)!r} should end in {', '.join(others)}{' or ' if others else ''}{last}")
    return ending


def _check_parent(given: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"Cannot write {given!r}: there is no folder {str(path.parent)!r}.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"Cannot write {given!r}: the folder {str(path.parent)!r} is not writable.")


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its ending; on success it takes the name `path` in one step.

    Whatever goes wrong inside, Ctrl-C included, the temporary file is removed and an existing `path` stays as
    it was. After `kill -9` only the hidden temporary file can remain; the next save to that name removes it.

    Raises:
        ValueError: `path` is not a place where a file can be written.
        OSError: writing failed, in one sentence.
    """
    given, path = str(path), Path(os.path.realpath(path))
    check_target(given)
    _remove_stale(path)
    number = f"{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary = path.with_name(f".{path.stem[:_LONGEST_STEM]}.{number}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"Could not write {given!r}: {error.strerror or error}; nothing was saved.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: Mapping[str, Any], path: PathLike) -> None:
    """Write an object as JSON, the whole file or nothing. ValueError for a number that is not finite, too."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def sha256_of(path: PathLike) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_stale(path: Path) -> None:
    """Remove temporary files of ours for this target whose process on this machine has ended."""
    if os.name == "nt":  # os.kill(pid, 0) would end the process there
        return
    name, ending = re.escape(path.stem[:_LONGEST_STEM]), re.escape(path.suffix)
    pattern = re.compile(rf"\.{name}\.{_HOST}-(\d+)-[0-9a-f]{{8}}\.part{ending}")
    for found in path.parent.iterdir():
        match = pattern.fullmatch(found.name)
        if match and not _is_running(int(match[1])):
            found.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, as somebody else
        return True
    return True


def free_memory_bytes() -> int | None:
    """Main memory that can be had without swapping; None where the system does not say."""
    import psutil

    try:
        return psutil.virtual_memory().available
    except OSError:  # a sandbox without /proc
        return None
