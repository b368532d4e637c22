"""Sections: what returns is found, and named."""

from __future__ import annotations

import numpy as np

from clavilux.audio.score import NOTE, Score
from clavilux.audio.sections import bar_likeness, letters, returns

TUNES = np.random.default_rng(3).integers(55, 80, (5, 8, 8))  # five sections of eight bars of eight notes


def score_of(form: str, change: tuple[int, int] | None = None) -> Score:
    """Sections by letter; `change` is a bar and how many of its notes are others."""
    notes = []
    for number, letter in enumerate(form):
        for bar in range(8):
            for at, pitch in enumerate(TUNES["ABCDE".index(letter), bar]):
                here = number * 8 + bar
                other = change is not None and here == change[0] and at < change[1]
                notes.append((here * 4 + at / 2, 0.5, int(pitch) + 25 * other, 80, 0, False))
    return Score(np.array(notes, NOTE), length=len(form) * 32.0)


def form_of(score: Score) -> str:
    named = letters(returns(bar_likeness(score)))
    return "".join("ABCDEFGH"[letter] for letter, number in named if number == 0)


def test_forms_are_found():
    for form in ("AABB", "ABA", "AABA", "ABACA"):
        assert form_of(score_of(form)) == form
    assert form_of(score_of("ABC")) == "A", "nothing returns"


def test_bars_are_counted_from_their_sections_first():
    named = letters(returns(bar_likeness(score_of("ABA"))))
    assert named == [(letter, bar) for letter in (0, 1, 0) for bar in range(8)]


def test_a_bar_that_is_varied_still_returns_and_one_that_is_another_does_not():
    varied = score_of("AA", change=(10, 1))
    source = returns(bar_likeness(varied))
    assert source.tolist() == [*range(8), *range(8)]
    assert 0.6 <= bar_likeness(varied)[10, 2] < 0.999
    other = returns(bar_likeness(score_of("AA", change=(12, 8))))
    assert other[12] == 12 and other[:12].tolist() == [*range(8), *range(4)]


def test_three_bars_alone_and_rests_do_not_return():
    same = np.zeros((6, 6), np.float32)
    same[3, 0] = same[4, 1] = same[5, 2] = 1.0
    assert returns(same).tolist() == list(range(6))
    silent = Score(np.array([(0.0, 1.0, 60, 80, 0, False), (39.0, 1.0, 61, 80, 0, False)], NOTE), length=40.0)
    assert returns(bar_likeness(silent)).tolist() == list(range(10))


def test_a_repeat_of_its_own_end_does_not_run_into_itself():
    one = np.ones((12, 12), np.float32)  # the same bar twelve times
    source = returns(one)
    assert (source <= np.arange(12)).all() and source[0] == 0 and source[4:8].tolist() == [0, 1, 2, 3]
