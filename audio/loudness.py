"""How loud a clip is, and how to make it as loud as it should be.

Loudness follows ITU-R BS.1770-4; the peak is that of the waveform between the samples too (four
times oversampled). Works block by block, so that a song need not fit the memory. Knows nothing about files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from clavilux.audio import frontend
from clavilux.audio.blocks import ArrayBlocks, Blocks
from clavilux.audio.meters import LoudnessMeter, PeakMeter

TARGET_LUFS = -14.0
PEAK_DBFS = -1.0
MOST_LIMITING_DB = 6.0  # beyond this much limiting the whole clip is made softer instead
_LIMITER_S = 0.03  # half the time over which the limiter's gain moves: too slow to bend a wave above 60 Hz


def integrated_loudness(samples: torch.Tensor, sample_rate: int) -> float:
    """Integrated loudness in LUFS, gated; a clip shorter than one 400 ms block counts as a single block.

    Args:
        samples: float [C, N], at most 5 channels (left, right, centre, left and right surround).
        sample_rate: Hz.

    Returns:
        LUFS; -inf for silence (nothing above the absolute gate of -70 LUFS).
    """
    if samples.shape[0] > 5:
        raise ValueError(f"Loudness is defined for 1 to 5 channels, not {samples.shape[0]}.")
    return frontend.integrated_loudness(samples.to("cpu", torch.float64).numpy().T, sample_rate)


def peak_dbfs(samples: torch.Tensor, sample_rate: int) -> float:
    """The highest level of the waveform, between the samples too, in dBFS; -inf for silence."""
    meter = PeakMeter(sample_rate, samples.shape[0])
    for block in ArrayBlocks(samples):
        meter.add(block)
    peak = float(meter.peaks().max())
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def normalize(samples: torch.Tensor, sample_rate: int, *, target_lufs: float = TARGET_LUFS) -> torch.Tensor:
    """`leveled` of samples in memory: float32 [C, N] -> float32 [C, N]; silence is returned as it is."""
    result, position = np.empty(samples.shape, np.float32), 0
    for block in leveled(ArrayBlocks(samples), sample_rate, target_lufs=target_lufs):
        result[:, position : position + block.shape[1]] = block
        position += block.shape[1]
    return torch.from_numpy(result)


def leveled(source: Blocks, sample_rate: int, *, target_lufs: float = TARGET_LUFS) -> Iterator[np.ndarray]:
    """Bring sound to `target_lufs` while its peak stays below -1 dBFS, block by block.

    Where the peak is in the way, a look-ahead limiter takes it down by up to 6 dB; a clip more pointed than
    that ends softer than the target. Silence is given as it is. The source is gone through twice to seven times;
    kept of it are a number a millisecond and the power of each loudness block.

    Args:
        source: at most 5 channels.
        sample_rate: Hz.

    Yields:
        float32 [C, n], as long as the source in all.
    """
    loudness, peaks = _measured(source, source, sample_rate)
    if loudness == -math.inf:
        yield from source
        return
    ceiling = 10 ** (PEAK_DBFS / 20)
    most_gain = ceiling / float(peaks.max()) * 10 ** (MOST_LIMITING_DB / 20)
    gain = min(10 ** ((target_lufs - loudness) / 20), most_gain)
    for _ in range(4):  # limiting takes a little loudness away; give it back
        if float(peaks.max()) * gain <= ceiling:
            yield from (block * np.float32(gain) for block in source)
            return
        limiter = _Limiter(peaks * np.float32(gain), ceiling, sample_rate)
        loudness, limited_peaks = _measured(limiter.scaled(source, gain), source, sample_rate)
        missing_db = target_lufs - loudness
        if missing_db < 0.1 or gain >= most_gain:
            break
        gain, used = min(gain * 10 ** (missing_db / 20), most_gain), gain
    else:
        gain = used
    # A moving gain can raise a peak between two samples by a hair; the ceiling holds exactly.
    last = np.float32(min(1.0, ceiling / float(limited_peaks.max())))
    yield from (block * last for block in limiter.scaled(source, gain))


def _measured(blocks: Iterable[np.ndarray], like: Blocks, sample_rate: int) -> tuple[float, np.ndarray]:
    """Loudness in LUFS, and the peak of each frame, of blocks that are as long and wide as `like`."""
    loudness, peak = (
        LoudnessMeter(sample_rate, like.channels, like.num_samples),
        PeakMeter(sample_rate, like.channels),
    )
    for block in blocks:
        loudness.add(block)
        peak.add(block)
    return loudness.lufs(), peak.peaks()


class _Limiter:
    """A smooth gain with `gain * peak <= ceiling` everywhere.

    Counted in frames of a millisecond: the lowest gain needed within a window, averaged over a window one
    frame shorter, and a straight line from frame to frame. So every value that reaches a sample has seen it.

    Args:
        peaks: of each frame, float32 [F].
        ceiling: not to be passed.
        sample_rate: Hz.
    """

    def __init__(self, peaks: np.ndarray, ceiling: float, sample_rate: int) -> None:
        self._frame = max(1, sample_rate // 1000)
        half = max(1, round(_LIMITER_S * sample_rate / self._frame))
        needed = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
        from scipy.ndimage import convolve1d, minimum_filter1d  # here: a picture's process has no use for it

        lowest = minimum_filter1d(needed, 2 * (half + 1) + 1, mode="nearest")
        window = np.hanning(2 * half + 3)[1:-1]
        self._smooth = convolve1d(lowest, window / window.sum(), mode="nearest")

    def scaled(self, source: Iterable[np.ndarray], gain: float) -> Iterator[np.ndarray]:
        """The blocks times `gain` and then the limiter's."""
        start = 0
        for block in source:
            yield block * np.float32(gain) * self._gains(start, block.shape[1])
            start += block.shape[1]

    def _gains(self, start: int, count: int) -> np.ndarray:
        """float32 [count] from sample `start` on."""
        first = max(0, start // self._frame - 1)
        near = np.arange(first, min(len(self._smooth), (start + count) // self._frame + 2))
        centers = (near + 0.5) * self._frame - 0.5
        return np.interp(np.arange(start, start + count), centers, self._smooth[near]).astype(np.float32)
