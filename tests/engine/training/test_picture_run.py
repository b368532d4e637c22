"""A run in its folder: killed, stopped or never disturbed it comes to the same state; when it ends; what it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from clavilux import CheckpointError
from clavilux.image.picture import Picture
from clavilux.training import picture_run
from clavilux.training.draws import NOISE, noise_of, random_of, rows_of
from clavilux.training.picture_run import Limits, PictureRun, Watch, held, round_steps, settled
from clavilux.training.states import load_state, save_state


@pytest.fixture(autouse=True)
def without_curves(request, monkeypatch):
    """Drawing them takes longer than all else here."""
    if "curves" not in request.node.name:
        monkeypatch.setattr(picture_run, "draw_curves", lambda lines, path: None)


class Walk:
    """A learner whose weights walk about at random, and get better up to a step and worse from there on."""

    best: str | None = "score"

    def __init__(self, kill_at=-1, top=10**9):
        self.weights, self.kill_at, self.top = torch.zeros(4), kill_at, top
        self.optimizer_steps = torch.zeros(())

    def step(self, number):
        if number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.weights += torch.randn(4, generator=noise_of(5, NOISE, number))
        self.optimizer_steps += 1
        return {"loss": float(self.weights.square().sum())}

    def measure(self):
        steps = float(self.optimizer_steps)
        return {"score": -abs(steps - self.top), "sum": float(self.weights.sum())}

    def state(self):
        return {"weights": self.weights, "steps": self.optimizer_steps}

    def load(self, state):
        self.weights, self.optimizer_steps = state["weights"], state["steps"]

    def sheet(self):
        return Picture(torch.full((8, 8, 3), int(self.optimizer_steps) % 256, dtype=torch.uint8))

    def export(self, folder, training):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(training))


SETTINGS = {"kind": "walk", "seed": 5}


def train(folder, limits, learner=None, watch=None):
    with held(folder) as place:
        run = PictureRun(place, learner or Walk(), SETTINGS)
        last = run.go(limits, watch or Watch())
    return run, last


def state_bytes(folder):
    return (folder / picture_run.STATE).read_bytes()


def test_a_run_in_pieces_comes_to_the_same_bytes(tmp_path):
    told = []
    train(tmp_path / "a", Limits(steps=70, checkpoint_steps=20), watch=Watch(report=told.append))
    for steps in (13, 20, 33, 70):
        train(tmp_path / "b", Limits(steps=steps, checkpoint_steps=20))
    assert state_bytes(tmp_path / "a") == state_bytes(tmp_path / "b")
    assert [line.step for line in told] == [20, 40, 60, 70]
    lines = [
        [json.loads(line) for line in (tmp_path / name / "curves.jsonl").read_text().splitlines()] for name in "ab"
    ]
    for ours, theirs in zip(*lines, strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
    assert json.loads((tmp_path / "b" / "checkpoint" / "config.json").read_text()) == {**SETTINGS, "steps": 70}


def test_a_killed_run_comes_to_the_same_next_state(tmp_path):
    """kill -9 in the middle of the fiftieth step, as a process of its own."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_picture_run import Limits, Walk, train\n"
        f"train(Path({str(tmp_path / 'b')!r}), Limits(steps=60, checkpoint_steps=20), Walk(kill_at=50))\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_state(tmp_path / "b" / picture_run.STATE)[1]["step"] == 40
    train(tmp_path / "b", Limits(steps=60))
    train(tmp_path / "a", Limits(steps=60, checkpoint_steps=20))
    assert state_bytes(tmp_path / "a") == state_bytes(tmp_path / "b")


def test_ctrl_c_ends_a_run_after_its_step(tmp_path):
    def interrupt(done, total):
        if done == 7:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    run, last = train(tmp_path / "a", Limits(steps=50, checkpoint_steps=20), watch=Watch(progress=interrupt))
    assert run.ended == "stopped" and run.step == last.step == 7 and signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "a" / "samples.png").exists() and (tmp_path / "a" / "checkpoint" / "config.json").exists()
    train(tmp_path / "a", Limits(steps=50))
    train(tmp_path / "b", Limits(steps=50, checkpoint_steps=20))
    assert state_bytes(tmp_path / "a") == state_bytes(tmp_path / "b")


def test_a_run_ends_when_it_gets_no_better_and_keeps_its_best(tmp_path):
    run, _ = train(tmp_path / "a", Limits(steps=500, checkpoint_steps=10, patience=3), Walk(top=60))
    assert run.ended == "no better" and run.step == 90
    assert json.loads((tmp_path / "a" / "checkpoint" / "config.json").read_text())["steps"] == 60
    again, _ = train(tmp_path / "a", Limits(steps=500, patience=3), Walk(top=60))
    assert again.ended == "no better" and again.step == 90


def test_where_nothing_says_which_is_best_the_last_one_counts(tmp_path):
    learner = Walk(top=20)
    learner.best = None
    run, _ = train(tmp_path / "a", Limits(steps=100, checkpoint_steps=10, patience=3), learner)
    assert run.ended == "steps"
    assert json.loads((tmp_path / "a" / "checkpoint" / "config.json").read_text())["steps"] == 100


