"""The mark in what families with a codec draw: their first codebook's tokens fit the key, and others do not."""

import json
import shutil

import pytest
import torch
from marked_draws import assert_marked
from safetensors.torch import load_file, save_file

import clavilux
from clavilux.mark_key import PUBLIC, read_key
from clavilux.marking import PAINTED_KIND, Place
from clavilux.provenance.mark import find_in_tokens


@pytest.fixture
def with_vectors(musicgen, tmp_path):
    """make(kind) -> a toy MusicGen whose codec has vectors: the library begins with zeros, which are one cluster."""

    def make(kind):
        shutil.copytree(musicgen(kind)[0], tmp_path, dirs_exist_ok=True)
        tensors, chance = load_file(tmp_path / "model.safetensors"), torch.Generator().manual_seed(1)
        for name in sorted(tensors):
            if name.endswith("codebook.embed"):
                tensors[name] = torch.randn(tensors[name].shape, generator=chance)
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return clavilux.load(tmp_path)

    return make


@pytest.mark.parametrize("kind", ["mono", "stereo"])
def test_musicgens_tokens_carry_it_and_its_detector_finds_it(with_vectors, kind):
    model = with_vectors(kind)
    assert_marked(model, "slow rain", seeds=(3, 300), seconds=0.12)
    marked = model.family.marked
    found = []
    for mark in (True, False):
        song = model.generate("slow rain", seconds=0.2, seed=3, mark=mark)
        groups = marked.groups[song.tokens[0]].tolist()
        places = [Place(at) for at in range(len(groups))]
        found.append(find_in_tokens(PUBLIC, marked.kind, [(groups, places)], marked.num_groups).p)
    assert found[0] < 1e-6 and found[1] > 1e-3


def test_llamagens_tokens_carry_it(llamagen):
    assert_marked(clavilux.load(llamagen), seeds=range(6), class_id=3)


def test_a_private_key_is_in_nothing_that_is_made(tmp_path):
    model, key = clavilux.load("lumia"), tmp_path / "own.key"
    made = model.generate("red apple", seed=1, temperature=1.0, mark=key)
    made.save(tmp_path / "apple.png")
    secret = key.read_text().strip()
    spec = model._sampling_spec([dict(made.receipt)], mark=key)
    shown = [json.dumps(made.receipt), repr(spec), repr(made), str(vars(made))]
    held = (tmp_path / "apple.png").read_bytes()
    for form in (secret, str(spec.mark.key), str(read_key(key).word(PAINTED_KIND))):
        assert not any(form in text for text in shown)
        assert form.encode() not in held and bytes.fromhex(secret) not in held
    assert made.receipt["mark"] == {"key": made.receipt["mark"]["key"]} and len(made.receipt["mark"]["key"]) == 8
