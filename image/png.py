"""PNG as chunks: what a file needs to be seen, without the metadata that would stop the reader.

Knows chunks, checksums and where the pixels' stream ends. Does not know colours: the pixels are Pillow's to decode.
Format: W3C, Portable Network Graphics, third edition.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 1 << 20  # bytes of a text that is kept, unpacked; Pillow refuses the whole file above it
# Texts that are read: the receipt, and two places where others keep how a picture is turned.
_KEPT_TEXTS = (b"clavilux", b"Raw profile type exif", b"XML:com.adobe.xmp")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a color type
# Adam7: first column, first row, step to the next column, to the next row.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass
class Cleaned:
    """A PNG without what does not change its pixels.

    Attributes:
        payload: the file's bytes.
        remarks: what was wrong with them.
        depth: bits a sample.
    """

    payload: bytes
    depth: int
    remarks: list[str] = field(default_factory=list)


def clean(payload: bytes, most_pixels: int) -> Cleaned:
    """Drop ancillary chunks that are not needed or have a wrong checksum, and fill up pixels that are cut short.

    Args:
        payload: a file that begins with `SIGNATURE`.
        most_pixels: nothing is filled up in a picture that claims more.

    Raises:
        ValueError: a critical chunk is damaged, or there are no pixels.
    """
    chunks, remarks, whole = _chunks(payload)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError("it has no header")
    header = struct.unpack(">IIBBBBB", chunks[0][1])
    if all(kind != b"IDAT" for kind, _ in chunks):
        raise ValueError("it ends before its pixels begin" if not whole else "it holds no pixels")
    if not whole and header[0] * header[1] <= most_pixels:
        remarks.append(_fill_up(chunks, header))
    parts = [SIGNATURE]
    for kind, body in [*chunks, (b"IEND", b"")]:
        parts += [struct.pack(">I4s", len(body), kind), body, struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))]
    return Cleaned(b"".join(parts), header[2], remarks)


def _chunks(payload: bytes) -> tuple[list[tuple[bytes, bytes]], list[str], bool]:
    """(the chunks that are needed, without IEND; remarks; whether IEND was reached)."""
    found: list[tuple[bytes, bytes]] = []
    remarks: list[str] = []
    start, view = len(SIGNATURE), memoryview(payload)
    while start + 8 <= len(payload):
        length, kind = struct.unpack_from(">I4s", payload, start)
        if length > 0x7FFFFFFF or not kind.isalpha():
            raise ValueError(f"no chunk begins at byte {start:,}")
        body, end = bytes(view[start + 8 : start + 8 + length]), start + 8 + length
        critical = kind[:1].isupper()
        if end + 4 > len(payload):  # cut short inside this chunk
            if kind == b"IDAT" and body:
                found.append((kind, body))
            return found, remarks, False
        name = kind.decode("ascii")
        if zlib.crc32(body, zlib.crc32(kind)) != struct.unpack_from(">I", payload, end)[0]:
            if critical:
                raise ValueError(f"its {name} chunk has a wrong checksum")
            remarks.append(f"its {name} chunk has a wrong checksum and was passed over")
        elif kind == b"IEND":
            return found, remarks, True
        elif kind == b"tEXt" and length > MOST_TEXT and body.startswith(b"clavilux\0"):
            remarks.append(f"a text of {length / 2**20:.0f} MiB stands where a receipt would, and was passed over")
        elif critical or kind == b"tRNS" or kind == b"eXIf" and length <= MOST_TEXT or _text_is_kept(kind, body):
            found.append((kind, body))
        start = end + 4
    return found, remarks, False


def _text_is_kept(kind: bytes, body: bytes) -> bool:
    """Whether a text is one of those that are read, and not larger than `MOST_TEXT`."""
    keyword, _, rest = body.partition(b"\0")
    if kind not in (b"tEXt", b"zTXt", b"iTXt") or keyword not in _KEPT_TEXTS:
        return False
    if kind == b"tEXt" or kind == b"iTXt" and rest[:1] == b"\0":
        return len(rest) <= MOST_TEXT
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    try:
        return len(zlib.decompressobj().decompress(packed, MOST_TEXT + 1)) <= MOST_TEXT
    except zlib.error:
        return False


def _fill_up(chunks: list[tuple[bytes, bytes]], header: tuple[int, ...]) -> str:
    """Add zeros where the pixels of a file that is cut short are missing; what is to be said of it."""
    width, height, depth, color, _, _, interlaced = header
    expected = _stream_bytes(width, height, depth * _CHANNELS.get(color, 4), interlaced)
    unpacker = zlib.decompressobj()
    try:
        pixels = unpacker.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"), expected)
    except zlib.error as error:
        raise ValueError(f"its pixels cannot be unpacked: {error}") from None
    if len(pixels) >= expected:
        return "the file is cut short behind its pixels, which are whole"
    if not pixels:
        raise ValueError("it ends before its pixels begin")
    at = next(place for place, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    chunks[:] = [(kind, body) for kind, body in chunks if kind != b"IDAT"]
    chunks.insert(at, (b"IDAT", zlib.compress(pixels + bytes(expected - len(pixels)), 1)))
    share = 100 * len(pixels) / expected
    if interlaced:
        return f"the file is cut short: {share:.0f} % of its pixels are there, the others are empty"
    rows = len(pixels) * height // expected
    return f"the file is cut short: {rows} of {height} rows are there, the others are empty"


def _stream_bytes(width: int, height: int, bits: int, interlaced: int) -> int:
    """Bytes of the unpacked pixels: every row of every pass begins with its filter's number."""
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for left, top, across, down in _PASSES:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
