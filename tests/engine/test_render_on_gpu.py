"""A render as on a GPU, on a CPU: codec and text encoder in half precision, decodes replayed."""

import numpy as np
import pytest
import torch
from rerun import captured_here

import clavilux
from clavilux import precision
from clavilux.families.musicgen import family


@pytest.fixture
def replays(monkeypatch):
    """16 bits around the decoder, and captures; the class that counts what is replayed."""
    monkeypatch.setattr(precision, "halves", lambda device, dtype: dtype != "float32")
    return captured_here(monkeypatch)


def test_a_song_sounds_as_its_tokens_do_in_float32(musicgen, monkeypatch):
    folder, _ = musicgen("mono")
    plain = clavilux.load(folder, device="cpu")
    monkeypatch.setattr(precision, "halves", lambda device, dtype: dtype != "float32")
    monkeypatch.setattr(family, "PIECE_S", 0.1)
    counted = captured_here(monkeypatch)
    model = clavilux.load(folder, device="cpu")
    codec = model.family.codec
    assert codec.decoding_dtype == torch.float16 and codec.weight.dtype == torch.float32
    songs = [model.generate("slow church organ", seconds=0.45, seed=3) for _ in range(2)]
    assert counted.replays > 1 and codec._captured.num_graphs > 0
    assert torch.equal(songs[0].samples, songs[1].samples)  # the second one's pieces are all replayed
    exact = plain.decode(songs[0].tokens).samples[:, : songs[0].samples.shape[1]]
    error = (songs[0].samples - exact).norm() / exact.norm()
    assert 1e-5 < float(error) < 5e-3
    streamed = torch.cat([piece.samples for piece in model.stream("slow church organ", seconds=0.45, seed=3)], 1)
    assert torch.equal(streamed[:, : exact.shape[1]], songs[0].samples)
    assert clavilux.load(folder, device="cpu", dtype="float32").family.codec.decoding_dtype == torch.float32


def test_a_recording_is_continued_with_the_tokens_of_float32(musicgen, monkeypatch):
    folder, _ = musicgen("mono")
    sound = clavilux.Audio(0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(1)), 16000)
    exact = clavilux.load(folder, device="cpu").encode(sound)
    monkeypatch.setattr(precision, "halves", lambda device, dtype: True)
    model = clavilux.load(folder, device="cpu")
    assert torch.equal(model.encode(sound), exact)
    song = model.generate("rain", seconds=1.2, seed=1, continue_from=sound)
    assert torch.equal(song.tokens[:, : exact.shape[1]], exact)


def test_pictures_differ_by_a_level_at_most(llamagen, replays):
    model = clavilux.load(llamagen / "c2i_T_256.pt", device="cpu")
    exact = clavilux.load(llamagen / "c2i_T_256.pt", device="cpu", dtype="float32")
    pictures = [model.generate(class_id=2, seed=seed, size=8) for seed in (1, 2, 3)]
    assert replays.replays == 2  # all but the first
    for picture in pictures:
        pixels = exact.decode(picture.tokens).pixels.numpy().astype(np.int64)
        assert np.abs(picture.pixels.numpy() - pixels).max() <= 1
    assert len({picture.pixels.numpy().tobytes() for picture in pictures}) == 3


def test_the_bundled_painter_decodes_so_too(replays):
    model, exact = clavilux.load("lumia", device="cpu"), clavilux.load("lumia", device="cpu", dtype="float32")
    assert model.family.stage.codec.decoding_dtype == torch.float16
    picture = model.generate("red apple", seed=1)
    differences = (picture.pixels.int() - exact.decode(picture.tokens).pixels.int()).abs()
    assert int(differences.max()) <= 1
