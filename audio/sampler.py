"""Sampler: one note of a SoundFont region as a waveform, made piece by piece.

Follows the synthesis model of the SoundFont Technical Specification 2.04, section 9: a sample, looped and
played at the note's pitch, through a low-pass filter, a tremolo and a volume envelope. Knows nothing of rooms
or scores.

Why not symusic's synthesizer (0.5.9): it ignores a note's velocity, skips the decay of the volume envelope (a
harp sounds like an organ), adds tremolo to the gain instead of multiplying (a flute fades out and in) and
interpolates linearly.
"""

from __future__ import annotations

import math
from copy import copy
from typing import Protocol

import numpy as np

from clavilux.audio.frontend import BlockFilter, resample_array
from clavilux.audio.soundfont import Envelope, Region, SoundFont

SILENCE_DB = 96.0  # a note ends where its envelope is this far below its top
SHORTEST_RELEASE_S, LONGEST_RELEASE_S = 0.06, 6.0  # for a fall of 100 dB; shorter clicks, longer blurs
_ATTACK_S = 0.001
_LAST_FADE_S = 0.005  # at the end of a sample that is not looped
_MARGIN = 64  # samples on behind the loop, for the resampler and the interpolation
_CACHE_SAMPLES = 40_000_000  # 160 MB of waveforms
_KEPT_SAMPLES = 1 << 20  # of a waveform, 24 s: what a longer note has beyond is made for it alone
_PIECE = 1 << 15  # samples that are made at a time


class Bend(Protocol):
    """By how much a note is bent."""

    def is_none(self, count: int) -> bool:
        """Whether none of the first `count` samples is bent."""

    def cents(self, first: int, count: int) -> np.ndarray:
        """The cents of `count` samples of the note from its sample `first` on, float64 [count]."""


class Sampler:
    """Notes of one SoundFont at one sample rate.

    A note depends on nothing but its own arguments, and a longer one begins with the same samples.
    """

    def __init__(self, soundfont: SoundFont, sample_rate: int) -> None:
        self.soundfont, self.sample_rate = soundfont, sample_rate
        self._doubled: dict[tuple[int, tuple[int, int] | None], tuple[np.ndarray, int]] = {}  # by sample and loop
        self._pitched: dict[tuple[int, int], tuple[np.ndarray, _Tone | None]] = {}  # by region and key; how it goes on
        self._held = 0  # samples in `_pitched`

    def note(self, region: Region, key: int, num_samples: int, bend: Bend | None = None) -> Note:
        """A key held for `num_samples`, with its release."""
        envelope = VolumeEnvelope(region.envelope, num_samples, self.sample_rate)
        if bend is None or bend.is_none(len(envelope)):
            return Note(*self._pitched_wave(region, key, len(envelope)), envelope)
        tone = _Tone(region, *self._oversampled(region), self.soundfont, key, self.sample_rate, bend)
        # A sample that is not looped is made whole: it is short, and how much of it there is depends on the bend.
        wave = tone.take(len(envelope) if region.loop is None else 0)
        return Note(wave, None if region.loop is None else tone, envelope)

    def _pitched_wave(self, region: Region, key: int, num_samples: int) -> tuple[np.ndarray, _Tone | None]:
        """The sample at the key's pitch, filtered: at least `num_samples`, or what follows; None if it ends."""
        name = (id(region), key)
        wave, tone = self._pitched.get(name, (np.zeros(0, np.float32), None))
        if name in self._pitched and (tone is None or len(wave) >= min(num_samples, _KEPT_SAMPLES)):
            return wave, tone and tone.copied()
        tone = tone or _Tone(region, *self._oversampled(region), self.soundfont, key, self.sample_rate)
        length = 1 << math.ceil(math.log2(max(num_samples, self.sample_rate)))
        before, wave = len(wave), np.append(wave, tone.take(min(length, _KEPT_SAMPLES) - len(wave)))
        tone = tone if region.loop is not None else None
        if self._held + len(wave) - before > _CACHE_SAMPLES:
            self._pitched.clear()
            self._held = before = 0
        self._pitched[name] = wave, tone
        self._held += len(wave) - before
        return wave, tone and tone.copied()

    def _oversampled(self, region: Region) -> tuple[np.ndarray, int]:
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


