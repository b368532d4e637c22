"""The melody's pitch classes."""

import numpy as np
import pytest
import torch

from clavilux.families.chroma import chroma, fitted


def tone(frequency, seconds=1.0, sample_rate=32000):
    return torch.sin(2 * torch.pi * frequency * torch.arange(round(seconds * sample_rate)) / sample_rate)


@pytest.mark.parametrize(("name", "frequency"), [("C", 261.63), ("E", 329.63), ("A", 440.0), ("B", 493.88)])
def test_a_tone_is_its_pitch_class(name, frequency):
    classes = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    pitches = chroma(tone(frequency), 32000)
    assert pitches.shape == (8, 12)  # 1 + 32000 // 4096
    assert (pitches.argmax(1) == classes.index(name)).all()
    assert torch.equal(pitches.sum(1), torch.ones(8))


def test_thirty_seconds_are_235_frames():
    assert chroma(torch.zeros(30 * 32000), 32000).shape == (235, 12)


def test_silence_and_a_single_sample_are_the_first_class():
    assert (chroma(torch.zeros(1), 32000).argmax(1) == 0).all()


def test_it_is_what_transformers_computes():
    """Its feature extractor needs torchaudio; its filters and a spectrogram of NumPy do not."""
    filters = pytest.importorskip("transformers.audio_utils").chroma_filter_bank(16384, 12, 32000, tuning=0)
    rising = torch.sin(torch.arange(50_000) * torch.linspace(0.05, 0.2, 50_000))
    samples = rising + 0.2 * torch.randn(50_000, generator=torch.Generator().manual_seed(0))
    padded = np.pad(samples.double().numpy(), 8192, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16384) / 16384)
    frames = np.stack([padded[i : i + 16384] * window for i in range(0, len(padded) - 16383, 4096)], axis=1)
    strongest = (filters @ np.abs(np.fft.rfft(frames, axis=0)) ** 2).argmax(0)
    assert torch.equal(chroma(samples, 32000).argmax(1), torch.from_numpy(strongest))
    assert len(set(strongest)) > 3


def test_a_melody_is_repeated_or_cut():
    melody = torch.eye(3)
    assert torch.equal(fitted(melody, 5), torch.eye(3)[[0, 1, 2, 0, 1]])
    assert torch.equal(fitted(melody, 2), torch.eye(3)[:2])
