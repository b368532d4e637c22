"""A render that can be killed: what was asked for, and every token as it was drawn, in a folder.

`job.json` says what was asked for. `level-N.tokens` begins with one line of JSON, what its tokens were drawn with, and
goes on in frames: a count of steps, a checksum, and the steps' tokens, 16 or 32 bits each. What a crash cut short or
garbled is dropped, back to the last whole frame. Knows files; does not know what a token means or how it is drawn.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from clavilux.errors import CheckpointError
from clavilux.families.jukebox.job_settings import check_rest, check_settings
from clavilux.files import atomic_path, check_readable, read_text

FORMAT = 1
_HEAD = struct.Struct("<II")  # steps of the frame, CRC-32 of its bytes
_MOST_S = 0.5  # seconds of drawing that a crash may cost
_MOST_STEPS = 512
_GIVEN = "given.safetensors"
_LEFT = (_GIVEN, "job.json")


class Journal:
    """The folder of one render. Only one process can hold it.

    Attributes:
        folder: where it is.
        job: what was asked for, JSON values.

    Raises:
        ValueError: no job there, one of another format, or one that another process is at.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.job = read_job(folder)
        # The system lets go of it when a process ends, however it ends; and another thread may close the journal.
        self._lock = FileLock(folder / "lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"{str(folder)!r} is being worked on by another process; wait for it, or end it") from None

    @classmethod
    def create(cls, folder: Path, job: dict[str, Any], given: dict[int, Tensor]) -> Journal:
        """Begin a render in a new folder, or in an empty one.

        Args:
            folder: where; the folder that holds it is there.
            job: what is asked for, JSON values.
            given: int64 [1, n] tokens that a level begins with.

        Raises:
            ValueError: there is a job already, or something else.
        """
        check_free(folder)
        folder.mkdir(exist_ok=True)
        tensors = {str(level): tokens.to(torch.int32).contiguous() for level, tokens in given.items()}
        with atomic_path(folder / _GIVEN) as temporary:
            temporary.write_bytes(save(tensors))
        _write(folder, job)  # last: with it there is a job
        return cls(folder)

    def update(self, settings: dict[str, Any]) -> None:
        """Change the job's settings."""
        self.job["settings"] = settings
        _write(self.folder, self.job)

    def given(self) -> dict[int, Tensor]:
        """What levels begin with, as `create` took it. Raises CheckpointError for a damaged file."""
        path = self.folder / _GIVEN
        try:
            data = check_readable(path, "token file").read_bytes()
            found = {int(level): tokens.long() for level, tokens in load(data).items()}
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{str(path)!r} is damaged: {error}") from None
        for level, tokens in found.items():
            if tokens.ndim != 2 or len(tokens) != 1 or tokens.numel() and int(tokens.min()) < 0:
                raise CheckpointError(f"{str(path)!r} is damaged: what level {level} begins with is no row of tokens")
        return found

    def level(self, level: int, head: dict[str, Any], rows: int) -> LevelJournal:
        """The tokens of a level, drawn with what `head` says (JSON values), `rows` of them a step.

        Raises:
            CheckpointError: those that are there were drawn with something else; it says what differs.
        """
        return LevelJournal(self.folder / f"level-{level}.tokens", {"level": level, "rows": rows, **head})

    @property
    def settings(self) -> dict[str, Any]:
        """What the tokens depend on. Raises CheckpointError where they cannot be a render's."""
        where = f"the job in {str(self.folder)!r}"
        check_rest(self.job, where)
        return check_settings(self.job, where)

    def close(self) -> None:
        """Let another process have it."""
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_job(folder: Path) -> dict[str, Any]:
    """A folder's job.json. Raises ValueError: there is none, it is no JSON object, or of another format."""
    path = folder / "job.json"
    if not os.path.lexists(path):
        raise ValueError(f"{str(folder)!r} holds no job.json; give the folder of a render")
    try:
        job = json.loads(read_text(path, "JSON file"), parse_constant=_no_number)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from None
    except RecursionError:
        raise ValueError(f"{str(path)!r} cannot be read: its brackets are nested too deeply") from None
    if not isinstance(job, dict) or job.get("format") != FORMAT:
        raise ValueError(f"{str(path)!r} is no job of format {FORMAT}, which this version writes and reads")
    return job


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def facts(folder: Path) -> dict[str, Any]:
    """What a job is and how far it is, JSON values, also while a process is at it.

    Raises:
        ValueError: no job there.
        CheckpointError: it is damaged.
    """
    job, where = read_job(folder), f"the job in {str(folder)!r}"
    settings = check_settings(job, where)
    words = job.get("words")
    found = {
        "kind": "job", "model": words.get("model", "not stated") if isinstance(words, dict) else "not stated",
        "duration_s": settings["seconds"], "songs": len(settings["seeds"]), "seeds": settings["seeds"],
    }  # fmt: skip
    for level in settings["levels"]:
        path = folder / f"level-{level}.tokens"
        if not path.exists():
            found[f"level_{level}"] = "not begun"
            continue
        line, whole, _ = (data := check_readable(path, "token file").read_bytes()).partition(b"\n")
        if not whole:
            found[f"level_{level}"] = "not begun"
            continue
        rows, vocabulary, lanes, total = _head_numbers(line, path)
        steps = sum(len(body) for body, _ in whole_frames(data, len(line) + 1, rows, dtype_of(vocabulary))) // rows
        found[f"level_{level}"] = f"{min(steps * lanes, total)} of {total} tokens"
    return found


def _head_numbers(line: bytes, path: Path) -> list[int]:
    """rows, vocabulary, lanes and total out of a level's first line. Raises CheckpointError."""
    try:
        head = json.loads(line)
        numbers = [head[name] for name in ("rows", "vocabulary", "lanes", "total")]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(f"{str(path)!r} does not begin with what its tokens were drawn with") from None
    if not all(type(number) is int and 1 <= number <= 1 << 32 for number in numbers):
        raise CheckpointError(f"{str(path)!r} is damaged: rows, vocabulary, lanes and total are {numbers}")
    return numbers


def dtype_of(vocabulary: int) -> np.dtype:
    """What a token of a level is kept as."""
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


def whole_frames(data: bytes, start: int, rows: int, dtype: np.dtype) -> Iterator[tuple[np.ndarray, int]]:
    """(tokens of a frame, flat; where it ends) up to the first frame that is cut short or garbled."""
    while start + _HEAD.size <= len(data):
        count, checksum = _HEAD.unpack_from(data, start)
        size = count * rows * dtype.itemsize
        body = data[start + _HEAD.size : start + _HEAD.size + size]
        if not count or len(body) < size or zlib.crc32(body) != checksum:
            return
        start += _HEAD.size + size
        yield np.frombuffer(body, dtype), start


def check_free(folder: Path) -> None:
    """Raise ValueError where no job can begin: there is one, or something else."""
    if (folder / "job.json").exists():
        raise ValueError(
            f"{str(folder)!r} is a job already; `clavilux resume` goes on with it, and another needs a folder of its "
            "own (job, --job)"
        )
    others = folder.is_dir() and [
        path.name for path in folder.iterdir() if not path.name.lstrip(".").startswith(_GIVEN)
    ]
    if others or folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is there and is no job; a job needs a folder of its own (job, --job)")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {str(folder.absolute().parent)!r} to keep the job in")


