"""A mark in sound: gains of up to a third of a decibel, up or down by a keyed pattern over cells of time and frequency.

Spread spectrum in the logarithm of the magnitudes, as D. Kirovski and H. Malvar, "Spread-spectrum watermarking of audio
signals" (IEEE Transactions on Signal Processing 51, 2003). What is added is the music itself, 29 dB softer and in the
same 23 ms and sixth of an octave, which masks it; where there is no music, nothing is added. The gains do not hang on
the sound, so the mark is a linear filter: marked stems sum to the marked song.

Knows a key's 64 bits and samples. Whose key it is, and what a trace of it is worth, is said elsewhere.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from clavilux.kernels.sample.reference import fair_signs

RATE = 44100  # Hz, at which the hop is `HOP` samples; at other rates it has as many seconds
HOP = 512
HOPS_A_CELL = 2  # 23 ms
PERIOD = 256  # cells, 5.9 s; then the pattern begins again
LOWEST_HZ, BANDS_AN_OCTAVE, BANDS = 500.0, 6, 25  # up to 8980 Hz: what codecs keep
# Louder or softer; less from HIGH_HZ on, where tones mask less: with 0.3 dB J. Johnston's model of 1988 has 23 % of the
# cells from 4 to 8 kHz above what masks them, with 0.2 dB 5 %. Of 23 excerpts of 10 s that costs one, of 20 s none.
DEPTH_DB, HIGH_DEPTH_DB, HIGH_HZ = 0.3, 0.2, 3900.0
_GROUP = 16  # frames at once, counted from the beginning, so that a stream has the bits of the whole


def band_edges() -> np.ndarray:
    """float64 [BANDS + 1], in Hz."""
    return LOWEST_HZ * 2 ** (np.arange(BANDS + 1) / BANDS_AN_OCTAVE)


def pattern_of(word: int) -> np.ndarray:
    """The signs of a key's 64 bits, float32 [PERIOD, BANDS]: 1 or -1."""
    return fair_signs(word, PERIOD * BANDS).view(PERIOD, BANDS).numpy()


def hop_at(sample_rate: int) -> int:
    """Samples from one frame to the next."""
    return max(1, round(HOP * sample_rate / RATE))


class SoundMark:
    """The mark as a filter that sound goes through piece by piece; whatever the pieces, the same bits come out.

    Args:
        word: 64 bits of a key, as an int64.
        sample_rate: Hz.
        channels: C; all have the same gains.
    """

    def __init__(self, word: int, sample_rate: int, channels: int = 2) -> None:
        self._hop = hop_at(sample_rate)
        self._window = _window(self._hop)
        self._gains = _gains(word, sample_rate)
        self._frame = 0  # the next; frame k lies around sample k * hop
        self._held = np.zeros((channels, self._hop), np.float32)  # from that frame's first sample on
        self._begun = np.zeros((channels, self._hop), np.float32)  # what the frame before adds to this one's first half
        self._taken = self._given = 0

    def push(self, samples: Tensor | np.ndarray) -> np.ndarray:
        """Samples float32 [C, N] -> the marked samples [C, n] that they settle, up to 17 hops fewer."""
        data = np.asarray(samples, np.float32)
        self._taken += data.shape[1]
        self._held = np.concatenate([self._held, data], axis=1)
        ready = []
        while self._held.shape[1] >= (_GROUP + 1) * self._hop:
            ready.append(self._group())
        return self._give(np.concatenate([self._held[:, :0], *ready], axis=1))

    def finish(self) -> np.ndarray:
        """The rest: all in all there are as many samples as were pushed."""
        missing = (_GROUP + 1) * self._hop
        ready = []
        while self._frame * self._hop < self._taken + self._hop:
            self._held = np.pad(self._held, ((0, 0), (0, max(0, missing - self._held.shape[1]))))
            ready.append(self._group())
        return self._give(np.concatenate([self._held[:, :0], *ready], axis=1))

    def _group(self) -> np.ndarray:
        """The next frames; the samples [C, _GROUP * hop] that end before the last one's middle."""
        hop, channels = self._hop, len(self._held)
        frames = np.lib.stride_tricks.sliding_window_view(self._held[:, : (_GROUP + 1) * hop], 2 * hop, axis=1)
        spectra = np.fft.rfft(frames[:, ::hop] * self._window)  # [C, _GROUP, F]
        cells = (self._frame + np.arange(_GROUP)) // HOPS_A_CELL % PERIOD
        parts = np.fft.irfft(spectra * self._gains[cells], 2 * hop).astype(np.float32) * self._window
        out = np.zeros((channels, _GROUP + 1, hop), np.float32)
        out[:, 0] = self._begun
        out[:, :-1] += parts[..., :hop]
        out[:, 1:] += parts[..., hop:]
        self._begun = out[:, -1]
        self._frame += _GROUP
        self._held = self._held[:, _GROUP * hop :]
        return out[:, :-1].reshape(channels, -1)

    def _give(self, ready: np.ndarray) -> np.ndarray:
        if not self._given and ready.shape[1]:
            ready = ready[:, self._hop :]  # the first frame's first half lies before the sound
        ready = ready[:, : self._taken - self._given]
        self._given += ready.shape[1]
        return ready


def marked(samples: Tensor, word: int, sample_rate: int) -> Tensor:
    """Samples float32 [C, N] with the mark of a key's 64 bits."""
    mark = SoundMark(word, sample_rate, samples.shape[0])
    return torch.from_numpy(np.concatenate([mark.push(samples), mark.finish()], axis=1))


@functools.lru_cache(maxsize=2)
def _window(hop: int) -> np.ndarray:
    """float32 [2 * hop], whose square, a Hann window, sums to 1 over frames."""
    return np.sqrt(0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32)


def _gains(word: int, sample_rate: int) -> np.ndarray:
    """float32 [PERIOD, F], by which each bin of a frame is multiplied."""
    bins = np.fft.rfftfreq(2 * hop_at(sample_rate), 1 / sample_rate)
    bands = np.searchsorted(band_edges(), bins, side="right") - 1
    inside = (bands >= 0) & (bands < BANDS)
    gains = np.ones((PERIOD, len(bins)), np.float32)
    depths = np.where(band_edges()[:-1] >= HIGH_HZ, HIGH_DEPTH_DB, DEPTH_DB)[bands[inside]]
    gains[:, inside] = 10 ** (depths / 20 * pattern_of(word)[:, bands[inside]])
    return gains
