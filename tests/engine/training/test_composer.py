"""The training of the composer whose tokens are REMI: where it begins, that it learns and goes on, what it exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import clavilux
from clavilux.audio.codecs.remi import score_tokens
from clavilux.training import composer
from clavilux.training.composer import Run, TrainSpec, export
from clavilux.training.composer_files import begin_with
from clavilux.training.token_data import STYLE_NAMES

SMALL = TrainSpec(context=64, batch=2)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder of one narrow layer."""
    spec = composer.composer_spec(len(score_tokens()), 64).to_dict() | {
        "width": 16, "layers": 1, "heads": 2, "head_dim": 8, "ffn_width": 16,
    }  # fmt: skip
    monkeypatch.setattr(composer, "composer_spec", lambda *_: composer.DecoderSpec.from_dict(spec))


def test_pieces_are_brought_to_c(cache):
    arrays = np.load(cache)
    pieces = np.split(arrays["tokens"], arrays["ends"][:-1])
    assert all(np.array_equal(piece, pieces[0]) for piece in pieces)


def test_styles_begin_as_what_they_belong_to():
    folder = Path(composer.__file__).parents[1] / "pretrained" / "aria"
    before = load_file(folder / "model.safetensors")["conditioner.style.weight"].float()
    known = json.loads((folder / "config.json").read_text())["styles"]
    after = begin_with(folder)["conditioner.style.weight"]
    assert after.shape == (len(STYLE_NAMES) + 1, before.shape[1])
    for name, row in zip(STYLE_NAMES, after, strict=False):
        if name in known:
            assert torch.equal(row, before[known.index(name)])
    assert torch.equal(after[-1], before[-1]), "no style stays no style"


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # the compiler looks at the prefix's
def test_a_step_compiles_as_one_graph(cache, tmp_path, small):
    """Nothing is compiled here: a break of the graph is what `fullgraph` refuses."""
    run = Run(cache, tmp_path, SMALL, 1e9)
    batch = run.train.batch(2)
    plain = run.loss(*batch)
    run.logits = torch.compile(run.logits, backend="eager", fullgraph=True)
    torch.testing.assert_close(run.loss(*batch), plain)
    assert run.held_out_loss() > 0  # without gradients


def test_a_run_learns_goes_on_and_is_exported(cache, tmp_path, small):
    run = Run(cache, tmp_path, SMALL, 1e9)
    first = run.held_out_loss()
    for _ in range(12):
        run.train_step(0.05)
    assert run.held_out_loss() < first - 0.5
    run.log.append((run.step, 1.0, 1.0, 1.0))
    run.checkpoint()
    again = Run(cache, tmp_path, SMALL, 1e9)
    assert again.step == 12 and again.log == run.log
    assert again.held_out_loss() == run.held_out_loss()
    export(tmp_path, tmp_path / "model")
    song = clavilux.load(tmp_path / "model").generate("reel on the fiddle", seconds=4, seed=1)
    assert len(song.score.notes)


def test_a_cache_of_other_tokens_is_refused(cache, tmp_path):
    arrays = dict(np.load(cache))
    arrays["vocabulary"] = arrays["vocabulary"][:-1]
    np.savez(tmp_path / "tokens.npz", **arrays)
    with pytest.raises(ValueError, match="another vocabulary"):
        Run(tmp_path / "tokens.npz", tmp_path, SMALL, 1.0)
