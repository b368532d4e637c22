"""The picture benchmark's plain loop paints what the engine paints; a loop that differs is not timed."""

import pytest
import torch
from benchmark_scripts import imported

from clavilux.bench.suite import Mismatch
from clavilux.image.codecs.vq import VQ, VQSpec


@pytest.fixture(scope="module")
def script():
    return imported("pictures")


@pytest.fixture(scope="module")
def codec():
    """As many tokens and pixels a token as the real one, but small."""
    return VQ(VQSpec(latent_channels=8, base_channels=8, multipliers=(1,) * 5, residual_blocks=1, norm_groups=4)).eval()


def test_both_sides_paint_the_same(script, codec):
    tensors = script.random_checkpoint("b", 64, layers=1)
    device = torch.device("cpu")
    ours = script.painter(tensors, codec, device, "float32")
    plain = script.PlainLoop(tensors, codec, device, torch.float32)
    assert script.compare(ours, plain) == 16
    tokens, pixels = plain.paint(3, 2, scale=4.0, top_k=50)
    assert tokens.shape == (2, 16) and pixels.shape == (2, 3, 64, 64)
    plain.turns.mul_(0.9)
    with pytest.raises(Mismatch, match="greedy tokens are those of the plain loop"):
        script.compare(ours, plain)
