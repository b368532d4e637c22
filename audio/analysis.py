"""What a recording is: tempo, beats, key, loudness; and a picture of it.

Measures any sound, and never looks at a score; the picture shows the notes too, where there are some. The front end
does the signal processing.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from clavilux.audio import frontend, io, pianoroll
from clavilux.audio.clip import Audio
from clavilux.audio.harmony import KEY_PROFILES, KEYS, Key
from clavilux.audio.loudness import integrated_loudness, peak_dbfs

RATE = 22050  # Hz, for tempo, key and pictures
PICTURES = (".png", ".svg", ".pdf")
_ONSET_HOP, _PITCH_HOP = 256, 1024
_LOWEST_KEY, _NUM_KEYS = 36, 72  # C2 to B7
_MIN_S = 3.0  # shorter clips are padded: the lowest constant-Q filter needs that much
# On 70 renders of scores, 35 s each: the best key's margin over the next, and how often it was right.
_MARGINS, _RIGHT = (0.0, 0.1, 0.18, 0.35), (0.6, 0.75, 0.92, 0.98)
_PITCH_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


@dataclass(frozen=True)
class Analysis:
    """What `analyze` found.

    Attributes:
        duration_s, sample_rate, channels: of the clip as it is.
        loudness_lufs: integrated (ITU-R BS.1770-4); -inf for silence, None above 5 channels.
        peak_dbfs: four times oversampled; -inf for silence.
        tempo_bpm: beats a minute; None where no beat was found.
        beats_s: times of the beats.
        key: as `Key.parse` reads it, "G minor"; None without pitched sound.
        key_confidence: 0..1, how often such a clear finding is right.
    """

    duration_s: float
    sample_rate: int
    channels: int
    loudness_lufs: float | None
    peak_dbfs: float
    tempo_bpm: float | None
    beats_s: tuple[float, ...]
    key: str | None
    key_confidence: float

    def as_dict(self) -> dict:
        """Plain JSON values: -inf becomes None, and times are rounded to milliseconds."""
        values = asdict(self) | {"beats_s": [round(beat, 3) for beat in self.beats_s]}
        for name, digits in (("duration_s", 3), ("loudness_lufs", 1), ("peak_dbfs", 1), ("tempo_bpm", 1),
                             ("key_confidence", 2)):  # fmt: skip
            value = values[name]
            values[name] = None if value is None or not math.isfinite(value) else round(value, digits)
        return values


def analyze(audio: Audio) -> Analysis:
    """Measure a clip.

    On 70 rendered scores the key was right for 60; the tempo was right for 38, and two, four or half times as
    fast for 25.
    """
    samples = _mono(audio)
    tempo, beats = _tempo_and_beats(samples)
    key, confidence = _key(samples)
    return Analysis(
        duration_s=audio.duration_s,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        loudness_lufs=integrated_loudness(audio.samples, audio.sample_rate) if audio.channels <= 5 else None,
        peak_dbfs=peak_dbfs(audio.samples, audio.sample_rate),
        tempo_bpm=tempo,
        beats_s=beats,
        key=None if key is None else str(key),
        key_confidence=confidence,
    )


def plot(audio: Audio, path: str | os.PathLike) -> None:
    """Save a picture (.png, .svg or .pdf) of a clip: notes if it has a score, mel spectrogram, pitch classes.

    Raises:
        ValueError: another ending, or a place where nothing can be written.
        OSError: writing failed; nothing is left behind.
    """
    ending = Path(path).suffix.lower()
    if ending not in PICTURES:
        raise ValueError(f"{str(path)!r} should end in {', '.join(PICTURES)}.")
    figure = _figure(audio)
    with io.atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format=ending[1:])


def _figure(audio: Audio):
    from matplotlib.figure import Figure

    samples = _mono(audio)
    heights = (3, 3, 2) if audio.score is not None else (3, 2)
    figure = Figure(figsize=(10, 1.12 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    axes[0].set_title(f"{audio.duration_s:.1f} s at {audio.sample_rate} Hz", loc="right", fontsize=10)
    if audio.score is not None:
        pianoroll.draw(axes[0], audio.score)
    _draw_mel(axes[-2], samples)
    _draw_pitch_classes(axes[-1], samples)
    axes[-1].set(xlabel="seconds", xlim=(0, audio.duration_s))
    return figure


def _draw_mel(axes, samples: np.ndarray) -> None:
    mel = frontend.mel_spectrogram(torch.from_numpy(samples), RATE)  # [M, T]
    times = np.linspace(0, len(samples) / RATE, mel.shape[1] + 1)
    frequencies = frontend.mel_frequencies(len(mel) + 1, RATE / 2)
    image = axes.pcolormesh(times, frequencies, frontend.decibels(mel, range_db=80), cmap="magma", rasterized=True)
    axes.set_yscale("symlog", linthresh=1000, linscale=1)
    axes.set(ylabel="Hz", ylim=(30, RATE / 2), yticks=(100, 500, 1000, 2000, 4000, 8000))
    axes.set_yticklabels(["100", "500", "1k", "2k", "4k", "8k"])
    axes.minorticks_off()
    axes.figure.colorbar(image, ax=axes, label="dB", pad=0.01)


def _draw_pitch_classes(axes, samples: np.ndarray) -> None:
    chroma = _fold(_salience(samples))
    chroma = chroma / np.maximum(chroma.max(axis=0, keepdims=True), 1e-9)
    times = np.linspace(0, len(samples) / RATE, chroma.shape[1] + 1)
    image = axes.pcolormesh(times, np.arange(13) - 0.5, chroma, cmap="viridis", rasterized=True)
    axes.set_yticks(range(12), _PITCH_NAMES, fontsize=8)
    axes.figure.colorbar(image, ax=axes, label="of the loudest", pad=0.01)


def _mono(audio: Audio) -> np.ndarray:
    """float32 [N] at `RATE`, full scale, at least `_MIN_S` long."""
    samples = audio.to_mono().resample(RATE).samples[0].numpy()
    samples = np.pad(samples, (0, max(0, round(_MIN_S * RATE) - len(samples))))
    peak = float(np.abs(samples).max())
    return samples / peak if peak > 1e-5 else np.zeros_like(samples)


def _tempo_and_beats(samples: np.ndarray) -> tuple[float | None, tuple[float, ...]]:
    """Beats by dynamic programming (Ellis 2007, librosa); the tempo is the slope of a line through them."""
    strength = frontend.onset_strength(samples, RATE, _ONSET_HOP)
    if not float(strength.max()) > 0:
        return None, ()
    tempo = _tempo(strength)
    beats = frontend.track_beats(strength, RATE, _ONSET_HOP, tempo) * _ONSET_HOP / RATE
    if len(beats) < 4:
        return None, tuple(beats.tolist())
    return float(60 / np.polyfit(np.arange(len(beats)), beats, 1)[0]), tuple(beats.tolist())


def _tempo(strength: np.ndarray) -> float:
    """Beats a minute (35..250) at whose period, and two, three and four of it, the onsets are most alike.

    librosa's estimate looks at one period only and takes a wrong one in 20 of 45 loops of organ, strings and
    choir, where this takes none; on 70 rendered scores both find the tempo or an octave of it in 63.
    """
    strength = strength - strength.mean()
    num_frames = len(strength)
    likeness = np.fft.irfft(np.abs(np.fft.rfft(strength, 2 * num_frames)) ** 2)[:num_frames]
    likeness = likeness / np.arange(num_frames, 0, -1)
    tempi = np.exp(np.arange(np.log(35), np.log(250), 0.004))
    period = 60 * RATE / _ONSET_HOP / tempi  # [tempi], in frames
    points = np.zeros_like(tempi)
    for multiple, weight in ((1, 1.0), (2, 0.8), (3, 0.6), (4, 0.5)):
        lag = multiple * period
        values = np.interp(lag, np.arange(num_frames), likeness / max(likeness[0], 1e-12))
        points += weight * np.where(lag < 0.9 * num_frames, values, 0)
    usual = -0.5 * np.log2(tempi / 110) ** 2
    return float(tempi[(np.log1p(100 * np.maximum(points, 0)) + usual).argmax()])


def _key(samples: np.ndarray) -> tuple[Key | None, float]:
    """The key whose profile (Albrecht and Shanahan 2013) is most like the pitch classes that sound."""
    classes = _fold(_salience(samples)).sum(axis=1)
    if not classes.max() > 0:
        return None, 0.0
    profiles = np.stack([np.roll(KEY_PROFILES[key.mode], key.tonic) for key in KEYS])  # [24, 12]
    points = np.corrcoef(classes, profiles)[0, 1:]
    best, second = np.sort(points)[[-1, -2]]
    return KEYS[int(points.argmax())], float(np.interp(best - second, _MARGINS, _RIGHT))


def _salience(samples: np.ndarray) -> np.ndarray:
    """How clearly each key from C2 to B7 sounds: float32 [72, T].

    Magnitudes of a constant-Q transform, kept only where they are peaks over the keys and reach a fifth of
    the frame's highest: the rest is reverberation and noise, which blurs a key (49 of 70 right with the
    whole transform, 60 with its peaks). Frames count by the root of their level.
    """
    magnitude = frontend.constant_q(samples, RATE, _PITCH_HOP, _LOWEST_KEY, _NUM_KEYS)
    above = np.pad(magnitude[1:], ((0, 1), (0, 0)))
    below = np.pad(magnitude[:-1], ((1, 0), (0, 0)))
    top = magnitude.max(axis=0, keepdims=True)  # [1, T]
    peak = (magnitude >= above) & (magnitude > below) & (magnitude > 0.2 * top)
    peak &= magnitude > 0.01 * magnitude.max()
    return np.where(peak, magnitude / np.sqrt(np.maximum(top, 1e-9)), 0).astype(np.float32)


def _fold(salience: np.ndarray) -> np.ndarray:
    """Keys to pitch classes: [72, T] -> [12, T]."""
    return salience.reshape(-1, 12, salience.shape[1]).sum(axis=0)
