import numpy as np
import pytest
import symusic

from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import NOTE, Score, bar_quarters


def notes_of(*rows):
    """NOTE records from (start, duration, pitch[, velocity, program, drum])."""
    return np.array([(*row, *(80, 0, False)[len(row) - 3 :]) for row in rows], dtype=NOTE)


def random_score(seed, drums=True):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 80))
    notes = np.zeros(count, NOTE)
    notes["start"] = rng.integers(0, 480, count) / 24
    notes["duration"] = rng.integers(1, 96, count) / 24
    notes["pitch"] = rng.integers(30, 90, count)
    notes["velocity"] = rng.integers(1, 128, count)
    notes["program"] = rng.choice([0, 19, 40, 73], count)
    notes["drum"] = drums & (rng.random(count) < 0.2)
    tempos = [(0.0, 96.0)] + [(float(q), float(rng.integers(40, 200))) for q in (4, 10, 17)]
    metres = ((0.0, (3, 4)), (6.0, (6, 8)), (12.0, (4, 4)))
    chords = ((0.0, Chord.parse("Gm")), (4.0, Chord.parse("F#dim7")), (8.5, Chord.parse("D7")))
    return Score(notes, tuple(tempos), metres, Key.parse("G minor"), chords)


def assert_same(a, b, atol=1e-12):
    assert len(a.notes) == len(b.notes)
    for name in NOTE.names:
        np.testing.assert_allclose(a.notes[name].astype(float), b.notes[name].astype(float), atol=atol, err_msg=name)
    assert a.tempos == b.tempos
    assert a.metres == b.metres
    assert a.key == b.key
    assert a.chords == b.chords


@pytest.mark.parametrize("seed", range(20))
def test_a_saved_score_reads_back_the_same(tmp_path, seed):
    score = random_score(seed)
    score.save_midi(tmp_path / "a.mid")
    again = Score.from_midi(tmp_path / "a.mid")
    assert_same(score, again)
    again.save_midi(tmp_path / "b.mid")
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mid", "b.mid"]


@pytest.mark.parametrize("seed", range(20))
def test_notes_are_sorted_and_one_pitch_never_overlaps_itself(seed):
    notes = random_score(seed).notes
    assert notes.tolist() == sorted(notes.tolist(), key=lambda n: (n[0], n[4], n[2], n[5]))
    voices = {}
    for start, duration, pitch, _, program, drum, part in notes.tolist():
        assert duration > 0
        assert voices.get((pitch, program, drum, part), 0.0) <= start + 1e-9
        voices[pitch, program, drum, part] = start + duration


def test_overlaps_and_empty_notes():
    score = Score(notes_of((0, 4, 60), (1, 1, 60), (2, 0, 64), (1, 0.5, 60), (0, 2, 60, 80, 40)))
    assert [(n["start"], n["duration"], n["program"]) for n in score.notes] == [
        (0, 1, 0),
        (0, 2, 40),
        (1, 1, 0),
    ]
    assert score.length == 2


def test_length_reaches_the_last_note_and_is_kept_when_longer():
    assert Score(notes_of((0, 5, 60)), length=4).length == 5
    assert Score(notes_of((0, 5, 60)), length=8).length == 8


@pytest.mark.parametrize(
    "rows",
    [[(-1, 1, 60)], [(0, 1, 128)], [(0, 1, -1)], [(0, 1, 60, 200)], [(0, 1, 60, 80, 128)]],
)
def test_notes_outside_midi_are_errors(rows):
    with pytest.raises(ValueError, match=r"must (be|not begin)"):
        Score(notes_of(*rows))


@pytest.mark.parametrize("tempos", [(), ((1.0, 100.0),), ((0.0, 100.0), (0.0, 90.0)), ((0.0, 0.0),)])
def test_bad_tempo_maps_are_errors(tempos):
    with pytest.raises(ValueError, match="tempo"):
        Score(notes_of((0, 1, 60)), tempos)


@pytest.mark.parametrize("metre", [(7, 0), (0, 4), (4, 3)])
def test_bad_metres_are_errors(metre):
    with pytest.raises(ValueError, match="metre"):
        Score(notes_of((0, 1, 60)), metres=((0.0, metre),))


def test_seconds_follow_the_tempo_map():
    score = Score(notes_of((0, 16, 60)), ((0.0, 60.0), (4.0, 120.0), (8.0, 30.0)))
    assert score.seconds_at(np.array([0, 2, 4, 6, 8, 9, 16])).tolist() == [0, 2, 4, 5, 6, 8, 22]
    assert score.duration_s == 22
    assert score.quarters_at(5.0) == 6
    quarters = np.linspace(0, 20, 401)
    np.testing.assert_allclose(score.quarters_at(score.seconds_at(quarters)), quarters, atol=1e-12)


