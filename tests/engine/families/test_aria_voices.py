"""Hymns and chorales have four voices, of which one may be missing."""

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.families.aria.ending import Ending
from clavilux.families.aria.form import plan_bars
from clavilux.families.aria.voices import ACCOMPANIST, DOWN, HYMN, KEYBOARD, SPACING, UP, Part, Voices, Voicing
from tests.helpers.drawn_songs import begin, finished
from tests.helpers.walked_scores import walk

pytestmark = pytest.mark.usefixtures("silent")


def test_voices_that_sound_are_counted():
    voices = Voices(Voicing(3, 2))
    assert voices.missing == 3 and voices.until == 0
    for pitch, end in ((60, 1.0), (64, 2.0), (67, 4.0)):
        voices.begin(pitch, end)
    assert voices.missing == 0 and voices.until == 2.0  # two of three are left till then
    voices.begin(64, 1.5)  # the same voice again
    assert voices.until == 1.5
    voices.move(1.5, begins_bar=False)
    assert voices.missing == 1 and voices.until == 1.5
    voices.move(4.0, begins_bar=True)
    assert voices.missing == 3


def test_four_voices_of_a_hymn_are_all():
    voices, hands = Voices(HYMN), Voices(KEYBOARD)
    for pitch, end in ((48, 1.0), (55, 2.0), (60, 2.0), (67, 2.0), (72, 2.0)):
        assert not voices.are_full(0.0) or pitch == 72
        for each in (voices, hands):
            each.begin(pitch, end)
    assert voices.are_full(0.0) and voices.are_full(1.0) and not voices.are_full(2.0) and not hands.are_full(0.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_choir_has_four_voices(aria, seed):
    score = finished(begin(aria, "hymn for choir", seed=seed, bars=8), seed).score
    start = score.notes["start"]
    end = start + score.notes["duration"]
    assert {int(program) for program in score.notes["program"]} == {52}
    for time in np.unique(start)[:-1]:
        assert ((start <= time + 1e-6) & (end > time + 1e-3)).sum() <= 4


def test_hands_may_rest_and_go_anywhere():
    voices = Voices(KEYBOARD)
    assert voices.missing == 2 and voices.until == np.inf
    assert voices.highest(96) == 96 - SPACING and voices.highest(96, 11) == 96 - SPACING - 11
    voices.move(1.0, begins_bar=False)
    assert voices.missing == 0 and voices.highest(96) == voices.highest(96, 11) == 96


@pytest.mark.parametrize("seed", range(130, 135))
def test_two_hands_find_notes_of_the_last_chord_before_the_piece_ends(seed):
    """Above a G that was the first of two notes in the last bar there was no other note of C (133)."""
    bars = plan_bars(1, (2, 2), key=Key(0, "major"), ends_at=0.5)
    score = walk(seed, bars, [Part(0, 60, 95, 6, voicing=KEYBOARD)])
    assert score.notes["start"].max() == 2
    assert set(score.notes["pitch"] % 12) <= {0, 4, 7}


@pytest.mark.parametrize(
    ("pitch", "most", "lows", "highs"), [(72, UP, 36, ACCOMPANIST.left), (48, DOWN, ACCOMPANIST.right, 96)]
)
def test_a_hand_that_was_missing_comes_where_a_bar_begins(pitch, most, lows, highs):
    voices = Voices(ACCOMPANIST)
    voices.begin(58, 1.0)  # either hand's
    for at in range(most):
        voices.move(at, begins_bar=True)
        assert voices.highest(96) == 96 and voices.lowest(36) == 36 and voices.missing == 0
        voices.begin(pitch, at + 1.0)
    voices.move(most, begins_bar=False)
    assert voices.highest(96) == 96 and voices.lowest(36) == 36
    voices.move(most + 1, begins_bar=True)
    assert voices.highest(96) == highs and voices.lowest(36) == lows


@pytest.mark.parametrize("seed", [1, 2])
def test_who_accompanies_a_singer_has_two_hands(aria, seed):
    score = finished(begin(aria, "art song for voice and piano", seed=seed, bars=12), seed).score
    piano, voice = (score.notes[score.notes["program"] == program]["pitch"] for program in (0, 52))
    assert (piano <= ACCOMPANIST.left).mean() > 0.1 and (piano >= ACCOMPANIST.right).mean() > 0.1
    assert voice.min() >= 58 and voice.max() <= 81


@pytest.mark.parametrize("prompt", ["art song for voice and piano", "string trio", "flute and oboe duet"])
def test_who_plays_one_note_at_a_time_ends_it_before_the_next(aria, prompt):
    score = finished(begin(aria, prompt, seed=4, bars=12, anything=True), 4).score
    for program in np.setdiff1d(score.notes["program"], 0):
        own = score.notes[score.notes["program"] == program]
        assert (own["start"][1:] >= own["start"][:-1] + own["duration"][:-1] - 1e-6).all()


def test_as_many_voices_end_under_a_root():
    ending = Ending(0, 0, 19)
    scale = [48, 52, 55, 60, 64, 67, 72]
    assert ending.pitches(scale, 0, 3, 4) == [48, 52, 55, 60, 64, 67]  # not yet the highest root
    assert ending.pitches(scale[3:], 3, 0, 1) == [60, 72]
    assert ending.pitches(scale, 0, 3) == scale


@pytest.mark.parametrize("prompt", ["hymn for choir", "organ chorale in G minor", "hymn", "hymn for piano"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_hymn_has_four_voices(aria, prompt, seed):
    song = finished(begin(aria, prompt, seed=seed, bars=8), seed)
    notes = song.score.notes
    ends = notes["start"] + notes["duration"]
    onsets = np.unique(np.round(notes["start"], 4))
    sounding = [int(((notes["start"] <= at + 1e-4) & (ends > at + 1e-4)).sum()) for at in onsets]
    assert min(sounding) >= 3 and max(sounding) == 4
    last = notes[notes["start"] == notes["start"].max()]
    assert 3 <= len(last) <= 4 and last["pitch"].max() % 12 == song.score.key.tonic


@pytest.mark.parametrize(
    ("tops", "whole"), [([], False), ([67], True), ([66], False), ([72, 67], True), ([75, 67], False), ([60, 67], True)]
)
def test_a_last_chord_is_whole_with_its_root_near_the_melody(tops, whole):
    ending = Ending(at=0, root=7, lead=0)
    assert ending.is_whole(tops) is whole
    if tops:
        assert ending.goes_on(tops, high=79, voices=True) is not whole
        assert not ending.goes_on(tops, high=66, voices=True)  # it cannot
        assert ending.goes_on(tops, high=79, voices=False) is (tops[-1] % 12 != 7)


@pytest.mark.parametrize("prompt", ["baroque prelude for harpsichord", "romantic piano"])
def test_a_keyboard_has_two_hands_where_bars_begin(aria, prompt):
    score = finished(begin(aria, prompt, seed=1, bars=6), 1).score
    notes, ends = score.notes, score.notes["start"] + score.notes["duration"]
    for at in score.bar_starts():
        begun = (np.abs(notes["start"] - at) < 1e-4).any()
        assert not begun or ((notes["start"] <= at + 1e-4) & (ends > at + 1e-4)).sum() >= 2


def test_who_plays_together_has_no_such_voices(aria):
    notes = finished(begin(aria, "hymn for trumpet and trombone", seed=1, bars=4), 1).score.notes
    assert all(len(notes[notes["start"] == at]) <= 2 for at in np.unique(notes["start"]))
