import math

import pytest
import torch

from clavilux.audio import frontend, loudness


def sine(hz, seconds, rate, amplitude=1.0):
    return amplitude * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * rate)) / rate)[None]


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_the_reference_tone_of_bs_1770(rate):
    tone = sine(997, 3, rate)
    assert loudness.integrated_loudness(tone, rate) == pytest.approx(-3.01, abs=0.05)
    assert loudness.integrated_loudness(10 ** (-23 / 20) * tone.repeat(2, 1), rate) == pytest.approx(-23, abs=0.05)


def test_quiet_parts_are_gated():
    loud = sine(997, 5, 44100, 0.1)
    with_pause = torch.cat([loud, 1e-5 * loud], dim=1)
    difference = loudness.integrated_loudness(with_pause, 44100) - loudness.integrated_loudness(loud, 44100)
    assert abs(difference) < 0.3


def test_the_peak_between_samples():
    # A quarter of the sample rate, half a sample off: every sample is at 0.707 of the wave's peak.
    n = torch.arange(8000)
    tone = torch.sin(torch.pi * (n / 2 + 0.25))[None]
    assert tone.abs().max() < 0.71
    assert loudness.peak_dbfs(tone, 44100) == pytest.approx(0, abs=0.4)


@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.39, 0.41, 4])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_normalised_to_the_target(seconds, channels):
    clip = sine(500, seconds, 44100, 0.03).repeat(channels, 1)
    result = loudness.normalize(clip, 44100)
    assert result.shape == clip.shape and result.dtype == torch.float32
    assert loudness.peak_dbfs(result, 44100) <= -1 + 1e-3
    if seconds > 0.01:
        assert loudness.integrated_loudness(result, 44100) == pytest.approx(-14, abs=0.3)


@pytest.mark.parametrize("hz", [110, 220, 1000])
def test_peaks_in_the_way_are_limited_cleanly(hz):
    time = torch.arange(6 * 44100) / 44100
    swells = torch.exp(-(((time % 1.0) - 0.5) ** 2) / 0.02**2)  # smooth: the tone has no harmonics
    clip = sine(hz, 6, 44100, 0.5) * (0.25 + swells)
    result = loudness.normalize(clip, 44100)
    gain_db = -14 - loudness.integrated_loudness(clip, 44100)
    assert 1 < loudness.peak_dbfs(clip, 44100) + gain_db + 1 < 6  # there is something to limit
    assert loudness.integrated_loudness(result, 44100) == pytest.approx(-14, abs=0.3)
    assert -1.6 < loudness.peak_dbfs(result, 44100) <= -1 + 1e-3
    # The gain moves too slowly to bend the wave: its harmonics stay 60 dB below it.
    spectrum = torch.fft.rfft(result[0] * torch.hann_window(result.shape[1])).abs()
    bins = torch.arange(len(spectrum))
    assert spectrum[bins > 1.7 * hz * 6].max() < spectrum.max() * 10 ** (-60 / 20)


def test_a_clip_of_clicks_ends_softer_than_the_target():
    clicks = torch.zeros(1, 88200)
    clicks[0, ::22050] = 1.0
    result = loudness.normalize(clicks, 44100)
    assert loudness.peak_dbfs(result, 44100) <= -1 + 1e-3
    assert loudness.integrated_loudness(result, 44100) < -20


def test_silence_stays_silence():
    silence = torch.zeros(2, 10000)
    assert loudness.integrated_loudness(silence, 44100) == -math.inf
    assert loudness.peak_dbfs(silence, 44100) == -math.inf
    assert torch.equal(loudness.normalize(silence, 44100), silence)


def test_six_channels_have_no_loudness():
    with pytest.raises(ValueError, match="1 to 5 channels"):
        loudness.integrated_loudness(torch.zeros(6, 1000), 44100)


def noise(seconds, rate, channels=1, amplitude=0.1):
    return amplitude * torch.randn(channels, round(seconds * rate), generator=torch.Generator().manual_seed(rate))


@pytest.mark.parametrize("rate", [100, 441, 1000, 2000, 3363, 4000, 8000, 11025])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9, None])
def test_low_rates_have_the_loudness_of_the_same_sound_at_48_khz(rate, share):
    clip = noise(4, rate) if share is None else sine(share * rate / 2, 4, rate, 0.3)
    there = frontend.resample_array(clip[0].numpy(), rate, 48000)
    expected = loudness.integrated_loudness(torch.from_numpy(there)[None], 48000)
    allowed = 0.5 if share is None else 0.03  # the resampler takes the last twentieth of the band from the noise
    assert loudness.integrated_loudness(clip, rate) == pytest.approx(expected, abs=allowed)


@pytest.mark.parametrize("rate", [1, 7, 10, 99])
@pytest.mark.parametrize("num_samples", [1, 3, 500])
def test_any_rate_has_some_loudness(rate, num_samples):
    clip = noise(num_samples / rate, rate, 2)
    found = loudness.integrated_loudness(clip, rate)
    assert -70 < found < -20 or found == -math.inf
    assert loudness.normalize(clip, rate).isfinite().all()


@pytest.mark.parametrize("amplitude", [1.0, 1e4, 1e15, 1e30])
@pytest.mark.parametrize("rate", [100, 8000, 44100])
def test_very_loud_clips(rate, amplitude):
    clip = noise(2, rate, 2, amplitude)
    quiet = loudness.integrated_loudness(clip / amplitude, rate)
    assert loudness.integrated_loudness(clip, rate) == pytest.approx(quiet + 20 * math.log10(amplitude), abs=0.01)
    saved = loudness.normalize(clip, rate)
    assert loudness.peak_dbfs(saved, rate) <= -1 + 1e-3 and saved.abs().max() > 0.1


@pytest.mark.parametrize("rate", [1000, 8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_loudness_of_tensors_is_that_of_files(rate, channels):
    """A tone, noise, noise above full scale, and noise with a pause, as one batch."""
    tone = sine(60, 5, rate, 0.3).repeat(channels, 1)
    hiss = noise(5, rate, channels)
    paused = hiss.clone()
    paused[:, rate : 3 * rate] *= 1e-5
    batch = torch.stack([tone, hiss, 40 * hiss, paused])
    expected = [loudness.integrated_loudness(clip, rate) for clip in batch]
    assert frontend.loudness(batch, rate).tolist() == pytest.approx(expected, abs=0.02)
    short = frontend.loudness(hiss[:, : rate // 5], rate)
    assert float(short) == pytest.approx(loudness.integrated_loudness(hiss[:, : rate // 5], rate), abs=0.02)


def test_loudness_of_silent_tensors():
    assert frontend.loudness(torch.zeros(2, 1, 9000), 16000).tolist() == [-math.inf] * 2


@pytest.mark.parametrize(("count", "rate"), [(2007, 8000), (104, 22050)])
def test_a_clip_shorter_than_a_block_whose_length_in_seconds_is_rounded_up(count, rate):
    """2007 / 8000 * 8000 is above 2007, for which pyloudnorm refused the clip."""
    tone = sine(997, 1, rate, 0.5)[:, 1 : 1 + count]
    assert loudness.integrated_loudness(tone, rate) == pytest.approx(-9, abs=3)
