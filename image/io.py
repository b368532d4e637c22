"""Picture files: read what people have, write png, jpg and webp, and never leave half a file behind.

Knows bytes on disk and turns every kind of pixel into 8-bit RGB. Does not know what a picture shows or who made it.
Encoding happens in memory, so that a full disk is an ordinary `OSError` and the same picture always gives the same
bytes. Colour profiles are not applied: numbers are taken as sRGB.
"""

from __future__ import annotations

import io
import json
import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

__all__ = [
    "FORMATS",
    "MOST_PIXELS",
    "atomic_path",
    "check_target",
    "encode",
    "format_of",
    "read_picture",
    "read_receipt",
    "write_picture",
]

# ending -> (Pillow's format, longest side, options). Without them jpg halves the resolution of colour.
_JPEG = ("JPEG", 65500, {"quality": 95, "subsampling": 0})
FORMATS = {
    ".png": ("PNG", (1 << 31) - 1, {}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": ("WEBP", 16383, {"quality": 95}),
}
MOST_PIXELS = 1 << 26  # 8192 x 8192, 192 MiB as RGB; a small file can claim far more
RECEIPT_KEY = "clavilux"
# Not all that Pillow can: PostScript, for one, would start another program.
_READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_READ_WORDS = "png, jpg, webp, gif, bmp, tiff and ppm are read"
_DESCRIPTION = ExifTags.Base.ImageDescription
_MOST_EXIF = 65000  # a jpg's EXIF is one segment of 64 KiB


def read_picture(path: str | os.PathLike) -> torch.Tensor:
    """The pixels of a picture file, of an animation its first frame.

    Palettes, greyscale, CMYK and 16 bits a channel become 8-bit RGB; what is transparent lies on white; the picture
    is turned as its EXIF orientation says.

    Returns:
        uint8 [H, W, 3], red, green, blue.

    Raises:
        ValueError: no such file, not a picture, truncated or damaged, of floating point values, or of more than
            `MOST_PIXELS` pixels.
    """
    with _opened(path) as image:
        if image.mode == "F":
            raise ValueError(f"{str(path)!r} holds floating point values; 8 or 16 bits a channel are read.")
        try:
            pixels = np.asarray(_as_rgb(ImageOps.exif_transpose(image)))
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can raise nearly anything
            raise ValueError(f"{str(path)!r} is truncated or damaged: {_reason(error)}.") from error
    return torch.from_numpy(pixels.copy())


def read_receipt(path: str | os.PathLike) -> dict:
    """The receipt that `write_picture` left in a file: in png under the text key "clavilux", in jpg and webp in the
    EXIF image description. Empty if there is none. Raises as `read_picture`.
    """
    with _opened(path) as image:
        try:
            image.load()  # text may also stand behind the pixels
            texts = (image.info.get(RECEIPT_KEY), image.getexif().get(_DESCRIPTION))
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"{str(path)!r} is truncated or damaged: {_reason(error)}.") from error
    described = _parsed(texts[1]).get(RECEIPT_KEY)
    return _parsed(texts[0]) or (described if isinstance(described, dict) else {})


def write_picture(path: str | os.PathLike, pixels: torch.Tensor, *, receipt: dict | None = None) -> None:
    """Write pixels to `path`; the ending chooses the format (.png, .jpg, .jpeg, .webp).

    Args:
        path: written beside it first, then renamed, so there is never half a file.
        pixels: uint8 [H, W, 3].
        receipt: plain JSON values, kept in the file; see `read_receipt`.

    Raises:
        ValueError: the ending is unknown, the format cannot hold this size or this receipt, or the folder is missing
            or not writable.
        TypeError: the receipt is not plain JSON.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    payload = encode(pixels, format_of(path), receipt=receipt)
    with atomic_path(path) as temporary:
        temporary.write_bytes(payload)


def format_of(path: str | os.PathLike) -> str:
    """The ending of `path`, lower case, if it is one of `FORMATS`; otherwise a ValueError."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        got = f"the ending {ending!r}" if ending else "no ending"
        raise ValueError(f"{str(path)!r} has {got}; a picture is saved as {', '.join(FORMATS)}.")
    return ending


