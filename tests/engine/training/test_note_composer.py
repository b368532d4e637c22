"""The composer's training: what is counted, that it learns, and that a run goes on to the same next state."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from clavilux.audio.codecs.note_frames import BAR, BOOKS, IDS, encode_frames
from clavilux.audio.score import NOTE, Score
from clavilux.decoder import DecoderSpec
from clavilux.families.aria.heads import heads_of
from clavilux.training import note_composer, note_data
from clavilux.training.labels import LABELS
from clavilux.training.note_composer import ComposerLearner, ComposerSpec, book_nats
from clavilux.training.note_sketch import controls_for, planned_heads, write_frames

SMALL = ComposerSpec(
    width=16, layers=1, heads=2, ffn_width=16, context=64, batch_frames=128, warmup=2, steps=40, averaged=0.5
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scales, up and down."""
    folder = tmp_path_factory.mktemp("cache")
    pieces = []
    for number in range(6):
        pitches = [60 + number + step for step in (0, 2, 4, 5, 7, 5, 4, 2)] * 6
        notes = [(i / 2, 0.5, pitch, 50 + 10 * number, 0, False) for i, pitch in enumerate(pitches)]
        score = Score(np.array(notes, NOTE), length=24.0)
        frames = encode_frames(score, heads_of(score))
        piece = note_data.FramePiece(f"{number}.mid", "reel", False, 120.0, frames)
        pieces.append(piece)
    note_data.save(folder / "frames.npz", pieces, [number == 0 for number in range(6)])
    return folder / "frames.npz"


def test_only_what_is_drawn_is_counted_and_at_its_delay(cache):
    learner = ComposerLearner(cache, replace(SMALL, delays=(0, 2, 1, 3, 0)))
    batch = learner.train.batch(0)
    whole = book_nats(learner.model, learner.layout, batch, torch.device("cpu"))
    each = []
    for book in range(5):
        drawn = torch.zeros_like(batch.drawn)
        drawn[:, book] = batch.drawn[:, book]
        alone = book_nats(learner.model, learner.layout, replace(batch, drawn=drawn), torch.device("cpu"))
        each.append(alone[book])
        assert alone.count_nonzero() == 1
    assert torch.allclose(whole, torch.stack(each))
    # Nearly untaught, an id costs about as much as one of 256 would.
    count = batch.drawn.sum((0, 2))
    assert ((whole / count).detach() - np.log(IDS)).abs().max() < 1.5


def test_it_learns_and_what_is_measured_is_averaged(cache):
    learner = ComposerLearner(cache, SMALL)
    before = learner.measure()
    for number in range(30):
        learner.step(number)
    after = learner.measure()
    assert after["nats a note"] < 0.7 * before["nats a note"]
    assert after["nats a note"] == pytest.approx(sum(after[name] for name in BOOKS[:4]))
    assert any(not torch.equal(learner.average[n], p) for n, p in learner.model.state_dict().items())


def test_rates_rise_stay_and_fall():
    rates = [replace(SMALL, warmup=4, steps=40, fall=0.25).rate_at(number) for number in range(41)]
    assert rates[0] == 0.25 and rates[3] == rates[30] == 1.0 and rates[35] == 0.5 and rates[40] == 0.0


def run(out: Path, *words: str) -> str:
    before = sys.argv
    sys.argv = ["note_composer", "--out", str(out), "--threads", "1", "--checkpoint-steps", "2", *words]
    try:
        note_composer.main()
    finally:
        sys.argv = before
    return hashlib.sha256((out / "state.safetensors").read_bytes()).hexdigest()


def test_a_run_that_was_stopped_goes_on_to_the_same_state(cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(note_composer, "HELD_OUT_BATCHES", 1)
    monkeypatch.setattr("clavilux.training.note_sketch.MOST_FRAMES", 8)
    small = [f"--{name.replace('_', '-')}={getattr(SMALL, name)}" for name in (
        "width", "layers", "heads", "ffn_width", "context", "batch_frames",
    )]  # fmt: skip
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "frames.npz").write_bytes(cache.read_bytes())
    whole = run(tmp_path / "whole", *small, "--steps", "4")
    # Nothing else depends on how many steps there will be while the rate does not fall yet.
    run(tmp_path / "parts", *small, "--steps", "4", "--minutes", "0")
    assert run(tmp_path / "parts", "--steps", "4") == whole
    out = tmp_path / "whole"
    lines = [json.loads(line) for line in (out / "curves.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert "nats a note" in lines[-1]["held_out"]
    config = json.loads((out / "checkpoint" / "config.json").read_text())
    assert DecoderSpec.from_dict(config["decoder"]).codebooks == 5 and config["styles"] == list(LABELS)
    with safe_open(out / "checkpoint" / "model.safetensors", "pt") as file:
        names = set(file.keys())
        assert all(file.get_slice(name).get_dtype() == "F16" for name in names)
    assert names == set(ComposerLearner(cache, SMALL).average)
    with pytest.raises(ValueError, match="has width 16, and 32 is asked for"):
        run(out, "--width", "32")
    capsys.readouterr()


def test_without_a_cache_the_scores_are_asked_for(tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        run(tmp_path)
    assert error.value.code == 2 and "give the folder of scores" in capsys.readouterr().err


def test_weights_that_are_too_large_are_not_exported(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(note_composer, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="a composer may take 1000"):
        ComposerLearner(cache, SMALL).export(tmp_path / "checkpoint", {})


def test_the_usual_composer_fits_its_bytes():
    with torch.device("meta"):
        model = note_composer.Composer(ComposerSpec().decoder(), len(LABELS))
    assert sum(p.numel() for p in model.parameters()) * 2 <= note_composer.MOST_BYTES


def test_planned_heads_stand_where_bars_begin(cache):
    learner = ComposerLearner(cache, SMALL)
    for number in range(30):
        learner.step(number)
    heads = planned_heads((2, 4), 8)
    frames = write_frames(learner.model, learner.layout, controls_for("reel", 120, (0,)), heads, 60, seed=1)
    at = np.flatnonzero(frames[0] == BAR)
    assert len(at) >= 2
    for head, place in zip(heads, at.tolist(), strict=False):
        assert frames[:, place].tolist() == list(head.frame())
    again = write_frames(learner.model, learner.layout, controls_for("reel", 120, (0,)), heads, 60, seed=1)
    assert (frames == again).all()
    sheet = learner.sheet()
    assert sheet.pixels.ndim == 3 and sheet.pixels.float().std() > 0
