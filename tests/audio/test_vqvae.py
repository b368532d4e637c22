"""Jukebox's VQ-VAE against frozen outputs of transformers, in both layouts of files, and against itself in pieces."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jukebox_goldens
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clavilux.audio.codecs import NeuralCodec, vqvae
from clavilux.audio.codecs.load import load_codec
from clavilux.audio.codecs.token_files import check_codec, codec_identity, decode_tokens, load_tokens, save_tokens
from clavilux.audio.codecs.vqvae import VQVAE, VQVAESpec
from clavilux.checkpoint_io import beginning_with, read_tensors

GOLDEN = Path(__file__).parents[1] / "goldens" / "jukebox_vqvae.safetensors"
NAMES = ("published", "other")
ROUNDING = 1e-11  # float64, so that what equals but for the order of sums can be told from what is nearly equal
LEVELS = pytest.mark.parametrize("level", range(3))
BOTH = pytest.mark.parametrize("name", NAMES)


def frozen(name):
    """The config, the weights by transformers' names and the other tensors of one model."""
    return jukebox_goldens.frozen(name, GOLDEN)


def model(name="published"):
    config, weights, _ = frozen(name)
    return vqvae.from_config(config, weights)


def original(name="published"):
    """The weights by the original names, found by rules of their own."""
    _, weights, _ = frozen(name)
    renamed = {}
    for key, value in weights.items():
        stem = key.rpartition(".")[0].removesuffix(".proj_out")
        strided = len([other for other in weights if re.fullmatch(rf"{stem}\.downsample_block\.\d+\.weight", other)])
        key = re.sub(r"resnet_block\.(\d+)\.conv1d_([12])", lambda m: f"model.{m[1]}.model.{2 * int(m[2]) - 1}", key)
        key = re.sub(r"downsample_block\.(\d+)", lambda m: f"model.{int(m[1]) // 2}.{int(m[1]) % 2}", key)
        key = re.sub(r"upsample_block\.(\d+)", lambda m: f"model.{int(m[1]) // 2 + 1}.{int(m[1]) % 2}", key)
        key = key.replace("proj_in", "model.0").replace("proj_out", f"model.{strided}").replace("codebook", "k")
        renamed[key] = value
    return renamed


def spec_of(name):
    return VQVAESpec.from_transformers(frozen(name)[0])


def random_tokens(codec, frames, batch=1):
    return torch.randint(codec.vocabulary, (batch, 1, frames), generator=torch.Generator().manual_seed(frames))


def noise(codec, num_samples, batch=1):
    return 0.3 * torch.randn(batch, codec.channels, num_samples, generator=torch.Generator().manual_seed(num_samples))


@BOTH
@LEVELS
def test_codes_and_sound_are_those_of_transformers(name, level):
    _, _, expected = frozen(name)
    codec = model(name).level(level)
    codes = expected[f"codes.{level}"].long()[:, None]
    tokens = codec.encode(expected["samples"], sample_rate=44100)
    assert isinstance(codec, NeuralCodec) and tokens.dtype == torch.int64
    assert torch.equal(tokens, codes) and len(codes.unique()) > 5
    sound = codec.decode(codes)
    assert sound.shape == expected["samples"].shape and sound.dtype == torch.float32
    torch.testing.assert_close(sound, expected[f"decoded.{level}"], rtol=0, atol=1e-5)


@BOTH
@LEVELS
def test_the_original_layout_gives_the_same(tmp_path, name, level):
    _, _, expected = frozen(name)
    path = tmp_path / "vqvae.pth.tar"
    weights = {f"module.{key}": value for key, value in original(name).items()}
    torch.save({"model": weights, "hps": {"sr": 44100}, "opt": {"state": {}}, "step": 5}, path)
    loaded = vqvae.load(path, None if name == "published" else spec_of(name))
    assert loaded.spec == spec_of(name)
    ours, theirs = model(name).state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    codec = loaded.level(level)
    assert torch.equal(codec.encode(expected["samples"])[:, 0], expected[f"codes.{level}"].long())


def test_old_and_bare_files_are_read_too(tmp_path):
    torch.save({"model": original()}, tmp_path / "a.pth.tar", _use_new_zipfile_serialization=False)
    save_file(original(), tmp_path / "b.safetensors")
    torch.save(original(), tmp_path / "c.pt")
    for file in tmp_path.iterdir():
        assert vqvae.load(file).spec == spec_of("published")


