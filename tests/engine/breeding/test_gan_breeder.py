"""Breeding with a GAN: a z a layer, classes that mix, and components of the styles as genes."""

import numpy as np
import pytest
import torch

from clavilux.breeding import between, cross, mutate, replay
from clavilux.breeding.models import load_breeder
from clavilux.breeding.showing import show
from clavilux.breeding.verbs import random_genome
from clavilux.image.latents.gan import Generator, GeneratorSpec
from clavilux.image.latents.gan_files import PictureGenerator, save_gan

# Pixels; layer 1 is of 4 x 4 places, 2 and 3 of 8 x 8, 4 of the colors.
SPEC = GeneratorSpec(channels=3, towers=(8, 8), blocks=(1, 2), classes=2, noise=6, width=5)


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    """A breeder of a tiny generator of pixels with random weights."""
    folder = tmp_path_factory.mktemp("models") / "gan"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        generator = Generator(SPEC)
    save_gan(folder, PictureGenerator(generator), None, name="toy", classes=["cats", "dogs"])
    return load_breeder(folder)


def test_a_random_picture_is_what_the_generator_makes_of_one_z(gan):
    genome = random_genome(gan, seed=1, words="dogs")
    assert {layer: len(numbers) for layer, numbers in genome.latents.items()} == {
        **{f"layer {n}": 6 for n in (1, 2, 3, 4)}, "genes": 5,
    }  # fmt: skip
    z = torch.tensor([genome.latents["layer 1"]])
    with torch.inference_mode():
        styles = gan._generator.styles(z, torch.tensor([1]))
        assert torch.allclose(gan.styles(genome.genes), styles[0], atol=1e-5)
    assert genome.classes == {"dogs": 1.0} and show(genome, model=gan).width == SPEC.size


def test_without_words_the_seed_chooses_a_class(gan):
    classes = {next(iter(random_genome(gan, seed=seed).classes)) for seed in range(12)}
    assert classes == {"cats", "dogs"}
    with pytest.raises(ValueError, match="'cows' is no class of .*; it has cats, dogs"):
        random_genome(gan, words="cows")


def test_structure_is_the_coarse_layers_and_style_the_others(gan):
    a, b = random_genome(gan, seed=1, words="cats"), random_genome(gan, seed=2, words="dogs")
    child = cross([a, b], structure=[1, 0], style=[0, 1], model=gan)
    taken = [child.latents[f"layer {n}"] == parent.latents["layer 1"] for n, parent in ((1, a), (2, b), (3, b), (4, b))]
    assert all(taken) and child.classes == {"cats": 1.0}
    assert cross([a, b], model=gan).classes == {"cats": 0.5, "dogs": 0.5}
    assert replay(child, model=gan) == child


def test_a_mutation_keeps_layers_alike_and_ends_of_a_way_are_the_parents(gan):
    a, b = random_genome(gan, seed=1), random_genome(gan, seed=2)
    mutant = mutate(a, 0.4, seed=3, model=gan)
    assert len({mutant.latents[f"layer {n}"] for n in (1, 2, 3, 4)}) == 1 and mutant.genes != a.genes
    assert between(a, b, 0, model=gan).genes == a.genes and between(a, b, 1, model=gan).genes == b.genes


def test_genes_are_components_of_the_styles(gan):
    components = gan._components.double().numpy()
    lengths = np.linalg.norm(components, axis=1)
    assert (np.diff(lengths) <= 1e-9).all() and lengths[0] > 0
    assert np.allclose(components @ components.T, np.diag(lengths**2), atol=1e-6)
    a, b = random_genome(gan, seed=1), random_genome(gan, seed=2)
    moved = mutate(a, 0, sliders={"1": 2.0}, model=gan)
    change = (gan.styles(moved.genes) - gan.styles(a.genes)).numpy()
    assert np.allclose(change, 2 * components[0], atol=1e-5) and replay(moved, model=gan) == moved
    assert cross([moved, b], structure=[3, 1], model=gan).latents["genes"] == (1.5, 0, 0, 0, 0)
    assert between(moved, b, 0.5, model=gan).latents["genes"] == (1.0, 0, 0, 0, 0)


def test_a_genome_without_a_class_is_refused(gan):
    value = random_genome(gan, seed=1).to_dict() | {"classes": {}}
    with pytest.raises(ValueError, match="the genome has no class; .* has cats, dogs"):
        mutate(type(random_genome(gan, seed=1)).from_dict(value), 0.1, model=gan)
