"""A lineage as an SVG: everyone is on it, below their parents."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from toy_breeder import ToyBreeder

from clavilux.breeding import Lineage, Step, cross, mutate
from clavilux.breeding.tree import MOST, arranged, draw_tree
from clavilux.breeding.verbs import random_genome, replayed

TOY = ToyBreeder()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def child():
    a, b, c = (random_genome(TOY, seed=seed, words="disc") for seed in range(3))
    return mutate(cross([cross([a, b], model=TOY), c], seed=4, model=TOY), 0.3, seed=9, model=TOY)


def test_every_ancestor_is_there_with_its_own_picture(child):
    genes = replayed(child, TOY)
    root = ElementTree.fromstring(draw_tree(child.history, {name: TOY.show(each) for name, each in genes.items()}))
    images = {group.find(f"{SVG}title").text: group.find(f"{SVG}image") for group in root.iter(f"{SVG}g")}
    assert set(images) == {step.name for step in child.history.steps} and len(images) == 6
    for name, image in images.items():
        data = base64.b64decode(image.get("href").removeprefix("data:image/png;base64,"))
        pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(data))))
        assert torch.equal(pixels, TOY.show(genes[name]).pixels)
    assert len(list(root.iter(f"{SVG}path"))) == sum(len(step.parents) for step in child.history.steps) == 5
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert "disc" in words and "seed 4" in words and "mutate" in words and "0.3" in words


def test_children_stand_below_their_parents_and_nobody_on_another(child):
    genes = replayed(child, TOY)
    root = ElementTree.fromstring(draw_tree(child.history, {name: TOY.show(each) for name, each in genes.items()}))
    places = {
        group.find(f"{SVG}title").text: tuple(float(group.find(f"{SVG}image").get(axis)) for axis in "xy")
        for group in root.iter(f"{SVG}g")
    }
    for step in child.history.steps:
        assert all(places[parent][1] < places[step.name][1] for parent in step.parents)
    assert len(set(places.values())) == len(places)
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(0 <= x <= width - 96 and 0 <= y <= height - 96 for x, y in places.values())


def test_rows_are_ordered_so_that_lines_do_not_cross():
    founders = [Step("random", (), {"seed": seed, "words": ""}) for seed in range(4)]
    first = Step("cross", (founders[0].name, founders[2].name), {})
    second = Step("cross", (founders[1].name, founders[3].name), {})
    rows = arranged(Lineage((*founders, first, second)))
    half = {founders[0].name, founders[2].name}
    assert {*rows[0][:2]} in (half, {step.name for step in founders} - half)


def test_words_are_escaped_and_shortened():
    step = Step("random", (), {"seed": 1, "words": "<b>&" + "x" * 40})
    picture = TOY.show(random_genome(TOY, seed=1).genes)
    text = draw_tree(Lineage((step,)), {step.name: picture})
    assert "&lt;b&gt;&amp;xxxxxxxxxxx…" in text and ElementTree.fromstring(text) is not None


def test_a_tree_that_nobody_could_read_is_refused():
    steps = [Step("random", (), {"seed": seed, "words": ""}) for seed in range(MOST + 1)]
    with pytest.raises(ValueError, match="the lineage has 501 steps; a tree shows 500"):
        draw_tree(Lineage(tuple(steps)), {})
