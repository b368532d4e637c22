"""Animated pictures, written frame by frame: GIF, WebP, and MP4 where an ffmpeg is on the PATH.

Knows the containers of GIF and WebP, whose frames Pillow encodes one at a time, and how ffmpeg is fed: no more than one
frame is in memory. Does not know what moves. The file takes its name when it is whole. Formats: GIF89a with a table of
colors for each frame; the WebP container's VP8X, ANIM and ANMF chunks; H.264 in MP4.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from PIL import ExifTags, Image

from clavilux.checks import whole_number
from clavilux.files import PathLike, atomic_path, check_ending
from clavilux.image.io import RECEIPT_KEY
from clavilux.stamp import Stamp, public

ENDINGS = (".gif", ".webp", ".mp4")
FASTEST = {".gif": 50, ".webp": 60, ".mp4": 60}  # frames a second; browsers slow a GIF of less than 1/50 s down
LONGEST = {".gif": 65535, ".webp": 16383, ".mp4": 8192}  # pixels a side
_LARGEST_RIFF = (1 << 32) - 16


class Animation(Protocol):
    """A file that is being written."""

    frames: int

    def add(self, pixels: torch.Tensor) -> None:
        """One more frame: uint8 [H, W, 3], all of one size. ValueError for another size."""
        ...


def check_animation(path: PathLike, fps: int) -> str:
    """The ending, lower case, if such a file can be written here.

    Raises:
        ValueError: another ending, no ffmpeg for an MP4, or more frames a second than the format shows.
    """
    ending = check_ending(path, ENDINGS)
    whole_number("fps", fps, 1, FASTEST[ending])
    if ending == ".mp4" and shutil.which("ffmpeg") is None:
        raise ValueError(f"{str(path)!r} needs the program ffmpeg on the PATH; .webp and .gif need nothing")
    return ending


@contextmanager
def write_animation(
    path: PathLike, fps: int, receipt: dict[str, Any] | None = None, *, stamp: Stamp | None = None
) -> Iterator[Animation]:
    """Yield what takes frames; on success the file takes its name, on an error nothing is left.

    Args:
        path: .gif, .webp or .mp4. GIF and WebP repeat for ever.
        fps: frames a second.
        receipt: plain JSON values; `Picture.load` finds them in a WebP, and in GIF and MP4 they are a comment.
        stamp: called with the finished file.

    Raises:
        ValueError: as `check_animation`; frames of several sizes or too large; or no frame at all.
        OSError: writing failed, or ffmpeg did.
    """
    ending = check_animation(path, fps)
    kept = public(stamp, receipt)
    text = json.dumps({RECEIPT_KEY: kept}, sort_keys=True) if kept else ""
    with atomic_path(path) as temporary:
        if ending == ".mp4":
            with _Video(temporary, fps, text) as video:
                yield video
        else:
            with open(temporary, "wb") as file:
                writer = (_Gif if ending == ".gif" else _WebP)(file, fps, text)
                yield writer
                writer.close()
        if stamp is not None:
            stamp(temporary, Path(path).name, receipt or {})


class _Frames:
    """What all formats have: one size, and times that do not drift where a frame's is rounded."""

    ticks = 1000  # a second

    def __init__(self, fps: int, ending: str):
        self.frames, self.fps, self.ending = 0, fps, ending
        self.size = (0, 0)

    def add(self, pixels: torch.Tensor) -> None:
        """As `Animation.add`."""
        height, width = pixels.shape[:2]
        if self.frames == 0:
            if max(height, width) > LONGEST[self.ending]:
                raise ValueError(
                    f"{self.ending} holds at most {LONGEST[self.ending]} pixels a side, not {width} x {height}"
                )
            self.size = (width, height)
            self.begin(width, height)
        elif self.size != (width, height):
            raise ValueError(f"a frame has {width} x {height} pixels; the first had {self.size[0]} x {self.size[1]}")
        self.put(pixels)
        self.frames += 1

    def begin(self, width: int, height: int) -> None:
        raise NotImplementedError

    def put(self, pixels: torch.Tensor) -> None:
        raise NotImplementedError

    def duration(self) -> int:
        """Ticks of the frame that comes now."""
        return round((self.frames + 1) * self.ticks / self.fps) - round(self.frames * self.ticks / self.fps)

    def check_any(self) -> None:
        if not self.frames:
            raise ValueError("there is no frame; an animation has one or more")


