import base64
import io as bytes_io
import re

import numpy as np
import pytest
import soundfile
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.loudness import integrated_loudness
from clavilux.audio.score import NOTE, Score


def clip(seconds=1.0, rate=44100, **more):
    time = torch.arange(round(seconds * rate)) / rate
    return Audio(0.05 * torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (440, 660)]), rate, **more)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_save_and_load(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    clip(receipt={"seed": 7, "prompt": "Grüße"}).save(path)
    found = Audio.load(path)
    assert found.receipt == {"seed": 7, "prompt": "Grüße"}
    assert found.sample_rate == 44100 and found.duration_s == 1.0
    assert integrated_loudness(found.samples, 44100) == pytest.approx(-14, abs=0.3)


def test_the_level_can_be_kept_or_chosen(tmp_path):
    path = tmp_path / "a.wav"
    clip().save(path, loudness=False)
    assert (Audio.load(path).samples - clip().samples).abs().max() < 2 / 32768
    clip().save(path, loudness=-23)
    assert integrated_loudness(Audio.load(path).samples, 44100) == pytest.approx(-23, abs=0.3)
    with pytest.raises(ValueError, match="between -70 and 0"):
        clip().save(path, loudness=3)


def test_saving_twice_gives_the_same_file(tmp_path):
    clip(receipt={"b": 1, "a": 2}).save(tmp_path / "a.flac")
    clip(receipt={"a": 2, "b": 1}).save(tmp_path / "b.flac")
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()


def test_silence_and_tiny_clips_are_saved(tmp_path):
    for samples in (torch.zeros(2, 44100), torch.zeros(1, 1), torch.full((1, 1), 0.5)):
        Audio(samples, 44100).save(tmp_path / "a.wav")
        assert Audio.load(tmp_path / "a.wav").samples.shape == samples.shape


def test_a_foreign_comment_is_no_receipt(tmp_path):
    for comment in ("made by hand", "[1, 2]", '{"clavilux": 3}'):
        with soundfile.SoundFile(tmp_path / "a.wav", "w", 44100, 1) as file:
            file.comment = comment
            file.write(np.zeros(10))
        assert Audio.load(tmp_path / "a.wav").receipt == {}


def test_midi_needs_a_score(tmp_path):
    with pytest.raises(ValueError, match="no score"):
        clip().save(tmp_path / "a.mid")
    score = Score(np.array([(0, 1, 60, 80, 0, False)], NOTE))
    clip(score=score).save(tmp_path / "a.mid")
    assert Score.from_midi(tmp_path / "a.mid").notes["pitch"].tolist() == [60]


def test_resampling_keeps_pitch_and_length():
    there = clip().resample(16000)
    assert there.sample_rate == 16000 and there.samples.shape == (2, 16000)
    spectrum = torch.fft.rfft(there.samples[0]).abs()
    assert int(spectrum.argmax()) == 440
    back = there.resample(44100)
    assert back.samples.shape == (2, 44100)
    assert (back.samples - clip().samples)[:, 2000:-2000].abs().max() < 1e-3
    assert clip().resample(44100).samples.shape == (2, 44100)
    with pytest.raises(ValueError, match="whole number"):
        clip().resample(0)


def test_mono_and_slices():
    audio = clip(2.0)
    assert torch.allclose(audio.to_mono().samples[0], audio.samples.mean(0))
    part = audio.slice(0.5, 1.25)
    assert torch.equal(part.samples, audio.samples[:, 22050:55125])
    assert audio.slice(1.5).duration_s == 0.5
    for start, end in ((-1, 1), (1, 1), (3, 4), (float("nan"), 1)):
        with pytest.raises(ValueError, match="slice"):
            audio.slice(start, end)


@pytest.mark.parametrize(
    ("samples", "rate", "error"),
    [
        (torch.zeros(0), 44100, ValueError),
        (torch.zeros(1, 2, 3), 44100, ValueError),
        (torch.tensor([float("inf")]), 44100, ValueError),
        (torch.zeros(4), 0, ValueError),
        (torch.zeros(4), 44100.5, ValueError),
        (torch.zeros(4, dtype=torch.int16), 44100, TypeError),
        ("sound", 44100, TypeError),
    ],
)
def test_bad_clips(samples, rate, error):
    with pytest.raises(error):
        Audio(samples, rate)


def test_a_row_of_samples_is_mono():
    audio = Audio(np.zeros(8, np.float64), 8000)
    assert audio.samples.shape == (1, 8) and audio.samples.dtype == torch.float32


def test_the_notebook_player_holds_the_sound():
    page = clip(receipt={"seed": 1})._repr_html_()
    payload = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    data, rate = soundfile.read(bytes_io.BytesIO(payload), dtype="float32")
    assert rate == 44100 and data.shape == (44100, 2)
    assert "<audio controls" in page and "1.00 s" in page


def test_repr():
    assert repr(clip()) == "Audio(1.00 s, 44100 Hz, stereo)"
    assert repr(Audio(torch.zeros(7), 7, tokens=torch.zeros(1, 3))) == "Audio(1.00 s, 7 Hz, mono, tokens)"