class Note:
    """A sounding note, which is taken piece by piece: one that is held for hours takes no more memory than a short one.

    Args:
        wave: what is there of the sample at its pitch, float32 [N]; shared, so it is not changed.
        tone: makes what follows; None if the sample ends there.
        envelope: of its volume.
    """

    def __init__(self, wave: np.ndarray, tone: _Tone | None, envelope: VolumeEnvelope) -> None:
        self._wave, self._tone, self._envelope = wave, tone, envelope
        self._made = np.zeros(0, np.float32)  # and not taken
        self._at = self._taken = 0  # samples made, and taken
        self._fades: list[tuple[int, np.ndarray]] = []
        self._length = len(envelope)
        if tone is None and len(wave) < len(envelope):
            self._length = len(wave)
            envelope.end(len(wave))

    def __len__(self) -> int:
        """Samples in all."""
        return self._length

    def end(self, at: int, fade: np.ndarray) -> None:
        """Have it end, from its sample `at` on, by factors float32 [n]; not before what was taken."""
        fade = fade[: max(0, self._length - at)]
        if len(fade):
            self._fades.append((at, fade))
            self._length = at + len(fade)

    def take(self, count: int) -> np.ndarray:
        """The next `count` samples, float32 [count]; fewer at its end."""
        count = min(count, self._length - self._taken)
        while len(self._made) < count:
            self._made = np.append(self._made, self._next())
        piece, self._made = self._made[:count], self._made[count:]
        for at, fade in self._fades:
            piece = _faded(piece, self._taken, at, fade)
        self._taken += count
        return piece

    def _next(self) -> np.ndarray:
        """What follows, without fades: `_PIECE` samples, or what is left."""
        count = min(_PIECE, self._length - self._at)
        wave = self._wave[self._at : self._at + count]
        if len(wave) < count:
            assert self._tone is not None  # else it ends with the wave
            wave = np.append(wave, self._tone.take(count - len(wave)))
        self._at += count
        return wave * self._envelope.piece(self._at - count, count)


class _Tone:
    """A region's sample at a key's pitch, filtered: it is taken piece by piece, and the pieces are the whole."""

    def __init__(
        self,
        region: Region,
        data: np.ndarray,
        rate: int,
        soundfont: SoundFont,
        key: int,
        sample_rate: int,
        bend: Bend | None = None,
    ) -> None:
        self._region, self._data, self._bend, self._sample_rate = region, data, bend, sample_rate
        self._step = rate / sample_rate * 2 ** ((key - region.root) * region.cents_per_key / 1200)
        self._loop = None
        if region.loop is not None:
            self._loop = tuple(at * rate / soundfont.sample_rate(region.sample) for at in region.loop)
        self._made = 0
        self._position = 0.0  # in the data, of the next sample; of a bent tone alone
        self._filter = None
        if region.cutoff_hz < 0.45 * sample_rate:
            self._filter = BlockFilter(*low_pass(region.cutoff_hz, region.resonance_db, sample_rate))

    def copied(self) -> _Tone:
        """Another one that goes on from here."""
        other = copy(self)
        other._filter = copy(self._filter)
        return other

    def take(self, count: int) -> np.ndarray:
        """The next samples, float32 [count]; fewer only if the sample ends."""
        pieces = [np.zeros(0, np.float32)]
        while count > 0:
            piece = self._piece(min(count, _PIECE))
            pieces.append(piece)
            count = count - len(piece) if len(piece) == min(count, _PIECE) else 0
        return np.concatenate(pieces)

    def _piece(self, count: int) -> np.ndarray:
        position = self._positions(count)
        if self._loop is not None:
            start, end = self._loop
            behind = position >= end
            position[behind] = start + (position[behind] - start) % (end - start)
        wave = _interpolate(self._data, position)
        if self._filter is not None:
            wave = self._filter.process(wave)
        delay_s, rate_hz, depth_db = self._region.tremolo
        if depth_db:
            at = np.arange(self._made, self._made + len(wave))
            time = np.maximum(0, at / self._sample_rate - delay_s)
            wave = wave * 10 ** (depth_db / 20 * np.sin(2 * np.pi * rate_hz * time))
        self._made += len(wave)
        return (self._region.gain * wave).astype(np.float32)

    def _positions(self, count: int) -> np.ndarray:
        """Where in the data the next `count` samples lie, float64; fewer where the data end."""
        if self._bend is None:
            if self._loop is None:
                count = max(0, min(count, max(1, int((len(self._data) - 4) / self._step)) - self._made))
            return np.arange(self._made, self._made + count, dtype=np.float64) * self._step
        steps = self._step * 2 ** (self._bend.cents(self._made, count) / 1200)
        position = np.cumsum(np.append(self._position, steps))
        self._position, position = float(position[-1]), position[:-1]
        if self._loop is None:
            least = 0 if self._made else 1
            position = position[: max(least, int(np.searchsorted(position, len(self._data) - 4)))]
        return position


