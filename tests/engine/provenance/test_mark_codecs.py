"""The mark in tokens of a neural codec: found again in the sound, saved by another program and cut."""

import math

import numpy as np
import pytest
import soundfile
import torch

import clavilux
from clavilux.audio.clip import Audio
from clavilux.mark_key import PUBLIC, MarkKey
from clavilux.marking import Mark, MarkedTokens
from clavilux.provenance import mark_codecs
from clavilux.provenance.mark_codecs import find_in_codec_sound
from clavilux.sampling import Sampler, SamplingSpec

RATE, FRAME = 8000, 160
TOKENS = MarkedTokens("toy sound", torch.arange(32) % 16)
KEY = MarkKey(bytes(range(32)))


class Tones:
    """A codec of a tone a frame, out of 32."""

    family, sample_rate, channels, frame_rate = "tones", RATE, 1, RATE / FRAME
    codebooks, vocabulary, hop, lookahead_frames = 1, 32, FRAME, 0
    device = torch.device("cpu")

    def encode(self, samples, codebooks=None):
        frames = samples[:, 0, : samples.shape[2] // FRAME * FRAME].unflatten(1, (-1, FRAME))
        return torch.fft.rfft(frames).abs()[..., 4:36].argmax(-1)[:, None]

    def decode(self, tokens):
        at = torch.arange(FRAME) * (2 * math.pi / FRAME)
        return (0.3 * torch.sin((tokens[:, 0, :, None] + 4) * at)).flatten(1)[:, None]


@pytest.fixture(scope="module")
def sound():
    mark = Mark(KEY.word(TOKENS.kind), TOKENS)
    sampler, logits = Sampler(SamplingSpec(seed=(11,), mark=mark), 1, 1, 32), torch.zeros(1, 1, 32)
    ids = torch.tensor([int(sampler.draw(logits, step)) for step in range(150)])
    return Audio(Tones().decode(ids[None, None])[0], RATE)


def test_tokens_are_found_in_a_file_of_another_program(sound, tmp_path):
    soundfile.write(tmp_path / "a.ogg", np.asarray(sound.samples[0]) * 0.2, RATE)
    heard = Audio.load(tmp_path / "a.ogg")
    mark = find_in_codec_sound(heard, KEY, Tones(), TOKENS)
    assert mark.p < 1e-9 and mark.tokens == 150 and mark.of == "tokens"
    assert find_in_codec_sound(heard.slice(0, 1), PUBLIC, Tones(), TOKENS).p > 1e-3


def test_a_beginning_that_was_cut_off_is_found_again(sound, monkeypatch):
    monkeypatch.setattr(mark_codecs, "LATEST", 40)
    cut = Audio(sound.samples[:, 30 * FRAME - FRAME // 4 :], RATE)
    mark = find_in_codec_sound(cut, KEY, Tones(), TOKENS)
    assert mark.p < 1e-9


def test_a_frame_alone_is_no_evidence():
    mark = find_in_codec_sound(Audio(torch.zeros(1, FRAME), RATE), KEY, Tones(), TOKENS)
    assert mark.tokens == 1 and not mark.enough and mark.p > 1e-3


def test_verify_reads_sounds_with_the_codec_of_a_model_that_is_named(musicgen, tmp_path):
    folder, _ = musicgen("mono")
    model = clavilux.load(folder, device="cpu")
    song = model.generate("a", seconds=1.0, seed=3, temperature=1.0, mark=True)
    song.save(tmp_path / "song.wav", loudness=False)
    verdict = clavilux.verify(tmp_path / "song.wav", model=str(folder))
    assert [mark.of for mark in verdict.marks] == ["cells", "tokens"]
    assert verdict.marks[1].tokens == song.tokens.shape[1]