@BOTH
def test_a_folder_of_transformers_is_read(tmp_path, name):
    config, weights, _ = frozen(name)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(weights, tmp_path / "model.safetensors")
    expected = model(name).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in vqvae.load(tmp_path).state_dict().items())


def test_of_a_whole_jukebox_only_its_own_part_is_read(tmp_path):
    config, weights, _ = frozen("published")
    whole = {"model_type": "jukebox", "sampling_rate": 22050, "vqvae_config": config}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    weights = {f"vqvae.{key}": value for key, value in weights.items()}
    weight_map = dict.fromkeys(weights, "a.safetensors") | {"priors.0.x": "b.safetensors"}  # the second is not there
    save_file(weights | {"priors.1.x": torch.zeros(2)}, tmp_path / "a.safetensors")
    weight_map["priors.1.x"] = "a.safetensors"
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert vqvae.load(tmp_path).level(1).sample_rate == 22050
    vqvae.from_config(whole, weights | {"priors.0.x": torch.zeros(2)})
    with pytest.raises(ValueError, match="has others.x"):
        vqvae.from_config(whole, weights | {"others.x": torch.zeros(2)})


def test_tensors_by_a_prefix(tmp_path):
    tensors = {"a.x": torch.zeros(2), "a.y": torch.ones(3), "b.x": torch.ones(4)}
    save_file(tensors, tmp_path / "t.safetensors")
    torch.save(tensors, tmp_path / "t.bin")
    for path in tmp_path.iterdir():
        assert read_tensors(path, beginning_with("a.")).keys() == {"a.x", "a.y"}
        assert read_tensors(path).keys() == tensors.keys() and not read_tensors(path, beginning_with("c"))


def test_load_codec_gives_a_level(tmp_path):
    torch.save({"model": original()}, tmp_path / "vqvae.pth.tar")
    torch.save({"model": {}}, tmp_path / "prior_level_0.pth.tar")
    for path in (tmp_path, tmp_path / "vqvae.pth.tar"):
        assert load_codec(path).hop == 8 and load_codec(path, level=2).hop == 128
    with pytest.raises(ValueError, match="has the levels 0 to 2, not 3"):
        load_codec(tmp_path, level=3)
    config, weights, _ = frozen("other")
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(weights, tmp_path / "model.safetensors")
    assert load_codec(tmp_path, level=1).hop == 24
    file_of_dac = GOLDEN.with_name("dac.safetensors")
    with safe_open(file_of_dac, "pt") as file:
        kwargs = json.loads(file.metadata()["kwargs"])
    weights = {key[8:]: value for key, value in load_file(file_of_dac).items() if key.startswith("weights.")}
    torch.save({"state_dict": weights, "metadata": {"kwargs": kwargs}}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="without levels, so there is no level 0"):
        load_codec(tmp_path / "weights.pth", level=0)


def test_missing_extra_and_broken_tensors_are_named():
    for weights, make in [
        (original(), vqvae.from_original),
        (
            dict(frozen("published")[1]),
            lambda weights, label="": vqvae.from_config(frozen("published")[0], weights, label),
        ),
    ]:
        name = next(name for name in weights if name.startswith("decoders.1") and name.endswith("1.bias"))
        bias = weights.pop(name)
        with pytest.raises(ValueError, match=f"'x' .*lacks {name}"):
            make(weights, "'x'")
        with pytest.raises(ValueError, match="has decoders.9.bias"):
            make(weights | {name: bias, "decoders.9.bias": bias})
        with pytest.raises(ValueError, match=rf"{name} is \(7,\), not \(\d+,\)"):
            make(weights | {name: torch.zeros(7)})
        with pytest.raises(ValueError, match=f"not finite in {name}"):
            make(weights | {name: bias * torch.nan})
        with pytest.raises(ValueError, match=f"{name} is something else"):
            make(weights | {name: 3})


def test_what_is_no_vqvae_is_refused(tmp_path):
    for content, problem in [
        ({}, r"no bottleneck.level_blocks.0.k"),
        ({"model": 3}, "'model' should be a dict"),
        ({"model": {"a": torch.zeros(2)}}, "original layout"),
        (dict(list(original().items())[-9:]), "original layout"),
        ({"bottleneck.level_blocks.0.k": torch.zeros(2)}, "original layout"),
        (frozen("published")[1], "original layout"),
        (original("other") | {"encoders.2.level_blocks.0.model.0.0.weight": torch.zeros(4, 2, 7)}, "even"),
    ]:
        torch.save(dict(content), tmp_path / "a.pth.tar")
        with pytest.raises(ValueError, match=problem) as error:
            vqvae.load(tmp_path / "a.pth.tar")
        assert "a.pth.tar" in str(error.value) and "\n" not in str(error.value)


