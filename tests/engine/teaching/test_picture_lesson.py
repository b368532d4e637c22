"""A picture's lesson: what is found in pictures whose answers are known, what is asked, its page; what is refused."""

import colorsys
import json

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFilter

import clavilux
from clavilux.image.examination.canvas import lab_of, rgb_of
from clavilux.image.picture import Picture
from clavilux.teaching import picture_checking, picture_drawings, picture_exercises, picture_lesson
from clavilux.teaching.lesson import Image, Section
from clavilux.teaching.picture_facts import DIRECTIONS, picture_facts

WAVES = ((1, 0), (1, -1), (0, 1), (1, 1))
BLUE, ORANGE, PALE = (30, 60, 170), (235, 130, 30), (215, 220, 235)


def scene():
    """uint8 [80, 120, 3]: blue, a light upper left quarter, an orange square right below, stripes in it."""
    pixels = np.full((80, 120, 3), BLUE, np.uint8)
    pixels[:30, :40] = PALE
    pixels[46:76, 70:110] = ORANGE
    pixels[46:76:5, 70:110] = PALE
    return pixels


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without networks, whose own test is elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_lesson, "seen_by_others", lambda *_: Section("As others would see it", ()))
        yield


@pytest.fixture(scope="module")
def lesson():
    return clavilux.teach(Picture(scene()), seed=4)


def by_topic(lesson):
    return {each.topic: each for each in lesson.exercises}


def test_what_is_found(lesson):
    facts = lesson.facts
    blue = (scene() == BLUE).all(-1).mean()
    assert facts["colors"][0] == {"color": "#1e3caa", "share": pytest.approx(blue, abs=0.01)}
    assert {each["color"] for each in facts["colors"]} >= {"#1e3caa", "#d7dceb", "#eb821e"}
    assert facts["harmony"] == "opposites"
    warm = (scene() == ORANGE).all(-1).mean()
    assert facts["warm share"] == pytest.approx(warm, abs=0.001)
    assert facts["brightest"][0] < 1 / 3 and facts["brightest"][1] < 3 / 8
    assert facts["edges"]["level"] == max(facts["edges"].values())
    assert json.dumps(lesson.as_dict())


def test_what_stands_out_pulls_the_balance():
    pixels = np.full((60, 60, 3), 128, np.uint8)
    pixels[38:44, 38:44] = ORANGE
    facts = picture_facts(Picture(pixels), "a square")
    assert facts.peak == pytest.approx((41 / 60, 41 / 60), abs=0.04)
    assert facts.center == pytest.approx((41 / 60, 41 / 60), abs=0.04)
    assert facts.weight.sum() == pytest.approx(1)


@pytest.mark.parametrize(("name", "down"), list(zip(DIRECTIONS, WAVES, strict=True)))
def test_directions_of_stripes(name, down):
    """A wave runs across its stripes: down for level ones."""
    y, x = np.mgrid[:96, :96]
    wave = 128 + 90 * np.sin((down[0] * y + down[1] * x) * 2 * np.pi / 16)
    pixels = np.repeat(wave.astype(np.uint8)[..., None], 3, -1)
    facts = picture_facts(Picture(pixels), "stripes")
    assert DIRECTIONS[int(facts.directions.argmax())] == name and facts.directions.max() > 0.9
    asked = picture_exercises.direction(facts)
    assert asked.answer == name == picture_checking.answer_of(asked, pixels)


@pytest.mark.parametrize(
    ("hues", "said"),
    [((), "no hue"), ((210,), "one hue"), ((0, 60), "neighbors"), ((10, 190), "opposites"), ((0, 120, 240), "a triad"),
     ((0, 80, 170, 230), "far hues")],
)  # fmt: skip
def test_harmonies(hues, said):
    labs = [(60, 30 * np.cos(np.radians(each)), 30 * np.sin(np.radians(each))) for each in hues] or [(30, 0, 0)]
    stripes = np.array([rgb_of(np.array(each)) for each in [*labs, (90, 0, 0)]], np.uint8)
    pixels = np.repeat(stripes, 16, 0)[None].repeat(40, 0)
    assert picture_facts(Picture(pixels), "stripes").harmony == said


def test_lab_and_back():
    pixels = np.random.default_rng(1).integers(0, 256, (40, 3), np.uint8)
    assert np.abs(rgb_of(lab_of(pixels)).astype(int) - pixels).max() <= 1


