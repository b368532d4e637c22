"""ImageGPT in the transformers layout, against that library: the same weights, the same tokens."""

import json

import pytest
import torch
from marked_draws import assert_marked

import clavilux
from clavilux.errors import CheckpointError

transformers = pytest.importorskip("transformers")
SIDE, COLOURS = 6, 20


def save(folder, **words):
    torch.manual_seed(2)
    config = transformers.ImageGPTConfig(
        vocab_size=COLOURS + 1, n_positions=SIDE**2, n_embd=24, n_layer=2, n_head=3, layer_norm_epsilon=1e-4, **words
    )
    model = transformers.ImageGPTForCausalImageModeling(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "ln_" in name:
            parameter.copy_(1 + 0.3 * torch.randn(parameter.shape))
        else:  # large enough that the likeliest token stands out, biases too
            parameter.copy_(torch.randn(parameter.shape) * (0.5 if "bias" in name or "wpe" in name else 0.3))
    model.save_pretrained(folder)
    colours = (torch.rand(COLOURS, 3) * 2 - 1).tolist()
    (folder / "preprocessor_config.json").write_text(json.dumps({"clusters": colours}))
    return model


@pytest.fixture(scope="module")
def imagegpt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagegpt")
    return folder, save(folder)


def load(folder):
    return clavilux.load(folder, device="cpu", dtype="float32")


def test_logits_are_those_of_transformers(imagegpt):
    folder, theirs = imagegpt
    tokens = torch.randint(COLOURS, (2, SIDE**2 - 1), generator=torch.Generator().manual_seed(1))
    ids = torch.cat([torch.full((2, 1), COLOURS), tokens], 1)
    ours = load(folder).family.decoder(ids[:, None])[:, 0]
    expected = theirs(ids).logits
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)
    public = load(folder).logits(tokens[:, None])  # the start is read, and is no token of the picture
    torch.testing.assert_close(public[:, 0], expected[:, :-1], atol=1e-4, rtol=0)
    assert expected.std() > 0.5


def test_greedy_tokens_are_those_of_transformers(imagegpt):
    folder, theirs = imagegpt
    picture = load(folder).generate(temperature=0)
    start = torch.full((1, 1), COLOURS)
    expected = theirs.generate(
        start, attention_mask=start * 0 + 1, max_length=SIDE**2 + 1, do_sample=False, use_cache=False
    )
    assert torch.equal(picture.tokens, expected[:, 1:])
    assert (picture.width, picture.height) == (SIDE, SIDE)


def test_colours_are_those_of_the_file(imagegpt):
    folder, _ = imagegpt
    picture = load(folder).generate(seed=5)
    colours = torch.tensor(json.loads((folder / "preprocessor_config.json").read_text())["clusters"])
    expected = ((colours[picture.tokens[0]] + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(picture.pixels.flatten(0, 1), expected)


def test_its_tokens_carry_the_mark(imagegpt):
    assert_marked(load(imagegpt[0]), seeds=range(4))


def test_the_upper_half_is_carried_on(imagegpt, tmp_path):
    model = load(imagegpt[0])
    whole = model.generate(seed=1)
    clavilux.Picture(whole.pixels[:3]).save(tmp_path / "half.png")
    more = model.generate(seed=9, continue_from=tmp_path / "half.png")
    assert torch.equal(more.tokens[:, : 3 * SIDE], whole.tokens[:, : 3 * SIDE])
    assert not torch.equal(more.tokens, whole.tokens)
    assert more.receipt["notes"] == ["keeps 3 of 6 rows of tokens"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a red apple"}, "trained without words"),
        ({"size": 12}, "size is 12; it should be 6: its positions are learned"),
        ({"guidance": 3.0}, "is unconditional, so it should be 1"),
    ],
)
def test_what_it_cannot_do(imagegpt, options, message):
    with pytest.raises(ValueError, match=message):
        load(imagegpt[0]).generate(**options)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_head": 5}, "n_embd is 24; it should be a multiple of n_head, 5"),
        ({"n_positions": 35}, "n_positions is 35"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"n_layer": 10**9}, "n_layer is 1000000000"),
        ({"activation_function": "relu"}, "activation is 'relu'"),
        ({"n_layer": 3}, "lacks transformer.h.2"),
        ({"n_inner": 50}, "c_fc"),
    ],
)
def test_configs_that_are_not_understood(imagegpt, tmp_path, config, message):
    folder, _ = imagegpt
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    given = json.loads((folder / "config.json").read_text()) | config
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(given))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


def test_colours_must_be_as_many_as_the_decoder_paints(imagegpt, tmp_path):
    folder, _ = imagegpt
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="no colour clusters"):
        load(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"clusters": [[0, 0, 0]] * 7}))
    with pytest.raises(CheckpointError, match="has 7 colours; its decoder paints 20"):
        load(tmp_path)
