"""Meters that sound is fed to block by block: its loudness, and the highest level in each millisecond.

Both give what `frontend` and numpy give for the whole sound at once. Know nothing of files.
"""

from __future__ import annotations

import math

import numpy as np

from clavilux.audio import frontend

OVERSAMPLING = 4
MOST_CHANNELS = 5  # left, right, centre, left and right surround


class LoudnessMeter:
    """Integrated loudness after ITU-R BS.1770-4, of sound whose length is known before.

    Below `frontend.LOWEST_FILTERED_HZ` the weighting looks at the whole sound, which is then kept.

    Args:
        sample_rate: Hz.
        channels: 1 to 5.
        num_samples: a channel, in all.
    """

    def __init__(self, sample_rate: int, channels: int, num_samples: int) -> None:
        if channels > MOST_CHANNELS:
            raise ValueError(f"Loudness is defined for 1 to {MOST_CHANNELS} channels, not {channels}.")
        self._rate, self._channels = sample_rate, channels
        self._whole: list[np.ndarray] | None = [] if sample_rate < frontend.LOWEST_FILTERED_HZ else None
        self._block_s = min(frontend.BLOCK_S, num_samples / sample_rate)
        self._num_blocks = int(np.round((num_samples / sample_rate - self._block_s) / (self._block_s * 0.25)) + 1)
        self._filters = [frontend.BlockFilter(b, a) for b, a in frontend.weighting(sample_rate)]
        self._kept = np.zeros((channels, 0))  # weighted, from the beginning of the next block on
        self._first = 0  # where that is
        self._powers: list[np.ndarray] = []  # [C] a block: mean squares

    def add(self, samples: np.ndarray) -> None:
        """The next samples, float32 [C, n]."""
        if self._whole is not None:
            self._whole.append(samples.T.astype(np.float64))
            return
        weighted = samples
        for each in self._filters:
            weighted = each.process(weighted)
        self._kept = np.concatenate([self._kept, weighted], axis=1)
        while len(self._powers) < self._num_blocks and self._bounds()[1] <= self._first + self._kept.shape[1]:
            self._measure()

    def lufs(self) -> float:
        """The loudness of what was added; -inf for silence (nothing above the absolute gate of -70 LUFS)."""
        if self._whole is not None:
            return frontend.integrated_loudness(np.concatenate(self._whole), self._rate)
        while len(self._powers) < self._num_blocks:  # the last block may end behind the sound
            self._measure()
        powers = np.stack(self._powers)  # [B, C]
        weights = np.array(frontend.CHANNEL_WEIGHTS[: self._channels])
        with np.errstate(divide="ignore"):
            levels = frontend.OFFSET + 10 * np.log10(powers @ weights)
            gate = levels >= frontend.ABSOLUTE_GATE
            if not gate.any():
                return -math.inf
            relative = frontend.OFFSET + 10 * np.log10(powers[gate].mean(axis=0) @ weights) + frontend.RELATIVE_GATE
            gate &= levels > relative
            lufs = float(frontend.OFFSET + 10 * np.log10(powers[gate].mean(axis=0) @ weights))
        return lufs if lufs > frontend.ABSOLUTE_GATE else -math.inf

    def _bounds(self) -> tuple[int, int]:
        """Where the next block begins and ends."""
        number = len(self._powers)
        begin, end = (int(self._block_s * (number * 0.25 + more) * self._rate) for more in (0, 1))
        return begin, end

    def _measure(self) -> None:
        begin, end = self._bounds()
        block = self._kept[:, begin - self._first : end - self._first]
        self._powers.append(np.square(block).sum(axis=1) / (self._block_s * self._rate))
        begin = self._bounds()[0]
        self._kept, self._first = self._kept[:, max(0, begin - self._first) :], begin


class PeakMeter:
    """The highest level over all channels in each frame of a millisecond, between the samples too.

    Args:
        sample_rate: Hz.
        channels: how many.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.frame = max(1, sample_rate // 1000)
        self._stream = frontend.resample_stream(sample_rate, sample_rate * OVERSAMPLING, channels, quality="HQ")
        self._at, self._between = _FrameMaxima(self.frame), _FrameMaxima(self.frame * OVERSAMPLING)
        self._num_samples, self._channels = 0, channels

    def add(self, samples: np.ndarray) -> None:
        """The next samples, float32 [C, n]."""
        self._num_samples += samples.shape[1]
        self._at.add(np.abs(samples).max(axis=0))
        self._add_between(samples, last=False)

    def peaks(self) -> np.ndarray:
        """float32 [frames]; the last one may be shorter. To be asked once, at the end."""
        self._add_between(np.zeros((self._channels, 0), np.float32), last=True)
        at = self._at.values()
        between = self._between.values()[: len(at)]  # soxr may end a sample early or late
        return np.maximum(at, np.pad(between, (0, len(at) - len(between))))

    def _add_between(self, samples: np.ndarray, last: bool) -> None:
        over = self._stream.resample_chunk(np.ascontiguousarray(samples.T), last=last)
        if len(over):
            self._between.add(np.abs(over.reshape(len(over), -1)).max(axis=1))


class _FrameMaxima:
    """The highest value in each frame of so many."""

    def __init__(self, frame: int) -> None:
        self._frame, self._rest = frame, np.zeros(0, np.float32)
        self._found: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        values = np.concatenate([self._rest, values])
        whole = len(values) // self._frame * self._frame
        self._found.append(values[:whole].reshape(-1, self._frame).max(axis=1))
        self._rest = values[whole:]

    def values(self) -> np.ndarray:
        rest = [self._rest.max(keepdims=True)] if len(self._rest) else []
        return np.concatenate([*self._found, *rest]).astype(np.float32)
