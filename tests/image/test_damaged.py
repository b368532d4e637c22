"""Pictures as the world has them: metadata that must not stop the pixels, transparent colours, files cut short."""

import io as bytes_io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from clavilux.image import io
from clavilux.image.picture import Picture

NOISE = np.random.default_rng(1).integers(0, 256, (40, 24, 3), np.uint8)


def chunk(kind: bytes, body: bytes, crc_error: int = 0) -> bytes:
    crc = zlib.crc32(kind + body) ^ crc_error
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png(samples: np.ndarray, depth: int, color: int, *extra: bytes, interlaced: int = 0) -> bytes:
    """A png of rows of packed bytes, uint8 [H, bytes]; `extra` chunks stand before the pixels."""
    height, row_bytes = samples.shape
    width = row_bytes * 8 // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color])
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + pixels + chunk(b"IEND", b"")


def saved(ending: str, image: Image.Image | None = None, **options) -> bytes:
    buffer = bytes_io.BytesIO()
    (Image.fromarray(NOISE) if image is None else image).save(buffer, ending, **options)
    return buffer.getvalue()


def read(tmp_path, payload: bytes, **options):
    path = tmp_path / "a.picture"
    path.write_bytes(payload)
    return io.read(path, **options)


LARGE = zlib.compress(b"x" * 3_000_000)
PLAIN = png(NOISE.reshape(40, -1), 8, 2)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + LARGE),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0nothing packed"),
        chunk(b"iCCP", b"profile\0\0" + LARGE),
        chunk(b"iCCP", b"profile\0\0broken"),
        chunk(b"pHYs", b"\0"),
        chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        chunk(b"acTL", b"\0"),
    ],
    ids=["zTXt", "iTXt", "exif", "xmp", "broken xmp", "profile", "broken profile", "short pHYs", "wild eXIf", "acTL"],
)
def test_metadata_does_not_stop_the_pixels(tmp_path, extra):
    found = read(tmp_path, png(NOISE.reshape(40, -1), 8, 2, extra), strict=True)
    assert np.array_equal(found.pixels, NOISE) and found.remarks == ()


def test_a_wrong_checksum(tmp_path):
    found = read(tmp_path, png(NOISE.reshape(40, -1), 8, 2, chunk(b"tEXt", b"Comment\0hello", crc_error=1)))
    assert np.array_equal(found.pixels, NOISE)
    assert found.remarks == ("its tEXt chunk has a wrong checksum and was passed over",)
    broken = bytearray(PLAIN)
    broken[-14] ^= 1  # the checksum of the pixels
    with pytest.raises(ValueError, match=r"a\.picture' is a damaged png: its IDAT chunk has a wrong checksum"):
        read(tmp_path, bytes(broken))


@pytest.mark.parametrize("wild", [b"AAAA\0\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\x7f"])
def test_orientation_beside_a_wild_tag(tmp_path, wild):
    """The second tag points far behind the end of the file, or claims an absurd number of values."""
    tiff = b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + b"\x1a\x01\x02\0" + wild + b"\0\0\0\0"
    for ending in ("PNG", "JPEG", "WEBP"):
        options = {"lossless": True} if ending == "WEBP" else {"quality": 100} if ending == "JPEG" else {}
        flat = saved(ending, **options)
        turned = read(tmp_path, saved(ending, exif=b"Exif\0\0" + tiff, **options)).pixels
        assert np.array_equal(turned, np.rot90(read(tmp_path, flat).pixels, -1)), ending


def test_a_transparent_color_of_any_depth_is_white(tmp_path):
    for depth in (1, 2, 4, 8, 16):
        levels = np.arange(4) % 2**depth if depth < 16 else np.array([0, 20000, 40000, 40001])
        bits = np.array([[int(bit) for level in levels for bit in f"{level:0{depth}b}"]], np.uint8)
        payload = png(np.packbits(bits, axis=1), depth, 0, chunk(b"tRNS", struct.pack(">H", levels[-2])))
        row = read(tmp_path, payload).pixels[0, :4, 0]
        clear = levels == levels[-2]
        top = 2**depth - 1
        expected = np.where(clear, 255, (levels * 255 + top // 2) // top)
        assert row[: len(expected)].tolist() == expected.tolist(), depth
    colors = np.array([[[40000, 5, 6], [40000, 5, 7], [0, 0, 0]]], ">u2")
    for interlaced in (0, 1):  # of three pixels in a row the passes 1, 4 and 6 have one each
        rows = colors.reshape(3, -1)[[0, 2, 1]] if interlaced else colors.reshape(1, -1)
        payload = png(rows.view(np.uint8), 16, 2, chunk(b"tRNS", struct.pack(">HHH", 40000, 5, 6)))
        if interlaced:
            payload = payload[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 16, 2, 0, 0, 1)) + payload[33:]
        pixels = read(tmp_path, payload).pixels[0].tolist()
        assert pixels == [[255, 255, 255], [156, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_that_is_cut_short(tmp_path, interlaced):
    payload = PLAIN
    if interlaced:  # Pillow writes none: passes of one pixel a row would do, so a single column is cut
        rows = png(NOISE[:, :1].reshape(40, -1), 8, 2)
        payload = rows[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 40, 8, 2, 0, 0, 1)) + rows[33:]
    assert read(tmp_path, payload[:-4]).remarks[0].startswith("the file is cut short behind its pixels")
    found = read(tmp_path, payload[: len(payload) // 2 + 20])
    assert found.pixels.shape[0] == 40 and found.remarks[0].startswith("the file is cut short: ")
    if not interlaced:
        rows = int(found.remarks[0].split()[5])
        assert 15 < rows < 30 and np.array_equal(found.pixels[:rows], NOISE[:rows])
        assert not found.pixels[rows + 1 :].any()
    with pytest.raises(ValueError, match=r"a\.picture': the file is cut short"):
        read(tmp_path, payload[: len(payload) // 2 + 20], strict=True)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpg_that_is_cut_short(tmp_path, progressive):
    payload = saved("JPEG", quality=100, progressive=progressive)
    found = read(tmp_path, payload[: len(payload) * 2 // 3])
    assert found.remarks == ("the file is cut short: what is missing of its pixels is grey or blurred",)
    whole = read(tmp_path, payload).pixels
    assert np.array_equal(found.pixels[:8], whole[:8]) or progressive
    with pytest.raises(ValueError, match="the file is cut short"):
        read(tmp_path, payload[: len(payload) * 2 // 3], strict=True)
    assert Picture.load(tmp_path / "a.picture").remarks == found.remarks


@pytest.mark.parametrize("sides", [(60000, 60000), (2**31 - 1, 2**31 - 1)])
def test_a_small_file_that_claims_to_be_huge(tmp_path, sides):
    header = struct.pack(">IIBBBBB", *sides, 8, 2, 0, 0, 0)
    for payload in (PLAIN, PLAIN[:-30]):
        with pytest.raises(ValueError, match="more pixels than the 67,108,864"):
            read(tmp_path, payload[:8] + chunk(b"IHDR", header) + payload[33:])


def test_a_receipt_of_megabytes_is_passed_over(tmp_path):
    text = b'clavilux\0{"seed": "' + b"x" * 2_000_000 + b'"}'
    found = read(tmp_path, png(NOISE.reshape(40, -1), 8, 2, chunk(b"tEXt", text)))
    assert found.receipt == {} and "a text of 2 MiB stands where a receipt would" in found.remarks[0]
