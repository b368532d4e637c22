"""Loops: exact bars, and a seam that is a place like any other."""

import numpy as np
import pytest
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.looping import looped, seam_of, whole_bars
from clavilux.audio.notes import NOTE
from clavilux.audio.score import Score
from clavilux.audio.synth import render_score

RATE = 22050


def tune(length=8.0, metre=(4, 4), tempo=130.0):
    """A piano that is struck until the end, over an organ that is held."""
    rows = [(i, 1.0, 60 + i % 5, 90, 0, False) for i in range(int(length))] + [(0, length, 48, 80, 19, False)]
    return Score(np.array(rows, NOTE), ((0.0, tempo),), ((0.0, metre),), length=length)


@pytest.mark.parametrize(("metre", "length", "bars"), [((4, 4), 8.0, 2), ((3, 4), 8.0, 2), ((6, 8), 7.0, 2)])
def test_a_loop_is_whole_bars_to_the_sample(metre, length, bars):
    samples = looped(tune(length, metre), RATE).samples
    assert samples.shape == (2, round(bars * metre[0] * 4 / metre[1] * 60 / 130 * RATE))


def test_going_round_twice_is_the_piece_played_twice():
    """The second round of a piece that is written out twice, with what rings on from the first, is the loop."""
    score = tune(tempo=8 * 60 * RATE / 81000)  # two bars of 81,000 samples
    loop, written = looped(score, RATE).samples, render_score(score.concat(score).concat(score), RATE)
    torch.testing.assert_close(written[:, 2 * 81000 : 3 * 81000], loop, atol=2e-5, rtol=0)


def test_stems_of_a_loop_are_loops():
    loop = Audio(render_score(tune(), RATE), RATE, score=tune()).loop()
    stems = loop.stems()
    assert list(stems) == ["acoustic grand piano", "church organ"]
    torch.testing.assert_close(sum(stem.samples for stem in stems.values()), loop.samples, atol=1e-6, rtol=0)


def test_the_seam_does_not_click():
    seam = seam_of(looped(tune(), RATE).samples)
    cut = seam_of(render_score(tune(), RATE, 8 * 60 / 130)[:, : -round(0.05 * RATE)])  # what a plain cut does
    assert seam.step < 0.3 * seam.largest_elsewhere and seam.relative_db < -10
    assert cut.step > 5 * seam.step


def test_a_saved_loop_is_levelled_as_one_that_goes_round(tmp_path):
    song = Audio(render_score(tune(), RATE), RATE, score=tune())
    song.loop().save(tmp_path / "loop.wav", loudness=-9.0)
    read = Audio.load(tmp_path / "loop.wav")
    assert read.samples.shape == looped(tune(), RATE).samples.shape
    seam = seam_of(read.samples)
    assert seam.step < 0.3 * seam.largest_elsewhere


def test_what_cannot_loop_is_refused(tmp_path):
    song = Audio(render_score(tune(), RATE), RATE, score=tune())
    with pytest.raises(ValueError, match=r"\.mp3 begins with a little silence"):
        song.loop().save(tmp_path / "a.mp3")
    with pytest.raises(ValueError, match="within its first one"):
        whole_bars(tune(3.0))
    with pytest.raises(ValueError, match="makes no loop"):
        Audio(song.samples, RATE).loop()
    assert not list(tmp_path.iterdir())
