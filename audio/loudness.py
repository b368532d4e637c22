"""How loud a clip is, and how to make it as loud as it should be.

Loudness follows ITU-R BS.1770-4; the peak is that of the waveform between the samples too (four
times oversampled). Knows nothing about files.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.ndimage import convolve1d, minimum_filter1d

from clavilux.audio import frontend

TARGET_LUFS = -14.0
PEAK_DBFS = -1.0
MOST_LIMITING_DB = 6.0  # beyond this much limiting the whole clip is made softer instead
_LIMITER_S = 0.03  # half the time over which the limiter's gain moves: too slow to bend a wave above 60 Hz
_OVERSAMPLING = 4


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
    peak = float(_peaks(samples.numpy(), sample_rate).max())
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def normalise(samples: torch.Tensor, sample_rate: int, *, target_lufs: float = TARGET_LUFS) -> torch.Tensor:
    """Bring a clip to `target_lufs` while its peak stays below -1 dBFS.

    Where the peak is in the way, a look-ahead limiter takes it down by up to 6 dB; a clip more pointed than
    that ends softer than the target. Silence is returned as it is.

    Args:
        samples: float32 [C, N].
        sample_rate: Hz.

    Returns:
        float32 [C, N].
    """
    loudness = integrated_loudness(samples, sample_rate)
    if loudness == -math.inf:
        return samples
    ceiling = 10 ** (PEAK_DBFS / 20)
    peaks = _peaks(samples.numpy(), sample_rate)  # [N]
    most_gain = ceiling / float(peaks.max()) * 10 ** (MOST_LIMITING_DB / 20)
    gain = min(10 ** ((target_lufs - loudness) / 20), most_gain)
    for _ in range(4):  # limiting takes a little loudness away; give it back
        scaled = samples * gain
        if float(peaks.max()) * gain <= ceiling:
            return scaled
        scaled = scaled * torch.from_numpy(_limiter_gain(peaks * gain, ceiling, sample_rate))
        missing_db = target_lufs - integrated_loudness(scaled, sample_rate)
        if missing_db < 0.1 or gain >= most_gain:
            break
        gain = min(gain * 10 ** (missing_db / 20), most_gain)
    # A moving gain can raise a peak between two samples by a hair; the ceiling holds exactly.
    return scaled * min(1.0, ceiling / float(_peaks(scaled.numpy(), sample_rate).max()))


def _peaks(data: np.ndarray, sample_rate: int) -> np.ndarray:
    """The highest absolute value over all channels around each sample. data [C, N] -> [N] float32."""
    num_samples = data.shape[1]
    peaks = np.abs(data).max(axis=0)
    for channel in data:
        over = np.abs(frontend.resample_array(channel, sample_rate, sample_rate * _OVERSAMPLING, quality="HQ"))
        over = np.pad(over, (0, max(0, num_samples * _OVERSAMPLING - len(over))))  # soxr may end one short
        over = over[: num_samples * _OVERSAMPLING].reshape(num_samples, _OVERSAMPLING)
        np.maximum(peaks, over.max(axis=1), out=peaks)
    return peaks


def _limiter_gain(peaks: np.ndarray, ceiling: float, sample_rate: int) -> np.ndarray:
    """A smooth gain [N] with `gain * peaks <= ceiling` everywhere.

    Counted in frames of a millisecond: the lowest gain needed within a window, averaged over a window one
    frame shorter, and a straight line from frame to frame. So every value that reaches a sample has seen it.
    """
    frame = max(1, sample_rate // 1000)
    num_frames = -(-len(peaks) // frame)
    highest = np.pad(peaks, (0, num_frames * frame - len(peaks))).reshape(num_frames, frame).max(axis=1)
    half = max(1, round(_LIMITER_S * sample_rate / frame))
    needed = np.minimum(1.0, ceiling / np.maximum(highest, 1e-9))
    lowest = minimum_filter1d(needed, 2 * (half + 1) + 1, mode="nearest")
    window = np.hanning(2 * half + 3)[1:-1]
    smooth = convolve1d(lowest, window / window.sum(), mode="nearest")
    centres = (np.arange(num_frames) + 0.5) * frame - 0.5
    return np.interp(np.arange(len(peaks)), centres, smooth).astype(np.float32)
