import json

import numpy as np
import pytest
import torch

from clavilux.audio import analysis
from clavilux.audio.clip import Audio
from clavilux.audio.score import NOTE, Score
from clavilux.audio.synth import render_score

TRIADS = {
    "major": [(0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)],
    "minor": [(0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)],
}


def cadences(tonic, mode, tempo, program):
    """Six bars of I IV V I in quarters over a bass."""
    notes = []
    for bar in range(6):
        chord = TRIADS[mode][bar % 4]
        notes.append((4 * bar, 3.8, 36 + tonic + chord[0], 85, program, False))
        for beat in range(4):
            notes += [(4 * bar + beat, 0.9, 60 + tonic + n, 90 if beat == 0 else 70, program, False) for n in chord]
    score = Score(np.array(notes, NOTE), tempos=((0.0, tempo),))
    return Audio(render_score(score), 44100)


@pytest.mark.parametrize("program", [0, 19, 48])
@pytest.mark.parametrize(
    ("tonic", "mode", "key", "tempo"),
    [(0, "major", "C major", 72.0), (9, "minor", "A minor", 100.0), (7, "minor", "G minor", 140.0)],
)
def test_key_and_tempo_of_cadences(tonic, mode, key, tempo, program):
    found = analysis.analyze(cadences(tonic, mode, tempo, program))
    assert found.key == key
    octaves = np.log2(found.tempo_bpm / tempo)
    assert abs(octaves - round(octaves)) < np.log2(1.04) and abs(octaves) < 1.1


def test_beats_fall_on_the_beats():
    found = analysis.analyze(cadences(0, "major", 100.0, 0))
    beats = np.array([beat for beat in found.beats_s if 0.5 < beat < 13])
    away = np.abs(beats / 0.6 - np.round(beats / 0.6)) * 0.6
    assert np.median(away) < 0.04


@pytest.mark.parametrize("rate", [8000, 48000])
@pytest.mark.parametrize("samples", [torch.zeros(2, 30000), torch.full((1, 1), 0.5), torch.zeros(6, 3)])
def test_nothing_to_hear(samples, rate):
    facts = analysis.analyze(Audio(samples, rate)).as_dict()
    assert facts["channels"] == samples.shape[0] and facts["sample_rate"] == rate
    assert facts["tempo_bpm"] is None
    json.dumps(facts, allow_nan=False)


def test_level_and_length():
    tone = 0.5 * torch.sin(2 * torch.pi * 997 * torch.arange(96000) / 48000)
    found = analysis.analyze(Audio(torch.stack([tone, tone]), 48000))
    assert found.duration_s == 2.0
    assert found.loudness_lufs == pytest.approx(-6.02, abs=0.1)
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize("ending", analysis.PICTURES)
def test_pictures(tmp_path, ending):
    clip = cadences(0, "major", 140.0, 0).slice(0, 2)
    analysis.plot(clip, tmp_path / f"a{ending}")
    head = (tmp_path / f"a{ending}").read_bytes()[:5]
    assert head == {".png": b"\x89PNG\r", ".svg": b"<?xml", ".pdf": b"%PDF-"}[ending]
    assert len(list(tmp_path.iterdir())) == 1


def test_bad_pictures(tmp_path):
    clip = Audio(torch.zeros(1000), 44100)
    analysis.plot(clip, tmp_path / "silence.png")
    with pytest.raises(ValueError, match=r"\.png"):
        analysis.plot(clip, tmp_path / "a.gif")
    with pytest.raises(ValueError, match="no folder"):
        analysis.plot(clip, tmp_path / "nowhere" / "a.png")


def test_beats_lie_within_a_sound_shorter_than_a_window():
    clicks = torch.zeros(1, 3500)
    clicks[0, ::900] = 0.9
    found = analysis.analyze(Audio(clicks, 22050))
    assert all(0 <= beat < found.duration_s for beat in found.beats_s)
