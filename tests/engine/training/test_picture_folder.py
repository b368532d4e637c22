"""A folder of pictures as people have them: classes, what is held out, what is broken, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from clavilux.training import picture_folder
from clavilux.training.picture_folder import PictureFolder, read_pictures


def paint(folder, name, colour, size=(30, 20), mode="RGB"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def several(folder, count, kind=""):
    return [paint(folder, f"{kind}{n:02}.png", (n, 2 * n, 255 - n)) for n in range(count)]


def test_pictures_are_squares_on_white(tmp_path):
    half = Image.new("RGBA", (40, 20), (255, 0, 0, 255))
    half.paste((0, 0, 255, 0), (0, 0, 20, 20))  # transparent left of the middle
    half.save(tmp_path / "a.png")
    paint(tmp_path, "b.jpg", "black")
    found = read_pictures(tmp_path, 8)
    assert found.pixels.shape == (2, 3, 8, 8) and found.pixels.dtype == np.uint8 and found.size == 8
    assert found.pixels[0, :, 4, 1].min() > 250 and found.pixels[0, :, 4, 6].tolist()[1:] < [4, 4]
    assert found.pixels[1].max() < 8
    assert found.files == ("a.png", "b.jpg") and found.classes == ("",) and not found.skipped


def test_subfolders_are_classes_and_hidden_files_are_passed_over(tmp_path):
    several(tmp_path, 3, "cats/")
    several(tmp_path, 2, "birds/small/")
    (tmp_path / "notes.txt").write_text("no picture")
    paint(tmp_path, "cats/.thumbnail.png", "red")
    paint(tmp_path, ".trash/x.png", "red")
    found = read_pictures(tmp_path, 8)
    assert found.classes == ("birds", "cats") and found.labels.tolist() == [0, 0, 1, 1, 1]
    assert found.files[0] == "birds/small/00.png" and not found.skipped


def test_a_share_is_held_out_by_what_is_in_the_files(tmp_path):
    several(tmp_path, 60)
    first = read_pictures(tmp_path, 8, share=0.3)
    assert 8 <= first.held_out.sum() <= 28
    assert sorted([*first.taught, *first.unseen]) == list(range(60))
    unseen = {first.files[row] for row in first.unseen}
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(f"x{path.name}"))  # names say nothing
    paint(tmp_path, "a.png", (9, 9, 9))
    again = read_pictures(tmp_path, 8, share=0.3)
    assert {f"x{name}" for name in unseen} == {again.files[row] for row in again.unseen} - {"a.png"}


def test_copies_stay_on_one_side(tmp_path):
    for path in several(tmp_path, 20):
        (tmp_path / f"copy-{path.name}").write_bytes(path.read_bytes())
    found = read_pictures(tmp_path, 8, share=0.4)
    unseen = {found.files[row].removeprefix("copy-") for row in found.unseen}
    assert len(found.unseen) == 2 * len(unseen)


@pytest.mark.parametrize("count", [2, 12])
def test_of_few_pictures_one_at_least_is_held_out(tmp_path, count):
    several(tmp_path, count)
    found = read_pictures(tmp_path, 8, share=0.0)
    assert len(found.unseen) == 1 and len(found.taught) == count - 1


def test_another_folder_is_held_out(tmp_path):
    several(tmp_path / "a", 3, "cats/")
    several(tmp_path / "b", 2, "dogs/")
    found = read_pictures(tmp_path / "a", 8, held_out=tmp_path / "b")
    assert found.held_out.tolist() == [False] * 3 + [True] * 2 and found.classes == ("cats", "dogs")


def test_broken_files_are_named_and_skipped(tmp_path):
    several(tmp_path, 12)
    whole = paint(tmp_path, "cut.jpg", "red", size=(300, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.gif").touch()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    told = []
    found = read_pictures(tmp_path, 8, progress=lambda done, total: told.append((done, total)))
    assert len(found.pixels) == 12 and told[-1] == (16, 16)
    assert [each.file for each in found.skipped] == ["cut.jpg", "empty.gif", "gone.png", "text.png"]
    assert "cut short" in found.skipped[0].reason and "0 bytes" in found.skipped[1].reason


def test_what_is_read_comes_back(tmp_path):
    several(tmp_path / "in", 5, "a/")
    (tmp_path / "in" / "bad.png").write_text("no picture")
    found = read_pictures(tmp_path / "in", 8)
    found.save(tmp_path / "pictures.npz")
    again = PictureFolder.load(tmp_path / "pictures.npz")
    for name in ("pixels", "labels", "held_out"):
        assert np.array_equal(getattr(again, name), getattr(found, name))
    for name in ("classes", "files", "skipped", "listing"):
        assert getattr(again, name) == getattr(found, name)


def test_a_listing_tells_folders_apart(tmp_path):
    several(tmp_path, 4)
    before = picture_folder.listing(tmp_path)
    assert before == picture_folder.listing(tmp_path) == read_pictures(tmp_path, 8).listing
    paint(tmp_path, "new.png", "red")
    assert picture_folder.listing(tmp_path) != before


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder '.*nowhere'; give one with pictures"):
        read_pictures(tmp_path / "nowhere", 8)
    with pytest.raises(ValueError, match="holds no picture; 2 are the least"):
        read_pictures(tmp_path, 8)
    one = paint(tmp_path, "a.png", "red")
    with pytest.raises(ValueError, match="is a file; give a folder"):
        read_pictures(one, 8)
    with pytest.raises(ValueError, match="holds one picture; 2 are the least, one to learn from and one to measure"):
        read_pictures(tmp_path, 8)
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"holds one picture beside what could not be read \(b.png\)"):
        read_pictures(tmp_path, 8)
    (tmp_path / "b.png").write_bytes(one.read_bytes())
    with pytest.raises(ValueError, match="all 2 pictures are copies of one file"):
        read_pictures(tmp_path, 8)
    with pytest.raises(ValueError, match="size is 0; it should be a whole number from 8"):
        read_pictures(tmp_path, 0)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="the folder that is held out holds no picture"):
        read_pictures(tmp_path, 8, held_out=tmp_path / "other")


def test_more_than_the_memory_holds_is_refused(tmp_path, monkeypatch):
    several(tmp_path, 3)
    monkeypatch.setattr(picture_folder, "free_memory_bytes", lambda: 1000)
    with pytest.raises(ValueError, match="3 pictures of 64 x 64 pixels take .* are free"):
        read_pictures(tmp_path, 64)
