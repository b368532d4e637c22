"""From the scores that a composer is taught to a cache of its REMI tokens.

Knows tokens and what conditions a piece. Does not know the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clavilux.audio.codecs.remi import score_tokens
from clavilux.families.aria.form import sections_of
from clavilux.families.aria.prefix import shift_to_c
from clavilux.training.data import TaughtScore, collected
from clavilux.training.labels import LABELS

STYLE_NAMES = tuple(label for label in LABELS if label != "drums")  # which by themselves teach no melody


@dataclass(frozen=True)
class Piece:
    """One training piece, its pitches brought to C: tokens uint16 [T], quarters float32 [T] (each token's bar
    and position from the start), and what conditions it.
    """

    file: str
    style: str
    mode: str
    tempo: float
    tokens: np.ndarray
    quarters: np.ndarray


def tokenized(taught: TaughtScore) -> Piece:
    """A score, whose key is known, as tokens."""
    score, tokens = taught.score, score_tokens()
    assert score.key is not None, "`data.read_score` finds one"
    starts = score.bar_starts()
    ids = tokens.encode(score, sections_of(len(starts)))
    ids = tokens.transposition(shift_to_c(score.key.tonic))[ids]
    return Piece(
        file=taught.file,
        style=taught.label,
        mode=score.key.mode,
        tempo=score.tempos[0][1],
        tokens=ids.astype(np.uint16),
        quarters=tokens.quarters(ids).astype(np.float32),
    )


def build(
    folder: str | Path, cache: str | Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the cache (npz) of a folder of scores, as `data.collected` has them, without drums by themselves."""
    save(cache, *collected(folder, tokenized, workers, progress, without=("drums",)))


def save(path: str | Path, pieces: list[Piece], is_held_out: list[bool]) -> None:
    """Write pieces as one npz."""
    ends = np.cumsum([len(p.tokens) for p in pieces])
    np.savez(
        path,
        tokens=np.concatenate([p.tokens for p in pieces]),
        quarters=np.concatenate([p.quarters for p in pieces]),
        ends=ends,
        style=np.array([STYLE_NAMES.index(p.style) for p in pieces]),
        minor=np.array([p.mode == "minor" for p in pieces]),
        tempo=np.array([p.tempo for p in pieces]),
        files=np.array([p.file for p in pieces]),
        held_out=np.array(is_held_out),
        vocabulary=np.array(score_tokens().names),
    )