@BOTH
@LEVELS
def test_pieces_are_the_whole(name, level, monkeypatch):
    codec = model(name).to(torch.float64).level(level)  # nothing is rounded to a tie
    frames = 2 * codec.overlap_frames + 20
    samples, tokens = noise(codec, frames * codec.hop - 3, batch=2).double(), random_tokens(codec, frames, batch=2)
    codes, sound = codec.encode(samples), codec.decode(tokens)
    padded = torch.nn.functional.pad(samples, (0, 3))
    latent = codec.encoder(padded).transpose(1, 2)
    nearest = torch.cdist(latent, codec.quantizer.vectors[0], compute_mode="donot_use_mm_for_euclid_dist").argmin(2)
    assert torch.equal(codes[:, 0], nearest)
    torch.testing.assert_close(sound, codec.decoder(codec.quantizer.decode(tokens)), rtol=0, atol=ROUNDING)
    for size in (1, 7, frames - 1, frames):
        monkeypatch.setattr(codec, "_piece_frames", lambda batch, size=size: size)
        assert torch.equal(codec.encode(samples), codes)
        torch.testing.assert_close(codec.decode(tokens), sound, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", ["published", "other"])
@LEVELS
def test_frames_of_context_are_enough_and_not_one_too_many(name, level):
    codec = model(name).to(torch.float64).level(level)
    for parameter in codec.decoder.parameters():
        parameter.abs_()  # so that ReLU hides nothing of what a frame adds
    codec.quantizer.vectors[0].abs_()
    overlap, ahead, hop = codec.overlap_frames, codec.lookahead_frames, codec.hop
    first = overlap + 3
    tokens = random_tokens(codec, 2 * first)
    whole = codec.decode(tokens)[..., first * hop : (first + 1) * hop]

    def difference(before, after):
        part = codec.decode(tokens[..., first - before : first + 1 + after])
        return float(((part[..., before * hop : (before + 1) * hop] - whole) / whole).abs().max())

    assert difference(overlap, ahead) < ROUNDING < difference(overlap, ahead - 1)
    assert difference(overlap - 1, overlap - 1) > ROUNDING


def test_a_stream_gives_the_whole():
    codec = model().level(1)
    tokens = random_tokens(codec, 60, batch=2)
    stream, heard = codec.decoder_stream(), []
    for start in range(60):
        piece = stream.push(tokens[..., start : start + 1])
        heard += [] if piece is None else [piece]
        assert sum(part.shape[2] for part in heard) >= (start + 1 - codec.lookahead_frames) * codec.hop
    sound = torch.cat([*heard, stream.finish()], dim=2)
    torch.testing.assert_close(sound, codec.decode(tokens), rtol=0, atol=1e-5)


@LEVELS
def test_lengths_are_filled_up_and_cut(level):
    codec = model("other").level(level)
    for length in (1, codec.hop - 1, codec.hop, codec.hop + 1, 5 * codec.hop - 2):
        samples = noise(codec, length, batch=2)
        tokens = codec.encode(samples)
        frames = codec.num_frames(length)
        assert tokens.shape == (2, 1, frames)
        padded = torch.nn.functional.pad(samples, (0, frames * codec.hop - length))
        assert torch.equal(codec.encode(padded), tokens)
        sound = codec.decode(tokens)
        assert sound.shape[2] == codec.num_samples(frames)
        assert torch.equal(codec.decode(tokens, num_samples=length), sound[..., :length])
        for wrong in (length + codec.hop, (frames - 1) * codec.hop, 0, -1, float(length)):
            with pytest.raises(ValueError, match=f"{frames} frames hold"):
                codec.decode(tokens, num_samples=wrong)


def test_rows_of_a_batch_do_not_touch_each_other():
    codec = model().level(0)
    samples = noise(codec, 500, batch=3)
    together = codec.encode(samples)
    for row in range(3):
        assert torch.equal(codec.encode(samples[row : row + 1])[0], together[row])


def test_tokens_on_disk_know_their_level(tmp_path):
    codecs = [model().level(level) for level in range(3)]
    samples = noise(codecs[1], 1000)
    save_tokens(tmp_path / "t.safetensors", codecs[1].encode(samples), codec_identity(codecs[1]), num_samples=1000)
    file = load_tokens(tmp_path / "t.safetensors")
    assert decode_tokens(file, codecs[1]).shape == samples.shape
    for other in (codecs[0], codecs[2]):
        with pytest.raises(ValueError, match="not made by this codec"):
            check_codec(file.codec, other)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (torch.full((1, 1, 100), torch.nan), "NaN"),
        (torch.full((1, 1, 100), torch.inf), "NaN or infinity"),
        (torch.zeros(1, 1, 0), "at least 1, not \\[1, 1, 0\\]"),
        (torch.zeros(1, 2, 100), "\\[B, 1, N\\]"),
        (torch.zeros(100), "not torch.float32 \\[100\\]"),
        (torch.zeros(1, 1, 100, dtype=torch.int16), "floats"),
        (np.zeros((1, 1, 100)), "a ndarray"),
    ],
)
def test_bad_sounds_are_refused(samples, problem):
    with pytest.raises(ValueError, match=problem):
        model().level(0).encode(samples)
    with pytest.raises(ValueError, match="44100 Hz; resample sound of 8000 Hz"):
        model().level(0).encode(torch.zeros(1, 1, 9), sample_rate=8000)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        (torch.full((1, 1, 4), 32), "between 0 and 31; there is a 32"),
        (torch.full((1, 1, 4), -1), "there is a -1"),
        (torch.zeros(1, 2, 4, dtype=torch.int64), "\\[B, 1, T\\]"),
        (torch.zeros(1, 1, 0, dtype=torch.int64), "at least 1"),
        (torch.zeros(1, 4, dtype=torch.int64), "not torch.int64 \\[1, 4\\]"),
        (torch.zeros(1, 1, 4), "integers"),
        ([[[1]]], "a list"),
    ],
)
def test_bad_tokens_are_refused(tokens, problem):
    codec = model().level(2)
    for take in (codec.decode, codec.decoder_stream().push):
        with pytest.raises(ValueError, match=problem):
            take(tokens)


