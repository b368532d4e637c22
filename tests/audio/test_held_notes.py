"""Notes that are held for long: made piece by piece, with the samples that they have as a whole."""

import tracemalloc

import numpy as np
import pytest

from clavilux.audio import sampler as module
from clavilux.audio.expression import NoteBend, PartExpression
from clavilux.audio.notes import BEND, CONTROL
from clavilux.audio.sampler import Sampler
from clavilux.audio.soundfont import SoundFont

FONT = SoundFont.bundled()
RATE = 16000
HOUR = 3600 * RATE


def regions(program):
    return FONT.regions(program, False, 57, 90)


def bent(start, *rows):
    """A wheel at (seconds, semitones)."""
    controls = np.array([(at, 0, BEND, value) for at, value in rows], CONTROL)
    return NoteBend(PartExpression(controls, RATE), start)


BENDS = {
    "straight": None,
    "resting": bent(500, (0.1, 0.0)),
    "bent": bent(500, (0.1, 2.0), (0.4, -1.5), (1.1, 0.0)),
    "out of tune": bent(70, (0.0, 0.3)),
}


@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("program", [0, 19, 42, 46, 73])  # looped or not, filtered, with tremolo
def test_pieces_of_a_note_are_the_note(program, bend, monkeypatch):
    for region in regions(program):
        note = Sampler(FONT, RATE).note(region, 57, 2 * RATE, BENDS[bend])
        whole = note.take(len(note))
        assert len(whole) == len(note) and len(note.take(100)) == 0
        monkeypatch.setattr(module, "_KEPT_SAMPLES", 1 << 13)  # what follows is made for the note alone
        monkeypatch.setattr(module, "_PIECE", 1 << 10)
        sampler = Sampler(FONT, RATE)
        for _ in range(2):  # the second time from what is kept
            again = sampler.note(region, 57, 2 * RATE, BENDS[bend])
            found = [again.take(count) for count in (1, 999, 8192, len(whole))]
            assert np.array_equal(np.concatenate(found), whole)
        monkeypatch.undo()


def test_what_is_kept_grows_as_if_it_had_been_made_at_once():
    region = regions(19)[0]
    grown, at_once = Sampler(FONT, RATE), Sampler(FONT, RATE)
    for seconds in (1, 2, 5):
        note, other = (sampler.note(region, 57, seconds * RATE) for sampler in (grown, at_once))
        assert np.array_equal(note.take(len(note)), other.take(len(other)))
        at_once = Sampler(FONT, RATE)


def test_a_note_that_is_cut_short_ends_there():
    region = regions(19)[0]
    note, plain = (Sampler(FONT, RATE).note(region, 57, RATE) for _ in range(2))
    before = note.take(3000)
    note.end(4000, np.linspace(1, 0, 500, dtype=np.float32))
    after = note.take(RATE)
    assert len(note) == 4500 and len(after) == 1500
    wave = plain.take(4500)
    wave[4000:] *= np.linspace(1, 0, 500, dtype=np.float32)
    assert np.array_equal(np.concatenate([before, after]), wave)
    note.end(9000, np.ones(5, np.float32))  # behind its end: nothing is left to cut
    assert len(note) == 4500


@pytest.mark.parametrize("bend", ["straight", "bent"])
def test_a_note_of_an_hour_takes_no_memory_of_an_hour(bend):
    region = regions(19)[0]
    sampler = Sampler(FONT, RATE)
    sampler.note(region, 57, RATE).take(RATE)  # the sample is unpacked
    tracemalloc.start()
    try:
        note = sampler.note(region, 57, HOUR, BENDS[bend])
        for _ in range(40):
            note.take(1 << 15)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(note) > HOUR
    assert peak < 40 * 2**20  # an hour at this rate has 220 MiB of float32
