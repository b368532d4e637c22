"""How high a melody lies in each bar and in which rhythm: shapes of phrases in a form, in a part's own octave, and what
leans to them.
"""

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.form import Bar, moved, plan_form
from clavilux.families.aria.form_names import read_form
from clavilux.families.aria.parts import cast_of
from clavilux.families.aria.phrases import Phrases
from clavilux.families.aria.shapes import height_leaning, heights_in
from clavilux.families.aria.tunes import TUNES, taught_tempo
from clavilux.families.aria.usual_forms import UsualForm, usual_form
from clavilux.families.aria.voices import Part
from tests.helpers.drawn_songs import begin
from tests.helpers.walked_scores import walk

A, B = (70, 66, 71, 67, 70, 66, 72, 67), (78, 77, 76, 75, 74, 73, 72, 71)


def phrase(heights, rhythm=""):
    return f"1 2 3 4 5 6 7 8 | {' '.join(f'{height}{rhythm}' for height in heights)}"


OWN = UsualForm("AB", phrases=Phrases(((1.0, (phrase(A), phrase(B))),)))


def planned(form="AB", bars=16, own=OWN, key=None, metre=(4, 4)):
    parts = read_form(form).sections(bars)
    return plan_form(parts, metre, key or Key(0, "major"), seed=1, own=own, ends_at=0.0)


def heights(bars):
    return tuple(None if bar.shape is None else bar.shape.height for bar in bars)


def test_parts_have_the_shapes_of_one_piece():
    assert heights(planned()) == A + B
    assert heights(planned("ABC", 24)) == A + B + B  # another piece's last where it has no more
    assert heights(planned("AB", 8)) == A[:4] + B[:4]
    assert set(heights(planned(own=UsualForm("AB", phrases=Phrases(((1.0, ("12341278",)),)))))) == {None}
    assert heights(moved(planned(), -5)) == tuple(height - 5 for height in A + B)


@pytest.mark.parametrize("kind", ["jig", "reel", "hornpipe", "slip jig"])
def test_second_parts_of_tunes_lie_higher(kind):
    apart = []
    for seed in range(60):
        own = usual_form(kind, "folk", seed=seed)
        means = [np.mean([shape.height for shape in own.shapes(name, 8, seed).values()]) for name in "AB"]
        apart.append(means[1] - means[0])
    assert 1 < np.mean(apart) < 6


@pytest.mark.parametrize(("name", "octaves"), [("violin", 0), ("flute", 0), ("cello", -1), ("piccolo", 1)])
@pytest.mark.parametrize("shift", [-5, 0, 4])
def test_heights_are_in_the_octave_of_who_plays(name, octaves, shift):
    (part,) = cast_of((name,), None, TUNES["jig"], shift).parts
    bars = moved(planned(), shift)
    found = heights_in(bars, part.low, part.high)
    assert found == [height + 12 * octaves for height in heights(bars)]
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


@pytest.mark.parametrize(
    ("metre", "rhythm", "starts"),
    [
        ((4, 4), ":18.6.-12.12", (0, 1.5, 3)),
        ((6, 8), ":6.6.6.12.6", (0, 0.5, 1, 1.5, 2.5)),
        ((3, 4), ":9.3.24", (0, 0.75, 1)),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_a_melody_has_the_rhythm_of_its_phrase(metre, rhythm, starts, seed):
    own = UsualForm("AB", phrases=Phrases(((1.0, (phrase(A, rhythm), phrase(B, rhythm))),)))
    score = walk(seed, planned(own=own, metre=metre), [Part(40, 55, 90, 1, leads=True)])
    bars = score.notes["start"] // bar_quarters(metre)
    found = [tuple(score.notes["start"][bars == bar] - bar * bar_quarters(metre)) for bar in range(14)]
    assert sum(bar == starts for bar in found) >= 12
    with_others = walk(seed, planned(own=own, metre=metre), [Part(40, 55, 90, 1), Part(0, 30, 76, 3)])
    assert len(with_others.notes) > 0  # whose parts have rhythms of their own


def test_rhythms_are_those_of_the_metre_and_give_way_to_a_density_that_is_asked_for(aria):
    jig = usual_form("jig", "folk", metre=(6, 8))
    assert all(shape.rhythm for shape in jig.shapes("A", 8, 1).values())
    assert not any(shape.rhythm for shape in usual_form("jig", "folk", metre=(4, 4)).shapes("A", 8, 1).values())
    chart = usual_form("jig", "folk", 4, metre=(6, 8))
    assert all(shape.rhythm for shape in chart.shapes("A", 8, 1).values()) and not chart.motifs(
        "A", 8, Key(0, "major"), 1
    )
    patterns = [begin(aria, prompt, seed=1, bars=16).grammar._pattern for prompt in ("irish jig", "dense irish jig")]
    assert (patterns[0] is None, patterns[1] is None) == (False, True)


def test_the_tempo_is_the_one_that_the_kind_was_taught_with():
    assert taught_tempo(TUNES["reel"], (2, 2), False) == 2 * taught_tempo(TUNES["reel"], (2, 4), False) == 216
    assert taught_tempo(TUNES["polka"], (2, 4), False) is None
    assert (taught_tempo(None, (4, 4), True), taught_tempo(None, (3, 4), True)) == (120, 150)
    assert taught_tempo(None, (4, 4), False) is None