def test_the_defaults_are_the_published_sizes():
    with torch.device("meta"):
        jukebox = VQVAE(VQVAESpec())
    assert [level.hop for level in jukebox.levels] == [8, 32, 128]
    assert [round(level.frame_rate, 1) for level in jukebox.levels] == [5512.5, 1378.1, 344.5]
    assert VQVAESpec() == VQVAESpec.from_transformers({"model_type": "jukebox", "vqvae_config": {}})
    for wrong in (-1, 3, True, 1.0, "0"):
        with pytest.raises(ValueError, match="has the levels 0 to 2, not"):
            jukebox.level(wrong)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sample_rate": 0}, "sample_rate is 0; it should be a whole number from 1"),
        ({"vocabulary": 10**12}, "vocabulary"),
        ({"widths": (64, 32)}, "one value a level of .* not \\[3, 3, 2, 3, 3\\]"),
        ({"widths": [64, 32, 32]}, "widths must be 1 to 8 numbers"),
        ({"depths": (8, 4, True)}, "depths"),
        ({"strides": (2, 3, 2)}, "strides must be even"),
        ({"strides": (1024,) * 3}, "hop"),
        ({"downs": (0, 2, 2)}, "downs is 0; it should"),
        ({"depths": (64, 4, 4)}, "widest dilation"),
        ({"dilation_cycle": 0}, "dilation_cycle"),
        ({"reverse_dilation": 1}, "true or false"),
    ],
)
def test_impossible_sizes_are_refused(changes, problem):
    with pytest.raises(ValueError, match=problem):
        replace(VQVAESpec(), **changes)


def test_specs_and_configs_have_known_words_only():
    spec = spec_of("other")
    assert VQVAESpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    with pytest.raises(ValueError, match="has no colour; its words are sample_rate"):
        VQVAESpec.from_dict({"colour": 3})
    for config, problem in [
        ({"res_dilation": 3}, "res_dilation"),
        ({"act_fn": "gelu"}, "act_fn 'gelu'"),
        ({"model_type": "dac"}, "of a 'dac'"),
        ({"model_type": "jukebox"}, "vqvae_config"),
        ({"levels": 2}, "2 levels needs as many values"),
        ({"multipliers": [2, 1, "1"]}, "multipliers"),
        ({"res_conv_width": 10**9}, "width"),
        ({"levels": 10**9}, "levels"),
    ]:
        with pytest.raises(ValueError, match=problem):
            VQVAESpec.from_transformers(config)
