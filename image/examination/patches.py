"""Where a picture is unlike others: its cells, each compared with the cells of the others.

Knows one canvas at a time, and arrays of cells. Does not know files.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial.distance import cdist

from clavilux.image.examination.canvas import Canvas

__all__ = ["GRID", "NAMES", "measure", "unlike"]

GRID = 8  # cells a side
NAMES = (
    "lightness", "red against green", "yellow against blue", "lightness's spread", "fine contrast", "middle contrast",
    "steepness", "coherence", "level or plumb", "colors' spread",
)  # fmt: skip
_MOST = 4000  # cells that are compared with; more say no more
_NEIGHBORS = 3


def measure(canvas: Canvas) -> np.ndarray:
    """float32 [64, 10]: the cells row by row, as `NAMES`."""
    lab, light = canvas.lab, canvas.light
    across, down = canvas.gradient
    xx, yy, xy = (ndimage.gaussian_filter(each, 2.0) for each in (across**2, down**2, across * down))
    fine, middling = (ndimage.gaussian_filter(light, sigma) for sigma in (1.0, 4.0))
    coherent = np.hypot(xx - yy, 2 * xy) / (xx + yy + 0.1)
    spread = np.abs(lab - ndimage.uniform_filter(lab, (9, 9, 1)))
    maps = [
        light, lab[..., 1], lab[..., 2], spread[..., 0], np.abs(light - fine), np.abs(fine - middling),
        canvas.steepness, coherent, (xx - yy) / (xx + yy + 0.1), spread[..., 1] + spread[..., 2],
    ]  # fmt: skip
    cells = np.stack([_cells(each) for each in maps], -1)
    logs = [3, 4, 5, 6, 9]
    cells[:, logs] = np.log2(cells[:, logs] + 0.1)
    return cells.astype(np.float32)


def unlike(cells: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How unlike the others each cell is: the share of the others' own cells that are less unlike their fellows.

    A cell's unlikeness is its distance to the third nearest cell of another picture, in deviations of the others.

    Args:
        cells: float [64, 10], of one picture.
        others: float [N, 64, 10], of two or more.

    Returns:
        float64 [8, 8], 0 to 1. Of a picture like the others it is spread evenly; 1 is unlike all.
    """
    count = len(others)
    keep = max(1, min(others.shape[1], _MOST // count))
    chosen = np.linspace(0, others.shape[1] - 1, keep).round().astype(int)
    pool = others[:, chosen].reshape(-1, others.shape[2])  # [N * keep, 10]
    owner = np.repeat(np.arange(count), keep)
    center = np.median(pool, 0)
    scale = 1.4826 * np.median(np.abs(pool - center), 0) + 0.1 * pool.std(0) + 1e-6
    pool = ((pool - center) / scale).clip(-8, 8)
    apart = cdist(pool, pool)
    apart[owner[:, None] == owner[None]] = np.inf
    nearest = min(_NEIGHBORS, keep) - 1
    usual = np.sort(np.partition(apart, nearest, 1)[:, nearest])
    here = np.partition(cdist(((cells - center) / scale).clip(-8, 8), pool), nearest, 1)[:, nearest]
    return (np.searchsorted(usual, here) / len(usual)).reshape(GRID, GRID)


def _cells(values: np.ndarray) -> np.ndarray:
    """[64]: means over a grid."""
    rows = np.array_split(values, GRID, 0)
    return np.array([cell.mean() for row in rows for cell in np.array_split(row, GRID, 1)])
