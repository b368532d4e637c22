"""Files of checkpoints as people have them: pointers, pages, archives that swell, prefixes, configs out of hand."""

import json
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from clavilux.checkpoint_io import check_names, open_safetensors, read_json, read_tensors, read_torch, unwrapped_names
from clavilux.errors import CheckpointError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 2364426112\n"
WEIGHTS = {"decoder.a": torch.arange(6.0), "decoder.b": torch.ones(2, 2), "codec.c": torch.zeros(1)}


def refused(read, path) -> str:
    with pytest.raises(CheckpointError) as error:
        read(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["a.pt", "pytorch_model.bin", "vqvae.pth.tar", "model.safetensors", "config.json"])
def test_a_git_lfs_pointer_is_said_to_be_one(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(POINTER)
    said = refused(read_json if name == "config.json" else read_tensors, path)
    assert "is a Git LFS pointer, not the" in said and "git lfs pull" in said
    assert "(2,255 MiB)" in said and "code" not in said


def test_a_web_page_is_said_to_be_one(tmp_path):
    (tmp_path / "a.pt").write_text("\n<!DOCTYPE html><html><body>404</body></html>")
    assert "is a web page (HTML)" in refused(read_torch, tmp_path / "a.pt")


@pytest.mark.parametrize("reader", [read_tensors, read_torch, read_json])
def test_only_regular_files_are_read(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe.pt")
    assert "is a pipe" in refused(reader, tmp_path / "pipe.pt")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    assert "is a pipe, a device" in refused(reader, tmp_path / "zero.safetensors")
    assert "is missing" in refused(reader, tmp_path / "none.bin")
    (tmp_path / "empty.bin").touch()
    assert "is empty" in refused(reader, tmp_path / "empty.bin")


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module.{name}",
        lambda name: f"model.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"_orig_mod.module.model.{name}",
        lambda name: name.replace("decoder.", "decoder._orig_mod."),
        lambda name: name,
    ],
    ids=["compiled", "parallel", "held", "both", "all", "compiled inside", "plain"],
)
def test_the_prefix_of_a_wrapper_is_taken_off(tmp_path, wrapped):
    theirs = {wrapped(name): tensor for name, tensor in WEIGHTS.items()}
    save_file(theirs, tmp_path / "model.safetensors")
    torch.save(theirs, tmp_path / "a.pt")
    torch.save({"model": theirs, "epoch": 3}, tmp_path / "b.pt")
    save_file({name: theirs[name] for name in list(theirs)[:1]}, tmp_path / "model-1.safetensors")
    torch.save({name: theirs[name] for name in list(theirs)[1:]}, tmp_path / "model-2.bin")
    where = dict(zip(theirs, ["model-1.safetensors", "model-2.bin", "model-2.bin"], strict=True))
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    found = [
        read_tensors(tmp_path / "model.safetensors"),
        read_tensors(tmp_path / "a.pt"),
        read_torch(tmp_path / "b.pt")["model"],
        read_tensors(tmp_path / "model.safetensors.index.json"),
    ]
    for tensors in found:
        assert tensors.keys() == WEIGHTS.keys()
        assert all(torch.equal(tensors[name], tensor) for name, tensor in WEIGHTS.items())
    one = read_tensors(tmp_path / "model.safetensors", lambda names: [n for n in names if n.startswith("codec.")])
    assert one.keys() == {"codec.c"}


def test_a_prefix_that_is_the_layouts_own_or_not_everywhere_stays():
    janus = ["model.language_model.norm.weight", "model.vqmodel.encoder.x"]
    assert list(unwrapped_names(janus)) == janus
    assert list(unwrapped_names([f"model.{name}" for name in janus])) == janus
    some = ["module.a", "b"]
    assert list(unwrapped_names(some)) == some
    both = ["_orig_mod.a", "a"]
    assert list(unwrapped_names(both)) == both  # two of one name: nothing is dropped


