"""MPEG audio (mp3) as a row of frames: tags before them, where each begins, how many there are. Decodes nothing.

After ISO 11172-3 and 13818-3 (the frame's header), and the Xing/Info header of the first frame that encoders write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_KBPS = {  # by (is MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # MPEG-1, 2, 2.5
_BUFFER = 1 << 16
_FURTHEST = 1 << 20  # bytes of junk behind which a first frame is still looked for
_IN_A_ROW = 4  # frames that follow one another: chance alone finds so many once in 10^12 bytes
_INFO_KBPS = 64  # of the frame that is put before the first: room for the counts at every sample rate


@dataclass(frozen=True)
class InfoHeader:
    """The Xing or Info header: frames that it states; how many samples of them the encoder added before and behind the
    sound; where the count stands, before that of the bytes if it has one.
    """

    num_frames: int
    added_samples: int
    counts_at: int
    has_bytes: bool


@dataclass(frozen=True)
class Frames:
    """Where the frames begin, the first one's header, how many are whole (`header`'s own is not counted)."""

    start: int
    first: bytes
    layer: int
    num_frames: int
    frame_samples: int
    is_cut: bool
    header: InfoHeader | None


def after_tags(file: BinaryIO, size: int) -> int:
    """The first place behind ID3v2 tags and zero bytes."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(_BUFFER)
        if tag := tag_bytes(head):
            at += tag
        elif head[:1] == b"\0":
            at += len(head) - len(head.lstrip(b"\0"))
        else:
            break
    return min(at, size)


def tag_bytes(head: bytes) -> int:
    """The length of the ID3v2 tag that begins so; 0 if none does."""
    if head[:3] != b"ID3" or len(head) < 10 or max(head[6:10]) > 127:
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 16 else 0)  # a footer as long as the header


def scan(file: BinaryIO, size: int) -> Frames | None:
    """Walk from frame to frame; None if the file is not MPEG audio, or of a free bit rate."""
    reader = _Buffered(file)
    start = _sync(reader, after_tags(file, size), size)
    if start is None:
        return None
    first, count, is_cut = reader.at(start, 4), 0, False
    at: int | None = start
    while at is not None and at + 4 <= size:
        length = frame_bytes(reader.at(at, 4))
        if length is None:
            at = None if reader.at(at, 3) in (b"TAG", b"APE") else _sync(reader, at, size)  # tags behind the sound
            continue
        is_cut = at + length > size
        count += not is_cut
        at += length
    header = _info_header(reader, start, first)
    return Frames(
        start, first, 4 - (first[1] >> 1 & 3), count - (header is not None), _frame_samples(first), is_cut, header
    )


def frame_bytes(header: bytes) -> int | None:
    """The length of the frame with this header of 4 bytes; None if it is none, or of a free bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate, hz = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or rate in (0, 15) or hz == 3:
        return None
    bits, padding = _KBPS[version == 3, layer][rate - 1] * 1000, header[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // _HZ[version][hz] + padding) * 4
    return _frame_samples(header) // 8 * bits // _HZ[version][hz] + padding


def info_frame(first: bytes, num_frames: int, num_bytes: int) -> bytes:
    """A silent frame like the `first`, with an Info header that states these numbers (bytes without its own)."""
    version, layer = first[1] >> 3 & 3, 4 - (first[1] >> 1 & 3)
    rate = _KBPS[version == 3, layer].index(_INFO_KBPS) + 1
    header = bytes([0xFF, first[1] | 1, rate << 4 | first[2] & 0x0C, first[3]])  # | 1: without a checksum
    length = frame_bytes(header)
    assert length is not None  # the rate of the first frame is one of the standard's, as `scan` found
    counts = b"Info" + struct.pack(">III", 3, num_frames, min(num_bytes + length, 0xFFFFFFFF))
    frame = header + bytes(_side_bytes(header)) + counts
    return frame + bytes(length - len(frame))


def _frame_samples(header: bytes) -> int:
    layer = 4 - (header[1] >> 1 & 3)
    return {1: 384, 2: 1152, 3: 1152 if header[1] >> 3 & 3 == 3 else 576}[layer]


def _side_bytes(header: bytes) -> int:
    """Bytes between the header and the Info header: the side information of layer III."""
    is_mono = header[3] >> 6 == 3
    if header[1] >> 3 & 3 == 3:
        return 17 if is_mono else 32
    return 9 if is_mono else 17


def _sync(reader: _Buffered, start: int, size: int) -> int | None:
    """The first place from `start` on at which frames of one kind follow one another."""
    for at in range(start, min(size, start + _FURTHEST)):
        head = reader.at(at, 4)
        if frame_bytes(head) is None:
            continue
        here, kind = at, head[1] & 0xFE
        for number in range(_IN_A_ROW):
            head = reader.at(here, 4)
            length = frame_bytes(head)
            if length is None or head[1] & 0xFE != kind:
                if number and here >= size and at == start:  # a file of fewer frames
                    return at
                break
            here += length
        else:
            return at
    return None


def _info_header(reader: _Buffered, start: int, first: bytes) -> InfoHeader | None:
    at = start + 4 + _side_bytes(first)
    found = reader.at(at, 160)
    if found[:4] not in (b"Xing", b"Info") or len(found) < 16:
        return None
    flags, num_frames = struct.unpack_from(">II", found, 4)
    lame = found[8 + sum(length for bit, length in enumerate((4, 4, 100, 4)) if flags >> bit & 1) :]
    delays = int.from_bytes(lame[21:24], "big") if lame[:2] in (b"LA", b"La") else 0  # LAME, Lavc, Lavf; 12 bits each
    added = (delays >> 12) + (delays & 0xFFF)
    return InfoHeader(num_frames, added, at + 8, bool(flags & 2)) if flags & 1 else None


class _Buffered:
    """Small reads at any place, mostly forward, of one file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._start, self._bytes = file, 0, b""

    def at(self, position: int, count: int) -> bytes:
        if not self._start <= position <= self._start + len(self._bytes) - count:
            self._file.seek(position)
            self._start, self._bytes = position, self._file.read(_BUFFER)
        offset = position - self._start
        return self._bytes[offset : offset + count]
