"""Ways to write scores: the flat one says what frames say, pairs say it shorter, and each is measured."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.codecs.note_frames import BAR, BOOKS, IDS, encode_frames
from clavilux.audio.score import NOTE, Score
from clavilux.families.aria.heads import heads_of
from clavilux.training import note_data

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import composer_tokens

SCORE = Score(np.array([(i / 2, 0.5, 60 + i % 8, 80, 40 * (i % 16 == 0), False) for i in range(96)], NOTE), length=48.0)


@pytest.fixture
def frames() -> np.ndarray:
    return encode_frames(SCORE, heads_of(SCORE), velocities=False)


def test_flat_ids_say_what_changes(frames):
    ids, drawn = composer_tokens.flat_ids(frames[:, :4])
    assert ids[:5].tolist() == [book * IDS + int(frames[book, 0]) for book in range(5)]
    assert drawn[:5].tolist() == [True, False, False, False, False], "of a head that a bar ends is drawn"
    kinds = (ids[5:] // IDS).tolist()
    # First note: position, instrument, pitch, duration; the second has another instrument; the third the same.
    assert kinds == [0, 1, 2, 3, 0, 1, 2, 3, 0, 2, 3]


def test_pairs_are_shorter_and_keep_bars_apart(frames, monkeypatch):
    monkeypatch.setattr(composer_tokens, "MERGES", 12)
    flat, pairs = composer_tokens.FlatTokens(frames), composer_tokens.FlatTokens(frames)
    pairs.learn_pairs(frames)
    plain, short = flat.read(frames, -1)[0], pairs.read(frames, -1)[0]
    assert len(short) < len(plain)
    spelled = {pairs.size + n: pair for n, pair in enumerate(pairs.merges)}

    def spell(token: int) -> list[int]:
        return [token] if token not in spelled else [t for half in spelled[token] for t in spell(half)]

    assert [t for token in short.tolist() for t in spell(token)] == plain.tolist()
    assert (short == pairs.table[BAR]).sum() == 12


@pytest.mark.parametrize("way", ["flat", "pairs", "chain", "delay-01222"])
def test_each_way_is_measured(frames, way, tmp_path, monkeypatch):
    pieces = [note_data.FramePiece(f"{n}.mid", "reel", False, 120.0, frames) for n in range(4)]
    note_data.save(tmp_path / "frames.npz", pieces, [True, False, False, False])
    small = replace(composer_tokens.SPEC, width=16, layers=1, heads=2, ffn_width=16, context=64)
    for name, value in (
        ("SPEC", small),
        ("CONTEXT", 64),
        ("HELD_OUT_BATCHES", 1),
        ("MERGES", 4),
        ("TOKENS_A_STEP", 256),
    ):
        monkeypatch.setattr(composer_tokens, name, value)
    found = composer_tokens.measured(way, tmp_path / "frames.npz", 0.05, lambda line: None)
    assert found.steps >= 1 and found.nats_a_note == pytest.approx(sum(found.books.values()), abs=1e-3)
    assert set(found.books) == ({"all"} if way in ("flat", "pairs") else set(BOOKS[:4]))
    assert (found.ids_a_note > 2) == (way in ("flat", "pairs"))
