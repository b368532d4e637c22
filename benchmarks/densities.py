"""How dense pieces of a kind are in each metre: writes what aria draws from where nobody says it.

    python benchmarks/densities.py --scores folder > engine/families/aria/densities.txt

The composer was told of each window whether its notes a quarter are in the lowest, the middle or the highest third of
its kind. Reels in 2/4 have twice as many of them as those in 2/2: in one metre the thirds are seldom a third each.
Counted are stretches of `BARS` bars of the pieces that training saw.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np

from clavilux.training.data import TaughtScore, collected

BARS = 32
FEWEST = 4  # stretches of a metre; of fewer nothing is said
Stretch = tuple[str, tuple[int, int], float]  # label, metre, notes a quarter


def stretches(taught: TaughtScore) -> list[Stretch]:
    """Those of a score in one metre."""
    score, found = taught.score, []
    starts = np.append(score.bar_starts(), score.length)
    for first in range(0, len(starts) - 1, BARS):
        begin, end = starts[first], starts[min(first + BARS, len(starts) - 1)]
        inside = (score.notes["start"] >= begin - 1e-6) & (score.notes["start"] < end - 1e-6)
        metres = [score.metre_at(float(start)) for start in starts[first : first + BARS] if start < end]
        commonest, count = Counter(metres).most_common(1)[0]
        if count == len(metres) and inside.any():
            found.append((taught.label, commonest, float(inside.sum() / (end - begin))))
    return found


def main() -> None:
    """Write the counts to the standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder with index.tsv and the MIDI files it names")
    args = parser.parse_args()
    pieces, held_out = collected(args.scores, stretches, without=("drums",))
    found = [stretch for piece, held in zip(pieces, held_out, strict=True) if not held for stretch in piece]
    by_label: dict[str, list[float]] = defaultdict(list)
    for label, _, density in found:
        by_label[label].append(density)
    edges = {label: np.quantile(densities, (1 / 3, 2 / 3)) for label, densities in by_label.items()}
    counts: dict[tuple[str, tuple[int, int]], np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=int))
    for label, metre, density in found:
        counts[label, metre][int((density >= edges[label]).sum())] += 1
    print("# Written by benchmarks/densities.py.")
    for (label, metre), levels in sorted(counts.items()):
        if levels.sum() >= FEWEST:
            print(f"{label}, {metre[0]}/{metre[1]}: {' '.join(map(str, levels))}")


if __name__ == "__main__":
    main()
