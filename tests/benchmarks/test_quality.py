import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.harmony_analysis import find_chords
from clavilux.audio.score import NOTE, Score
from clavilux.families.aria.styles import STYLES

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import measures
import quality


def notes_of(*rows):
    return np.array([(start, length, pitch, 80, program, False) for start, length, pitch, program in rows], NOTE)


def song(rng, bars=16, program=0):
    """Block chords under a melody of quarters, in C."""
    rows = []
    for bar in range(bars):
        root = [0, 5, 7, 9][int(rng.integers(4))]
        rows += [(4 * bar, 4, 48 + root + step, program) for step in (0, 4 if root != 9 else 3, 7)]
        rows += [(4 * bar + beat, 1, int(72 + rng.choice([0, 2, 4, 5, 7, 9, 11])), program) for beat in range(4)]
    return Score(notes_of(*rows))


def test_scale_share_counts_time():
    score = Score(notes_of((0, 3, 60, 0), (3, 1, 61, 0)))
    assert measures.scale_share(score, Key.parse("C")) == 0.75


def test_chord_share_counts_notes_on_strong_beats():
    chords = ((0.0, Chord.parse("C")), (2.0, Chord.parse("G")))
    score = Score(notes_of((0, 1, 60, 0), (0, 1, 62, 0), (1, 1, 61, 0), (2, 4, 67, 0), (2, 1, 71, 0)), length=4)
    # on beat 1: C in, D out; off the beat: ignored; on beat 3: G (2 quarters in its half bar) and B in
    assert measures.chord_share(score, chords) == pytest.approx(4 / 5)
    assert np.isnan(measures.chord_share(Score(notes_of((0.5, 1, 60, 0))), chords))


def test_found_chords_fit_real_texture():
    score = song(np.random.default_rng(1))
    assert measures.chord_share(score, find_chords(score)) > 0.75


def test_texture():
    rows = [(i, 1, 60 + i, 0) for i in range(11)] + [(0, 11, 40, 40)]
    score = Score(notes_of(*rows), tempos=((0.0, 60.0),), length=12)
    found = measures.texture(score)
    assert found["polyphony"] == pytest.approx(22 / 12)
    assert found["notes a second"] == 1
    assert found["notes a bar"] == 4
    assert found["pitch range"] == pytest.approx(8)  # the violin's one note has no range
    even = Score(notes_of(*[(i, 1, 60 + i, 0) for i in range(12)]))
    assert measures.texture(even)["pitch-class entropy"] == pytest.approx(np.log2(12))


def test_empty_bars():
    assert measures.empty_bars(Score(notes_of((0, 9, 60, 0)), length=12)) == 0  # one note held over three bars
    assert measures.empty_bars(Score(notes_of((0, 4, 60, 0), (8, 4, 60, 0)), length=16)) == 2
    assert measures.empty_bars(Score(notes_of((0, 4, 60, 0)), length=6)) == 0  # half a bar at the end
    score = Score(notes_of((0, 4, 60, 0)), tempos=((0.0, 60.0),), length=6)
    assert measures.seconds_after_last_note(score) == 2


def test_excerpts_are_as_long_as_asked_and_begin_with_bars():
    score = song(np.random.default_rng(2), bars=40)
    parts = measures.excerpts(score, 11.0, 5)
    assert len(parts) == 5
    for part in parts:
        assert part.duration_s == pytest.approx(11)
        assert part.bar_starts().tolist() == [0, 4, 8, 12, 16, 20]
        assert set(part.notes["start"] % 1) == {0}
    assert measures.excerpts(score, 1000.0, 5) == []
    assert len(measures.excerpts(score, 70.0, 5)) == 1


def test_within_the_middle_of_the_reference():
    reference = list(range(101))
    assert measures.within([10, 50, 90], reference) == 1
    assert measures.within([9, 91, float("nan"), 20], reference) == 0.25


def test_steps_are_the_top_voice_in_any_key():
    score = song(np.random.default_rng(3))
    assert (measures.steps_of(score) == measures.steps_of(score.transposed(5))).all()
    assert len(measures.steps_of(score)) == 63
    assert len(measures.steps_of(Score(notes_of((0, 1, 60, 0))))) == 0


