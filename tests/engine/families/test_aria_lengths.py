"""Seconds, bars and tempo: any two settle the third, and what cannot be had together is refused."""

from dataclasses import replace

import pytest

from clavilux.audio.score import bar_quarters
from clavilux.families.aria.form_names import read_form
from clavilux.families.aria.lengths import Asked, quarters_slowed, settle_length, slowing, tempos_of

FREE = Asked(20.0, open_length=False, tempo=120.0, tempo_is_free=True)


def settle(asked, metre=(4, 4), ritardando=False):
    return settle_length(asked, lambda bars: quarters_slowed([metre] * bars, ritardando))


@pytest.mark.parametrize(
    ("seconds", "metre", "tempo", "bars"), [(20, (3, 4), 72, 8), (20, (4, 4), 90, 7), (0.5, (4, 4), 60, 1)]
)
def test_an_asked_tempo_stands(seconds, metre, tempo, bars):
    found = settle(Asked(seconds, False, tempo, False), metre)
    assert (found.bars, found.tempo) == (bars, tempo)


@pytest.mark.parametrize("seconds", [6, 8, 20, 61])
@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8)])
def test_a_free_tempo_moves_until_bars_end_shortly_before_the_piece(seconds, metre):
    found = settle(Asked(seconds, False, 80.0, True), metre)
    end = found.bars * bar_quarters(metre) * 60 / found.tempo
    assert seconds - 1.6 <= end <= seconds
    assert abs(found.tempo / 80 - 1) <= 0.25


def test_a_tempo_that_nobody_asked_for_is_a_plain_number():
    tempos = [settle(Asked(20, False, float(tempo), True)).tempo for tempo in range(44, 200, 3)]
    assert all(tempo == round(tempo) for tempo in tempos) and len(set(tempos)) > 10
    found = settle(Asked(20, False, 52.0, True), (2, 4))
    assert (found.bars, found.tempo) == (8, 52)  # 51.89 would fill the time


@pytest.mark.parametrize(
    ("said", "open_length", "tempo_is_free", "expected"),
    [
        ({"said_bars": 16}, True, True, (33.5, 16, 120.0)),  # 32 s, and time to ring
        ({"said_bars": 16}, False, True, (20.0, 16, 208.0)),
        ({"said_bars": 10}, False, False, (20.0, 10, 120.0)),
        ({"said_seconds": 30.0}, True, True, (30.0, 14, 118.0)),
        ({"said_bars": 16, "said_seconds": 40.0}, True, True, (40.0, 16, 100.0)),
        ({"bars": 16}, True, False, (33.5, 16, 120.0)),
        ({"bars": 16}, False, True, (20.0, 16, 208.0)),
        ({"bars": 10}, False, False, (20.0, 10, 120.0)),
        ({"usual": 32}, True, True, (65.5, 32, 120.0)),
    ],
)
def test_bars_and_seconds_that_are_asked_for(said, open_length, tempo_is_free, expected):
    found = settle(replace(FREE, open_length=open_length, tempo_is_free=tempo_is_free, **said))
    assert (found.seconds, found.bars, found.tempo) == expected and not found.unmet


def test_words_give_way_to_options_and_say_so():
    fixed = replace(FREE, tempo_is_free=False)
    assert settle(replace(fixed, said_bars=16)).unmet == ("16 bars (20 s at 120 quarters a minute are 10)",)
    assert settle(replace(FREE, said_seconds=30.0)).unmet == ("30 s (an option says 20 s)",)
    found = settle(replace(FREE, open_length=True, bars=8, said_bars=16))
    assert found.bars == 8 and found.unmet == ("16 bars (an option says 8)",)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"bars": 16, "tempo_is_free": False}, "16 bars in 20 s at 120 quarters a minute cannot be: they last 32 s"),
        ({"bars": 8, "tempo_is_free": False}, "8 bars in 20 s at 120 .* they last 16 s; leave out one of the three"),
        ({"bars": 64}, "64 bars in 20 s would be 830 quarters a minute; .* leave out the seconds or ask for other"),
        ({"bars": 999, "open_length": True, "tempo": 36.0}, "999 bars at 36 last 6660 s; a piece lasts up to 3600 s"),
        ({"before_s": 30.0}, "seconds is 20, and what is to be continued lasts 30.0 s already; ask for more"),
    ],
)
def test_what_cannot_be_had_together_is_refused(asked, says):
    with pytest.raises(ValueError, match=says):
        settle(replace(FREE, **asked))


def test_a_form_settles_which_numbers_of_bars_there_are():
    form = read_form("AABB")
    shaped = replace(FREE, fits=lambda bars: form.sections(bars) is not None, form="AABB")
    found = settle(replace(shaped, seconds=19.0))
    assert (found.bars, found.tempo) == (8, 110.0)  # nine bars would be nearer to 120
    assert settle(replace(shaped, seconds=18.5, tempo_is_free=False)).bars == 8
    with pytest.raises(ValueError, match="bars is 15, which AABB cannot have; .* is 14 or 16"):
        settle(replace(shaped, bars=15))
    with pytest.raises(ValueError, match="AABB has 4 bars or more, and 2 s at 120 .* have room for 1; ask for more"):
        settle(replace(shaped, seconds=2.0, tempo_is_free=False))


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8), (3, 8), (2, 2), (5, 4)])
def test_a_ritardando_slows_every_beat_and_counts_in_the_length(metre):
    metres = [metre] * 8
    beats = slowing(metres)
    assert beats[0][0] == 6 * bar_quarters(metre)
    assert sum(length for _, length, _ in beats) == 2 * bar_quarters(metre)
    shares = [share for *_, share in beats]
    assert shares == sorted(shares, reverse=True) and shares[0] < 1 and shares[-1] == 0.66
    found = settle(Asked(30.0, False, 100.0, True), metre, ritardando=True)
    end = quarters_slowed([metre] * found.bars, True) * 60 / found.tempo
    assert 28.4 <= end <= 30.0
    tempos = tempos_of(metres, 100.0, True)
    assert tempos[0] == (0.0, 100.0) and len(tempos) == len(beats) + 1
    assert tempos_of([metre], 100.0, True)[0][0] == 0.0
