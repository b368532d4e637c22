"""What tests of the composer's training share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.score import NOTE, Score
from clavilux.training import token_data
from clavilux.training.data import TaughtScore


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens of scales, up and down, in several keys, two of them held out."""
    pieces = []
    for number in range(6):
        pitches = [60 + number + step for step in (0, 2, 4, 5, 7, 5, 4, 2)] * 6
        notes = [(i / 2, 0.5, pitch, 80, 40, False) for i, pitch in enumerate(pitches)]
        score = Score(np.array(notes, NOTE), length=24.0, key=Key(number, "major"))
        pieces.append(token_data.tokenized(TaughtScore(f"{number}.mid", "reel", score)))
    path = tmp_path_factory.mktemp("cache") / "tokens.npz"
    token_data.save(path, pieces, [number < 2 for number in range(6)])
    return path