@pytest.mark.parametrize("tempo", [30.0, 68.0, 72.5, 97.3, 119.99, 240.0])
def test_tempi_survive_midi_exactly(tmp_path, tempo):
    Score(notes_of((0, 1, 60)), ((0.0, tempo),)).save_midi(tmp_path / "a.mid")
    assert Score.from_midi(tmp_path / "a.mid").tempos == ((0.0, tempo),)


def test_any_tempo_that_midi_can_hold_is_stable(tmp_path):
    for mspq in (882353, 882354, 1000001, 123457, 499999):
        midi = symusic.Score(96)
        midi.tempos.append(symusic.Tempo(0, mspq=mspq))
        midi.tracks.append(symusic.Track())
        midi.tracks[0].notes.append(symusic.Note(0, 96, 60, 80))
        midi.dump_midi(str(tmp_path / "a.mid"))
        Score.from_midi(tmp_path / "a.mid").save_midi(tmp_path / "b.mid")
        assert symusic.Score(str(tmp_path / "b.mid")).tempos[0].mspq == mspq


def test_bars_with_changing_metres_and_a_pickup():
    metres = ((0.0, (1, 4)), (1.0, (3, 4)), (7.0, (6, 8)), (12.0, (4, 4)))
    score = Score(notes_of((0, 15, 60)), metres=metres, length=16)
    assert score.bar_starts().tolist() == [0, 1, 4, 7, 10, 12]
    assert [score.metre_at(q) for q in (0, 1, 6.9, 7, 15)] == [(1, 4), (3, 4), (3, 4), (6, 8), (4, 4)]
    assert Score(notes_of((0, 1, 60)), metres=((0.0, (4, 4)), (99.0, (3, 4)))).bar_starts().tolist() == [0]
    assert bar_quarters((6, 8)) == 3


def test_slice_cuts_notes_and_keeps_the_maps():
    metres = ((0.0, (3, 4)), (6.0, (2, 4)))
    chords = ((0.0, Chord.parse("C")), (4.0, Chord.parse("G7")))
    score = Score(notes_of((0, 3, 60), (3, 5, 62), (7, 1, 64)), ((0.0, 60.0), (5.0, 90.0)), metres, None, chords)
    part = score.slice(3, 7)
    assert [(n["start"], n["duration"], n["pitch"]) for n in part.notes] == [(0, 4, 62)]
    assert part.tempos == ((0.0, 60.0), (2.0, 90.0))
    assert part.metres == ((0.0, (3, 4)), (3.0, (2, 4)))
    assert part.chords == ((0.0, chords[0][1]), (1.0, chords[1][1]))
    assert part.length == 4


def test_a_slice_inside_a_bar_keeps_the_bar_lines():
    score = Score(notes_of((0, 12, 60)), metres=((0.0, (4, 4)),))
    assert score.slice(3, 12).bar_starts().tolist() == [0, 1, 5]
    assert score.slice(4, 12).bar_starts().tolist() == [0, 4]
    with pytest.raises(ValueError, match="go forward"):
        score.slice(4, 4)


@pytest.mark.parametrize("seed", range(8))
def test_slices_put_together_again(seed):
    score = random_score(seed)
    at = float(score.bar_starts()[2])
    joined = score.slice(0, at).concat(score.slice(at, score.length))
    np.testing.assert_allclose(joined.notes["start"], score.notes["start"])
    assert joined.tempos == score.tempos
    assert joined.chords == score.chords
    assert joined.length == score.length
    np.testing.assert_allclose(joined.bar_starts(), score.bar_starts())
    quarters = np.linspace(0, score.length, 50)
    np.testing.assert_allclose(joined.seconds_at(quarters), score.seconds_at(quarters))


def test_two_violins_go_on_as_those_that_are_there():
    """Parts of an instrument keep their order where other instruments have their numbers."""
    rows = [(0, 4, 60, 80, 0, False, 0), (0, 4, 81, 80, 40, False, 1), (0, 4, 72, 80, 40, False, 2)]
    later = [(0, 4, 59, 80, 0, False, 0), (0, 4, 83, 80, 40, False, 0), (0, 4, 74, 80, 40, False, 1)]
    joined = Score(np.array(rows, PART_NOTE)).concat(Score(np.array([*later, (0, 4, 48, 80, 42, False, 0)], PART_NOTE)))
    new = joined.notes[joined.notes["start"] == 4]
    assert new[["program", "pitch", "part"]].tolist() == [(0, 59, 0), (40, 74, 2), (40, 83, 1), (42, 48, 3)]
    alone = Score(np.array(rows[:2], PART_NOTE)).concat(Score(np.array(rows[2:], PART_NOTE)))
    assert set(alone.notes["part"].tolist()) == {0, 1, 2}  # the second violin comes in later


