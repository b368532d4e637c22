"""ABC out and in: the same notes come back, tunes are read as the standard says, mistakes are named by their line."""

import pytest
from make_notation import random_score, small_piece

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notation.files import read_score, save_score


def rows(score):
    return sorted(
        (round(start, 6), round(length, 6), pitch, program, drum)
        for start, length, pitch, _, program, drum, _ in score.notes.tolist()
    )


@pytest.mark.parametrize("seed", range(8))
def test_what_is_written_reads_back_the_same(tmp_path, seed):
    score = random_score(seed)
    save_score(score, tmp_path / "a.abc")
    again = read_score(tmp_path / "a.abc")
    assert rows(again) == rows(score)
    assert (again.key, again.metres, again.chords) == (score.key, score.metres, score.chords)
    assert [round(tempo, 3) for _, tempo in again.tempos] == [tempo for _, tempo in score.tempos]


def test_the_small_piece_comes_back(tmp_path):
    save_score(small_piece(), tmp_path / "a.abc", title="A small\npiece")
    again = read_score(tmp_path / "a.abc")
    assert rows(again) == rows(small_piece()) and again.remarks == ()
    assert "T:A small piece\n" in (tmp_path / "a.abc").read_text()


def tune(tmp_path, body, head="M:4/4\nL:1/8\nK:C", strict=False):
    (tmp_path / "t.abc").write_text(f"X:1\nT:Tune\n{head}\n{body}\n")
    return read_score(tmp_path / "t.abc", strict=strict)


def heard(score):
    return [(round(start, 4), round(length, 4), pitch) for start, length, pitch, *_ in score.notes.tolist()]


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        ("C2 E G c'", [(0, 1, 60), (1, 0.5, 64), (1.5, 0.5, 67), (2, 0.5, 84)]),
        ("C,/ D// E3/2 z F", [(0, 0.25, 48), (0.25, 0.125, 62), (0.375, 0.75, 64), (1.625, 0.5, 65)]),
        ("A>B c<d", [(0, 0.75, 69), (0.75, 0.25, 71), (1, 0.25, 72), (1.25, 0.75, 74)]),
        ("(3CDE [CE]2", [(0, 0.3333, 60), (0.3333, 0.3333, 62), (0.6667, 0.3333, 64), (1, 1, 60), (1, 1, 64)]),
        ("^F f F | F", [(0, 0.5, 66), (0.5, 0.5, 78), (1, 0.5, 66), (1.5, 0.5, 65)]),
        ("^F4- | F2 F2", [(0, 3, 66), (3, 1, 65)]),
        ("C D & [L:1/4] E", [(0, 0.5, 60), (0, 1, 64), (0.5, 0.5, 62)]),
        ("C2 | Z | D2", [(0, 1, 60), (5, 1, 62)]),
    ],
)  # fmt: skip
def test_how_notes_are_read(tmp_path, body, notes):
    assert heard(tune(tmp_path, body)) == notes


def test_repeats_endings_and_modes(tmp_path):
    score = tune(tmp_path, "|: F2 C2 |1 D4 :|2 E4 || [K:A] c4 |]", head="M:2/4\nL:1/8\nQ:1/4=90\nK:Gmix")
    assert score.notes["pitch"].tolist() == [65, 60, 62, 65, 60, 64, 73]
    assert score.key is None and score.signature == Key(0, "major") and score.tempos == ((0.0, 90.0),)
    assert tune(tmp_path, "F", head="M:6/8\nK:Em").key == Key(4, "minor")


def test_an_upbeat_is_a_short_bar(tmp_path):
    score = tune(tmp_path, "G2 | c8 | d8 |]")
    assert score.bar_starts().tolist() == [0.0, 1.0, 5.0]


def test_chords_voices_and_drums(tmp_path):
    body = 'V:1 name="Violin"\n"Am"A4 "E7"^G4 |\nV:2 clef=perc\n%%MIDI channel 10\nC,,4 D,,4 |'
    score = tune(tmp_path, body)
    assert score.chords == ((0.0, Chord.parse("Am")), (2.0, Chord.parse("E7")))
    assert score.notes[["pitch", "program", "drum"]].tolist() == [
        (36, 0, True), (69, 40, False), (38, 0, True), (68, 40, False)
    ]  # fmt: skip


def test_what_is_not_played_is_said(tmp_path):
    (tmp_path / "t.abc").write_text('X:1\nP:AB\nK:C\n{GA}C @ "Hm!"D\nX:2\nK:D\nD\n')
    assert read_score(tmp_path / "t.abc").remarks == (
        "grace notes are not played: 2 notes",
        "passed over: \"Hm!\", '@'",
        "the parts are played as they stand, not as P:AB",
        "of 2 tunes the first is read",
    )
    with pytest.raises(ValueError, match="grace notes"):
        read_score(tmp_path / "t.abc", strict=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X:1\nM:6\nK:C\nC", "line 2: 'M:6' should be a metre such as M:6/8"),
        ("X:1\nQ:fast=slow\nK:C\nC", "line 2: 'Q:fast=slow' should be a tempo such as Q:1/4=120"),
        ("X:1\nL:eighth\nK:C\nC", "line 2: 'L:eighth' should be a fraction such as L:1/8"),
        ("X:1\nK:what\nC", "line 2: 'K:what' should be a key such as K:G, K:Em or K:Ddor"),
        ("X:1\nK:C\nC D\nc''''''''", "line 4: \"c''''''''\" should be a note within MIDI's pitches 0 to 127"),
        ("X:1\nK:C\nC/0", "line 3: '/0' should be a length such as 2 or /2"),
        ("just a text", "has no key, a line such as K:G, so it is no ABC"),
        ("X:1\nK:C\nz4", "holds no notes"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, said):
    (tmp_path / "t.abc").write_text(text)
    with pytest.raises(ValueError, match="t.abc") as caught:
        read_score(tmp_path / "t.abc")
    assert said in str(caught.value)
