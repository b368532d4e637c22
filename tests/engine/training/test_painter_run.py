"""A run of the painter's training on a small scale: its files, how it goes on, what it begins with and exports."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import clavilux
from clavilux.families.int8 import SCALE
from clavilux.families.lumia.family import Parts, unpacked
from clavilux.families.lumia.places import MARKED
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.training import augment, painter
from clavilux.training.painter_decoder import DecoderRun, TrainSpec, disturbed
from clavilux.training.painter_files import begin_with, export, packed, painter_spec, read_checkpoint
from clavilux.training.shapes import shapes

WORDS = ["apple", "cat", *MARKED]


def test_disturbed_tokens_are_another_pictures_at_the_same_place():
    torch.manual_seed(0)
    tokens = torch.arange(400)[:, None, None].expand(-1, 4, 64)
    read = disturbed(tokens, 0.5, 0.3)
    wrong = read != tokens
    assert torch.equal(read[wrong], ((tokens - 1) % 400)[wrong])
    shares = wrong.float().mean((1, 2))
    assert 150 < (shares > 0).sum() < 250 and shares.max() < 0.4
    assert torch.equal(disturbed(tokens, 0.0, 0.3), tokens)


def test_packed_weights_come_back_within_half_a_level():
    torch.manual_seed(0)
    weights = {"matrix": torch.randn(7, 11), "vector": torch.randn(5)}
    found = packed(weights)
    assert found["matrix"].dtype == torch.int8 and set(found) == {"matrix", "matrix" + SCALE, "vector"}
    again = unpacked(found)
    error = (again["matrix"] - weights["matrix"]).abs() / found["matrix" + SCALE][:, None]
    assert 0.1 < error.max() <= 0.5 + 127 * 2**-11
    assert set(again) == set(weights) and torch.equal(again["vector"], weights["vector"].half().float())


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    return Parts(painter_spec(ResidualVQSpec()), len(WORDS))


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    target = tmp_path_factory.mktemp("run") / "checkpoint"
    torch.manual_seed(1)
    export(target, ResidualVQ(ResidualVQSpec()).state_dict(), parts.state_dict(), WORDS, {"steps": 7})
    return target


def test_a_checkpoint_is_whole_and_loads(folder):
    assert not list(folder.glob("*.part"))
    assert json.loads((folder / "config.json").read_text())["training"] == {"steps": 7}
    model = clavilux.load(folder)
    picture = model.generate("cat on the left", seed=1)
    assert picture.receipt["taken"] == ["cat = cat", "on the left = left"] and picture.receipt["unknown"] == []
    assert (folder / "model.safetensors").stat().st_size < 9 * 2**20


def test_a_run_begins_with_what_another_has_learned(parts, folder):
    codec, weights, known = read_checkpoint(folder)
    assert known == WORDS and codec["codebook"].shape == (4, 512, 32)
    words = ["cat", "dog", "apple", *MARKED]
    torch.manual_seed(2)
    new = Parts(painter_spec(ResidualVQSpec()), len(words))
    assert begin_with(new, words, weights, known) == 2 + len(MARKED)
    ours, theirs = new.conditioner.word.weight, weights["conditioner.word.weight"]
    for index, number in ((0, 1), (2, 0), (3, 2), (-1, -1)):
        assert torch.equal(ours[index], theirs[number])
    assert not any(torch.equal(ours[1], row) for row in theirs)
    names = [each for each in weights if each != "conditioner.word.weight"]
    assert all(torch.equal(new.state_dict()[each], weights[each]) for each in names)
    with pytest.raises(ValueError, match="has another shape: conditioner.widen"):
        begin_with(new, words, weights | {"conditioner.widen.weight": torch.zeros(3, 3)}, known)


class Pool:
    """Two pictures of tokens that never change, of which always the same is said."""

    def __init__(self):
        self.tokens = torch.randint(512, (2, 4, 64), generator=torch.Generator().manual_seed(0)).to(torch.int16)
        self.scenes = np.array([[0, n, -1, 0, 64, 0, 0, *(-1,) * 6] for n in (0, 1)], np.int16)

    def __len__(self):
        return len(self.scenes)


class Dataset:
    colours = np.array([[0, -1], [4, -1]])
    about = tuple({"words": [word], "more": [], "source": "emoji"} for word in ("apple", "cat"))


SMALL = TrainSpec(batch=2, disturbed=0.0)


def run(path, minutes=60.0):
    decoder = replace(painter_spec(ResidualVQSpec()), width=32, layers=1, heads=2, head_dim=16, ffn_width=48)
    return DecoderRun(Pool(), Pool(), Dataset(), WORDS, path, SMALL, minutes * 60, decoder)


def test_the_decoder_learns_and_goes_on_from_its_state(tmp_path):
    path = tmp_path / "decoder.pt"
    first = run(path)
    losses = [first.train_step(0.1).mean() for _ in range(6)]
    assert losses[-1] < losses[0] - 0.2
    assert first.unseen[0][0].shape == (2, 4, 64) and np.isfinite(first.measure()).all()
    first.checkpoint()
    again = run(path)
    assert again.step == 6
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)
        assert torch.equal(again.average[name], first.average[name])
    one, other = run(path), run(path)
    torch.manual_seed(5)
    here = one.train_step(0.1)
    torch.manual_seed(5)
    assert np.array_equal(here, other.train_step(0.1))


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # the compiler looks at the prefix's
def test_a_step_compiles_as_one_graph(tmp_path):
    """Each break of it cost a sixth of a step; `fullgraph` refuses one. Nothing is compiled here."""
    learner = run(tmp_path / "decoder.pt")
    tokens, controls = learner.train.batch(2)
    plain = learner.losses(tokens, controls)
    learner.nats = torch.compile(learner.nats, backend="eager", fullgraph=True)
    torch.testing.assert_close(learner.losses(tokens, controls), plain)
    assert len(learner.measure()) == 4  # held out, without gradients


def test_the_average_follows_the_weights(tmp_path):
    learner = run(tmp_path / "decoder.pt")
    before = {name: tensor.clone() for name, tensor in learner.average.items()}
    learner.train_step(0.1)
    moved = [name for name, tensor in learner.average.items() if not torch.equal(tensor, before[name])]
    assert len(moved) == len(before)
    for name, tensor in learner.model.state_dict().items():
        assert torch.allclose(learner.average[name], before[name].lerp(tensor, 1 / 11), atol=1e-6)


def test_a_run_fills_its_folder_and_goes_on(tmp_path, folder, monkeypatch):
    """Shapes alone, a few scenes, two steps; then two more of a process that was started again."""
    for name, value in {"FIRST_SCENES": 8, "MORE_SCENES": 4, "UNSEEN_SCENES": 4}.items():
        monkeypatch.setattr(painter, name, value)
    augment.build((replace(each, group="x") for each in shapes()), tmp_path / "pictures.npz")
    said = []

    def go(seconds):
        run = painter.PainterRun(tmp_path, tmp_path, tmp_path, folder, said.append)
        run.dataset.held_out[:3] = run.dataset.fit[:3] = True
        codec = ResidualVQ(ResidualVQSpec())
        codec.load_state_dict(run.known[0])
        run.first_scenes(codec)
        run.decoder(codec, SMALL, seconds)
        return run

    run = go(0.2)
    assert len(run.pool) == 12 and len(run.unseen) == 4  # four more between
    state = torch.load(tmp_path / "decoder.pt", weights_only=True)
    assert state["step"] >= 1 and len(state["log"]) == 1
    model = clavilux.load(tmp_path / "checkpoint")
    assert model.generate("a star on the left", seed=1).receipt["taken"] == ["star = star", "on the left = left"]
    go(state["spent_s"] + 0.2)
    again = torch.load(tmp_path / "decoder.pt", weights_only=True)
    assert again["step"] > state["step"] and len(again["log"]) == 2
    assert any(each.startswith("begins with ") for each in said)
    assert sum(each.startswith("begins with ") for each in said) == 1