def test_transposing_moves_everything_but_drums():
    score = Score(notes_of((0, 1, 60), (0, 1, 36, 80, 0, True)), key=Key.parse("C"), chords=((0.0, Chord.parse("C")),))
    up = score.transposed(3)
    assert sorted(up.notes["pitch"].tolist()) == [36, 63]
    assert (str(up.key), str(up.chords[0][1])) == ("Eb major", "Eb")
    with pytest.raises(ValueError, match="outside"):
        score.transposed(70)


def test_other_instruments():
    score = Score(notes_of((0, 2, 60), (1, 2, 60, 80, 40), (0, 1, 36, 80, 8, True)))
    assert score.with_programs(19).notes["program"].tolist() == [8, 19, 19]
    assert score.with_programs(19).notes["duration"].tolist() == [1, 1, 2]
    assert sorted(score.with_programs({40: 73}).notes["program"].tolist()) == [0, 8, 73]
    with pytest.raises(ValueError, match="0 to 127"):
        score.with_programs(128)


def test_a_full_file_of_sixteen_channels_with_drums_and_tempo_changes(tmp_path):
    midi = symusic.Score(384)
    for channel in range(16):
        track = symusic.Track(program=5 * channel, is_drum=channel == 9, name=f"part {channel}")
        for beat in range(16):
            track.notes.append(symusic.Note(384 * beat, 384 + 96, 36 + channel, 70))  # each overlaps the next
        midi.tracks.append(track)
    for beat, tempo in ((0, 100), (4, 140), (8, 61)):
        midi.tempos.append(symusic.Tempo(384 * beat, tempo))
    midi.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    midi.key_signatures.append(symusic.KeySignature(0, -2, 0))
    midi.markers.append(symusic.TextMeta(0, "A"))  # a rehearsal mark, not the chord of A
    midi.dump_midi(str(tmp_path / "full.mid"))
    score = Score.from_midi(tmp_path / "full.mid")
    assert len(score.notes) == 256
    assert score.notes["drum"].sum() == 16
    assert set(score.notes["program"][~score.notes["drum"]]) == {5 * c for c in range(16) if c != 9}
    assert score.tempos == ((0.0, 100.0), (4.0, 140.0), (8.0, 61.0))
    assert str(score.signature) == "Bb major"
    assert score.key is None
    assert score.chords == ()
    assert score.length == 20  # the last notes ring into a fifth bar
    score.save_midi(tmp_path / "again.mid")
    assert_same(score, Score.from_midi(tmp_path / "again.mid"))


def test_a_file_without_tempo_or_metre_has_the_defaults(tmp_path):
    midi = symusic.Score(480)
    midi.tracks.append(symusic.Track())
    midi.tracks[0].notes.append(symusic.Note(480, 480, 60, 80))
    midi.tempos.append(symusic.Tempo(960, 90))
    midi.dump_midi(str(tmp_path / "a.mid"))
    score = Score.from_midi(tmp_path / "a.mid")
    assert score.tempos == ((0.0, 120.0), (2.0, 90.0))
    assert score.metres == ((0.0, (4, 4)),)
    assert score.signature is None
    assert score.length == 4


def test_more_instruments_than_channels_is_an_error(tmp_path):
    score = Score(notes_of(*[(0, 1, 60, 80, program) for program in range(16)]))
    with pytest.raises(ValueError, match="15 instruments"):
        score.save_midi(tmp_path / "a.mid")
    assert not list(tmp_path.iterdir())


def damaged_files():
    yield "empty", b"", "is empty"
    yield "text", b"this is not music, it only says so", "does not begin with MThd"
    yield "header", symusic.Score(480).dumps_midi()[:11], "truncated"
    yield "silent", symusic.Score(480).dumps_midi(), "without notes"


@pytest.mark.parametrize(("name", "data", "message"), list(damaged_files()))
def test_files_without_music_are_one_sentence(tmp_path, name, data, message):
    path = tmp_path / f"{name}.mid"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        Score.from_midi(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        Score.from_midi(tmp_path / "none.mid")
    with pytest.raises(ValueError, match="is a folder"):
        Score.from_midi(tmp_path)


def test_times_that_are_no_numbers_are_errors():
    for row in ((float("nan"), 1, 60), (0, float("inf"), 60)):
        with pytest.raises(ValueError, match="must be numbers of quarters"):
            Score(notes_of(row))
