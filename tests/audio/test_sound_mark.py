"""The mark in sound: a linear filter of a third of a decibel at most, the same in pieces; where the search finds it."""

import numpy as np
import pytest
import torch

from clavilux.audio import sound_mark, sound_mark_search
from clavilux.audio.sound_mark import BANDS, HOP, PERIOD, SoundMark, marked, pattern_of
from clavilux.audio.sound_mark_search import folds_of

WORD = 0x1234_5678_9ABC_DEF0


@pytest.fixture(scope="module")
def noise():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((2, 44100 * 6)).astype(np.float32) * 0.1)


def test_patterns_are_fair_signs_that_stay_as_they_are():
    pattern = pattern_of(WORD)
    assert pattern.shape == (PERIOD, BANDS) and set(np.unique(pattern)) == {-1, 1}
    assert abs(pattern.mean()) < 0.05
    assert abs((pattern * pattern_of(-WORD)).mean()) < 0.05
    assert pattern[:2, :6].tolist() == [[1, 1, -1, 1, 1, 1], [1, 1, -1, 1, 1, 1]]


def test_pieces_of_any_length_give_the_bits_of_the_whole(noise):
    whole = marked(noise, WORD, 44100)
    assert whole.shape == noise.shape
    mark, start, parts = SoundMark(WORD, 44100), 0, []
    for length in (1, 0, 511, 7000, 16 * HOP, 100_000, 9):
        parts.append(mark.push(noise[:, start : start + length]))
        start += length
    parts += [mark.push(noise[:, start:]), mark.finish()]
    assert np.array_equal(np.concatenate(parts, axis=1), whole.numpy())


@pytest.mark.parametrize("length", [0, 1, HOP, 17 * HOP])
def test_sound_of_any_length_keeps_it(length):
    assert marked(torch.ones(1, length), WORD, 44100).shape == (1, length)


def test_what_is_added_is_softer_than_the_sound_by_the_depth_and_in_its_bands(noise):
    added = (marked(noise, WORD, 44100) - noise).numpy()[0]

    def power(samples, low, high):
        spectrum = np.abs(np.fft.rfft(samples)) ** 2
        bins = np.fft.rfftfreq(len(samples), 1 / 44100)
        return spectrum[(bins >= low) & (bins < high)].sum()

    for low, high, depth_db in ((600, 3400, 0.3), (4200, 8500, 0.2)):
        inside = 10 * np.log10(power(added, low, high) / power(noise[0].numpy(), low, high))
        expected = 20 * np.log10(10 ** (depth_db / 20) - 1)
        assert expected - 3 < inside < expected + 0.5
    outside = 10 * np.log10(power(added, 10000, 22050) / power(noise[0].numpy(), 10000, 22050))
    assert outside < -50


def test_it_is_linear_so_that_stems_sum_to_the_song(noise):
    one, other = noise[:, :50000], noise[:, 50000:100000]
    both = marked(one + other, WORD, 44100)
    assert torch.allclose(marked(one, WORD, 44100) + marked(other, WORD, 44100), both, atol=1e-6)


def test_the_search_finds_it_cut_anywhere_softer_and_at_another_speed(noise):
    sound = marked(noise, WORD, 44100)[:, 3210:] * 0.03
    faster = torch.from_numpy(
        np.stack([np.interp(np.arange(0, sound.shape[1] - 1, 1.01), np.arange(sound.shape[1]), row) for row in sound])
    ).float()
    patterns = np.stack([pattern_of(WORD), *map(pattern_of, range(20))])
    for heard in (sound, faster):
        folds = folds_of(heard, 44100)
        right, *wrong = folds.correlations(patterns)
        assert right > 8 and max(wrong) < 5.5
        assert folds.cells == pytest.approx(heard.shape[1] / HOP / 2 * BANDS, rel=0.02)


def test_another_rate_has_the_same_mark(noise):
    low = noise[:, : 22050 * 6]
    folds = folds_of(marked(low, WORD, 22050), 22050)
    assert folds.correlations(pattern_of(WORD)[None])[0] > 8


def test_silence_holds_no_cells_and_correlates_with_nothing():
    folds = folds_of(torch.zeros(2, 44100), 44100)
    assert folds.cells == 0 and folds.correlations(pattern_of(WORD)[None])[0] == 0
    assert folds_of(torch.zeros(1, 1), 44100).cells == 0


def test_long_sounds_are_looked_at_up_to_a_length(monkeypatch, noise):
    monkeypatch.setattr(sound_mark_search, "LONGEST_S", 1.0)
    assert folds_of(noise, 44100).cells < 50 * BANDS
    assert sound_mark.hop_at(44100) == HOP
