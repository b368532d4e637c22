"""The VQ picture codec against transformers' JanusVQVAE, from its files and from LlamaGen's; and what it refuses."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from clavilux.image.codecs import Codec, vq
from clavilux.image.codecs.vq_spec import VQSpec

SHAPES = {
    "two-levels": {"channel_multiplier": (1, 2), "num_res_blocks": 1, "embed_dim": 4, "num_embeddings": 50},
    "three-levels": {"channel_multiplier": (1, 1, 2), "num_res_blocks": 2, "embed_dim": 8, "num_embeddings": 200},
}
MIDDLE = {"block_1": "0", "attn_1": "1", "block_2": "2"}


def original_name(name):
    """LlamaGen's name of a tensor of JanusVQVAE's."""
    name = name.replace("encoder.down.", "encoder.conv_blocks.").replace("decoder.up.", "decoder.conv_blocks.")
    name = name.replace(".block.", ".res.")
    for theirs, number in MIDDLE.items():
        name = name.replace(f".mid.{theirs}.", f".mid.{number}.")
    return name


@pytest.fixture(scope="module", params=SHAPES, ids=list(SHAPES))
def pair(request, tmp_path_factory):
    """(folder in transformers' layout, file in LlamaGen's, transformers' model, pixels)"""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(len(request.param))
    words = SHAPES[request.param]
    side = 6 << (len(words["channel_multiplier"]) - 1)
    config = transformers.JanusVQVAEConfig(base_channels=32, latent_channels=32, num_patches=6, **words)
    theirs = transformers.JanusVQVAE(config).eval().requires_grad_(False)
    for parameter in theirs.parameters():
        if parameter.ndim > 1:
            parameter.mul_(1.5)
        else:
            parameter.add_(0.1 * torch.randn(parameter.shape))
    codebook = theirs.quantize.embedding.weight
    codebook.copy_(F.normalize(torch.randn(codebook.shape), dim=1))  # as they are published
    folder = tmp_path_factory.mktemp("vq")
    theirs.save_pretrained(folder)
    state = {original_name(name): tensor for name, tensor in theirs.state_dict().items()}
    state["quantize.codebook_used"] = torch.zeros(3)
    torch.save({"model": state, "steps": 1}, folder / "vq_ds16_c2i.pt")
    return folder, folder / "vq_ds16_c2i.pt", theirs, torch.rand(3, 3, side, side) * 2 - 1


@pytest.fixture(scope="module")
def codec(pair):
    return vq.load(pair[1])


@pytest.mark.parametrize("layout", ["transformers", "original"])
def test_codes_are_identical_and_pixels_within_1e_4(pair, layout):
    folder, file, theirs, pixels = pair
    codec = vq.load(folder if layout == "transformers" else file)
    tokens = codec.encode(pixels)
    assert tokens.shape == (3, 1, 36) and len(tokens.unique()) > 9
    assert torch.equal(tokens[:, 0], theirs.encode(pixels).image_tokens.view(3, -1))
    drawn = torch.randint(codec.vocabulary, (2, 1, 36))
    for given in (tokens, drawn):
        expected = theirs.decode(given[:, 0])
        assert expected.std() > 0.05
        torch.testing.assert_close(codec.decode(given), expected.clamp(-1, 1), atol=1e-4, rtol=0)


def test_both_layouts_have_the_same_numbers(pair):
    one, two = (vq.load(path).state_dict() for path in pair[:2])
    assert list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)


def test_a_picture_has_the_same_bits_in_any_batch(codec, pair):
    pixels = pair[3]
    tokens = codec.encode(pixels)
    painted = codec.decode(tokens)
    for n in range(3):
        assert torch.equal(codec.encode(pixels[n : n + 1])[0], tokens[n])
        assert torch.equal(codec.decode(tokens[n : n + 1])[0], painted[n])


def test_lengths_of_the_codebook_do_not_matter(codec):
    """It holds directions: a file's vectors may have any length."""
    longer = vq.VQ(codec.spec).eval().requires_grad_(False)
    longer.load_state_dict(codec.state_dict())
    # Powers of two, which change no digit: what is compared is the codec, not the rounding of lengths.
    longer.quantize.embedding.weight.mul_(2.0 ** torch.randint(-2, 3, (codec.vocabulary, 1)))
    pixels = torch.rand(1, 3, 24, 24) * 2 - 1
    tokens = codec.encode(pixels)
    assert torch.equal(longer.encode(pixels), tokens)
    assert torch.equal(longer.decode(tokens), codec.decode(tokens))


