import pytest

from clavilux.audio.arranging.library import OWN_FOLDER, band_names, band_words, load_band
from clavilux.audio.arranging.numerals import chord_of
from clavilux.audio.arranging.style_file import read_style
from clavilux.audio.harmony import QUALITIES, Key

TEXT = """\
style: test
metre: 4/4
tempo: 100-120
form: intro 4, verse 8
lead: flute
[part drums]
plays: drum kit
[part bass]
plays: acoustic bass
range: E1 G3
[part piano]
plays: acoustic grand piano
[chords *]
I | IV V7 | % | I
[drums *]
kick  7... .... 7... ....
snare .... 7... .... 7...
[bass verse]
1--- 5--- 1--- 5---
1--- ---- ---- ----
[piano *]
x--- x--- x--- x---
"""


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_a_style_is_read_as_it_is_written():
    band = read_style(TEXT.replace("\n1--- ---- ---- ----\n", " # and again\n"))
    assert (band.name, band.metre, band.tempo, band.form) == ("test", (4, 4), (100, 120), (("intro", 4), ("verse", 8)))
    assert [part.kind for part in band.parts] == ["drums", "bass", "chords"]
    assert (band.parts[1].low, band.parts[1].high) == (28, 55)
    assert band.progressions[0].bars == (("I",), ("IV", "V7"), ("IV", "V7"), ("I",))
    bass = next(pattern for pattern in band.patterns if pattern.part == "bass")
    assert (bass.steps, bass.bars, bass.rows) == (16, 1, (("", "1---5---1---5---"),))


def test_a_right_hand_has_textures_with_weights():
    band = read_style(changed("grand piano\n", "grand piano\nright hand: single 53, octaves 12.5, thirds 0\n"))
    assert band.parts[2].right_hand == (("single", 53), ("octaves", 12.5), ("thirds", 0))
    assert read_style(TEXT).parts[2].right_hand == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed("tempo: 100-120", "tempo: fast"), "line 3: 'fast' should be a number from 20 to 300"),
        (changed("tempo: 100-120", "tempo: 120-100"), "line 3: the tempo '120-100' goes down"),
        (changed("tempo:", "temp:"), "line 3: 'temp: 100-120' is no setting"),
        (changed("metre: 4/4\n", ""), "line 1: no line says 'metre'"),
        (changed("lead: flute", "lead: fluet"), "line 5: 'fluet' is no instrument of General MIDI; did you"),
        (changed("intro 4", "intro"), "line 4: 'intro' is no section with its bars"),
        (changed("E1 G3", "E1 G"), "line 10: 'G' is no pitch"),
        (changed("E1 G3", "E1 A1"), "line 10: the range 'E1 A1' should span an octave"),
        (
            changed("grand piano\n", "grand piano\nvoicing: hands\n"),
            "line 13: 'hands' should be one of triad, seventh, rootless, power, guitar, open, hand",
        ),
        (
            changed("grand piano\n", "grand piano\nright hand: single 5, fifths 3\n"),
            "line 13: 'fifths 3' should be one of single, accents, octaves, thirds, sixths, chords, and its weight",
        ),
        (changed("grand piano\n", "grand piano\nright hand: thirds\n"), "line 13: 'thirds' should be one of single"),
        (changed("grand piano\n", "grand piano\nright hand: single x\n"), "line 13: 'x' should be a number from 0"),
        (changed("grand piano\n", "grand piano\nright hand: single -1\n"), "line 13: '-1' should be a number from 0"),
        (changed("grand piano\n", "grand piano\nright hand: single 1, single 2\n"), "line 13: 'single' is there twice"),
        (changed("grand piano\n", "grand piano\nright hand: single 0\n"), "line 13: every weight is 0"),
        (
            changed("range: E1 G3", "range: E1 G3\nright hand: single 1"),
            "line 8: 'bass' plays no chords, so it has no right hand",
        ),
        (changed("IV V7", "IV Q7"), "line 14: 'Q7' is no chord's numeral"),
        (changed("| IV V7 |", "| |"), "line 14: an empty bar"),
        (changed("snare", "snair"), "line 17: 'snair' is no drum"),
        (changed("[bass verse]", "[base verse]"), "line 18: no part 'base'"),
        (changed("kick  7...", "kick  7.."), "line 16: a row of 15 steps; it should have 16"),
        (changed("kick  7...", "kick  7..?"), "line 16: '?' is no step"),
        (changed("---- ----\n[p", "---- ---k\n[p"), "line 20: 'k' is no step"),
        (changed("5--- 1--- 5---", "5---"), "line 19: a row of 8 steps; it should have 16"),
        (TEXT.partition("[part")[0], "line 1: there is no part"),
        (TEXT.partition("[chords")[0], "line 1: there is no pattern"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_line(text, says):
    with pytest.raises(ValueError) as error:
        read_style(text, "own.band")
    assert str(error.value).startswith("own.band, ") and says in str(error.value) and "\n" not in str(error.value)


def test_bundled_styles_are_all_read():
    names = band_names()
    words = band_words()
    assert len(names) >= 24 and all(name in words[name] for name in names)
    for name in names:
        band = load_band(name)
        assert band.name == name
        for mode in ("major", "minor"):
            for section, _ in band.form:
                assert band.progressions_of(section, mode), f"{name} has no chords for a {section} in {mode}"
        for part in band.parts:
            assert any(pattern.part == part.name for pattern in band.patterns), f"{name}: {part.name} plays nothing"


def test_no_two_styles_claim_one_word():
    claimed = [word for words in band_words().values() for word in words]
    assert len(claimed) == len(set(claimed))


def test_styles_of_ones_own_lie_in_a_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.band").write_text(TEXT.replace("style: test", "style: my waltz\nwords: mine"))
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path))
    assert "my waltz" in band_names() and band_words()["my waltz"] == ("my waltz", "mine")
    assert load_band("My Waltz").lead == load_band(tmp_path / "mine.band").lead == ("flute",)
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path / "none"))
    with pytest.raises(ValueError, match="which is no folder"):
        band_names()


def test_an_unknown_style_is_said_with_the_nearest():
    with pytest.raises(ValueError, match=r"unknown band style 'bosa nova' \(did you mean 'bossa nova'\?\)"):
        load_band("bosa nova")
    with pytest.raises(ValueError, match=r"there is no band style 'nowhere\.band'"):
        load_band("nowhere.band")


@pytest.mark.parametrize(
    ("numeral", "key", "chord"),
    [
        ("I", "D", "D"), ("ii7", "C", "Dm7"), ("V7", "F", "C7"), ("bVII", "E", "D"), ("#ivo7", "C", "F#dim7"),
        ("iih7", "A minor", "Bm7b5"), ("VI", "A minor", "F"), ("V7", "A minor", "E7"), ("VII", "C minor", "Bb"),
        ("I/3", "C", "C/E"), ("V/7", "C", "G/B"), ("Vsus4", "G", "Dsus4"), ("III+", "A minor", "Caug"),
    ],
)  # fmt: skip
def test_numerals_are_chords_of_the_key(numeral, key, chord):
    found = chord_of(numeral, Key.parse(key))
    assert found.name(Key.parse(key)) == chord and found.quality in QUALITIES
