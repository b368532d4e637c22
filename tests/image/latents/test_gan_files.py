"""Checkpoint folders of GANs: what is written is read again, with a decoder or none; what does not fit is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clavilux.errors import CheckpointError
from clavilux.image.latents.gan import Generator, GeneratorSpec
from clavilux.image.latents.gan_files import PictureGenerator, load_gan, save_gan
from clavilux.image.latents.statistics import Statistics
from clavilux.image.latents.vae import Decoder, VAESpec

VAE = VAESpec(64, 4, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1), 4)


def saved(folder, pixels=False):
    """A GAN of random weights, float16 already, in a folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if pixels:
            model = PictureGenerator(Generator(GeneratorSpec(3, (8, 6), (1, 1), patch=1)))
        else:
            spread = Statistics(torch.randn(4, 8, 8), torch.rand(4, 1, 1) + 0.5, torch.empty(0, 4, 8, 8))
            model = PictureGenerator(
                Generator(GeneratorSpec(4, (8, 6), (1, 1), classes=2, patch=1)), Decoder(VAE), spread
            )
    model = model.half().float()
    model.generator.settle()
    model = model.half().float()
    classes = () if pixels else ("cat", "dog")
    more = {"name": "toy", "classes": classes, "training": {"steps": 7}, "licence": "Apache-2.0"}
    save_gan(folder, model, None if pixels else VAE, **more)
    return model


@pytest.mark.parametrize("pixels", [False, True])
def test_a_folder_is_read_as_it_was_written(pixels, tmp_path):
    model = saved(tmp_path / "gan", pixels)
    found = load_gan(tmp_path / "gan")
    styles = torch.randn(3, model.generator.spec.layers, 64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found.model(styles), model(styles))
    assert torch.equal(found.model.generator.mean_style, model.generator.mean_style)
    assert found.classes == (() if pixels else ("cat", "dog"))
    assert found.config["training"] == {"steps": 7} and found.config["licence"] == "Apache-2.0"
    assert not any(parameter.requires_grad for parameter in found.model.parameters())
    assert len(found.fingerprint) == 64
    assert (tmp_path / "gan" / "config.json").read_text().startswith('{\n "family": "gan"')


def test_latents_are_brought_back_to_where_the_decoder_has_them(tmp_path):
    model = saved(tmp_path / "gan")
    samples = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    wanted = model.decoder(samples * model.latent_scale + model.latent_mean)
    assert torch.equal(model.decoded(samples), wanted) and wanted.shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"family": "vae"}, "is of the family 'vae'; a gan is wanted"),
        ({"generator": {"depth": 3}}, "describes no GAN: GeneratorSpec has no depth"),
        ({"generator": [3]}, "describes no GAN"),
        ({"classes": ["cat"]}, "describes no GAN: classes should be the names of 2 classes"),
        ({"decoder": None}, r"its generator makes \(4, 8, 8\), and pixels are \(3, 8, 8\)"),
        ({"decoder": {**VAE.to_dict(), "size": 128}}, r"makes \(4, 8, 8\), and its decoder takes \(4, 16, 16\)"),
    ],
)
def test_a_config_that_fits_nothing_is_refused(change, says, tmp_path):
    saved(tmp_path / "gan")
    path = tmp_path / "gan" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=says):
        load_gan(tmp_path / "gan")


def test_weights_that_are_not_its_own_are_refused(tmp_path):
    saved(tmp_path / "gan")
    path = tmp_path / "gan" / "model.safetensors"
    tensors = load_file(path)
    lacking = {name: tensor for name, tensor in tensors.items() if name != "decoder.0.weight"}
    save_file(lacking | {"discriminator.x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"it lacks decoder\.0\.weight and has discriminator\.x"):
        load_gan(tmp_path / "gan")
    save_file(tensors | {"latent_mean": torch.full((4, 8, 8), torch.nan)}, path)
    with pytest.raises(CheckpointError, match="values that are not finite in latent_mean"):
        load_gan(tmp_path / "gan")
    with pytest.raises(CheckpointError):
        load_gan(tmp_path / "nothing")
