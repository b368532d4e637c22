"""Features of sound, beside the libraries that other people's models took theirs from."""

import sys

import numpy as np
import pytest
import torch

from clavilux.audio import frontend
from clavilux.audio.frontend import melody_chroma


def tone(frequency, seconds=1.0, sample_rate=32000):
    return torch.sin(2 * torch.pi * frequency * torch.arange(round(seconds * sample_rate)) / sample_rate)


def rising(num_samples):
    """A tone that rises through three octaves, over some noise."""
    sweep = torch.sin(torch.arange(num_samples) * torch.linspace(0.05, 0.2, num_samples))
    return sweep + 0.2 * torch.randn(num_samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "frequency"), [("C", 261.63), ("E", 329.63), ("A", 440.0), ("B", 493.88)])
def test_a_tone_is_its_pitch_class(name, frequency):
    classes = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    pitches = melody_chroma(tone(frequency), 32000)
    assert pitches.shape == (8, 12)  # 1 + 32000 // 4096
    assert (pitches.argmax(1) == classes.index(name)).all()
    assert torch.equal(pitches.sum(1), torch.ones(8))


def test_thirty_seconds_are_235_frames():
    assert melody_chroma(torch.zeros(30 * 32000), 32000).shape == (235, 12)


def test_silence_and_a_single_sample_are_the_first_class():
    assert (melody_chroma(torch.zeros(1), 32000).argmax(1) == 0).all()


@pytest.mark.parametrize(("num_samples", "num_chroma"), [(50_000, 12), (10_001, 12), (4096, 24), (960_000, 12)])
def test_the_chroma_is_what_the_extractor_of_transformers_computes(num_samples, num_chroma):
    extractor = pytest.importorskip("transformers").MusicgenMelodyFeatureExtractor(num_chroma=num_chroma)
    samples = rising(num_samples)
    theirs = extractor(samples.numpy(), sampling_rate=32000, return_tensors="pt")["input_features"][0]
    ours = melody_chroma(samples, 32000, num_chroma)
    assert torch.equal(ours, theirs)
    assert num_samples < 16384 or len(ours.argmax(1).unique()) > 3


