"""Picture files: read what people have, write png, jpg and webp, and never leave half a file behind.

Knows bytes on disk and turns every kind of pixel into 8-bit RGB. Does not know what a picture shows or who made it.
Encoding happens in memory, so that a full disk is an ordinary `OSError` and the same picture always gives the same
bytes. Colour profiles are not applied: numbers are taken as sRGB.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from clavilux.files import PathLike, atomic_path, check_readable
from clavilux.image import png
from clavilux.stamp import Stamp, public

if TYPE_CHECKING:
    import torch  # looking at a file needs none
    from PIL import ImageFile

__all__ = [
    "FORMATS",
    "MOST_PIXELS",
    "Found",
    "encode",
    "format_of",
    "num_frames",
    "read",
    "size_of",
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
_DESCRIPTION, _ORIENTATION = ExifTags.Base.ImageDescription, ExifTags.Base.Orientation
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_END_OF_JPEG = b"\xff\xd9"
_MOST_EXIF = 65000  # a jpg's EXIF is one segment of 64 KiB


class Found(NamedTuple):
    """What a picture file holds.

    Attributes:
        pixels: uint8 [H, W, 3], red, green, blue.
        receipt: as `write_picture` left it; empty if there is none.
        remarks: what is damaged or missing and was read all the same, each the end of a sentence.
    """

    pixels: np.ndarray
    receipt: dict[str, Any]
    remarks: tuple[str, ...]


def read(path: PathLike, *, strict: bool = False) -> Found:
    """The pixels of a picture file, of an animation its first frame, with the receipt in it.

    Palettes, greyscale, CMYK and 16 bits a channel become 8-bit RGB; what is transparent lies on white; the picture
    is turned as its EXIF orientation says. The receipt is in png under the text key "clavilux", in jpg and webp in
    the EXIF image description. Other metadata is not looked at, so that it cannot keep the pixels from being read. Of a
    png or jpg that is cut short there is as much as there is.

    Args:
        path: png, jpg, webp, gif, bmp, tiff or ppm.
        strict: what would be a remark is an error.

    Raises:
        ValueError: no such file, not a picture, damaged, of floating point values, or of more than `MOST_PIXELS`
            pixels.
    """
    given = str(path)
    with _opened(path) as (image, depth, remarks):
        if image.mode == "F":
            raise ValueError(f"{given!r} holds floating point values; 8 or 16 bits a channel are read.")
        low = _low_bytes(image, depth)
        image = _decoded(image, given, remarks)
        exif = _exif(image, remarks)
        try:
            pixels = np.array(_turned(_as_rgb(image, depth, low), exif))
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can raise nearly anything
            raise ValueError(f"{given!r} is damaged; Pillow says: {_reason(error)}.") from error
        described = _parsed(exif.get(_DESCRIPTION), remarks).get(RECEIPT_KEY)
        receipt = _parsed(image.info.get(RECEIPT_KEY), remarks) or (described if isinstance(described, dict) else {})
    if strict and remarks:
        raise ValueError(f"{given!r}: {'; '.join(remarks)}.")
    return Found(pixels, receipt, tuple(remarks))


def num_frames(path: PathLike) -> int:
    """How many pictures a file that `read` can read holds: more than one of an animation or of a tiff with pages."""
    with _opened(path) as (image, _, _):
        return getattr(image, "n_frames", 1)


def size_of(path: PathLike) -> tuple[int, int]:
    """(width, height) in pixels of a file that `read` can read, as they are stored; ValueError for others."""
    with _opened(path) as (image, _, _):
        return image.size


def write_picture(
    path: PathLike, pixels: torch.Tensor, *, receipt: dict[str, Any] | None = None, stamp: Stamp | None = None
) -> None:
    """Write pixels to `path`; the ending chooses the format (.png, .jpg, .jpeg, .webp).

    Args:
        path: written beside it first, then renamed, so there is never half a file.
        pixels: uint8 [H, W, 3].
        receipt: plain JSON values, kept in the file; `read` finds them.
        stamp: called with the finished file.

    Raises:
        ValueError: the ending is unknown, the format cannot hold this size or this receipt, or the folder is missing
            or not writable.
        TypeError: the receipt is not plain JSON.
        OSError: writing failed (a full disk); nothing is left behind.
    """
    kept = public(stamp, receipt)
    payload = encode(pixels, format_of(path), receipt=kept)
    with atomic_path(path) as temporary:
        temporary.write_bytes(payload)
        if stamp is not None:
            stamp(temporary, Path(path).name, receipt or {})


def format_of(path: PathLike) -> str:
    """The ending of `path`, lower case, if it is one of `FORMATS`; otherwise a ValueError."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        got = f"the ending {ending!r}" if ending else "no ending"
        raise ValueError(f"{str(path)!r} has {got}; a picture is saved as {', '.join(FORMATS)}.")
    return ending


def encode(pixels: torch.Tensor, ending: str, *, receipt: dict[str, Any] | None = None) -> bytes:
    """The bytes of a picture file. Arguments and errors as `write_picture`; `ending` is a key of `FORMATS`."""
    name, longest, options = FORMATS[ending]
    height, width = pixels.shape[:2]
    if max(height, width) > longest:
        raise ValueError(f"{ending} holds at most {longest} pixels a side, not {width} x {height}; save a .png.")
    buffer = io.BytesIO()
    kept = _receipt_options(name, ending, receipt) if receipt else {}
    Image.fromarray(pixels.numpy()).save(buffer, name, **options, **kept)
    return buffer.getvalue()


