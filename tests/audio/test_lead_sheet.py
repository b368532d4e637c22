from dataclasses import replace

import numpy as np
import pytest

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.lead_sheet import LeadSheet, SheetBar, SheetSection
from clavilux.audio.notes import NOTE

C, F, G7 = Chord.parse("C"), Chord.parse("F"), Chord.parse("G7")
VERSE = SheetSection("verse", (SheetBar((4, 4), ((0.0, C), (2.0, F))), SheetBar((4, 4))))
CHORUS = SheetSection("chorus", (SheetBar((3, 4), ((0.0, F),)), SheetBar((3, 4), ((0.0, G7),))), dynamic="f")
MELODY = np.array([(0, 1, 60, 80, 0, False), (12, 2, 67, 80, 0, False)], NOTE)
SHEET = LeadSheet(Key.parse("C"), 120.0, (VERSE, CHORUS), melody=MELODY)


def test_times_of_bars_sections_metres_and_chords():
    assert SHEET.quarters == 14 and SHEET.duration_s == 7
    assert SHEET.bar_starts() == (0, 4, 8, 11)
    assert SHEET.section_starts() == ((0, "verse"), (8, "chorus"))
    varied = replace(SHEET, sections=(VERSE, replace(VERSE, varied=True)))
    assert varied.section_starts() == ((0, "verse"), (8, "verse'"))
    assert SHEET.metres() == ((0, (4, 4)), (8, (3, 4)))
    assert SHEET.chords() == ((0, C), (2, F), (11, G7))  # an empty bar and the next F go on with the F before


def test_its_score_has_the_melody_on_the_bars_and_chords():
    score = SHEET.score()
    assert score.length == 14 and score.chords == SHEET.chords() and list(score.bar_starts()) == [0, 4, 8, 11]
    assert score.notes["pitch"].tolist() == [60, 67] and score.tempos == ((0, 120),)
    assert len(replace(SHEET, melody=None).score().notes) == 0


def test_sheets_compare_by_what_they_say():
    assert replace(SHEET, melody=MELODY.copy()) == SHEET and hash(replace(SHEET)) == hash(SHEET)
    other = MELODY.copy()
    other["pitch"][1] = 65
    for different in (replace(SHEET, melody=other), replace(SHEET, melody=None), replace(SHEET, tempo=90.0)):
        assert different != SHEET


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SheetBar((4, 5)), "4/5"),
        (lambda: SheetBar((3, 4), ((3.0, C),)), "within its 3 quarters"),
        (lambda: SheetBar((4, 4), ((2.0, C), (2.0, F))), "follow one another"),
        (lambda: SheetSection("A", ()), "'A' has no bars"),
        (lambda: replace(VERSE, dynamic="loud"), "'loud'"),
        (lambda: replace(SHEET, sections=()), "at least one section"),
        (lambda: replace(SHEET, tempo=0.0), "not 0.0"),
        (lambda: replace(SHEET, swing=1.2), "not 1.2"),
        (lambda: replace(SHEET, sections=(VERSE,)), "the sheet's 8 quarters"),
    ],
)
def test_what_is_wrong_is_said(make, says):
    with pytest.raises(ValueError, match=says):
        make()