def test_answers_are_those_of_the_scene(lesson):
    """By how the picture was made and by the file's own numbers, not by what the lesson measured."""
    asked = by_topic(lesson)
    assert set(asked) >= {"color", "temperature", "light", "contrast", "complement", "detail"}
    color = asked["color"]
    assert color.given["swatches"][color.choices.index(color.answer)] == "#1e3caa"
    assert asked["temperature"].answer == "right" and asked["light"].answer == "upper left"
    opposite = asked["complement"]
    chosen = opposite.given["swatches"][opposite.choices.index(opposite.answer)]
    turns = [
        colorsys.rgb_to_hsv(*(int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)))[0]
        for code in (opposite.given["first"], chosen)
    ]
    assert abs(turns[0] - turns[1]) % 1 == pytest.approx(0.5, abs=0.1)


def test_the_versions_shown_are_what_their_answers_say(lesson):
    """Contrast by the spread of Pillow's gray, detail by its edge filter."""
    for topic, measure in (("contrast", lambda gray: np.std(gray)), ("detail", _edginess)):
        exercise = by_topic(lesson)[topic]
        seen = [PillowImage.fromarray(block.picture.pixels.numpy()).convert("L") for block in exercise.shown[0].blocks]
        assert exercise.answer == exercise.choices[int(np.argmax([measure(each) for each in seen]))]


def _edginess(image):
    return np.mean(np.asarray(image.filter(ImageFilter.FIND_EDGES))[1:-1, 1:-1])


def test_nothing_is_asked_that_has_no_clear_answer():
    """Of gray noise only its contrast can be asked."""
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 1), np.uint8).repeat(3, -1)
    lesson = clavilux.teach(Picture(noise))
    assert not set(by_topic(lesson)) & {"temperature", "light", "complement", "edges", "detail"}
    assert lesson.facts["harmony"] == "no hue"


def test_a_wrong_answer_is_found(lesson):
    """The second measurement does not repeat the first: on another picture it answers otherwise."""
    turned = np.ascontiguousarray(scene()[:, ::-1])
    asked = by_topic(lesson)
    assert picture_checking.answer_of(asked["temperature"], turned) == "left"
    assert picture_checking.answer_of(asked["light"], turned) == "upper right"
    assert picture_checking.answer_of(asked["color"], np.full_like(turned, ORANGE)) != asked["color"].answer


def test_variations_change_one_thing():
    facts = picture_facts(Picture(scene()), "a scene")
    before = lab_of(scene()).mean((0, 1))
    seen = {
        kind: lab_of(picture_drawings.variation(facts, kind).pixels.numpy())
        for kind in ("complement", "gray", "blurred", "palette", "softer")
    }
    assert np.abs(seen["gray"][..., 1:]).max() < 1 and seen["gray"].mean((0, 1))[0] == pytest.approx(before[0], abs=1)
    assert np.sign(seen["complement"].mean((0, 1))[1:]).tolist() == (-np.sign(before[1:])).tolist()
    assert seen["blurred"].mean((0, 1)) == pytest.approx(before, abs=4)
    assert len(np.unique(seen["palette"].reshape(-1, 3), axis=0)) == len(facts.colors)
    assert seen["softer"][..., 0].std() < 0.75 * lab_of(scene())[..., 0].std()


def test_the_page_holds_all_it_shows(lesson, tmp_path):
    lesson.save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("<img") >= 9 and 'src="http' not in page and "url(http" not in page
    assert set(lesson.pictures) >= {"composition", "light", "edges", "gray", "colors", "histogram"}
    assert all(max(each.width, each.height) <= 640 for each in lesson.pictures.values() if isinstance(each, Picture))
    assert page == clavilux.teach(Picture(scene()), seed=4).html()
    assert "How it was painted" not in page


def test_a_painted_picture_says_its_prompt(tmp_path):
    receipt = {"prompt": "an <odd> apple", "seed": 7, "model": "lumia", "steps": [1]}
    Picture(scene(), receipt=receipt).save(tmp_path / "apple.png")
    lesson = clavilux.teach(tmp_path / "apple.png")
    assert lesson.facts["prompt"] == "an <odd> apple" and lesson.facts["seed"] == 7
    assert "Prompt: an &lt;odd&gt; apple. Seed: 7. Model: lumia." in lesson.html()


def test_a_large_picture_is_shown_small():
    rng = np.random.default_rng(3)
    large = PillowImage.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8)).resize((1600, 900))
    lesson = clavilux.teach(Picture(np.array(large)))
    shown = [block.picture for section in lesson.sections for block in section.blocks if isinstance(block, Image)]
    assert shown and all(max(each.width, each.height) <= 640 for each in shown)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((31, 40), "is 40 x 31 pixels; a lesson needs 32"), ((40, 400), "at most 8 times"), ((40, 40), "is of one color")],
)
def test_what_teaches_nothing_is_refused(shape, said):
    with pytest.raises(ValueError, match=said):
        clavilux.teach(Picture(np.full((*shape, 3), 90, np.uint8)))
