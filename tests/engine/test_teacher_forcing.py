"""Logits and scores of known tokens, against what the loop drew from and against transformers; codecs; devices."""

import pytest
import torch

import clavilux
from clavilux import loop
from clavilux.audio.clip import Audio
from clavilux.audio.codecs.remi import score_tokens
from clavilux.families.aria.formats import RemiFormat
from clavilux.image.picture import Picture
from clavilux.sampling import Sampler

ORGAN = {"prompt": "slow church organ chorale in G minor", "seconds": 8, "seed": 3}


@pytest.fixture(scope="module")
def musicgen_model(musicgen):
    return clavilux.load(musicgen("mono")[0], device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def aria():
    return clavilux.load("aria", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def llamagen_model(llamagen):
    return clavilux.load(llamagen, device="cpu", dtype="float32")


@pytest.fixture
def drawn(monkeypatch):
    """[(step, logits of all blocks [R * B, K, V], tokens [B, K])] of each draw while a test runs."""
    found, draw = [], Sampler.draw

    def recording(self, logits, step, *arguments, **named):
        tokens = draw(self, logits, step, *arguments, **named)
        found.append((step, logits.clone().float(), tokens.clone()))
        return tokens

    monkeypatch.setattr(Sampler, "draw", recording)
    return found


def mixed(drawn, guidance):
    """[K, S, V] of one row, from blocks that are mixed by hand."""
    logits = torch.stack([logits for _, logits, _ in drawn], 2)  # [R, K, S, V]
    return logits[0] if guidance == 1 else logits[1] + guidance * (logits[0] - logits[1])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("controls", [{}, {"window_s": 0.05, "stride_s": 0.02}], ids=["one window", "windows"])
def test_frames_are_seen_as_the_loop_saw_them(musicgen_model, drawn, controls, guidance):
    """80 frames with a delay of up to three steps; in windows of 25 frames that move on by 10."""
    piece = musicgen_model.generate("slow organ", seconds=0.16, temperature=0, guidance=guidance, **controls)
    steps = mixed(drawn, guidance)
    expected = torch.stack([steps[k, k : k + 80] for k in range(4)])
    said = {"prompt": "slow organ", "guidance": guidance, **controls}
    logits = musicgen_model.logits(piece.tokens, **said)
    assert logits.shape == (4, 80, 32) and logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=2e-4, rtol=0)
    assert torch.equal(logits.argmax(-1), piece.tokens)
    score = musicgen_model.score(piece.tokens, **said)
    torch.testing.assert_close(score, expected.log_softmax(-1).amax(-1), atol=2e-4, rtol=0)


def test_frames_are_seen_as_transformers_sees_them(musicgen, musicgen_model):
    from clavilux.families.t5 import tokenizer

    folder, theirs = musicgen("mono")
    frames = torch.randint(0, 32, (2, 4, 40), generator=torch.Generator().manual_seed(1))
    steps = torch.full((2, 4, 44), 32)  # the start, then codebook k three frames late at most
    for k in range(4):
        steps[:, k, 1 + k : 41 + k] = frames[:, k]
    ids = torch.tensor([tokenizer(folder)("fast drums")] * 2)
    with torch.no_grad():
        logits = theirs(input_ids=ids, decoder_input_ids=steps.flatten(0, 1)).logits.view(2, 4, -1, 32)[:, :, -44:]
    expected = torch.stack([logits[:, k, k : k + 40] for k in range(4)], 1)
    ours = musicgen_model.logits(frames, prompt="fast drums")
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(musicgen_model.logits(frames[1], prompt="fast drums"), ours[1], atol=1e-5, rtol=0)
    score = musicgen_model.score(frames, prompt="fast drums")
    known = expected.log_softmax(-1).gather(-1, frames[..., None])[..., 0]
    torch.testing.assert_close(score, known, atol=1e-4, rtol=0)
    assert expected.std() > 0.5


def test_a_melody_conditions_each_window(musicgen, drawn):
    """Its prefix differs from window to window, and follows from the tokens' own length."""
    model = clavilux.load(musicgen("melody")[0], device="cpu", dtype="float32")
    melody = Audio(0.3 * torch.sin(torch.arange(40_000) * 0.1 * torch.linspace(1, 2, 40_000))[None], 16000)
    said = {"melody": melody, "window_s": 0.05, "stride_s": 0.02}
    piece = model.generate("rain", seconds=0.16, temperature=0, guidance=1.0, **said)
    steps = mixed(drawn, 1.0)
    expected = torch.stack([steps[k, k : k + 80] for k in range(4)])
    torch.testing.assert_close(model.logits(piece.tokens, prompt="rain", **said), expected, atol=2e-4, rtol=0)
    without = model.logits(piece.tokens, prompt="rain", window_s=0.05, stride_s=0.02)
    assert (without - expected).abs().max() > 0.01


def test_notes_are_seen_as_the_loop_saw_them(aria, drawn, monkeypatch):
    """At their sounding pitch: the composer writes in C. Tokens that its grammar forced were not drawn. What a grammar
    leans to is the sampler's, not the composer's."""
    monkeypatch.setattr(loop, "_leaned", lambda leaning, logits, batch: logits)
    song = aria.generate(**ORGAN)
    score, logits = aria.score(song.tokens, **ORGAN), aria.logits(song.tokens, **ORGAN)
    assert score.shape == song.tokens.shape and logits.shape == (*song.tokens.shape, 831)
    log_p = logits.log_softmax(-1).gather(-1, song.tokens[..., None])[..., 0]
    torch.testing.assert_close(score, log_p)
    kept = [each for each in drawn if each[0] < song.tokens.shape[1]]  # the bar line after the last bar is dropped
    assert len(kept) > 20 and len(drawn) - len(kept) <= 1
    for step, seen, tokens in kept:
        assert float(score[0, step]) == pytest.approx(float(seen[0, 0].log_softmax(-1)[tokens[0, 0]]), abs=1e-3)
    other = aria.score(song.tokens, **ORGAN | {"prompt": "ragtime piano in G minor"})
    assert other.mean() < score.mean() - 0.1


@pytest.mark.parametrize("semitones", [-5, 0, 3])
def test_a_transposition_keeps_every_probability(semitones):
    """Of two pitches that sound as one the probabilities are added, also where one of them is tiny."""
    between = RemiFormat().moved(semitones)
    logits = 30 * torch.randn(4, 831, generator=torch.Generator().manual_seed(semitones + 9))
    sounding = between.to_sounding(logits)
    torch.testing.assert_close(sounding.logsumexp(-1), logits.logsumexp(-1))
    heard = sounding[0].isfinite().nonzero().flatten()
    assert heard.tolist() == sorted(set(score_tokens().transposition(-semitones).tolist()))


def test_pictures_are_seen_as_the_loop_saw_them(llamagen_model, drawn):
    picture = llamagen_model.generate(class_id=3, temperature=0, guidance="1:7")
    logits = torch.stack([logits for _, logits, _ in drawn], 2)  # [2, 1, 16, V]
    scales = torch.linspace(1, 7, 16)[:, None]
    torch.testing.assert_close(
        llamagen_model.logits(picture.tokens, class_id=3, guidance="1:7"),
        logits[1] + scales * (logits[0] - logits[1]), atol=2e-4, rtol=0,
    )  # fmt: skip
    plain = llamagen_model.logits(picture.tokens[:, :10], class_id=3)
    torch.testing.assert_close(plain, logits[0, :, :10], atol=2e-4, rtol=0)
    score = llamagen_model.score(picture.tokens, class_id=3)
    known = logits[0].log_softmax(-1).gather(-1, picture.tokens[..., None])[..., 0]
    torch.testing.assert_close(score, known, atol=2e-4, rtol=0)
    # The maps are the same numbers in bits.
    surprise = llamagen_model.explain(picture, guidance=1.0).surprise
    torch.testing.assert_close(surprise.flatten() * torch.log(torch.tensor(2.0)), -score[0], atol=1e-4, rtol=0)


def test_codebooks_of_a_picture_that_are_delayed(drawn):
    lumia = clavilux.load("lumia", device="cpu", dtype="float32")
    picture = lumia.generate("red apple", temperature=0, guidance=1, hand="flat")
    steps = torch.stack([logits for _, logits, _ in drawn], 2)[0]  # [4, S, V]
    places = picture.tokens.shape[1]
    expected = torch.stack([steps[k, k : k + places] for k in range(4)])
    asked = {"prompt": "red apple", "hand": "flat"}
    torch.testing.assert_close(lumia.logits(picture.tokens, **asked), expected, atol=1e-3, rtol=0)
    assert lumia.score(picture.tokens, **asked).mean() > lumia.score(picture.tokens).mean()


def test_sound_to_frames_and_back(musicgen_model):
    sound = Audio(0.3 * torch.randn(1, 1600, generator=torch.Generator().manual_seed(2)), 16000)
    tokens = musicgen_model.encode(sound)
    codec = musicgen_model.family.stage.codec
    assert tokens.dtype == torch.int64 and torch.equal(tokens, codec.encode(sound.samples[None])[0])
    again = musicgen_model.decode(tokens)
    assert torch.equal(again.samples, codec.decode(tokens[None])[0]) and torch.equal(again.tokens, tokens)
    stereo = Audio(sound.samples.repeat(2, 2), 32000)
    assert musicgen_model.encode(stereo).shape == tokens.shape


def test_a_score_to_notes_and_back(aria, tmp_path):
    song = aria.generate(**ORGAN)
    tokens = aria.encode(song)
    again = aria.decode(tokens)
    assert torch.equal(aria.encode(again.score), tokens) and torch.equal(again.tokens, tokens)
    assert len(again.score.notes) == len(song.score.notes) and again.samples.abs().max() > 0.01
    song.score.save_midi(tmp_path / "song.mid")
    assert aria.encode(tmp_path / "song.mid").shape[0] == 1
    with pytest.raises(ValueError, match="the Audio has no score"):
        aria.encode(Audio(song.samples, song.sample_rate))
    with pytest.raises(ValueError, match="is no MIDI, MusicXML or ABC file"):
        aria.encode(tmp_path / "song.wav")
    with pytest.raises(TypeError, match="source is int"):
        aria.encode(3)
    with pytest.raises(ValueError, match="the tokens say no score"):
        aria.decode(torch.arange(831)[None])


def test_a_picture_to_tokens_and_back(llamagen_model, tmp_path):
    picture = llamagen_model.generate(class_id=3, seed=1)
    assert torch.equal(llamagen_model.decode(picture.tokens).pixels, picture.pixels)
    tokens = llamagen_model.encode(picture)
    assert torch.equal(tokens, llamagen_model.family.stage.codec.encode(picture.to_floats()[None])[0])
    picture.save(tmp_path / "a.png")
    assert torch.equal(llamagen_model.encode(tmp_path / "a.png"), tokens)
    upper = llamagen_model.decode(tokens[:, :8], rows=2)
    assert (upper.width, upper.height) == (8, 4) and torch.equal(upper.tokens, tokens[:, :8])
    assert llamagen_model.encode(Picture(torch.zeros(9, 14, 3, dtype=torch.uint8)), size=16).shape == (1, 64)


@pytest.mark.parametrize(
    ("method", "tokens", "options", "error", "message"),
    [
        ("logits", torch.zeros(3, 9, dtype=torch.int64), {}, ValueError, r"int64 \(3, 9\); they should be int64"),
        ("logits", torch.zeros(4, 9), {}, ValueError, "tokens are torch.float32"),
        ("score", torch.zeros(4, 0, dtype=torch.int64), {}, ValueError, "with a token at least"),
        ("score", [[1]], {}, TypeError, "tokens are a list"),
        ("logits", torch.full((4, 9), 32), {}, ValueError, "a token is 32; it should be from 0 to 31"),
        ("decode", torch.full((4, 9), -1), {}, ValueError, "a token is -1"),
        ("decode", torch.zeros(2, 4, 9, dtype=torch.int64), {}, ValueError, "tokens are of 2 pieces"),
        ("logits", torch.zeros(4, 9, dtype=torch.int64), {"top_k": 3}, TypeError, "does not take top_k"),
        ("logits", torch.zeros(4, 9, dtype=torch.int64), {"prompt": ["rain"]}, TypeError, "prompt is list"),
        ("score", torch.zeros(4, 9, dtype=torch.int64), {"guidance": "3"}, TypeError, "guidance is '3'"),
        ("score", torch.zeros(4, 9, dtype=torch.int64), {"seconds": -1}, ValueError, "seconds is -1"),
    ],
)  # fmt: skip
def test_bad_frames(musicgen_model, method, tokens, options, error, message):
    with pytest.raises(error, match=message):
        getattr(musicgen_model, method)(tokens, **options)


@pytest.mark.parametrize(
    ("method", "count", "options", "message"),
    [
        ("logits", 17, {"class_id": 3}, "there are 17 tokens a codebook; a picture of 8 pixels has 16"),
        ("logits", 16, {}, "paints classes, not words"),
        ("score", 16, {"class_id": 3, "size": 7}, "size is 7"),
        ("decode", 15, {}, "there are 15 tokens; they should be those of a square"),
        ("decode", 15, {"rows": 4}, "there are 15 tokens; they should be those of 4 rows"),
    ],
)
def test_bad_tokens_of_pictures(llamagen_model, method, count, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(llamagen_model, method)(torch.zeros(1, count, dtype=torch.int64), **options)


def test_guidance_of_a_model_that_nothing_conditions_on(llamagen_model, monkeypatch):
    tokens = torch.zeros(1, 16, dtype=torch.int64)
    begin = llamagen_model.family.begin

    def without(requests):
        found = begin(requests)
        for generation in found:
            generation.unconditional = None
        return found

    monkeypatch.setattr(llamagen_model.family, "begin", without)
    assert llamagen_model.score(tokens, class_id=3).shape == (1, 16)
    with pytest.raises(ValueError, match="guidance is 2"):
        llamagen_model.score(tokens, class_id=3, guidance=2.0)


def test_to_reads_the_files_again_for_another_device(llamagen, monkeypatch):
    model = clavilux.load(llamagen, device="cpu")
    family, picture = model.family, model.generate(class_id=3, seed=1)
    assert model.to("cpu") is model and model.family is family and model.device == torch.device("cpu")
    monkeypatch.setattr(clavilux.Model, "device", torch.device("meta"))  # as if it were somewhere else
    assert model.to("cpu") is model and model.family is not family
    assert torch.equal(model.generate(class_id=3, seed=1).tokens, picture.tokens)
    assert model.family.identity == family.identity
    with pytest.raises(ValueError, match="the device 'nowhere' is not available"):
        model.to("nowhere")
    with pytest.raises(ValueError, match="this model was not loaded from files"):
        clavilux.ImageModel(family).to("cpu")
