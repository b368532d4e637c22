"""What stands round the samples of a sound file: where they begin, how long the header says they are, where they end.

Knows the outer layout of RIFF, RF64, Wave64, AIFF, AU, CAF, FLAC, Ogg and MPEG files, enough not to believe a length
that a header states: recorders that crash and encoders that write to a pipe leave 0 or the largest number there, and
a download that broke off still has the length of the whole. Decodes nothing (`reading`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from clavilux.audio import mpeg

Piece = bytes | tuple[int, int]  # bytes to be read as if they stood in the file, or the file's own from .. to
_UNSTATED_32 = range(0x7FFFF000, 0x80000001)  # what sox, arecord and others write into a pipe
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True)
class Plan:
    """How a sound file is to be read.

    Attributes:
        links: the streams that follow one another in the file (several in a chained Ogg), each as the pieces that a
            decoder should see: without junk, and with lengths that are true.
        promised_frames: samples a channel that the header promises; 0 where it does not say.
        promised_share: the bytes of sound that the header promises by those that are there; 1 or less: all are there.
        is_open_ended: the last page or frame is cut or missing, so something is, and nothing says how much.
    """

    links: tuple[tuple[Piece, ...], ...]
    promised_frames: int = 0
    promised_share: float = 1.0
    is_open_ended: bool = False


def plan_of(file: BinaryIO, size: int) -> Plan:
    """Look at a file of `size` bytes. What is not known here is left as it is for the decoder to judge."""
    head = _at(file, 0, 40)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _sized(size, *_riff_data(file, size))
    if head.startswith(_W64_RIFF):
        return _sized(size, *_w64_data(file, size))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _sized(size, *_aiff_data(file, size))
    if head[:4] == b".snd" and len(head) >= 12:
        start, stated = struct.unpack_from(">II", head, 4)
        stated = stated if stated != 0xFFFFFFFF else 0
        return _sized(size, start, stated, None if stated else (8, b"\xff" * 4))
    if head[:4] == b"caff":
        return _sized(size, *_caf_data(file, size))
    if head[:4] == b"OggS":
        return _ogg(file, size)
    start = mpeg.after_tags(file, size)
    if _at(file, start, 4) == b"fLaC":
        return _flac(file, start, size)
    return _mpeg(file, size) or Plan((((0, size),),))


def _at(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)


def _sized(size: int, start: int, stated: int, mend: tuple[int, bytes] | None) -> Plan:
    """A plan for samples from `start` on of which the header states so many bytes (0: not stated); `mend` is what
    should stand at a place instead.
    """
    pieces: tuple[Piece, ...] = ((0, size),)
    if mend is not None:
        at, value = mend
        pieces = ((0, at), value, (at + len(value), size))
    there = size - start
    return Plan((pieces,), promised_share=stated / there if stated and there > 0 else 1.0)


def _riff_data(file: BinaryIO, size: int) -> tuple[int, int, tuple[int, bytes] | None]:
    order = ">" if _at(file, 0, 4) == b"RIFX" else "<"
    outer, long_at = struct.unpack(order + "I", _at(file, 4, 4))[0], None
    for at, name, stated in _chunks(file, 12, size, order):
        if name == b"ds64" and at + 24 <= size:
            long_at = at + 16
        if name != b"data":
            continue
        mend = at + 4, b"\xff" * 4  # which libsndfile takes for "to the end"
        if stated == 0xFFFFFFFF and long_at is not None:
            stated = struct.unpack(order + "Q", _at(file, long_at, 8))[0]
            mend = long_at, struct.pack(order + "Q", size - at - 8)
        if stated == 0 and outer + 8 not in (size, size - 1) and size > at + 8:
            return at + 8, 0, mend
        unstated = stated == 0xFFFFFFFF or (stated in _UNSTATED_32 and stated > size)
        return at + 8, 0 if unstated else stated, None
    return size, 0, None


def _chunks(file: BinaryIO, at: int, size: int, order: str) -> Iterator[tuple[int, bytes, int]]:
    """Place, name and stated size of each chunk of a RIFF or AIFF file."""
    while at + 8 <= size:
        name, stated = struct.unpack(order + "4sI", _at(file, at, 8))
        yield at, name, stated
        at += 8 + stated + stated % 2


def _aiff_data(file: BinaryIO, size: int) -> tuple[int, int, None]:
    for at, name, stated in _chunks(file, 12, size, ">"):
        if name == b"SSND":  # libsndfile takes a size of 0 for "to the end" by itself
            return at + 16, max(0, stated - 8), None
    return size, 0, None


def _w64_data(file: BinaryIO, size: int) -> tuple[int, int, tuple[int, bytes] | None]:
    at = 40
    while at + 24 <= size:
        name, stated = struct.unpack("<16sQ", _at(file, at, 24))
        if name == _W64_DATA:
            if stated <= 24 < size - at:
                return at + 24, 0, (at + 16, struct.pack("<Q", size - at))
            return at + 24, stated - 24, None
        at += -(-max(24, stated) // 8) * 8
    return size, 0, None


def _caf_data(file: BinaryIO, size: int) -> tuple[int, int, tuple[int, bytes] | None]:
    at = 8
    while at + 12 <= size:
        name, stated = struct.unpack(">4sq", _at(file, at, 12))
        if name == b"data":  # four bytes count edits; libsndfile refuses a file that ends too early
            mend = (at + 4, struct.pack(">q", size - at - 12)) if stated <= 4 or stated > size - at - 12 else None
            return at + 16, max(0, stated - 4), mend
        at += 12 + max(0, stated)
    return size, 0, None


def _flac(file: BinaryIO, start: int, size: int) -> Plan:
    """The number of samples (36 bits of STREAMINFO) is set to 0, not known: the decoder then reads to the end."""
    info = _at(file, start + 21, 5)
    if len(info) < 5:
        return Plan((((0, size),),))
    stated = int.from_bytes(info, "big") & (1 << 36) - 1
    unknown = bytes([info[0] & 0xF0, 0, 0, 0, 0])
    promised = stated if stated < (1 << 36) - 1 else 0
    return Plan((((start, start + 21), unknown, (start + 26, size)),), promised_frames=promised)


def _ogg(file: BinaryIO, size: int) -> Plan:
    """Cut a chained stream into its links: libsndfile reads the first alone."""
    begins, inside, last = [0], False, 0
    for at, flags in _ogg_pages(file, size):
        if flags & 2 and inside:
            begins.append(at)
            inside = False
        inside |= not flags & 2
        last = flags
    ends = [*begins[1:], size]
    links = tuple(((begin, end),) for begin, end in zip(begins, ends, strict=True))
    return Plan(links, is_open_ended=not last & 4)  # the last page of a stream says that it is the last


def _ogg_pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Place and flags of each whole page (RFC 3533); bytes between pages are passed over."""
    at = 0
    while at + 27 <= size:
        header = _at(file, at, 27 + 255)
        if header[:4] != b"OggS":
            found = _find(file, b"OggS", at + 1, size)
            if found is None:
                return
            at = found
            continue
        num_segments = header[26]
        end = at + 27 + num_segments + sum(header[27 : 27 + num_segments])
        if end > size:
            yield at, 0
            return
        yield at, header[5]
        at = end