def test_rows_that_make_no_square(codec):
    patch = codec.downsampling
    assert isinstance(codec, Codec)
    pixels = torch.rand(1, 3, 2 * patch, 5 * patch) * 2 - 1
    tokens = codec.encode(pixels)
    assert tokens.shape == (1, 1, 10) and codec.decode(tokens, rows=2).shape == pixels.shape
    with pytest.raises(ValueError, match="10 tokens are no square; say how many rows they make"):
        codec.decode(tokens)
    with pytest.raises(ValueError, match="10 tokens cannot make 3 rows of the same length"):
        codec.decode(tokens, rows=3)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(1, 3, 24, 25), "height and width of pixels should be multiples of"),
        (torch.zeros(1, 1, 24, 24), r"pixels should be RGB, .* not \[1, 1, 24, 24\]"),
        (torch.zeros(3, 24, 24), "pixels should be floats"),
        (torch.zeros(1, 3, 24, 24, dtype=torch.uint8), "pixels should be floats"),
        (torch.full((1, 3, 24, 24), torch.nan), "pixels hold NaN"),
        (torch.full((1, 3, 24, 24), 200.0), "lie between -1 and 1; there is a 200"),
        ([[0.0]], "pixels should be floats .* not a list"),
    ],
)
def test_pixels_that_cannot_be_encoded(codec, pixels, message):
    with pytest.raises(ValueError, match=message):
        codec.encode(pixels)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.zeros(1, 2, 4, dtype=torch.int64), r"tokens should be \[B, 1, rows \* cols\]"),
        (torch.zeros(4, dtype=torch.int64), "tokens should be integers"),
        (torch.zeros(1, 1, 4), "tokens should be integers"),
        (torch.full((1, 1, 4), -1), "there is a -1"),
        (torch.full((1, 1, 4), 10**6), "there is a 1000000"),
    ],
)
def test_tokens_that_cannot_be_decoded(codec, tokens, message):
    with pytest.raises(ValueError, match=message):
        codec.decode(tokens)


def test_its_own_file(codec, tmp_path):
    path = tmp_path / "codec.safetensors"
    vq.save(codec, path)
    again = vq.load(path)
    assert again.spec == codec.spec
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in codec.state_dict().items())
    vq.save(codec, path, dtype=torch.float16)
    assert vq.load(path).quant_conv.weight.dtype == torch.float32
    assert path.stat().st_size < 0.6 * 4 * sum(p.numel() for p in codec.parameters())
    with pytest.raises(ValueError, match="saved as .safetensors"):
        vq.save(codec, tmp_path / "codec.pt")
    tensors = load_file(path)
    save_file(tensors, path, {"clavilux_vq": "[]"})
    with pytest.raises(ValueError, match="no JSON object"):
        vq.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("quant_conv.bias"), "lacks quant_conv.bias"),
        (lambda f: f.pop("quantize.embedding.weight"), "lacks quantize.embedding.weight"),
        (lambda f: f.update(more=torch.zeros(1)), "has more"),
        (lambda f: f.update({"quant_conv.weight": torch.zeros(2, 2)}), "quant_conv.weight is"),
        (lambda f: f.update({"quant_conv.bias": torch.full_like(f["quant_conv.bias"], torch.inf)}), "not finite"),
        (lambda f: [f.pop(name) for name in list(f) if name.startswith("encoder")], "holds no VQ codec"),
    ],
)
def test_files_that_are_not_understood(pair, tmp_path, change, message):
    found = dict(torch.load(pair[1], weights_only=True)["model"])
    change(found)
    torch.save(found, tmp_path / "vq.pt")
    with pytest.raises(ValueError, match=message):
        vq.load(tmp_path / "vq.pt")


def test_a_damaged_file_and_one_that_could_run_code(pair, tmp_path):
    (tmp_path / "vq.pt").write_bytes(pair[1].read_bytes()[:5000])
    with pytest.raises(ValueError, match="is damaged"):
        vq.load(tmp_path / "vq.pt")
    torch.save({"model": pytest.approx}, tmp_path / "vq.pt")
    with pytest.raises(ValueError, match="could run code, so it was not read"):
        vq.load(tmp_path / "vq.pt")
    with pytest.raises(ValueError, match="there is no file or folder"):
        vq.load(tmp_path / "none.pt")


def test_configs_that_cannot_be(pair, tmp_path):
    folder = pair[0]
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    config = json.loads((folder / "config.json").read_text())
    for change, message in (
        ({"double_latent": True}, "double_latent False"),
        ({"in_channels": 1}, "in_channels 3"),
        ({"base_channels": 33}, "norm_groups must divide its base_channels 33"),
        ({"num_embeddings": 10**9}, "vocabulary is [0-9]+; it should be a whole number"),
        ({"num_embeddings": 7}, "embedding.weight is"),
    ):
        (tmp_path / "config.json").unlink()
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ValueError, match=message):
            vq.load(tmp_path)


def test_sizes_as_published():
    assert VQSpec().downsampling == 16 and VQSpec(multipliers=(1, 2, 2, 4)).downsampling == 8
    with torch.device("meta"):
        codec = vq.VQ(VQSpec())
    assert sum(p.numel() for p in codec.parameters()) == 71_883_403
    assert VQSpec.from_dict(VQSpec().to_dict()) == VQSpec()
    with pytest.raises(ValueError, match="a VQ codec has no colour"):
        VQSpec.from_dict({"colour": 1})


def test_training_reaches_every_weight():
    spec = VQSpec(vocabulary=9, embedding_width=4, latent_channels=8, base_channels=8, multipliers=(1, 2),
                  residual_blocks=1, norm_groups=4)  # fmt: skip
    codec = vq.VQ(spec)
    latent = codec.latent(torch.rand(1, 3, 8, 8) * 2 - 1)
    picked = codec.lookup(codec.nearest(latent))
    painted = codec.decode_latent(latent + (picked - latent).detach())
    (painted.square().mean() + (picked - latent.detach()).square().mean()).backward()
    assert all(parameter.grad is not None for parameter in codec.parameters())
