"""The learner of a VAE: it learns, is measured alike each time, and goes on to the same bytes."""

import numpy as np
import pytest
import torch
from seen import lite0_features, needs_lite0

from clavilux.image.latents import losses
from clavilux.image.latents.files import load_vae
from clavilux.image.latents.vae import VAESpec
from clavilux.training import picture_run
from clavilux.training.picture_folder import PictureFolder
from clavilux.training.picture_run import STATE, Limits, PictureRun
from clavilux.training.vae import VAELearner, VAETraining, augmented, psnr_db, rate_at, usual_settings

TINY = VAESpec(16, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1))
QUICK = VAETraining(batch=4, rate=1e-2, warmup=5)


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    monkeypatch.setattr(picture_run, "draw_curves", lambda lines, path: None)


def discs(count=14, size=16, unseen=3):
    """Discs of random colors and places on white."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    pixels = np.full((count, 3, size, size), 255, np.uint8)
    for picture in pixels:
        row, column = random.uniform(4, size - 4, 2)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < random.uniform(8, 30)
        picture[:, inside] = random.integers(0, 200, (3, 1))
    held_out = np.arange(count) < unseen
    return PictureFolder(pixels, np.zeros(count, np.int64), held_out, ("",), ("x.png",) * count, (), "")


def learner(how=QUICK, **more):
    return VAELearner(discs(), TINY, how, **more)


def test_the_bound_rises_on_pictures_that_it_never_saw():
    ours = learner()
    before = ours.measure()
    terms = [ours.step(number) for number in range(150)]
    after = ours.measure()
    assert before.keys() == after.keys() == {"elbo", "reconstruction", "kl", "psnr_db"}
    assert after["elbo"] == pytest.approx(-after["reconstruction"] - after["kl"])
    assert terms[-1]["elbo"] == pytest.approx(-terms[-1]["reconstruction"] - terms[-1]["kl"])
    assert after["elbo"] > before["elbo"] + 200 and after["psnr_db"] > before["psnr_db"] + 3


def test_measuring_looking_and_exporting_change_nothing(tmp_path):
    quiet, busy = learner(), learner()
    for number in range(4):
        quiet.step(number)
        busy.step(number)
        assert busy.measure() == busy.measure()
        busy.sheet()
        busy.export(tmp_path / "checkpoint", {})
    for name, tensor in quiet.state().items():
        assert torch.equal(tensor, busy.state()[name]), name


def test_a_run_in_pieces_comes_to_the_same_bytes(tmp_path):
    def train(folder, steps):
        folder.mkdir(exist_ok=True)
        return PictureRun(folder, learner(), {}).go(Limits(steps=steps, checkpoint_steps=4))

    whole = train(tmp_path / "a", 10)
    for steps in (3, 4, 9, 10):
        last = train(tmp_path / "b", steps)
    assert (tmp_path / "a" / STATE).read_bytes() == (tmp_path / "b" / STATE).read_bytes()
    assert last.held_out == whole.held_out


def test_another_seed_is_another_run():
    ours, theirs = learner(), learner(VAETraining(batch=4, seed=1))
    assert ours.step(0) != theirs.step(0)
    assert ours.step(1) != ours.step(2)


def test_the_exported_checkpoint_is_the_averaged_network(tmp_path):
    ours = learner(name="discs")
    for number in range(12):
        ours.step(number)
    ours.export(tmp_path / "c", {"steps": 12})
    found = load_vae(tmp_path / "c")
    weights = ours.averaged.state_dict()
    assert all(torch.equal(tensor, weights[name].half().float()) for name, tensor in found.vae.state_dict().items())
    assert not torch.equal(ours.vae.state_dict()["decoder.0.weight"], weights["decoder.0.weight"])
    assert found.config["name"] == "discs" and found.config["classes"] == [""]
    assert found.statistics.components.shape == (8, *TINY.latent_shape)  # 11 pictures, 8 numbers


def test_the_average_follows_closely_at_first():
    ours = learner()
    for number in range(30):
        ours.step(number)
    pairs = list(zip(ours.averaged.decoder.parameters(), ours.vae.decoder.parameters(), strict=True))
    distance = sum(float((a - b).detach().square().sum()) for a, b in pairs) ** 0.5
    assert 0 < distance < 0.2 * sum(float(b.detach().square().sum()) for _, b in pairs) ** 0.5


def test_a_sheet_shows_pictures_reconstructions_and_draws():
    sheet = learner().sheet()
    assert sheet.pixels.shape == (4 + 4 * 20, 4 + 8 * 20, 3)  # a row of each, two of draws; sides of 16 and a gap of 4
    first = torch.from_numpy(discs().pixels[0]).permute(1, 2, 0)
    assert torch.equal(sheet.pixels[4:20, 4:20], first)
    assert sheet.pixels[4:20, 64:].eq(255).all()  # of three pictures that are held out


def test_pictures_are_augmented_by_mirroring_shifting_and_exchanging_colors():
    picture = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)
    found = augmented(picture.expand(200, 3, 16, 16), np.random.default_rng(0))
    assert found.shape == (200, 3, 16, 16) and set(found.unique().tolist()) <= set(picture.unique().tolist())
    steps = found[:, :, 8].diff(dim=2).mean((1, 2))
    assert 70 < (steps < 0).sum() < 130  # mirrored
    order = found[:, :, 8, 8].argsort(1)
    assert 3 <= len(order.unique(dim=0)) <= 6 and 70 < (order != torch.arange(3)).any(1).sum() < 130
    assert len(found[:, :, 8, 8].amin(1).unique()) > 3  # shifted
    grey = torch.zeros(20, 3, 16, 16)
    assert torch.equal(augmented(grey, np.random.default_rng(0)), grey)


def test_rates_rise_and_fall_with_the_step_alone():
    how = VAETraining(rate=0.1, warmup=10, slowing=100)
    assert rate_at(0, how) == pytest.approx(0.01) and rate_at(300, how) == pytest.approx(0.05)
    assert rate_at(9, how) > rate_at(8, how) and rate_at(20, how) < rate_at(9, how)


def test_the_width_of_pixels_follows_what_is_left():
    """Its own rate: with the others' it would take thousands of steps to where the bound is best."""
    ours = learner(VAETraining(batch=4, rate=2e-3, warmup=5))
    for number in range(120):
        ours.step(number)
    pixels = ours._pixels(ours.pictures.taught)
    with torch.no_grad():
        decoded = ours.vae.decode(ours.vae.encode(pixels).mean)
        nats = [
            float(losses.reconstruction_nats(pixels, decoded, ours.vae.log_scale + by).mean()) for by in (-1.2, 0, 1.2)
        ]
    assert nats[1] < min(nats[0], nats[2])


