import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.melodies import melody_of
from clavilux.audio.notes import NOTE, PART_NOTE
from clavilux.audio.score import Score

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def score_of(notes, **more):
    return Score(np.array([(*note, 80, 0, False) for note in notes], NOTE), **more)


def tune(bars: int, shift: int = 0):
    return [
        (4.0 * bar + beat, 1.0, SCALE[(bar * 3 + beat * 2) % 8] + shift) for bar in range(bars) for beat in range(4)
    ]


def test_pitches_order_and_lengths_stay_and_empty_bars_before_go():
    notes = [(8 + start, duration, pitch) for start, duration, pitch in tune(4)]
    melody = melody_of(score_of(notes), key=Key.parse("C"))
    assert melody.notes["pitch"].tolist() == [pitch for _, _, pitch in notes]
    assert melody.notes["start"].tolist() == [start - 8 for start, _, _ in notes]
    assert melody.metres == ((4, 4),) * 4 and melody.first == 0 and not melody.remarks


def test_the_upper_line_of_the_highest_part_is_taken_and_said():
    high = [(start, length, pitch + 12) for start, length, pitch in tune(2)]
    chords = [(start, 4.0, pitch) for start in (0.0, 4.0) for pitch in (48, 52, 55)]
    both = np.zeros(len(high) * 2 + len(chords), PART_NOTE)
    rows = [(*n, 80, 73, False, 0) for n in high] + [(a, b, p - 9, 80, 73, False, 0) for a, b, p in high]
    both[:] = [*rows, *((*n, 80, 0, False, 1) for n in chords)]
    melody = melody_of(Score(both))
    assert melody.notes["pitch"].tolist() == [pitch for _, _, pitch in high]
    assert any("highest of 2 parts, flute" in said for said in melody.remarks)
    assert any("8 notes under it are left out" in said for said in melody.remarks)


def test_a_long_note_under_the_line_is_left_out_and_legato_is_one_voice():
    melody = melody_of(score_of([(0, 1.1, 72), (1, 1.1, 74), (1.5, 0.25, 60), (2, 1, 76), (3, 1, 77)]))
    assert melody.notes["pitch"].tolist() == [72, 74, 76, 77]
    assert melody.notes["duration"].tolist() == [1, 1, 1, 1]


def test_a_pickup_stands_at_the_end_of_a_whole_bar():
    written = score_of([(0, 1, 67), *((1 + start, d, p) for start, d, p in tune(2))],
                       metres=((0.0, (1, 4)), (1.0, (4, 4))))  # fmt: skip
    melody = melody_of(written)
    assert melody.first == 1 and melody.metres == ((4, 4),) * 3
    assert melody.notes["start"][:2].tolist() == [3, 4]
    assert melody.sections()[0] == ("pickup", 1)


def test_what_returns_has_the_same_name():
    a, b = tune(8), tune(8, 2)
    whole = [*a, *((32 + s, d, p) for s, d, p in a), *((64 + s, d, p) for s, d, p in b)]
    whole += [(96 + s, d, p) for s, d, p in a]
    assert melody_of(score_of(whole)).sections() == [("A", 8), ("A", 8), ("B", 8), ("A", 8)]
    assert [bars for _, bars in melody_of(score_of(tune(19))).sections()] == [8, 11]


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (Score(np.empty(0, NOTE)), "has no notes with a pitch"),
        (Score(np.array([(0, 1, 38, 90, 0, True)] * 1, NOTE)), "has no notes with a pitch"),
        (score_of(tune(1)[:3]), "has 3 notes; it should have 4 or more"),
        (score_of([(0, 1, 60), (1, 1, 60), (2, 1, 60), (9000, 1, 60)]), r"has 2251 bars; it should have 1000 or fewer"),
    ],
)
def test_what_is_no_melody_is_one_sentence(score, says):
    with pytest.raises(ValueError, match=says):
        melody_of(score)
