"""What a recording is: tempo, beats, key, loudness; and a picture of it.

Measures any sound, and never looks at a score; the picture shows the notes too, where there are some. The front end
does the signal processing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clavilux.audio import frontend, pianoroll
from clavilux.audio.clip import Audio
from clavilux.audio.harmony import Key
from clavilux.audio.harmony_analysis import KEY_PROFILES, KEYS
from clavilux.audio.loudness import integrated_loudness, peak_dbfs
from clavilux.files import PathLike, atomic_path, check_ending

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE = 22050  # Hz, for tempo, key and pictures
PICTURES = (".png", ".svg", ".pdf")
_ONSET_HOP, _PITCH_HOP = 256, 1024
_LOWEST_KEY, _NUM_KEYS = 36, 72  # C2 to B7
_MIN_S = 3.0  # shorter clips are padded: the lowest constant-Q filter needs that much
# On 70 renders of scores, 35 s each: the best key's margin over the next, and how often it was right.
_MARGINS, _RIGHT = (0.0, 0.1, 0.18, 0.35), (0.6, 0.75, 0.92, 0.98)
TEMPI = np.exp(np.arange(np.log(30), np.log(300), 0.004))  # quarters a minute
_LOW_BANDS = 40  # mel bands below 1 kHz
_QUARTERS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 3 / 2, 2, 3, 4, 6, 8)
_WEIGHTS = (  # of `tempo_features`: all onsets, those of low sounds; the same for the logarithms; the tempo itself
    3.8, -3.0, 0.2, 4.5, -2.7, 3.2, 0.2, -4.8, 0.3, 1.7, -1.5, 1.4,
    1.0, -2.3, 1.0, -1.9, 3.4, -0.4, -2.3, -3.8, 1.6, -0.1, 0.5, -2.1,
    -0.7, 2.0, -0.7, -0.3, 1.1, -0.3, 1.1, 1.6, -0.1, -0.4, 0.1, 0.1,
    -0.7, -2.1, 0.2, -1.3, 0.4, -0.2, 0.5, 1.3, 0.3, 0.9, 0.0, 0.1,
    0.3, -5.1,
)  # fmt: skip
_PITCH_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")


@dataclass(frozen=True)
class Analysis:
    """What `analyze` found.

    Attributes:
        duration_s: seconds of the clip as it is.
        sample_rate: its Hz.
        channels: its channels.
        loudness_lufs: integrated (ITU-R BS.1770-4); -inf for silence, None above 5 channels.
        peak_dbfs: four times oversampled; -inf for silence.
        tempo_bpm: quarter notes a minute, as `--tempo` and MIDI files count, also where one would rather tap dotted
            quarters or halves; None where no beat was found.
        beats_s: times of the quarters.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: -inf becomes None, and times are rounded to milliseconds."""
        values = asdict(self) | {"beats_s": [round(beat, 3) for beat in self.beats_s]}
        for name, digits in (("duration_s", 3), ("loudness_lufs", 1), ("peak_dbfs", 1), ("tempo_bpm", 1),
                             ("key_confidence", 2)):  # fmt: skip
            value = values[name]
            values[name] = None if value is None or not math.isfinite(value) else round(value, digits)
        return values


def analyze(audio: Audio) -> Analysis:
    """Measure a clip: tempo, beats, key, loudness and peak.

    On 70 rendered scores the key was right for 60. The tempo was right for 56 of 70 songs by aria, twice or half as
    fast for 9, 1/3 or 2/3 of it for 4, wrong for 1; for 50 of 70 rendered scores, and twice or half as fast for 20
    (`benchmarks/results/2026-11-28-tempo.json`). The same sound may be written in quarters or in eighths.
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
        beats_s=tuple(beat for beat in beats if beat < audio.duration_s),  # `_mono` fills a short one up
        key=None if key is None else str(key),
        key_confidence=confidence,
    )


def plot(audio: Audio, path: PathLike) -> None:
    """Save a picture (.png, .svg or .pdf) of a clip: notes if it has a score, mel spectrogram, pitch classes.

    Raises:
        ValueError: another ending, or a place where nothing can be written.
        OSError: writing failed; nothing is left behind.
    """
    ending = check_ending(path, PICTURES)
    figure = _figure(audio)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format=ending[1:])


