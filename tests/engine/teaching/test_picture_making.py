"""How the bundled painter painted a picture; other styles and layers; what is said where neither can be shown."""

import re

import numpy as np
import pytest
import torch
from seen import needs_lite0

import clavilux
from clavilux.image.arts import INSTALL
from clavilux.image.picture import Picture
from clavilux.teaching import picture_arts, picture_lesson, picture_model_part
from clavilux.teaching.lesson import Drawing, Section, Text
from clavilux.teaching.picture_arts import seen_by_others
from clavilux.teaching.picture_model_part import how_painted

OTHERWISE, OTHER_VERSION = "it comes out otherwise", "Another version of lumia"


@pytest.fixture(scope="module")
def model():
    return clavilux.load("lumia", device="cpu")


@pytest.fixture(scope="module")
def apple(model):
    return model.generate("red apple", seed=3)


@pytest.fixture(scope="module")
def file(apple, tmp_path_factory):
    path = tmp_path_factory.mktemp("painted") / "apple.png"
    apple.save(path)
    return path


@pytest.fixture(scope="module")
def lesson():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_lesson, "seen_by_others", lambda *_: Section("others", ()))
        return clavilux.teach("red apple", model="lumia", seed=3, device="cpu")


@pytest.fixture(scope="module")
def blocks(lesson):
    return next(section.blocks for section in lesson.sections if section.title == "How it was painted")


def drawing(blocks, name):
    return next(block.svg for block in blocks if isinstance(block, Drawing) and block.name == name)


def words_of(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def words_in(blocks):
    return " ".join(block.words for block in blocks if isinstance(block, Text))


def test_ten_places_with_shares_that_the_model_gives(blocks, apple, model):
    """Those of what was drawn, from `score`, which reads no table of logits."""
    svg = drawing(blocks, "candidates")
    assert svg.count("<image") == 30 and svg.count('stroke-width="4"') == 10
    assert [each for each in words_of(svg) if each.isdecimal()] == [str(number) for number in range(1, 11)]
    hand, guidance = apple.receipt["controls"]["hand"], apple.receipt["settings"]["guidance"]
    own = model.score(apple.tokens, prompt="red apple", size=64, guidance=guidance, hand=hand)[0].exp()
    places = picture_model_part._Making(model, apple).places
    bold = [
        each.split(" → ")[0]
        for each in re.findall(r'font-weight="bold">([^<]+→[^<]+)</text>', svg.replace("&lt;", "<"))
    ]
    for place, said in zip(places, bold, strict=True):
        assert said == ("<1%" if own[place] < 0.005 else f"{float(own[place]):.0%}")


def test_bits_are_those_of_the_maps(blocks, apple, model):
    maps = model.explain(apple)
    most = int(maps.entropy.argmax())
    said = words_in(blocks)
    assert f"had {float(maps.entropy.mean()):.1f} bits" in said and "8 x 8 places" in said and "4 tokens" in said
    assert f"in row {most // 8 + 1}, column {most % 8 + 1}" in said


def test_other_temperatures_and_guidance_stand_beside_the_own(blocks, model):
    temperatures, guidances = (words_of(drawing(blocks, name)) for name in ("temperatures", "guidances"))
    own = model.family.sampling
    assert temperatures[::2] == [f"temperature {each:g}" for each in sorted({0, own.temperature, 1})]
    assert guidances[::2] == [f"guidance {each:g}" for each in sorted({1, 2, 4, own.guidance})]
    bits = [float(each.split()[0]) for each in temperatures[1::2]]
    assert bits[0] == 0 and bits[0] < bits[1] < bits[2]
    assert drawing(blocks, "temperatures").count('stroke-width="4"') == 1


def test_places_are_the_most_open_and_some_of_the_others():
    bits = torch.arange(64.0).flip(0)
    assert picture_model_part._some_places(bits) == [0, 1, 2, 3, 4, 5, 20, 34, 48, 63]
    assert picture_model_part._some_places(torch.tensor([1.0, 3.0, 2.0])) == [0, 1, 2]


def test_a_file_is_painted_again_to_see_how(file, apple, monkeypatch):
    class Seen:
        def __init__(self, model, picture):
            self.picture = picture

        def blocks(self):
            return self.picture

    monkeypatch.setattr(picture_model_part, "_Making", Seen)
    assert torch.equal(how_painted(Picture.load(file), None, "cpu").tokens, apple.tokens)
    apple.save(file.with_suffix(".jpg"))
    assert torch.equal(how_painted(Picture.load(file.with_suffix(".jpg")), None, "cpu").tokens, apple.tokens)


def test_what_cannot_be_painted_again_is_said(file, apple):
    changed = Picture.load(file)
    changed.pixels = changed.pixels.clone()
    changed.pixels[8:24, 8:24] = 0
    assert OTHERWISE in words_in(how_painted(changed, None, "cpu"))
    for odd in ({"seed": "seven"}, {"settings": 3}, {"prompt": "xyzzy"}, {"controls": []}):
        strange = Picture(apple.pixels, receipt=apple.receipt | odd)
        assert OTHERWISE in words_in(how_painted(strange, None, "cpu"))
    foreign = Picture(apple.pixels, receipt=apple.receipt | {"fingerprint": "0" * 16})
    assert OTHER_VERSION in words_in(how_painted(foreign, None, "cpu"))
    assert how_painted(Picture(apple.pixels, receipt={"model": "another"}), None, "cpu") == []


def test_a_prompt_of_a_picture(lesson):
    assert lesson.title == "A lesson on: red apple" and lesson.receipt["prompt"] == "red apple"
    assert lesson.facts["seed"] == 3 and "candidates" in lesson.pictures
    with pytest.raises(ValueError, match="'lumia' paints pictures; leave seconds out"):
        clavilux.teach("red apple", model="lumia", seconds=3)


@needs_lite0
def test_other_styles_and_layers(monkeypatch, apple):
    monkeypatch.setattr(picture_arts, "SIDE", 80)
    shown = {block.name: block.picture for row in seen_by_others(apple, 1, "cpu").blocks[1::2] for block in row.blocks}
    assert list(shown) == ["style starry-night", "style charcoal", "dream blocks.3", "dream blocks.9"]
    pixels = [each.pixels.numpy().astype(float) for each in shown.values()]
    assert all(each.shape == (80, 80, 3) for each in pixels)
    plain = apple.resized(80, 80).pixels.numpy()
    assert all(np.abs(one - other).mean() > 2 for one in pixels for other in [plain, *pixels] if one is not other)


def test_without_the_extra_it_is_said(monkeypatch, apple):
    monkeypatch.setattr(picture_arts, "_NEEDED", ("no_such_module",))
    (block,) = seen_by_others(apple, 1, "cpu").blocks
    assert INSTALL in block.words
