"""The comparison of SoundFont players: its files can be read, its measures measure, and what it says of ours is so."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import soundfont_files as files
from soundfont_features import FEATURES

from clavilux.audio.score import Score
from clavilux.audio.soundfont import SoundFont
from clavilux.audio.synth import render_score

FOUND = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "2026-11-29-soundfont-players.json"
TIME = np.arange(2 * files.RATE) / files.RATE


def test_measures_of_known_sounds():
    bent = np.sin(2 * np.pi * 440 * TIME + 440 * 2 ** (100 / 1200) * 0.01 * np.sin(2 * np.pi * 5 * TIME))
    both = np.stack([np.sin(2 * np.pi * 440 * 2 ** (3 / 12) * TIME), 0 * TIME])
    assert files.cents(both, 0.2, 1.8) == pytest.approx(300, abs=0.5)
    assert files.side_db(both, 0, 2) > 90
    assert files.level_db(both / 2, 0, 2) - files.level_db(both, 0, 2) == pytest.approx(-6.02, abs=0.01)
    assert files.noise_db(both, 0, 2) < -90
    assert files.swing_cents(bent[None], 0, 2) == pytest.approx(91, abs=4)  # 440 Hz, 23.3 Hz up and down
    assert files.swing_cents(both, 0, 2) < 0.5


def test_a_feature_is_a_soundfont_and_a_midi_file(tmp_path):
    feature = next(feature for feature in FEATURES if feature.name == "bank select")
    soundfont, midi = feature.write(tmp_path)
    font, score = SoundFont(soundfont), Score.from_midi(midi)
    assert font.programs == (0,) and font.bank(0, 8 << 7) == 8
    plain, other = (font.regions(0, False, 69, 100, bank)[0] for bank in (0, 8))
    assert (plain.root, other.root) == (69, 64)
    assert score.notes["pitch"].tolist() == [69] and score.tempos[0][1] == 120
    assert (score.notes["start"][0], score.notes["duration"][0]) == pytest.approx((0.2, 3.6), abs=0.001)  # quarters
    assert len({feature.name for feature in FEATURES}) == len(FEATURES) == 43


@pytest.mark.parametrize(
    "name",
    ["pitch bend, 2 semitones", "sustain pedal", "velocity to volume", "vibrato LFO to pitch", "onsets in their place"],
)
def test_what_the_results_say_of_our_player_is_so(tmp_path, name):
    feature = next(feature for feature in FEATURES if feature.name == name)
    soundfont, midi = feature.write(tmp_path)
    sound = render_score(Score.from_midi(midi), files.RATE, feature.seconds, SoundFont(soundfont)).numpy()
    value, found = feature.measure(sound), json.loads(FOUND.read_text())["features"][name]["clavilux"]
    assert value == pytest.approx(found["value"], abs=0.5) and feature.honoured(value) == found["honoured"]
