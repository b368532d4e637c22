"""How high a melody lies in each bar: heights of phrases in a form, in a part's own octave, and what leans to them."""

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.families.aria.form import Bar, moved, plan_form
from clavilux.families.aria.form_names import read_form
from clavilux.families.aria.parts import cast_of
from clavilux.families.aria.phrases import Phrases
from clavilux.families.aria.register import height_leaning, heights_in
from clavilux.families.aria.tunes import TUNES, taught_tempo
from clavilux.families.aria.usual_forms import UsualForm, usual_form
from clavilux.families.aria.voices import Part
from tests.helpers.walked_scores import walk

A, B = (70, 66, 71, 67, 70, 66, 72, 67), (78, 77, 76, 75, 74, 73, 72, 71)
OWN = UsualForm(
    "AB",
    phrases=Phrases(
        ((1.0, f"1 2 3 4 5 6 7 8 | {' '.join(map(str, A))}"),), ((1.0, f"1 2 3 4 5 6 7 8 | {' '.join(map(str, B))}"),)
    ),
)


def planned(form="AB", bars=16, own=OWN, key=None):
    parts = read_form(form).sections(bars)
    return plan_form(parts, (4, 4), key or Key(0, "major"), seed=1, own=own, ends_at=0.0)


def test_the_first_part_has_its_heights_and_others_have_later_ones():
    assert tuple(bar.height for bar in planned()) == A + B
    assert tuple(bar.height for bar in planned("ABC", 24)) == A + B + B
    assert tuple(bar.height for bar in planned("AB", 8)) == A[:4] + B[:4]
    assert {bar.height for bar in planned(own=UsualForm("AB", phrases=Phrases(((1.0, "12341278"),))))} == {None}
    assert [bar.height for bar in moved(planned(), -5)] == [height - 5 for height in A + B]


@pytest.mark.parametrize("kind", ["jig", "reel", "hornpipe", "slip jig"])
def test_second_parts_of_tunes_lie_higher(kind):
    apart = []
    for seed in range(60):
        own = usual_form(kind, "folk", seed=seed)
        heights = [own.heights(name, 8, seed) for name in "AB"]
        apart.append(np.mean(list(heights[1].values())) - np.mean(list(heights[0].values())))
    assert 1 < np.mean(apart) < 6


@pytest.mark.parametrize(("name", "octaves"), [("violin", 0), ("flute", 0), ("cello", -1), ("piccolo", 1)])
@pytest.mark.parametrize("shift", [-5, 0, 4])
def test_heights_are_in_the_octave_of_who_plays(name, octaves, shift):
    (part,) = cast_of((name,), None, TUNES["jig"], shift).parts
    bars = moved(planned(), shift)
    found = heights_in(bars, part.low, part.high)
    assert found == [bar.height + 12 * octaves for bar in bars]
    assert heights_in([Bar((4, 4), "middle")], part.low, part.high) == [None]


def test_a_melody_leans_to_where_it_is_to_lie():
    low, there, high = (height_leaning(70, [pitch] * 8) for pitch in (64, 70, 76))
    assert low[68] > low[64] > low[60] and high[72] > high[76] > high[80]
    assert there[70] == max(there.values()) and there[72] == pytest.approx(there[68])
    assert height_leaning(70, []) == there  # where nothing has been written it is at home
    assert height_leaning(70, [90, *[70] * 8]) == there  # only the last notes count


@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_lies_there(seed):
    score = walk(seed, planned(form="AB", bars=16), [Part(40, 55, 90, 1, leads=True)])
    first, second = (score.notes[(score.notes["start"] >= begin) & (score.notes["start"] < begin + 32)]["pitch"].mean()
                     for begin in (0, 32))  # fmt: skip
    assert abs(first - np.mean(A)) < 2 and abs(second - np.mean(B)) < 2


def test_the_tempo_is_the_one_that_the_kind_was_taught_with():
    assert taught_tempo(TUNES["reel"], (2, 2), False) == 2 * taught_tempo(TUNES["reel"], (2, 4), False) == 216
    assert taught_tempo(TUNES["polka"], (2, 4), False) is None
    assert (taught_tempo(None, (4, 4), True), taught_tempo(None, (3, 4), True)) == (120, 150)
    assert taught_tempo(None, (4, 4), False) is None
