"""The cache of note frames: labels, copies, chords, and what a step sees of it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.codecs.note_frames import BAR, END, RETURN_UNSAID, is_drawn, is_note
from clavilux.audio.harmony import Chord
from clavilux.audio.score import NOTE, Score
from clavilux.families.aria.styles import STYLES
from clavilux.training import data, note_data
from clavilux.training.labels import LABELS, STYLE_OF_LABEL, label_of
from clavilux.training.note_windows import NoteWindows

FIELDS = ("file", "title", "composer", "style")


def tune(seed: int, bars: int = 16, shift: int = 0) -> Score:
    random = np.random.default_rng(seed)
    pitches = np.cumsum(random.integers(-2, 3, bars * 8)) % 24 + 55 + shift
    notes = [(i / 2, 0.5, int(p), 80, 0, False) for i, p in enumerate(pitches)]
    return Score(np.array(notes, NOTE), length=bars * 4.0)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve reels, of which one is a copy of another in another key, and a hymn."""
    folder = tmp_path_factory.mktemp("scores")
    (folder / "oneill").mkdir()
    (folder / "hymns").mkdir()
    rows = []
    for number in range(12):
        tune(min(number, 10), shift=3 * (number == 11)).save_midi(folder / f"oneill/{number}.mid")
        rows.append((f"oneill/{number}.mid", f"Tune {'abcdefghijkl'[number]}", "", "Reel"))
    tune(99).save_midi(folder / "hymns/h.mid")
    rows.append(("hymns/h.mid", "A hymn", "", "Hymn"))
    with (folder / "index.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([FIELDS, *rows])
    (folder / "chords.tsv").write_text("file\tquarter\tchord\nhymns/h.mid\t0\tC\nhymns/h.mid\t8\tG9\n")
    return folder


@pytest.fixture(scope="module")
def cache(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pieces = [note_data.framed(data.taught_scores(scores, row)[0]) for row in data.read_index(scores)[:10]]
    path = tmp_path_factory.mktemp("cache") / "frames.npz"
    note_data.save(path, pieces, [number < 2 for number in range(10)])
    return path


def test_a_copy_in_another_key_is_dropped(scores, tmp_path):
    said = []
    note_data.build(scores, tmp_path / "frames.npz", 1, lambda done, total: said.append((done, total)))
    arrays = np.load(tmp_path / "frames.npz")
    files = arrays["files"].tolist()
    assert ("oneill/10.mid" in files) != ("oneill/11.mid" in files)
    assert {f"oneill/{n}.mid" for n in range(10)} < set(files)
    assert said[-1] == (13, 13)
    train, held_out = data.split(data.read_index(scores))
    for file, alone in zip(files, arrays["held_out"], strict=True):
        assert file in {row["file"] for row in (held_out if alone else train)}


def test_a_hymn_for_one_instrument_is_taught_for_quartets_too(scores):
    row = next(row for row in data.read_index(scores) if row["file"].startswith("hymns"))
    made = [note_data.framed(each) for each in data.taught_scores(scores, row)]
    assert len(made) == 4 and {piece.label for piece in made} == {"hymn"}
    assert len(np.unique(made[2].frames[1, is_note(made[2].frames)])) > 1
    assert not is_drawn(made[0].frames)[4].any(), "a hymn's file has no velocities of its own"


def test_chords_that_the_source_names_are_read(scores):
    assert data.read_chords(scores) == {"hymns/h.mid": [(0.0, Chord(0, "maj")), (8.0, Chord(7, "7"))]}
    assert data.read_chords(scores / "oneill") == {}


def test_chords_found_in_a_line_alone_are_plain():
    found = ((0.0, Chord(11, "hdim7")), (2.0, Chord(2, "min")), (4.0, Chord(11, "dim")), (6.0, Chord(0, "maj7")))
    assert data.plain_chords(found) == ((0.0, Chord(2, "min")), (4.0, Chord(7, "7")), (6.0, Chord(0, "maj")))


def test_copies_are_found_by_what_they_share():
    lines = [np.arange(100), np.arange(60, 160), np.arange(40, 140), np.zeros(0, np.int64), np.zeros(0, np.int64)]
    assert data.find_copies(lines) == [None, None, 1, None, None]


@pytest.mark.parametrize(
    ("file", "title", "style", "label"),
    [
        ("oneill/1.mid", "x", "Slip jig", "slip jig"), ("ryan/1.mid", "x", "Clog", "hornpipe"),
        ("polish/a.mid", "x", "Galop", "polka"), ("drums/a.mid", "x", "Drum fill", "drums"),
        ("leadsheets/a.mid", "x", "Lead sheet", "lead sheet"), ("orchestra/a.mid", "x", "Orchestral", "orchestral"),
        ("mutopia/ChopinFF-a.mid", "Grande valse [Piano]", "Romantic", "waltz"),
        ("mutopia/HastingsT-a.mid", "Rock of ages [Voice (SATB)]", "Hymn", "hymn"),
        ("mutopia/a.mid", "Sonata [Piano]", "Classical", "classical"),
        ("lieder/a.mid", "Walzer", "art song", "art song"),
    ],
)  # fmt: skip
def test_labels(file, title, style, label):
    assert label_of({"file": file, "title": title, "composer": "", "style": style}) == label


def test_every_label_belongs_to_a_style_or_to_none():
    assert set(STYLE_OF_LABEL.values()) <= {None, *STYLES}


def test_a_step_sees_whole_windows_from_a_bar_and_the_same_again(cache):
    windows = NoteWindows(cache, False, 64, 256, seed=3)
    batch, again = windows.batch(5), NoteWindows(cache, False, 64, 256, seed=3).batch(5)
    assert (batch.frames == again.frames).all() and batch.controls == again.controls
    assert batch.frames.shape[0] * batch.frames.shape[2] <= 256
    assert (batch.frames[:, 0, 0] == BAR).all(), "from a bar"
    assert not batch.drawn[:, :, 0].any()
    assert batch.notes == int(batch.drawn[:, 3].sum()) > 0
    assert not (windows.batch(6).frames.shape == batch.frames.shape and (windows.batch(6).frames == batch.frames).all())


def test_held_out_pieces_are_never_seen(cache):
    train, held_out = (NoteWindows(cache, alone, 64, 256, seed=0) for alone in (False, True))
    assert set(train.chosen) & set(held_out.chosen) == set() and len(held_out.chosen) == 2


def test_pieces_that_fit_are_whole_and_padding_teaches_nothing(cache):
    windows = NoteWindows(cache, False, 512, 2048, seed=1)
    batch = windows.batch(0)
    ends = (batch.frames[:, 0] == END).long().argmax(1)
    for row, end in enumerate(ends.tolist()):
        assert not batch.drawn[row, :, end + 1 :].any() and batch.drawn[row, 0, end]


def test_sections_are_left_unsaid_now_and_then(cache):
    windows = NoteWindows(cache, False, 512, 2048, seed=1)
    rows = [row for number in range(30) for row in windows.batch(number).frames]
    unsaid = [int((row[2, row[0] == BAR] == RETURN_UNSAID).all()) for row in rows]
    assert 0.02 < np.mean(unsaid) < 0.25


def test_an_exchange_of_instruments_keeps_the_order(cache):
    windows = NoteWindows(cache, False, 512, 4096, seed=2)
    for number in range(20):
        for frames in windows.batch(number).frames.numpy():
            bar = np.cumsum(frames[0] == BAR)
            inside = frames[0] < BAR
            place = (bar * 1000 + frames[0])[inside]
            assert (np.diff(place) >= 0).all()


def test_a_cache_of_other_styles_is_refused(cache, tmp_path):
    arrays = dict(np.load(cache))
    arrays["labels"] = np.array(LABELS[::-1])
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(ValueError, match="other styles"):
        NoteWindows(tmp_path / "other.npz", False, 64, 256, seed=0)