class _Gif(_Frames):
    ticks = 100

    def __init__(self, file: IO[bytes], fps: int, text: str):
        super().__init__(fps, ".gif")
        self.file, self.text = file, text

    def begin(self, width: int, height: int) -> None:
        screen = width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\x70\0\0"  # no table for all frames
        self.file.write(b"GIF89a" + screen + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # for ever
        if self.text:
            payload = self.text.encode()
            pieces = (payload[start : start + 255] for start in range(0, len(payload), 255))
            self.file.write(b"\x21\xfe" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0")

    def put(self, pixels: torch.Tensor) -> None:
        buffer = io.BytesIO()
        Image.fromarray(pixels.numpy()).quantize(256).save(buffer, "GIF", interlace=0)
        control = b"\x21\xf9\x04\x04" + self.duration().to_bytes(2, "little") + b"\0\0"
        self.file.write(control + _gif_image(buffer.getvalue()))

    def close(self) -> None:
        self.check_any()
        self.file.write(b";")


def _gif_image(payload: bytes) -> bytes:
    """The one image of a GIF file that Pillow wrote, with its table of colors before its data."""
    table_size = 2 << (payload[10] & 7)
    assert payload[10] & 0x80, "Pillow writes one table for the file"
    place = 13 + 3 * table_size
    table = payload[13:place]
    while payload[place] == 0x21:  # an extension: its blocks end with an empty one
        place = _after_blocks(payload, place + 2)
    descriptor = payload[place : place + 9] + bytes([0x80 | (payload[10] & 7)])
    data = place + 10
    return descriptor + table + payload[data : _after_blocks(payload, data + 1)]


def _after_blocks(payload: bytes, place: int) -> int:
    while payload[place]:
        place += 1 + payload[place]
    return place + 1


class _WebP(_Frames):
    def __init__(self, file: IO[bytes], fps: int, text: str):
        super().__init__(fps, ".webp")
        self.file, self.text = file, text

    def begin(self, width: int, height: int) -> None:
        flags = 0x02 | (0x08 if self.text else 0)  # moves; has EXIF
        self.file.write(b"RIFF\0\0\0\0WEBP")  # the size is known at the end
        self._chunk(b"VP8X", bytes([flags, 0, 0, 0]) + _three(width - 1) + _three(height - 1))
        self._chunk(b"ANIM", b"\xff\xff\xff\xff\0\0")  # for ever

    def put(self, pixels: torch.Tensor) -> None:
        buffer = io.BytesIO()
        Image.fromarray(pixels.numpy()).save(buffer, "WEBP", quality=85)
        encoded = buffer.getvalue()[12:]
        assert encoded[:4] in (b"VP8 ", b"VP8L"), "Pillow writes a plain WebP of RGB"
        width, height = self.size
        place = _three(0) * 2 + _three(width - 1) + _three(height - 1)
        self._chunk(b"ANMF", place + _three(self.duration()) + b"\x02" + encoded)  # 2: not blended

    def close(self) -> None:
        self.check_any()
        if self.text:
            exif = Image.Exif()
            exif[ExifTags.Base.ImageDescription] = self.text
            self._chunk(b"EXIF", exif.tobytes())
        size = self.file.tell()
        if size > _LARGEST_RIFF:
            raise ValueError("the frames do not fit into a .webp of 4 GiB; make it smaller, or write an .mp4")
        self.file.seek(4)
        self.file.write((size - 8).to_bytes(4, "little"))

    def _chunk(self, name: bytes, payload: bytes) -> None:
        self.file.write(name + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2))


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


class _Video(_Frames):
    """Frames through a pipe into ffmpeg, which runs in a session of its own: Ctrl-C is not for it."""

    def __init__(self, path: Path, fps: int, text: str):
        super().__init__(fps, ".mp4")
        self.path, self.text = path, text
        self.process: subprocess.Popen[bytes] | None = None
        self.said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  as long as this one

    def __enter__(self) -> _Video:
        return self

    def begin(self, width: int, height: int) -> None:
        program = shutil.which("ffmpeg")
        assert program is not None, "it was checked before"
        even = (width - width % 2, height - height % 2)  # H.264 halves the sides for color
        if 0 in even:
            raise ValueError(f".mp4 needs 2 pixels a side or more, not {width} x {height}")
        options = [
            "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{even[0]}x{even[1]}",
            "-r", str(self.fps), "-i", "-", "-an", "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p",
            "-movflags", "+faststart", "-metadata", f"comment={self.text}", "-f", "mp4", str(self.path.absolute()),
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [program, *options], stdin=subprocess.PIPE, stdout=self.said, stderr=self.said, start_new_session=True
        )

    def put(self, pixels: torch.Tensor) -> None:
        assert self.process is not None and self.process.stdin is not None
        height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
        try:
            self.process.stdin.write(pixels[:height, :width].contiguous().numpy().tobytes())
        except BrokenPipeError:
            self._fail()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self.process is None:
                if kind is None:
                    self.check_any()
                return
            if kind is not None:
                self.process.kill()
            assert self.process.stdin is not None
            with suppress(BrokenPipeError):  # what it says of that comes below
                self.process.stdin.close()
            if self.process.wait() and kind is None:
                self._fail()
        finally:
            self.said.close()

    def _fail(self) -> None:
        assert self.process is not None
        code = self.process.wait()
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
        raise OSError(f"ffmpeg failed: {lines[-1][:300]}")
