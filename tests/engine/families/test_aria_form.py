"""The plan of bars: sections, endings, cadences, what returns, who plays; and forms by name."""

import pytest

from clavilux.audio.chart import parse_chords
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.score import bar_quarters
from clavilux.audio.sheet_text import read_sheet
from clavilux.families.aria.form import plan_bars, plan_form, plan_sheet, quarters_to_end, sections_of, writers
from clavilux.families.aria.form_names import FORMS, read_form

G = Key.parse("G")


def planned(form, bars, metre=(4, 4), key=G, **options):
    return plan_form(read_form(form).sections(bars), metre, key, seed=1, **options)


def test_sections():
    assert sections_of(9) == ["opening"] * 4 + ["middle"] + ["closing"] * 3 + ["last"]
    assert sections_of(1) == ["last"]
    assert sections_of(2, opens=False, closes=False) == ["middle", "middle"]


def test_phrases_of_eight_bars():
    assert [bar.place for bar in plan_bars(10, (4, 4), place=6)] == [6, 7, 0, 1, 2, 3, 4, 5, 6, 7]
    assert [bar.place for bar in planned("AABB", 32)] == list(range(8)) * 4
    assert [bar.place for bar in planned("AABA", 16)] == list(range(8)) * 2  # parts of four bars are halves
    assert [bar.place for bar in planned("intro 4, verse 8, chorus 8", 20)] == [*range(4), *range(8), *range(8)]
    assert [bar.place for bar in planned("A 5, B 5", 10)] == [*range(5), *range(5)]


def test_the_last_notes_leave_room_for_an_upbeat():
    for metre, begins, expected in (((6, 8), 0.5, 0.5), ((3, 4), 0.0, 1.0), ((2, 4), 0.5, 0.5), ((4, 4), 0.75, 0.0)):
        bars = planned("AABB", 32, metre, ends_at=begins, upbeat_after=True)
        assert bars[-1].silence == expected
        assert quarters_to_end(bars, 31) == bar_quarters(metre) - expected
        assert quarters_to_end(bars, 30) == bar_quarters(metre) * (1 + begins)
    assert planned("AABB", 32, ends_at=0.0)[-1].silence == 0


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
    ("text", "bars", "expected"),
    [
        ("AABB", 16, "A4 A4 B4 B4"),
        ("AABB", 18, "A4 A4 B5 B5"),
        ("ABA", 16, "A4 B8 A4"),
        ("aa'ba", 32, None),
        ("AA'BA", 32, "A8 A8' B8 A8"),
        ("verse-chorus", 32, "verse8 chorus8 verse8 chorus8"),
        ("Verse, chorus, bridge, chorus", 32, "verse8 chorus8 bridge8 chorus8"),
        ("theme and variations", 16, "A4 A4' A4' A4'"),
        ("intro 4, verse 8, chorus 8", 20, "intro4 verse8 chorus8"),
        ("AABB", 15, ""),
        ("AABB", 3, ""),
        ("intro 4, A 8", 13, ""),
    ],
)
def test_a_form_has_exactly_so_many_bars(text, bars, expected):
    if expected is None:
        with pytest.raises(ValueError, match='form is "aa\'ba"; it should be letters such as AABB'):
            read_form(text)
        return
    parts = read_form(text).sections(bars)
    said = " ".join(f"{part.name}{part.bars}" + "'" * part.varied for part in parts or ())
    assert said == expected and (not parts or sum(part.bars for part in parts) == bars)


def test_named_forms_are_forms():
    for name in FORMS:
        form = read_form(name)
        assert form.usual() == 8 * len(form.parts) and form.sections(form.usual())
    assert read_form("AABB").usual([("A", 16)]) == 48


@pytest.mark.parametrize("text", ["", "A", "AXB", "sonata", "verse 0", "verse 8; chorus 8", "A 8, A 4", "A 10000"])
def test_what_is_no_form_is_one_sentence(text):
    with pytest.raises(ValueError, match="^form (is|has) .*[;,] .*(should|as before)") as caught:
        read_form(text)
    assert len(str(caught.value)) < 400


def test_a_repeated_part_has_a_first_and_a_second_ending():
    bars = planned("AABB", 16)
    tonic, dominant = ((0.0, Chord(7, "maj")),), ((0.0, Chord(2, "maj")),)
    assert [bars[i].chords for i in (3, 7, 11, 15)] == [dominant, tonic, dominant, tonic]
    assert [bar.returns for bar in bars[4:8]] == [0, 1, 2, None]
    assert [bar.returns for bar in bars[12:]] == [8, 9, 10, None]
    assert bars[6].chords[-1][1].root == 2 and bars[2].chords == bars[6].chords, "a dominant leads to the end"
    assert bars[15].section == "last" and bars[0].chords is None
    assert quarters_to_end(bars, 5) == 12


def test_a_middle_part_leads_back_and_a_varied_one_keeps_its_chords():
    bars = planned("ABA", 12)
    assert bars[7].chords == ((0.0, Chord(2, "maj")),) and bars[3].chords == ((0.0, Chord(7, "maj")),)
    assert [bar.returns for bar in bars[8:]] == [0, 1, 2, None]
    varied = planned("AA'", 8)
    assert [bar.returns for bar in varied[4:]] == [None] * 4
    assert [bar.varies for bar in varied[4:]] == [0, 1, None, None], "the others' chords are planned"


def test_asked_chords_begin_anew_with_each_part():
    bars = planned("AABB", 16, chords=parse_chords("Am | F G | C"))
    assert [len(bar.chords) for bar in bars] == [1, 2, 1, 1] * 4
    assert [bar.returns for bar in bars[4:8]] == [0, 1, 2, 3] and bars[-1].returns is None


def test_a_sheet_says_who_plays_and_what_returns():
    sheet = read_sheet(
        "key: A minor\n[A]\ninstruments: guitar\n| Am | . |\n[B]\nbars: 2\n[A]\ndynamics: p\n[A varied]\n[B]\n"
    ).sheet
    bars = plan_sheet(sheet)
    assert [bar.returns for bar in bars] == [None, None, None, None, 0, 1, None, None, 2, None]
    assert bars[1].chords == ((0.0, Chord(9, "min")),), "a bar without chords goes on with those before"
    assert bars[2].chords is None and bars[9].chords == ((0.0, Chord(9, "min")),)
    assert bars[0].players == ("guitar",) and writers(bars)[0] is None, "everybody plays it when it returns"
    assert bars[4].dynamic == "p" and not any(bar.rests for bar in bars)
    silent = plan_sheet(sheet, ("A",))
    assert silent[0].rests and silent[4].rests and not silent[2].rests
