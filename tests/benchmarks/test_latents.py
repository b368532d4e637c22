"""What is measured of a VAE: bits, decibels, JPEG beside them; and the memory of a short training."""

import json
import math

import numpy as np
import pytest
import torch
from benchmark_scripts import imported
from PIL import Image

from clavilux.image.latents.files import save_vae
from clavilux.image.latents.statistics import statistics_of
from clavilux.image.latents.vae import VAE, VAESpec, to_pixels

latents = imported("latents")
jpeg = imported("jpeg")
TINY = VAESpec(16, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        small = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        small.resize((16, 16), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def test_bits_of_a_model(pictures, tmp_path):
    torch.manual_seed(0)
    vae = VAE(TINY)
    save_vae(tmp_path / "vae", vae, statistics_of(torch.randn(4, *TINY.latent_shape)), name="tiny")
    found = latents.bits(tmp_path / "vae", pictures, tmp_path / "sheet.png")
    assert found["pictures"] == 5 and found["model"] == "tiny" and "painter_codec" not in found
    assert found["elbo_nats"] == pytest.approx(-found["reconstruction_nats"] - found["kl_nats"])
    assert found["latent_bits"] == pytest.approx(found["kl_nats"] / math.log(2), rel=1e-5)
    assert found["latent_bytes"] == pytest.approx(found["latent_bits"] / 8, rel=1e-5)
    assert found["bits_a_picture_bound"] == pytest.approx(-found["elbo_nats"] / math.log(2), rel=1e-5)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 4 + 16 * 20
    json.dumps(found)


def test_jpeg_of_at_most_so_many_bytes():
    gradient = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (64, 64, 3)).copy()
    gradient[20:40, 20:40] = (200, 30, 30)
    (few, few_bytes), (many, many_bytes) = jpeg.jpeg_at(gradient, 130), jpeg.jpeg_at(gradient, 1000)
    assert few_bytes <= 130 < many_bytes <= 1000 and 15 < few < many
    assert jpeg.jpeg_at(gradient, 5) is None


def test_where_no_jpeg_is_so_small_none_is_counted():
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8))
    levels[0] = 90
    ours = {"mean_db": torch.tensor([30.0, 10.0]), "sample_db": torch.tensor([29.0, 9.0])}
    found = latents.beside_jpeg(to_pixels(levels), torch.tensor([60.0, 3.0]), ours)
    assert found["pictures_that_jpeg_brings_to_this_size"] == 1 and found["jpeg_psnr_db"] > 40
    assert found["mean_psnr_db_of_these"] == 30 and found["sample_psnr_db_of_these"] == 29
    assert latents.beside_jpeg(to_pixels(levels), torch.tensor([1.0, 1.0]), ours) == {
        "pictures_that_jpeg_brings_to_this_size": 0
    }


def test_memory_of_a_training(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "VAESpec", lambda: TINY)
    monkeypatch.setattr("clavilux.training.picture_run.draw_curves", lambda lines, path: None)
    found = latents.memory(pictures, 40, 2, tmp_path / "memory.png")
    assert found["steps_a_second"] > 0 and len(found["mib_by_step"]) == 4
    assert 10 < found["mib_second_quarter"] <= found["mib_most"]
    assert (tmp_path / "memory.png").stat().st_size > 1000
