"""Which codec a checkpoint holds, told by its files; tokens on disk."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clavilux.audio.codecs.dac import Dac, DacSpec
from clavilux.audio.codecs.encodec import Encodec
from clavilux.audio.codecs.load import load_codec
from clavilux.audio.codecs.token_files import (
    TokenFile,
    check_codec,
    codec_identity,
    decode_tokens,
    load_tokens,
    save_tokens,
)

GOLDENS = Path(__file__).parents[1] / "goldens"
SPEC = DacSpec(
    sample_rate=8000,
    encoder_width=2,
    encoder_rates=(3, 5),
    latent_width=8,
    decoder_width=16,
    decoder_rates=(5, 3),
    codebook_widths=(4, 4, 4),
    vocabulary=32,
)


def drawn(seed=0, spec=SPEC):
    torch.manual_seed(seed)
    codec = Dac(spec).requires_grad_(False).eval()
    for name, tensor in codec.state_dict().items():
        tensor.uniform_(0.3, 2.0) if name.endswith("alpha") else tensor.normal_(std=0.2)
    return codec


def original_dac():
    with safe_open(GOLDENS / "dac.safetensors", "pt") as file:
        kwargs = json.loads(file.metadata()["kwargs"])
    weights = {
        name[8:]: tensor for name, tensor in load_file(GOLDENS / "dac.safetensors").items() if name[:8] == "weights."
    }
    return {"state_dict": weights, "metadata": {"kwargs": kwargs}}


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.fixture
def transformers():
    return pytest.importorskip(
        "transformers", reason="transformers, which writes its layout, is not installed (.[dev])"
    )


@pytest.mark.parametrize("given", ["folder", "config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["dac", "encodec"])
def test_transformers_folders_are_told_by_their_config(transformers, tmp_path, kind, given):
    if kind == "dac":
        config = transformers.DacConfig(
            encoder_hidden_size=4, decoder_hidden_size=16, downsampling_ratios=[2, 4], n_codebooks=2, codebook_size=16
        )
        model, expected = transformers.DacModel(config), Dac
    else:
        config = transformers.EncodecConfig(num_filters=4, hidden_size=16, codebook_size=64, target_bandwidths=[1.8])
        model, expected = transformers.EncodecModel(config), Encodec
    folder = tmp_path / "musicgen"  # the name says nothing
    model.save_pretrained(folder)
    codec = load_codec(folder if given == "folder" else folder / given)
    assert type(codec) is expected and codec.family == kind
    samples = 0.1 * torch.randn(1, 1, 2000)
    assert codec.decode(codec.encode(samples)).shape[2] >= 2000


@pytest.mark.parametrize("name", ["weights.pth", "model.bin", "anything.th"])
def test_an_original_dac_is_told_by_its_contents(tmp_path, name):
    torch.save(original_dac(), tmp_path / name)
    for path in (tmp_path, tmp_path / name):
        assert isinstance(load_codec(path), Dac)


def test_an_original_encodec_is_told_by_its_names(transformers, tmp_path):
    from clavilux.audio.codecs.encodec import checkpoint_names, from_config

    config = transformers.EncodecConfig(num_filters=4, hidden_size=16, codebook_size=64, target_bandwidths=[1.8])
    codec = from_config(config.to_dict(), transformers.EncodecModel(config).state_dict())
    names = checkpoint_names(codec, original=True)
    weights = {names[ours]: tensor.clone() for ours, tensor in codec.state_dict().items()}
    torch.save(weights, tmp_path / "weights.pth")
    save_file(weights, tmp_path / "model.safetensors")
    tokens = torch.randint(64, (1, codec.codebooks, 20))
    for name in ("weights.pth", "model.safetensors"):
        loaded = load_codec(tmp_path / name)
        assert isinstance(loaded, Encodec)
        torch.testing.assert_close(loaded.decode(tokens), codec.decode(tokens), rtol=0, atol=1e-6)


def test_what_is_not_understood_is_told_with_what_is(tmp_path):
    def refused(path, problem):
        with pytest.raises(ValueError, match=problem) as error:
            load_codec(path)
        return str(error.value)

    refused(tmp_path / "nothing", "there is no file or folder")
    said = refused(tmp_path, "holds no codec; understood are")
    assert all(word in said for word in ("EnCodec", "DAC", "config.json", "compression_state_dict.bin", "weights.pth"))
    config = tmp_path / "config.json"
    for text, problem in [
        ('{"model_type": "bert"}', "its model_type is 'bert'; understood are"),
        ("{}", "it has no model_type; understood are"),
        ('{"model_type": ["dac"]}', "its model_type is \\['dac'\\]"),
        ('{"model_type": "musicgen"}', "describes no MusicGen with an EnCodec inside"),
        ('{"model_type": "dac"}', "holds no weights"),
        ("[1]", "should hold an object"),
        ("{", "is no JSON"),
    ]:
        config.write_text(text)
        refused(tmp_path, problem)
    config.unlink()
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pt")
    refused(tmp_path, "holds no codec that is understood")
    torch.save([1, 2], tmp_path / "a.pt")
    refused(tmp_path, "holds a list; it should hold a dict")
    save_file(original_dac()["state_dict"], tmp_path / "b.safetensors")
    refused(tmp_path, "2 files that may hold one")
    refused(tmp_path / "b.safetensors", "the tensors of a DAC without its sizes")


def test_a_pickle_that_runs_code_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(original_dac() | {"optimizer": Harmful()}, "weights.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harmful()))
    for name in ("weights.pth", "plain.pth"):
        with pytest.raises(ValueError) as error:
            load_codec(tmp_path / name)
        assert "\n" not in str(error.value) and len(str(error.value)) < 400
        assert not (tmp_path / "harm").exists()


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(original_dac(), path)
    whole = path.read_bytes()
    for part in (b"", whole[:10], whole[: len(whole) // 2], whole[:-1000]):
        path.write_bytes(part)
        with pytest.raises(ValueError) as error:
            load_codec(path)
        assert "\n" not in str(error.value)


def tokens_of(codec, frames=20, batch=None):
    torch.manual_seed(1)
    return torch.randint(codec.vocabulary, (*([batch] if batch else []), codec.codebooks, frames))


@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint8])
def test_tokens_come_back_as_they_were(tmp_path, batch, dtype):
    codec = drawn()
    tokens, path = tokens_of(codec, batch=batch).to(dtype), tmp_path / "tokens.safetensors"
    save_tokens(path, tokens, codec_identity(codec), num_samples=290)
    found = load_tokens(path)
    assert torch.equal(found.tokens, tokens.long()) and found.tokens.dtype == torch.int64
    assert found.codec == codec_identity(codec) and found.num_samples == 290 and found.scales is None
    assert load_file(path)["tokens"].dtype == torch.int16
    before = path.read_bytes()
    save_tokens(path, tokens, codec_identity(codec), num_samples=290)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["tokens.safetensors"]


def test_large_vocabularies_and_scales_are_kept(tmp_path):
    identity = codec_identity(drawn()) | {"vocabulary": 1 << 17}
    tokens, scales = torch.tensor([[[70000, 3]]]), torch.tensor([[0.25, 2.0]])
    save_tokens(tmp_path / "t.safetensors", tokens, identity, scales=scales)
    found = load_tokens(tmp_path / "t.safetensors")
    assert torch.equal(found.tokens, tokens) and torch.equal(found.scales, scales)


def test_the_decode_has_exactly_the_length_that_was_encoded(tmp_path):
    codec = drawn()
    for length in (1, 14, 15, 16, 300, 307):  # rates 3 and 5 decode to fewer samples than whole frames hold
        samples = torch.randn(1, 1, length)
        tokens = codec.encode(samples)
        save_tokens(tmp_path / "t.safetensors", tokens[0], codec_identity(codec), num_samples=length)
        sound = decode_tokens(load_tokens(tmp_path / "t.safetensors"), codec)
        assert sound.shape == samples.shape
        whole = codec.decode(tokens)[..., :length]
        assert torch.equal(sound[..., : whole.shape[2]], whole)


def test_tokens_of_another_codec_are_refused():
    codec = drawn()
    identity = codec_identity(codec)
    check_codec(identity, codec)
    with pytest.raises(ValueError, match="its codebooks hold other vectors"):
        check_codec(identity, drawn(seed=1))
    with pytest.raises(ValueError, match="its sample_rate is 16000 and theirs 8000"):
        check_codec(identity, drawn(spec=replace(SPEC, sample_rate=16000)))
    torch.manual_seed(0)
    changed = drawn()
    changed.quantizers[1].codebook[3, 1] += 1e-3
    with pytest.raises(ValueError, match="other vectors"):
        check_codec(identity, changed)


def test_scales_of_a_codec_without_them_are_refused():
    codec = drawn()
    file = TokenFile(torch.zeros(1, 4, dtype=torch.int64), codec_identity(codec), scales=torch.ones(1, 1))
    with pytest.raises(ValueError, match="scales, which a codec of the family 'dac' does not take"):
        decode_tokens(file, codec)


def test_the_identity_is_that_of_the_vectors_in_any_layout(transformers):
    from clavilux.audio.codecs.dac import from_config

    config = transformers.DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=16, downsampling_ratios=[2, 4], n_codebooks=2, codebook_size=16
    )
    model = transformers.DacModel(config)
    plain = from_config(config.to_dict(), model.state_dict())
    model.apply_weight_norm()
    normed = from_config(config.to_dict(), model.state_dict())
    assert codec_identity(plain) == codec_identity(normed)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t + 32, "between 0 and 31; there is a"),
        (lambda t: t - 32, "there is a -"),
        (lambda t: t.float(), "integers, not torch.float32"),
        (lambda t: t[:, :0], "nothing 0 long"),
        (lambda t: t[0], "shape \\[K, T\\]"),
        (lambda t: t.repeat(2, 1), "at most 3 codebooks"),
    ],
)
def test_tokens_that_cannot_be_are_not_saved(tmp_path, change, problem):
    codec = drawn()
    path = tmp_path / "t.safetensors"
    with pytest.raises(ValueError, match=problem):
        save_tokens(path, change(tokens_of(codec)), codec_identity(codec))
    assert not list(tmp_path.iterdir())


def test_places_and_metadata_that_cannot_be_are_refused(tmp_path):
    codec = drawn()
    tokens, identity = tokens_of(codec), codec_identity(codec)
    with pytest.raises(ValueError, match="saved as .safetensors, not as"):
        save_tokens(tmp_path / "t.wav", tokens, identity)
    with pytest.raises(ValueError, match="there is no folder"):
        save_tokens(tmp_path / "no" / "t.safetensors", tokens, identity)
    path = tmp_path / "t.safetensors"
    for num_samples in (0, -1, 1.5, True, 1 << 50):
        with pytest.raises(ValueError, match="number of samples"):
            save_tokens(path, tokens, identity, num_samples=num_samples)
    with pytest.raises(ValueError, match="impossible vocabulary"):
        save_tokens(path, tokens, identity | {"vocabulary": 10**12})
    with pytest.raises(ValueError, match="should say family, sample_rate"):
        save_tokens(path, tokens, {"family": "dac"})
    with pytest.raises(ValueError, match="finite scales"):
        save_tokens(path, tokens, identity, scales=torch.tensor([[torch.nan]]))
    assert not path.exists()


def test_damaged_and_foreign_files_are_refused(tmp_path):
    codec = drawn()
    path = tmp_path / "t.safetensors"
    save_tokens(path, tokens_of(codec), codec_identity(codec), num_samples=290)
    whole = path.read_bytes()

    def refused(payload, problem="."):
        path.write_bytes(payload)
        with pytest.raises(ValueError, match=problem) as error:
            load_tokens(path)
        assert "\n" not in str(error.value)

    refused(b"", "is empty")
    for length in (4, 8, 100, len(whole) - 1):
        refused(whole[:length], "no readable safetensors file")
    refused(b"\xff" * 8 + whole[8:], "no readable safetensors file")
    for position in range(8, len(whole), 7):  # a flipped bit anywhere: in the header, the metadata or the tokens
        flipped = bytearray(whole)
        flipped[position] ^= 1
        refused(bytes(flipped))
    refused(whole[:-1] + bytes([whole[-1] ^ 1]), "damaged: its contents do not have the checksum")
    save_file({"tokens": torch.zeros(2, 3, dtype=torch.int16)}, path)
    refused(path.read_bytes(), "holds no tokens with the name of their codec")
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "none.safetensors", "there is no file")):
        with pytest.raises(ValueError, match=message):
            load_tokens(place)
