"""The residual picture codec: what its tokens say, in which order, and what it refuses."""

import pytest
import torch

from clavilux.image.codecs import Codec
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec, from_weights

SPEC = ResidualVQSpec(
    codebooks=3, vocabulary=16, embedding_width=8, encoder=(8, 8, 16), decoder=(8, 16, 16),
    decoder_blocks=(1, 1, 1), norm_groups=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    return ResidualVQ(SPEC).requires_grad_(False).eval()


def test_shapes_both_ways(codec):
    assert isinstance(codec, Codec) and codec.downsampling == 8
    pixels = torch.rand(2, 3, 16, 24) * 2 - 1
    tokens = codec.encode(pixels)
    assert tokens.shape == (2, 3, 6) and tokens.dtype == torch.int64 and 0 <= tokens.min() <= tokens.max() < 16
    painted = codec.decode(tokens, rows=2)
    assert painted.shape == pixels.shape and painted.abs().max() <= 1


def test_each_codebook_quantises_what_those_before_it_left(codec):
    latent = codec.latent(torch.rand(1, 3, 16, 16) * 2 - 1)
    tokens, asked = codec.nearest(latent)
    left = latent[0].permute(1, 2, 0)  # [rows, cols, E]
    for k in range(3):
        torch.testing.assert_close(asked[0, k].permute(1, 2, 0), left)
        distances = (left[..., None, :] - codec.codebook[k]).square().sum(-1)
        assert torch.equal(tokens[0, k], distances.argmin(-1))
        left = left - codec.codebook[k][tokens[0, k]]
    torch.testing.assert_close(codec.lookup(tokens)[0].permute(1, 2, 0), latent[0].permute(1, 2, 0) - left)


def test_tokens_stand_row_by_row(codec):
    tokens = torch.randint(16, (1, 3, 6))
    latent = codec.lookup(tokens.view(1, 3, 2, 3))
    assert torch.allclose(latent[0, :, 1, 0], sum(codec.codebook[k][tokens[0, k, 3]] for k in range(3)))


def test_the_first_codebooks_alone_make_a_rougher_picture(codec):
    tokens = codec.encode(torch.rand(1, 3, 16, 16) * 2 - 1)
    rough = codec.decode(tokens[:, :1])
    assert rough.shape == (1, 3, 16, 16) and not torch.allclose(rough, codec.decode(tokens))


def test_a_picture_does_not_depend_on_its_batch(codec):
    tokens = torch.randint(16, (70, 3, 4))
    torch.testing.assert_close(codec.decode(tokens)[66:67], codec.decode(tokens[66:67]), atol=1e-5, rtol=1e-4)


def test_weights_come_back(codec):
    again = from_weights(ResidualVQSpec.from_dict(SPEC.to_dict()), codec.state_dict())
    tokens = torch.randint(16, (1, 3, 4))
    assert torch.equal(again.decode(tokens), codec.decode(tokens))
    weights = dict(codec.state_dict())
    weights["codebok"] = weights.pop("codebook")
    with pytest.raises(ValueError, match="lacks codebook and has codebok"):
        from_weights(SPEC, weights)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (torch.zeros(1, 4, 4, dtype=torch.int64), r"K up to 3, each at least 1, not \[1, 4, 4\]"),
        (torch.full((1, 3, 4), 16), "between 0 and 15; there is a 16"),
        (torch.zeros(1, 3, 5, dtype=torch.int64), "5 tokens are no square"),
        (torch.zeros(1, 3, 4), "tokens should be integers"),
    ],
)
def test_tokens_that_are_refused(codec, tokens, said):
    with pytest.raises(ValueError, match=said):
        codec.decode(tokens)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"codebook": 2}, "has no codebook"),
        ({"codebooks": 0}, "codebooks must be whole numbers from 1 up, not 0"),
        ({"encoder": [8, 8]}, "as many levels"),
        ({"encoder": [8, 8, 10]}, "norm_groups must divide"),
        ({"decoder": []}, "decoder must be whole numbers"),
    ],
)
def test_sizes_that_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        ResidualVQSpec.from_dict(SPEC.to_dict() | sizes)
