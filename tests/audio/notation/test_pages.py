"""Sheets of chords and pictures of scores."""

import importlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from make_notation import small_piece

from clavilux.audio.chart import read_chart
from clavilux.audio.clip import Audio
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notation import engraving
from clavilux.audio.notation.chord_sheet import chord_sheet
from clavilux.audio.notation.files import save_score, score_bytes
from clavilux.audio.notation.page import ALTO, BASS, BASS_8, TREBLE, TREBLE_8, page_of
from clavilux.audio.notes import NOTE
from clavilux.audio.score import Score


def chorded(*chords, length, metres=((0.0, (4, 4)),)):
    notes = np.array([(0, length, 60, 80, 0, False)], NOTE)
    parsed = tuple((time, Chord.parse(name)) for time, name in chords)
    return Score(notes, ((0.0, 90.0),), metres, Key.parse("A minor"), parsed)


@pytest.mark.parametrize(
    ("program", "pitch", "clef"),
    [(40, 55, TREBLE), (41, 60, ALTO), (42, 69, BASS), (70, 67, BASS), (57, 60, BASS), (60, 62, TREBLE), (60, 50, BASS),
     (24, 60, TREBLE_8), (33, 40, BASS_8), (0, 72, TREBLE), (0, 40, BASS)],
)  # fmt: skip
def test_a_part_has_the_clef_that_its_player_reads(program, pitch, clef):
    score = Score(np.array([(0, 4, pitch, 80, program, False)], NOTE))
    assert [staff.clef for staff in page_of(score).parts[0].staves] == [clef]


def test_a_sheet_of_chords_reads_back_bar_by_bar():
    score = chorded((0, "Am"), (6, "Dm"), (8, "E7/G#"), (12, "Am"), (16, "F"), length=20)
    sheet = chord_sheet(score, " Lament \n")
    assert sheet == (
        "Lament\nA minor, 4/4, 90 quarters a minute\n\n"
        "| Am    | Am Dm | E7/G# | Am    |\n| F     |\n"
    )  # fmt: skip
    bars = read_chart(" ".join(sheet.splitlines()[3:]).replace("| |", "|")).bars
    assert [[chord.name(score.key) for chord in bar] for bar in bars] == [
        ["Am"],
        ["Am", "Dm"],
        ["E7/G#"],
        ["Am"],
        ["F"],
    ]


def test_a_metre_that_changes_is_named():
    sheet = chord_sheet(chorded((2, "Am"), length=7, metres=((0.0, (2, 4)), (4.0, (3, 4)))))
    assert sheet.splitlines()[2:] == ["| N.C. | Am   |", "(3/4)", "| Am   |"]


def test_chords_that_are_not_said_are_found_in_the_notes():
    rows = [
        (start, 2, pitch, 80, 0, False) for start, chord in ((0, (48, 64, 67)), (2, (43, 62, 71))) for pitch in chord
    ]
    sheet = chord_sheet(Score(np.array(rows, NOTE), metres=((0.0, (2, 4)),)))
    assert "chords found in the notes" in sheet and "| C | G |" in sheet


def test_a_picture_shows_the_score(tmp_path):
    pytest.importorskip("verovio")
    save_score(small_piece(), tmp_path / "a.svg", title="A small piece")
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.startswith("<svg") and "A small piece" in drawn and drawn.count('class="measure') == 2
    save_score(small_piece(), tmp_path / "b.svg", title="A small piece")
    assert (tmp_path / "b.svg").read_text() == drawn


def drawn_with(*chords):
    return chorded(*((4 * bar, name) for bar, name in enumerate(chords)), length=4 * len(chords))


def test_accidentals_of_chords_are_signs_of_any_font():
    pytest.importorskip("verovio")
    score = replace(drawn_with("Bb7", "C/Bb", "F#m7b5", "B"), metres=((0.0, (6, 8)),))
    drawn = score_bytes(score, ".svg").decode()
    said = "".join(re.findall(r">([^<]+)</tspan>", drawn))
    assert all(name in said for name in ("B♭7", "C/B♭", "F♯m7b5", "♩."))
    assert "Leipzig" not in drawn and not re.search("[\ue000-\uf8ff]", drawn)
    size = re.search(r'font-size="(\d+)px">B</tspan>', drawn)[1]
    assert drawn.count(f'font-size="{size}px">♭</tspan>') == 2


def test_a_png_shows_accidentals_of_chords():
    pytest.importorskip("verovio")
    pytest.importorskip("resvg_py")
    from PIL import Image

    pictures = [score_bytes(drawn_with(name), ".png") for name in ("B", "Bb", "F", "F#")]
    inked = [int((np.asarray(Image.open(io.BytesIO(each)).convert("L")) < 128).sum()) for each in pictures]
    assert inked[0] + 20 < inked[1] and inked[2] + 20 < inked[3]


def test_the_title_of_its_receipt_names_a_piece_in_every_format(tmp_path):
    names = ["a.mid", "a.musicxml", "a.abc", "a.txt"]
    for name in names:
        save_score(small_piece(), tmp_path / name, "a prompt", receipt={"title": "Évening walk"})
    mid, *texts = [(tmp_path / name).read_bytes() for name in names]
    title = "Évening walk".encode()
    assert b"\xff\x03" + bytes([len(title)]) + title in mid and len(Score.from_midi(tmp_path / "a.mid").notes)
    lines = [b"<work-title>" + title + b"</work-title>", b"T:" + title + b"\n", title + b"\n"]
    assert all(line in text for line, text in zip(lines, texts, strict=True))
    save_score(small_piece(), tmp_path / "a.mid", "a prompt", receipt={"prompt": "a prompt"})
    assert b"\xff\x03\x08a prompt" not in (tmp_path / "a.mid").read_bytes()


def test_a_png_is_dark_on_white(tmp_path):
    pytest.importorskip("verovio")
    pytest.importorskip("resvg_py")
    from PIL import Image

    clip = Audio(np.zeros((2, 100), np.float32), 22050, score=small_piece(), receipt={"prompt": "waltz"})
    clip.save(tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    assert pixels[0, 0] == 255 and 0.002 < (pixels < 128).mean() < 0.2


def test_without_the_extra_it_is_named(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ValueError, match=r'needs verovio: pip install "clavilux\[scores\]"'):
        save_score(small_piece(), tmp_path / "a.svg")
    with pytest.raises(ValueError, match="score as a picture needs verovio"):
        engraving.check_installed(".png")
    assert not list(tmp_path.iterdir())


def test_sections_stand_over_their_bars(tmp_path):
    score = replace(chorded((0, "Am"), (12, "C"), length=20), sections=((0.0, "A"), (8.0, "bridge")))
    assert chord_sheet(score).splitlines()[2:] == [
        "[A]", "| Am | Am |", "", "[bridge]", "| Am | C  | C  |"
    ]  # fmt: skip
    score.save_midi(tmp_path / "a.mid")
    again = Score.from_midi(tmp_path / "a.mid")
    assert again.sections == score.sections and again.chords == score.chords and again.remarks == ()
    assert score.slice(4.0, 12.0).sections == ((0.0, "A"), (4.0, "bridge"))
    assert score.concat(score).sections[2:] == ((20.0, "A"), (28.0, "bridge"))
