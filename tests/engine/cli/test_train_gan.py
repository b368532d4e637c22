"""`clavilux train gan`: with a VAE and on pixels, what it prints and writes, kill -9, one line for what is wrong."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from commands import call, refuse
from PIL import Image

from clavilux import CheckpointError, load
from clavilux.checkpoint import PRETRAINED
from clavilux.image.latents.files import load_vae, save_vae
from clavilux.image.latents.gan_files import load_gan
from clavilux.image.latents.statistics import statistics_of
from clavilux.image.latents.vae import VAE, VAESpec
from clavilux.training import gan, picture_run
from clavilux.training.picture_run import STATE

SMALL = (
    "from clavilux.training import gan, picture_run\n"
    "picture_run.draw_curves = lambda lines, path: None\n"
    "gan.LATENT_TOWERS, gan.PIXEL_TOWERS, gan.MEASURED, gan.SHOWN = (8,), (8, 6), 4, 4\n"
    "gan.features_if_there = lambda device: None\n"
)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Twelve pictures in two classes, a file that is none, a VAE of random weights; small networks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(picture_run, "draw_curves", lambda lines, path: None)
    for name, value in (("LATENT_TOWERS", (8,)), ("PIXEL_TOWERS", (8, 6)), ("MEASURED", 4), ("SHOWN", 4)):
        monkeypatch.setattr(gan, name, value)
    monkeypatch.setattr(gan, "features_if_there", lambda device: None)
    random = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        for number in range(6):
            color = tuple(int(value) for value in random.integers(0, 256, 3))
            Image.new("RGB", (20, 24), color).save(tmp_path / "in" / kind / f"{number}.png")
    (tmp_path / "in" / "cats" / "broken.jpg").write_text("no picture")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = VAE(VAESpec(64, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1), 4))
        save_vae("vae", made, statistics_of(torch.randn(9, 2, 8, 8)), name="toy")


LATENTS, PIXELS = ("--vae", "vae"), ("--pixels", "--size", "16")


def train(*more, out="run", code=0):
    return call("train", "gan", "in", "-o", out, "--batch", "2", *more, code=code)


@pytest.mark.parametrize("kind", [LATENTS, PIXELS])
def test_a_run_and_what_is_said(kind, tmp_path):
    said = train(*kind, "--steps", "4", "--checkpoint-steps", "2", "--preview", "p.png").stdout
    assert "pictures in 2 classes to learn from" in said and "note: skipped cats/broken.jpg" in said
    assert "note: KID is not measured" in said and "step 2, " in said and "overfitting " in said
    assert "ended: its steps are taken; more --steps go on\n" in said and "checkpoint: run/checkpoint\n" in said
    found = load_gan("run/checkpoint")
    side = 64 if kind is LATENTS else 16
    assert found.model(found.model.generator.styles(torch.randn(1, 64), torch.zeros(1).long())).shape[-1] == side
    assert found.classes == ("cats", "dogs") and (found.config["decoder"] is None) == (kind is PIXELS)
    assert found.config["training"]["steps"] == 4 and found.config["training"]["penalty"] == 1
    told = json.loads(call("info", "run/checkpoint", "--json").stdout)
    assert told["family"] == "gan" and told["classes"] == ["cats", "dogs"]
    with pytest.raises(CheckpointError, match="is a GAN: it makes pictures of latents, not of tokens"):
        load("run/checkpoint")


def test_a_run_goes_on_with_its_own_settings_and_its_vae(tmp_path):
    train(*LATENTS, "--steps", "1", "-q")
    again = json.loads(call("train", "gan", "in", "-o", "run", "--steps", "2", "--json").stdout)
    assert again["steps"] == 2 and again["settings"]["size"] == 64 and again["held_out"].keys() == {"overfitting"}
    assert again["settings"]["vae"] == str(tmp_path / "vae") and len(again["settings"]["vae_sha256"]) == 64
    assert "has batch 2, and 4 is asked for" in refuse("train", "gan", "in", "-o", "run", "--batch", "4")
    assert "has pixels False, and True is asked for" in refuse("train", "gan", "in", "-o", "run", "--pixels")
    save_vae(
        "vae",
        VAE(VAESpec(64, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1), 4)),
        statistics_of(torch.randn(9, 2, 8, 8)),
        name="another",
    )
    assert "has vae sha256 " in refuse("train", "gan", "in", "-o", "run")


def test_a_run_of_a_vae_is_a_vae_too(tmp_path):
    (tmp_path / "of-vae").mkdir()
    (tmp_path / "vae").rename(tmp_path / "of-vae" / "checkpoint")
    (tmp_path / "of-vae" / "run.json").write_text('{"kind": "vae"}')
    found = json.loads(train("--vae", "of-vae", "--steps", "1", "--json").stdout)
    assert found["settings"]["vae"] == str(tmp_path / "of-vae" / "checkpoint")
    assert "the run in 'of-vae' trains a vae; give another folder" in refuse("train", "gan", "in", "-o", "of-vae")


@pytest.mark.parametrize("kind", [LATENTS, PIXELS])
def test_kill_9_and_the_same_next_checkpoint(kind):
    """A process of its own, killed in its sixth step; its next state is that of a run that was left alone."""
    arguments = ["--batch", "2", *kind, "--steps", "6", "--checkpoint-steps", "3", "--name", "mine", "-q"]
    program = SMALL + (
        "import os, signal\n"
        "step = gan.GANLearner.step\n"
        "def killed(self, number):\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if number == 5 else step(self, number)\n"
        "gan.GANLearner.step = killed\n"
        "from clavilux.cli.app import app\n"
        f"app(['train', 'gan', 'in', '-o', 'run', *{arguments!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for folder in ("run", "whole"):
        call("train", "gan", "in", "-o", folder, *arguments)
    for name in (STATE, "checkpoint/model.safetensors", "checkpoint/config.json", "samples.png"):
        with open(f"run/{name}", "rb") as ours, open(f"whole/{name}", "rb") as theirs:
            assert ours.read() == theirs.read(), name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pixels", "--vae", "vae"), "--pixels makes pixels without a VAE; leave --vae out, or --pixels"),
        (("--vae", "vae", "--size", "64"), "--size goes with --pixels; in latents the pictures have the VAE's size"),
        (("--pixels", "--size", "48"), "--size is 48; it should be one of 8, 16, 32, 64, 128"),
        (("--vae", "nowhere"), "nowhere"),
        (("--vae", "in"), "in"),
        (("--pixels", "--batch", "1"), "--batch is 1; it should be a whole number from 2 to 1024"),
        (("--pixels", "--penalty", "-1"), "--penalty is -1.0; it should be a number from 0"),
        (("--pixels", "--rate", "1"), "--rate is 1.0; it should be a number from 1e-06 to 0.1"),
        (("--pixels", "--steps", "0"), "--steps is 0"),
        (("--pixels", "--device", "abacus"), "the device 'abacus' is not available"),
    ],
)
def test_what_is_refused(arguments, says, tmp_path):
    assert says in refuse("train", "gan", "in", "-o", "run", *arguments)
    assert not (tmp_path / "run" / STATE).exists()


def test_without_a_vae_the_bundled_one_is_taken():
    call("train", "gan", "in", "-o", "run", "--batch", "2", "--steps", "1", "--licence", "CC0-1.0", "-q")
    made, bundled = load_gan("run/checkpoint"), load_vae(PRETRAINED / "vae")
    assert made.config["name"] == "run" and made.config["licence"] == "CC0-1.0"
    latents = bundled.statistics.draw(1)
    assert torch.equal(made.model.decoder(latents), bundled.vae.decode(latents))


def test_a_vae_of_a_size_that_no_gan_makes_is_refused():
    made = VAE(VAESpec(96, 2, (8, 8), (8, 8, 8), (1, 1), (1, 1, 1), 4))
    save_vae("odd", made, statistics_of(torch.randn(9, 2, 12, 12)), name="odd")
    assert "samples have 12 places a side; it should be one of 8" in refuse(
        "train", "gan", "in", "-o", "run", "--vae", "odd"
    )


def test_two_pictures_are_enough_and_one_is_refused(tmp_path):
    (tmp_path / "few").mkdir()
    Image.new("RGB", (9, 9)).save("few/a.png")
    assert "'few' holds one picture; 2 are the least" in refuse("train", "gan", "few", "-o", "run", *PIXELS)
    Image.new("RGB", (9, 9), "red").save("few/b.png")
    call("train", "gan", "few", "-o", "run", *PIXELS, "--batch", "4", "--steps", "1", "-q")
