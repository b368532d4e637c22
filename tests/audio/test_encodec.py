"""EnCodec against transformers' model and against itself, with small random weights and music from our synthesizer."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from ties import check_codes, recorded
from tiny_codecs import SEANETS, TINY_SEANET, drawn_encodec

from clavilux.audio.codecs import NeuralCodec
from clavilux.audio.codecs.encodec import EncodecSpec, StereoEncodec, from_config
from clavilux.audio.score import NOTE, Score
from clavilux.audio.synth import render_score

SMALL = {"num_filters": 4, "hidden_size": 16, "codebook_size": 64}
CONFIGS = {
    "24k": SMALL | {"target_bandwidths": [1.8, 3.6]},
    "32k": SMALL
    | {"upsampling_ratios": [8, 5, 4, 4], "sampling_rate": 32000, "use_causal_conv": False, "use_conv_shortcut": False}
    | {"target_bandwidths": [0.6, 1.2], "pad_mode": "constant", "num_residual_layers": 2},
    "48k": SMALL
    | {"sampling_rate": 48000, "audio_channels": 2, "use_causal_conv": False, "norm_type": "time_group_norm"}
    | {"normalize": True, "chunk_length_s": 1.0, "overlap": 0.01, "target_bandwidths": [1.8, 3.6]},
}


@lru_cache
def music(rate, channels, seconds=3.0):
    """[1, channels, N]: piano chords, a cello's line and drums."""
    chords = [(q, 1, pitch, 90, 0, False) for q in range(0, 8, 2) for pitch in (48 + q, 55 + q, 64)]
    line = [(q, 0.9, 45 + 5 * (q % 3), 80, 42, False) for q in range(8)]
    notes = np.array(chords + line + [(q / 2, 0.1, 38, 100, 0, True) for q in range(16)], dtype=NOTE)
    sound = render_score(Score(notes, ((0.0, 140.0),)), sample_rate=rate, duration_s=seconds)
    sound = (sound if channels == 2 else sound.mean(0, keepdim=True))[None, :, : int(seconds * rate)]
    return sound * 0.5 / sound.abs().max()


def draw_codebooks(vectors, latent):
    """Fill vectors [V, D] each with latents [T, D] that the ones before left over, so that many are chosen."""
    for each in vectors:
        each.copy_(latent[torch.randint(len(latent), (len(each),))] + 0.5 * latent.std() * torch.randn(each.shape))
        latent = latent - each[torch.cdist(latent, each).argmin(1)]


