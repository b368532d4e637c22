import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from clavilux.audio.arranging.arranger import Arranger
from clavilux.audio.arranging.band import Pattern
from clavilux.audio.arranging.figures import Hands, Harmony, pitched_rows
from clavilux.audio.arranging.forms import write_sheet
from clavilux.audio.arranging.left_hand import AGAIN, Memory, figure_of_bar, tastes
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.arranging.style_file import read_style
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.lead_sheet import SheetSection
from clavilux.audio.notes import PART_NOTE

DANCES = [name for name in band_names() if load_band(name).parts[0].mixed]


def pattern(row: str, weight: float = 1.0) -> Pattern:
    return Pattern("piano", ("*",), len(row), 1, (("", row),), weight)


def test_a_piece_has_few_figures_and_many_pieces_have_them_as_often_as_the_style_says():
    figures = [pattern("1xx", 60), pattern("1--", 30), pattern("x.x", 10)]
    shares = [np.array(own) / sum(own) for own in (tastes(figures, 2, random.Random(i)) for i in range(2000))]
    assert np.allclose(np.mean(shares, axis=0), [0.6, 0.3, 0.1], atol=0.03)
    of_few, of_many = (
        np.mean([max(own) / sum(own) for own in (tastes(figures, mixed, random.Random(i)) for i in range(300))])
        for mixed in (0.5, 50)
    )
    assert of_few > 0.85 and of_many < 0.7


def test_a_bar_mostly_has_the_rhythm_of_the_one_before():
    figures = [pattern("1xx"), pattern("135"), pattern(".1."), pattern("xxx")]
    bars = [[figure_of_bar(figures, [1] * 4, bar, random.Random(i)) for bar in range(8)] for i in range(200)]
    follows = Counter((a is figures[2], b is figures[2]) for each in bars for a, b in itertools.pairwise(each))
    assert follows[False, False] / (follows[False, False] + follows[False, True]) > 0.85
    assert all(each[0] is not figures[2] for each in bars)  # a section begins on its first beat
    assert bars[7] == [figure_of_bar(figures, [1] * 4, bar, random.Random(7)) for bar in range(8)]


def test_hands_remember_what_they_played():
    first, second = ([(0.0, 1.0, 48, 60)], []), ([(0.0, 1.0, 50, 60)], [])
    memory = Memory()
    memory.keep(0, "place 0", "bar", first)
    assert memory.again(8, "place 0", "bar", random.Random(1)) is first  # a section that returns
    assert memory.again(0, "place 1", "bar", random.Random(1)) is None  # the song is played anew
    again = [memory.again(3, "place 3", "bar", random.Random(i)) is first for i in range(1000)]
    assert np.mean(again) == pytest.approx(AGAIN, abs=0.04)
    memory.keep(3, "place 3", "bar", second)
    assert memory.again(11, "place 3", "bar", random.Random(1)) is second


@pytest.mark.parametrize("name", DANCES)
def test_a_section_that_returns_is_played_alike_with_its_melody(name):
    band = load_band(name)
    sheet = write_sheet(band, Key.parse("G"), 120.0, 8, seed=4)
    bars = sheet.sections[0].bars
    sheet = replace(sheet, sections=tuple(SheetSection(part, bars) for part in ("A", "B", "A", "B", "A")))
    length = bars[0].quarters
    pitches = [79, 81, 83, 79, 79, 81, 83, 84]
    arranger = Arranger(sheet, band, seed=4)

    def played(index: int) -> list[tuple[float, int]]:
        start = index * length
        tune = np.array([(start, length, pitches[index % 8], 80, 0, False, 0)], PART_NOTE)
        notes = arranger.with_melody(index, tune)
        return sorted(zip((notes["start"] - start).round(4).tolist(), notes["pitch"].tolist(), strict=True))

    song = [played(index) for index in range(40)]
    assert song[:8] == song[16:24] and song[8:16] == song[24:32] and song[:7] == song[32:39]
    assert [played(index) for index in range(40)] == song  # also where it is played again


def test_a_left_hand_walks_in_the_scale_to_the_next_chord():
    part, key = load_band("piano minuet").parts[0], Key.parse("C")
    harmony = Harmony(lambda quarter: Chord.parse("C" if quarter < 3 else "F"), key)
    for seed in range(40):
        rows = pitched_rows(["1ww"], [0, 1, 2], 3, part, harmony, Hands(), random.Random(seed))
        pitches = [pitch for _, _, pitch, _ in rows]
        assert pitches[0] == 48 and pitches[1] != pitches[0] and pitches[2] in (50, 52, 55)
        assert all(pitch % 12 in key.scale and pitch >= part.root for pitch in pitches)


def test_shares_are_read_and_errors_have_their_line():
    head = "style: x\nmetre: 3/4\ntempo: 90\nform: A 8\nlead: flute\n"
    text = head + "[part piano]\nmixed: 3\n[chords *]\nI | V\n[piano * 12% /3]\n1 x x\n[piano close 1.5% /3]\n1 - -\n"
    band = read_style(text)
    assert band.parts[0].mixed == 3 and [each.weight for each in band.patterns] == [12, 1.5]
    assert [each.rows[0][1] for each in band.patterns_of("piano", "close")] == ["1--"]
    with pytest.raises(ValueError, match=r"line 10: '0' should be a number from 0.01 to 100"):
        read_style(text.replace("12%", "0%"))
