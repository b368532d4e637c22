"""Sound files: write wav, flac, ogg and mp3, and never leave half a file behind (`reading` reads them).

Knows bytes on disk. Does not know what the sound is, how loud it should be or who made it.
Sound is written block by block, and an error of the disk is an ordinary `OSError`; the same samples always
give the same bytes.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile

from clavilux.audio.blocks import ArrayBlocks, rechunked
from clavilux.files import PathLike, atomic_path

if TYPE_CHECKING:
    import torch  # looking at a file's name needs none

# ending -> (libsndfile format, subtype, most channels)
FORMATS = {
    ".wav": ("WAV", "PCM_16", 1024),
    ".flac": ("FLAC", "PCM_16", 8),
    ".ogg": ("OGG", "VORBIS", 255),
    ".mp3": ("MP3", "MPEG_LAYER_III", 2),
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
OGG_SERIAL = 0x636C6176
_MOST_WAV_BYTES = (1 << 32) - (1 << 20)  # its sizes have 32 bits; some room for the tags
_BLOCK = 1 << 16  # frames a write: libvorbis takes its buffer from the stack, so hours at once would crash it


def write(path: PathLike, samples: torch.Tensor | np.ndarray, sample_rate: int, *, comment: str = "") -> None:
    """Write samples to `path`; the ending chooses the format (16-bit wav and flac, Vorbis, MP3).

    Args:
        samples: float [C, N] or [N]; values beyond -1..1 are clipped.
        sample_rate: Hz.
        comment: text for the comment tag.

    Raises:
        ValueError: the ending is unknown, the format cannot hold this rate, number of channels or length, the samples
            are empty or not finite, or the folder is missing or not writable.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    ending, samples = format_of(path), check_samples(samples)
    check_format(ending, sample_rate, len(samples))
    with atomic_path(path) as temporary:
        write_blocks(temporary, ArrayBlocks(samples), sample_rate, len(samples), comment=comment)


def write_blocks(
    path: Path,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    *,
    comment: str = "",
    subtype: str | None = None,
) -> None:
    """Write blocks, float32 [C, n], of sound that need not fit the memory. To be used inside `atomic_path`, and after
    `check_format`. The same samples always give the same bytes. `subtype` is libsndfile's, that of `FORMATS` if None.
    """
    with open(path, "w+b") as file:
        _encode(file, blocks, check_rate(sample_rate), channels, format_of(path), comment, subtype)