def test_names_that_differ_are_listed_few_and_counted():
    with pytest.raises(CheckpointError) as error:
        check_names(["other"], [f"layer.{n:03}" for n in range(600)], "the file")
    expected = "the file: it lacks layer.000, layer.001, layer.002, layer.003, layer.004 and 595 more and has other"
    assert str(error.value) == expected


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """A pickle of 64 MB of one byte takes 64 kB when it is compressed: nothing of it is loaded."""
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 64_000_000)
    assert (tmp_path / "a.pt").stat().st_size < 100_000
    assert "that would become 61.0 MiB; PyTorch does not compress" in refused(read_torch, tmp_path / "a.pt")


def test_parts_that_lie_over_each_other_are_refused(tmp_path, monkeypatch):
    """A directory may name the same bytes a thousand times."""
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data", b"\0" * 100_000)
        archive.filelist *= 1000
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    assert "would become 95.4 MiB" in refused(read_torch, tmp_path / "a.pt")


def test_a_huge_directory_or_pickle_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    torch.save(WEIGHTS, path)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x05\x06")
    content[at + 12 : at + 16] = struct.pack("<L", 1 << 30)
    path.write_bytes(content)
    assert "the directory of its zip file" in refused(read_torch, path)
    torch.save(WEIGHTS, path)
    monkeypatch.setattr("clavilux.checkpoint_io._LARGEST_LISTING", 100)
    monkeypatch.setattr("clavilux.checkpoint_io._directory_bytes", lambda path: 0)
    assert "of pickled values beside its tensors" in refused(read_torch, path)


class Harmful:
    def __reduce__(self):
        return (os.system, ("true",))


@pytest.mark.parametrize("legacy", [True, False])
def test_pickles_are_told_apart(tmp_path, legacy):
    path = tmp_path / "a.pt"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=not legacy)
    assert read_torch(path).keys() == WEIGHTS.keys()
    torch.save({"a": Harmful()}, path, _use_new_zipfile_serialization=not legacy)
    assert "could run code, so it was not read" in refused(read_torch, path)
    for damaged in (b"no pickle at all", pickle.dumps(7)[:-1] + b"\xff", path.read_bytes()[:60]):
        path.write_bytes(damaged)
        said = refused(read_torch, path)
        assert said.endswith("is damaged, or was not saved by PyTorch"), said
    torch.save([1, 2], path)
    assert "holds a list" in refused(read_torch, path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\1\2", "it is shorter than any header, of 2 in all"),
        (struct.pack("<Q", 1 << 60) + b"{}", "its header would be 1,152,921,504,606,846,976 bytes long"),
        (struct.pack("<Q", 90) + b"{}" * 20, "its header would be 90 bytes long, of 48 in all"),
        (struct.pack("<Q", 4) + b"{,,}", "is damaged: its header is wrong"),
        (
            struct.pack("<Q", 57) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}  ' + b"\0" * 8,
            "is damaged: it is cut short",
        ),
    ],
)
def test_a_safetensors_header_is_not_believed(tmp_path, content, sentence):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert sentence in refused(read_tensors, path)
    with pytest.raises(CheckpointError), open_safetensors(path):
        pass


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "is no JSON: expecting property name"),
        (b"\xff{}", "byte 0 is no UTF-8 text"),
        (b"[]", "holds a JSON array; it should hold an object"),
        (b"null", "holds a JSON null; it should hold an object"),
        (b'{"a": 1' + b"0" * 400 + b"}", "a number of 401 digits"),
        (b'{"a": 1e999}', "the number 1e999, which is not finite"),
        (b'{"a": NaN}', "the number NaN, which is not finite"),
        (b'{"a": -Infinity}', "the number -Infinity, which is not finite"),
        (b'{"a": ' + b"[" * 200_000, "brackets are nested too deeply"),
    ],
    ids=range(9),
)
def test_configs_out_of_hand(tmp_path, text, sentence):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    assert sentence in refused(read_json, path)


def test_a_plain_config_is_read(tmp_path):
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"longest": 1000000000000000019884624838656, "eps": 1e-05}')
    assert read_json(tmp_path / "config.json") == {"longest": 1000000000000000019884624838656, "eps": 1e-05}