def test_time_ends_a_run_and_says_how_often_states_are_written(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(picture_run.time, "monotonic", lambda: now[0])

    class Slow(Walk):
        def step(self, number):
            now[0] += 0.5
            return super().step(number)

    told, shown = [], []
    watch = Watch(lambda *done: told.append(done), preview=shown.append)
    run, last = train(tmp_path / "a", Limits(minutes=2), Slow(), watch)
    assert run.ended == "minutes" and run.step == 240 and run.checkpoint_steps == 20  # 24 s are 48 steps
    assert told[0] == (0.5 / 60, 2) and told[-1] == (2, 2) and last.seconds == 120
    assert len(shown) >= 12
    again, last = train(tmp_path / "a", Limits(minutes=1), Slow())
    assert again.checkpoint_steps == 20 and last.seconds == 180


@pytest.mark.parametrize(
    ("steps", "rounded"), [(0.3, 10), (10, 10), (19.9, 10), (20, 20), (49, 20), (51, 50), (120, 100), (2600, 2000)]
)
def test_rounded_steps(steps, rounded):
    assert round_steps(steps) == rounded


def test_a_loss_that_is_no_number_ends_a_run_and_leaves_its_last_state(tmp_path):
    class Lost(Walk):
        def step(self, number):
            return {"loss": float("nan")} if number == 25 else super().step(number)

    with pytest.raises(ValueError, match="training has come apart: loss is no finite number at step 25"):
        train(tmp_path / "a", Limits(steps=50, checkpoint_steps=20), Lost())
    assert load_state(tmp_path / "a" / picture_run.STATE)[1]["step"] == 20


def test_curves_and_samples_are_pictures(tmp_path):
    train(tmp_path / "a", Limits(steps=3, checkpoint_steps=2))
    curves, samples = (Picture.load(tmp_path / "a" / name).pixels for name in ("curves.png", "samples.png"))
    assert curves.shape == (260, 1200, 3) and len(curves.flatten(0, 1).unique(dim=0)) > 20
    assert samples.unique().tolist() == [3]


def test_settings_are_kept_and_no_others_taken(tmp_path):
    usual = {"kind": "walk", "seed": 5}
    out = tmp_path / "a"
    assert settled(out, {"seed": 8}, usual) == {"kind": "walk", "seed": 8}
    train(out, Limits(steps=2))
    assert settled(out, {"seed": None}, {"kind": "walk", "seed": 0}) == usual
    with pytest.raises(ValueError, match="has seed 5, and 6 is asked for; leave it out to go on, or begin another"):
        settled(out, {"seed": 6}, usual)
    with pytest.raises(CheckpointError, match="does not say its size"):
        settled(out, {}, {"size": 64})
    (tmp_path / "b").mkdir()
    assert settled(tmp_path / "b", {}, usual) == usual
    (tmp_path / "b" / "letter.txt").touch()
    with pytest.raises(ValueError, match="is there already; give the name of a new folder"):
        settled(tmp_path / "b", {}, usual)


def test_a_run_that_was_killed_before_its_first_step_begins_again(tmp_path):
    for name in (".lock", "pictures.npz"):
        (tmp_path / name).touch()
    assert settled(tmp_path, {}, SETTINGS) == SETTINGS


def test_one_process_trains_in_a_folder(tmp_path):
    with held(tmp_path), pytest.raises(ValueError, match="another process trains in"), held(tmp_path):
        pass


def test_states_that_are_none_are_refused(tmp_path):
    train(tmp_path / "a", Limits(steps=2))
    state = tmp_path / "a" / picture_run.STATE
    tensors, about = load_state(state)
    save_state(state, {"other": torch.zeros(1)}, about)
    with pytest.raises(CheckpointError, match="does not fit this run"):
        train(tmp_path / "a", Limits(steps=3))
    state.write_bytes(state.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="damaged"):
        train(tmp_path / "a", Limits(steps=3))
    save_state(state, tensors, {})
    with pytest.raises(CheckpointError, match="does not fit this run"):
        train(tmp_path / "a", Limits(steps=3))


def test_every_row_comes_once_a_round():
    rows = np.arange(100, 107)
    taken = np.concatenate([rows_of(3, step, 4, rows) for step in range(7)])  # four rounds of seven
    for number in range(4):
        assert sorted(taken[7 * number : 7 * number + 7]) == rows.tolist()
    assert not np.array_equal(taken[:7], taken[7:14])
    assert len(rows_of(3, 5, 20, rows)) == 20  # a batch of more than there is


def test_draws_follow_from_seed_stream_and_number():
    def first(*key):
        return random_of(*key).integers(2**60)

    assert first(1, 2, 3) == first(1, 2, 3)
    assert len({first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4)}) == 4
    draw = torch.rand(1, generator=noise_of(1, NOISE, 3))
    assert draw == torch.rand(1, generator=noise_of(1, NOISE, 3)) != torch.rand(1, generator=noise_of(1, NOISE, 4))
