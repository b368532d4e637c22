import numpy as np
import pytest

from clavilux.audio.arranging.harmonizer import STATES, best_states, bundled, harmonize, slots_of, tone_features
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.arranging.melody_sheet import Turns, bars_in, sheet_for, turns_of
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.melodies import melody_of
from clavilux.audio.notes import NOTE
from clavilux.audio.score import Score

# "Ah! vous dirai-je, maman": its chords are known to every child.
PITCHES = (60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 62, 60)
LENGTHS = (1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2)


def twinkle(shift: int = 0) -> np.ndarray:
    starts = np.cumsum((0, *LENGTHS[:-1]))
    rows = [(s, d, p + shift, 80, 0, False) for s, d, p in zip(starts, LENGTHS, PITCHES, strict=True)]
    return np.array(rows, NOTE)


def melody(shift: int = 0):
    return melody_of(Score(twinkle(shift)), key=Key(shift % 12, "major"))


def test_a_known_tune_has_its_chords_in_every_key():
    for shift in (0, 3, -5):
        found = harmonize(twinkle(shift), [(4, 4)] * 4, Key(shift % 12, "major"))
        at = {time: (chord.root - shift) % 12 for time, chord in found}
        assert found[0] == (0.0, Chord(shift % 12, "maj")) and at[8] == 7 and found[-1][1].root == shift % 12
        assert 7 in at.values() and {*at.values()} <= {0, 5, 7, 2, 9, 4}


def test_minor_keys_end_on_their_tonic():
    key = Key.parse("A minor")
    notes = np.array([(i, 1, p, 80, 0, False) for i, p in enumerate((69, 71, 72, 76, 74, 72, 71, 68, 69, 69, 69, 69))],
                     NOTE)  # fmt: skip
    found = harmonize(notes, [(4, 4)] * 3, key)
    assert found[-1][1] == Chord(9, "min") and any(chord.root == 4 for _, chord in found)


def test_the_path_is_the_best_of_all():
    slots, key = slots_of([(3, 4)] * 3), Key.parse("C")
    heard = tone_features(slots, twinkle()[:9], key)
    weights = bundled()["major"]
    path = best_states(slots, heard, key, weights)
    roles = weights.roles[[["first", "inside", "fourth", "seventh", "eighth", "last but one", "last"].index(slot.role)
                           for slot in slots]]  # fmt: skip
    score = np.einsum("sfp,fkp->sk", heard, weights.tones) + roles
    order = [0, 5, 6]
    stay = [weights.stays[1, order[i]] for i in range(3)]
    onward = [weights.nexts + np.diag(np.full(48, stay[i])) for i in range(3)]
    total = score[0][:, None] + onward[1] + score[1][None]  # [first, second], the last being the tonic's
    total = total + onward[2][:, 0][None] + score[2, 0]
    assert path == [*map(int, np.unravel_index(total.argmax(), total.shape)), 0] and STATES[0] == (0, "maj")


def test_slots_are_bars_or_halves_of_bars():
    assert [len(slots_of([metre])) for metre in ((4, 4), (2, 2), (6, 8), (12, 8), (3, 4), (2, 4), (9, 8))] == [
        2, 2, 2, 2, 1, 1, 1,
    ]  # fmt: skip
    roles = [slot.role for slot in slots_of([(3, 4)] * 18, first=1)]
    assert roles[1] == "first" and roles[8] == "eighth" and roles[-2:] == ["last but one", "last"]


@pytest.mark.parametrize("name", band_names())
def test_every_band_harmonises_in_its_own_chords(name):
    band = load_band(name)
    sheet = sheet_for(melody(), band, Turns(), seed=1)
    assert sheet.chords()[0][0] == 0 and sheet.chords()[-1][1].root == 0
    assert np.array_equal(sheet.melody["pitch"], twinkle()["pitch"])
    clashes = [
        chord.quality == "maj7" and int(note["pitch"]) % 12 == chord.root and note["duration"] >= 2
        for note in sheet.melody
        for time, chord in sheet.chords()[-1:]
        if note["start"] >= time
    ]
    assert not any(clashes)


def test_turns_fill_the_bars_that_are_asked_for():
    tune = melody()
    for count in (4, 5, 8, 11, 12, 15, 17, 40):
        turns = turns_of(tune, count)
        sheet = sheet_for(tune, load_band("pop"), turns, seed=1)
        assert len(sheet.bars) == count, (count, turns)
        assert len(sheet.melody) == turns.times * len(PITCHES)
    assert turns_of(tune, 17) == Turns(4, 1) and bars_in(tune, 17.9, 120) == 8
    with pytest.raises(ValueError, match="3 bars are asked for, and the melody has 4"):
        turns_of(tune, 3)


def test_a_long_rest_of_bars_is_a_solo_and_a_pickup_joins_the_bar_before():
    notes = np.concatenate([np.array([(0, 1, 67, 80, 0, False)], NOTE), twinkle()[:-1]])
    notes["start"][1:] += 1
    last = np.array([(15, 1, 60, 80, 0, False)], NOTE)
    again = melody_of(Score(np.concatenate([notes, last]), metres=((0.0, (1, 4)), (1.0, (4, 4)))))
    assert again.first == 1 and len(again.metres) == 5
    turns = turns_of(again, 13)
    assert turns == Turns(3, 0)
    sheet = sheet_for(again, load_band("pop"), turns, seed=1)
    starts = sheet.melody["start"].tolist()
    assert len(sheet.bars) == 13 and starts == sorted(starts) and starts[15] == 19
    assert [section.name for section in sheet.sections if section.instruments == ()] == ["pickup"]
    asked = sheet_for(again, load_band("pop"), Turns(), seed=1, chords=[[Chord.parse("Am")], []])
    assert asked.bars[1].chords == ((0.0, Chord.parse("Am")),) and not asked.bars[2].chords
