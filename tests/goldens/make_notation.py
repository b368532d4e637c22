"""The score of `notation.musicxml` and `notation.abc`, which froze how a small piece is written.

Run it to write both anew; then look at them in a notation program before they are kept.
"""

from pathlib import Path

import numpy as np

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notation.files import save_score
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score

GOLDENS = Path(__file__).parent


def small_piece() -> Score:
    """A flute with a triplet, a tie over the bar line and an accidental, a piano on two staves, and drums."""
    flute = [
        (0, 1, 74),
        (1, 1 / 3, 76),
        (4 / 3, 1 / 3, 77),
        (5 / 3, 1 / 3, 78),
        (2, 3, 79),
        (5, 0.5, 78),
        (5.5, 0.5, 74),
    ]
    piano = [(0, 3, 50), (0, 3, 62), (0, 1.5, 66), (1.5, 1.5, 65), (3, 3, 43), (3, 3, 62), (3, 3, 67)]
    drums = [(beat / 2, 0.5, 42) for beat in range(12)] + [(0, 0.5, 36), (3, 0.5, 36), (1, 0.5, 38)]
    rows = [(*note, 90, 73, False, 0) for note in flute] + [(*note, 70, 0, False, 1) for note in piano]
    rows += [(*note, 100, 0, True, 2) for note in drums]
    chords = ((0.0, Chord.parse("D7")), (3.0, Chord.parse("G")))
    return Score(np.array(rows, PART_NOTE), ((0.0, 96.0),), ((0.0, (3, 4)),), Key.parse("G major"), chords)


def random_score(seed: int) -> Score:
    """Notes on a grid of 24 to a quarter, in metres that change, of four instruments and drums."""
    rng = np.random.default_rng(seed)
    notes = np.zeros(90, PART_NOTE)
    notes["start"] = rng.integers(0, 480, 90) / 24
    notes["duration"] = rng.choice([1, 2, 3, 4, 6, 8, 12, 16, 18, 24, 30, 40, 96], 90) / 24
    notes["pitch"] = rng.integers(34, 82, 90)
    notes["velocity"] = rng.integers(1, 127, 90)
    notes["program"] = rng.choice([0, 33, 40, 73], 90)
    notes["drum"] = rng.random(90) < 0.2
    notes["program"][notes["drum"]] = 0
    notes["part"] = notes["program"] + 128 * notes["drum"]
    metres = ((0.0, (3, 4)), (6.0, (6, 8)), (12.0, (4, 4)), (14.0, (4, 4)))
    sections = ((0.0, "A"), (6.0, "solo"))
    chords = ((0.0, Chord.parse("Gm")), (4.5, Chord.parse("F#dim7")), (8.5, Chord.parse("D7/F#")))
    return Score(notes, ((0.0, 96.0), (4.0, 120.5)), metres, Key.parse("G minor"), chords, sections=sections)


if __name__ == "__main__":
    for ending in (".musicxml", ".abc"):
        save_score(small_piece(), GOLDENS / f"notation{ending}", title="A small piece")
