"""The score codec: the `Codec` protocol, and playing bar by bar."""

import numpy as np
import pytest
import torch

from clavilux.audio.codecs import Codec
from clavilux.audio.codecs.bar_readers import RemiBars
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.codecs.score import ScoreCodec, ScorePlayer, phrased
from clavilux.audio.codecs.timeline import Timeline
from clavilux.audio.harmony import Key
from clavilux.audio.score import NOTE, Score

NOTES = np.array([(q, 1, 60 + int(q) % 5, 90, 0, False) for q in range(8)], dtype=NOTE)
SCORE = Score(NOTES, ((0.0, 120.0),), ((0.0, (4, 4)),), None, (), 8.0)


def test_it_is_a_codec():
    assert isinstance(ScoreCodec(), Codec)


def test_decode_plays_the_notes():
    ids = torch.from_numpy(score_tokens().encode(SCORE))
    samples = ScoreCodec().decode(ids[None, None])
    assert samples.shape[:2] == (1, 2)
    assert samples.shape[2] >= 4 * ScoreCodec.sample_rate
    assert samples.abs().max() > 0.01


def test_sound_cannot_be_encoded():
    with pytest.raises(ValueError, match="cannot be written back as notes"):
        ScoreCodec().encode(torch.zeros(1, 2, 100))


def play(duration_s=4.5, **options):
    player = ScorePlayer(timeline=Timeline.even((4, 4), 120, 2), duration_s=duration_s, **options)
    tokens = score_tokens()
    pieces = [player.push(torch.tensor([i])) for i in (*tokens.encode(SCORE), tokens.ids["Bar_None"])]
    return player, torch.cat([p for p in [*pieces, player.finish()] if p is not None], dim=1)


def test_a_player_gives_the_exact_length_and_the_score():
    player, samples = play()
    assert samples.shape == (2, round(4.5 * ScoreCodec.sample_rate))
    score = player.score(Key.parse("C"))
    assert score.notes["start"].tolist() == list(range(8))
    assert score.notes["pitch"].tolist() == NOTES["pitch"].tolist()
    assert score.notes["duration"][-1] == 1.0
    assert player.performance().events["duration"][-1] == pytest.approx(1.0)  # s: it is heard to the end, 9 quarters
    assert score.duration_s == pytest.approx(4.5)


def test_a_player_transposes_and_changes_instruments():
    player, _ = play(reader=RemiBars(5), programs={0: 19})
    score = player.score(None)
    assert score.notes["pitch"].tolist() == (NOTES["pitch"] + 5).tolist()
    assert set(score.notes["program"].tolist()) == {19}


def test_a_player_continues_a_score():
    player, samples = play(duration_s=8.0, before=SCORE)
    score = player.score(None)
    assert score.notes["pitch"].tolist() == NOTES["pitch"].tolist() * 2
    assert score.notes["start"][8] == 8.0
    assert samples.shape[1] == 8 * ScoreCodec.sample_rate


def test_phrasing_is_stronger_on_the_beat_and_in_the_highest_voice():
    notes = np.array([(0, 1, 48, 1, 0, False), (0, 1, 72, 1, 0, False), (0.5, 1, 72, 1, 0, False)], dtype=NOTE)
    low, high, off = phrased(notes, Score(notes))["velocity"].tolist()
    assert off < low < high