def _write(folder: Path, job: dict[str, Any]) -> None:
    with atomic_path(folder / "job.json") as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **job}, indent=1), encoding="utf-8")


class LevelJournal:
    """The tokens of one level, appended to as they are drawn.

    Attributes:
        tokens: int64 [rows, n], those that were there when it was opened.
    """

    def __init__(self, path: Path, head: dict[str, Any]):
        self._path, self._rows = path, head["rows"]
        self._dtype = dtype_of(head.get("vocabulary", 0))
        line = json.dumps(head, sort_keys=True).encode() + b"\n"
        data = check_readable(path, "token file").read_bytes() if path.exists() and path.stat().st_size else b""
        begun, _, _ = data.partition(b"\n")
        if begun + b"\n" != line and b"\n" in data:
            raise CheckpointError(f"{str(path)!r} does not match: {_difference(begun, head)}")
        found = list(whole_frames(data, len(line), self._rows, self._dtype)) if b"\n" in data else []
        steps, end = [body for body, _ in found], found[-1][1] if found else len(line)
        self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115  held until `close`
        if b"\n" not in data:
            self._file.write(line)
        self._file.truncate(end)
        self._file.seek(end)
        self._sync()
        flat = np.concatenate(steps) if steps else np.zeros(0, self._dtype)
        self.tokens = torch.from_numpy(flat.reshape(-1, self._rows).T.astype(np.int64))
        self._pending: list[np.ndarray] = []
        self._written = time.monotonic()

    def append(self, tokens: Tensor) -> None:
        """Take a step's tokens, int64 [rows]; they are on the disk half a second later at the latest."""
        self._pending.append(tokens.cpu().numpy().astype(self._dtype))
        if len(self._pending) >= _MOST_STEPS or time.monotonic() - self._written > _MOST_S:
            self.flush()

    def flush(self) -> None:
        """Bring everything to the disk."""
        if self._pending:
            body = np.concatenate(self._pending).tobytes()
            self._file.write(_HEAD.pack(len(self._pending), zlib.crc32(body)) + body)
            self._pending = []
            self._sync()
        self._written = time.monotonic()

    def close(self) -> None:
        """Flush, and let go of the file."""
        self.flush()
        self._file.close()

    def __enter__(self) -> LevelJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def _difference(begun: bytes, head: dict[str, Any]) -> str:
    try:
        was = json.loads(begun)
    except ValueError:
        return "its first line is damaged"
    names = [name for name in sorted({*was, *head}) if was.get(name) != head.get(name)]
    changed = ", ".join(f"{name} was {was.get(name)!r} and is {head.get(name)!r}" for name in names)
    return f"its tokens were drawn with something else ({changed})"
