import contextlib
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from clavilux.audio import io, reading
from clavilux.files import atomic_path, check_target

ENDINGS = sorted(io.FORMATS)


def tone(seconds=0.5, rate=44100, channels=2):
    time = torch.arange(round(seconds * rate)) / rate
    return torch.stack([0.4 * torch.sin(2 * torch.pi * 440 * (1 + c) * time) for c in range(channels)])


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1), (48000, 2)])
def test_what_is_written_is_read(tmp_path, ending, rate, channels):
    samples = tone(rate=rate, channels=channels)
    io.write(tmp_path / f"a{ending}", samples, rate)
    sound = reading.read(tmp_path / f"a{ending}")
    found, found_rate = sound.samples, sound.sample_rate
    assert found_rate == rate and found.dtype == torch.float32 and found.shape[0] == channels
    if ending in (".wav", ".flac"):
        assert found.shape == samples.shape and (found - samples).abs().max() < 2 / 32768
    else:
        spectrum = [np.abs(np.fft.rfft(x[0, 4000:16000].numpy())) for x in (found, samples)]
        assert np.argmax(spectrum[0]) == np.argmax(spectrum[1])


@pytest.mark.parametrize(("rate", "channels"), [(96000, 6), (7350, 3)])
def test_unusual_rates_and_channels(tmp_path, rate, channels):
    samples = tone(0.1, rate, channels)
    io.write(tmp_path / "a.wav", samples, rate)
    sound = reading.read(tmp_path / "a.wav")
    found, found_rate = sound.samples, sound.sample_rate
    assert found_rate == rate and (found - samples).abs().max() < 2 / 32768


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_samples_give_the_same_bytes(ending):
    payload = io.encode(tone(), 44100, ending, comment="a tone")
    # libsndfile seeds the Ogg serial number by the clock: a second process would show another one.
    assert payload == io.encode(tone(), 44100, ending, comment="a tone")
    if ending == ".ogg":
        assert payload[14:18] == io.OGG_SERIAL.to_bytes(4, "little")


@pytest.mark.parametrize("ending", ENDINGS)
def test_comments(tmp_path, ending):
    io.write(tmp_path / f"a{ending}", tone(), 44100, comment="für Elise")
    assert reading.read(tmp_path / f"a{ending}").comment == "für Elise"


def test_values_beyond_full_scale_are_clipped_not_wrapped(tmp_path):
    io.write(tmp_path / "a.wav", torch.tensor([[2.0, -2.0, 0.5]]), 44100)
    assert torch.allclose(reading.read(tmp_path / "a.wav").samples, torch.tensor([[1.0, -1.0, 0.5]]), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "samples", "rate", "says"),
    [
        ("a.xyz", tone(), 44100, "ending '.xyz'"),
        ("a", tone(), 44100, "no ending"),
        ("a.mp3", tone(), 44000, "44000 Hz"),
        ("a.mp3", tone(channels=3), 44100, "at most 2 channels"),
        ("a.wav", torch.full((1, 5), float("nan")), 44100, "NaN"),
        ("a.wav", torch.zeros(1, 0), 44100, "at least one"),
        ("a.wav", tone(), 0, "0"),
        ("a.wav", tone(), 44100.5, "whole number"),
        ("nowhere/a.wav", tone(), 44100, "no folder"),
    ],
)
def test_bad_arguments_leave_nothing(tmp_path, name, samples, rate, says):
    with pytest.raises(ValueError, match=says):
        io.write(tmp_path / name, samples, rate)
    assert not list(tmp_path.iterdir())


def test_wrong_types(tmp_path):
    with pytest.raises(TypeError, match="list"):
        io.write(tmp_path / "a.wav", [0.0], 44100)
    with pytest.raises(TypeError, match="int16"):
        io.write(tmp_path / "a.wav", torch.zeros(1, 4, dtype=torch.int16), 44100)


def test_places_that_are_no_files(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(ValueError, match="not a regular file"):
        io.write(tmp_path / "folder.wav", tone(), 44100)
    with pytest.raises(ValueError, match="not a regular file"):
        check_target("/dev/null")


def test_unwritable_folder(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    if os.geteuid() == 0:  # root may write anywhere, so the system's answer is put in its mouth
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="not writable"):
        io.write(tmp_path / "a.wav", tone(), 44100)


@contextlib.contextmanager
def files_of_at_most_4000_bytes():
    """What a full disk does: the beginning of a file is written, then the system refuses.

    The limit holds for the whole process, so it stands around the write alone: a test report may go to a file
    as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_the_old_file(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="Could not write") as caught, files_of_at_most_4000_bytes():
        io.write(path, torch.rand(2, 40000) - 0.5, 44100)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_path(path) as temporary:  # noqa: PT012  the write is cut off in its middle
        temporary.write_bytes(b"half")
        assert temporary.parent == tmp_path and temporary.suffix == ".wav"
        raise error
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_after_kill_9_the_next_save_cleans_up(tmp_path):
    path = tmp_path / "a.wav"
    code = (
        "import os, sys; from clavilux.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t: t.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
    assert not path.exists() and len(list(tmp_path.iterdir())) == 1
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"whole")
        with atomic_path(path) as second:  # a running process's file is left alone
            second.write_bytes(b"other")
        assert temporary.exists()
    assert path.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    io.write(tmp_path / "link.wav", tone(), 44100)
    assert (tmp_path / "link.wav").is_symlink() and (tmp_path / "real.wav").stat().st_size > 1000