def _find(file: BinaryIO, mark: bytes, start: int, size: int) -> int | None:
    """The first place of `mark` from `start` on, read in pieces."""
    while start < size:
        piece = _at(file, start, 1 << 20)
        found = piece.find(mark)
        if found >= 0:
            return start + found
        if len(piece) < 1 << 20:
            return None
        start += len(piece) - len(mark) + 1
    return None


def _mpeg(file: BinaryIO, size: int) -> Plan | None:
    """The number of frames is counted and written into the header that states it, or into one put before the first.

    Without such a header libsndfile reckons the length by the first frame's bit rate and stops there: a file of
    varying rate would lose up to half.
    """
    found = mpeg.scan(file, size)
    if found is None:
        return None
    tag = mpeg.tag_bytes(_at(file, 0, 10))
    tags: tuple[Piece, ...] = ((0, tag),) if 0 < tag <= found.start else ()
    if found.header is None and found.layer != 3:
        return Plan(((*tags, (found.start, size)),), is_open_ended=found.is_cut)
    if found.header is None:
        frame = mpeg.info_frame(found.first, found.num_frames, size - found.start)
        return Plan(((*tags, frame, (found.start, size)),), is_open_ended=found.is_cut)
    stated = found.header.num_frames
    counts = struct.pack(">II", max(stated, found.num_frames), size - found.start)  # wrong bytes: mpg123 warns
    at = found.header.counts_at
    if not found.header.has_bytes:
        counts = counts[:4]
    pieces = (*tags, (found.start, at), counts, (at + len(counts), size))
    promised = stated * found.frame_samples - found.header.added_samples if found.num_frames < stated else 0
    return Plan((pieces,), promised_frames=promised, is_open_ended=found.is_cut)
