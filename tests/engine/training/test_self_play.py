"""Self-play: what a composer writes in the place of a piece's end, and that it learns to tell the two."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import clavilux
from clavilux.audio.codecs.remi import score_tokens
from clavilux.training import composer
from clavilux.training.composer import FORCED_KINDS, TrainSpec, export
from clavilux.training.composer_files import average
from clavilux.training.self_play import Heads, Pairs, SelfPlay, draw_pairs, following_kinds, go_on

SMALL = TrainSpec(context=128, batch=4, muon_rate=0.02, adam_rate=0.02)


@pytest.fixture
def begin(cache, tmp_path, monkeypatch):
    """The checkpoint of a decoder of one narrow layer that has learned nothing."""
    spec = composer.composer_spec(len(score_tokens()), 128).to_dict() | {
        "width": 16, "layers": 1, "heads": 2, "head_dim": 8, "ffn_width": 16,
    }  # fmt: skip
    monkeypatch.setattr(composer, "composer_spec", lambda *_: composer.DecoderSpec.from_dict(spec))
    run = composer.Run(cache, tmp_path / "first", SMALL, 1.0)
    (tmp_path / "first").mkdir()
    run.log.append((0, 1.0, 1.0, 1.0))
    run.checkpoint()
    export(tmp_path / "first", tmp_path / "begin")
    return tmp_path / "begin"


def kinds_of(row):
    return [score_tokens().kinds[token] for token in row]


def test_what_is_written_has_the_bars_of_the_piece(cache, begin, tmp_path):
    run = composer.Run(cache, tmp_path, SMALL, 1.0, begin)
    real, controls = run.train.batch(6)
    made = go_on(run.model, real, controls, 30, following_kinds(cache), seed=1)
    assert torch.equal(made, go_on(run.model, real, controls, 30, following_kinds(cache), seed=1))
    assert torch.equal(made[:, :30], real[:, :30]) and not torch.equal(made, real)
    for own, other in zip(made.numpy(), real.numpy(), strict=True):
        forced = [
            [t for t, kind in zip(row, kinds_of(row), strict=True) if kind in FORCED_KINDS[:3]] for row in (own, other)
        ]
        assert forced[0] == forced[1][: len(forced[0])]
        programs = {t for t, kind in zip(own, kinds_of(own), strict=True) if kind == "Program"}
        assert programs <= set(other.tolist())


def test_a_window_without_more_bars_ends():
    names = ["Bar_None", "TimeSig_4/4", "Section_opening.0", "Position_0", "Bar_None", "TimeSig_3/4", "Section_last.1"]
    vocabulary = score_tokens()
    ids = [vocabulary.ids[name] for name in names]
    window, bar = np.array([*ids, vocabulary.pad]), vocabulary.ids["Bar_None"]
    heads = Heads(window, 4)
    assert [heads.next(9), heads.next(bar), heads.next(9), heads.next(9)] == [9, bar, *ids[5:]]
    assert heads.next(bar) == vocabulary.pad
    assert [Heads(window, 2).next(9)] == [ids[2]]  # the prompt broke off in a head


def test_kinds_follow_as_they_do_in_pieces(cache):
    vocabulary, follows = score_tokens(), following_kinds(cache)
    pitch, bar = vocabulary.ids["Pitch_60"], vocabulary.ids["Bar_None"]
    assert {vocabulary.kinds[i] for i in follows[pitch].nonzero()[:, 0]} == {"Duration"}
    assert not follows[bar].any()  # a head follows, which nobody draws
    length = next(i for i, name in enumerate(vocabulary.names) if name.startswith("Duration_0.6"))
    assert {vocabulary.kinds[i] for i in follows[length].nonzero()[:, 0]} == {"Bar", "Position"}


def test_it_learns_to_tell_and_keeps_its_files(cache, begin, tmp_path):
    run = composer.Run(cache, tmp_path, SMALL, 1.0, begin)
    follows = following_kinds(cache)
    pairs, held_out = (draw_pairs(run.model, w, follows, 9, lambda _: None) for w in (run.train, run.held_out))
    out = tmp_path / "out"
    out.mkdir()
    play = SelfPlay(pairs, held_out, cache, out, SMALL, 1e9, begin)
    pairs.save(tmp_path / "pairs.npz")
    again = Pairs.load(tmp_path / "pairs.npz")
    assert again.controls == pairs.controls and np.array_equal(again.made, pairs.made)
    gains, usual = play.gains(np.arange(2), pairs)
    torch.testing.assert_close(gains, torch.zeros(2), atol=0.5, rtol=0)  # nothing has changed
    for _ in range(15):
        play.train_step(0.05)
    assert float(play.gains(np.arange(2), pairs)[1].detach()) < float(usual.detach()) - 0.3
    assert play.told() == 1.0
    play.log.append((play.step, 1.0, 1.0, 1.0))
    play.checkpoint()
    export(out, tmp_path / "model")
    average([begin, tmp_path / "model"], tmp_path / "mean")
    first, last, mean = (load_file(tmp_path / name / "model.safetensors") for name in ("begin", "model", "mean"))
    assert all(torch.allclose(mean[n].float(), (first[n].float() + last[n].float()) / 2, atol=1e-3) for n in first)
    assert any(not torch.equal(mean[n], last[n]) for n in first)
    assert len(clavilux.load(tmp_path / "mean").generate("reel on the fiddle", seconds=4, seed=1).score.notes)
