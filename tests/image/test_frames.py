"""Moving pictures are read frame by frame: folders, gif, webp, and what a program called ffmpeg says."""

import stat
import sys

import numpy as np
import pytest
from PIL import Image

from clavilux.image import frames


def pictures(count=4, width=6, height=4):
    """Flat pictures, each lighter than the one before."""
    return [np.full((height, width, 3), 40 * number, np.uint8) for number in range(1, count + 1)]


def save_animated(path, duration=50, count=4):
    first, *others = (Image.fromarray(each) for each in pictures(count))
    first.save(path, save_all=True, append_images=others, duration=duration, lossless=True)


def read(path):
    with frames.open_frames(path) as found:
        return found, [each.numpy() for each in found]


def test_a_folder_is_read_by_the_numbers_of_its_names(tmp_path):
    for name, pixels in zip(("f2", "f10", "f1", "f9"), pictures(), strict=True):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_text("no frame")
    found, read_ = read(tmp_path)
    assert found.names == ("f1", "f2", "f9", "f10") and found.count == 4
    assert [each[0, 0, 0] for each in read_] == [120, 40, 160, 80]


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_animated_pictures_are_read_with_their_rate(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    save_animated(path)
    found, read_ = read(path)
    assert frames.is_moving(path) and found.count == len(read_) == 4 and found.fps == pytest.approx(20)
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(read_, pictures(), strict=True))


def test_a_gif_that_says_no_rate_has_that_of_browsers(tmp_path):
    save_animated(tmp_path / "a.gif", duration=0)
    assert read(tmp_path / "a.gif")[0].fps == pytest.approx(10)


def test_a_still_picture_does_not_move(tmp_path):
    for ending in ("png", "gif", "webp"):
        Image.fromarray(pictures()[0]).save(tmp_path / f"a.{ending}")
        assert not frames.is_moving(tmp_path / f"a.{ending}")
    assert not frames.is_moving(tmp_path / "none.gif")


def test_frames_of_two_sizes_are_refused(tmp_path):
    Image.new("RGB", (6, 4)).save(tmp_path / "1.png")
    Image.new("RGB", (5, 4)).save(tmp_path / "2.png")
    with pytest.raises(ValueError, match="frame 2 has 5 x 4 pixels, the first 6 x 4"):
        read(tmp_path)


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        read(tmp_path / "empty")
    with pytest.raises(ValueError, match="there is no file"):
        read(tmp_path / "none.mp4")
    (tmp_path / "text.gif").write_text("no picture")
    with pytest.raises(ValueError, match="no animated gif or webp, or a damaged one"):
        read(tmp_path / "text.gif")
    save_animated(tmp_path / "cut.webp")
    payload = (tmp_path / "cut.webp").read_bytes()
    (tmp_path / "cut.webp").write_bytes(payload[: len(payload) * 2 // 3])
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path / "cut.webp")


FAKE = """#!{python}
import sys
options = sys.argv[1:]
assert options[options.index("-i") + 1].startswith("file:/") and "file,pipe" in options
if {broken!r} == "all":
    sys.exit("a.mp4: Invalid data")
if "yuv4mpegpipe" in options:
    sys.stderr.write("  Duration: 00:00:00.16, start: 0\\n")
    sys.stdout.buffer.write(b"YUV4MPEG2 W6 H4 F25:1 Ip A1:1 C420jpeg\\nFRAME\\n" + bytes(36))
else:
    for level in (40, 80, 120, 160):
        sys.stdout.buffer.write(bytes([level]) * 6 * 4 * 3)
    if {broken!r}:
        sys.stdout.buffer.write(b"half")
        sys.exit("the end is missing")
"""


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """A program of that name which knows one video; ffmpeg("end") breaks off at its end, ffmpeg("all") before it."""

    def put(broken=""):
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE.format(python=sys.executable, broken=broken))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(program.parent))
        (tmp_path / "a.mp4").write_bytes(b"video")
        return tmp_path / "a.mp4"

    return put


def test_a_video_comes_through_ffmpeg(ffmpeg):
    path = ffmpeg()
    found, read_ = read(path)
    assert frames.is_moving(path) and (found.width, found.height, found.fps, found.count) == (6, 4, 25, 4)
    assert all((a == b).all() for a, b in zip(read_, pictures(), strict=True))


def test_a_video_may_be_left_before_its_end(ffmpeg):
    with frames.open_frames(ffmpeg()) as found:
        assert next(iter(found)).shape == (4, 6, 3)


def test_what_ffmpeg_says_of_a_damaged_video_is_passed_on(ffmpeg):
    with pytest.raises(ValueError, match=r"is no video, or a damaged one; ffmpeg says: a\.mp4: Invalid data"):
        read(ffmpeg("all"))
    with pytest.raises(ValueError, match="damaged behind frame 4; ffmpeg says: the end is missing"):
        read(ffmpeg("end"))


def test_without_ffmpeg_a_video_is_refused(ffmpeg, tmp_path, monkeypatch):
    path = ffmpeg()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="needs the program ffmpeg on the PATH; a folder of frames needs nothing"):
        read(path)
