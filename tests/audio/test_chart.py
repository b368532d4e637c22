"""Chord charts as people write them: spellings, what is played as another quality, basses, bars without a chord."""

import pytest

from clavilux.audio.chart import read_chart, read_chord

EXACT = {
    "C": "C", "CM7": "Cmaj7", "Cma7": "Cmaj7", "CMaj7": "Cmaj7", "CΔ": "Cmaj7", "CΔ7": "Cmaj7", "Cø": "Cm7b5",
    "C°": "Cdim", "C°7": "Cdim7", "Co7": "Cdim7", "C-7": "Cm7", "C-": "Cm", "C+": "Caug", "C-7b5": "Cm7b5", "am": "Am",
    "F♯m7": "F#m7", "B♭": "Bb", "Dsus": "Dsus4", "H7": "B7", "H": "B", "C/E": "C/E", "Am7/G": "Am7/G", "C/H": "C/B",
    "Ebmaj7/Bb": "Ebmaj7/Bb", "Cminor": "Cm", "Cmajor": "C",
}  # fmt: skip
NEAREST = {
    "C9": "C7", "Cadd9": "C", "F6": "F", "C5": "C", "Cmaj9": "Cmaj7", "C6/9": "C", "C6/9/E": "C/E", "Csus2": "Csus4",
    "C7sus4": "Csus4", "Cm(maj7)": "Cm", "CmM7": "Cm", "C7b5": "C7", "C7#5": "Caug", "C+7": "Caug", "Cm6": "Cm",
    "Cm9": "Cm7", "Cm11": "Cm7", "C13": "C7", "C7b9": "C7", "C7#9#11": "C7", "C7alt": "C7", "CM9": "Cmaj7",
    "Gm7b13": "Gm7", "B♭9": "Bb7",
}  # fmt: skip


@pytest.mark.parametrize(("written", "chord"), EXACT.items())
def test_spellings_of_what_can_be_played(written, chord):
    got, exact = read_chord(written)
    assert (str(got), exact) == (chord, True)


@pytest.mark.parametrize(("written", "chord"), NEAREST.items())
def test_what_cannot_be_played_becomes_the_nearest_and_is_said(written, chord):
    got, exact = read_chord(written)
    assert (str(got), exact) == (chord, False)
    assert read_chart(f"{written} G").played_as == (f"{written} (played as {chord})",)


@pytest.mark.parametrize("word", ["H#", "Hb", "", "m", "C/", "G/X", "Cfoo", "Xm", "Cmm", "C" + "7" * 500, "C9" * 9])
def test_what_is_no_chord(word):
    with pytest.raises(ValueError, match="Unknown chord") as error:
        read_chord(word)
    assert "\n" not in str(error.value)


def test_bars_without_a_chord_and_bars_once_more():
    chart = read_chart("C | N.C. | % | G n.c.")
    assert [[str(chord) for chord in bar] for bar in chart.bars] == [["C"], [], [], ["G"]]
    assert chart.played_as == ("N.C. (a bar's chords are left to the composer)", "N.C. (within a bar)")
    assert read_chart("C % G").bars == read_chart("C C G").bars
