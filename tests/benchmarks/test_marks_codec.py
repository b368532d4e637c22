"""The mark's benchmark of a codec's tokens: many pieces at once are what the detector says of each, wrong keys too."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import marks_codec
import toy_musicgen

from clavilux.mark_key import PUBLIC
from clavilux.marking import KeyedNoise, Place

GROUPS = 8


@pytest.fixture
def plain():
    return torch.randint(GROUPS, (5, 40), generator=torch.Generator().manual_seed(1))


def test_pieces_of_the_key_are_found_and_others_are_not(plain):
    noise = KeyedNoise(PUBLIC.word("toy"), GROUPS)
    marked = torch.stack([torch.stack([noise.at(nonce, Place(at)).argmax() for at in range(40)]) for nonce in (3, 9)])
    found = marks_codec.found_in(torch.cat([marked, plain]), "toy", GROUPS)  # which compares itself with the detector
    assert all(p < 1e-4 for p, _ in found[:2]) and all(p > 1e-3 for p, _ in found[2:])
    assert [tokens for _, tokens in found] == [40] * 7


def test_wrong_keys_are_tried_on_every_piece_and_kept(plain, tmp_path):
    sets = {"tokens": plain, "sound": plain[:2]}
    found = marks_codec.wrong_keys(sets, "toy", GROUPS, 6, tmp_path)
    assert [found[name]["0.5"]["of"] for name in sets] == [30, 12]
    assert found["sound"]["smallest p"] >= found["tokens"]["smallest p"] > 1e-4
    assert len(torch.load(tmp_path / "wrong.pt", weights_only=True)) == 6
    assert marks_codec.wrong_keys(sets, "toy", GROUPS, 6, tmp_path) == found


def test_vectors_move_to_what_they_stand_for():
    codec = torch.nn.Module()
    codec.quantizer = torch.nn.Module()
    codec.quantizer.vectors = torch.nn.ParameterList(torch.zeros(toy_musicgen.V, 4) for _ in range(2))
    codec.requires_grad_(False)
    means, chance = toy_musicgen._Means(codec, torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2)
    latent = torch.randn(4, 4, 200, generator=chance)
    errors = [float((means.learn(latent, first=step == 0) - latent).square().mean()) for step in range(8)]
    assert errors[-1] < errors[0] < 0.1 and codec.quantizer.vectors[0].abs().sum() > 0
    sound = torch.randn(2, 2048, generator=chance)
    assert toy_musicgen._distance(sound, sound) == 0 < toy_musicgen._distance(sound, -sound)
