"""The most typical bars of free drum performances, as rows of a band style's file (docs/guides/bands.md).

Reads a folder of MIDI files of drums, such as those of the Groove MIDI Dataset (Google LLC, CC BY 4.0), and prints for
each the bar that the others are most like, on the grid of 16ths or of triplets, whichever its strokes lie nearer; a
digit is the mean velocity of that stroke in all bars that have it, 9 the loudest. The bundled patterns began as such
rows and were edited by hand.

    python benchmarks/drum_patterns.py FOLDER [WORDS ...] [--bars 2] [--most 40]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from clavilux.audio.score import Score, bar_quarters

ROWS = {
    "crash": (49, 57, 55, 52), "ride": (51, 59), "bell": (53,), "hat": (42,), "open": (46,), "pedal": (44,),
    "tom1": (50, 48), "tom2": (47, 45), "tom3": (43, 41), "rim": (37,), "snare": (38, 40), "kick": (36, 35),
}  # fmt: skip
NAMES = list(ROWS)
LEVELS = 14  # of velocity, to a digit


def strokes(score: Score, per_quarter: int) -> tuple[np.ndarray, float]:
    """(strokes, rows, velocity as [bars, steps, rows], the mean distance to the grid in quarters)."""
    length = bar_quarters(score.metres[0][1])
    steps = round(length * per_quarter)
    at = np.round(score.notes["start"] * per_quarter).astype(int)
    table = np.zeros((at.max() // steps + 1, steps, len(NAMES)))
    row_of = {key: row for row, keys in enumerate(ROWS.values()) for key in keys}
    for step, note in zip(at, score.notes, strict=True):
        if int(note["pitch"]) in row_of:
            place = (step // steps, step % steps, row_of[int(note["pitch"])])
            table[place] = max(table[place], note["velocity"])
    return table, float(np.abs(score.notes["start"] * per_quarter - at).mean() / per_quarter)


def typical(table: np.ndarray, bars: int) -> tuple[np.ndarray, float]:
    """(the mean velocities of the `bars` bars that others are most like, the share of strokes that they share)."""
    count = len(table) // bars
    flat = table[: count * bars].reshape(count, -1)
    hit = flat > 40
    shared = hit.astype(float) @ hit.T
    alike = 2 * shared / np.maximum(1, hit.sum(1)[:, None] + hit.sum(1)[None])
    best = int(np.argmax(alike.sum(1)))
    near = flat[alike[best] > 0.6] if (alike[best] > 0.6).any() else flat[[best]]
    mean = near.sum(0) / np.maximum(1, (near > 0).sum(0))
    return (np.where(flat[best] > 0, mean, 0)).reshape(bars, *table.shape[1:]), float(alike[best].mean())


def shown(mean: np.ndarray) -> list[str]:
    lines = []
    for row, name in enumerate(NAMES):
        digits = np.clip(np.round(mean[:, :, row] / LEVELS), 1, 9).astype(int)
        bars = [
            "".join(str(d) if v else "." for d, v in zip(*pair, strict=True))
            for pair in zip(digits, mean[:, :, row], strict=True)
        ]
        if set("".join(bars)) != {"."}:
            lines.append(f"{name:6} {' '.join(bars)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("words", nargs="*", help="that a file's name must have")
    parser.add_argument("--bars", type=int, default=2, help="that a pattern lasts")
    parser.add_argument("--most", type=int, default=40, help="files that are shown")
    asked = parser.parse_args()
    files = [path for path in sorted(asked.folder.glob("*.mid")) if all(word in path.name for word in asked.words)]
    for path in files[: asked.most]:
        score = Score.from_midi(path)
        grids = [(strokes(score, per_quarter), per_quarter) for per_quarter in (4, 3)]
        (table, error), per_quarter = min(grids, key=lambda grid: grid[0][1] * grid[1])
        mean, alike = typical(table, asked.bars)
        grid = round(bar_quarters(score.metres[0][1]) * per_quarter)
        print(f"{path.name}  {len(table)} bars, {grid} steps a bar, {alike:.0%} alike, {error:.3f} quarters off")
        print("\n".join(shown(mean)))


if __name__ == "__main__":
    main()
