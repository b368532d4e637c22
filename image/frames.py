"""Moving pictures, read frame by frame: a folder of pictures, an animated GIF or WebP, and a video where ffmpeg is.

Knows containers, as far as Pillow and ffmpeg do. One frame is in memory at a time; of an animated picture its packed
file, too. Does not know what frames are for, and leaves sound out.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image

from clavilux.files import PathLike, check_readable
from clavilux.image import io as picture_io

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")  # of a folder's frames
USUAL_FPS = 12.0  # of what does not say: a folder
_ANIMATED = ("GIF", "WEBP")
_USUAL_MS, _LEAST_MS = 100, 20  # browsers show a frame of 10 ms or less for 100


@dataclass(frozen=True)
class Frames:
    """Moving pictures that are being read; can be iterated over once.

    Attributes:
        width, height: pixels of every frame.
        fps: frames a second; of an animated picture the mean.
        count: of frames; None where that shows at the end only.
        names: of a folder's files, without their endings.
    """

    width: int
    height: int
    fps: float
    count: int | None
    names: tuple[str, ...]
    _read: Callable[[], Iterator[torch.Tensor]]

    def __iter__(self) -> Iterator[torch.Tensor]:
        """uint8 [H, W, 3], one after another. ValueError for a frame that is damaged or of another size."""
        for number, pixels in enumerate(self._read(), 1):
            height, width = pixels.shape[:2]
            if (height, width) != (self.height, self.width):
                raise ValueError(
                    f"frame {number} has {width} x {height} pixels, the first {self.width} x {self.height}; all should "
                    "have one size"
                )
            yield pixels


def is_moving(path: PathLike) -> bool:
    """Whether this is a folder, called a video, or an animated picture; False for what cannot be read."""
    path = Path(path)
    if path.is_dir() or path.suffix.lower() in VIDEOS:
        return True
    try:
        with _opened(path) as image:
            return bool(getattr(image, "is_animated", False))
    except ValueError:
        return False


@contextmanager
def open_frames(path: PathLike) -> Iterator[Frames]:
    """The frames of a folder, of an animated picture (one of a still one) or of a video.

    A folder's pictures are taken in the order of their names, numbers by their value; other files in it are left out.

    Raises:
        ValueError: nothing that can be read, too large, no ffmpeg for a video, or a folder without pictures.
    """
    path = Path(path)
    if path.is_dir():
        yield _folder(path)
    elif path.suffix.lower() in VIDEOS:
        with _video(path) as frames:
            yield frames
    else:
        with _opened(path) as image:
            yield _animated(image, str(path))


def _folder(path: Path) -> Frames:
    files = [each for each in path.iterdir() if each.suffix.lower() in PICTURES and not each.name.startswith(".")]
    files.sort(key=lambda each: _numbered(each.name))
    if not files:
        raise ValueError(f"the folder {str(path)!r} holds no pictures; {', '.join(PICTURES)} are frames")
    first = picture_io.read(files[0]).pixels

    def read() -> Iterator[torch.Tensor]:
        yield torch.from_numpy(first)
        for each in files[1:]:
            yield torch.from_numpy(picture_io.read(each).pixels)

    return Frames(first.shape[1], first.shape[0], USUAL_FPS, len(files), tuple(each.stem for each in files), read)


def _numbered(name: str) -> list[str | int]:
    """A name's words and numbers: "frame2" comes before "frame10"."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A GIF or WebP, not decoded yet. ValueError for what is neither, or is too large."""
    payload = check_readable(path, "picture").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes, and of damage that then raises
        try:
            image = Image.open(io.BytesIO(payload), formats=_ANIMATED)
            moving = getattr(image, "n_frames", 1)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can raise nearly anything
            raise ValueError(f"{str(path)!r} is no animated gif or webp, or a damaged one") from error
        with image:
            if image.width * image.height > picture_io.MOST_PIXELS:
                raise ValueError(
                    f"{str(path)!r} has more pixels than the {picture_io.MOST_PIXELS:,} a frame that are read"
                )
            assert moving >= 1
            yield image


