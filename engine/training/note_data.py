"""From the scores that a composer is taught to a cache of note frames, small enough to travel.

Knows where real velocities come from and what the head of each bar says. Does not know the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clavilux.audio.codecs.note_frames import encode_frames, is_note, transposed
from clavilux.families.aria.heads import heads_of
from clavilux.families.aria.prefix import shift_to_c
from clavilux.training.data import TaughtScore, collected
from clavilux.training.labels import LABELS

VELOCITY_FOLDERS = ("drums", "lieder", "mutopia", "orchestra", "polish", "quartets")
LEAST_VELOCITIES = 4  # different ones, below which a file has none of its own


@dataclass(frozen=True)
class FramePiece:
    """One training piece, its pitches brought to C: frames uint8 [5, T], and what conditions it."""

    file: str
    label: str
    minor: bool
    tempo: float
    frames: np.ndarray


def framed(taught: TaughtScore) -> FramePiece:
    """A score as frames."""
    score = taught.score
    known = taught.file.split("/")[0] in VELOCITY_FOLDERS
    velocities = known and len(np.unique(score.notes["velocity"])) >= LEAST_VELOCITIES
    frames = encode_frames(score, heads_of(score), velocities=velocities)
    if score.key is not None:
        frames = transposed(frames, shift_to_c(score.key.tonic))
    minor = score.key is not None and score.key.mode == "minor"
    return FramePiece(taught.file, taught.label, minor, score.tempos[0][1], frames)


def build(
    folder: str | Path, cache: str | Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the cache (npz) of a folder of scores, as `data.collected` has them."""
    save(cache, *collected(folder, framed, workers, progress))


def save(path: str | Path, pieces: list[FramePiece], is_held_out: list[bool]) -> None:
    """Write pieces as one compressed npz."""
    np.savez_compressed(
        path,
        frames=np.concatenate([p.frames for p in pieces], axis=1),
        ends=np.cumsum([p.frames.shape[1] for p in pieces]),
        notes=np.array([is_note(p.frames).sum() for p in pieces]),
        label=np.array([LABELS.index(p.label) for p in pieces], dtype=np.int16),
        labels=np.array(LABELS),
        minor=np.array([p.minor for p in pieces]),
        tempo=np.array([p.tempo for p in pieces], dtype=np.float32),
        files=np.array([p.file for p in pieces]),
        held_out=np.array(is_held_out),
    )
