"""Bars and time: how many bars fit, which part each is, and where asked chords stand."""

import pytest

from clavilux.audio.chart import parse_chords
from clavilux.audio.harmony import Chord, Key
from clavilux.families.aria.form import fit_asked, fit_bars, plan_bars, sections_of
from clavilux.families.aria.prompt import parse_prompt


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


def test_a_tempo_that_nobody_asked_for_is_a_plain_number():
    tempos = [fit_bars(20, (4, 4), tempo, tempo_is_free=True)[1] for tempo in range(44, 200, 3)]
    assert all(tempo == round(tempo) for tempo in tempos) and len(set(tempos)) > 10
    assert fit_bars(20, (2, 4), 52, tempo_is_free=True) == (8, 52)  # 51.89 would fill the time


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


@pytest.mark.parametrize(
    ("prompt", "open_length", "tempo_is_free", "expected"),
    [
        ("16 bars", True, True, (33.5, 16, 120.0)),  # 32 s, and time to ring
        ("16 bars", False, True, (20.0, 16, 208.0)),
        ("16 bars", False, False, (20.0, None, 120.0)),
        ("10 bars", False, False, (20.0, 10, 120.0)),
        ("30 seconds", True, True, (30.0, None, 120.0)),
        ("16 bars, 40 seconds", True, True, (40.0, 16, 100.0)),
        ("piano", True, True, (20.0, None, 120.0)),
    ],
)
def test_bars_and_seconds_that_words_ask_for(prompt, open_length, tempo_is_free, expected):
    words = {"before_s": 0.0, "open_length": open_length, "tempo_is_free": tempo_is_free}
    *got, unmet = fit_asked(parse_prompt(prompt), 20.0, (4, 4), 120.0, **words)
    assert tuple(got) == expected
    assert bool(unmet) == (expected == (20.0, None, 120.0) and prompt != "piano")


def test_lengths_that_cannot_be():
    words = {"open_length": True, "tempo_is_free": True}
    with pytest.raises(ValueError, match="999 bars at 36 last 6660 s; a piece lasts up to 3600 s"):
        fit_asked(parse_prompt("999 bars"), 20.0, (4, 4), 36.0, before_s=0.0, **words)
    asked = parse_prompt("30 seconds")
    *_, unmet = fit_asked(asked, 20.0, (4, 4), 120.0, before_s=0.0, open_length=False, tempo_is_free=True)
    assert unmet == ("30 s (an option says 20 s)",)
    assert fit_asked(parse_prompt("8 bars"), 20.0, (4, 4), 120.0, before_s=10.0, **words)[:2] == (27.28, 8)
