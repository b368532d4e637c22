"""Sampler: one note of a SoundFont region as a waveform.

Follows the synthesis model of the SoundFont Technical Specification 2.04, section 9: a sample, looped and
played at the note's pitch, through a low-pass filter, a tremolo and a volume envelope. Knows nothing of rooms
or scores.

Why not symusic's synthesizer (0.5.9): it ignores a note's velocity, skips the decay of the volume envelope (a
harp sounds like an organ), adds tremolo to the gain instead of multiplying (a flute fades out and in) and
interpolates linearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from clavilux.audio.frontend import BlockFilter, resample_array
from clavilux.audio.soundfont import Envelope, Region, SoundFont

SILENCE_DB = 96.0  # a note ends where its envelope is this far below its top
SHORTEST_RELEASE_S, LONGEST_RELEASE_S = 0.06, 6.0  # for a fall of 100 dB; shorter clicks, longer blurs
_ATTACK_S = 0.001
_LAST_FADE_S = 0.005  # at the end of a sample that is not looped
_MARGIN = 64  # samples on behind the loop, for the resampler and the interpolation
_CACHE_SAMPLES = 40_000_000  # 160 MB of waveforms


class Sampler:
    """Notes of one SoundFont at one sample rate.

    A note depends on nothing but its own arguments, and a longer one begins with the same samples.
    """

    def __init__(self, soundfont: SoundFont, sample_rate: int) -> None:
        self.soundfont, self.sample_rate = soundfont, sample_rate
        self._doubled: dict[tuple, tuple[np.ndarray, int]] = {}  # by sample and loop
        self._pitched: dict[tuple[int, int], np.ndarray] = {}  # by region and key
        self._held = 0  # samples in `_pitched`

    def note(
        self, region: Region, key: int, num_samples: int, bend: Callable[[int], np.ndarray | None] | None = None
    ) -> np.ndarray:
        """The waveform of a key held for `num_samples`, with its release: float32 [N], N at least 1.

        `bend` gives the cents by which each of so many samples is bent, float64 [N], or None where none is.
        """
        envelope = volume_envelope(region.envelope, num_samples, self.sample_rate)
        cents = None if bend is None else bend(len(envelope))
        if cents is None:
            wave = self._pitched_wave(region, key, len(envelope))
        else:
            wave = self._render(region, key, len(envelope), cents)
        if len(wave) < len(envelope):  # the sample ends before the envelope
            envelope = envelope[: len(wave)]
            fade = min(len(wave), round(_LAST_FADE_S * self.sample_rate))
            envelope[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        return wave[: len(envelope)] * envelope

    def _pitched_wave(self, region: Region, key: int, num_samples: int) -> np.ndarray:
        """At least `num_samples` of the sample at the key's pitch, filtered; fewer only if it ends."""
        name = (id(region), key)
        wave = self._pitched.get(name)
        if wave is None or (region.loop is not None and len(wave) < num_samples):
            length = max(num_samples, self.sample_rate)
            length = 1 << math.ceil(math.log2(length)) if region.loop is not None else length
            if wave is not None:
                self._held -= len(wave)
            wave = self._render(region, key, length)
            if self._held + len(wave) > _CACHE_SAMPLES:
                self._pitched.clear()
                self._held = 0
            self._pitched[name] = wave
            self._held += len(wave)
        return wave

    def _render(self, region: Region, key: int, num_samples: int, bend: np.ndarray | None = None) -> np.ndarray:
        data, rate = self._twice(region)
        cents = (key - region.root) * region.cents_per_key
        step = rate / self.sample_rate * 2 ** (cents / 1200)
        if bend is not None:
            position = np.append(0.0, np.cumsum(step * 2 ** (bend[:-1] / 1200)))
            if region.loop is None:
                position = position[: max(1, int(np.searchsorted(position, len(data) - 4)))]
        else:
            if region.loop is None:
                num_samples = max(1, int((len(data) - 4) / step))
            position = np.arange(num_samples, dtype=np.float64) * step
        if region.loop is not None:
            start, end = (at * rate / self.soundfont.sample_rate(region.sample) for at in region.loop)
            behind = position >= end
            position[behind] = start + (position[behind] - start) % (end - start)
        wave = _interpolate(data, position)
        if region.cutoff_hz < 0.45 * self.sample_rate:
            wave = BlockFilter(*low_pass(region.cutoff_hz, region.resonance_db, self.sample_rate)).process(wave)
        delay_s, rate_hz, depth_db = region.tremolo
        if depth_db:
            time = np.maximum(0, np.arange(len(wave)) / self.sample_rate - delay_s)
            wave = wave * 10 ** (depth_db / 20 * np.sin(2 * np.pi * rate_hz * time))
        return (region.gain * wave).astype(np.float32)

    def _twice(self, region: Region) -> tuple[np.ndarray, int]:
        """The region's sample at about twice its rate, for clean four-point interpolation; and that rate.

        What the output rate cannot hold is filtered out. A looped sample ends a little behind its loop, with
        what the loop goes on with.
        """
        name = (region.sample, region.loop)
        if name not in self._doubled:
            data, rate = self.soundfont.sample(region.sample), self.soundfont.sample_rate(region.sample)
            if region.loop is not None:
                start, end = region.loop
                repeats = -(-_MARGIN // (end - start))
                data = np.concatenate([data[:end], *[data[start:end]] * repeats])
            doubled = 2 * min(rate, self.sample_rate)
            self._doubled[name] = resample_array(data, rate, doubled, quality="HQ"), doubled
        return self._doubled[name]


def volume_envelope(shape: Envelope, num_samples: int, sample_rate: int) -> np.ndarray:
    """The amplitude of a note held for `num_samples`, float32 [N], down to `SILENCE_DB` after its release."""
    attack, hold_end = max(shape.attack, _ATTACK_S), shape.delay + max(shape.attack, _ATTACK_S) + shape.hold
    fall = 100 / max(shape.decay, 1e-3)  # dB a second
    release = 100 / min(LONGEST_RELEASE_S, max(SHORTEST_RELEASE_S, shape.release))
    if shape.sustain_db >= SILENCE_DB:
        num_samples = min(num_samples, round((hold_end + SILENCE_DB / fall) * sample_rate))
    num_samples = max(1, num_samples)
    left_db = SILENCE_DB - min(shape.sustain_db, max(0.0, (num_samples / sample_rate - hold_end) * fall))
    tail = max(1, round(max(0.0, left_db) / release * sample_rate))
    time = np.arange(num_samples + tail, dtype=np.float32) / np.float32(sample_rate)
    level_db = -np.clip((time - hold_end) * fall, 0, shape.sustain_db)
    since = time[num_samples:] - time[num_samples - 1]
    level_db[num_samples:] = level_db[num_samples - 1] - since * release
    rise = np.clip((time - shape.delay) / attack, 0, 1)
    rise[num_samples:] = rise[num_samples - 1]
    return (rise * 10 ** (level_db / 20)).astype(np.float32)


def low_pass(cutoff_hz: float, resonance_db: float, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (b, a) of the two-pole filter; 0 dB of resonance is a Butterworth filter."""
    quality = 10 ** ((max(0.0, resonance_db) - 3.01) / 20)
    angle = 2 * math.pi * cutoff_hz / sample_rate
    alpha, cosine = math.sin(angle) / (2 * quality), math.cos(angle)
    b = np.array([1 - cosine, 2 * (1 - cosine), 1 - cosine]) / 2 / math.sqrt(max(1.0, quality))
    a = np.array([1 + alpha, -2 * cosine, 1 - alpha])
    return b / a[0], a / a[0]


def _interpolate(data: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Values of data [M] at fractional positions [N], by four-point cubic (Catmull-Rom) interpolation."""
    index = position.astype(np.int64)
    part = (position - index).astype(np.float32)
    before, here, after, later = (data[np.clip(index + i, 0, len(data) - 1)] for i in (-1, 0, 1, 2))
    slope, next_slope = (after - before) / 2, (later - here) / 2
    fall = here - after
    cubic = 2 * fall + slope + next_slope
    square = -3 * fall - 2 * slope - next_slope
    return here + part * (slope + part * (square + part * cubic))