def test_decibels():
    pixels = torch.zeros(2, 3, 4, 4)
    decoded = torch.stack([pixels[0] + 0.2, pixels[1] + 2])  # of the second 1 is left
    torch.testing.assert_close(psnr_db(decoded, pixels), torch.tensor([20.0, 6.0206]), rtol=1e-4, atol=1e-4)


@needs_lite0
def test_the_perceptual_loss_is_looked_through_lite0():
    plain = learner()
    seen = learner(VAETraining(batch=4, rate=1e-2, warmup=5, perceptual=2.0), features=lite0_features())
    first, second = plain.step(0), seen.step(0)
    assert second["perceptual"] > 0 and "perceptual" not in first and second["kl"] == pytest.approx(first["kl"])
    assert not torch.equal(plain.vae.decoder[0].weight, seen.vae.decoder[0].weight)
    assert usual_settings()["perceptual"] > 0


def test_without_the_extra_nothing_is_looked_through(monkeypatch):
    monkeypatch.setattr("clavilux.training.vae.find_spec", lambda name: None)
    assert usual_settings()["perceptual"] == 0


def test_what_is_measured_is_of_all_classes():
    """Pictures lie in the order of their folders: the first ones would be those of the first classes."""
    count, unseen = 1200, 900
    held_out = np.arange(count) >= count - unseen
    labels = np.arange(count) * 3 // count
    pictures = PictureFolder(
        np.zeros((count, 3, 16, 16), np.uint8), labels, held_out, ("a", "b", "c"), ("x.png",) * count, (), ""
    )
    rows = VAELearner(pictures, TINY, QUICK)._some(pictures.unseen, 256)
    assert len(set(rows.tolist())) == 256 and held_out[rows].all()
    assert set(labels[rows].tolist()) == set(labels[held_out].tolist())
