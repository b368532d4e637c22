"""The painter's family on a small checkpoint: what it hears, what its file holds, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import clavilux
from clavilux.cli.info import describe
from clavilux.conditioning import Conditioning
from clavilux.decoder import DecoderSpec
from clavilux.families.lumia.family import Parts
from clavilux.families.lumia.prefix import PREFIX_LENGTH
from clavilux.families.lumia.prefix_controls import PrefixControls
from clavilux.families.lumia.words import COLOURS
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.memory import needed_bytes
from clavilux.training.painter_files import packed

V = 16
WORDS = ["apple", "boat", "cat", "hat", "orange"]
SIZES = ResidualVQSpec(
    codebooks=2, vocabulary=V, embedding_width=8, encoder=(8, 8), decoder=(8, 8), encoder_blocks=(1, 1),
    decoder_blocks=(1, 1), norm_groups=4,
)  # fmt: skip
SPEC = DecoderSpec(
    width=24, layers=2, heads=3, head_dim=8, ffn_width=32, vocabulary=V + 1, output_vocabulary=V, codebooks=2,
    max_positions=PREFIX_LENGTH + 16 + 1, norm="rms", activation="swiglu",
    positions="learned",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("small") / "small"
    path.mkdir()
    parts, codec = Parts(SPEC, len(WORDS)), ResidualVQ(SIZES)
    for parameter in parts.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    weights = packed({f"codec.{name}": tensor for name, tensor in codec.state_dict().items()} | parts.state_dict())
    save_file(weights, path / "model.safetensors")
    config = {"family": "lumia", "name": "small", "licence": "CC0", "decoder": SPEC.to_dict(), "codec": SIZES.to_dict()}
    (path / "config.json").write_text(json.dumps(config | {"words": " ".join(WORDS)}))
    return path


@pytest.fixture(scope="module")
def model(folder):
    return clavilux.load(folder, dtype="float32")


def changed(folder, target, **config):
    """A copy of the checkpoint with another config."""
    target.mkdir()
    (target / "model.safetensors").symlink_to(folder / "model.safetensors")
    whole = json.loads((folder / "config.json").read_text()) | config
    (target / "config.json").write_text(json.dumps({name: value for name, value in whole.items() if value is not None}))
    return target


def test_a_picture_and_what_was_heard(model):
    picture = model.generate("a blue cat with a hatq", seed=3)
    assert (picture.width, picture.height, picture.tokens.shape) == (16, 16, (2, 16))
    assert picture.receipt["taken"] == ["blue = blue", "cat = cat"]
    assert picture.receipt["unknown"] == ["hatq (did you mean hat?)"]
    assert picture.receipt["model"] == "small" and picture.receipt["seed"] == 3
    assert torch.equal(model.generate("a blue cat with a hatq", seed=3).pixels, picture.pixels)


def test_words_and_colours_change_the_picture_and_unknown_ones_do_not(model):
    cat, *others = (model.generate(prompt, seed=1).tokens for prompt in ("cat", "boat", "red cat", "cat cat xyzzy"))
    assert [torch.equal(cat, other) for other in others] == [False, False, True]


def test_the_prefix_is_what_is_said(model):
    _, [job], _ = model._prepare("red boat, cat", None, 0, 1, (None, None, None), {})
    told = PrefixControls(colours=(COLOURS.index("red"),), words=(WORDS.index("boat"), WORDS.index("cat")))
    for conditioning, each in ((job.conditioning, told), (job.unconditional, PrefixControls())):
        expected = Conditioning(prefix=model.family._conditioner([each]))
        assert torch.equal(conditioning.prefix, expected.prefix)
    assert job.prompt.eq(V).all() and job.prompt.shape == (1, 2, 1)
    assert job.plan[0, 1, 0] == V and job.plan[0, 0, -1] == V  # the second codebook comes a step later


def test_the_last_step_is_read_at_the_last_position(model):
    _, [job], _ = model._prepare("cat", None, 0, 1, (None, None, None), {})
    assert PREFIX_LENGTH + job.plan.shape[2] == SPEC.max_positions


def test_matrices_lie_in_the_file_as_whole_numbers(folder, model):
    weights = load_file(folder / "model.safetensors")
    name = "layers.0.attention.qkv.weight"
    values, scale = weights[f"decoder.{name}"], weights[f"decoder.{name}_scale"]
    assert values.dtype == torch.int8 and values.abs().max() == 127
    weight = model.family.decoder.layers[0].attention.qkv.weight
    assert torch.equal(weight.product(torch.eye(weight.shape[1])).T, values.float() * scale.float()[:, None])


def test_what_info_says(folder, tmp_path):
    facts = describe(folder)
    assert facts["family"] == "lumia" and facts["licence"] == "CC0" and facts["words"] == len(WORDS)
    assert facts["picture"] == "16 x 16 pixels" and facts["tokens"] == 32
    assert facts["parameters"] == sum(p.numel() for p in Parts(SPEC, len(WORDS)).decoder.parameters())
    assert needed_bytes(folder, None, batch=64) > needed_bytes(folder, None) > 4 * facts["parameters"]
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(clavilux.CheckpointError, match=r"model.safetensors' is missing"):
        describe(tmp_path)


def test_another_size_is_refused(model):
    with pytest.raises(ValueError, match="size is 32; it should be 16: its positions are learned"):
        model.generate("cat", size=32)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"words": None}, "lacks 'words'"),
        ({"words": 5}, "describes no painter: words is 5"),
        ({"words": "cat cat"}, "its words should be different ones"),
        ({"words": ""}, "its words should be different ones"),
        ({"words": "cat"}, "conditioner.word.weight is .* not"),
        ({"codec": SIZES.to_dict() | {"codebooks": 3}}, "differ in their codebooks"),
        ({"codec": SIZES.to_dict() | {"colour": 3}}, "has no colour"),
        ({"decoder": SPEC.to_dict() | {"max_positions": 29}}, "room for 20 places; there should be a square"),
        ({"decoder": SPEC.to_dict() | {"max_positions": 3}}, "room for -6 places"),
        ({"decoder": SPEC.to_dict() | {"layers": 3}}, "lacks decoder.layers.2"),
    ],
    ids=str,
)
def test_configs_that_do_not_fit(folder, tmp_path, config, message):
    with pytest.raises(clavilux.CheckpointError, match=message):
        clavilux.load(changed(folder, tmp_path / "other", **config))


def test_a_damaged_file(folder, tmp_path):
    other = changed(folder, tmp_path / "other")
    (other / "model.safetensors").unlink()
    (other / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(clavilux.CheckpointError, match="is damaged"):
        clavilux.load(other)
