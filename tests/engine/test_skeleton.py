"""Skeletons: modules without values, made without the machinery that would compute them."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from clavilux.decoder import Decoder, DecoderSpec
from clavilux.skeleton import skeletons

SIZES = {
    "vocabulary": 8, "width": 16, "layers": 1, "heads": 2, "head_dim": 8, "ffn_width": 32, "max_positions": 16,
}  # fmt: skip
MADE = {
    "decoders": (
        "from clavilux.decoder import Decoder, DecoderSpec\n"
        f"specs = [DecoderSpec(**{SIZES}, positions=name) for name in ('learned', 'sinusoidal', 'rope')]\n"
        "make = [lambda spec=spec: Decoder(spec) for spec in specs]\n"
    ),
    "codecs of sound": (
        "from clavilux.audio.codecs.dac import Dac, DacSpec\n"
        "from clavilux.audio.codecs.encodec import Encodec, EncodecSpec\n"
        "from clavilux.audio.codecs.vqvae import VQVAE, VQVAESpec\n"
        "make = [lambda: Dac(DacSpec()), lambda: Encodec(EncodecSpec()), lambda: VQVAE(VQVAESpec())]\n"
    ),
    "codecs of pictures": (
        "from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec\n"
        "from clavilux.image.codecs.vq import VQ, VQSpec\n"
        "make = [lambda: ResidualVQ(ResidualVQSpec()), lambda: VQ(VQSpec())]\n"
    ),
}


@pytest.mark.parametrize("what", MADE)
def test_the_compiler_is_not_imported_for_a_skeleton(what):
    program = (
        f"{MADE[what]}import sys\nfrom clavilux.skeleton import skeletons\n"
        "with skeletons():\n    made = [each() for each in make]\n"
        "assert all(p.is_meta for module in made for p in module.parameters())\n"
        "found = {'torch._dynamo', 'sympy'} & set(sys.modules)\n"
        "sys.exit(f'imported {found}' if found else 0)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert run.stderr.strip() == ""


def test_values_are_left_out_inside_alone():
    with skeletons():
        outside, skeleton = torch.ones(3, device="cpu"), nn.Embedding(3, 4)
        nn.init.zeros_(outside)
        assert torch.equal(outside.fill_(2.0), torch.full((3,), 2.0, device="cpu"))
    assert skeleton.weight.is_meta and skeleton.weight.shape == (3, 4)
    real = nn.Embedding(3, 4)
    assert not real.weight.is_meta and real.weight.std() > 0


def test_a_skeleton_with_weights_is_the_decoder_that_they_came_from():
    decoder = Decoder(DecoderSpec(**SIZES, positions="rope"))
    copy = Decoder.from_weights(decoder.spec, decoder.state_dict())
    tokens = torch.tensor([[[1, 5, 2]]])
    with torch.inference_mode():
        assert torch.equal(copy(tokens), decoder(tokens))
