"""A score as a small picture: its notes, a color for each instrument, on white.

Knows pixels and notes. `clavilux.audio.pianoroll` draws the same with axes, names and chords, for a page.
"""

from __future__ import annotations

import numpy as np
import torch

from clavilux.audio.score import Score
from clavilux.image.picture import Picture

WIDTH, HEIGHT, EDGE = 256, 128, 4  # pixels
PAPER, BAR_LINE = (255, 255, 255), (225, 225, 225)
COLORS = (
    (31, 119, 180), (214, 96, 20), (44, 140, 44), (190, 40, 45), (128, 90, 170), (130, 80, 70), (200, 90, 170),
    (90, 90, 90), (150, 150, 30), (20, 160, 175),
)  # fmt: skip
LEAST_PITCHES = 24  # from the lowest to the highest: a narrow melody does not fill the picture


def score_picture(score: Score) -> Picture:
    """The notes from the first bar to the last, `WIDTH` x `HEIGHT` pixels; drums are not drawn."""
    pixels = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    notes = score.notes[~score.notes["drum"]]
    scale = (WIDTH - 2 * EDGE) / max(score.length, 1e-6)
    for start in score.bar_starts()[1:]:
        pixels[:, EDGE + int(start * scale)] = BAR_LINE
    if len(notes):
        low, high = int(notes["pitch"].min()), int(notes["pitch"].max())
        span = max(LEAST_PITCHES, high - low + 1)
        middle, rows = (low + high) / 2, (HEIGHT - 2 * EDGE) / span
        programs = np.unique(notes["program"]).tolist()
        for start, duration, pitch, program in notes[["start", "duration", "pitch", "program"]].tolist():
            top = EDGE + (middle + span / 2 - pitch - 0.5) * rows
            left, right = EDGE + start * scale, EDGE + (start + duration) * scale
            area = (
                slice(int(top), max(int(top) + 1, int(top + rows))),
                slice(int(left), max(int(left) + 1, int(right))),
            )
            pixels[area] = COLORS[programs.index(program) % len(COLORS)]
    return Picture(torch.from_numpy(pixels))
