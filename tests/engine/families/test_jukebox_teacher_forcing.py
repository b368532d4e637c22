"""Logits and scores of a Jukebox's known tokens, against transformers and what the loop drew from; its codec."""

from types import SimpleNamespace

import pytest
import torch
from jukebox_goldens import NAMES, VQVAE, frozen, labels_of, numbers, prior_of, save_toy

import clavilux
from clavilux import teacher_forcing
from clavilux.audio.clip import Audio
from clavilux.families.jukebox.teacher_forcing import forced_level
from clavilux.sampling import Sampler

TOKENS = torch.arange(20)[None] % 24


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return clavilux.load(save_toy(tmp_path_factory.mktemp("toy") / "jukebox", "transformers"), dtype="float32")


@pytest.fixture
def drawn(monkeypatch):
    """The logits [B, V] of each draw while a test runs."""
    found, draw = [], Sampler.draw

    def recording(self, logits, step, *arguments, **named):
        found.append(logits[:, 0].clone().float())
        return draw(self, logits, step, *arguments, **named)

    monkeypatch.setattr(Sampler, "draw", recording)
    return found


@pytest.mark.parametrize("together", [64, 7], ids=["a window at once", "by sevens"])
@pytest.mark.parametrize("name", NAMES)
def test_a_window_is_seen_as_transformers_sees_it(name, together, monkeypatch):
    """Both frozen rows have a song of their own; what stands before the window is of no account."""
    monkeypatch.setattr(teacher_forcing, "_TOGETHER", together)
    golden, start = frozen(name)[2], numbers()["start"]
    above = golden["above"].long() if "above" in golden else None
    windows = [(at, at + 16) for at in range(0, start, 16)] + [(start, start + 48)]
    plan = SimpleNamespace(windows=windows, context=48, ratio=1 if above is None else 4)
    for row in range(2):
        tokens = torch.cat([torch.ones(1, start, dtype=torch.int64), golden["tokens"][row : row + 1].long()], 1)
        pieces = list(forced_level(prior_of(name), plan, labels_of(name, row), tokens, above))
        assert [at for at, _ in pieces] == torch.tensor([0, *(seen.shape[1] for _, seen in pieces)]).cumsum(0)[
            :-1
        ].tolist()
        logits = torch.cat([seen for _, seen in pieces], 1)[0]
        torch.testing.assert_close(logits[start:], golden["logits"][row], atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [2, 1])
def test_tokens_are_seen_as_the_loop_saw_them(model, drawn, level):
    """150 s: three windows of the top level and more of the one below, two songs in a batch."""
    said = {"artist": 2, "genre": [1, 2], "hop": 0.4}
    above = model.generate(seconds=150, seed=3, batch=2, levels=1, **said)
    if level == 1:
        drawn.clear()
        songs = model.generate(seconds=150, seed=3, batch=2, levels=2, **said)
        drawn[:] = drawn[above[0].tokens.shape[1] :]  # the top level is drawn again
        said["above"] = torch.stack([song.tokens for song in above])
    else:
        songs = above
    tokens = torch.stack([song.tokens for song in songs])
    said["seconds"] = 150
    logits, score = (call(tokens, level=level, **said) for call in (model.logits, model.score))
    expected = torch.stack(drawn, 1)[:, None]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    known = expected.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    torch.testing.assert_close(score, known, atol=1e-4, rtol=0)
    one = said | ({"above": said["above"][1]} if level == 1 else {})
    torch.testing.assert_close(model.score(tokens[1, :, :60], level=level, **one), score[1, :, :60], atol=1e-4, rtol=0)
    other = model.logits(tokens, level=level, **said | {"artist": 1})
    assert (other - logits).abs().max() > 0.01


@pytest.mark.parametrize("level", [0, 2])
def test_sound_to_tokens_and_back(model, level):
    sound = Audio(0.3 * torch.sin(torch.arange(1024) / 3)[None], VQVAE.sample_rate)
    tokens = model.encode(sound, level=level)
    codec = model.family.codec.level(level)
    assert tokens.dtype == torch.int64 and torch.equal(tokens, codec.encode(sound.samples[None])[0])
    again = model.decode(tokens, level=level)
    assert torch.equal(again.samples, codec.decode(tokens[None])[0]) and torch.equal(again.tokens, tokens)
    assert again.samples.shape == sound.samples.shape and again.sample_rate == sound.sample_rate


def test_it_is_where_it_is(model):
    family = model.family
    assert model.device == torch.device("cpu") and model.to("cpu") is model and model.family is family


@pytest.mark.parametrize(
    ("tokens", "options", "error", "message"),
    [
        (TOKENS, {"level": 3}, ValueError, "has the levels 0 to 2, not 3"),
        (TOKENS + 24, {"level": 2}, ValueError, "a token is 24; it should be from 0 to 23"),
        (TOKENS[0], {"level": 2}, ValueError, r"tokens are torch.int64 \(20,\); they should be int64 \[1, T\]"),
        (TOKENS, {"level": 2, "above": TOKENS}, ValueError, "above is given; level 2 is the top one"),
        (TOKENS, {"level": 1}, ValueError, "above is missing; the prior of level 1 reads the tokens of level 2"),
        (TOKENS, {"level": 1, "above": TOKENS[:, :4]}, ValueError, r"above is \(1, 4\); .* it should hold 5 or more"),
        (TOKENS, {"level": 1, "above": TOKENS + 9}, ValueError, "a token is 24"),
        (TOKENS, {"level": 2, "seconds": 3}, ValueError, "there are 20 tokens; 3 s of level 2 have 3"),
        (TOKENS, {"level": 2, "artist": 7}, ValueError, "artist is number 7"),
        (TOKENS, {"level": 2, "prime": "a.wav"}, TypeError, "does not take prime; it takes above, artist"),
        ([1], {"level": 2}, TypeError, "tokens are a list"),
    ],
)  # fmt: skip
def test_what_does_not_fit(model, tokens, options, error, message):
    with pytest.raises(error, match=message):
        model.logits(tokens, **options)
    with pytest.raises(error, match=message):
        model.score(tokens, **options)


def test_tokens_that_are_no_sound(model):
    with pytest.raises(ValueError, match="tokens are of 2 songs"):
        model.decode(torch.zeros(2, 1, 5, dtype=torch.int64))
    with pytest.raises(TypeError, match="source is int"):
        model.encode(3)
