"""The front end: from sound to features, and from one sample rate to another. The one room of four libraries.

torchaudio computes on tensors, on their own device and in batches: spectrograms, mel bands, the chroma of a melody,
resampling, loudness, Griffin-Lim. All but the choice in the chroma can be differentiated. librosa computes on arrays:
onsets, beats, the constant-Q transform, tuning, pitch. soxr resamples the sound of files, and pyloudnorm measures it.

soxr stays beside torchaudio because it is the better one for files: `benchmarks/resampling.py` finds aliases and images
at -137 to -178 dB (-114 to -132 by `resample` here, -7 with torchaudio's own defaults) and a band as wide, and it takes
any two rates, where a filter between rates without a common factor would fill the memory. Its ripple is 0.006 dB at
most, where that of `resample` is below 0.0001.

All four are imported by the functions that use them, so that what needs no features starts, and runs, without them.
Knows no files, and nothing of what the features are for.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    import soxr

MELODY_N_FFT, MELODY_HOP = 16384, 4096
ONSET_BANDS = 128
# A Kaiser window over 96 zero crossings on each side: flat up to 0.9 of the lower Nyquist frequency, -3 dB at 0.952
# (as soxr), closed at 1.0.
_CROSSINGS, _CUTOFF, _BETA = 96, 0.958, 12.8
_LARGEST_FILTER = 1 << 25  # numbers; from 44.1 to 48 kHz takes 57 thousand

# Below this rate the two filters of BS.1770, warped by the bilinear transform, are wrong by 0.1 dB and more, and below
# 3364 Hz, where the corner of the second is above the Nyquist frequency, they are unstable.
LOWEST_FILTERED_HZ = 16000
BLOCK_S, ABSOLUTE_GATE, RELATIVE_GATE, OFFSET = 0.4, -70.0, -10.0, -0.691  # ITU-R BS.1770-4
CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)  # left, right, centre, left and right surround


# Tensors, by torchaudio


def spectrogram(samples: Tensor, n_fft: int, hop: int, *, power: float | None = 2.0) -> Tensor:
    """Magnitudes to the `power` under a Hann window, [..., N] -> [..., n_fft // 2 + 1, 1 + N // hop].

    Args:
        samples: float [..., N], longer than `n_fft / 2`: the ends are reflected.
        n_fft: samples of a frame, and of its window.
        hop: samples from frame to frame.
        power: 2 for power, 1 for magnitude, None for the complex spectrum.
    """
    window = torch.hann_window(n_fft, dtype=samples.dtype, device=samples.device)
    return _torchaudio().functional.spectrogram(samples, 0, window, n_fft, hop, n_fft, power, normalized=False)


def mel_spectrogram(
    samples: Tensor,
    sample_rate: int,
    *,
    n_fft: int = 2048,
    hop: int = 512,
    num_mels: int = 128,
    f_max: float | None = None,
    scale: str = "slaney",
) -> Tensor:
    """Power in bands that are equally wide to the ear, [..., N] -> [..., num_mels, 1 + N // hop].

    A band is divided by its width in Hz, as librosa does with both scales.

    Args:
        samples: float [..., N].
        sample_rate: Hz.
        n_fft, hop: as in `spectrogram`.
        num_mels: bands, from 0 Hz to `f_max`.
        f_max: Hz; half the sample rate by default.
        scale: "slaney", linear below 1 kHz, or "htk".
    """
    power = spectrogram(samples, n_fft, hop)
    top = sample_rate / 2 if f_max is None else f_max
    bands = _torchaudio().functional.melscale_fbanks(n_fft // 2 + 1, 0.0, top, num_mels, sample_rate, "slaney", scale)
    return bands.T.to(power) @ power  # [M, F] @ [..., F, T]


def decibels(power: Tensor, *, range_db: float) -> Tensor:
    """Power [..., F, T] in dB below the highest of each; what is lower than `range_db` below it is raised to that."""
    highest = power.amax(dim=(-2, -1), keepdim=True).clamp(min=1e-10)
    return _torchaudio().functional.amplitude_to_DB(power / highest, 10.0, 10 ** (-range_db / 10), 0.0)


def melody_chroma(samples: Tensor, sample_rate: int, num_chroma: int = 12) -> Tensor:
    """What MusicGen-melody hears: 1 at the strongest pitch class of a frame, float32 [..., T, num_chroma].

    As in "Simple and Controllable Music Generation" (2306.05284): a power spectrogram, summed by pitch class, of which
    only the strongest is kept. T = 1 + N // 4096, N at least 16384: what is shorter is padded with silence on both
    sides.

    Args:
        samples: float32 [..., N], mono.
        sample_rate: Hz.
        num_chroma: pitch classes, from C upwards. Silence counts as the first.
    """
    short = max(0, MELODY_N_FFT - samples.shape[-1])
    samples = F.pad(samples, (short // 2, short - short // 2))
    power = spectrogram(samples, MELODY_N_FFT, MELODY_HOP)  # [..., F, T]
    strongest = (_melody_filters(sample_rate, num_chroma).to(samples.device) @ power).argmax(-2)  # [..., T]
    return F.one_hot(strongest, num_chroma).float()


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # else the first caller's mode would stay in the cache
def _melody_filters(sample_rate: int, num_chroma: int) -> Tensor:
    """float32 [num_chroma, MELODY_N_FFT / 2 + 1]."""
    from librosa.filters import chroma

    return torch.from_numpy(chroma(sr=sample_rate, n_fft=MELODY_N_FFT, tuning=0.0, n_chroma=num_chroma))


def resample(samples: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Sound at another rate, on its own device: float32 or float64 [..., N] -> [..., max(1, round(N * to / from))].

    Flat within 0.001 dB up to 0.9 of the lower Nyquist frequency; aliases and images stay 110 dB below the sound.

    Raises:
        ValueError: the two rates have so small a common factor that the filter between them would not fit.
    """
    if from_rate == to_rate:
        return samples
    common = math.gcd(from_rate, to_rate)
    taps = 2 * math.ceil(_CROSSINGS * from_rate / (min(from_rate, to_rate) * _CUTOFF)) + from_rate // common
    if to_rate // common * taps > _LARGEST_FILTER:
        raise ValueError(
            f"a tensor at {from_rate} Hz cannot be resampled to {to_rate} Hz: their greatest common factor, "
            f"{common}, is too small; Audio.resample can"
        )
    wanted = max(1, round(samples.shape[-1] * to_rate / from_rate))
    return _resampler(from_rate, to_rate, samples.device, samples.dtype)(samples)[..., :wanted]


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _resampler(from_rate: int, to_rate: int, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """Its filter is computed in float64: in float32, as `functional.resample` does, the floor is 30 dB higher."""
    kind, precise = "sinc_interp_kaiser", torch.float64
    module = _torchaudio().transforms.Resample(from_rate, to_rate, kind, _CROSSINGS, _CUTOFF, _BETA, dtype=precise)
    return module.to(device, dtype)


def griffin_lim(
    magnitude: Tensor, n_fft: int, hop: int, *, rounds: int = 32, momentum: float = 0.99, length: int | None = None
) -> Tensor:
    """A sound whose magnitudes are near these (Perraudin 2013): [..., n_fft // 2 + 1, T] -> [..., N].

    Phases begin at zero, so that the same magnitudes give the same sound.

    Args:
        magnitude: as `spectrogram` gives with `power=1`.
        n_fft, hop: of that spectrogram.
        rounds: of back and forth.
        momentum: 0 <= momentum < 1; 0 is the method of Griffin and Lim.
        length: samples; `(T - 1) * hop` by default.
    """
    window = torch.hann_window(n_fft, dtype=magnitude.dtype, device=magnitude.device)
    return _torchaudio().functional.griffinlim(
        magnitude,
        window,
        n_fft,
        hop,
        n_fft,
        power=1.0,
        n_iter=rounds,
        momentum=momentum,
        length=length,
        rand_init=False,
    )


def loudness(samples: Tensor, sample_rate: int) -> Tensor:
    """Integrated loudness of a batch on its own device: float [..., C, N], C at most 5 -> float64 [...], in LUFS.

    ITU-R BS.1770-4 as `integrated_loudness`, from which it differs by less than 0.02 LU; -inf for silence. Not
    torchaudio's own `loudness`: that cuts the filtered sound at full scale (10 LU too low where a clip is 10 dB above
    it), fails below 0.4 s, and has filters that are 0.05 LU off at 44.1 kHz and 0.2 at 8 kHz.
    """
    weighted = _weighted(samples.double(), sample_rate)
    block = max(1, round(min(BLOCK_S, samples.shape[-1] / sample_rate) * sample_rate))
    blocks = weighted.square().unfold(-1, block, max(1, round(block / 4))).mean(-1)  # [..., C, B]
    weights = torch.tensor(CHANNEL_WEIGHTS, dtype=weighted.dtype, device=weighted.device)[: samples.shape[-2], None]
    energy = (weights * blocks).sum(-2)  # [..., B]
    level = OFFSET + 10 * energy.log10()
    gate = level > ABSOLUTE_GATE
    relative = OFFSET + 10 * _mean_of(energy, gate).log10() + RELATIVE_GATE
    return OFFSET + 10 * _mean_of(energy, gate & (level > relative[..., None])).log10()


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean over the last dimension of those chosen; 0 where there are none."""
    return torch.where(chosen, values, 0).sum(-1) / chosen.sum(-1).clamp(min=1)


def _weighted(samples: Tensor, sample_rate: int) -> Tensor:
    """float64 [..., N] under the K-weighting."""
    if sample_rate < LOWEST_FILTERED_HZ:
        size = samples.shape[-1] + sample_rate
        gain = torch.from_numpy(_gain_of_weighting(np.fft.rfftfreq(size, 1 / sample_rate))).to(samples.device)
        return torch.fft.irfft(torch.fft.rfft(samples, size) * gain, size)[..., : samples.shape[-1]]
    for b, a in weighting(sample_rate):
        samples = lfilter(b, a, samples)
    return samples


def lfilter(b: np.ndarray, a: np.ndarray, samples: Tensor) -> Tensor:
    """A recursive filter along time, on the sound's own device: float [..., N] -> float [..., N].

    Args:
        b, a: float64 [order + 1], coefficients in descending powers of z, a[0] not 0.
    """
    zeros, poles = (torch.tensor(values, dtype=samples.dtype, device=samples.device) for values in (b, a))
    return _torchaudio().functional.lfilter(samples, poles, zeros, clamp=False)


class BlockFilter:
    """`lfilter` of order two, block by block: what was before a block is part of its input.

    Not scipy's, which is twice as fast: `scipy.signal` takes as long to import as a song of 20 s to make.

    Args:
        b, a: float64 [3], a[0] = 1.
    """

    def __init__(self, b: np.ndarray, a: np.ndarray) -> None:
        self._b, self._a = np.asarray(b, np.float64), np.asarray(a, np.float64)
        self._sources: np.ndarray | float = 0.0  # [..., 2]: the last two values, before the filter and after it
        self._results: np.ndarray | float = 0.0

    def process(self, block: np.ndarray) -> np.ndarray:
        """The next samples, float [..., n] -> float64 [..., n]."""
        if not block.shape[-1]:
            return np.zeros(block.shape)
        padded = np.zeros((*block.shape[:-1], block.shape[-1] + 2))
        padded[..., 2:] = block
        padded[..., :2] = self._sources
        # The numerator first: then the two results before the block enter as two more values of its input, the older
        # one first, as the filter itself adds them up: so the bits do not depend on where blocks end.
        source = self._b[0] * padded[..., 2:] + self._b[1] * padded[..., 1:-1] + self._b[2] * padded[..., :-2]
        before = np.broadcast_to(self._results, padded[..., :2].shape)
        source[..., :2] -= (self._a[2] * before)[..., : source.shape[-1]]
        source[..., 0] -= self._a[1] * before[..., 1]
        result = lfilter(np.array([1.0, 0.0, 0.0]), self._a, torch.from_numpy(source)).numpy()
        self._sources = padded[..., -2:]
        self._results = np.concatenate([before, result], axis=-1)[..., -2:]
        return result


def _torchaudio() -> Any:
    """torchaudio, or one sentence about the two builds that go together.

    Its library is linked against one build of torch: CUDA's torchaudio beside the CPU's torch finds no CUDA, and the
    other way round a symbol is missing. The linker's own words name a file and no remedy.
    """
    try:
        import torchaudio
    except (ImportError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ImportError(
            f"torchaudio cannot be loaded beside torch {torch.__version__} ({reason}); the two must be builds of one "
            "kind: both as PyPI has them, or both from the index of the CPU builds (make setup TORCH_INDEX=...)"
        ) from error
    return torchaudio


# The sound of files, by soxr and pyloudnorm


def resample_array(data: np.ndarray, from_rate: float, to_rate: float, quality: str = "VHQ") -> np.ndarray:
    """float32 [N] or [N, C] at another rate (soxr), which may end a sample early or late."""
    import soxr

    return soxr.resample(data, from_rate, to_rate, quality=quality)


def resample_stream(from_rate: float, to_rate: float, channels: int, quality: str = "VHQ") -> soxr.ResampleStream:
    """`resample_array` block by block, the same samples: `resample_chunk(float32 [n, C], last=...)` gives the next."""
    import soxr

    return soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality=quality)


def integrated_loudness(data: np.ndarray, sample_rate: int) -> float:
    """Loudness of float64 [N, C] in LUFS, gated; a clip shorter than one 400 ms block counts as a single block.

    ITU-R BS.1770-4 (pyloudnorm). Below 16 kHz the weighting is that of its filters at 48 kHz, taken in the spectrum.

    Returns:
        LUFS; -inf for silence (nothing above the absolute gate of -70 LUFS).
    """
    import pyloudnorm

    block_s = min(max(BLOCK_S, 4 / sample_rate), len(data) / sample_rate)  # its step is a quarter: a sample at least
    if block_s * sample_rate > len(data):  # a division that was rounded up: pyloudnorm would find the clip too short
        block_s = math.nextafter(block_s, 0.0)
    filters = "DeMan"
    if sample_rate < LOWEST_FILTERED_HZ:
        size = len(data) + sample_rate  # a second of silence keeps the end off the beginning
        gain = _gain_of_weighting(np.fft.rfftfreq(size, 1 / sample_rate))[:, None]
        data = np.fft.irfft(np.fft.rfft(data, size, axis=0) * gain, size, axis=0)[: len(data)]
        filters = "custom"  # none
    with np.errstate(divide="ignore", invalid="ignore"):  # silent blocks: log10(0), and the mean of no blocks
        lufs = pyloudnorm.Meter(sample_rate, block_size=block_s, filter_class=filters).integrated_loudness(data)
    return float(lufs) if math.isfinite(lufs) and lufs > ABSOLUTE_GATE else -math.inf


def weighting(sample_rate: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """(b, a) of the shelf and of the high pass at a rate, derived by De Man from BS.1770's table for 48 kHz."""
    k, q, high = math.tan(math.pi * 1681.9744509555319 / sample_rate), 0.7071752369554193, 10 ** (3.99984385397 / 20)
    middle, norm = high**0.499666774155, 1 + k / q + k * k
    shelf_b = np.array([high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]) / norm
    shelf_a = np.array([1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm])
    k, q = math.tan(math.pi * 38.13547087613982 / sample_rate), 0.5003270373253953
    norm = 1 + k / q + k * k
    pass_a = np.array([1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm])
    return (shelf_b, shelf_a), (np.array([1.0, -2.0, 1.0]), pass_a)


def _gain_of_weighting(frequencies: np.ndarray) -> np.ndarray:
    """The amplitude that the filters of 48 kHz let through at some frequencies in Hz, below 24 kHz."""
    step = np.exp(-2j * np.pi * frequencies / 48000)
    gain = np.ones_like(frequencies)
    for b, a in weighting(48000):
        gain *= np.abs((b[0] + b[1] * step + b[2] * step**2) / (a[0] + a[1] * step + a[2] * step**2))
    return gain


# Arrays, by librosa


def onset_strength(samples: np.ndarray, sample_rate: int, hop: int, bands: tuple[int, ...]) -> np.ndarray:
    """How much begins in a frame: float32 [N] -> [len(bands) - 1, 1 + N // hop], the rise of mel bands in dB.

    `bands` are the edges of groups of the `ONSET_BANDS` bands from 0 Hz to the Nyquist frequency; a group gives the
    mean of its bands.
    """
    from librosa.onset import onset_strength_multi

    edges = [slice(low, high) for low, high in itertools.pairwise(bands)]
    return onset_strength_multi(y=samples, sr=sample_rate, hop_length=hop, channels=edges)


def track_beats(strength: np.ndarray, sample_rate: int, hop: int, tempo: float) -> np.ndarray:
    """The frames of the beats, at about this many a minute, on the strongest onsets (Ellis 2007)."""
    from librosa.beat import beat_track

    return beat_track(onset_envelope=strength, sr=sample_rate, hop_length=hop, bpm=tempo, trim=False)[1]


def constant_q(samples: np.ndarray, sample_rate: int, hop: int, lowest_key: int, num_keys: int) -> np.ndarray:
    """Magnitudes of a constant-Q transform, a band to each MIDI key from the lowest: [num_keys, 1 + N // hop]."""
    import librosa

    lowest = librosa.midi_to_hz(lowest_key)
    return np.abs(librosa.cqt(samples, sr=sample_rate, hop_length=hop, fmin=lowest, n_bins=num_keys))


def tuning(samples: np.ndarray, sample_rate: int) -> float:
    """How far the sound is tuned from A = 440 Hz, in semitones from -0.5 to 0.5."""
    import librosa

    return float(librosa.estimate_tuning(y=samples, sr=sample_rate))


def pitch(samples: np.ndarray, sample_rate: int, lowest_hz: float, highest_hz: float, frame: int = 2048) -> np.ndarray:
    """The fundamental frequency of one voice in Hz, a value for each quarter of a frame (YIN)."""
    import librosa

    return librosa.yin(samples, fmin=lowest_hz, fmax=highest_hz, sr=sample_rate, frame_length=frame)


def sung_pitch(
    samples: np.ndarray, sample_rate: int, hop: int, lowest_hz: float, highest_hz: float, *, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """(Hz, whether a pitch is heard) of each frame of one voice, by pyin; `step` in semitones."""
    import librosa

    hz, heard, _ = librosa.pyin(
        samples, fmin=lowest_hz, fmax=highest_hz, sr=sample_rate, hop_length=hop, resolution=step
    )
    return hz, heard


def mel_frequencies(count: int, highest_hz: float) -> np.ndarray:
    """`count` frequencies from 0 Hz to the highest, equally far apart on the slaney scale."""
    import librosa

    return librosa.mel_frequencies(n_mels=count, fmax=highest_hz)
