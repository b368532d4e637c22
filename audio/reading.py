"""Reading sound files, block by block to their real end, whatever their headers say; and saying what is missing.

Knows wav, flac, ogg, mp3 and what else libsndfile decodes. Does not know what the sound is.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import soundfile

from clavilux.audio import containers
from clavilux.files import PathLike, check_readable, free_memory_bytes, is_midi

if TYPE_CHECKING:
    import torch

KIND = "sound file"
_BLOCK = 1 << 16  # samples a channel at a time


@dataclass(frozen=True)
class Sound:
    """What a sound file holds.

    Attributes:
        samples: float32 [C, N]; full scale is 1.0.
        sample_rate: Hz.
        comment: of the comment tag; empty if there is none.
        remarks: what is wrong with the file, such as "cut off: the header promises 12.0 s, 7.3 s are there".
    """

    samples: torch.Tensor
    sample_rate: int
    comment: str
    remarks: tuple[str, ...]


def read(path: PathLike, *, strict: bool = False) -> Sound:
    """Read a sound file.

    Args:
        path: of the file.
        strict: refuse a file that is damaged or cut off, of which there would be `remarks`.

    Raises:
        ValueError: the file is missing, empty, not sound, holds no samples, holds NaN or infinity, changes its rate or
            its channels on the way, or is more than the memory can take; or `strict` refuses it.
    """
    with SoundReader(path, strict=strict) as reader:
        blocks = list(_within_memory(reader))
        samples = np.empty((reader.channels, reader.num_samples), np.float32)
        position = samples.shape[1]
        while blocks:  # from the end, and each is let go: the sound stands in memory once
            block = blocks.pop()
            samples[:, position - len(block) : position] = block.T
            position -= len(block)
        import torch  # looking at a file needs none

        return Sound(torch.from_numpy(samples), reader.sample_rate, reader.comment, reader.remarks)


def _within_memory(reader: SoundReader) -> Iterator[np.ndarray]:
    free, held = free_memory_bytes(), 0
    for block in reader:
        held += block.nbytes
        if free is not None and held > 0.8 * free:
            raise ValueError(
                f"{reader.path!r} is longer than {reader.num_samples / reader.sample_rate:.0f} s, too long for the "
                f"{free / 2**30:.1f} GiB of memory that are free"
            )
        yield block


class SoundReader:
    """A sound file as a row of blocks, float32 [n, C]; a context manager, and iterated over once. Raises as `read`.

    Attributes:
        path: as it was given.
        sample_rate: Hz.
        channels: how many.
        comment: of the comment tag.
        num_samples: a channel, that were read so far.
        remarks: known when the last block was read.
    """

    def __init__(self, path: PathLike, *, strict: bool = False) -> None:
        self.path, self.num_samples, self._strict = str(path), 0, strict
        self.remarks: tuple[str, ...] = ()
        checked = check_readable(path, KIND)
        try:
            self._file = open(checked, "rb")  # noqa: SIM115 - closed in __exit__
        except OSError as error:
            raise ValueError(f"{self.path!r} cannot be read: {error.strerror or error}") from error
        try:
            self._plan = containers.plan_of(self._file, os.fstat(self._file.fileno()).st_size)
            self._decoder = self._opened(self._plan.links[0])
        except BaseException:
            self._file.close()
            raise
        self.sample_rate, self.channels = self._decoder.samplerate, self._decoder.channels
        self.comment = self._decoder.comment

    def __enter__(self) -> SoundReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()
        self._file.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        damage = ""
        for number, link in enumerate(self._plan.links):
            if number:
                self._decoder.close()
                self._decoder = self._opened(link)
                self._check_alike()
            while not damage:
                block, damage = self._block()
                if not np.isfinite(block).all():
                    raise ValueError(f"{self.path!r} holds samples that are NaN or infinite; all must be finite")
                self.num_samples += len(block)
                if len(block):
                    yield block
                else:
                    break
        if not self.num_samples:
            why = damage or "it is cut off before the first one" * (self._plan.is_open_ended or self._promises)
            raise ValueError(f"{self.path!r} holds no samples{why and f' ({why})'}; at least one is needed")
        self.remarks = tuple(self._remarks(damage))
        if self._strict and self.remarks:
            raise ValueError(f"{self.path!r} is refused (strict): {self.remarks[0]}")

    def _opened(self, link: tuple[containers.Piece, ...]) -> _Decoder:
        self._view = _View(self._file, link)
        try:
            return _Decoder(self._view)
        except soundfile.LibsndfileError as error:
            if is_midi(self.path):
                raise ValueError(
                    f"{self.path!r} is a MIDI file, which has notes and no sound (`clavilux play` plays it); wav, "
                    "flac, ogg and mp3 are read here"
                ) from None
            raise ValueError(
                f"{self.path!r} is not a readable sound file ({_reason(error)}); wav, flac, ogg and mp3 are read"
            ) from error
        except OSError as error:
            raise ValueError(f"{self.path!r} cannot be read: {error.strerror or error}") from error

    def _block(self) -> tuple[np.ndarray, str]:
        """The next samples, and what stopped the decoder, if something did."""
        buffer = np.empty((_BLOCK, self.channels), np.float32)
        before = self._decoder.tell()
        try:
            return self._decoder.read(out=buffer), ""
        except soundfile.LibsndfileError as error:
            return buffer[: max(0, self._decoder.tell() - before)], _reason(error)

    def _check_alike(self) -> None:
        rate, channels = self._decoder.samplerate, self._decoder.channels
        if (rate, channels) != (self.sample_rate, self.channels):
            raise ValueError(
                f"{self.path!r} changes after {self.num_samples / self.sample_rate:.1f} s from "
                f"{_format(self.sample_rate, self.channels)} to {_format(rate, channels)}; cut it there, or give both "
                "parts the same of each"
            )

    @property
    def _promises(self) -> bool:
        return self._plan.promised_frames > 0 or self._plan.promised_share > 1

    def _remarks(self, damage: str) -> Iterator[str]:
        plan, there_s = self._plan, self.num_samples / self.sample_rate
        promised_s = plan.promised_frames / self.sample_rate
        if plan.promised_share > 1:
            promised_s = there_s * plan.promised_share
        digits = 1 if abs(promised_s - there_s) >= 0.1 else 3
        stated = f"the header promises {promised_s:.{digits}f} s, {there_s:.{digits}f} s"
        is_at_end = self._view.tell() == self._view.size  # a FLAC decoder finds no end there, and calls that an error
        if damage and not is_at_end:
            yield f"damaged: {stated if promised_s else f'{there_s:.1f} s'} can be read ({damage})"
        elif promised_s > there_s:
            yield f"cut off: {stated} are there"
        elif plan.is_open_ended:
            yield f"cut off: its last part is missing and nothing says how long it was; {there_s:.1f} s are there"
        elif 0 < promised_s < there_s:
            yield f"wrong header: it promises {promised_s:.{digits}f} s, {there_s:.{digits}f} s are there"


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """libsndfile, read from the beginning to the end. It must not seek: a FLAC file of unknown length cannot, and
    soundfile seeks after each block of a file that says it can.
    """

    def seekable(self) -> bool:
        return False


class _View(io.RawIOBase):
    """Pieces of a file, and bytes in between, as one file."""

    def __init__(self, file: BinaryIO, pieces: tuple[containers.Piece, ...]) -> None:
        self._file, self._position = file, 0
        self._pieces: list[tuple[int, int, containers.Piece]] = []
        at = 0
        for piece in pieces:
            length = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
            self._pieces.append((at, at + length, piece))
            at += length
        self.size = at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:  # collections.abc.Buffer, which Python has from 3.12 on
        wanted, filled = memoryview(buffer).cast("B"), 0
        for start, end, piece in self._pieces:
            if start <= self._position < end and filled < len(wanted):
                count = min(end - self._position, len(wanted) - filled)
                offset = self._position - start
                if isinstance(piece, bytes):
                    found = piece[offset : offset + count]
                else:
                    self._file.seek(piece[0] + offset)
                    found = self._file.read(count)
                wanted[filled : filled + len(found)] = found
                self._position += len(found)
                filled += len(found)
                if len(found) < count:  # the file has become shorter
                    break
        return filled


def _reason(error: soundfile.LibsndfileError) -> str:
    return error.error_string.rstrip(".").removeprefix("Error : ").lower()


def _format(sample_rate: int, channels: int) -> str:
    return f"{sample_rate} Hz and {channels} channel{'s' * (channels != 1)}"


def receipt_from(comment: str) -> dict[str, Any]:
    """The receipt inside a comment tag; any other comment means that there is none."""
    try:
        receipt = json.loads(comment).get("clavilux", {})
    except (ValueError, AttributeError, RecursionError):
        return {}
    return receipt if isinstance(receipt, dict) else {}
