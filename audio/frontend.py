"""The front end: from tensors of sound to features, and from one sample rate to another.

Spectrograms, mel bands, the chroma of a melody, resampling, loudness and Griffin-Lim of tensors on their own device
come from torchaudio. Everything here takes batches, and all but the chroma's choice can be differentiated. Both
libraries are imported by the functions that use them: what needs no features runs without them. Knows no files.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

CHROMA_N_FFT, CHROMA_HOP = 16384, 4096


def spectrogram(samples: Tensor, n_fft: int, hop: int, *, power: float | None = 2.0) -> Tensor:
    """Magnitudes to the `power` under a Hann window, [..., N] -> float [..., n_fft / 2 + 1, 1 + N // hop].

    Args:
        samples: float [..., N], longer than `n_fft / 2`: the ends are reflected.
        n_fft: samples of a frame, and of its window.
        hop: samples from frame to frame.
        power: 2 for power, 1 for magnitude, None for the complex spectrum.
    """
    window = torch.hann_window(n_fft, dtype=samples.dtype, device=samples.device)
    return _torchaudio().functional.spectrogram(samples, 0, window, n_fft, hop, n_fft, power, normalized=False)


def melody_chroma(samples: Tensor, sample_rate: int, num_chroma: int = 12) -> Tensor:
    """What MusicGen-melody hears: 1 at the strongest pitch class of a frame, float32 [..., T, num_chroma].

    T = 1 + N // 4096, N at least 16384: what is shorter is padded with silence on both sides.

    Args:
        samples: float32 [..., N], mono.
        sample_rate: Hz.
        num_chroma: pitch classes, from C upwards. Silence counts as the first.
    """
    short = max(0, CHROMA_N_FFT - samples.shape[-1])
    samples = F.pad(samples, (short // 2, short - short // 2))
    power = spectrogram(samples, CHROMA_N_FFT, CHROMA_HOP)  # [..., F, T]
    strongest = (_chroma_filters(sample_rate, num_chroma).to(samples.device) @ power).argmax(-2)  # [..., T]
    return F.one_hot(strongest, num_chroma).float()


@lru_cache(maxsize=4)
def _chroma_filters(sample_rate: int, num_chroma: int) -> Tensor:
    """float32 [num_chroma, CHROMA_N_FFT / 2 + 1]."""
    from librosa import filters

    return torch.from_numpy(filters.chroma(sr=sample_rate, n_fft=CHROMA_N_FFT, tuning=0.0, n_chroma=num_chroma))


def _torchaudio():
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