def _animated(image: Image.Image, given: str) -> Frames:
    count = getattr(image, "n_frames", 1)

    def read() -> Iterator[torch.Tensor]:
        for number in range(count):
            try:
                image.seek(number)
                clear = image.convert("RGBA")
            except MemoryError:
                raise
            except Exception as error:
                raise ValueError(f"{given!r} is damaged at frame {number + 1} of {count}") from error
            white = Image.new("RGBA", clear.size, "white")
            yield torch.from_numpy(np.array(Image.alpha_composite(white, clear).convert("RGB")))

    return Frames(image.width, image.height, 1000 / _mean_ms(image, count, given), count, (), read)


def _mean_ms(image: Image.Image, count: int, given: str) -> float:
    """How long a frame is shown."""
    total = 0.0
    for number in range(count):
        try:
            image.seek(number)
            image.load()  # WebP knows how long a frame is shown when it is decoded
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"{given!r} is damaged at frame {number + 1} of {count}") from error
        shown = image.info.get("duration", 0)
        total += shown if shown >= _LEAST_MS else _USUAL_MS
    return total / count


@contextmanager
def _video(path: Path) -> Iterator[Frames]:
    """Frames through a pipe from ffmpeg. A first run reads one frame, with the size as it is shown and the rate."""
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}; give the path of a video")
    program = shutil.which("ffmpeg")
    if program is None:
        raise ValueError(
            f"reading {str(path)!r} needs the program ffmpeg on the PATH; a folder of frames needs nothing"
        )
    # "file:" and the list of protocols: neither a name that looks like an address nor a playlist opens a connection.
    command = [program, "-nostdin", "-protocol_whitelist", "file,pipe", "-i", f"file:{path.absolute()}", "-an", "-sn"]
    probe = [*command, "-frames:v", "1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]
    seen = subprocess.run(probe, capture_output=True, check=False)
    header = seen.stdout.partition(b"\n")[0].decode("ascii", "replace").split()
    facts = {each[0]: each[1:] for each in header[1:]}
    if not header or header[0] != "YUV4MPEG2" or not {"W", "H", "F"} <= facts.keys():
        raise ValueError(f"{str(path)!r} is no video, or a damaged one; ffmpeg says: {_last_line(seen.stderr)}")
    width, height = int(facts["W"]), int(facts["H"])
    if width * height > picture_io.MOST_PIXELS:
        raise ValueError(f"{str(path)!r} has more pixels than the {picture_io.MOST_PIXELS:,} a frame that are read")
    over, _, under = facts["F"].partition(":")
    fps = int(over) / max(int(under or 1), 1) or USUAL_FPS
    length = re.search(rb"Duration: (\d+):(\d+):([\d.]+)", seen.stderr)
    count = None if length is None else round((int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])) * fps)
    with tempfile.TemporaryFile() as said:
        whole = [*command, "-loglevel", "error", "-pix_fmt", "rgb24", "-fps_mode", "cfr", "-f", "rawvideo", "-"]
        # A session of its own: Ctrl-C is for this program alone, which then ends the other.
        with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=said, start_new_session=True) as process:
            try:
                yield Frames(width, height, fps, count, (), lambda: _piped(process, said, width, height, str(path)))
            finally:
                process.kill()


def _piped(
    process: subprocess.Popen[bytes], said: IO[bytes], width: int, height: int, given: str
) -> Iterator[torch.Tensor]:
    assert process.stdout is not None
    size, number = width * height * 3, 0
    while len(payload := process.stdout.read(size)) == size:
        number += 1
        yield torch.frombuffer(bytearray(payload), dtype=torch.uint8).view(height, width, 3)
    if process.wait() or payload or not number:
        said.seek(0)
        raise ValueError(f"{given!r} is damaged behind frame {number}; ffmpeg says: {_last_line(said.read())}")


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "nothing"
