import pytest

from clavilux.audio.chart import parse_chords
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import CHORDS, KEYS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("G minor", "G minor"), ("Gm", "G minor"), ("f# major", "F# major"), ("Bb", "Bb major"),
        ("A♭ minor", "G# minor"), ("E-flat major", "Eb major"), ("c sharp minor", "C# minor"),
        ("C", "C major"), ("Cb", "B major"), ("bb min", "Bb minor"), ("GM", "G major"),
        ("g-minor", "G minor"), (" D maj ", "D major"),
    ],
)  # fmt: skip
def test_keys_are_read(text, name):
    assert str(Key.parse(text)) == name


@pytest.mark.parametrize("text", ["", "H#", "H minor", "G lydian", "minor", "G minor 7", "7", "C##"])
def test_unknown_keys_are_one_sentence(text):
    with pytest.raises(ValueError, match="Unknown key") as error:
        Key.parse(text)
    assert repr(text) in str(error.value)


def test_keys_and_chords_check_their_parts():
    for bad in (
        lambda: Key(12, "major"),
        lambda: Key(0, "dorian"),
        lambda: Chord(-1, "maj"),
        lambda: Chord(0, "9"),
    ):
        with pytest.raises(ValueError):
            bad()


def test_every_key_round_trips_and_has_a_scale():
    assert len(KEYS) == 24
    for key in KEYS:
        assert Key.parse(str(key)) == key
        assert key.relative.relative == key
        assert (key.relative.sharps - key.sharps) % 12 == 0  # F# major and Eb minor: 6 sharps, 6 flats
        assert -6 <= key.sharps <= 6
        assert len(key.scale) == (7 if key.mode == "major" else 9)
    assert [str(Key.parse(name).parallel) for name in ("C", "Am", "Eb")] == ["C minor", "A major", "Eb minor"]
    assert [str(Key.parse(name).home) for name in ("C", "Am", "Eb")] == ["C", "Am", "Eb"]
    assert Key.parse("G minor").scale == {7, 9, 10, 0, 2, 3, 4, 5, 6}
    assert [Key.parse(name).sharps for name in ("C", "G", "F", "Am", "Gm", "F#m")] == [0, 1, -1, 0, -2, 3]


@pytest.mark.parametrize(
    ("text", "root", "quality"),
    [
        ("Gm", 7, "min"), ("C#dim", 1, "dim"), ("D7", 2, "7"), ("Bbmaj7", 10, "maj7"), ("F#m7b5", 6, "hdim7"),
        ("Ebsus4", 3, "sus4"), ("B°7", 11, "dim7"),
        ("Cø", 0, "hdim7"),
        ("C+", 0, "aug"), ("CM7", 0, "maj7"), ("Cm7", 0, "min7"), ("B♭m", 10, "min"), ("am", 9, "min"),
        ("E#", 5, "maj"),
    ],
)  # fmt: skip
def test_chords_are_read(text, root, quality):
    assert Chord.parse(text) == Chord(root, quality)


def test_a_bass_is_read_moved_and_named():
    assert Chord.parse("Am7/G") == Chord(9, "min7", 7)
    assert Chord.parse("C/E").transposed(1) == Chord(1, "maj", 5)
    assert Chord.parse("Eb/Bb").name(Key.parse("Eb")) == "Eb/Bb" and str(Chord(0, "maj", 4)) == "C/E"
    with pytest.raises(ValueError, match="bass must be a pitch class"):
        Chord(0, "maj", 12)


@pytest.mark.parametrize("text", ["H#", "", "Gm7b13", "G/", "m", "C 7", "Cmaj9", "G/H"])
def test_unknown_chords_are_one_sentence(text):
    with pytest.raises(ValueError, match="Unknown chord") as error:
        Chord.parse(text)
    assert repr(text) in str(error.value)
    assert "\n" not in str(error.value)


def test_every_chord_reads_its_own_name_in_every_key():
    for key in (None, *KEYS):
        for chord in CHORDS:
            assert Chord.parse(chord.name(key)) == chord


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("G minor", "Gm Am7b5 Bb Cm D7 Eb F F#dim7 Ab A7"),
        ("F# minor", "F#m G#m7b5 A Bm C#7 D E#dim7 G"),
        ("Db major", "Db Ebm7 Fm Gb Ab7 Bbm Cdim Eb7 Fb"),
        ("B major", "B C#m D#m E F#7 G#m A#dim C"),
        ("C major", "C Dm7 Em F G7 Am Bdim Db D7 Eb E7 F#dim7 Ab Bb C#dim7"),
        ("A minor", "Am Bdim C Dm E7 F G#dim7 Bb D#dim7"),
        ("Eb minor", "Ebm Fdim Gb Abm Bb7 Cb Ddim7"),
    ],
)
def test_chords_are_spelled_for_the_key(key, names):
    assert " ".join(Chord.parse(name).name(Key.parse(key)) for name in names.split()) == names


def test_pitch_classes_and_transposition():
    assert Chord.parse("Bbmaj7").pitch_classes == {10, 2, 5, 9}
    assert Chord.parse("Bbmaj7").transposed(4).name() == "Dmaj7"
    assert Key.parse("Bb").transposed(-3) == Key.parse("G major")


def test_charts_are_read():
    names = lambda chart: [[chord.name() for chord in bar] for bar in parse_chords(chart)]  # noqa: E731
    assert names("Gm Cm D7 Gm") == [["Gm"], ["Cm"], ["D7"], ["Gm"]]
    assert names("Gm Cm | D7 | Gm") == [["Gm", "Cm"], ["D7"], ["Gm"]]
    assert names("| C | F, G |") == [["C"], ["F", "G"]]


@pytest.mark.parametrize(
    ("text", "message"), [("", "No chords"), (" | ", "No chords"), ("C | | G", "Bar 2"), ("C H# G", "'H#'")]
)
def test_bad_charts_say_where(text, message):
    with pytest.raises(ValueError, match=message):
        parse_chords(text)
