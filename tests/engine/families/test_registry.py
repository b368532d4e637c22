"""Which checkpoint a folder is."""

import json
import os
import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
from commands import call

import clavilux
from clavilux.checkpoint import PRETRAINED
from clavilux.errors import CheckpointError
from clavilux.families.registry import detect, folder_of_file, needed


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"model_type": "musicgen"}, "musicgen"),
        ({"model_type": "musicgen_melody"}, "musicgen"),
        ({"family": "aria"}, "aria"),
    ],
)
def test_a_config_tells_the_family(tmp_path, config, family):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert detect(tmp_path) == (family, config)


def test_audiocraft_is_told_by_its_files_and_comes_second(tmp_path):
    for name in ("state_dict.bin", "compression_state_dict.bin"):
        (tmp_path / name).touch()
    assert detect(tmp_path) == ("audiocraft", {})
    (tmp_path / "config.json").write_text('{"model_type": "musicgen"}')
    assert detect(tmp_path)[0] == "musicgen"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no checkpoint that is understood; understood are .*musicgen.*state_dict.bin"),
        ({"config.json": '{"model_type": "llama"}'}, "model_type is 'llama'; understood are"),
        ({"config.json": '{"model_type": ["musicgen"]}'}, "model_type is"),
        ({"config.json": '{"a": 1}'}, "it has no model_type"),
        ({"config.json": "[]"}, "holds a JSON array"),
        ({"config.json": "{"}, "is no JSON"),
        ({"state_dict.bin": ""}, "no compression_state_dict.bin"),
        ({"compression_state_dict.bin": ""}, "no state_dict.bin"),
    ],
)
def test_what_is_not_understood(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        detect(tmp_path)


def test_one_copy_of_the_weights_is_enough():
    small = ["README.md", "config.json", "generation_config.json", "tokenizer.json"]
    audiocraft = ["compression_state_dict.bin", "state_dict.bin"]
    torch_files = ["pytorch_model.bin"]
    assert needed([*small, *audiocraft, *torch_files, "model.safetensors"]) == [*small, "model.safetensors"]
    assert needed([*small, *audiocraft, *torch_files]) == [*small, *torch_files]
    assert needed([*small, *audiocraft]) == [*small, *audiocraft]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = "model.safetensors.index.json"
    assert sorted(needed([*small, *shards, index, *torch_files])) == sorted([*small, index, *shards])


@pytest.mark.parametrize("online", [True, False])
def test_a_hub_id_is_downloaded_or_taken_from_the_cache(tmp_path, monkeypatch, online):
    asked = []

    def listed(self, name, **options):
        if not online:
            raise ConnectionError
        names = ["config.json", "model.safetensors", "pytorch_model.bin"]
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])

    def downloaded(name, **options):
        asked.append((name, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", listed)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", downloaded)
    with pytest.raises(CheckpointError, match="holds no checkpoint that is understood"):
        clavilux.load("owner/name")
    options = {"allow_patterns": ["config.json", "model.safetensors"]} if online else {"local_files_only": True}
    assert asked == [("owner/name", options)]


def test_one_render_asks_the_hub_once(tmp_path, monkeypatch):
    """What it makes, whether it fits and loading all need the files."""
    folder = shutil.copytree(PRETRAINED / "aria", tmp_path / "aria")
    asked = []

    def listed(self, name, **options):
        asked.append(f"what is in {name}")
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=path.name) for path in folder.iterdir()])

    def downloaded(name, **options):
        asked.append(f"files of {name}")
        return str(folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", listed)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", downloaded)
    call("render", "waltz", "--seconds", 1, "--model", "owner/name", "-o", tmp_path / "song.wav")
    assert asked == ["what is in owner/name", "files of owner/name"]
    assert (tmp_path / "song.wav").exists()


def test_a_pipe_stands_for_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "c2i_B_256.pt")
    with pytest.raises(CheckpointError, match="is a pipe, a device or a socket; give the path of a checkpoint"):
        clavilux.load(tmp_path / "c2i_B_256.pt")


def test_a_file_stands_for_the_folder_that_it_is_read_from(tmp_path):
    for name in ("config.json", "model.safetensors", "state_dict.bin", "compression_state_dict.bin", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "config.json").write_text('{"model_type": "musicgen"}')
    for name in ("config.json", "model.safetensors"):
        assert folder_of_file(tmp_path / name) == tmp_path
    for name in ("state_dict.bin", "tokenizer.json"):
        with pytest.raises(CheckpointError, match=rf"{name}' is not what is read .*\(config.json, model.safetensors\)"):
            folder_of_file(tmp_path / name)
    (tmp_path / "config.json").unlink()
    assert folder_of_file(tmp_path / "state_dict.bin") == tmp_path  # now the folder is audiocraft's
    (tmp_path / "state_dict.bin").unlink()
    with pytest.raises(CheckpointError, match=r"model.safetensors' belongs to no checkpoint: .* state_dict.bin"):
        folder_of_file(tmp_path / "model.safetensors")


def test_shards_and_their_index_stand_for_their_folder(tmp_path):
    index, shard = "model.safetensors.index.json", "model-00001-of-00001.safetensors"
    for name in (index, shard):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text('{"model_type": "musicgen"}')
    assert [folder_of_file(tmp_path / name) for name in (index, shard)] == [tmp_path] * 2
