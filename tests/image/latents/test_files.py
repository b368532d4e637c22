"""Checkpoint folders of VAEs: what is written comes back, and what does not fit is refused in a sentence."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clavilux import CheckpointError
from clavilux.image.latents.files import load_vae, save_vae
from clavilux.image.latents.statistics import statistics_of
from clavilux.image.latents.vae import VAE, VAESpec

TINY = VAESpec(16, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    latents = torch.randn(5, *TINY.latent_shape)
    save_vae(
        tmp_path / "vae", VAE(TINY), statistics_of(latents), name="mine", classes=("cats", "dogs"),
        training={"steps": 3},
    )  # fmt: skip
    return tmp_path / "vae"


def test_what_is_written_comes_back(folder):
    torch.manual_seed(0)
    latents = torch.randn(5, *TINY.latent_shape)
    vae, wanted = VAE(TINY), statistics_of(latents)
    found = load_vae(folder)
    assert found.vae.spec == TINY and not found.vae.training
    for name, tensor in vae.state_dict().items():
        assert torch.equal(found.vae.state_dict()[name], tensor.half().float())
    for ours, theirs in zip(found.statistics, wanted, strict=True):
        assert torch.equal(ours, theirs.half().float())
    assert found.config["classes"] == ["cats", "dogs"] and found.config["training"] == {"steps": 3}
    assert found.config["family"] == "vae" and found.config["name"] == "mine" and "licence" not in found.config
    assert found.fingerprint == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert not any(parameter.requires_grad for parameter in found.vae.parameters())
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_folder_is_written_over(folder):
    save_vae(folder, VAE(TINY), statistics_of(torch.randn(3, *TINY.latent_shape)), name="other", licence="CC0-1.0")
    found = load_vae(folder)
    assert found.config["name"] == "other" and found.config["licence"] == "CC0-1.0"
    assert len(found.statistics.components) == 2


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def change_tensors(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"family": "lumia"}, "is of the family 'lumia'; a vae is wanted"),
        ({"spec": {"size": 60}}, "describes no VAE: a VAE's size must be a multiple of 8"),
        ({"spec": {"depth": 1}}, "describes no VAE: a VAE has no depth"),
        ({"spec": 7}, "describes no VAE"),
        ({"spec": {}}, "does not fit its config"),
    ],
)
def test_configs_that_do_not_fit(folder, changes, says):
    change_config(folder, **changes)
    with pytest.raises(CheckpointError, match=says):
        load_vae(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("decoder.0.weight"), "lacks decoder.0.weight"),
        (lambda t: t.update(more=torch.zeros(1)), "has more"),
        (lambda t: t.pop("components"), "lacks components"),
        (lambda t: t.update(latent_mean=torch.zeros(2, 3, 3)), r"latent_mean is \(2, 3, 3\), not \(2, 2, 2\)"),
        (lambda t: t.update(components=torch.full((1, 2, 2, 2), torch.nan)), "not finite in components"),
        (lambda t: t.update(log_scale=torch.tensor(torch.inf)), "not finite in log_scale"),
    ],
)
def test_tensors_that_do_not_fit(folder, change, says):
    change_tensors(folder, change)
    with pytest.raises(CheckpointError, match=says):
        load_vae(folder)


def test_files_that_are_not_there_or_damaged(folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing.config.json' is missing"):
        load_vae(tmp_path / "nothing")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-7])
    with pytest.raises(CheckpointError, match="is damaged: it is cut short"):
        load_vae(folder)
