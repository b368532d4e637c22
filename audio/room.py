"""A small hall: where each instrument sits, and the hall's reverberation.

Knows positions and echoes. Does not know notes or samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import fft

REVERB_S = 1.5
_PRE_DELAY_S = 0.012
_DECAY_S = ((125, 1.25), (500, 1.3), (2000, 1.05), (6000, 0.7), (16000, 0.4))  # Hz, s per 60 dB
_SEED = 1919


@dataclass(frozen=True)
class Seat:
    """Where an instrument is heard from: `pan` -1 left .. 1 right; `width` more for each three octaves above
    middle C (a keyboard's own width); `wet` is the amplitude of its reverberation.
    """

    pan: float = 0.0
    width: float = 0.0
    wet: float = 0.14

    def gains(self, key: int) -> tuple[float, float]:
        """Left and right amplitudes, constant power, 1 and 1 in the middle."""
        left, right = pan_gains(self.position(key))
        return float(left), float(right)

    def position(self, key: int) -> float:
        """Where a key is heard from, -1 left .. 1 right."""
        return min(1.0, max(-1.0, self.pan + self.width * (key - 60) / 36))


def pan_gains(position: float | np.ndarray) -> tuple[float | np.ndarray, float | np.ndarray]:
    """Left and right amplitudes at a position (a number or an array), constant power, 1 and 1 in the middle."""
    angle = (position + 1) * np.pi / 4
    return np.sqrt(2) * np.cos(angle), np.sqrt(2) * np.sin(angle)


_SEATS = (  # General MIDI programs, and how an orchestra sits, seen from the hall
    (range(8), Seat(0.0, 0.30, 0.12)), (range(8, 16), Seat(-0.15, 0.30, 0.14)),
    (range(16, 24), Seat(0.0, 0.25, 0.20)),
    (range(24, 32), Seat(-0.10, 0.0, 0.12)), (range(32, 40), Seat(0.15, 0.0, 0.08)), ((40, 110), Seat(-0.35)),
    ((41,), Seat(0.15)), ((42,), Seat(0.30)), ((43,), Seat(0.40, 0.0, 0.12)),
    (range(44, 46), Seat(0.0, -0.30)),
    ((46,), Seat(-0.35, 0.15, 0.16)), ((47,), Seat(0.10, 0.0, 0.16)), (range(48, 52), Seat(0.0, -0.35, 0.16)),
    (range(52, 55), Seat(0.0, -0.30, 0.20)), ((56, 59), Seat(0.25, 0.0, 0.14)),
    ((57,), Seat(0.35, 0.0, 0.14)),
    ((58,), Seat(0.40, 0.0, 0.12)), ((60,), Seat(-0.30, 0.0, 0.18)), (range(64, 68), Seat(0.10)),
    ((68, 69), Seat(0.08)), ((70,), Seat(0.18)), ((71,), Seat(-0.12)),
    (range(72, 80), Seat(-0.15, 0.0, 0.16)),
)  # fmt: skip
_SEAT_OF = {program: seat for programs, seat in _SEATS for program in programs}
DRUMS = Seat(0.0, 0.0, 0.10)


def seat_of(program: int, *, alone: bool = False) -> Seat:
    """The seat of a General MIDI program; an instrument that plays alone sits in the middle."""
    seat = _SEAT_OF.get(program, Seat())
    return Seat(0.0, seat.width, seat.wet) if alone else seat


def impulse_response(sample_rate: int) -> np.ndarray:
    """The hall's answer to a click: float32 [2, N], unit energy a side, the same for every run.

    Noise that decays at a rate of its own in each band of frequencies, without the lows that would only boom.
    """
    num_samples = round(REVERB_S * sample_rate)
    noise = np.random.default_rng(_SEED).standard_normal((2, num_samples))
    spectrum = fft.rfft(noise)
    frequency = np.maximum(fft.rfftfreq(num_samples, 1 / sample_rate), 1.0)
    centres = np.log2([hz for hz, _ in _DECAY_S])
    time = np.arange(num_samples) / sample_rate
    response = np.zeros_like(noise)
    for band, (_, decay_s) in enumerate(_DECAY_S):
        share = np.interp(np.log2(frequency), centres, np.eye(len(centres))[band])
        response += fft.irfft(spectrum * share, num_samples) * 10 ** (-3 * time / decay_s)
    keep = 1 / (1 + (140 / frequency) ** 4) / (1 + (frequency / 9000) ** 2)
    response = fft.irfft(fft.rfft(response) * keep, num_samples)
    delay = round(_PRE_DELAY_S * sample_rate)
    response = np.concatenate([np.zeros((2, delay)), response[:, : num_samples - delay]], axis=1)
    ending = num_samples // 10
    response[:, -ending:] *= np.linspace(1, 0, ending)
    return (response / np.sqrt((response**2).sum(axis=1, keepdims=True))).astype(np.float32)


class Reverb:
    """Convolution with the hall, block after block (uniformly partitioned overlap-save)."""

    def __init__(self, sample_rate: int, block: int) -> None:
        response = impulse_response(sample_rate)
        self.block, self.num_samples = block, response.shape[1]
        parts = -(-self.num_samples // block)
        padded = np.pad(response, ((0, 0), (0, parts * block - self.num_samples)))
        self._response = fft.rfft(padded.reshape(2, parts, block), 2 * block)  # [2, parts, bins]
        self._past = np.zeros((parts, block + 1), np.complex64)  # spectra of the latest blocks, newest first
        self._input = np.zeros(2 * block, np.float32)

    def process(self, dry: np.ndarray) -> np.ndarray:
        """dry float32 [block] -> wet float32 [2, block], without a delay."""
        self._input = np.concatenate([self._input[self.block :], dry])
        self._past = np.concatenate([fft.rfft(self._input)[None], self._past[:-1]])
        mixed = (self._response * self._past).sum(axis=1)  # [2, bins]
        return fft.irfft(mixed, 2 * self.block)[:, self.block :]