def _receipt_options(name: str, ending: str, receipt: dict[str, Any]) -> dict[str, Any]:
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
def _opened(path: PathLike) -> Iterator[tuple[ImageFile.ImageFile, int, list[str]]]:
    """(the file's picture, not yet decoded and at most `MOST_PIXELS` large; bits of a png sample, else 0; remarks)."""
    given = str(path)
    try:
        payload = check_readable(path, "picture").read_bytes()
    except OSError as error:
        raise ValueError(f"{given!r} cannot be read: {error.strerror or error}.") from error
    too_large = f"{given!r} has more pixels than the {MOST_PIXELS:,} that are read; make it smaller first."
    depth, remarks = 0, []
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP" and len(payload) < (size := 8 + _little(payload[4:8])):
        raise ValueError(f"{given!r} is cut short: its header promises {size:,} bytes, {len(payload):,} are there.")
    if payload.startswith(png.SIGNATURE):
        try:
            cleaned = png.clean(payload, MOST_PIXELS)
        except ValueError as error:
            raise ValueError(f"{given!r} is a damaged png: {error}.") from None
        payload, depth, remarks = cleaned.payload, cleaned.depth, cleaned.remarks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes, and of damage that then raises
        try:
            image = Image.open(io.BytesIO(payload), formats=_READ)
        except Image.DecompressionBombError:
            raise ValueError(too_large) from None
        except UnidentifiedImageError:
            raise ValueError(f"{given!r} is not a picture, or a damaged one; {_READ_WORDS}.") from None
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"{given!r} is damaged; Pillow says: {_reason(error)}.") from error
        with image:  # warnings stay off while it is decoded
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(too_large)
            yield image, depth, remarks


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")


def _decoded(image: ImageFile.ImageFile, given: str, remarks: list[str]) -> ImageFile.ImageFile:
    """The picture with its pixels; of a jpg that is cut short, grey where they are missing."""
    try:
        image.load()
        return image
    except MemoryError:
        raise
    except Exception as error:
        if image.format != "JPEG" or "truncated" not in str(error):
            raise ValueError(f"{given!r} is cut short or damaged; Pillow says: {_reason(error)}.") from error
    again = Image.open(io.BytesIO(_file_of(image) + _END_OF_JPEG), formats=("JPEG",))
    try:
        again.load()
    except Exception as error:
        raise ValueError(f"{given!r} is cut short or damaged; Pillow says: {_reason(error)}.") from error
    remarks.append("the file is cut short: what is missing of its pixels is grey or blurred")
    return again


def _file_of(image: ImageFile.ImageFile) -> bytes:
    """All of the file that a picture is read from."""
    assert image.fp is not None  # open until the pixels are there
    image.fp.seek(0)
    return image.fp.read()


def _low_bytes(image: ImageFile.ImageFile, depth: int) -> np.ndarray | None:
    """uint8 [H, W, 3]: the low half of a png's 16-bit colours, where a transparent one must be told from its like.

    Pillow keeps the high half alone; told that the file is little-endian, it keeps the other.
    """
    if depth != 16 or image.mode != "RGB" or "transparency" not in image.info:
        return None
    again = Image.open(io.BytesIO(_file_of(image)), formats=("PNG",))
    again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]
    return np.array(again)


def _exif(image: Image.Image, remarks: list[str]) -> Image.Exif:
    """What the picture says of itself; nothing where that is damaged."""
    try:
        exif = image.getexif()
        exif.get(_DESCRIPTION), exif.get(_ORIENTATION)  # values are read when they are asked for
        return exif
    except MemoryError:
        raise
    except Exception:
        remarks.append("its EXIF is damaged and was passed over; the picture may lie on its side")
        return Image.Exif()


def _turned(image: Image.Image, exif: Image.Exif) -> Image.Image:
    """Upright, as EXIF says (Pillow's own function also writes the EXIF again, and stumbles over wild tags)."""
    turn = _TURNS.get(exif.get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _as_rgb(image: Image.Image, depth: int, low: np.ndarray | None) -> Image.Image:
    """A decoded picture of any mode as 8-bit RGB, on white where it is transparent.

    Args:
        image: decoded.
        depth: bits of a png's sample, else 0.
        low: as `_low_bytes`.
    """
    clear = _transparent(image, depth, low)
    if image.mode == "I" or image.mode.startswith("I;"):  # 16 bits; Pillow itself would clip them at 255
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        image = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if clear is not None:
        rgb = np.array(image.convert("RGB"))
        rgb[clear] = 255
        return Image.fromarray(rgb)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _transparent(image: Image.Image, depth: int, low: np.ndarray | None) -> np.ndarray | None:
    """bool [H, W]: where a png has its one transparent colour; None if there is none, or the picture has a palette.

    The colour is given in samples of the file's depth, while Pillow's pixels are scaled to 8 bits or cut to them.
    """
    color = image.info.get("transparency")
    if not depth or color is None or image.mode not in ("1", "L", "RGB") and not image.mode.startswith("I"):
        return None
    pixels = np.asarray(image)
    if image.mode != "RGB":
        scale = 255 // ((1 << depth) - 1) if depth < 8 and image.mode == "L" else 1
        return pixels == int(color) * scale
    wanted = np.array(color)
    if depth < 16:
        return (pixels == wanted).all(-1)
    if low is None:  # the colour was stated after the pixels: none has it
        return np.zeros(pixels.shape[:2], bool)
    return (pixels == wanted >> 8).all(-1) & (low == (wanted & 255)).all(-1)


def _parsed(text: object, remarks: list[str]) -> dict[str, Any]:
    """The JSON object that a text is; empty for anything else."""
    if not isinstance(text, (str, bytes)):
        return {}
    if len(text) > png.MOST_TEXT:
        remarks.append(f"a text of {len(text) / 2**20:.0f} MiB stands where a receipt would, and was passed over")
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(error: Exception) -> str:
    """The first line of what Pillow says, without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
