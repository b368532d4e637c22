import pytest

from clavilux.audio.arranging.forms import section_bars, write_sheet
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.harmony import Chord, Key

DANCES = [name for name in band_names() if load_band(name).parts[0].voicing == "hand"]


def test_a_chord_that_is_said_again_goes_on():
    said = [[Chord.parse("C"), Chord.parse("C"), Chord.parse("G7")], [Chord.parse("G7"), Chord.parse("C")]]
    sheet = write_sheet(load_band("piano waltz"), Key.parse("C"), 150.0, 4, seed=1, chords=said)
    assert sheet.bars[0].chords == ((0.0, Chord.parse("C")), (2.0, Chord.parse("G7")))
    assert sheet.bars[1].chords == ((0.0, Chord.parse("G7")), (1.0, Chord.parse("C")))


@pytest.mark.parametrize("name", DANCES)
def test_dances_keep_to_their_key_and_have_chords_outside_it(name):
    """In print five notes of a hundred lie outside the scale."""
    for key in (Key.parse("C"), Key.parse("A minor")):
        found = [progression for progression in load_band(name).progressions if progression.mode == key.mode]
        assert {section for each in found for section in each.sections} >= {"A", "B"}
        assert all(len(progression.bars) == 8 for progression in found)
    sheets = [
        section_bars(load_band(name), Key.parse("C"), part, 8, (3, 4), seed) for seed in range(40) for part in "AB"
    ]
    chords = [chord for bars in sheets for bar in bars for _, chord in bar.chords]
    inside = [chord.pitch_classes <= Key.parse("C").scale for chord in chords]
    assert 0.8 < sum(inside) / len(inside) < 0.98
    home = sum(chord.root == 0 for chord in chords) / len(chords)
    assert 0.3 < home < 0.6


def test_a_third_part_has_chords_of_its_own_and_a_solo_those_of_the_verse():
    minor = Key.parse("A minor")
    parts = [
        [section_bars(load_band("piano mazurka"), minor, part, 8, (3, 4), seed) for part in "BC"] for seed in range(12)
    ]
    assert any(second != third for second, third in parts)
    verse, solo = (section_bars(load_band("rock"), minor, part, 8, (4, 4), 3) for part in ("verse", "solo"))
    assert verse == solo or load_band("rock").progressions_of("solo", "minor")[0].sections == ("solo",)
