"""Where the pattern of `sound_mark` could lie in a sound: its levels by cell, less what the music has there.

The detector knows neither the score nor where the sound was cut, nor how fast it is played: it folds the levels over
the pattern's period for each speed that could be told apart, and correlates each fold with the pattern from every cell
on.
Knows no key; what a correlation is worth is said elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from clavilux.audio import frontend
from clavilux.audio.sound_mark import BANDS, HOP, HOPS_A_CELL, PERIOD, RATE, band_edges

LONGEST_S = 240.0  # of a sound that are looked at
MOST_SPEED = 0.02  # 2 % faster and slower
_LEAST_DRIFT_S = 0.03  # over the sound, that is told apart
_BANDS_TOGETHER = 1 / 100  # of speeds, for which the bands are summed once
_FLOOR = 1e-10  # of power, -100 dBFS: what lies below is silence
_STEP_DB, _FLAT_DB = 3.0, 0.3  # a larger step is a note's; below it levels are as sure as they get
_NEAR, _AROUND = 6, 5  # bands, cells
_OUTLIER = 2.5  # standard deviations
_ROWS = 4096  # frames at once


@dataclass(frozen=True, eq=False)
class Folds:
    """A sound's residual levels, folded over the pattern's period.

    Attributes:
        spectra: complex64 [R, PERIOD // 2 + 1, BANDS], of the folds along the period.
        norms: float64 [R], the root of each fold's sum of squares; 0 for silence.
        cells: of the whole sound, that hold sound.
    """

    spectra: np.ndarray
    norms: np.ndarray
    cells: int

    @property
    def tries(self) -> int:
        """In how many places each pattern is looked for."""
        return len(self.norms) * PERIOD

    def correlations(self, patterns: np.ndarray) -> np.ndarray:
        """For patterns float32 [K, PERIOD, BANDS], the largest correlation, float64 [K], in standard deviations.

        Under patterns of fair, independent signs each is a weighted sum of signs whose weights' squares sum to 1.
        """
        best = np.zeros(len(patterns))
        for index, pattern in enumerate(patterns):
            wanted = np.fft.rfft(pattern, axis=0)
            sums = np.fft.irfft((np.conj(self.spectra) * wanted).sum(-1), PERIOD, axis=1)  # [R, PERIOD]
            heard = self.norms > 0
            best[index] = (sums[heard].max(axis=1) / self.norms[heard]).max(initial=0.0)
        return best


def folds_of(samples: Tensor, sample_rate: int) -> Folds:
    """The folds of a sound float32 [C, N]: whole, its first half and its second, at each speed."""
    data = samples[:, : round(LONGEST_S * sample_rate)].numpy()
    if sample_rate != RATE:
        data = frontend.resample_array(data.T, sample_rate, RATE).T
    spectra, norms, cells = [], [], 0
    for residual, factor in _residuals(data):
        half = len(residual) // 2
        for part in (residual, residual[:half], residual[half:]):
            for late in range(HOPS_A_CELL):
                fold = _folded(part, factor, late)
                spectra.append(np.fft.rfft(fold, axis=0).astype(np.complex64))
                norms.append(float(np.sqrt((fold**2).sum())))
        cells = max(cells, int((residual != 0).sum()) // HOPS_A_CELL)
    return Folds(np.stack(spectra), np.array(norms), cells)


def _residuals(data: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """(residual levels float32 [T, BANDS] at each hop, the speed) for every speed."""
    seconds = max(data.shape[1] / RATE, 1.0)
    count = int(np.ceil(MOST_SPEED * seconds / _LEAST_DRIFT_S))
    power, last = _powers(data), None
    for factor in 1 + MOST_SPEED * np.arange(-count, count + 1) / count:
        shift = round(np.log(factor) / _BANDS_TOGETHER) * _BANDS_TOGETHER
        if shift != last:
            residual, last = _residual(_levels(power, float(np.exp(shift)))), shift
        yield residual, float(factor)


def _powers(data: np.ndarray) -> np.ndarray:
    """float32 [T, F]: the power in each bin at each hop, of all channels together."""
    padded = np.pad(data, ((0, 0), (HOP, 2 * HOP)))
    window = np.hanning(2 * HOP + 1)[:-1].astype(np.float32) / HOP
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * HOP, axis=1)[:, ::HOP]
    parts = [
        (np.abs(np.fft.rfft(frames[:, start : start + _ROWS] * window)) ** 2).sum(0, dtype=np.float32)
        for start in range(0, frames.shape[1], _ROWS)
    ]
    return np.concatenate(parts)


def _levels(power: np.ndarray, speed: float) -> np.ndarray:
    """float32 [T, BANDS], in dB, of bands that the speed has moved."""
    bins = np.fft.rfftfreq(2 * HOP, 1 / RATE)
    edges = np.searchsorted(bins, band_edges() * speed)
    return 10 * np.log10(np.add.reduceat(power, edges, axis=1)[:, :BANDS] + _FLOOR)


def _residual(levels: np.ndarray) -> np.ndarray:
    """float32 [T, BANDS]: by how much a cell is louder than those before and after it, and than its bands' neighbours.

    `row` t is of the cell that begins at hop t. Steps of notes are clipped; restless places count less.
    """
    if len(levels) < 3 * HOPS_A_CELL:
        return np.zeros((len(levels), BANDS), np.float32)
    cells = levels.copy()
    cells[:-1] = (levels[:-1] + levels[1:]) / 2
    around = np.pad(cells, ((HOPS_A_CELL, HOPS_A_CELL), (0, 0)), mode="edge")
    before, after = cells - around[: -2 * HOPS_A_CELL], cells - around[2 * HOPS_A_CELL :]
    heard = (levels > 10 * np.log10(2 * _FLOOR)).astype(np.float32)
    residual = (np.clip(before, -_STEP_DB, _STEP_DB) + np.clip(after, -_STEP_DB, _STEP_DB)) / 2
    residual -= _means(residual, _NEAR, 1)
    unrest = _means(residual**2, _AROUND * HOPS_A_CELL // 2, 0)
    residual *= heard / (unrest / 2 + _means(unrest, 1, 1) / 2 + _FLAT_DB**2)
    usual = np.sqrt((residual**2).sum() / max(1.0, heard.sum()))
    return np.clip(residual, -_OUTLIER * usual, _OUTLIER * usual)


def _means(values: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """The means of `2 * reach + 1` neighbours along an axis, those at an end repeated."""
    width = [(reach + 1, reach) if each == axis else (0, 0) for each in range(values.ndim)]
    sums = np.cumsum(np.pad(values.astype(np.float64), width, mode="edge"), axis=axis)
    count = values.shape[axis]
    upper = np.take(sums, np.arange(2 * reach + 1, 2 * reach + 1 + count), axis)
    return ((upper - np.take(sums, np.arange(count), axis)) / (2 * reach + 1)).astype(np.float32)


def _folded(residual: np.ndarray, factor: float, late: int) -> np.ndarray:
    """float64 [PERIOD, BANDS]: the sums of what lies a whole number of periods apart, at a speed."""
    count = int((len(residual) - late) * factor / HOPS_A_CELL)
    hops = np.round(np.arange(count) * HOPS_A_CELL / factor).astype(np.int64) + late
    cells = residual[hops[hops < len(residual)]]
    rounds = -(-len(cells) // PERIOD)
    cells = np.pad(cells, ((0, rounds * PERIOD - len(cells)), (0, 0)))
    return cells.reshape(rounds, PERIOD, BANDS).sum(0, dtype=np.float64)
