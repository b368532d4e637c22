"""MIDI files as the world has them: every note that is there, one sentence where there are none."""

import numpy as np
import pytest
from midi_files import READ, REFUSED, after, control, file, note, text, track, tune

from clavilux.audio import midi_tracks
from clavilux.audio.notes import BANK, BEND
from clavilux.audio.score import Score


def read(folder, data, **options):
    path = folder / "a.mid"
    path.write_bytes(data)
    return Score.from_midi(path, **options)


@pytest.mark.parametrize("name", READ)
def test_files_of_the_world_are_read(tmp_path, name):
    data, count, said = READ[name]
    score = read(tmp_path, data)
    assert len(score.notes) == count
    assert said in "; ".join(score.remarks) if said else score.remarks == ()


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_in_one_sentence(tmp_path, name):
    data, said = REFUSED[name]
    with pytest.raises(ValueError) as error:
        read(tmp_path, data)
    assert said in str(error.value) and str(tmp_path / "a.mid") in str(error.value)
    assert "\n" not in str(error.value)


def test_strict_refuses_damage_and_nothing_else(tmp_path):
    for name in ("cut-inside-a-track", "more-tracks-promised", "data-above-127", "no-status", "junk-between-tracks"):
        with pytest.raises(ValueError, match=r"cut off|passed over|damaged"):
            read(tmp_path, READ[name][0], strict=True)
    for name in ("plain", "one-tick", "time-code-25", "foreign-chunk", "aftertouch", "sequences"):
        assert len(read(tmp_path, READ[name][0], strict=True).notes) == READ[name][1]


def spans(score):
    return [(n["start"], n["start"] + n["duration"]) for n in score.notes]


def test_how_long_notes_are(tmp_path):
    one_tick = read(tmp_path, READ["one-tick"][0])
    assert spans(Score(one_tick.notes[one_tick.notes["drum"]])) == [(q, q + 1 / 16) for q in range(4)]
    assert spans(read(tmp_path, READ["never-released"][0])) == [(0, 4), (0, 4)]
    assert spans(read(tmp_path, READ["one-release-for-three"][0]))[:3] == [(0, 1), (1, 2), (2, 3)]
    assert spans(read(tmp_path, READ["all-notes-off"][0])) == [(0, 1)]
    # Two voices on one key: each attack has its release, first in, first out.
    held = track(after(0, 0x90, 60, 80), after(480, 0x90, 60, 80), after(480, 0x80, 60, 0), after(480, 0x80, 60, 0))
    assert spans(read(tmp_path, file(held))) == [(0, 1), (1, 3)]


def test_times_and_lengths(tmp_path):
    code = read(tmp_path, READ["time-code-25"][0])  # 480 of 1000 ticks a second
    np.testing.assert_allclose(code.seconds_at(code.notes["start"]), np.arange(5) * 0.48)
    drop = read(tmp_path, READ["time-code-29"][0])  # 29.97 frames
    np.testing.assert_allclose(drop.seconds_at(drop.notes["start"]), np.arange(5) * 480 / (80 * 30000 / 1001))
    assert read(tmp_path, READ["silence-behind"][0]).length == 8  # the bar in which the last note ends
    assert spans(read(tmp_path, READ["sequences"][0]))[5] == (5, 6)
    slow = after(0, 0xFF, 0x51, 3, 0x0F, 0x42, 0x40)  # 60 a minute
    turns = read(tmp_path, file(track(slow, tune()), track(tune()), form=2))
    assert turns.tempos == ((0.0, 60.0), (5.0, 120.0))


def test_programs_of_other_tracks_and_parts_of_one_program(tmp_path):
    assert set(read(tmp_path, READ["program-on-another-track"][0]).notes["program"]) == {40}
    own = file(track(after(0, 0xC0, 40), tune()), track(after(0, 0xC0, 41), tune()), track(after(0, 0xC2, 40), tune(2)))
    score = read(tmp_path, own)
    assert set(score.notes[["program", "part"]].tolist()) == {(40, 0), (41, 1), (40, 2)}
    assert len(score.notes) == 15 and len(score.merged().notes) == 10  # unisons of two violins stay two


def test_controllers(tmp_path):
    bend = [control(101, 0), control(100, 0), control(6, 12), after(0, 0xE0, 0, 0x60), after(480, 0xE0, 0, 0x40)]
    moves = [
        control(7, 90),
        control(39, 5),
        control(0, 1),
        control(32, 2),
        *bend,
        control(64, 127),
        control(121, 0, 480),
    ]
    score = read(tmp_path, file(track(*moves, tune()), track(after(0, 0xC1, 40), note(60, channel=1))))
    assert score.remarks == ()
    assert score.controls.tolist() == [
        (0, 0, 7, 90), (0, 0, BEND, 6), (0, 0, BANK, 130), (1, 0, 64, 127), (1, 0, BEND, 0),
        (2, 0, 64, 0),
    ]  # fmt: skip


def test_controllers_reach_every_track_of_their_channel(tmp_path):
    score = read(tmp_path, file(track(control(64, 127), tune()), track(note(72)), track(note(72, channel=1))))
    assert score.controls.tolist() == [(0.0, 0, 64, 127), (0.0, 1, 64, 127)]


def test_markers_that_are_no_chords_are_passed_over(tmp_path):
    own = [text(6, "Clavilux, G minor"), text(6, "Gm"), tune(), text(6, "Verse 1"), text(6, "D7", 480), note(60)]
    score = read(tmp_path, file(track(*own)))
    assert str(score.key) == "G minor" and [str(chord) for _, chord in score.chords] == ["Gm", "D7"]
    assert score.remarks == ("markers that are no chords passed over: 'Verse 1'",)
    wrong = read(tmp_path, file(track(text(6, "Clavilux, H dur"), tune())))
    assert wrong.key is None and "H dur" in wrong.remarks[0]


def test_too_many_events_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(midi_tracks, "MOST_EVENTS", 19)
    with pytest.raises(ValueError, match="more than 19 events"):
        read(tmp_path, READ["plain"][0])
    monkeypatch.setattr(midi_tracks, "MOST_EVENTS", 21)
    assert len(read(tmp_path, READ["plain"][0]).notes) == 10


@pytest.mark.parametrize("cut", range(0, len(READ["plain"][0]), 7))
def test_any_beginning_of_a_file_is_read_or_refused(tmp_path, cut):
    data = READ["plain"][0][:cut]
    try:
        assert read(tmp_path, data).remarks
    except ValueError as error:
        assert "\n" not in str(error)
