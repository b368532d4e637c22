"""Whether a render fits is said before anything is loaded."""

import psutil
import pytest
import torch

from clavilux import memory


def test_the_bundled_composer_needs_little_but_its_sound():
    short, long = memory.needed_bytes("aria", None), memory.needed_bytes("aria", 3600)
    assert 20e6 < short < 200e6 and 2e9 < long < 4e9
    memory.check_fits("aria", 20)


def test_what_cannot_fit_is_refused_with_both_numbers(musicgen, monkeypatch):
    folder, _ = musicgen("mono")
    short, long = (memory.needed_bytes(folder, seconds, device="cpu") for seconds in (1, 100))
    assert 0 < short < long
    assert memory.needed_bytes(folder, 1, dtype="int8", device="cpu") == short  # loading passes through float32
    memory.check_fits(folder, 1, device="cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda device: short)
    memory.check_fits(folder, 1, device="cpu")
    with pytest.raises(ValueError, match=r"1 piece of 100 s with .* needs about .* GiB; .* GiB are free"):
        memory.check_fits(folder, 100, device="cpu")


def test_what_is_no_length_is_said_before_what_it_would_take(musicgen):
    for seconds in (0, -1, float("nan"), 1e9):
        with pytest.raises(ValueError, match="it should be above 0 and at most 3600"):
            memory.check_fits(musicgen("mono")[0], seconds, device="cpu")


def test_this_machine_says_what_is_free(monkeypatch):
    """On Linux, macOS and Windows alike; without /proc there is no check instead of an error."""
    assert 2**20 < memory.free_bytes("cpu") <= psutil.virtual_memory().total

    def hidden():
        raise FileNotFoundError(2, "No such file or directory", "/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", hidden)
    assert memory.free_bytes("cpu") is None
    memory.check_fits("aria", 20)


def test_on_a_gpu_weights_are_in_16_bits(musicgen, llamagen, monkeypatch):
    """As "auto" has them there, and with them most of what stands around the decoder."""
    monkeypatch.setattr(memory, "device_named", torch.device)
    for source, length in ((musicgen("mono")[0], 1), (llamagen / "c2i_T_256.pt", 8)):
        usual, plain = (
            memory.needed_bytes(source, length, dtype=dtype, device="cuda") for dtype in ("auto", "float32")
        )
        assert usual == memory.needed_bytes(source, length, dtype="bfloat16", device="cuda") < plain
        assert memory.needed_bytes(source, length, dtype="float32", device="cpu") == plain
    [one, two] = (memory.needed_bytes(llamagen / "c2i_T_256.pt", size, device="cuda") for size in (256, 384))
    assert two - one == pytest.approx(2 * 900 * (384**2 - 2 * 256**2))  # a small picture's graph keeps what it computes
