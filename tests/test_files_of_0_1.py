"""What version 0.1 wrote is still read: a frozen file of each kind, through the public surface.

The files and `expected.json` are made by tests/goldens/make_files_of_0_1.py, with 0.1. `info` may say more than it did
then, and nothing else.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from commands import call
from make_files_of_0_1 import JOB, save_jukebox

import clavilux

FILES = Path(__file__).parent / "goldens" / "files_0_1"
EXPECTED = json.loads((FILES / "expected.json").read_text())


@pytest.fixture(scope="module")
def jukebox(tmp_path_factory):
    """The folder of the checkpoint that began the job."""
    return save_jukebox(tmp_path_factory.mktemp("files") / "jukebox")


@pytest.fixture
def job(tmp_path):
    """A copy of the job, since resuming writes into it."""
    return shutil.copytree(FILES / "song.job", tmp_path / "song.job")


def info(path):
    return json.loads(call("info", path, "--json").stdout)


def assert_holds(facts, expected):
    assert {name: facts.get(name) for name in expected} == expected


def test_every_kind_of_file_is_here():
    assert EXPECTED["version"] == "clavilux 0.1.0"
    names = {path.name for path in FILES.iterdir()}
    assert names == {"expected.json", "musicgen-int8", "song.job", *EXPECTED["media"], *EXPECTED["tokens"]}


@pytest.mark.parametrize("name", EXPECTED["media"])
def test_info_says_what_it_said(name):
    assert_holds(info(FILES / name), EXPECTED["media"][name])


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3"])
def test_songs_are_loaded(ending):
    song, wav = (clavilux.Audio.load(FILES / f"song.{end}") for end in (ending, "wav"))
    assert wav.samples.shape == (2, 4410) and wav.sample_rate == 44100 and wav.samples.abs().max() > 0.1
    if ending == "flac":
        torch.testing.assert_close(song.samples, wav.samples, atol=1e-4, rtol=0)  # rounded to 16 bits each
    else:  # lossy; both keep the length and most of the sound
        assert song.samples.shape == wav.samples.shape
        assert (song.samples - wav.samples).square().mean() < 0.1 * wav.samples.square().mean()


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_pictures_are_loaded_with_their_receipt(ending):
    picture, png = (clavilux.Picture.load(FILES / f"apple.{end}") for end in (ending, "png"))
    assert picture.receipt == EXPECTED["media"][f"apple.{ending}"]["receipt"] and not picture.remarks
    assert picture.receipt["prompt"] == "red apple" and picture.receipt["seed"] == 3
    assert picture.pixels.shape == (64, 64, 3)
    assert (picture.pixels.float() - png.pixels.float()).abs().mean() < 6
    red, green, _ = png.pixels.float().mean((0, 1))
    assert red > green + 20


def test_notes_are_played(tmp_path):
    call("play", FILES / "song.mid", "-o", tmp_path / "song.wav", "--no-loudness", "--quiet")
    song = clavilux.Audio.load(tmp_path / "song.wav")
    assert song.duration_s >= EXPECTED["media"]["song.mid"]["duration_s"] - 0.5 and song.samples.abs().max() > 0.01


def test_a_job_says_how_far_it_is(job):
    assert_holds(info(job), EXPECTED["job"]["facts"])


def test_a_job_goes_on_to_the_song_of_0_1(job, jukebox):
    """Greedy. What identifies the checkpoint, settings, what levels were drawn with and the tokens are all read."""
    told = []
    model = clavilux.load(jukebox, device="cpu", dtype="float32")
    (song,) = model.resume(job, progress=lambda *done: told.append(done))
    assert song.tokens.tolist() == EXPECTED["job"]["tokens"]
    assert song.samples.shape == (1, 2000) and song.samples.std() > 0 and song.receipt["seed"] == JOB["seed"]
    drawn_then, steps = 16 + 24, 16 + 64 + 256
    assert len(told) == steps - drawn_then + 1, "tokens that the job holds were drawn again"


def test_a_job_goes_on_at_the_command_line(job, jukebox, tmp_path):
    resume = ("resume", job, "--model", jukebox, "--levels", "2", "--device", "cpu", "--quiet")
    call(*resume, "-o", tmp_path / "song.wav")
    assert clavilux.Audio.load(tmp_path / "song.wav").duration_s == JOB["seconds"]
    assert info(job)["level_1"] == "64 of 64 tokens"


@pytest.mark.parametrize("name", EXPECTED["tokens"])
def test_tokens_are_decoded(name, jukebox, tmp_path):
    expected = EXPECTED["tokens"][name]
    assert_holds(info(FILES / name), expected["facts"])
    codec = (
        ["--codec", jukebox, "--level", "1"] if name == "vqvae.safetensors" else ["--codec", FILES / "musicgen-int8"]
    )
    call("decode", FILES / name, *codec, "-o", tmp_path / "sound.wav", "--quiet")
    sound = clavilux.Audio.load(tmp_path / "sound.wav")
    assert sound.samples.shape == (1, expected["num_samples"]) and sound.samples.std() > 0


def test_tokens_begin_a_song(jukebox):
    expected = EXPECTED["tokens"]["vqvae.safetensors"]["tokens"]
    model = clavilux.load(jukebox, device="cpu", dtype="float32")
    song = model.generate(tokens=FILES / "vqvae.safetensors", seconds=15, levels=2, seed=1)
    assert song.tokens[:, : len(expected[0])].tolist() == expected and song.tokens.shape[1] > len(expected[0])


def test_an_int8_copy_is_loaded():
    pytest.importorskip("transformers")
    assert info(FILES / "musicgen-int8")["weights"] == "int8"
    expected = EXPECTED["int8"]
    model = clavilux.load(FILES / "musicgen-int8", device="cpu", dtype="float32")
    song = model.generate(expected["prompt"], seconds=expected["seconds"], temperature=0, seed=1)
    assert song.tokens.tolist() == expected["tokens"]
    assert song.samples.shape == (1, 1600) and song.samples.std() > 0
