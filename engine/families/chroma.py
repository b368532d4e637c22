"""The melody that MusicGen-melody hears: which pitch class is loudest, 7.8 times a second.

As in "Simple and Controllable Music Generation" (2306.05284): a power spectrogram, summed by pitch class, of which only
the strongest is kept. Knows samples; does not know the decoder.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

N_FFT = 16384
HOP = 4096


def chroma(samples: Tensor, sample_rate: int, num_chroma: int = 12) -> Tensor:
    """float32 [T, num_chroma], T = 1 + N // 4096 (N at least 16384 samples): 1 at the strongest pitch class.

    Args:
        samples: float32 [N], mono; fewer than 16384 are padded with silence on both sides.
        sample_rate: Hz.
        num_chroma: pitch classes, from C upwards. Silence counts as the first.
    """
    short = max(0, N_FFT - len(samples))
    samples = F.pad(samples, (short // 2, short - short // 2))
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = torch.stft(samples, N_FFT, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    power = spectrum.abs().square()  # [N_FFT / 2 + 1, T]
    strongest = (_filters(sample_rate, num_chroma).to(samples.device) @ power).argmax(0)
    return F.one_hot(strongest, num_chroma).float()


def fitted(melody: Tensor, length: int) -> Tensor:
    """[length, C]: a melody [T, C] cut, or repeated until it is long enough."""
    return melody.repeat(-(-length // len(melody)), 1)[:length]


@lru_cache(maxsize=4)
def _filters(sample_rate: int, num_chroma: int) -> Tensor:
    """float32 [num_chroma, N_FFT / 2 + 1]."""
    from librosa import filters  # slow to import

    return torch.from_numpy(filters.chroma(sr=sample_rate, n_fft=N_FFT, tuning=0.0, n_chroma=num_chroma))