def _figure(audio: Audio) -> Figure:
    from matplotlib.figure import Figure

    samples = _mono(audio)
    heights = (3, 3, 2) if audio.score is not None else (3, 2)
    figure = Figure(figsize=(10, 1.12 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    figure.suptitle(f"{audio.duration_s:.1f} s at {audio.sample_rate} Hz", fontsize=10)  # above the names of chords
    if audio.score is not None:
        pianoroll.draw(axes[0], audio.score)
    _draw_mel(axes[-2], samples)
    _draw_pitch_classes(axes[-1], samples)
    axes[-1].set(xlabel="seconds", xlim=(0, audio.duration_s))
    return figure


def _draw_mel(axes: Axes, samples: np.ndarray) -> None:
    mel = frontend.mel_spectrogram(torch.from_numpy(samples), RATE)  # [M, T]
    times = np.linspace(0, len(samples) / RATE, mel.shape[1] + 1)
    frequencies = frontend.mel_frequencies(len(mel) + 1, RATE / 2)
    image = axes.pcolormesh(times, frequencies, frontend.decibels(mel, range_db=80), cmap="magma", rasterized=True)
    axes.set_yscale("symlog", linthresh=1000, linscale=1)
    axes.set(ylabel="Hz", ylim=(30, RATE / 2), yticks=(100, 500, 1000, 2000, 4000, 8000))
    axes.set_yticklabels(["100", "500", "1k", "2k", "4k", "8k"])
    axes.minorticks_off()
    axes.figure.colorbar(image, ax=axes, label="dB", pad=0.01)


def _draw_pitch_classes(axes: Axes, samples: np.ndarray) -> None:
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


def onsets_of(audio: Audio) -> np.ndarray:
    """How much begins in a frame of `RATE / _ONSET_HOP`, among low sounds and among the others: float32 [2, T]."""
    return _onsets(_mono(audio))


def _onsets(samples: np.ndarray) -> np.ndarray:
    return frontend.onset_strength(samples, RATE, _ONSET_HOP, bands=(0, _LOW_BANDS, frontend.ONSET_BANDS))


def _tempo_and_beats(samples: np.ndarray) -> tuple[float | None, tuple[float, ...]]:
    """The tempo by `_tempo`, and the beats on the strongest onsets at that tempo."""
    onsets = _onsets(samples)
    if not float(onsets.max()) > 0:
        return None, ()
    tempo = _tempo(onsets)
    strength = np.average(onsets, axis=0, weights=(_LOW_BANDS, frontend.ONSET_BANDS - _LOW_BANDS))
    beats = frontend.track_beats(strength, RATE, _ONSET_HOP, tempo) * _ONSET_HOP / RATE
    if len(beats) < 4:
        return None, tuple(beats.tolist())
    slope = float(60 / np.polyfit(np.arange(len(beats)), beats, 1)[0])  # finer than the grid of `_tempo`
    return slope if abs(slope / tempo - 1) < 0.01 else tempo, tuple(beats.tolist())


def tempo_features(onsets: np.ndarray) -> np.ndarray:
    """What the choice of a tempo rests on, for each of `TEMPI`: float64 [tempi, 50].

    How alike the onsets are to themselves 1/4 to 8 quarters later (`_QUARTERS`), all onsets and those of low sounds;
    the same as logarithms, in which little is far from nothing; and how usual the tempo is.

    Args:
        onsets: [2, T], of `onsets_of`.
    """
    everything = np.average(onsets, axis=0, weights=(_LOW_BANDS, frontend.ONSET_BANDS - _LOW_BANDS))
    window = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
    lag = 60 * RATE / _ONSET_HOP / TEMPI[:, None] * np.array(_QUARTERS)  # [tempi, quarters], in frames
    features = []
    for strength in (everything, onsets[0]):
        strength = np.convolve(strength, window / window.sum(), "same")
        strength = strength - strength.mean()
        num_frames = len(strength)
        likeness = np.fft.irfft(np.abs(np.fft.rfft(strength, 2 * num_frames)) ** 2)[:num_frames]
        likeness /= np.arange(num_frames, 0, -1)
        values = np.interp(lag, np.arange(num_frames), likeness / max(likeness[0], 1e-12))
        features.append(np.where(lag < 0.8 * num_frames, values, 0))  # the rest is the mean of too few
    logarithms = [np.log1p(20 * np.maximum(values, 0)) for values in features]
    usual = np.log(TEMPI / 110)[:, None]
    return np.concatenate([*features, *logarithms, usual, usual**2], axis=1)


def _tempo(onsets: np.ndarray) -> float:
    """Quarters a minute. The weights are those of a softmax over `TEMPI`, fitted to 140 renders and 40 loops that are
    not among those that `analyze` tells of (`benchmarks/tempo.py --part tune --fit`).
    """
    features = tempo_features(onsets)
    # Of a tempo whose own quarters return nowhere there is no telling: plain chords of an organ at 72, taken for 108.
    returning = features[:, [_QUARTERS.index(quarters) for quarters in (1, 2, 3, 4)]].sum(1)
    points = np.where(returning >= 0.3 * returning.max(), features @ np.array(_WEIGHTS), -np.inf)
    return float(TEMPI[points.argmax()])


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
