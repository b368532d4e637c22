"""MusicXML out and in: the same notes come back, and bad files are refused in a sentence."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from make_notation import GOLDENS, random_score, small_piece

from clavilux.audio.notation.files import read_score, save_score
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score

FIELDS = ("start", "duration", "pitch", "velocity", "program", "drum")


def rows(score):
    found = [tuple(round(float(value), 6) for value in row) for row in score.notes[list(FIELDS)].tolist()]
    return sorted(found)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_written_reads_back_the_same(tmp_path, seed):
    score = random_score(seed)
    save_score(score, tmp_path / "a.musicxml")
    again = read_score(tmp_path / "a.musicxml")
    assert rows(again) == rows(score)
    assert again.sections == score.sections
    assert (again.key, again.metres, again.tempos, again.chords) == (
        score.key, score.metres, score.tempos, score.chords
    )  # fmt: skip
    save_score(again, tmp_path / "b.musicxml")
    assert (tmp_path / "a.musicxml").read_bytes() == (tmp_path / "b.musicxml").read_bytes()


@pytest.mark.parametrize("ending", [".musicxml", ".abc"])
def test_the_small_piece_is_written_as_it_was(tmp_path, ending):
    save_score(small_piece(), tmp_path / f"piece{ending}", title="A small piece")
    assert (tmp_path / f"piece{ending}").read_text() == (GOLDENS / f"notation{ending}").read_text()


def test_played_times_are_brought_to_a_grid(tmp_path):
    rng = np.random.default_rng(0)
    exact = small_piece()
    played = exact.notes.copy()
    played["start"] = np.maximum(0, played["start"] + rng.uniform(-0.02, 0.02, len(played)))
    played["duration"] *= 0.94
    score = Score(played, exact.tempos, exact.metres, exact.key, exact.chords)
    save_score(score, tmp_path / "a.musicxml")
    again = read_score(tmp_path / "a.musicxml")
    assert [row[:3] for row in rows(again)] == [row[:3] for row in rows(exact)]


def measure(*notes, ends="", begins="", number="1"):
    pitches = "".join(
        f"<note><pitch><step>{step}</step><octave>4</octave></pitch><duration>1</duration></note>" for step in notes
    )
    return f'<measure number="{number}">{begins}{pitches}{ends}</measure>'


def document(*measures, head=""):
    attributes = (
        "<attributes><divisions>1</divisions><time><beats>2</beats><beat-type>4</beat-type></time></attributes>"
    )
    first, *others = measures
    first = first.replace(">", f">{attributes}", 1)
    return (
        f'<score-partwise>{head}<part-list><score-part id="P1"><part-name>Flute</part-name></score-part></part-list>'
        f'<part id="P1">{first}{"".join(others)}</part></score-partwise>'
    )


REPEAT = '<barline location="right"><repeat direction="backward"/></barline>'


def test_repeats_and_endings_are_played_out(tmp_path):
    first = '<barline location="left"><ending number="1" type="start"/></barline>'
    last = '<barline location="left"><ending number="2" type="start"/></barline>'
    close = '<barline location="right"><ending number="1" type="stop"/><repeat direction="backward"/></barline>'
    end = '<barline location="right"><ending number="2" type="stop"/></barline>'
    text = document(
        measure("C", "D"), measure("E", "E", begins=first, ends=close), measure("F", "F", begins=last, ends=end),
        measure("G", "A", begins='<barline location="left"><repeat direction="forward"/></barline>', ends=REPEAT),
    )  # fmt: skip
    (tmp_path / "a.xml").write_text(text)
    score = read_score(tmp_path / "a.xml")
    assert score.notes["pitch"].tolist() == [60, 62, 64, 64, 60, 62, 65, 65, 67, 69, 67, 69]
    assert score.metres == ((0.0, (2, 4)),) and set(score.notes["program"].tolist()) == {73}


def test_compressed_files_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.mxl", "w") as packed:
        packed.writestr("META-INF/container.xml", "<container/>")
        packed.writestr("score.xml", document(measure("C", "D")))
    assert read_score(tmp_path / "a.mxl").notes["pitch"].tolist() == [60, 62]


def test_what_is_not_played_is_said(tmp_path):
    grace = "<note><grace/><pitch><step>B</step><octave>4</octave></pitch></note>"
    (tmp_path / "a.xml").write_text(document(measure("C", "D", begins=grace, ends='<sound dacapo="yes"/>')))
    score = read_score(tmp_path / "a.xml")
    assert score.remarks == ("grace notes are not played: 1 note", "da capo, dal segno and coda are not followed")
    with pytest.raises(ValueError, match="grace notes are not played"):
        read_score(tmp_path / "a.xml", strict=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<score-partwise>", "is no XML: no element found"),
        ("<score-timewise/>", "is score-timewise MusicXML"),
        ("<html/>", "begins with <html>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><score-partwise/>', "declares XML entities"),
        ("<score-partwise/>", "holds no notes"),
        (document(measure("H")), "is broken MusicXML"),
        (document(measure("C")).replace("<beats>2", "<beats>2").replace("<divisions>1", "<divisions>one"), "'one'"),
        ("PK broken", "is a broken compressed file"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, said):
    (tmp_path / "a.musicxml").write_text(text)
    with pytest.raises(ValueError, match="a.musicxml") as caught:
        read_score(tmp_path / "a.musicxml")
    assert said in str(caught.value)


def test_a_score_without_notes_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="no notes"):
        save_score(Score(np.empty(0, PART_NOTE)), tmp_path / "a.musicxml")
    with pytest.raises(ValueError, match=r"\.abc"):
        save_score(small_piece(), tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".musicxml", ".abc"])
def test_what_rings_after_the_last_bar_is_no_bar(tmp_path, ending):
    """A score that lasts as long as its sound ends inside a bar; one that ends with a bar of rest keeps that."""
    whole = small_piece()
    for length, bars in ((whole.length, 2), (whole.length + 4.3, 2), (whole.length + 3.0, 3)):
        save_score(replace(whole, length=length), tmp_path / f"a{ending}")
        assert len(read_score(tmp_path / f"a{ending}").bar_starts()) == bars
