"""Style of moving pictures: from a folder or an animated picture to another, steadied, measured, all or nothing."""

import numpy as np
import pytest
import torch
from PIL import Image
from styles import needs_styles, scene

import clavilux
from clavilux.arts.style_frames import style_frames
from clavilux.image import frames
from clavilux.image.picture import Picture

pytestmark = needs_styles


@pytest.fixture
def folder(tmp_path):
    """source/ with three frames: noise over a scene."""
    (tmp_path / "source").mkdir()
    torch.manual_seed(0)
    for number in range(3):
        noisy = (scene(32, 48).float() + torch.randn(32, 48, 3)).round().clamp(0, 255).byte()
        Picture(noisy).save(tmp_path / "source" / f"shot{number}.png")
    return tmp_path


def test_a_folder_becomes_a_folder_of_the_same_names(folder):
    done = []
    found = style_frames(
        folder / "source", folder / "out", "ember", steady=0, progress=lambda *at: done.append(at)
    )  # fmt: skip
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["shot0.png", "shot1.png", "shot2.png"]
    assert found.frames == 3 and done == [(1, 3), (2, 3), (3, 3)]
    alone = clavilux.style(folder / "source" / "shot1.png", "ember")
    assert torch.equal(Picture.load(folder / "out" / "shot1.png").pixels, alone.pixels)
    assert Picture.load(folder / "out" / "shot1.png").receipt["controls"]["like"] == {"ember": 1.0}
    assert found.flicker == found.unsteadied
    assert sorted(path.name for path in folder.iterdir()) == ["out", "source"]


def test_steadiness_lowers_flicker_and_is_reported(folder):
    found = style_frames(folder / "source", folder / "out.webp", "mosaic", preview=folder / "now.png")
    assert found.flicker.still_change < 0.7 * found.unsteadied.still_change
    assert found.facts()["still_change_unsteadied"] == round(found.unsteadied.still_change, 4)
    with frames.open_frames(folder / "out.webp") as written:
        assert len(list(written)) == 3 and round(written.fps) == found.fps
    assert Picture.load(folder / "now.png").width == 48


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_an_animated_picture_keeps_its_frames_and_rate(folder, ending):
    shots = [Image.open(folder / "source" / f"shot{n}.png") for n in range(3)]
    shots[0].save(folder / "a.gif", save_all=True, append_images=shots[1:], duration=50)
    found = style_frames(folder / "a.gif", folder / f"b.{ending}", "copper")
    with frames.open_frames(folder / f"b.{ending}") as written:
        assert (found.frames, found.fps, written.count, round(written.fps)) == (3, 20, 3, 20)


def test_a_frame_that_fails_leaves_nothing(folder):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "source" / "shot9.png")
    for target in ("out", "out.webp", "out.gif"):
        with pytest.raises(ValueError, match="frame 4 has 9 x 9 pixels"):
            style_frames(folder / "source", folder / target, "ember")
    assert [path.name for path in folder.iterdir()] == ["source"]


def test_what_is_wrong_is_said_before_any_work(folder):
    (folder / "full").mkdir()
    (folder / "full" / "a").write_text("")
    for target, sentence in (
        ("full", "is there already"),
        ("a.avi", "should end in"),
        ("no/out", "there is no folder"),
    ):
        with pytest.raises(ValueError, match=sentence):
            style_frames(folder / "source", folder / target)
    with pytest.raises(ValueError, match="steady is 2; it should be a number from 0 to 1"):
        style_frames(folder / "source", folder / "out", steady=2)
