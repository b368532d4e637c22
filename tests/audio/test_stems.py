"""Stems are each instrument's share: their sum is the song, from any player, in memory and as files."""

import numpy as np
import pytest
import soundfile
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.codecs.score import ScorePlayer
from clavilux.audio.codecs.timeline import Timeline
from clavilux.audio.notes import CONTROL, PART_NOTE, VOLUME
from clavilux.audio.score import Score
from clavilux.audio.stem_files import save_stems
from clavilux.audio.stems import difference_dbfs
from clavilux.audio.synth import render_score

# Two violins, a cello, an open hi-hat that a closed one silences, and a bass drum.
NOTES = np.array(
    [
        (0, 1, 76, 80, 40, False, 0), (1, 1, 79, 90, 40, False, 0), (0, 2, 67, 70, 40, False, 1),
        (0, 2.5, 48, 80, 42, False, 2), (0, 0.5, 46, 90, 0, True, 3), (0.5, 0.5, 42, 90, 0, True, 3),
        (1, 0.5, 36, 100, 0, True, 3),
    ],
    PART_NOTE,
)  # fmt: skip
SOFTER = np.array([(1.0, 1, VOLUME, 40.0)], CONTROL)


def song_of(score):
    return Audio(render_score(score, 22050), 22050, score=score)


@pytest.fixture(scope="module")
def song():
    return song_of(Score(NOTES, controls=SOFTER))


def test_the_sum_is_the_song(song):
    stems = song.stems()
    assert list(stems) == ["violin 1", "violin 2", "cello", "drums"]
    assert all(stem.samples.shape == song.samples.shape for stem in stems.values())
    assert all(float(stem.samples.abs().max()) > 1e-3 for stem in stems.values())
    assert difference_dbfs(song.samples, {name: stem.samples for name, stem in stems.items()}) < -120


def test_a_stem_holds_its_instrument_alone(song):
    without = Score(NOTES[NOTES["part"] != 2], controls=SOFTER)
    padded = torch.zeros_like(song.samples)
    rest = render_score(without, 22050, song.duration_s)
    padded[:, : rest.shape[1]] = rest
    torch.testing.assert_close(song.samples - song.stems()["cello"].samples, padded, atol=1e-6, rtol=0)


def test_the_files_sum_to_the_song(song, tmp_path):
    stems = {name: stem.samples for name, stem in song.stems().items()}
    said = save_stems(tmp_path / "stems", stems, song.samples, song.sample_rate)
    assert sorted(path.name for path in (tmp_path / "stems").iterdir()) == [
        "cello.wav", "drums.wav", "violin-1.wav", "violin-2.wav"
    ]  # fmt: skip
    read = [soundfile.read(path)[0].T for path in said.files.values()]
    away = np.abs(sum(read) - song.samples.double().numpy()).max()
    assert said.gain == 1.0 and said.difference_dbfs == pytest.approx(20 * np.log10(away)) and away < 2**-20
    assert soundfile.info(said.files["cello"]).subtype == "PCM_24"
    with pytest.raises(ValueError, match="is there already"):
        save_stems(tmp_path / "stems", stems, song.samples, song.sample_rate)


def test_stems_that_would_clip_are_all_softened_alike(tmp_path):
    loud = {"a": torch.full((2, 50), 1.6), "b": torch.full((2, 50), -0.4)}
    said = save_stems(tmp_path / "stems", loud, loud["a"] + loud["b"], 8000)
    assert said.gain == pytest.approx(1 / 1.6, abs=1e-6) and said.difference_dbfs < -120
    assert soundfile.read(said.files["b"])[0][0, 0] == pytest.approx(-0.25, abs=1e-6)


def test_what_a_player_lets_ring_over_the_bar_is_in_the_stems():
    """A score cuts a note where its pitch is struck again; a player that gives bars out has played it to its end."""
    tokens = score_tokens()
    bars = [Score(np.array([(2.0, 4.0, 60, 80, 0, False, 0)], PART_NOTE), length=4.0)] * 2
    player = ScorePlayer(timeline=Timeline.even((4, 4), 240.0, 2), duration_s=3.0)
    pieces = []
    for bar in bars:
        for token in tokens.encode(bar).tolist():
            pieces.append(player.push(torch.tensor([token])))
    samples = torch.cat([piece for piece in [*pieces, player.finish()] if piece is not None], dim=1)
    song = Audio(samples, 44100, score=player.score(None), performance=player.performance())
    assert difference_dbfs(samples, {name: stem.samples for name, stem in song.stems().items()}) == -np.inf


def test_a_clip_that_is_not_its_notes_is_refused(song):
    with pytest.raises(ValueError, match="no score, so it has no stems"):
        Audio(song.samples, 22050).stems()
    other = Audio(song.samples * 0.5, 22050, score=song.score)
    with pytest.raises(ValueError, match="would sum to another sound"):
        other.stems()
    with pytest.raises(ValueError, match="would sum to another sound"):
        song.to_mono().stems()
