"""DAC against transformers, against frozen outputs of the original package, and against itself in pieces."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_codecs import DACS, TINY_DAC, draw_dac, drawn_dac

from clavilux.audio.codecs import NeuralCodec, dac
from clavilux.audio.codecs.dac import Dac, DacSpec
from clavilux.audio.score import NOTE, Score
from clavilux.audio.synth import render_score

GOLDEN = Path(__file__).parents[1] / "goldens" / "dac.safetensors"
SMALL = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "codebook_size": 64}
CONFIGS = {
    "16k": SMALL | {"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 12, "sampling_rate": 16000},
    "24k": SMALL | {"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 32, "sampling_rate": 24000},
    "44k": SMALL | {"downsampling_ratios": [2, 4, 8, 8], "n_codebooks": 9, "sampling_rate": 44100},
}
ROUNDING = 1e-13  # float64, so that what equals but for the order of sums can be told from what is nearly equal


@lru_cache
def music(rate, seconds=3.0):
    """[1, 1, N]: piano chords, a cello's line and drums."""
    chords = [(q, 1, pitch, 90, 0, False) for q in range(0, 8, 2) for pitch in (48 + q, 55 + q, 64)]
    line = [(q, 0.9, 45 + 5 * (q % 3), 80, 42, False) for q in range(8)]
    notes = np.array(chords + line + [(q / 2, 0.1, 38, 100, 0, True) for q in range(16)], dtype=NOTE)
    sound = render_score(Score(notes, ((0.0, 140.0),)), sample_rate=rate, duration_s=seconds)
    sound = sound.mean(0)[None, None, : int(seconds * rate)]
    return sound * 0.5 / sound.abs().max()


def random_tokens(codec, frames, batch=1, codebooks=None):
    return torch.randint(codec.vocabulary, (batch, codebooks or codec.codebooks, frames))


def frozen():
    """The kwargs, the weights and the other tensors of the golden file."""
    with safe_open(GOLDEN, "pt") as file:
        kwargs = json.loads(file.metadata()["kwargs"])
    tensors = load_file(GOLDEN)
    weights = {
        name.removeprefix("weights."): tensors.pop(name) for name in list(tensors) if name.startswith("weights.")
    }
    return kwargs, weights, tensors


def original(**changes):
    kwargs, weights, _ = frozen()
    return {"state_dict": weights, "metadata": {"kwargs": kwargs | changes}}


def renamed(weights):
    """The newer naming of weight norm."""
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    for old, new in names.items():
        weights = {name.replace(old, new): tensor for name, tensor in weights.items()}
    return weights


@pytest.fixture(scope="module")
def pairs():
    """name -> (transformers' model, ours with its weights)."""
    transformers = pytest.importorskip("transformers", reason="the reference, transformers, is not installed (.[dev])")

    @lru_cache
    def pair(name):
        model = transformers.DacModel(transformers.DacConfig(**CONFIGS[name])).eval()
        draw_dac(model.state_dict(), seed=1)
        return model, dac.from_config(model.config.to_dict(), model.state_dict())

    return pair