class VolumeEnvelope:
    """The amplitude of a note, down to `SILENCE_DB` after its release; its length is that of the note in samples.

    Args:
        shape: of the region.
        num_samples: for which the key is held.
        sample_rate: Hz.
    """

    def __init__(self, shape: Envelope, num_samples: int, sample_rate: int) -> None:
        self.sample_rate, self._delay, self._sustain_db = sample_rate, shape.delay, shape.sustain_db
        self._attack = max(shape.attack, _ATTACK_S)
        self._hold_end = shape.delay + self._attack + shape.hold
        self._fall = 100 / max(shape.decay, 1e-3)  # dB a second
        self._release = 100 / min(LONGEST_RELEASE_S, max(SHORTEST_RELEASE_S, shape.release))
        if shape.sustain_db >= SILENCE_DB:
            num_samples = min(num_samples, round((self._hold_end + SILENCE_DB / self._fall) * sample_rate))
        self._held = max(1, num_samples)
        fallen_db = max(0.0, (self._held / sample_rate - self._hold_end) * self._fall)
        left_db = SILENCE_DB - min(shape.sustain_db, fallen_db)
        self._length = self._held + max(1, round(max(0.0, left_db) / self._release * sample_rate))
        self._fade = 0, np.zeros(0, np.float32)

    def __len__(self) -> int:
        return self._length

    def end(self, length: int) -> None:
        """Have it fade out to end after so many samples: the region's sample is no longer."""
        fade = min(length, round(_LAST_FADE_S * self.sample_rate))
        self._length, self._fade = length, (length - fade, np.linspace(1, 0, fade, dtype=np.float32))

    def piece(self, first: int, count: int) -> np.ndarray:
        """The amplitudes of `count` samples from `first` on, float32 [count]."""
        time = self._times(first, count)
        rise, level_db = self._while_held(time)
        held = max(0, self._held - first)
        if held < count:
            last = self._times(self._held - 1, 1)
            last_rise, last_db = self._while_held(last)
            rise[held:] = last_rise
            level_db[held:] = last_db - (time[held:] - last) * self._release
        return _faded((rise * 10 ** (level_db / 20)).astype(np.float32), first, *self._fade)

    def _times(self, first: int, count: int) -> np.ndarray:
        return np.arange(first, first + count).astype(np.float32) / np.float32(self.sample_rate)

    def _while_held(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(share of the attack that is over, level in dB)"""
        level_db = -np.clip((time - self._hold_end) * self._fall, 0, self._sustain_db)
        return np.clip((time - self._delay) / self._attack, 0, 1), level_db


def low_pass(cutoff_hz: float, resonance_db: float, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (b, a) of the two-pole filter; 0 dB of resonance is a Butterworth filter."""
    quality = 10 ** ((max(0.0, resonance_db) - 3.01) / 20)
    angle = 2 * math.pi * cutoff_hz / sample_rate
    alpha, cosine = math.sin(angle) / (2 * quality), math.cos(angle)
    b = np.array([1 - cosine, 2 * (1 - cosine), 1 - cosine]) / 2 / math.sqrt(max(1.0, quality))
    a = np.array([1 + alpha, -2 * cosine, 1 - alpha])
    return b / a[0], a / a[0]


def _faded(piece: np.ndarray, begin: int, at: int, fade: np.ndarray) -> np.ndarray:
    """A piece that begins at the sample `begin` of a note, times the factors `fade` that begin at its sample `at`."""
    first, last = max(at, begin), min(at + len(fade), begin + len(piece))
    if first < last:
        piece = piece.copy()
        piece[first - begin : last - begin] *= fade[first - at : last - at]
    return piece


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
