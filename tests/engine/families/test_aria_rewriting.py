"""Bars written anew in a piece that is kept: which, and that the rest stays note for note."""

import itertools

import numpy as np
import pytest
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.notes import CONTROL, PART_NOTE
from clavilux.audio.score import Score
from clavilux.families.aria.family import check_controls
from clavilux.families.aria.rewriting import Rewriting, read_bars
from clavilux.family import Request
from tests.helpers.drawn_songs import begin, finished

pytestmark = pytest.mark.usefixtures("silent")


def piece(seed, bars=12, metre=(4, 4), pickup=0.0):
    """Two violins, a cello and drums, off the grid, with a pedal, a held note and a change of tempo."""
    random, length = np.random.default_rng(seed), metre[0] * 4 / metre[1]
    rows = []
    for start in np.arange(0, bars * length, 0.5):
        for part, program, low in ((1, 40, 67), (2, 40, 60), (3, 42, 40)):
            if random.random() < 0.6:
                at = float(start) + (0.013 if part == 2 else 0.0)
                rows.append(
                    (at, 0.45, low + int(random.integers(0, 12)), int(random.integers(50, 110)), program, False, part)
                )
        rows.append((float(start), 0.2, 38, 90, 0, True, 4))
    rows.append((length * 3 - 0.25, length * 2, 36, 80, 42, False, 3))  # from bar 3 through bar 4
    notes = np.array(rows, PART_NOTE)
    metres = ((0.0, metre),)
    if pickup:
        notes["start"] += pickup
        notes = np.concatenate([np.array([(0.0, pickup, 70, 80, 40, False, 1)], PART_NOTE), notes])
        metres = ((0.0, metre), (pickup, metre))
    controls = np.array([(1.0, 3, 64, 127)], CONTROL)
    tempos = ((0.0, 100.0), (8.0, 90.0))
    return Score(notes, tempos, metres, None, (), pickup + bars * length, controls=controls)


def rewritten(aria, score, seed=0, **asked):
    request = Request("", 20.0, seed, Audio(torch.zeros(1, 1), 44100, score=score), asked, True)
    (generation,) = aria.begin([request])
    assert isinstance(generation, Rewriting)
    return finished(generation, seed)


def changed(before, after):
    """The numbers of bars, from 1, whose pitched notes differ; everything else must be the same."""
    for name in ("tempos", "metres", "key", "chords", "sections", "length"):
        assert getattr(before, name) == getattr(after, name), name
    assert np.array_equal(before.controls, after.controls)
    starts = [*before.bar_starts().tolist(), 1e9]
    found = []
    for number, (begins, ends) in enumerate(itertools.pairwise(starts), 1):
        bars = [
            score.notes[(score.notes["start"] >= begins - 1e-9) & (score.notes["start"] < ends - 1e-9)]
            for score in (before, after)
        ]
        drums = [bar[bar["drum"]] for bar in bars]
        assert np.array_equal(*drums)
        if not np.array_equal(*bars):
            found.append(number)
    return found


@pytest.mark.parametrize("seed", range(50))
def test_the_named_bars_alone_are_written_anew(aria, seed):
    random = np.random.default_rng(seed)
    bars = int(random.integers(1, 24))
    first = int(random.integers(1, bars + 1))
    last = int(random.integers(first, bars + 1))
    before = piece(seed, bars, [(4, 4), (3, 4), (6, 8), (2, 2)][seed % 4])
    song = rewritten(aria, before, seed, regenerate=f"{first}-{last}" if first < last else str(first))
    assert changed(before, song.score) == list(range(first, last + 1))
    assert song.receipt["controls"]["written anew"] == ", ".join(map(str, range(first, last + 1)))
    new = song.score.notes
    assert set(new["part"].tolist()) <= {1, 2, 3, 4} and set(new["program"].tolist()) <= {0, 40, 42}


