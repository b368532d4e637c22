"""`clavilux.examine` on small pictures that are drawn here, without the extra (`features` are not looked for)."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import clavilux
from clavilux.examining import verb
from clavilux.examining.figures import by_time
from clavilux.examining.kept import Kept
from clavilux.image.examination import copies, measurements


def drawing(seed, *, thin=False, side=64):
    """Rectangles in strong colors on white; or thin dark lines: another hand."""
    generator = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), 255, np.uint8)
    for _ in range(7):
        top, left = generator.integers(6, side - 26, 2)
        high, wide = (1, 18) if thin else generator.integers(8, 20, 2)
        pixels[top : top + high, left : left + wide] = generator.integers(0, 60 if thin else 220, 3)
    return pixels


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("works")
    for number in range(40):
        save(drawing(number), root / "blocks" / f"{number:02}.png")
    for number in range(8):
        save(drawing(number), root / "few" / f"{number:02}.png")
        save(drawing(number, thin=True), root / "lines 1890" / f"{number:02}.png")
    return root


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path_factory):
    """Without Lite0, and with a data folder of its own for the whole module."""
    monkeypatch.setattr(verb, "LITE0", "no_such_module")
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path_factory.getbasetemp() / "examined"))


def test_one_more_of_the_same_hand(folders, tmp_path):
    found = clavilux.examine(save(drawing(99), tmp_path / "a.png"), folders / "blocks")
    assert found.p > 0.05 and found.verdict == "as the references are" and not found.confounds
    assert "no proof" in found.says and found.alike_p is None
    assert sum(found.comparison.shares.values()) == pytest.approx(1) and len(found.nearest) == 5
    assert any("early layers were not measured" in each for each in found.remarks)


def test_another_hand_is_unlike_and_no_more_is_said(folders, tmp_path):
    found = clavilux.examine(save(drawing(99, thin=True), tmp_path / "a.png"), folders / "blocks")
    assert found.p == pytest.approx(1 / 41) and found.verdict == "unlike the references"
    page = tmp_path / "a.html"
    found.save(page)
    assert not re.search(r"\b(genuine|fake)\b", page.read_text()) and "no verdict" in found.says
    words = re.sub(r"nor that it is authentic or forged|authentic or forged", "", page.read_text())
    assert not re.search("authentic|forge", words)


@pytest.mark.parametrize(
    ("copy", "name"),
    [
        (lambda pixels: copies.blurred(pixels, 1.2), "blur"),
        (lambda pixels: copies.tinted(pixels, 0.15, -0.25), "cast"),
    ],
)
def test_a_worse_copy_is_explained_and_its_p_stays(folders, tmp_path, copy, name):
    found = clavilux.examine(save(copy(drawing(99)), tmp_path / "a.png"), folders / "blocks")
    assert name in [each.name for each in found.confounds]
    assert found.p < 0.05 <= found.alike_p and found.verdict.startswith("explained by") and name in found.verdict
    said = found.as_dict()
    assert said["p"] == found.p and "measurements" not in said and "nearest" not in said
    found.save(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "This explains the difference" in text and "The nearest references" not in text


def test_a_smaller_copy_is_no_other_hand(folders, tmp_path):
    found = clavilux.examine(save(copies.resized(drawing(99), 0.5), tmp_path / "a.png"), folders / "blocks")
    assert "resolution" in [each.name for each in found.confounds] and found.verdict != "unlike the references"


def test_under_forty_there_is_no_p(folders, tmp_path):
    found = clavilux.examine(save(drawing(99, thin=True), tmp_path / "a.png"), folders / "few")
    said = found.as_dict()
    assert said["p"] is None and said["verdict"] == "not enough evidence" and found.comparison.p == pytest.approx(1 / 9)
    assert "p = " not in found.says and said["references"] == [{"folder": str(folders / "few"), "works": 8, "p": None}]


def test_several_folders_are_told_apart(folders, tmp_path):
    picture = save(drawing(99, thin=True), tmp_path / "a.png")
    found = clavilux.examine(picture, [folders / "few", folders / "lines 1890"])
    assert found.classification.best == "lines 1890" and found.classification.right > 0.9
    assert found.classification.confusion.sum() == 16
    found.save(tmp_path / "a.html")
    assert "lines 1890" in (tmp_path / "a.html").read_text()
    assert by_time(("late 1905", "early 1880")) == [1, 0] and by_time(("a", "b 1900")) == [0, 1]


def test_a_page_and_a_picture_hold_all_they_show(folders, tmp_path):
    found = clavilux.examine(save(drawing(99, side=100), tmp_path / "a b&.png"), [folders / "blocks", folders / "few"])
    for name in ("a.html", "a.png", "a.json"):
        found.save(tmp_path / name)
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>") and page.count("data:image/jpeg") >= 7 and "a b&amp;.png" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page) and "width=device-width" in page
    assert not re.search(r"<script[^>]+src|@import|url\((?!#)", page)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] == 960
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(json.dumps(found.as_dict()))


def test_measurements_are_kept_by_content(folders, tmp_path, monkeypatch):
    picture = save(drawing(99), tmp_path / "a.png")
    monkeypatch.setenv("CLAVILUX_DATA", str(tmp_path / "data"))
    first = clavilux.examine(picture, folders / "few")
    assert len(list((tmp_path / "data" / "examined").iterdir())) == 8
    (next((tmp_path / "data" / "examined").iterdir())).write_bytes(b"broken")  # is measured anew
    counted = []
    monkeypatch.setattr(
        "clavilux.examining.works.measure", lambda *given: counted.append(1) or measurements.measure(*given)
    )
    again = clavilux.examine(picture, folders / "few")
    assert len(counted) == 2 and again.as_dict() == first.as_dict()
    clavilux.examine(picture, folders / "few", keep=False)
    assert len(counted) == 2 + 9


def test_where_nothing_can_be_kept_it_is_said(tmp_path):
    (tmp_path / "file").touch()
    kept = Kept(tmp_path / "file" / "folder")
    kept.put("key", measurements.measure(drawing(0), 64))
    assert kept.failed and kept.get("key") is None


def test_a_picture_is_not_compared_with_itself(folders, tmp_path):
    save(drawing(3), tmp_path / "more" / "a.png")
    save(drawing(3), tmp_path / "more" / "copy.png")
    for number in range(4, 7):
        save(drawing(number), tmp_path / "more" / f"{number}.png")
    found = clavilux.examine(folders / "blocks" / "04.png", tmp_path / "more")
    assert len(found.references[0].works) == 3
    assert "copies of others" in " ".join(found.remarks) and "not compared with itself" in " ".join(found.remarks)


def test_subfolders_are_subjects(tmp_path):
    for number in range(6):
        save(drawing(number), tmp_path / "works" / f"subject {number % 2}" / f"{number}.png")
    found = clavilux.examine(clavilux.Picture(drawing(9)), tmp_path / "works")
    assert set(found.references[0].subjects) == {"subject 0", "subject 1"}
    found.save(tmp_path / "a.html")
    assert "Subfolders are subjects" in (tmp_path / "a.html").read_text()
