"""Two judges of songs that see notes only: what kind of music it is, and whether a real composer wrote it.

Knows passages, features and trees. Does not know who composed what it is given. The first judge learns from pieces
that training saw and is asked about others; the second learns, of real passages and of a composer's, the nine tenths
that it is not asked about. A perfect composer leaves the second at chance, 50 %.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from corpus import LABELS, Passage, Song, bars_of, passages
from song_features import matrix
from trees import Forest

FOLDS = 10
TREES = 100
JUDGES = 3  # that tell real from made, by other draws; one alone moves by 0.02 where a tenth of the songs is new
RESAMPLINGS = 1000


@dataclass(frozen=True)
class Described:
    """Songs by their passages: features [N, F], the names of both."""

    x: np.ndarray
    names: tuple[str, ...]
    passages: list[Passage]


def described(songs: list[Song]) -> Described:
    found = [passage for song in songs for passage in passages(song)]
    if not found:
        raise ValueError("no song has 8 bars or more, so there is no passage to measure; give longer songs")
    x, names = matrix(found)
    return Described(x, names, found)


class StyleJudge:
    """What kind of music a song is; learned from `songs`, and sure of nothing that has fewer than `FEWEST` of them."""

    FEWEST = 8

    def __init__(self, known: Described, trees: int = TREES, seed: int = 0) -> None:
        counts = Counter(passage.label for passage in known.passages)
        self.labels = tuple(label for label in LABELS if counts[label] >= self.FEWEST)
        if len(self.labels) < 2:
            raise ValueError(f"a judge of kinds needs two with {self.FEWEST} passages or more, not {dict(counts)}")
        rows = [i for i, passage in enumerate(known.passages) if passage.label in self.labels]
        y = np.array([self.labels.index(known.passages[i].label) for i in rows])
        self._forest = Forest(len(self.labels), trees, seed=seed).fit(known.x[rows], y)

    def kinds(self, asked: Described) -> dict[str, tuple[str, str]]:
        """Name of each song -> (its label, the label that it is taken for), by the mean of its passages."""
        chances = self._forest.probabilities(asked.x)
        sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(self.labels)))
        label = {}
        for passage, row in zip(asked.passages, chances, strict=True):
            sums[passage.name] += row
            label[passage.name] = passage.label
        return {name: (label[name], self.labels[int(row.argmax())]) for name, row in sums.items()}


def recognised(kinds: dict[str, tuple[str, str]]) -> dict[str, dict[str, object]]:
    """For each label: how many songs, the share taken for what it is, and what others were taken for."""
    found: dict[str, dict[str, object]] = {}
    for label in sorted({own for own, _ in kinds.values()}):
        taken = Counter(guess for own, guess in kinds.values() if own == label)
        wrong = {guess: count for guess, count in taken.most_common() if guess != label}
        total = sum(taken.values())
        found[label] = {"songs": total, "share": taken[label] / total, "taken for": dict(list(wrong.items())[:3])}
    return found


def recognised_across(known: Described, folds: int = 4) -> dict[str, dict[str, object]]:
    """The same of the pieces that a judge learns from, each asked of a judge that did not see it."""
    fold = np.array([_fold(passage.name, folds) for passage in known.passages])
    kinds: dict[str, tuple[str, str]] = {}
    for held in range(folds):
        sides = [part_of(known, np.flatnonzero(side)) for side in (fold != held, fold == held)]
        if sides[1].passages:
            kinds |= StyleJudge(sides[0], TREES // 2, seed=held).kinds(sides[1])
    return recognised(kinds)


def two_samples(real: Described, made: Described, groups: dict[str, tuple[str, ...]], seed: int = 0) -> dict[str, dict]:
    """How well a judge tells `made` from `real`: group -> passages, accuracy and its standard error.

    A fold is asked of a judge that learned from all others; a song and its twin (one name) are in the same fold.
    The accuracy is the mean of that on real and on made passages, so that 0.5 is chance whatever their numbers, and of
    three judges that draw otherwise; the standard error is that over songs drawn again with replacement.
    """
    x = np.concatenate([real.x, made.x])
    y = np.repeat([0, 1], [len(real.x), len(made.x)])
    names = [passage.name for passage in [*real.passages, *made.passages]]
    labels = np.array([passage.label for passage in [*real.passages, *made.passages]])
    fold = np.array([_fold(name, FOLDS) for name in names])
    right = np.zeros(len(y))
    for judge in range(JUDGES):
        for held in np.unique(fold):
            forest = Forest(2, TREES, seed=seed + 100 * judge + int(held)).fit(x[fold != held], y[fold != held])
            said = forest.probabilities(x[fold == held])[:, 1] > 0.5
            right[fold == held] += (said == (y[fold == held] == 1)) / JUDGES
    found = {}
    for group, members in {"all": LABELS, **groups}.items():
        inside = np.isin(labels, members)
        if (y[inside] == 0).any() and (y[inside] == 1).any():
            found[group] = _accuracy(right[inside], y[inside], [n for n, i in zip(names, inside, strict=True) if i])
    return found


def _accuracy(right: np.ndarray, y: np.ndarray, names: list[str]) -> dict[str, float]:
    songs, song = np.unique(names, return_inverse=True)
    counts = np.array([[np.sum(song[y == side] == i) for i in range(len(songs))] for side in (0, 1)])
    hits = np.array([[np.sum(right[(y == side) & (song == i)]) for i in range(len(songs))] for side in (0, 1)])
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(songs), (RESAMPLINGS, len(songs)))
    shares = hits[:, drawn].sum(axis=2) / np.maximum(counts[:, drawn].sum(axis=2), 1)
    return {
        "real": int(counts[0].sum()), "made": int(counts[1].sum()),
        "accuracy": float(np.mean(hits.sum(axis=1) / counts.sum(axis=1))),
        "standard error": float(shares.mean(axis=0).std()),
    }  # fmt: skip


def apart(real: Described, made: Described, most: int = 12) -> dict[str, dict[str, float]]:
    """The features in which the two differ most, by the difference of means over the pooled standard deviation."""
    means = [side.x.mean(axis=0) for side in (real, made)]
    spread = np.sqrt((real.x.var(axis=0) + made.x.var(axis=0)) / 2)
    size = (means[1] - means[0]) / np.maximum(spread, 1e-6)
    order = np.argsort(-np.abs(size))[:most]
    return {
        real.names[i]: {"real": float(means[0][i]), "made": float(means[1][i]), "deviations": float(size[i])}
        for i in order
    }


def nearest(songs: list[Song], others: list[Song]) -> list[tuple[Song, Song]]:
    """For each song one of `others` of its label and, as far as there are any, of its metre and length; each is taken
    once. What real music scores beside real music is measured on these pairs."""
    free = defaultdict(list)
    for other in others:
        free[other.label].append(other)
    pairs = []
    for song in songs:
        ranked = sorted(
            free[song.label],
            key=lambda other: (
                other.score.metres[0][1] != song.score.metres[0][1],
                abs(min(bars_of(other), 32) - min(bars_of(song), 32)),
                zlib.crc32(other.name.encode()),
            ),
        )
        if ranked:
            free[song.label].remove(ranked[0])
            pairs.append((song, ranked[0]))
    return pairs


def part_of(whole: Described, rows: np.ndarray) -> Described:
    """Some of the passages."""
    return Described(whole.x[rows], whole.names, [whole.passages[i] for i in rows])


def _fold(name: str, folds: int) -> int:
    return zlib.crc32(name.encode()) % folds
