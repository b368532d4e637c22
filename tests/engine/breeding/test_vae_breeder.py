"""Breeding with a VAE: its latents in components, photographs as parents, components as genes."""

import json

import numpy as np
import pytest
import torch

from clavilux import CheckpointError
from clavilux.breeding import between, cross, mutate, replay
from clavilux.breeding.gene_names import gene_names
from clavilux.breeding.models import load_breeder
from clavilux.breeding.showing import read, show
from clavilux.breeding.verbs import random_genome
from clavilux.image.latents.files import save_vae
from clavilux.image.latents.statistics import statistics_of
from clavilux.image.latents.vae import VAE, VAESpec
from clavilux.image.picture import Picture

SPEC = VAESpec(16, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1), 4)
SIZES = {"components 1 to 5": 5, "detail": 8}


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """A breeder of a tiny VAE with random weights."""
    folder = tmp_path_factory.mktemp("models") / "vae"
    random = torch.Generator().manual_seed(3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = VAE(SPEC)
    latents = torch.randn(40, 2, 2, 2, generator=random) * 2 + 0.5
    save_vae(folder, model, statistics_of(latents, 5), name="toy")
    return load_breeder(folder)


@pytest.fixture
def photo(tmp_path):
    random = np.random.default_rng(1)
    Picture(random.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_random_pictures_lie_on_the_components(vae):
    genome = random_genome(vae, seed=1)
    assert {layer: len(numbers) for layer, numbers in genome.latents.items()} == SIZES
    assert not any(genome.latents["detail"]) and any(genome.latents["components 1 to 5"])
    mean, parts = vae._statistics.mean, vae._statistics.components
    wanted = mean + torch.einsum("k,kchw->chw", torch.tensor(genome.latents["components 1 to 5"]), parts)
    assert torch.allclose(vae.latents(genome.genes), wanted, atol=1e-5)
    assert show(genome, model=vae).width == 16


def test_a_photograph_comes_back_as_its_encoder_saw_it(vae, photo):
    genome = read(photo, model=vae)
    pixels = Picture.load(photo).fit(16).to_floats()
    with torch.inference_mode():
        mean = vae._vae.encode(pixels[None]).mean
        decoded = Picture.from_floats(vae._vae.decode(mean)[0])
    assert torch.allclose(vae.latents(genome.genes), mean[0], atol=1e-3)
    assert (show(genome, model=vae).pixels.int() - decoded.pixels.int()).abs().max() <= 1
    settings = genome.history.last.settings
    assert genome.history.last.verb == "encode" and settings["file"] == "photo.png"
    assert len(settings["file_sha256"]) == 64 and replay(genome, model=vae) == genome


def test_a_photograph_is_a_parent(vae, photo):
    parents = [read(photo, model=vae), random_genome(vae, seed=4)]
    child = cross(parents, model=vae)
    assert any(child.latents["detail"]) and replay(child, model=vae) == child
    assert between(*parents, 0, model=vae).genes == parents[0].genes
    assert between(*parents, 1, model=vae).genes == parents[1].genes
    faded = mutate(parents[0], 1, seed=2, model=vae)
    assert not any(faded.latents["detail"])


def test_genes_are_components(vae):
    genome = random_genome(vae, seed=1)
    moved = mutate(genome, 0, sliders={"2": 1.5}, model=vae)
    change = np.array(moved.latents["components 1 to 5"]) - genome.latents["components 1 to 5"]
    assert np.allclose(change, [0, 1.5, 0, 0, 0]) and replay(moved, model=vae) == moved
    assert list(vae.directions()) == ["1", "2", "3", "4", "5"]
    with pytest.raises(ValueError, match=r"no gene 'smile'; it has 1, 2, 3, 4, 5 \(1 to 5\)"):
        mutate(genome, 0, sliders={"smile": 1}, model=vae)


def test_a_picture_without_a_model_that_reads_it(photo):
    with pytest.raises(ValueError, match="is a picture without a genome, and no model is given; a vae reads"):
        read(photo)


def test_names_of_genes_come_from_the_config():
    assert gene_names({"genes": ["darker", "", "rounder"]}, 4) == ("darker", "2", "rounder", "4")
    for wrong in ("darker", [1], ["a", "a"], ["2", ""]):
        with pytest.raises(CheckpointError, match="the config's genes are"):
            gene_names({"genes": wrong}, 4)


def test_a_folder_that_does_not_breed(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"family": "imagegpt"}))
    with pytest.raises(CheckpointError, match="is of the family 'imagegpt'; those that breed are lumia, aria"):
        load_breeder(tmp_path)
    with pytest.raises(CheckpointError, match="no model 'gone' is bundled"):
        load_breeder("gone")
