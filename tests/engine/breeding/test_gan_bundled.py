"""The bundled GAN, which `clavilux breed` uses without being told a model: what its card says of it."""

import re

import numpy as np
import pytest

from clavilux.breeding.models import DEFAULT, folder_of, load_breeder
from clavilux.breeding.verbs import cross, random_genome


@pytest.fixture(scope="module")
def gan():
    return load_breeder(DEFAULT)


def pixels(gan, genes):
    return gan.show(genes).pixels.numpy().astype(float)


def apart(first, second):
    """Root mean square, of 255."""
    return np.square(first - second).mean() ** 0.5


def test_two_pictures_of_a_class_are_not_the_same(gan):
    faces = [pixels(gan, random_genome(gan, seed=seed, words="face").genes) for seed in range(4)]
    assert min(apart(a, b) for i, a in enumerate(faces) for b in faces[:i]) > 10


def test_structure_gives_the_outline_and_style_the_colors(gan):
    animal = random_genome(gan, seed=5, words="animal")
    house = random_genome(gan, seed=8, words="building")
    child = cross([animal, house], structure=[1, 0], style=[0, 1], model=gan)
    made, outline, colors = (pixels(gan, genome.genes) for genome in (child, animal, house))
    assert apart(made, outline) > 5 and apart(made, colors) > 5  # it is neither


def test_every_named_gene_changes_what_is_seen_and_the_card_has_its_name(gan):
    names = [name for name in gan.directions() if not name.isdecimal()]
    card = (folder_of(DEFAULT) / "README.md").read_text(encoding="utf-8")
    assert names == re.findall(r"\d+ \*([a-z ]+)\* \(", card)
    fruit = random_genome(gan, seed=5, words="fruit").genes
    for name in names:
        low, high = (pixels(gan, gan.slide(fruit, {name: by})) for by in (-3, 3))
        assert apart(low, high) > 15, name
