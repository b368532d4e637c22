"""Animated files: frames that come back from Pillow, receipts, ffmpeg's part, and that nothing is left of a failure."""

import io
import json
import os
import stat
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from clavilux.image.animation import check_animation, write_animation
from clavilux.image.picture import Picture

RECEIPT = {"seed": 7, "name": "zoom ü"}


def frames(count=5, height=18, width=25):
    """A bright bar that moves to the right."""
    found = []
    for number in range(count):
        pixels = torch.full((height, width, 3), 40, dtype=torch.uint8)
        pixels[:, 4 * number : 4 * number + 4] = torch.tensor([250, 200, 30], dtype=torch.uint8)
        found.append(pixels)
    return found


def write(path, shown, fps=12, receipt=None):
    with write_animation(path, fps, receipt) as animation:
        for pixels in shown:
            animation.add(pixels)
        assert animation.frames == len(shown)


def stopped():
    """A frame, and then Ctrl-C."""
    yield frames()[0]
    raise KeyboardInterrupt


def read(path):
    with Image.open(path) as image:
        shown, times = [], []
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            times.append(image.info["duration"])
            shown.append(np.array(image.convert("RGB")))
        return shown, times, image.info.get("loop")


@pytest.mark.parametrize(("ending", "near"), [(".gif", 3), (".webp", 40)])
def test_frames_come_back(tmp_path, ending, near):
    path = tmp_path / f"zoom{ending}"
    write(path, frames(), receipt=RECEIPT)
    shown, times, loop = read(path)
    assert loop == 0
    assert len(shown) == 5 and all(each.shape == (18, 25, 3) for each in shown)
    for ours, theirs in zip(frames(), shown, strict=True):
        assert np.abs(ours.numpy().astype(int) - theirs).mean() < near / 8
    assert abs(sum(times) - 5 * 1000 / 12) <= 5  # no drift: a frame of 1/12 s is rounded to 8 or 9 hundredths
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_pictures_of_many_sizes_and_colors(tmp_path, ending):
    for height, width in ((1, 1), (2, 3), (33, 16), (40, 64)):
        noise = [torch.randint(0, 256, (height, width, 3), dtype=torch.uint8) for _ in range(3)]
        write(tmp_path / f"noise{ending}", noise)
        assert [each.shape for each in read(tmp_path / f"noise{ending}")[0]] == [(height, width, 3)] * 3


def test_receipts(tmp_path):
    for ending in (".gif", ".webp"):
        write(tmp_path / f"a{ending}", frames(2), receipt=RECEIPT)
    assert Picture.load(tmp_path / "a.webp").receipt == RECEIPT
    with Image.open(tmp_path / "a.gif") as image:
        assert json.loads(image.info["comment"])["clavilux"] == RECEIPT


def test_no_more_than_a_frame_is_held(tmp_path):
    """The file grows while frames come."""
    sizes = []
    with write_animation(tmp_path / "a.webp", 10) as animation:
        for _ in range(3):
            animation.add(torch.randint(0, 256, (256, 256, 3), dtype=torch.uint8))
            (hidden,) = tmp_path.iterdir()
            sizes.append(hidden.stat().st_size)
    assert sizes[0] > 10_000 and sizes == sorted(set(sizes))


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_a_failure_leaves_nothing(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="a frame has 3 x 2 pixels; the first had 25 x 18"):
        write(path, [*frames(1), torch.zeros(2, 3, 3, dtype=torch.uint8)])
    with pytest.raises(KeyboardInterrupt):
        write(path, stopped())
    with pytest.raises(ValueError, match="no frame"):
        write(path, [])
    assert [each.name for each in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"before"


def test_what_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for path, fps, said in (
        ("a.avi", 10, "should end in .gif, .webp or .mp4"),
        ("a.gif", 60, "fps is 60; it should be a whole number from 1 to 50"),
        ("a.webp", 0, "fps is 0"),
        ("a.mp4", 10, "needs the program ffmpeg on the PATH; .webp and .gif need nothing"),
    ):
        with pytest.raises(ValueError, match=said):
            check_animation(tmp_path / path, fps)
    with pytest.raises(ValueError, match="there is no folder"):
        write(tmp_path / "none" / "a.gif", frames(1))
    with pytest.raises(ValueError, match="at most 16383 pixels a side, not 20000 x 1"):
        write(tmp_path / "a.webp", [torch.zeros(1, 20000, 3, dtype=torch.uint8)])
    assert not list(tmp_path.iterdir())


FFMPEG = """#!{python}
import pathlib, sys
arguments = sys.argv[1:]
payload = sys.stdin.buffer.read()
if "{fails}":
    sys.stderr.write("first line\\nUnknown encoder\\n")
    sys.exit(1)
pathlib.Path(arguments[-1]).write_bytes(payload)
pathlib.Path("{notes}").write_text("\\n".join(arguments))
"""


def ffmpeg(tmp_path, monkeypatch, fails=""):
    """A program of that name that writes the frames as they come, and its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(FFMPEG.format(python=sys.executable, fails=fails, notes=tmp_path / "notes"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.skipif(os.name == "nt", reason="a script stands for ffmpeg")
def test_ffmpeg_is_given_every_frame(tmp_path, monkeypatch):
    ffmpeg(tmp_path, monkeypatch)
    write(tmp_path / "a.mp4", frames(3), fps=24, receipt=RECEIPT)
    wanted = b"".join(each[:, :24].contiguous().numpy().tobytes() for each in frames(3))  # the odd column is left out
    assert (tmp_path / "a.mp4").read_bytes() == wanted
    notes = (tmp_path / "notes").read_text()
    assert "-s\n24x18\n-r\n24\n" in notes and '"seed": 7' in notes


@pytest.mark.skipif(os.name == "nt", reason="a script stands for ffmpeg")
def test_what_ffmpeg_says_when_it_fails(tmp_path, monkeypatch):
    ffmpeg(tmp_path, monkeypatch, fails="yes")
    with pytest.raises(OSError, match="ffmpeg failed: Unknown encoder"):
        write(tmp_path / "a.mp4", frames(2))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mp4", stopped())
    with pytest.raises(ValueError, match="no frame"):
        write(tmp_path / "a.mp4", [])
    assert [each.name for each in tmp_path.iterdir()] == ["bin"]


def test_a_gif_of_one_frame_is_a_gif(tmp_path):
    write(tmp_path / "a.gif", frames(1))
    with Image.open(io.BytesIO((tmp_path / "a.gif").read_bytes())) as image:
        assert image.format == "GIF" and image.size == (25, 18)