def encode(pixels: torch.Tensor, ending: str, *, receipt: dict | None = None) -> bytes:
    """The bytes of a picture file. Arguments and errors as `write_picture`; `ending` is a key of `FORMATS`."""
    name, longest, options = FORMATS[ending]
    height, width = pixels.shape[:2]
    if max(height, width) > longest:
        raise ValueError(f"{ending} holds at most {longest} pixels a side, not {width} x {height}; save a .png.")
    buffer = io.BytesIO()
    kept = _receipt_options(name, ending, receipt) if receipt else {}
    Image.fromarray(pixels.numpy()).save(buffer, name, **options, **kept)
    return buffer.getvalue()


def _receipt_options(name: str, ending: str, receipt: dict) -> dict:
    """What Pillow's `save` needs to keep the receipt."""
    try:
        text = json.dumps(receipt, sort_keys=True)  # ASCII, as both places need it
    except (TypeError, ValueError) as error:
        raise TypeError(f"The receipt must hold plain JSON values only: {error}.") from error
    if name == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text(RECEIPT_KEY, text)
        return {"pnginfo": info}
    text = json.dumps({RECEIPT_KEY: receipt}, sort_keys=True)
    if len(text) > _MOST_EXIF:
        raise ValueError(f"{ending} holds a receipt of at most {_MOST_EXIF} bytes, not {len(text)}; save a .png.")
    exif = Image.Exif()
    exif[_DESCRIPTION] = text
    return {"exif": exif.tobytes()}


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    """The file's picture, not yet decoded, and not larger than `MOST_PIXELS`."""
    given, path = str(path), Path(path)
    if not path.exists():
        raise ValueError(f"There is no file {given!r}; give the path of a picture.")
    if not path.is_file():
        raise ValueError(f"{given!r} is not a file; give the path of a picture.")
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{given!r} cannot be read: {error.strerror or error}.") from error
    if not payload:
        raise ValueError(f"{given!r} is empty (0 bytes); a picture was expected.")
    too_large = f"{given!r} has more pixels than the {MOST_PIXELS:,} that are read; make it smaller first."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes, and of damage that then raises
        try:
            image = Image.open(io.BytesIO(payload), formats=_READ)
        except Image.DecompressionBombError:
            raise ValueError(too_large) from None
        except UnidentifiedImageError:
            raise ValueError(f"{given!r} is not a picture, or a damaged one; {_READ_WORDS}.") from None
        except Exception as error:
            raise ValueError(f"{given!r} is truncated or damaged: {_reason(error)}.") from error
        with image:  # warnings stay off while it is decoded
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(too_large)
            yield image


def _as_rgb(image: Image.Image) -> Image.Image:
    """A decoded picture of any mode as 8-bit RGB, on white where it is transparent."""
    image.load()
    if image.mode == "I" or image.mode.startswith("I;"):  # 16 bits; Pillow itself would clip them at 255
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def check_target(path: str | os.PathLike) -> None:
    """Raise a ValueError unless a file can be written at `path`; it may exist already."""
    given, path = str(path), Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise ValueError(f"{given!r} is not a regular file; give the name of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"Cannot write {given!r}: there is no folder {str(path.parent)!r}.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"Cannot write {given!r}: the folder {str(path.parent)!r} is not writable.")


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a hidden path beside `path`; on success it takes the name `path` in one step, else it is removed."""
    check_target(path)
    given, path = str(path), Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.stem[:80]}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"Could not write {given!r}: {error.strerror or error}; nothing was saved.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _parsed(text: object) -> dict:
    """The JSON object that a text is; empty for anything else."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    """The first line of what Pillow says, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
