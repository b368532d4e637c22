import numpy as np
import pytest
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.transcribing import HeardNote, find_tempo, hear, on_grid, score_of, transcribe

RATE = 22050
PITCHES = (60, 62, 64, 64, 67, 60)
LENGTHS = (0.5, 0.5, 0.5, 0.5, 0.5, 1.0)


def hummed(off: float = 0.0, level: float = 0.3) -> Audio:
    """A hum with slides, vibrato and breaths, `off` semitones out of tune."""
    pieces = []
    for pitch, length in zip(PITCHES, LENGTHS, strict=True):
        at = np.arange(round(length * RATE)) / RATE
        semitones = pitch + off - 0.6 * np.exp(-at / 0.02) + 0.2 * np.sin(2 * np.pi * 5.5 * at)
        phase = 2 * np.pi * np.cumsum(440 * 2 ** ((semitones - 69) / 12)) / RATE
        shape = np.minimum(1, np.minimum(at / 0.03, (0.9 * length - at).clip(0) / 0.03))
        pieces.append(level * shape * (np.sin(phase) + 0.4 * np.sin(2 * phase)))
    return Audio(torch.from_numpy(np.concatenate(pieces)[None].astype(np.float32)), RATE)


def test_a_hum_out_of_tune_becomes_its_notes_on_a_grid():
    score = transcribe(hummed(0.3))
    assert score.notes["pitch"].tolist() == list(PITCHES)
    assert (score.notes["start"] - score.notes["start"][0]).tolist() == [0, 1, 2, 3, 4, 5]
    assert abs(score.tempos[0][1] - 120) < 3 and score.metres == ((0.0, (4, 4)),)
    assert score.notes["duration"][:5].tolist() == [1] * 5


def test_a_given_tempo_and_metre_hold():
    notes = [HeardNote(start, start + 0.45, 60, 0.0) for start in np.arange(6) / 2]
    twice = score_of(notes, tempo=240, metre=(3, 4))
    assert np.diff(twice.notes["start"]).tolist() == [2] * 5 and twice.metres == ((0.0, (3, 4)),)


def test_starts_are_heard_to_the_hundredth():
    heard = hear(hummed())
    expected = np.cumsum((0, *LENGTHS[:-1]))
    assert np.abs(np.array([note.start_s for note in heard]) - expected).max() < 0.05


def test_one_pitch_again_after_a_soft_breath_is_another_note():
    """40 ms to begin, 60 ms to end, and no silence between; a level over 46 ms does not see it."""
    at = np.arange(round(0.6 * RATE)) / RATE
    shape = np.minimum(1, np.minimum(at / 0.04, (0.6 - at) / 0.06))
    phase = 2 * np.pi * np.cumsum(220 * (1 + 0.004 * np.sin(2 * np.pi * 5 * at))) / RATE
    note = shape * (np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase))
    heard = hear(Audio(torch.from_numpy(0.2 * np.tile(note, 8)[None].astype(np.float32)), RATE))
    assert {note.pitch for note in heard} == {57} and len(heard) >= 7


def test_a_rhythm_that_returns_after_three_beats_is_in_three():
    lengths = [1, 0.5, 0.5, 1] * 8
    starts = 0.5 * np.cumsum([0, *lengths[:-1]])
    notes = [HeardNote(s, s + 0.48 * n, 60 + i % 5, 0.0) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))]
    score = score_of(notes, tempo=120)
    assert score.metres == ((0.0, (3, 4)),) and score.notes["start"][0] % 1 == 0


def test_the_grid_follows_a_singer_who_slows_down():
    steps = 0.5 * 1.004 ** np.arange(24)
    starts = np.cumsum(np.concatenate([[0.2], steps[:-1]]))
    begins, lengths = on_grid(starts, starts + 0.9 * steps, 120)
    assert begins.tolist() == list(range(24)) and set(lengths[:-1].tolist()) == {1.0}
    assert abs(find_tempo(starts[:8], starts[:8] + 0.4) / 118 - 1) < 0.05


def test_a_tune_in_three_begins_with_its_long_notes():
    lengths = [2, 1] * 6
    starts = 0.5 * np.cumsum([0, *lengths[:-1]])
    notes = [HeardNote(s, s + 0.48 * n, 60 + i % 5, 0.0) for i, (s, n) in enumerate(zip(starts, lengths, strict=True))]
    assert score_of(notes).metres == ((0.0, (3, 4)),)


@pytest.mark.parametrize(
    ("clip", "says"),
    [
        (hummed(level=1e-5), "the melody is silent; give a file in which a tune is heard"),
        (hummed().slice(0, 0.9), r"\d notes? (is|are) heard in the melody; it should have 4 or more"),
        (Audio(torch.zeros(1, 301 * 8000), 8000), "lasts 301 s; one that is heard lasts up to 300 s"),
    ],
)
def test_what_is_no_melody_is_one_sentence(clip, says):
    with pytest.raises(ValueError, match=says):
        transcribe(clip)