@pytest.mark.parametrize("seed", range(50))
def test_a_variation_redraws_exactly_that_share(aria, seed):
    share = [0.0, 0.1, 0.3, 0.5, 1.0][seed % 5]
    before = piece(seed, 10 + seed % 7)
    song = rewritten(aria, before, seed, vary=share)
    bars = len(before.bar_starts())
    assert len(changed(before, song.score)) == round(share * bars)
    if share == 0:
        assert np.array_equal(song.score.notes, before.notes)


def test_a_pickup_is_kept_and_the_seed_decides(aria):
    before = piece(3, 8, pickup=1.0)
    songs = [rewritten(aria, before, seed, vary=0.5) for seed in (1, 1, 2)]
    kept = [changed(before, song.score) for song in songs]
    assert all(1 not in bars and len(bars) == round(0.5 * 9) for bars in kept)
    assert kept[0] == kept[1] != kept[2] and np.array_equal(songs[0].score.notes, songs[1].score.notes)
    with pytest.raises(ValueError, match="bar 1 is no whole bar of a metre that is written"):
        rewritten(aria, before, regenerate="1-2")


def test_a_song_is_regenerated_from_its_midi_file(aria, tmp_path):
    song = finished(begin(aria, "irish jig on fiddle", form="AABB", bars=16, seed=1), 1)
    path = tmp_path / "jig.mid"
    song.receipt["title"] = "Morning"
    song.save(path)
    before = Score.from_midi(path)
    assert len(before.bar_starts()) == 16, "what rings on is heard, and not written"
    request = Request("", 20.0, 2, path, {"regenerate": "9-12"}, True)
    again = finished(aria.begin([request])[0], 2)
    after = again.score
    assert changed(before, after) == [9, 10, 11, 12] and after.sections == before.sections
    assert again.receipt["title"] == "Morning"


def test_which_bars_are_read():
    assert read_bars("9-12") == (9, 12) and read_bars(" 3 ") == (3, 3)
    for text in ("0-3", "5-4", "a", "", "1,2", None):
        with pytest.raises(ValueError, match="they should be like '9-12' or '9', counted from 1"):
            read_bars(text)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"vary": 1.5}, "vary is 1.5; it should be a number from 0 to 1"),
        ({"vary": 0.5, "regenerate": "1"}, "leave out one of the two"),
        ({"vary": 0.5, "tempo": 100}, "a piece that is written anew in part keeps its own tempo; leave tempo out"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(asked, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        check_controls(tmp_path, {}, "", asked)


def test_what_cannot_be_written_anew_is_one_sentence(aria, tmp_path):
    with pytest.raises(ValueError, match="the bars are 9 to 12, and the piece has 8 bars"):
        rewritten(aria, piece(0, 8), regenerate="9-12")
    with pytest.raises(ValueError, match="continue_from is missing: vary needs a piece"):
        aria.begin([Request("", 20.0, 0, None, {"vary": 0.2}, True)])
    with pytest.raises(ValueError, match="leave seconds out"):
        aria.begin([Request("", 20.0, 0, None, {"vary": 0.2}, False)])
    with pytest.raises(ValueError, match="holds sound, whose notes are not known; give a MIDI"):
        aria.begin([Request("", 20.0, 0, tmp_path / "song.wav", {"vary": 0.2}, True)])
    drums = piece(0, 4)
    drums = Score(drums.notes[drums.notes["drum"]], drums.tempos, drums.metres, length=16.0)
    with pytest.raises(ValueError, match="has no notes with a pitch"):
        rewritten(aria, drums, vary=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_bars_that_a_tune_returns_are_other_ones(aria, seed):
    """The first half of a jig's second A, of which the composer has just read the first time."""
    jig = finished(begin(aria, "irish jig on fiddle", seed=3, bars=32), 3).score
    assert changed(jig, rewritten(aria, jig, seed, regenerate="9-12").score) == [9, 10, 11, 12]
