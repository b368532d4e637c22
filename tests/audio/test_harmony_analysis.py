import itertools

import numpy as np
import pytest

from clavilux.audio.chart import parse_chords
from clavilux.audio.harmony import QUALITIES, Chord, Key
from clavilux.audio.harmony_analysis import KEYS, beat_group, chord_grid, find_chords, find_key
from clavilux.audio.score import NOTE, Score


def voiced(chart, metre=(4, 4), beats=4):
    """A score that plays a chord chart, one bar of block chords a chord, root in the bass."""
    rows = []
    for bar, chord in enumerate(chart):
        bass = 36 + chord.root
        upper = [60 + (pc - chord.root) % 12 + chord.root for pc in sorted(chord.pitch_classes)]
        rows += [(bar * beats, beats, bass, 80, 0, False)] + [(bar * beats, beats, p, 80, 0, False) for p in upper]
    return Score(np.array(rows, NOTE), metres=((0.0, metre),))


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_cadences_have_their_key(key):
    degrees = [(0, "maj"), (5, "maj"), (7, "7"), (9, "min"), (2, "min"), (7, "7"), (0, "maj")]
    if key.mode == "minor":
        degrees = [(0, "min"), (5, "min"), (7, "7"), (8, "maj"), (2, "hdim7"), (7, "7"), (0, "min")]
    score = voiced([Chord((key.tonic + step) % 12, quality) for step, quality in degrees])
    assert find_key(score) == key


def test_the_key_signature_decides_doubtful_cases():
    notes = voiced([Chord.parse("Dm")]).notes
    found = {name: find_key(Score(notes, signature=Key.parse(name))) for name in ("F", "C", "Dm")}
    assert found["F"] == found["Dm"] == Key.parse("D minor")


def test_drums_alone_have_neither_key_nor_chords():
    score = Score(np.array([(0, 1, 36, 80, 0, True)], NOTE))
    with pytest.raises(ValueError, match="no notes with a pitch"):
        find_key(score)
    assert find_chords(score) == ()


@pytest.mark.parametrize("quality", [name for name in QUALITIES if name not in ("dim7", "aug")])
@pytest.mark.parametrize("root", [0, 6, 11])
def test_block_chords_are_found(root, quality):
    tonic = Chord(root, "maj")
    chart = [tonic, Chord(root, quality), tonic]
    found = find_chords(voiced(chart), Key(root, "major"))
    expected = [(0.0, tonic)] if quality == "maj" else [(0.0, tonic), (4.0, chart[1]), (8.0, tonic)]
    assert list(found) == expected


@pytest.mark.parametrize("quality", ["dim7", "aug"])
def test_symmetric_chords_are_found_whatever_their_root(quality):
    chord = Chord.parse(f"B{quality}")
    found = find_chords(voiced([Chord.parse("C"), chord, Chord.parse("C")]), Key.parse("C"))
    assert found[1][1].pitch_classes == chord.pitch_classes


def test_a_chart_comes_back_in_every_key():
    chart = [bar[0] for bar in parse_chords("Gm Cm D7 Gm Eb F Bb D7 Gm")]
    for shift in range(12):
        moved = [chord.transposed(shift) for chord in chart]
        found = find_chords(voiced(moved), Key.parse("Gm").transposed(shift))
        assert [chord for _, chord in found] == moved
        assert [time for time, _ in found] == [4.0 * bar for bar in range(9)]


def test_passing_notes_do_not_change_the_chord():
    base = voiced([Chord.parse("C")]).notes[list(NOTE.names)]
    scale = np.array([(i / 2, 0.5, 72 + p, 80, 0, False) for i, p in enumerate((0, 2, 4, 5, 7, 5, 4, 2))], NOTE)
    assert find_chords(Score(np.concatenate([base, scale]))) == ((0.0, Chord.parse("C")),)


def test_silence_keeps_the_chord_before_it():
    score = voiced([Chord.parse("C"), Chord.parse("G7")])
    shifted = score.notes.copy()
    shifted["start"] += 8
    found = find_chords(Score(shifted, length=40), Key.parse("C"))
    assert found == ((0.0, Chord.parse("C")), (12.0, Chord.parse("G7")))


@pytest.mark.parametrize(
    ("metre", "span"),
    [
        ((4, 4), 2), ((2, 4), 1), ((2, 2), 2), ((3, 4), 1), ((3, 2), 2), ((6, 8), 1.5), ((3, 8), 1.5),
        ((12, 8), 1.5),
        ((6, 4), 3), ((5, 4), 1), ((4, 8), 1), ((1, 4), 1), ((4, 2), 4),
    ],
)  # fmt: skip
def test_beat_groups(metre, span):
    assert beat_group(metre) == span


def test_chords_change_only_on_the_grid():
    rng = np.random.default_rng(5)
    for metre in ((4, 4), (3, 4), (6, 8), (5, 4), (2, 4)):
        notes = np.zeros(120, NOTE)
        notes["start"] = rng.integers(0, 240, 120) / 4
        notes["duration"] = rng.integers(1, 9, 120) / 4
        notes["pitch"] = rng.integers(40, 80, 120)
        score = Score(notes, metres=((0.0, (1, 8)), (0.5, metre)))
        grid, costs = chord_grid(score)
        assert len(grid) == len(costs)
        assert set(score.bar_starts()) <= set(grid)
        found = find_chords(score)
        times = [time for time, _ in found]
        assert set(times) <= set(grid)
        assert times[0] == 0
        assert times == sorted(set(times))
        assert all(a != b for (_, a), (_, b) in itertools.pairwise(found))
