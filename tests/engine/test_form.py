"""Bars and time: how many bars fit, which part each is, and where asked chords stand."""

import pytest

from clavilux.audio.chart import parse_chords
from clavilux.audio.harmony import Chord, Key
from clavilux.composer.form import fit_bars, plan_bars, sections_of


def test_an_asked_tempo_stands():
    assert fit_bars(20, (3, 4), 72, tempo_is_free=False) == (8, 72)
    assert fit_bars(20, (4, 4), 90, tempo_is_free=False) == (7, 90)
    assert fit_bars(0.5, (4, 4), 60, tempo_is_free=False) == (1, 60)


@pytest.mark.parametrize("seconds", [6, 8, 20, 61])
@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8)])
def test_a_free_tempo_moves_until_bars_end_shortly_before_the_piece(seconds, metre):
    bars, tempo = fit_bars(seconds, metre, 80, tempo_is_free=True)
    end = bars * metre[0] * 4 / metre[1] * 60 / tempo
    assert seconds - 1.6 <= end <= seconds
    assert abs(tempo / 80 - 1) <= 0.25


def test_sections():
    assert sections_of(9) == ["opening"] * 4 + ["middle"] + ["closing"] * 3 + ["last"]
    assert sections_of(1) == ["last"]
    assert sections_of(2, opens=False, closes=False) == ["middle", "middle"]


def test_asked_chords_come_round_and_are_spread_over_the_bar():
    bars = plan_bars(3, (4, 4), chords=parse_chords("Gm Cm | D7"))
    assert bars[0].chords == ((0.0, Chord(7, "min")), (2.0, Chord(0, "min")))
    assert bars[1].chords == ((0.0, Chord(2, "7")),)
    assert bars[2].chords == bars[0].chords


def test_a_piece_that_closes_ends_on_its_tonic():
    assert plan_bars(4, (4, 4), key=Key.parse("A minor"))[-1].chords == ((0.0, Chord(9, "min")),)
    assert plan_bars(4, (4, 4), key=Key.parse("A minor"), section="middle")[-1].chords is None


def test_too_many_chords_in_a_bar():
    with pytest.raises(ValueError, match="7 chords are asked for in one bar of 3/4"):
        plan_bars(1, (3, 4), chords=parse_chords("C F G C F G C | C"))