def format_of(path: PathLike) -> str:
    """The ending of `path`, lower case, if it is one of `FORMATS`; otherwise a ValueError."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        got = f"the ending {ending!r}" if ending else "no ending"
        raise ValueError(f"{str(path)!r} has {got}; sound is saved as {', '.join(FORMATS)}.")
    return ending


def check_seamless(path: PathLike) -> None:
    """Raise a ValueError for a format that puts silence before or behind the sound, so that a loop would stumble."""
    if format_of(path) == ".mp3":
        raise ValueError(f"{str(path)!r} would not loop: .mp3 begins with a little silence; use .wav, .flac or .ogg")


def encode(samples: torch.Tensor | np.ndarray, sample_rate: int, ending: str, *, comment: str = "") -> bytes:
    """The bytes of a sound file. Arguments and errors as `write`; `ending` is a key of `FORMATS`."""
    samples = check_samples(samples)
    check_format(ending, sample_rate, len(samples))
    buffer = io.BytesIO()
    _encode(buffer, ArrayBlocks(samples), int(sample_rate), len(samples), ending, comment)
    return buffer.getvalue()


def check_format(ending: str, sample_rate: int, channels: int) -> None:
    """Raise a ValueError unless a format of `FORMATS` holds this rate and number of channels."""
    sample_rate, most_channels = check_rate(sample_rate), FORMATS[ending][2]
    if channels > most_channels:
        raise ValueError(f"{ending} holds at most {most_channels} channels, not {channels}.")
    if ending == ".mp3" and sample_rate not in MP3_RATES:
        rates = ", ".join(map(str, MP3_RATES))
        raise ValueError(f".mp3 cannot hold {sample_rate} Hz; resample to one of {rates}.")


def _encode(
    file: BinaryIO,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    ending: str,
    comment: str,
    subtype: str | None = None,
) -> None:
    """Write a sound file to a file that is open for reading and writing."""
    file_format, usual, _ = FORMATS[ending]
    subtype = subtype or usual
    target, num_samples = _Target(file), 0
    try:
        with soundfile.SoundFile(target, "w", sample_rate, channels, subtype, format=file_format) as sound:
            if comment:
                sound.comment = comment
            for block in rechunked(blocks, _BLOCK):  # one size: libvorbis's choices depend on it
                num_samples += block.shape[1]
                if ending == ".wav" and num_samples * channels * 2 > _MOST_WAV_BYTES:
                    raise ValueError(".wav holds at most 4 GiB of sound; save it as .flac, .ogg or .mp3.")
                sound.write(np.ascontiguousarray(block.T))
    except (soundfile.SoundFileError, AssertionError) as error:  # the assertion is soundfile's: not all was taken
        raise target.error or error from None
    if target.error is not None:
        raise target.error
    if ending == ".ogg":
        _fix_ogg_serial(file)


class _Target:
    """A file for libsndfile to write to, which keeps an error: nothing may be raised through C code."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: BaseException | None = None
        self.tell, self.read = file.tell, file.read

    def write(self, data: bytes) -> int:
        return self._kept(self._file.write, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:  # which writes what is buffered
        return self._kept(self._file.seek, offset, whence)

    def _kept(self, call: Callable[..., int], *arguments: bytes | int) -> int:
        if self.error is None:
            try:
                return call(*arguments)
            except BaseException as error:  # KeyboardInterrupt too
                self.error = error
        return 0


def check_rate(sample_rate: int) -> int:
    """A sample rate in Hz as an int; ValueError unless it is whole and 1 to 655350 (flac's most)."""
    if isinstance(sample_rate, bool) or sample_rate != sample_rate // 1 or not 1 <= sample_rate <= 655350:
        raise ValueError(f"The sample rate must be a whole number of Hz up to 655350, not {sample_rate!r}.")
    return int(sample_rate)


def check_samples(samples: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Samples as a contiguous float32 CPU tensor [C, N]; [N] becomes [1, N]. TypeError or ValueError."""
    import torch

    if not isinstance(samples, (torch.Tensor, np.ndarray)):
        raise TypeError(f"Samples must be a tensor or an array, not {type(samples).__name__}.")
    samples = torch.as_tensor(samples).detach()
    if not samples.is_floating_point():
        raise TypeError(f"Samples must be floating point between -1 and 1, not {samples.dtype}.")
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or samples.shape[0] < 1 or samples.shape[1] < 1:
        raise ValueError(
            f"Samples must have the shape [channels, samples] with at least one of each, not {list(samples.shape)}."
        )
    samples = samples.to("cpu", torch.float32).contiguous()
    if not bool(torch.isfinite(samples).all()):
        raise ValueError("Some samples are NaN or infinite; every sample must be a number.")
    return samples


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_crc(page: bytes) -> int:
    """CRC-32 of RFC 3533: high bit first, from 0, not inverted: zlib's CRC of bit-reversed bytes."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def _fix_ogg_serial(file: BinaryIO) -> None:
    """Replace the random stream serial number in every Ogg page, and the checksum, so that files repeat."""
    position = 0
    while True:
        file.seek(position)
        page = bytearray(file.read(27))
        if not page:
            return
        page += file.read(page[26])
        page += file.read(sum(page[27:]))
        struct.pack_into("<I", page, 14, OGG_SERIAL)
        struct.pack_into("<I", page, 22, 0)
        struct.pack_into("<I", page, 22, _ogg_crc(bytes(page)))
        file.seek(position)
        file.write(page)
        position += len(page)
