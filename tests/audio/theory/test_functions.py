"""Chord functions against a list of progressions that was written by hand from textbooks' usual analyses."""

import itertools

import pytest

from clavilux.audio.arranging.numerals import chord_of, numeral_of
from clavilux.audio.harmony import QUALITIES, Chord, Key
from clavilux.audio.theory.functions import function_of, functions_of

# key | chords | numerals | functions: Tonic, Subdominant, Dominant, Color
PROGRESSIONS = """
C major  | C F G C               | I IV V I                  | TSDT
C major  | C Am Dm G7 C          | I vi ii V7 I              | TTSDT
G major  | G C D7 Em             | I IV V7 vi                | TSDT
D major  | D A Bm F#m G D G A    | I V vi iii IV I IV V      | TDTTSTSD
F major  | F Gm7 C7 F            | I ii7 V7 I                | TSDT
Bb major | Bb Eb F7 Bb           | I IV V7 I                 | TSDT
A major  | A E/G# F#m D E A      | I V vi IV V I             | TDTSDT
E major  | E G#m A B7 E          | I iii IV V7 I             | TTSDT
C major  | C D7 G7 C             | I V7/V V7 I               | TDDT
C major  | C E7 Am D7 G7 C       | I V7/vi vi V7/V V7 I      | TDTDDT
C major  | C A7 Dm G7 C          | I V7/ii ii V7 I           | TDSDT
C major  | C C7 F Fm C           | I V7/IV IV iv I           | TDSST
G major  | G B7 Em A7 D          | I V7/vi vi V7/V V         | TDTDD
C major  | C F#dim7 G C          | I vii°7/V V I             | TDDT
C major  | C C#dim7 Dm G7 C      | I vii°7/ii ii V7 I        | TDSDT
C major  | F Bdim C              | IV vii° I                 | SDT
C major  | C Bb F C              | I ♭VII IV I               | TSST
C major  | C Ab Bb C             | I ♭VI ♭VII I              | TSST
Eb major | Eb Abm Eb             | I iv I                    | TST
C major  | C Db G7 C             | I ♭II V7 I                | TSDT
C major  | C Ab7 G C             | I Ger6 V I                | TSDT
C major  | Dm7 G7 Cmaj7          | ii7 V7 Imaj7              | SDT
A minor  | Am Dm E Am            | i iv V i                  | TSDT
A minor  | Am F C G              | i VI III VII              | TTTD
A minor  | Am Bdim E7 Am         | i ii° V7 i                | TSDT
A minor  | Am G#dim7 Am          | i vii°7 i                 | TDT
G minor  | Gm Eb Cm D7 Gm        | i VI iv V7 i              | TTSDT
D minor  | Dm C F Bb A7 D        | i V/III III VI V7 I       | TDTTDT
E minor  | Em E7 Am F B7 Em      | i V7/iv iv ♭II V7 i       | TDSSDT
C minor  | Cm Dm7b5 G7 Ab        | i iiø7 V7 VI              | TSDT
""".strip().splitlines()
LETTERS = {"tonic": "T", "subdominant": "S", "dominant": "D", "color": "C"}


@pytest.mark.parametrize("line", PROGRESSIONS, ids=lambda line: line.rsplit("|", 2)[0])
def test_progressions_are_read_as_they_are_taught(line):
    key, chords, numerals, roles = (part.split() for part in line.split("|"))
    found = functions_of([Chord.parse(name) for name in chords], Key.parse(" ".join(key)))
    assert [each.numeral for each in found] == numerals
    assert "".join(LETTERS[each.role] for each in found) == roles[0]


def test_there_are_thirty_progressions():
    assert len(PROGRESSIONS) == 30


def test_every_chord_has_a_numeral_that_reads_back_as_it():
    for key in (Key(0, "major"), Key(7, "minor"), Key(10, "major"), Key(1, "minor")):
        for root, quality, bass in itertools.product(range(12), QUALITIES, (None, 0, 5, 11)):
            chord = Chord(root, quality, None if bass == root else bass)
            assert chord_of(numeral_of(chord, key), key) == chord


def test_functions_move_with_the_key():
    """The same degrees in another key have the same numerals, whatever the chord is spelled as."""
    for root, quality, after in itertools.product(range(12), QUALITIES, (None, 0, 5, 7)):
        for mode in ("major", "minor"):
            following = None if after is None else Chord(after, "maj")
            here = function_of(Chord(root, quality), Key(0, mode), following)
            moved = following and following.transposed(5)
            there = function_of(Chord(root, quality).transposed(5), Key(5, mode), moved)
            assert (here.numeral, here.role, here.target, here.borrowed) == (
                there.numeral, there.role, there.target, there.borrowed,
            )  # fmt: skip


def test_a_diminished_seventh_is_named_after_its_leading_note():
    """D#dim7 and F#dim7 are the same four notes; in G minor they lean on G."""
    found = function_of(Chord.parse("D#dim7"), Key.parse("G minor"), Chord.parse("Gm"))
    assert found.numeral == "vii°7" and str(found.chord) == "F#dim7"
