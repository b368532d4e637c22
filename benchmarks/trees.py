"""Extremely randomised trees: a classifier that needs no tuning and no dependency.

Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 63 (2006): every node tries a few features,
each cut at a random place between its least and its greatest value there, and keeps the best cut. Knows arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class _Tree:
    """Nodes in rows: the feature cut (-1 in a leaf), the place, the children, and the classes' shares."""

    feature: np.ndarray
    cut: np.ndarray
    left: np.ndarray
    right: np.ndarray
    share: np.ndarray


class Forest:
    """Trees over features [N, F] and classes [N] of 0 .. `classes` - 1; every class weighs the same."""

    def __init__(self, classes: int, trees: int = 200, fewest: int = 4, seed: int = 0) -> None:
        self.classes, self.fewest, self.num_trees = classes, fewest, trees
        self.random = np.random.default_rng(seed)
        self._trees: list[_Tree] = []

    def fit(self, x: np.ndarray, y: np.ndarray) -> Forest:
        counts = np.bincount(y, minlength=self.classes)
        weight = np.where(counts > 0, len(y) / np.maximum(counts, 1) / max((counts > 0).sum(), 1), 0.0)[y]
        self._trees = [self._grow(x, y, weight) for _ in range(self.num_trees)]
        return self

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """[N, classes], the mean of the trees' leaves."""
        return np.mean([_shares_of(tree, x) for tree in self._trees], axis=0)

    def _grow(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> _Tree:
        rows: list[list[float]] = []
        shares: list[np.ndarray] = []
        waiting = [(np.arange(len(y)), -1, False)]
        onehot = np.eye(self.classes)[y] * weight[:, None]
        while waiting:
            inside, parent, is_left = waiting.pop()
            at = len(rows)
            if parent >= 0:
                rows[parent][2 if is_left else 3] = at
            total = onehot[inside].sum(axis=0)
            rows.append([-1, 0.0, -1, -1])
            shares.append(total / total.sum())
            mixed = len(inside) >= self.fewest and total.max() < total.sum()
            cut = self._best_cut(x, onehot, inside) if mixed else None
            if cut is None:
                continue
            feature, place = cut
            below = x[inside, feature] < place
            rows[at][:2] = [feature, place]
            waiting += [(inside[below], at, True), (inside[~below], at, False)]
        table = np.array(rows)
        return _Tree(*(table[:, i].astype(int if i != 1 else float) for i in range(4)), np.array(shares))

    def _best_cut(self, x: np.ndarray, onehot: np.ndarray, inside: np.ndarray) -> tuple[int, float] | None:
        """Of random cuts of random features, the one after which the two sides are purest (Gini)."""
        tried = self.random.permutation(x.shape[1])[: max(2, int(x.shape[1] ** 0.5) * 2)]
        values = x[np.ix_(inside, tried)]
        low, high = values.min(axis=0), values.max(axis=0)
        usable = high > low
        if not usable.any():
            return None
        tried, values, low, high = tried[usable], values[:, usable], low[usable], high[usable]
        place = low + (high - low) * (1 - self.random.random(len(tried)))  # above `low`, so that no side is empty
        below = (values < place).astype(float)  # [n, tried]
        left = below.T @ onehot[inside]  # [tried, classes]
        right = onehot[inside].sum(axis=0) - left
        purity = sum((side**2).sum(axis=1) / np.maximum(side.sum(axis=1), 1e-12) for side in (left, right))
        best = int(np.argmax(purity))
        return int(tried[best]), float(place[best])


def _shares_of(tree: _Tree, x: np.ndarray) -> np.ndarray:
    at = np.zeros(len(x), dtype=int)
    while (inner := tree.feature[at] >= 0).any():
        rows = np.flatnonzero(inner)
        node = at[rows]
        below = x[rows, tree.feature[node]] < tree.cut[node]
        at[rows] = np.where(below, tree.left[node], tree.right[node])
    return tree.share[at]
