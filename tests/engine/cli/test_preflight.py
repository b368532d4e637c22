"""What a config tells is said before any weights are read, in the words that the model would use."""

import json
import shutil

import pytest
from commands import refuse
from jukebox_goldens import save_toy

import clavilux
from clavilux.checkpoint import PRETRAINED, find
from clavilux.cli import preflight


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    monkeypatch.setattr(clavilux, "load", lambda *_, **__: pytest.fail("it was loaded"))


@pytest.fixture
def config_alone(musicgen, tmp_path):
    """config_alone(kind): a MusicGen's folder without its weights."""

    def make(kind):
        folder = tmp_path / kind
        shutil.copytree(musicgen(kind)[0], folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
        return folder

    return make


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--temperature", "-1"], "--temperature is -1"),
        (["--top-p", "0"], "--top-p is 0"),
        (["--top-k", "-3"], "--top-k is -3"),
        (["--guidance", "nan"], "--guidance is nan"),
        (["--seed", str(2**70)], str(2**70)),
        (["--batch", "65"], "--batch is 65"),
        (["--key", "Q flat"], "Q flat"),
        (["--chords", "C H#"], "H#"),
        (["--metre", "7/0"], "metre"),
        (["--style", "polka metal"], "style"),
        (["--tempo", "10000"], "--tempo is 10000"),
        (["--seconds", "-5"], "--seconds is -5"),
        (["--lyrics", "la"], "aria does not take lyrics; it takes"),
    ],
)
def test_a_song_that_aria_would_refuse(options, sentence, tmp_path):
    assert sentence in refuse("render", "waltz", "-o", tmp_path / "a.wav", *options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--temperature", "-1"], "--temperature is -1"),
        (["--guidance", "1:x"], "--guidance is '1:x'"),
        (["--size", "100000"], "--size is 100000"),
        (["--class", "3"], "lumia does not take --class"),
        (["--seeds", f"1,{2**70}"], str(2**70)),
    ],
)
def test_a_picture_that_lumia_would_refuse(options, sentence, tmp_path):
    assert sentence in refuse("paint", "red apple", "-o", tmp_path / "a.png", *options)


@pytest.mark.parametrize("written", [["--midi", "notes.mid"], ["-o", "notes.mid"]])
def test_notes_that_a_family_does_not_write(config_alone, tmp_path, monkeypatch, written):
    monkeypatch.chdir(tmp_path)
    said = refuse("render", "rain", "--model", config_alone("mono"), *written)
    assert said.startswith("'notes.mid' would hold notes") and "those that write notes: aria" in said
    assert not (tmp_path / "song.wav").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--padding", "none"], "padding is 'none'"),
        (["--window", "-1"], "--window is -1"),
        (["--melody", "a.wav"], "mono does not take melody"),
        (["--key", "C"], "mono does not take key"),
    ],
)
def test_a_song_that_musicgen_would_refuse(config_alone, options, sentence, monkeypatch):
    monkeypatch.setattr("clavilux.cli.inputs.check", lambda *_: None)
    monkeypatch.setattr("clavilux.cli.inputs.remarks_on", lambda *_: [])
    assert sentence in refuse("render", "rain", "--model", config_alone("mono"), *options)


@pytest.mark.parametrize("layout", ["transformers", "original"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--artist", "Nobody"], "the artist 'Nobody' is a name, and no labels are given"),
        (["--artist", "7"], "the artist is number 7; the prior of level 2 knows 0 to 6"),
        (["--genre", "polka"], "the genre 'polka' is a name, and no labels are given"),
        (["--lyrics", "la la"], "lyrics are given; "),
        (["--levels", "4"], "--levels is 4"),
        (["--hop", "0"], "the hop is 0.0"),
        (["--temperatures", "1,-1,1"], "--temperature is -1.0"),
    ],
)
def test_a_song_that_jukebox_would_refuse(layout, options, sentence, tmp_path):
    folder = save_toy(tmp_path / "toy", layout)
    assert refuse("render", "--model", folder, "-o", tmp_path / "a.wav", *options).startswith(sentence)


@pytest.mark.parametrize(("command", "name"), [("render", "aria"), ("paint", "lumia")])
def test_a_copy_of_a_bundled_model_refuses_what_it_does_not_understand(command, name, tmp_path):
    (tmp_path / "copy").mkdir()
    shutil.copy(PRETRAINED / name / "config.json", tmp_path / "copy")
    assert refuse(command, "xyzzy", "--model", tmp_path / "copy").startswith("not understood: 'xyzzy' names no")


@pytest.mark.parametrize("command", ["render", "paint"])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_pointer_is_said_to_be_one_whatever_is_to_be_made(command, name, tmp_path):
    pointer = tmp_path / name
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    assert "is a Git LFS pointer, not the weights" in refuse(command, "", "--model", pointer)


def test_files_are_looked_at_before_a_model_is(tmp_path):
    assert "there is no file" in refuse("render", "--melody", tmp_path / "a.wav", "--model", "no/such-model")


def test_what_can_be_made_passes(config_alone):
    preflight.check_song(find("aria"), "waltz", 20.0, {"key": "G minor", "batch": 2, "seed": [1, 2]}, ["a.mid"])
    preflight.check_song(find(config_alone("melody")), "rain", 5.0, {"melody": "a.wav", "padding": "unmasked"})
    preflight.check_picture(find("lumia"), 64, {"seed": 3, "guidance": "1:7.5"})


def test_whole_numbers_of_a_generation_config_may_be_written_with_a_point(config_alone):
    from clavilux.families.musicgen import transformers_layout

    folder = config_alone("mono")
    path = folder / "generation_config.json"
    generation = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(generation | {"top_k": 50.0}))
    config = json.loads((folder / "config.json").read_text())
    top_k = transformers_layout.describe(folder, config).sampling.top_k
    assert top_k == 50 and type(top_k) is int
    path.write_text(json.dumps(generation | {"top_k": 50.5}))
    with pytest.raises(clavilux.CheckpointError, match=r"top_k is 50\.5"):
        transformers_layout.describe(folder, config)
