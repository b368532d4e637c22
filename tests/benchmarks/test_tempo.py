import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import tempo


@pytest.mark.parametrize(
    ("found", "verdict"),
    [(100.0, "right"), (103.9, "right"), (96.1, "right"), (104.1, "wrong"), (200.0, "x 2"), (51.9, "x 1/2"),
     (150.0, "x 3/2"), (66.7, "x 2/3"), (33.3, "x 1/3"), (302.0, "x 3"), (130.0, "wrong"), (None, "none")],
)  # fmt: skip
def test_verdicts(found, verdict):
    assert tempo.verdict(found, 100.0) == verdict


@pytest.mark.parametrize(
    ("metre", "beats"),
    [((4, 4), 150), ((3, 4), 150), ((2, 2), 75), ((6, 8), 100), ((9, 8), 100), ((12, 8), 100), ((3, 8), 150)],
)
def test_what_a_musician_would_tap(metre, beats):
    assert tempo.Piece("a.flac", "a", "folk", metre, 150.0).beat_tempo == beats


def test_weights_are_fitted_to_what_is_true(tmp_path):
    pieces = tempo.loops(4.0, tmp_path)[::8]
    assert [piece.tempo for piece in pieces] == [52.0] * 5
    weights = tempo.fit(pieces, tmp_path)
    clip = tempo.Audio.load(tmp_path / pieces[0].name)
    chosen = tempo.TEMPI[(tempo.tempo_features(tempo.onsets_of(clip)) @ weights).argmax()]
    assert tempo.verdict(chosen, 52.0) == "right"
    assert tempo.counts([{"verdict": "x 2"}, {"verdict": "right"}], "verdict") == {"right": 1, "x 2": 1}