@pytest.mark.parametrize("kind", ["music", "noise"])
@pytest.mark.parametrize("name", CONFIGS)
def test_codes_and_sound_are_those_of_transformers(pairs, name, kind):
    model, codec = pairs(name)
    rate = codec.sample_rate
    samples = music(rate) if kind == "music" else 0.3 * torch.randn(2, 1, rate // 2 + 137)
    padded = torch.nn.functional.pad(samples, (0, -samples.shape[2] % codec.hop))
    with torch.no_grad():
        codes = model.encode(padded).audio_codes
        decoded = model.decode(audio_codes=codes).audio_values
    tokens = codec.encode(samples, sample_rate=rate)
    assert torch.equal(tokens, codes)
    assert tokens.shape[2] == codec.num_frames(samples.shape[2]) and len(tokens.unique()) > 30
    ours = codec.decode(tokens)
    assert ours.shape[2] == codec.num_samples(tokens.shape[2])
    assert 0.01 < decoded.std() < 0.7
    torch.testing.assert_close(ours[:, 0], decoded, rtol=0, atol=3e-5)


def test_fewer_codebooks_are_those_of_transformers(pairs):
    model, codec = pairs("44k")
    samples = music(44100)[..., : 100 * codec.hop]
    with torch.no_grad():
        codes = model.encode(samples, n_quantizers=3).audio_codes
        decoded = model.decode(audio_codes=codes).audio_values
    tokens = codec.encode(samples, 3)
    assert tokens.shape[1] == 3 and torch.equal(tokens, codes)
    torch.testing.assert_close(codec.decode(tokens)[:, 0], decoded, rtol=0, atol=1e-5)


def test_a_transformers_folder_loads_with_either_naming_of_weight_norm(pairs, tmp_path):
    model, codec = pairs("16k")
    tokens = random_tokens(codec, 20)
    normed = type(model)(model.config).eval()
    normed.load_state_dict(model.state_dict())
    normed.apply_weight_norm()
    for folder, saved in (("plain", model), ("normed", normed)):
        saved.save_pretrained(tmp_path / folder)
        loaded = dac.load(tmp_path / folder)
        torch.testing.assert_close(loaded.decode(tokens), codec.decode(tokens), rtol=0, atol=1e-5)
    assert any("original0" in name for name in load_file(tmp_path / "normed" / "model.safetensors"))


@pytest.mark.parametrize("naming", ["g and v", "parametrizations"])
def test_the_original_layout_gives_what_the_original_package_gave(tmp_path, naming):
    _, _, expected = frozen()
    content = original()
    if naming == "parametrizations":
        content["state_dict"] = renamed(content["state_dict"])
    torch.save(content, tmp_path / "weights.pth")
    codec = dac.load(tmp_path / "weights.pth")
    codes = expected["codes"].long()
    assert torch.equal(codec.encode(expected["samples"]), codes)
    torch.testing.assert_close(codec.decode(codes), expected["decoded"], rtol=0, atol=1e-5)
    torch.testing.assert_close(codec.decode(codes[:, :2]), expected["decoded_from_two"], rtol=0, atol=1e-5)
    assert torch.equal(dac.load(tmp_path).decode(codes), codec.decode(codes))


def test_it_is_a_codec_and_says_what_it_is():
    codec = Dac(DacSpec())
    assert isinstance(codec, NeuralCodec)
    assert (codec.sample_rate, codec.hop, codec.codebooks, codec.vocabulary, codec.channels) == (44100, 512, 9, 1024, 1)
    assert codec.frame_rate == 44100 / 512


@pytest.mark.parametrize("spec", DACS.values(), ids=DACS)
def test_a_stream_of_any_pieces_is_the_whole(spec):
    codec = drawn_dac(spec).to(torch.float64)
    rng = np.random.default_rng(3)
    for frames in (1, 2, 7, 64, 150):
        tokens = random_tokens(codec, frames, batch=2, codebooks=2)
        whole = codec.decode(tokens)
        assert whole.shape == (2, 1, codec.num_samples(frames)) and whole.std() > 0.02
        cuts = (
            np.sort(rng.choice(np.arange(1, frames), rng.integers(min(frames, 30)), replace=False))
            if frames > 1
            else []
        )
        stream = codec.decoder_stream()
        pieces = [stream.push(piece) for piece in tokens.tensor_split(torch.tensor(cuts, dtype=torch.int64), dim=2)]
        pieces = [piece for piece in [*pieces, stream.finish()] if piece is not None]
        torch.testing.assert_close(torch.cat(pieces, dim=2), whole, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("spec", DACS.values(), ids=DACS)
def test_long_signals_are_computed_in_pieces_with_the_same_result(spec, monkeypatch):
    codec = drawn_dac(spec).to(torch.float64)
    samples = torch.randn(2, 1, 100 * codec.hop - 3, dtype=torch.float64)
    latent = codec.encoder(torch.nn.functional.pad(samples, (0, 3)))
    tokens = codec._quantize(latent, codec.codebooks)
    sound = codec.decoder(codec._latent(tokens)).tanh()
    for frames in (1, 3, 40, 99, 100):
        monkeypatch.setattr(codec, "_piece_frames", lambda batch, frames=frames: frames)
        assert torch.equal(codec.encode(samples), tokens)
        torch.testing.assert_close(codec.decode(tokens), sound, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("spec", DACS.values(), ids=DACS)
def test_frames_of_context_are_enough_and_not_one_too_many(spec):
    codec = drawn_dac(spec).to(torch.float64)  # what the outermost frame adds would be lost in float32's rounding
    tokens, hop = random_tokens(codec, 120), codec.hop
    whole = codec.decode(tokens)[..., 50 * hop : 60 * hop]

    def difference(before, after):
        part = codec.decode(tokens[..., 50 - before : 60 + after])
        return float((part[..., before * hop : (before + 10) * hop] - whole).abs().max())

    overlap, ahead = codec.overlap_frames, codec.lookahead_frames
    assert difference(overlap, overlap) < ROUNDING and difference(overlap, ahead) < ROUNDING
    assert difference(overlap, ahead - 1) > 10 * ROUNDING
    assert max(difference(overlap - 1, ahead), difference(overlap, overlap - 1)) > 10 * ROUNDING


def test_a_stream_is_heard_as_soon_as_its_frames_are_certain():
    codec = drawn_dac(TINY_DAC)
    stream, heard = codec.decoder_stream(), 0
    for pushed in range(1, 60):
        piece = stream.push(random_tokens(codec, 1))
        heard += 0 if piece is None else piece.shape[2]
        assert heard >= (pushed - codec.lookahead_frames) * codec.hop


def test_rows_of_a_batch_do_not_touch_each_other():
    codec = drawn_dac(TINY_DAC)
    samples = torch.randn(3, 1, 500)
    together = codec.encode(samples)
    for row in range(3):
        assert torch.equal(codec.encode(samples[row : row + 1])[0], together[row])


@pytest.mark.parametrize("length", [1, 7, 8, 9])
def test_short_sounds_fill_up_a_frame(length):
    codec = drawn_dac(TINY_DAC)
    tokens = codec.encode(torch.full((1, 1, length), 0.5))
    assert tokens.shape == (1, 3, codec.num_frames(length)) and tokens.dtype == torch.int64
    assert codec.decode(tokens).shape[2] >= length


def test_it_moves_to_another_dtype():
    codec = drawn_dac(TINY_DAC)
    tokens = random_tokens(codec, 30)
    expected = codec.decode(tokens)
    torch.testing.assert_close(codec.to(torch.float64).decode(tokens).float(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (torch.full((1, 1, 100), torch.nan), "NaN"),
        (torch.full((1, 1, 100), torch.inf), "NaN or infinity"),
        (torch.zeros(1, 1, 0), "at least 1, not \\[1, 1, 0\\]"),
        (torch.zeros(1, 2, 100), "mono"),
        (torch.zeros(100), "not torch.float32 \\[100\\]"),
        (torch.zeros(1, 1, 100, dtype=torch.int16), "floats"),
        (np.zeros((1, 1, 100)), "a ndarray"),
    ],
)
def test_bad_sounds_are_refused(samples, problem):
    with pytest.raises(ValueError, match=problem):
        drawn_dac(TINY_DAC).encode(samples)


def test_another_rate_or_number_of_codebooks_is_refused():
    codec = drawn_dac(TINY_DAC)
    with pytest.raises(ValueError, match="8000 Hz; resample sound of 44100 Hz"):
        codec.encode(torch.zeros(1, 1, 100), sample_rate=44100)
    for codebooks in (0, 4, True, 1.0):
        with pytest.raises(ValueError, match="1 to 3 codebooks, not"):
            codec.encode(torch.zeros(1, 1, 100), codebooks)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        (torch.full((1, 3, 4), 32), "between 0 and 31; there is a 32"),
        (torch.full((1, 3, 4), -1), "there is a -1"),
        (torch.zeros(1, 4, 4, dtype=torch.int64), "K from 1 to 3"),
        (torch.zeros(1, 3, 0, dtype=torch.int64), "T at least 1"),
        (torch.zeros(3, 4, dtype=torch.int64), "not torch.int64 \\[3, 4\\]"),
        (torch.zeros(1, 3, 4), "integers"),
        (torch.zeros(1, 3, 4, dtype=torch.bool), "integers"),
        ([[[1]]], "a list"),
    ],
)
def test_bad_tokens_are_refused(tokens, problem):
    codec = drawn_dac(TINY_DAC)
    for take in (codec.decode, codec.decoder_stream().push):
        with pytest.raises(ValueError, match=problem):
            take(tokens)


def test_a_stream_keeps_its_shape_and_ends_once():
    codec = drawn_dac(TINY_DAC)
    stream = codec.decoder_stream()
    with pytest.raises(ValueError, match="got no tokens"):
        stream.finish()
    stream.push(random_tokens(codec, 4))
    with pytest.raises(ValueError, match="this stream has \\[B, K\\] \\[1, 3\\], and the tokens have \\[1, 2\\]"):
        stream.push(random_tokens(codec, 4, codebooks=2))
    stream.finish()
    for late in (stream.finish, lambda: stream.push(random_tokens(codec, 4))):
        with pytest.raises(ValueError, match="finished"):
            late()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"codebook_size": 10**12}, "vocabulary is 1000000000000; it should be a whole number from 1 to 1048576"),
        ({"codebook_size": 128}, "quantizer.quantizers.0.codebook.weight is \\(64, 8\\), not \\(128, 8\\)"),
        ({"codebook_size": "64"}, "vocabulary is '64'; it should be a whole number"),
        (
            {"n_codebooks": 10**12, "codebook_dim": 8},
            "codebooks is 1000000000000; it should be a whole number from 1 to 256",
        ),
        ({"n_codebooks": 4, "codebook_dim": 8}, "lacks quantizer.quantizers.3"),
        ({"n_codebooks": 2, "codebook_dim": [8, 4]}, "has quantizer.quantizers.2"),
        ({"n_codebooks": 4}, "4 codebooks needs as many values of codebook_dim, not 3"),
        ({"latent_dim": 10**9}, "latent_width"),
        ({"encoder_dim": 10**9, "latent_dim": None}, "encoder_width"),
        ({"encoder_dim": -4}, "encoder_width is -4; it should"),
        ({"encoder_dim": 60000}, "encoder_width, doubled with every rate"),
        ({"decoder_dim": 4}, "decoder_width, halved with every rate"),
        ({"decoder_dim": 65536}, "is \\("),
        ({"encoder_rates": [2, 3, 0]}, "encoder_rates is 0; it should be a whole number from 2"),
        ({"encoder_rates": [2] * 1000}, "encoder_rates must be 1 to 16 numbers"),
        ({"encoder_rates": "235"}, "must be a list, not '235'"),
        ({"encoder_rates": [1024] * 3, "decoder_rates": [1024] * 3, "encoder_dim": 1, "decoder_dim": 8}, "hop"),
        ({"decoder_rates": [5, 3, 3]}, "must have the same product"),
        ({"sample_rate": 0}, "sample_rate is 0; it should be"),
        ({"sample_rate": 16000.5}, "sample_rate is 16000.5; it should be"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_anything_is_allocated(changes, problem):
    with pytest.raises(ValueError, match=problem):
        dac.from_original(original(**changes), "'weights.pth'")


def test_a_transformers_config_that_contradicts_itself_is_refused():
    for changes, problem in [
        ({"hidden_size": 65}, "hidden_size 65, but its other sizes make it 64"),
        ({"upsampling_ratios": [2, 4, 5, 8]}, "its other sizes make it \\[8, 5, 4, 2\\]"),
        ({"codebook_size": 10**12}, "vocabulary"),
        ({"downsampling_ratios": 8}, "must be a list"),
    ]:
        with pytest.raises(ValueError, match=problem):
            DacSpec.from_transformers(CONFIGS["16k"] | changes)
    assert DacSpec.from_transformers({}) == DacSpec(16000)


def test_missing_extra_and_broken_tensors_are_named():
    content = original()
    weights = content["state_dict"]
    bias = weights.pop("decoder.model.2.block.2.block.3.bias")
    with pytest.raises(ValueError, match="'x' .*lacks decoder.model.2.block.2.block.3.bias"):
        dac.from_original(content, "'x'")
    weights |= {"decoder.model.2.block.2.block.3.bias": bias, "decoder.model.9.bias": bias}
    with pytest.raises(ValueError, match="has decoder.model.9.bias"):
        dac.from_original(content)
    del weights["decoder.model.9.bias"]
    weights["decoder.model.2.block.2.block.3.bias"] = bias * torch.nan
    with pytest.raises(ValueError, match="not finite in decoder.model.2.block.2.block.3.bias"):
        dac.from_original(content)
    for content in ({}, {"state_dict": weights}, {"state_dict": weights, "metadata": {"kwargs": 3}}):
        with pytest.raises(ValueError, match="no original DAC"):
            dac.from_original(content)
