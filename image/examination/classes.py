"""Which of several folders a picture is like, and how often such an answer is right for the folders' own works.

Regularized discriminant analysis with one covariance (Friedman, 1989) on the whitened measurements. Its confusion is of
works that were left out, with all works of their subject where the folders have subjects.

Knows arrays. Does not know what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clavilux.image.examination.space import WEIGHTS, whitened

__all__ = ["Classification", "classify"]

_SHRINK = 0.3  # of the covariance towards a round one
_COMPONENTS = 40  # that are kept of all measurements


@dataclass(frozen=True, eq=False)
class Classification:
    """Folders, as classes.

    Attributes:
        names: of the folders, in the order in which they were given.
        likeness: name -> 0 to 1, adding up to 1: a discriminant's, no probability that somebody made it.
        confusion: int64 [C, C]: rows are the folders that works are in, columns those that they were taken for.
        subjects_separated: whether works of one subject were left out together.
        places: float64 [N]: each work along the first discriminant; the picture last.
        owners: int64 [N - 1], which folder each work is of.
    """

    names: tuple[str, ...]
    likeness: dict[str, float]
    confusion: np.ndarray
    subjects_separated: bool
    places: np.ndarray
    owners: np.ndarray

    @property
    def right(self) -> float:
        """Share of the works that were taken for their own folder's; the mean over folders, so that size is no help."""
        return float(np.mean(np.diag(self.confusion) / np.maximum(self.confusion.sum(1), 1)))

    @property
    def best(self) -> str:
        """The folder that the picture is most like."""
        return max(self.likeness, key=lambda name: self.likeness[name])

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "most_like": self.best,
            "likeness": {name: round(value, 4) for name, value in self.likeness.items()},
            "left_out_right": round(self.right, 4), "chance": round(1 / len(self.names), 4),
            "subjects_separated": self.subjects_separated, "confusion": self.confusion.tolist(),
        }  # fmt: skip


def classify(
    groups: Mapping[str, np.ndarray], owners: Sequence[int], subjects: Sequence[str], names: Sequence[str]
) -> Classification:
    """The picture among works of several folders.

    Args:
        groups: name -> float64 [N + 1, n], the picture last.
        owners: of each work, which of `names` it is of.
        subjects: of each work; "" where it has none.
        names: of the folders, two or more.
    """
    z = np.concatenate([np.sqrt(WEIGHTS[name]) * _scaled(values) for name, values in groups.items()], 1)
    z = _main_axes(z, len(owners) - len(names))  # found without the folders' names, so nothing left out is used
    owner, known = np.array(owners), z[:-1]
    subject = np.array([f"{name}/{number if name == '' else ''}" for number, name in enumerate(subjects)])
    confusion = np.zeros((len(names), len(names)), np.int64)
    for left in np.unique(subject):
        out = subject == left
        if len(np.unique(owner[~out])) < len(names):  # a folder of one subject only
            rows = [np.flatnonzero(out)[place : place + 1] for place in range(out.sum())]
        else:
            rows = [np.flatnonzero(out)]
        for row in rows:
            rest = np.setdiff1d(np.arange(len(known)), row)
            taken = _logits(known[rest], owner[rest], known[row], len(names)).argmax(1)
            np.add.at(confusion, (owner[row], taken), 1)
    logits = _logits(known, owner, z[-1:], len(names))[0]
    shares = np.exp(logits - logits.max())
    separated = any(name != "" for name in subjects)
    return Classification(
        tuple(names), dict(zip(names, (shares / shares.sum()).tolist(), strict=True)), confusion, separated,
        _along(known, owner, z), owner,
    )  # fmt: skip


def _scaled(values: np.ndarray) -> np.ndarray:
    z = whitened(values)
    return z / max(float(np.sqrt((z**2).sum(1).mean())), 1e-9)


def _main_axes(z: np.ndarray, most: int) -> np.ndarray:
    centered = z - z.mean(0)
    return centered @ np.linalg.svd(centered, full_matrices=False)[2][: max(1, min(_COMPONENTS, most))].T


def _logits(known: np.ndarray, owner: np.ndarray, asked: np.ndarray, classes: int) -> np.ndarray:
    """float64 [M, C]."""
    centers = np.stack([known[owner == each].mean(0) for each in range(classes)])
    rest = known - centers[owner]
    covariance = rest.T @ rest / max(len(known) - classes, 1)
    width = len(covariance)
    covariance = (1 - _SHRINK) * covariance + _SHRINK * np.trace(covariance) / width * np.eye(width)
    weights = np.linalg.solve(covariance + 1e-9 * np.eye(width), centers.T)  # [width, C]
    return asked @ weights - 0.5 * (centers.T * weights).sum(0)


def _along(known: np.ndarray, owner: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """float64 [M]: along the line on which the folders' middles lie furthest apart, works of each taken as spread 1."""
    centers = np.stack([known[owner == each].mean(0) for each in np.unique(owner)])
    axis = np.linalg.svd(centers - centers.mean(0), full_matrices=False)[2][0]
    places = (asked - known.mean(0)) @ axis
    spread = float(np.sqrt(np.mean([np.var(places[: len(known)][owner == each]) for each in np.unique(owner)])))
    return places / max(spread, 1e-9)