def test_the_chroma_of_a_batch_is_that_of_its_rows():
    samples = torch.stack([rising(40_000), rising(40_000).flip(0), tone(440.0, 1.25)])
    rows = torch.stack([melody_chroma(row, 32000) for row in samples])
    assert torch.equal(melody_chroma(samples, 32000), rows)


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 512), (400, 160), (1023, 300)])
def test_a_spectrogram_is_a_windowed_fourier_transform(n_fft, hop):
    samples = rising(8000)
    window = np.hanning(n_fft + 1)[:-1]
    padded = np.pad(samples.double().numpy(), n_fft // 2, mode="reflect")
    starts = range(0, len(padded) - n_fft + 1, hop)
    frames = np.stack([np.fft.rfft(padded[i : i + n_fft] * window) for i in starts], axis=1)
    found = frontend.spectrogram(samples, n_fft, hop, power=None)
    assert found.shape == frames.shape
    assert np.abs(found.numpy() - frames).max() < 1e-5 * np.abs(frames).max()
    power = frontend.spectrogram(samples, n_fft, hop).numpy()
    assert np.allclose(power, np.abs(frames) ** 2, rtol=1e-4, atol=1e-5 * np.abs(frames).max())


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(("rate", "n_fft", "hop", "num_mels", "f_max"), [(22050, 2048, 512, 128, None),
                                                                       (16000, 1024, 256, 64, 7600.0)])  # fmt: skip
def test_mel_bands_are_those_of_librosa(scale, rate, n_fft, hop, num_mels, f_max):
    librosa = pytest.importorskip("librosa")
    samples = rising(3 * rate // 2)
    theirs = librosa.feature.melspectrogram(
        y=samples.numpy(), sr=rate, n_fft=n_fft, hop_length=hop, n_mels=num_mels, fmax=f_max, htk=scale == "htk",
        pad_mode="reflect",
    )  # fmt: skip
    ours = frontend.mel_spectrogram(
        samples, rate, n_fft=n_fft, hop=hop, num_mels=num_mels, f_max=f_max, scale=scale
    ).numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-5 * theirs.max()
    loud = theirs > 1e-6 * theirs.max()
    assert np.abs(ours / theirs - 1)[loud].max() < 1e-3
    decibels = frontend.decibels(torch.from_numpy(ours), range_db=80).numpy()
    assert np.abs(decibels - librosa.power_to_db(theirs, ref=np.max, top_db=80)).max() < 0.01


def test_silence_in_decibels():
    assert (frontend.decibels(torch.zeros(2, 4, 5), range_db=80) == -80).all()


def test_a_sound_is_found_again_by_its_magnitudes():
    samples = rising(8192)
    magnitude = frontend.spectrogram(samples, 512, 128, power=1.0)
    found = frontend.griffin_lim(magnitude, 512, 128, rounds=32, length=8192)
    again = frontend.griffin_lim(magnitude, 512, 128, rounds=32, length=8192)
    assert found.shape == samples.shape and torch.equal(found, again)
    away = [frontend.spectrogram(x, 512, 128, power=1.0) - magnitude for x in (found, torch.zeros(8192))]
    assert away[0].norm() < 0.2 * away[1].norm()
    rough = frontend.griffin_lim(magnitude, 512, 128, rounds=1, length=8192)
    assert away[0].norm() < (frontend.spectrogram(rough, 512, 128, power=1.0) - magnitude).norm()


@pytest.mark.parametrize(
    "features",
    [
        lambda x: frontend.mel_spectrogram(x, 16000, num_mels=40),
        lambda x: frontend.resample(x, 16000, 11025),
        lambda x: frontend.loudness(x, 16000),
        lambda x: frontend.loudness(x, 8000),
    ],
    ids=["mel", "resample", "loudness", "loudness at a low rate"],
)
def test_features_can_be_differentiated_also_after_inference(features):
    samples = 0.1 * rising(9000)[None, None].repeat(2, 1, 1)
    with torch.inference_mode():
        expected = features(samples)
    samples.requires_grad_()
    found = features(samples)
    assert torch.equal(found, expected)
    assert torch.equal(found[0], found[1])
    found.sum().backward()
    assert samples.grad.isfinite().all() and samples.grad.abs().max() > 0


def test_tuning_and_pitch():
    flat = tone(440 * 2 ** (-0.3 / 12), 2.0, 22050).numpy()
    assert frontend.tuning(flat, 22050) == pytest.approx(-0.3, abs=0.03)
    assert np.median(frontend.pitch(flat, 22050, 300, 600)) == pytest.approx(440 * 2 ** (-0.3 / 12), rel=0.002)


@pytest.mark.parametrize("error", [OSError("Could not load this library: libtorchaudio.so"), ImportError("no module")])
def test_a_torchaudio_of_the_other_kind_is_named_in_one_sentence(monkeypatch, error):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torchaudio":
                raise error

    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ImportError, match="builds of one kind") as caught:
        melody_chroma(torch.zeros(1), 32000)
    said = str(caught.value)
    assert str(error) in said and torch.__version__ in said and "TORCH_INDEX" in said and "\n" not in said


@pytest.mark.parametrize("sizes", [(40,), (0, 1, 1, 2, 30, 6), (39, 1)])
def test_a_filter_block_by_block_is_the_filter_of_the_whole(sizes):
    from scipy.signal import lfilter

    samples = np.random.default_rng(1).standard_normal((2, 40)).astype(np.float32)
    b, a = frontend.weighting(48000)[0]
    filtered = frontend.BlockFilter(b, a)
    blocks = np.split(samples, np.cumsum(sizes)[:-1], axis=1)
    found = np.concatenate([filtered.process(block) for block in blocks], axis=1)
    assert np.abs(found - lfilter(b, a, samples.astype(np.float64))).max() < 1e-13
