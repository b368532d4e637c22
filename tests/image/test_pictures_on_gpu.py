"""What a GPU does to a picture codec, shown on a CPU: the same bits replayed, and little lost in half precision."""

import copy

import pytest
import torch
from rerun import captured_here

from clavilux.image.codecs import decoding
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.image.codecs.vq import VQ, VQSpec


def vq():
    torch.manual_seed(5)
    spec = VQSpec(vocabulary=40, embedding_width=4, latent_channels=32, base_channels=32, multipliers=(1, 2, 2))
    codec = VQ(spec).requires_grad_(False).eval()
    codec.decoder.conv_out.weight.mul_(3)
    return codec


def residual():
    torch.manual_seed(6)
    return ResidualVQ(ResidualVQSpec(vocabulary=40)).requires_grad_(False).eval()


CODECS = pytest.mark.parametrize("make", [vq, residual])


def tokens_of(codec, side):
    generator = torch.Generator().manual_seed(side)
    return torch.randint(codec.vocabulary, (1, codec.codebooks, side * side), generator=generator)


@CODECS
def test_a_replayed_picture_has_the_same_bits(make, monkeypatch):
    codec = make()
    pictures = [tokens_of(codec, 4), tokens_of(codec, 4).flip(2), tokens_of(codec, 4).roll(3, 2)]
    exact = [codec.decode(tokens) for tokens in pictures]
    counted = captured_here(monkeypatch)
    with torch.inference_mode():
        found = [codec.decode(tokens) for tokens in pictures]
    assert all(torch.equal(a, b) for a, b in zip(found, exact, strict=True))
    assert counted.replays == 2 and codec._captured.num_graphs == 1
    codec.decode(tokens_of(codec, 4), rows=2)
    assert codec._captured.num_graphs == 1  # another shape, once
    monkeypatch.setattr(decoding, "MOST_CAPTURED", (4 * codec.downsampling) ** 2 - 1)
    assert torch.equal(codec.decode(pictures[0]), exact[0])
    assert counted.replays == 2


@CODECS
def test_half_precision_costs_little(make):
    codec = make()
    tokens, pixels = tokens_of(codec, 6), torch.rand(1, 3, 48, 48) * 2 - 1
    exact, encoded = codec.decode(tokens), codec.encode(pixels)
    assert codec.decode_in_half()
    given = codec.decode(tokens)
    assert given.dtype == torch.float32
    assert 20 * float((exact.norm() / (given - exact).norm()).log10()) > 45
    levels = (given - exact).abs() * 127.5  # of 255
    assert 0 < float(levels.mean()) < 0.3 and float(levels.max()) < 4
    assert torch.equal(codec.encode(pixels), encoded)


@CODECS
def test_what_leaves_the_range_is_painted_in_float32(make, monkeypatch):
    codec = make()
    first = codec.decoder.conv_in if make is vq else codec.decoder[0]
    first.weight.mul_(3e4)
    first.bias.fill_(6e4)
    tokens = tokens_of(codec, 4)
    exact = codec.decode(tokens)
    captured_here(monkeypatch)
    assert codec.decode_in_half()
    places = tokens.unflatten(2, (4, 4))
    assert codec._clipped(places[:, 0] if make is vq else places).isnan().any()
    for _ in range(3):
        with torch.inference_mode():
            given = codec.decode(tokens)
        assert float((given - exact).abs().max()) < 0.02 and codec.decoding_dtype == torch.float16
    assert torch.equal(copy.deepcopy(codec).decode(tokens), given)
