"""Sound that is saved while it is made: the file that it is from memory, little memory, nothing left of a failure."""

import math
import resource
import tracemalloc

import numpy as np
import pytest
import torch

from clavilux.audio import frontend, io, saving
from clavilux.audio.blocks import ArrayBlocks, DiskBlocks
from clavilux.audio.clip import Audio
from clavilux.audio.loudness import leveled, normalize
from clavilux.audio.meters import LoudnessMeter, PeakMeter


def swells(seconds, rate=22050, channels=2, seed=0):
    """Noise that swells and pauses, with a click: there is something to gate and something to limit."""
    count, generator = round(seconds * rate), np.random.default_rng(seed)
    time = np.arange(count) / rate
    level = 0.05 * np.exp(1.5 * np.sin(5 * time)) * (np.sin(1.1 * time) > -0.6)
    samples = (generator.standard_normal((channels, count)) * level).astype(np.float32)
    samples[:, count // 3] += 0.9
    return samples


def pieces(samples, size):
    return (samples[:, start : start + size] for start in range(0, samples.shape[1], size))


@pytest.mark.parametrize("rate", [100, 8000, 22050, 44100, 48000])
@pytest.mark.parametrize(("seconds", "channels"), [(0.01, 1), (0.4, 2), (0.55, 5), (7.0, 2)])
def test_loudness_block_by_block_is_that_of_the_whole(rate, seconds, channels):
    samples = swells(seconds, rate, channels)
    found = []
    for size in (1000, 65536):
        meter = LoudnessMeter(rate, channels, samples.shape[1])
        for piece in pieces(samples, size):
            meter.add(piece)
        found.append(meter.lufs())
    expected = frontend.integrated_loudness(samples.T.astype(np.float64), rate)
    assert found[0] == found[1] and abs(found[0] - expected) < 1e-9


def test_silence_has_no_loudness_and_six_channels_have_none():
    meter = LoudnessMeter(44100, 1, 44100)
    meter.add(np.zeros((1, 44100), np.float32))
    assert meter.lufs() == -math.inf
    with pytest.raises(ValueError, match="1 to 5 channels"):
        LoudnessMeter(44100, 6, 1)


def test_peaks_block_by_block_are_those_of_the_whole():
    samples = swells(2.0)
    found = []
    for size in (997, 44100):
        meter = PeakMeter(22050, 2)
        for piece in pieces(samples, size):
            meter.add(piece)
        found.append(meter.peaks())
    over = np.stack([frontend.resample_array(channel, 22050, 88200, quality="HQ") for channel in samples])
    highest = np.abs(over).max(axis=0)[: 88 * 2000].reshape(-1, 88).max(axis=1)
    assert np.array_equal(found[0], found[1]) and len(found[0]) == math.ceil(44100 / 22)
    assert (found[0][:2000] >= highest).all() and found[0].max() == max(highest.max(), np.abs(samples).max())


@pytest.mark.parametrize("target", [-14.0, -30.0, -8.0])
def test_leveled_from_a_disk_is_leveled_from_memory(tmp_path, target):
    samples = swells(7.0)
    with DiskBlocks(tmp_path, 2) as kept:
        for piece in pieces(samples, 5000):
            kept.append(piece)
        assert kept.num_samples == samples.shape[1]
        result = np.concatenate(list(leveled(kept, 22050, target_lufs=target)), axis=1)
    assert np.array_equal(result, normalize(torch.from_numpy(samples), 22050, target_lufs=target).numpy())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("loudness", [True, False, -20.0])
@pytest.mark.parametrize("ending", io.FORMATS)
def test_a_stream_is_saved_as_the_same_file(tmp_path, ending, loudness):
    samples, receipt = swells(4.0), {"seed": 3, "prompt": "Grüße"}
    Audio(samples, 22050, receipt=receipt).save(tmp_path / f"whole{ending}", loudness=loudness)
    streamed = tmp_path / f"streamed{ending}"
    count = saving.save_stream(streamed, pieces(samples, 5000), 22050, 2, loudness=loudness, receipt=receipt)
    assert count == samples.shape[1]
    assert streamed.read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
    assert Audio.load(streamed).receipt == receipt and len(list(tmp_path.iterdir())) == 2


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for count in (3, 30):  # blocks of 1.5 s
        block = swells(1.5)
        tracemalloc.start()
        saving.save_stream(tmp_path / "a.flac", (block for _ in range(count)), 22050, 2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] and peaks[1] < 2 * 30 * block.nbytes


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("loudness", [True, False])
def test_a_stream_that_breaks_off_leaves_nothing(tmp_path, error, loudness):
    def broken():
        yield swells(1.0)
        raise error

    (tmp_path / "a.ogg").write_bytes(b"old")
    with pytest.raises(error):
        saving.save_stream(tmp_path / "a.ogg", broken(), 22050, 2, loudness=loudness)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("ending", io.FORMATS)
@pytest.mark.parametrize("loudness", [True, False])
def test_a_full_disk_under_a_stream_leaves_nothing(tmp_path, ending, loudness):
    samples = swells(11.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(OSError, match=f"Could not write .*a{ending}.*nothing was saved"):
            saving.save_stream(tmp_path / f"a{ending}", pieces(samples, 65536), 22050, 2, loudness=loudness)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_what_can_be_wrong_is_found_before_the_work(tmp_path, monkeypatch):
    def never():
        raise AssertionError("work was done")
        yield

    for name, rate, channels, loudness, says in (
        ("a.xyz", 44100, 2, True, "ending '.xyz'"),
        ("a.mp3", 44000, 2, True, "44000 Hz"),
        ("a.flac", 44100, 9, False, "at most 8 channels"),
        ("a.wav", 44100, 2, 3.0, "between -70 and 0"),
        ("nowhere/a.wav", 44100, 2, True, "no folder"),
    ):
        with pytest.raises(ValueError, match=says):
            saving.save_stream(tmp_path / name, never(), rate, channels, loudness=loudness)
    saving.check_room(tmp_path / "a.wav", 1.0, 44100, 2)
    with pytest.raises(ValueError, match=r"1000000000 s of sound need about .* GiB are free"):
        saving.check_room(tmp_path / "a.wav", 1e9, 44100, 2)
    monkeypatch.setattr(io, "_MOST_WAV_BYTES", 10_000)
    with pytest.raises(ValueError, match="4 GiB"):
        Audio(swells(1.0), 22050).save(tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())


def test_blocks_of_an_array_are_its_samples():
    samples = torch.from_numpy(swells(7.0))
    blocks = ArrayBlocks(samples)
    assert np.array_equal(np.concatenate(list(blocks), axis=1), samples.numpy()) and len(list(blocks)) == 3