def longest_by_hand(pieces, asked):
    best = 0
    for piece in pieces:
        for i in range(len(asked)):
            for j in range(len(piece)):
                run = 0
                while i + run < len(asked) and j + run < len(piece) and asked[i + run] == piece[j + run]:
                    run += 1
                best = max(best, run)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_longest_shared_run(seed):
    rng = np.random.default_rng(seed)
    pieces = [rng.integers(0, 3, rng.integers(0, 25)) for _ in range(4)]
    shared = measures.SharedSequences(pieces)
    for _ in range(8):
        asked = rng.integers(0, 3, rng.integers(0, 25))
        assert shared.longest(asked) == longest_by_hand(pieces, asked)


def test_a_copied_phrase_is_found_in_another_key():
    rng = np.random.default_rng(4)
    training = [song(rng, bars=30) for _ in range(5)]
    shared = measures.SharedSequences([measures.steps_of(score) for score in training])
    copied = training[2].slice(40, 80).transposed(3)
    assert shared.longest(measures.steps_of(copied)) == len(measures.steps_of(copied)) == 39
    assert shared.longest(measures.steps_of(song(rng))) < 12
    assert measures.SharedSequences([]).longest(measures.steps_of(copied)) == 0


def test_cases_are_repeatable_and_in_style():
    made = quality.cases(40)
    assert made == quality.cases(40)
    assert {case.style for case in made} == {name for name, style in STYLES.items() if style.weight > 0}
    assert sum(case.chords is not None for case in made) == 10
    for case in made:
        low, high = STYLES[case.style].tempo_in(case.metre)
        assert round(low) <= case.tempo <= round(high)


def sung(score, seconds, sample_rate=100):
    samples = np.zeros((2, round(seconds * sample_rate)))
    receipt = {"controls": {"bars": len(score.bar_starts())}}
    return SimpleNamespace(score=score, samples=samples, sample_rate=sample_rate, save=score.save_midi, receipt=receipt)


def test_exactness_reads_the_saved_file():
    key = Key.parse("C")
    chords = tuple((4.0 * i, Chord.parse(name)) for i, name in enumerate(["C", "F", "G7", "C"]))
    notes = notes_of((0, 4, 60, 0), (4, 4, 65, 0), (8, 4, 67, 0), (12, 4, 60, 0))
    score = Score(notes, ((0.0, 96.0),), ((0.0, (4, 4)),), key, chords, 16.0)
    case = quality.Case("folk", key, 96.0, (4, 4), "C F G7 C", 0)
    assert all(quality.exactness(case, sung(score, 10.0), 10.0).values())
    wrong = Score(notes, ((0.0, 97.0),), ((0.0, (2, 2)),), Key.parse("Am"), chords[:2], 16.0)
    assert not any(quality.exactness(case, sung(wrong, 9.0), 10.0).values())


def test_a_folder_of_scores_is_measured_against_itself(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(6)
    columns = ("file", "title", "composer", "style")
    rows = ["\t".join(columns)]
    for i in range(150):
        song(rng, bars=12).save_midi(tmp_path / f"{i}.mid")
        word = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, 9))
        rows.append(f"{i}.mid\t{word}\tSomeone\tFolk")
    (tmp_path / "index.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    arguments = [
        "--scores",
        str(tmp_path),
        "--real-only",
        "--seconds",
        "10",
        "--json",
        str(tmp_path / "q.json"),
    ]
    monkeypatch.setattr(sys, "argv", ["quality.py", *arguments])
    quality.main()
    report = json.loads((tmp_path / "q.json").read_text())
    assert report["real"]["folk"]["held out"] + report["real"]["folk"]["training"] >= quality.FEWEST_PIECES
    assert report["ratios"]["scale"]["ratio"] == pytest.approx(1, abs=0.05)
    assert report["ratios"]["chords"]["ratio"] == pytest.approx(1, abs=0.05)
    for row in report["within"].values():
        assert row["real"] > 0.5  # pieces drawn alike lie in each other's ranges
    assert "strong-beat notes in the chord" in capsys.readouterr().out
