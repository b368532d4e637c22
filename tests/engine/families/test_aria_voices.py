"""Hymns and chorales have four voices, of which one may be missing where no bar begins."""

import numpy as np
import pytest

from clavilux.families.aria.ending import Ending
from clavilux.families.aria.voices import LEAP, SPACING, TOP, Voices
from tests.helpers.drawn_songs import begin, finished

pytestmark = pytest.mark.usefixtures("silent")


def test_voices_that_sound_are_counted():
    voices = Voices(3)
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


def test_voices_that_are_missing_have_room_above():
    voices = Voices(4)
    assert voices.highest([]) == TOP - 3 * SPACING
    assert voices.highest([60] * 9) == TOP - 3 * SPACING
    voices.begin(48, 1.0)
    voices.begin(55, 1.0)
    assert voices.highest([TOP - 2]) == TOP - SPACING
    voices.begin(60, 1.0)
    assert voices.highest([]) == TOP and voices.highest([TOP - LEAP - 1]) == TOP


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
    assert min(sounding) >= 3
    assert all(count >= 4 for at, count in zip(onsets, sounding, strict=True) if at in song.score.bar_starts())
    last = notes[notes["start"] == notes["start"].max()]
    assert len(last) >= 4 and last["pitch"].max() % 12 == song.score.key.tonic


def test_who_plays_together_has_no_such_voices(aria):
    notes = finished(begin(aria, "hymn for trumpet and trombone", seed=1, bars=4), 1).score.notes
    assert all(len(notes[notes["start"] == at]) <= 2 for at in np.unique(notes["start"]))
