"""`clavilux train`: what it prints and writes, Ctrl-C and kill -9, and one line and exit code 2 for what is wrong."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from commands import call, refuse
from PIL import Image

from clavilux import CheckpointError, load
from clavilux.image.latents.files import load_vae
from clavilux.image.picture import Picture
from clavilux.training import picture_run, vae
from clavilux.training.picture_run import STATE

QUICK = ("--size", "16", "--batch", "2", "--perceptual", "0", "--latent-channels", "2")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Twelve pictures in two classes, and two files that are none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(picture_run, "draw_curves", lambda lines, path: None)
    random = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        for number in range(6):
            colour = tuple(int(value) for value in random.integers(0, 256, 3))
            Image.new("RGB", (20, 24), colour).save(tmp_path / "in" / kind / f"{number}.png")
    (tmp_path / "in" / "cats" / "broken.jpg").write_text("no picture")
    (tmp_path / "in" / "readme.txt").write_text("no picture")


def train(*more, code=0):
    return call("train", "vae", "in", "-o", "run", *QUICK, *more, code=code)


def test_a_run_and_what_is_said(tmp_path):
    said = train("--steps", "4", "--checkpoint-steps", "2", "--preview", "p.png").stdout
    assert (
        "pictures in 2 classes to learn from" in said and "note: skipped cats/broken.jpg: 'in/cats/broken.jpg'" in said
    )
    assert "step 2, " in said and "step 4, " in said and "elbo -" in said and "checkpoint: run/checkpoint\n" in said
    assert "ended: its steps are taken; more --steps go on\n" in said and "readme" not in said
    found = load_vae("run/checkpoint")
    assert found.vae.spec.size == 16 and found.config["classes"] == ["cats", "dogs"]
    assert "in" not in found.config["training"].values() and found.config["training"]["batch"] == 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(
        [".lock", STATE, "checkpoint", "curves.jsonl", "pictures.npz", "run.json", "samples.png"]
    )
    assert Picture.load("p.png").pixels.equal(Picture.load("run/samples.png").pixels)


def test_json_reports_the_run(tmp_path):
    found = json.loads(train("--steps", "2", "--checkpoint-steps", "2", "--json").stdout)
    assert found["steps"] == 2 and found["best"]["step"] == 2 and found["steps_a_second"] > 0
    assert found["held_out"].keys() == {"elbo", "reconstruction", "kl", "psnr_db"}
    assert found["pictures"]["learned_from"] + found["pictures"]["held_out"] == 12
    assert [each["file"] for each in found["pictures"]["skipped"]] == ["cats/broken.jpg"]
    assert found["settings"]["latent_channels"] == 2 and found["settings"]["kind"] == "vae"


def test_a_run_goes_on_with_its_own_settings():
    train("--steps", "2", "-q")
    again = call("train", "vae", "in", "-o", "run", "--steps", "5", "--json")
    assert json.loads(again.stdout)["settings"]["size"] == 16 and json.loads(again.stdout)["steps"] == 5
    assert "has batch 2, and 4 is asked for" in refuse("train", "vae", "in", "-o", "run", "--batch", "4")
    Image.new("RGB", (9, 9)).save("in/new.png")
    assert "began with other pictures than those in 'in' now" in refuse("train", "vae", "in", "-o", "run", "-q")


def test_a_folder_that_is_held_out(tmp_path):
    (tmp_path / "in" / "dogs").rename(tmp_path / "out")
    found = json.loads(train("--held-out", "out", "--steps", "1", "--json").stdout)
    assert (found["pictures"]["learned_from"], found["pictures"]["held_out"]) == (6, 6)


def test_ctrl_c_writes_the_state_and_goes_on(monkeypatch):
    step = vae.VAELearner.step

    def stopping(self, number):
        if number == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, number)

    monkeypatch.setattr(vae.VAELearner, "step", stopping)
    done = train("--steps", "9", code=130)
    assert done.stderr.endswith("clavilux: stopped, after writing run\n")
    monkeypatch.setattr(vae.VAELearner, "step", step)
    train("--steps", "6", "-q")
    call("train", "vae", "in", "-o", "whole", *QUICK, "--steps", "6", "-q")
    with open(f"run/{STATE}", "rb") as ours, open(f"whole/{STATE}", "rb") as theirs:
        assert ours.read() == theirs.read()


def test_kill_9_and_the_same_next_checkpoint():
    """A process of its own, killed in its sixth step; its next state is that of a run that was left alone."""
    options = ("train", "vae", "in", *QUICK, "--steps", "6", "--checkpoint-steps", "3", "--name", "mine", "-q")
    program = (
        "import os, signal\n"
        "from clavilux.training import picture_run, vae\n"
        "picture_run.draw_curves = lambda lines, path: None\n"
        "step = vae.VAELearner.step\n"
        "def killed(self, number):\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if number == 5 else step(self, number)\n"
        "vae.VAELearner.step = killed\n"
        "from clavilux.cli.app import app\n"
        f"app([*{options!r}, '-o', 'run'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for folder in ("run", "whole"):
        call(*options, "-o", folder)
    for name in (STATE, "checkpoint/model.safetensors", "checkpoint/config.json", "samples.png"):
        with open(f"run/{name}", "rb") as ours, open(f"whole/{name}", "rb") as theirs:
            assert ours.read() == theirs.read(), name


def test_what_is_said_of_a_checkpoint():
    train("--steps", "1", "-q")
    assert load_vae("run/checkpoint").config["name"] == "run" and "licence" not in load_vae("run/checkpoint").config
    train("--steps", "2", "--name", "pets", "--licence", "CC0-1.0", "-q")
    assert load_vae("run/checkpoint").config["name"] == "pets"
    found = json.loads(call("info", "run/checkpoint", "--json").stdout)
    assert found["kind"] == "generator" and found["family"] == "vae" and found["classes"] == ["cats", "dogs"]
    assert found["licence"] == "CC0-1.0" and found["parameters"] > 10**6
    assert "kind: generator" in call("info", "run/checkpoint").stdout
    with pytest.raises(CheckpointError, match="is a VAE: it makes pictures of latents, not of tokens"):
        load("run/checkpoint")


def test_one_picture_is_refused(tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (9, 9)).save("one/a.png")
    assert "'one' holds one picture; 2 are the least" in refuse("train", "vae", "one", "-o", "run")
    Image.new("RGB", (9, 9)).save("one/b.png")
    assert "all 2 pictures are copies of one file" in refuse("train", "vae", "one", "-o", "run")
    Image.new("RGB", (9, 9), "red").save("one/b.png")
    call("train", "vae", "one", "-o", "run", *QUICK, "--steps", "1", "-q")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "-o", "run"), "the folder 'nowhere' is not there; give one with pictures in it"),
        (("in/readme.txt", "-o", "run"), "the folder 'in/readme.txt' is a file"),
        (("in", "-o", "in"), "'in' would take the place of the file that is read"),
        (("in", "-o", "in/cats"), "'in/cats' is there already; give the name of a new folder"),
        (("in", "-o", "no/run"), "there is no folder"),
        (("in", "-o", "run", "--size", "60"), "--size is 60; it should be a multiple of 8"),
        (("in", "-o", "run", "--size", "8"), "--size is 8; it should be a whole number from 16 to 256"),
        (("in", "-o", "run", "--minutes", "0"), "--minutes is 0.0; it should be a number from 0.01"),
        (("in", "-o", "run", "--minutes", "nan"), "--minutes is nan"),
        (("in", "-o", "run", "--steps", "0"), "--steps is 0; it should be a whole number from 1"),
        (("in", "-o", "run", "--batch", "0"), "--batch is 0; it should be a whole number from 1 to 1024"),
        (("in", "-o", "run", "--rate", "1"), "--rate is 1.0; it should be a number from 1e-06 to 0.1"),
        (("in", "-o", "run", "--kl-weight", "-1"), "--kl-weight is -1.0"),
        (("in", "-o", "run", "--seed", "-1"), "--seed is -1"),
        (("in", "-o", "run", "--preview", "p.txt"), "p.txt"),
        (("in", "-o", "run", "--device", "abacus"), "the device 'abacus' is not available"),
        (("in", "-o", "run", "--held-out", "nowhere"), "there is no folder 'nowhere'"),
        (("in",), "--output is missing"),
    ],
)
def test_what_is_refused(arguments, says, tmp_path):
    assert says in refuse("train", "vae", *arguments)
    assert not (tmp_path / "run" / STATE).exists()


def test_a_damaged_run_is_refused(tmp_path):
    train("--steps", "1", "-q")
    state = tmp_path / "run" / STATE
    state.write_bytes(state.read_bytes()[:-9])
    assert "is damaged: it is cut short" in refuse("train", "vae", "in", "-o", "run", "-q")
    (tmp_path / "run" / "run.json").write_text("{")
    assert "is no JSON" in refuse("train", "vae", "in", "-o", "run", "-q")
