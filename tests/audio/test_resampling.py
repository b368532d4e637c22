"""Tensors at another rate, beside soxr, which files are resampled with."""

import numpy as np
import pytest
import torch

from clavilux.audio import frontend

PAIRS = [(44100, 22050), (48000, 44100), (44100, 48000), (16000, 48000), (32000, 24000)]


def tones(shares, rate, nyquist, num_samples=8192):
    """float32 [F, N]: tones at shares of a Nyquist frequency, fading in and out."""
    time = np.arange(num_samples)
    fade = np.sin(np.pi * time / num_samples) ** 2
    hz = np.asarray(shares)[:, None] * nyquist
    return torch.from_numpy((np.sin(2 * np.pi * hz / rate * time) * fade).astype(np.float32))


def by_soxr(samples, old, new):
    rows = [frontend.resample_array(row, old, new) for row in samples.numpy()]
    return torch.from_numpy(np.stack(rows))


def decibels(ratio):
    return 20 * np.log10(max(float(ratio), 1e-12))


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_pass_band_is_that_of_soxr(old, new):
    """Both are flat up to 0.9 of the lower Nyquist frequency, so there they agree, phase and images included."""
    samples = tones(np.linspace(0.01, 0.9, 30), old, min(old, new) / 2)
    ours, theirs = frontend.resample(samples, old, new), by_soxr(samples, old, new)
    length = min(ours.shape[1], theirs.shape[1])
    assert decibels((ours[:, :length] - theirs[:, :length]).abs().max()) < -60  # soxr's own ripple is 0.006 dB
    energy = (ours.double().square().sum(1) / new) / (samples.double().square().sum(1) / old)
    assert (10 * energy.log10()).abs().max() < 0.001


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_the_lower_rate_cannot_hold_is_gone(old, new):
    samples = tones(np.linspace(1.005, 0.99 * old / new, 30), old, new / 2)
    assert decibels(frontend.resample(samples, old, new).abs().max()) < -100
    assert decibels(by_soxr(samples, old, new).abs().max()) < -100


@pytest.mark.parametrize(("old", "new"), [pair for pair in PAIRS if pair[0] < pair[1]])
def test_images_stay_away(old, new):
    samples = tones(np.linspace(0.02, 0.9, 30), old, old / 2)
    found = frontend.resample(samples, old, new).numpy()
    spectrum = np.abs(np.fft.rfft(found * np.blackman(found.shape[1]), axis=1))
    hz = np.fft.rfftfreq(found.shape[1], 1 / new)
    assert decibels(spectrum[:, hz > 1.005 * old / 2].max() / spectrum.max(1).min()) < -100


@pytest.mark.parametrize("num_samples", [1, 2, 999, 4410])
@pytest.mark.parametrize(("old", "new"), [(44100, 22050), (22050, 44100), (44100, 32000), (8000, 8000)])
def test_lengths_are_those_of_a_clip(num_samples, old, new):
    from clavilux.audio.clip import Audio

    samples = torch.ones(2, 3, num_samples, dtype=torch.float64)
    found = frontend.resample(samples, old, new)
    assert found.shape == (2, 3, Audio(torch.ones(1, num_samples), old).resample(new).samples.shape[1])
    assert found.dtype == torch.float64


def test_rows_of_a_batch_are_resampled_alike():
    samples = tones([0.1, 0.3, 0.7], 44100, 16000).view(3, 1, -1)
    found = frontend.resample(samples, 44100, 32000)
    assert torch.allclose(found[1], frontend.resample(samples[1], 44100, 32000), atol=1e-6)


def test_rates_without_a_common_factor_are_refused():
    with pytest.raises(ValueError, match="48000 Hz cannot be resampled to 44101 Hz.*factor, 1, is too small"):
        frontend.resample(torch.zeros(100), 48000, 44101)
