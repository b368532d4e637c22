"""ImageGPT's colours against transformers' processor, and the files that hold them."""

import json

import numpy as np
import pytest
import torch

from clavilux.image.codecs import Codec
from clavilux.image.codecs.clusters import ColourClusters, load


@pytest.fixture(scope="module")
def colours():
    return torch.rand(60, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_tokens_are_those_of_transformers(colours):
    module = pytest.importorskip("transformers.models.imagegpt.image_processing_pil_imagegpt")
    pixels = torch.randint(256, (2, 3, 9, 9), generator=torch.Generator().manual_seed(2)).float() / 127.5 - 1
    codec = ColourClusters(colours)
    points = pixels.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
    expected = module.color_quantize(points, colours.double().numpy())
    tokens = codec.encode(pixels)
    assert isinstance(codec, Codec) and tokens.shape == (2, 1, 81)
    assert tokens.flatten().tolist() == expected.tolist() and len(tokens.unique()) > 40


def test_tokens_become_their_colours(colours):
    codec = ColourClusters(colours)
    tokens = torch.arange(60)[None, None]
    painted = codec.decode(tokens, rows=6)
    assert painted.shape == (1, 3, 6, 10)
    assert torch.equal(painted[0].flatten(1).t(), colours)
    assert torch.equal(codec.encode(painted), tokens)
    with pytest.raises(ValueError, match="60 tokens are no square"):
        codec.decode(tokens)
    with pytest.raises(ValueError, match="there is a 60"):
        codec.decode(tokens + 1, rows=6)


@pytest.mark.parametrize("name", ["clusters.npy", "kmeans_centers.npy", "preprocessor_config.json"])
def test_files(colours, tmp_path, name):
    if name.endswith(".npy"):
        np.save(tmp_path / name, colours.numpy())
    else:
        (tmp_path / name).write_text(json.dumps({"clusters": colours.tolist(), "size": 32}))
    for path in (tmp_path, tmp_path / name):
        torch.testing.assert_close(load(path).clusters, colours)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("clusters.npy", b"", "no array that can be read"),
        ("clusters.npy", np.array([{"a": 1}]), "no array that can be read"),
        ("clusters.npy", np.zeros((4, 2)), r"clusters should be \[V, 3\]"),
        ("clusters.npy", np.full((4, 3), 200.0), "between -1 and 1"),
        ("clusters.npy", np.zeros((4, 3), np.int64), "should be floats"),
        ("preprocessor_config.json", b"{", "is no JSON"),
        ("preprocessor_config.json", b'{"size": 32}', "holds no colour clusters; it should have a list"),
        ("preprocessor_config.json", b'{"clusters": [[1, 2], [3]]}', "should be lists of three numbers"),
        ("preprocessor_config.json", b'{"clusters": [["a", "b", "c"]]}', "should be lists of three numbers"),
        ("preprocessor_config.json", b'{"clusters": []}', r"clusters should be \[V, 3\]"),
        ("clusters.txt", b"", "should be an array"),
    ],
)
def test_files_that_hold_no_colours(tmp_path, name, content, message):
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name)


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="holds no colour clusters; there should be one of"):
        load(tmp_path)
    with pytest.raises(ValueError, match="there is no file or folder"):
        load(tmp_path / "clusters.npy")
