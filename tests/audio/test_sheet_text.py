"""Sheets as text: what is written is read, what is read is written, and a wrong line is named by its number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.lead_sheet import LeadSheet, SheetBar, SheetSection
from clavilux.audio.notes import NOTE
from clavilux.audio.sheet_text import load_sheet, read_sheet, save_sheet, write_sheet

EXAMPLES = sorted((Path(__file__).parents[2] / "examples/sheets").glob("*.txt"))
WALK = """
# a walk
title: Walk
key: G minor
tempo: 96.5
metre: 3/4
instruments: flute, guitar

[A]
dynamics: p
| Gm | Cm . D7 | % | . |
metre: 4/4
|D7 Gm|

[B]
instruments: guitar
bars: 2

[A varied]
"""


def test_what_is_written_is_read():
    sheet, played_as = read_sheet(WALK)
    gm, cm, d7 = (Chord.parse(name) for name in ("Gm", "Cm", "D7"))
    split = SheetBar((3, 4), ((0.0, cm), (2.0, d7)))
    bars = (
        SheetBar((3, 4), ((0.0, gm),)), split, split, SheetBar((3, 4)), SheetBar((4, 4), ((0.0, d7), (2.0, gm))),
    )  # fmt: skip
    both = ("flute", "guitar")
    assert sheet.sections == (
        SheetSection("A", bars, "p", both),
        SheetSection("B", (SheetBar((3, 4)), SheetBar((3, 4))), None, ("guitar",)),
        SheetSection("A", bars, None, both, varied=True),
    )
    assert (sheet.title, sheet.key, sheet.tempo, played_as) == ("Walk", Key(7, "minor"), 96.5, ())


def test_chords_that_are_played_as_others_are_said():
    assert read_sheet("[A]\n| C9 F |").played_as == ("C9 (played as C7)",)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_read_and_written_back_alike(path, tmp_path):
    sheet = load_sheet(path).sheet
    save_sheet(sheet, tmp_path / "again.txt")
    assert load_sheet(tmp_path / "again.txt").sheet == sheet


def test_there_are_three_examples():
    assert len(EXAMPLES) == 3


def random_sheet(seed: int) -> LeadSheet:
    draw = np.random.default_rng(seed)
    metre = [(4, 4), (3, 4), (6, 8), (2, 2)][draw.integers(4)]
    qualities = ("maj", "min", "7", "hdim7", "sus4")

    def bar() -> SheetBar:
        steps = np.sort(draw.choice(metre[0] * 2, draw.integers(0, 4), replace=False))
        chord = lambda: Chord(int(draw.integers(12)), qualities[draw.integers(5)], [None, 4][draw.integers(2)])  # noqa: E731
        return SheetBar(metre, tuple((float(step) * 2 / metre[1], chord()) for step in steps))

    def section(name: str) -> SheetSection:
        return SheetSection(name, tuple(bar() for _ in range(draw.integers(1, 10))), [None, "ff"][draw.integers(2)])

    first, second = section("A"), section("pre chorus")
    key = Key(int(draw.integers(12)), ["major", "minor"][draw.integers(2)])
    return LeadSheet(key, 60 + seed / 3, (first, second, replace(first, varied=True, dynamic="pp"), second))


@pytest.mark.parametrize("seed", range(12))
def test_any_sheet_is_read_back_as_it_was(seed):
    sheet = random_sheet(seed)
    assert read_sheet(write_sheet(sheet)).sheet == sheet


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[A]\n| C |\n\nhello", "the sheet, line 4: 'hello' is neither a section"),
        ("[A]\n| C | |\n", "line 2: bar 2 is empty"),
        ("[A]\n| C | Qm7 |\n", "line 2: Unknown chord 'Qm7'"),
        ("[A]\n| C C C C C C C C C |\n", "line 2: 9 chords are asked for in one bar of 4/4; it has room for 8"),
        ("[A]\n| % |", "line 2: bar 1 is %, and no bar"),
        ("tempo: fast\n", "line 1: tempo is 'fast'; it should be a number from 20 to 300"),
        ("key: H\n", "line 1: Unknown key 'H'"),
        ("metre: 7/5\n", "line 1: A metre must be like 3/4 or 6/8, not 7/5"),
        ("title: x\ntitle: y\n", "line 2: title is said twice"),
        ("swing:\n", "line 1: swing has no value"),
        ("colour: red\n", "line 1: 'colour' is not known above the sections; settings there are title, key"),
        ("[A]\ntempo: 90\n", r"line 2: 'tempo' is not known in the section \[A\]; settings there are metre, dynamics"),
        ("[A]\ndynamics: loud\n", "line 2: Unknown dynamic 'loud'"),
        ("[A]\ninstruments: flute,,\n", "line 2: instruments is"),
        ("[A]\nbars: 10000\n", "line 2: bars is '10000'; it should be a whole number from 1 to 999"),
        ("[A]\nbars: 0\n", "line 2: bars is '0'"),
        ("[A]\nbars: 600\n[B]\nbars: 600\n", "line 4: the sheet has more than 999 bars"),
        ("| C |\n", "line 1: bars stand before any section"),
        ("[A\n| C |", r"line 1: '\[A' is no section"),
        ("\n[A]\n[B]\n| C |", r"line 2: the section \[A\] has no bars"),
        ("[A]\n| C |\n[B]\n", r"line 3: the section \[B\] has no bars"),
        ("[A]\n| C |\n[A]\n| F |\n[B]\n| C |", r"line 3: the section \[A\] has other bars than in line 1"),
        ("title: x\n", "has no section"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, says):
    with pytest.raises(ValueError, match=says) as error:
        read_sheet(text)
    assert "\n" not in str(error.value)


def test_files_that_are_no_sheets(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.txt"):
        load_sheet(tmp_path / "nowhere.txt")
    (tmp_path / "bad.txt").write_text("[A]\n| X |\n")
    with pytest.raises(ValueError, match=r"bad\.txt', line 2"):
        load_sheet(tmp_path / "bad.txt")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"melody": np.array([(0, 1, 60, 80, 0, False)], NOTE)}, "no melody"),
        ({"sections": (SheetSection("A", (SheetBar((4, 4), ((0.25, Chord(0, "maj")),)),)),)}, "no half-beat"),
        ({"sections": (SheetSection("A", (SheetBar(),)), SheetSection("A", (SheetBar((3, 4)),)))}, "other bars"),
        ({"title": "# hidden\n"}, "cannot say|holds what"),
    ],
)
def test_what_the_text_cannot_say_is_refused(changed, says):
    with pytest.raises(ValueError, match=says):
        write_sheet(replace(random_sheet(1), **changed))