def error(found, expected):
    """The largest difference, of full scale, or of the peak where that is higher."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


@pytest.fixture(scope="module")
def pairs():
    """name -> (transformers' model, ours with its weights)."""
    transformers = pytest.importorskip("transformers", reason="the reference, transformers, is not installed (.[dev])")

    @lru_cache
    @torch.no_grad()
    def pair(name):
        torch.manual_seed(1)
        model = transformers.EncodecModel(transformers.EncodecConfig(**CONFIGS[name])).eval()
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("original0"):
                parameter.mul_(1.2)
        sound = music(model.config.sampling_rate, model.config.audio_channels)
        sound = sound / sound.square().mean().sqrt() if model.config.normalize else sound
        latent = model.encoder(sound)[0].t()
        draw_codebooks([layer.codebook.embed for layer in model.quantizer.layers], latent)
        return model, from_config(model.config.to_dict(), model.state_dict())

    return pair


@torch.no_grad()
def reference(model, samples, codebooks_of=-1):
    """Codes [B, K, T], scales [B, chunks] or None, and the decode, of transformers' model."""
    found = model.encode(samples, bandwidth=model.config.target_bandwidths[codebooks_of])
    pad = found.last_frame_pad_length
    decoded = model.decode(found.audio_codes, found.audio_scales, last_frame_pad_length=pad).audio_values
    codes = torch.cat(list(found.audio_codes), dim=2)
    scales = torch.cat(found.audio_scales, dim=1) if model.config.normalize else None
    return codes[..., : codes.shape[2] - pad], scales, decoded


@pytest.mark.parametrize("kind", ["music", "noise"])
@pytest.mark.parametrize("name", CONFIGS)
def test_codes_and_sound_are_those_of_transformers(pairs, name, kind):
    model, codec = pairs(name)
    samples = music(codec.sample_rate, codec.channels)
    if kind == "noise":
        samples = 0.1 * torch.randn(3, codec.channels, codec.sample_rate + 137)
    codes, scales, decoded = reference(model, samples)
    with recorded(codec) as latents:
        tokens, our_scales = codec.encode_scaled(samples)
    check_codes(tokens, codes, latents(len(samples)), codec.quantizer.vectors)
    assert len(tokens.unique()) > 30 and tokens.shape[2] == codec.num_frames(samples.shape[2])
    ours = codec.decode(codes, our_scales)
    assert ours.shape[2] == codec.num_samples(tokens.shape[2])
    assert decoded.abs().max() > 0.01
    assert error(ours, decoded) < 1e-5
    if scales is not None:
        torch.testing.assert_close(our_scales, scales, atol=0, rtol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bandwidth_is_a_number_of_codebooks(pairs, name):
    model, codec = pairs(name)
    samples = music(codec.sample_rate, codec.channels)[..., :9000]
    codes, scales, decoded = reference(model, samples, 0)
    codebooks = codec.codebooks_for(model.config.target_bandwidths[0])
    assert codebooks == codes.shape[1] < codec.codebooks == codec.codebooks_for(1000)
    with recorded(codec) as latents:
        tokens = codec.encode(samples, codebooks)
    check_codes(tokens, codes, latents(1), codec.quantizer.vectors)
    assert error(codec.decode(codes, scales), decoded) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("samples", [1, 2, 319, 320, 321, 640, 641, 48000])
def test_short_and_odd_lengths(pairs, name, samples):
    model, codec = pairs(name)
    sound = music(codec.sample_rate, codec.channels)[..., 7000 : 7000 + samples]
    codes, _scales, decoded = reference(model, sound)
    with recorded(codec) as latents:
        tokens, our_scales = codec.encode_scaled(sound)
    check_codes(tokens, codes, latents(1), codec.quantizer.vectors)
    assert error(codec.decode(codes, our_scales), decoded) < 1e-5


def test_chunks_of_all_lengths_come_back(pairs):
    """Also where transformers cannot: the chunk before the last short of a few samples, so of unequal frames."""
    _, codec = pairs("48k")
    for samples in (47519, 47520, 47521, 47999, 48001, 95040, 95041, 95500, 143000):
        sound = music(48000, 2)[..., :samples]
        tokens, scales = codec.encode_scaled(sound)
        assert tokens.shape[2] == codec.num_frames(samples)
        decoded = codec.decode(tokens, scales)
        assert decoded.shape[2] == codec.num_samples(tokens.shape[2]) >= samples
        assert len(scales[0]) == -(-samples // 47520)


def test_silence_has_a_scale(pairs):
    _, codec = pairs("48k")
    tokens, scales = codec.encode_scaled(torch.zeros(1, 2, 50000))
    assert torch.isfinite(codec.decode(tokens, scales)).all() and codec.decode(tokens, scales).abs().max() < 1e-6


def joined(codec, tokens, lengths, scales=None):
    """What a stream gives for pieces of these lengths (in turn), joined, and where each began to be heard."""
    stream = codec.decoder_stream(scales)
    pieces, at, turn = [], 0, 0
    while at < tokens.shape[2]:
        piece = stream.push(tokens[..., at : at + lengths[turn % len(lengths)]])
        at, turn = at + lengths[turn % len(lengths)], turn + 1
        pieces += [] if piece is None else [piece]
    return torch.cat([*pieces, stream.finish()], dim=2)


@pytest.mark.parametrize("frames", [1, 2, 5, 61])
@pytest.mark.parametrize("shape", SEANETS)
def test_a_stream_gives_the_whole(shape, frames):
    codec = drawn_encodec(EncodecSpec(SEANETS[shape], codebooks=3, vocabulary=32))
    tokens = torch.randint(32, (2, 3, frames))
    whole = codec.decoder(codec.quantizer.decode(tokens))
    assert whole.abs().max() > 0.01 and whole.shape[2] == frames * codec.hop
    for lengths in ([1], [2, 1, 3], [7, 1, 20], [100]):
        assert error(joined(codec, tokens, lengths), whole) < 1e-5
    assert error(codec.decode(tokens), whole) < 1e-5


@pytest.mark.parametrize("samples", [1, 3, 39, 40, 41, 1000, 1017])
@pytest.mark.parametrize("shape", SEANETS)
def test_encoding_in_pieces_gives_the_whole(shape, samples, monkeypatch):
    codec = drawn_encodec(EncodecSpec(SEANETS[shape], codebooks=3, vocabulary=32))
    sound = torch.randn(2, 1, samples)
    whole = codec.encoder(sound)
    assert whole.shape[2] == codec.num_frames(samples)
    for size in (1, 4, 13):
        state, step = {}, size * codec.hop
        pieces = [
            codec.encoder.step(sound[..., i : i + step], state, i + step >= samples) for i in range(0, samples, step)
        ]
        assert error(torch.cat(pieces, dim=2), whole) < 1e-5
    draw_codebooks(codec.quantizer.vectors, whole.transpose(1, 2).flatten(0, 1))
    tokens = codec.encode(sound)
    monkeypatch.setattr(codec, "_piece_frames", lambda rows: 3)
    assert torch.equal(codec.encode(sound), tokens)


def test_chunks_stream_as_they_are_full(pairs):
    _, codec = pairs("48k")
    tokens, scales = codec.encode_scaled(music(48000, 2))
    whole = codec.decode(tokens, scales)
    for lengths in ([1, 50, 400], [150], [149, 2], [1000]):
        assert error(joined(codec, tokens, lengths, scales), whole) < 1e-5
    stream = codec.decoder_stream(scales)
    assert stream.push(tokens[..., :149]) is None and stream.push(tokens[..., 149:150]).shape[2] == 47520
    assert codec.overlap_frames is None


def test_group_norm_without_chunks_waits_for_the_end():
    codec = drawn_encodec(EncodecSpec(replace(TINY_SEANET, causal=False, group_norm=True), codebooks=2, vocabulary=32))
    tokens = codec.encode(torch.randn(2, 1, 999))
    stream = codec.decoder_stream()
    assert stream.push(tokens[..., :7]) is None and stream.push(tokens[..., 7:]) is None
    assert torch.equal(stream.finish(), codec.decode(tokens))


def test_overlap_and_lookahead_are_exact():
    codec = drawn_encodec(EncodecSpec(SEANETS["without LSTM"], codebooks=2, vocabulary=32))
    tokens = torch.randint(32, (1, 2, 80))
    whole = codec.decode(tokens)

    def with_overlap(frames):
        part = codec.decode(tokens[..., 40 - frames : 45 + frames])
        return error(part[..., frames * codec.hop :][..., : 5 * codec.hop], whole[..., 40 * codec.hop : 45 * codec.hop])

    assert with_overlap(codec.overlap_frames) < 1e-6 < 1e-4 < with_overlap(codec.overlap_frames - 1)
    for shape in SEANETS.values():
        codec = drawn_encodec(EncodecSpec(shape, codebooks=2, vocabulary=32))
        assert codec.overlap_frames is None or not shape.lstm_layers
        stream = codec.decoder_stream()
        heard = stream.push(tokens[..., :40]).shape[2]
        assert 40 - codec.lookahead_frames - 1 <= heard / codec.hop <= 40


def test_stereo_is_two_monos():
    mono = drawn_encodec(EncodecSpec(SEANETS["both sides, zeros, identity"], codebooks=3, vocabulary=32))
    sound = 0.3 * torch.randn(2, 2, 900)
    draw_codebooks(mono.quantizer.vectors, mono.encoder(sound[:, :1]).transpose(1, 2).flatten(0, 1))
    codec = StereoEncodec(mono)
    assert isinstance(codec, NeuralCodec) and (codec.codebooks, codec.channels) == (6, 2)
    tokens = codec.encode(sound)
    assert torch.equal(tokens[:, 0::2], mono.encode(sound[:, :1]))
    assert torch.equal(tokens[:, 1::2], mono.encode(sound[:, 1:]))
    assert torch.equal(codec.encode(sound, 4), tokens[:, :4])
    decoded = codec.decode(tokens)
    assert error(decoded[:, 1:], mono.decode(tokens[:, 1::2])) < 1e-5
    stream = codec.decoder_stream()
    pieces = [stream.push(tokens[..., :11]), stream.push(tokens[..., 11:]), stream.finish()]
    assert error(torch.cat(pieces, dim=2), decoded) < 1e-5
    for call in (
        lambda: codec.encode(sound, 3),
        lambda: codec.decode(tokens[:, :3]),
        lambda: codec.encode(sound[:, :1]),
    ):
        with pytest.raises(ValueError):
            call()


def test_it_is_a_codec_and_can_move():
    codec = drawn_encodec(EncodecSpec(TINY_SEANET, codebooks=2, vocabulary=32))
    assert isinstance(codec, NeuralCodec)
    sound = torch.randn(1, 1, 500)
    tokens = codec.encode(sound)
    assert tokens.dtype == torch.int64 and codec.decode(tokens).dtype == torch.float32
    expected = codec.decode(tokens)
    assert codec.double().decode(tokens).dtype == torch.float64
    assert error(codec.decode(tokens).float(), expected) < 1e-5
    assert codec.encode(sound).shape == tokens.shape


@pytest.mark.parametrize(
    ("samples", "options", "said"),
    [
        (torch.full((1, 1, 50), torch.nan), {}, "NaN or infinity"),
        (torch.full((1, 1, 50), torch.inf), {}, "NaN or infinity"),
        (torch.zeros(1, 1, 0), {}, r"\[B, 1, N\] with B and N at least 1, not \[1, 1, 0\]"),
        (torch.zeros(1, 2, 50), {}, r"not \[1, 2, 50\]"),
        (torch.zeros(50), {}, r"floats \[B, 1, N\], not torch.float32 \[50\]"),
        (torch.zeros(1, 1, 50, dtype=torch.int16), {}, "torch.int16"),
        ([0.0], {}, "a list"),
        (torch.zeros(1, 1, 50), {"sample_rate": 44100}, "24000 Hz; resample sound of 44100"),
        (torch.zeros(1, 1, 50), {"codebooks": 3}, "1 to 2 codebooks, not 3"),
        (torch.zeros(1, 1, 50), {"codebooks": True}, "1 to 2 codebooks, not True"),
    ],
)
def test_bad_sound(samples, options, said):
    codec = drawn_encodec(EncodecSpec(TINY_SEANET, codebooks=2, vocabulary=32))
    with pytest.raises(ValueError, match=said):
        codec.encode(samples, **options)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (torch.full((1, 2, 5), 32), "between 0 and 31; there is a 32"),
        (torch.full((1, 2, 5), -1), "there is a -1"),
        (torch.zeros(1, 3, 5, dtype=torch.int64), "K from 1 to 2"),
        (torch.zeros(1, 2, 0, dtype=torch.int64), "at least 1"),
        (torch.zeros(1, 2, 5), "torch.float32"),
        (torch.zeros(2, 5, dtype=torch.int64), r"integers \[B, K, T\]"),
    ],
)
def test_bad_tokens(tokens, said):
    codec = drawn_encodec(EncodecSpec(TINY_SEANET, codebooks=2, vocabulary=32))
    for call in (codec.decode, codec.decoder_stream().push):
        with pytest.raises(ValueError, match=said):
            call(tokens)


def test_misused_streams():
    codec = drawn_encodec(EncodecSpec(TINY_SEANET, codebooks=2, vocabulary=32))
    tokens = torch.zeros(1, 2, 5, dtype=torch.int64)
    stream = codec.decoder_stream()
    with pytest.raises(ValueError, match="no tokens"):
        stream.finish()
    stream.push(tokens)
    with pytest.raises(ValueError, match=r"\[1, 2\], and the tokens have \[1, 1\]"):
        stream.push(tokens[:, :1])
    stream.finish()
    for call in (stream.finish, lambda: stream.push(tokens)):
        with pytest.raises(ValueError, match="finished"):
            call()
    with pytest.raises(ValueError, match="scales for 2 rows"):
        codec.decode(tokens, torch.ones(2, 1))
