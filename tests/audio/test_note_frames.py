"""Note frames: there and back, their order, their heads, and what of them a plan knows."""

from __future__ import annotations

import numpy as np
import pytest

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.codecs.note_frames import (
    BAR,
    CHORD,
    DURATIONS,
    END,
    IN_QUARTER,
    STEPS,
    BarHead,
    decode_frames,
    encode_frames,
    is_drawn,
    is_note,
    metre_of,
    readable,
    returning,
    transposed,
)
from clavilux.audio.codecs.remi import PROGRAMS, written_program
from clavilux.audio.harmony import Chord
from clavilux.audio.score import NOTE, Score


def random_score(seed: int, metre: tuple[int, int], bars: int = 6) -> Score:
    random = np.random.default_rng(seed)
    quarters = metre[0] * 4 / metre[1]
    notes = []
    for bar in range(bars):
        for at in np.arange(0, quarters * STEPS).astype(int):
            if at % STEPS in IN_QUARTER and random.random() < 0.3:
                length = DURATIONS[int(random.integers(len(DURATIONS)))]
                end = min(bar * quarters * STEPS + at + length, bars * quarters * STEPS)
                length = max(d for d in DURATIONS if d <= max(3, end - bar * quarters * STEPS - at))
                pitch, program = int(random.integers(30, 100)), int(random.choice(PROGRAMS))
                notes.append((bar * quarters + at / STEPS, length / STEPS, pitch, 60, program, False))
    chords = ((0.0, Chord(0, "maj")), (quarters * 2, Chord(7, "7")), (quarters * 4, Chord(9, "min")))
    return Score(np.array(notes, NOTE), metres=((0.0, metre),), chords=chords, length=bars * quarters)


def plain_heads(score: Score) -> list[BarHead]:
    starts = score.bar_starts()
    return [BarHead(score.metre_at(at), 0, i, "new", len(starts) - i) for i, at in enumerate(starts)]


@pytest.mark.parametrize("metre", list(WRITTEN_METRES))
def test_what_is_written_comes_back(metre):
    score = random_score(hash(metre) % 1000, metre)
    frames = encode_frames(score, plain_heads(score))
    again = decode_frames(frames)
    assert np.allclose(again.notes["start"], score.notes["start"])
    for name in ("pitch", "program"):
        assert (again.notes[name] == score.notes[name]).all()
    # Ends that do not fall on a duration of the list move to the nearest one.
    assert np.abs(again.notes["duration"] - score.notes["duration"]).max() <= 1.0
    assert again.metres == score.metres and again.chords == score.chords and again.length == score.length
    assert (encode_frames(again, plain_heads(again)) == frames).all()


def test_frames_stand_in_order_under_their_bars():
    notes = [(1.0, 1.0, 64, 70, 40, False), (1.0, 1.0, 60, 70, 40, False), (1.0, 0.5, 72, 70, 0, False)]
    notes += [(1.0, 0.5, 36, 100, 0, True), (4.0, 1.0, 62, 70, 0, False)]
    score = Score(np.array(notes, NOTE), chords=((0.0, Chord(0, "maj")), (1.0, Chord(7, "7"))), length=8.0)
    frames = encode_frames(score, plain_heads(score))
    programs = [*PROGRAMS, -1]
    said = [(int(w), "chord" if who == CHORD else programs[who] if w < BAR else None) for w, who in frames[:2].T]
    assert said == [
        (BAR, None), (0, "chord"), (24, "chord"), (24, 0), (24, 40), (24, 40), (24, -1),
        (BAR, None), (0, "chord"), (0, 0), (END, None),
    ]  # fmt: skip
    assert frames[2, 4] < frames[2, 5], "pitches of an instrument rise"


def test_ornaments_of_32nds_and_triplet_sixteenths_keep_their_places_and_others_move_to_the_nearest():
    starts = [0.0, 1 / 8, 1 / 6, 1 / 3, 1.01, 2.47]
    score = Score(np.array([(s, 0.125, 60 + i, 80, 0, False) for i, s in enumerate(starts)], NOTE), length=4.0)
    frames = encode_frames(score, plain_heads(score))
    assert frames[0, is_note(frames)].tolist() == [0, 3, 4, 8, 24, 60]


def test_a_note_just_before_a_bar_line_is_the_next_bars_first_and_one_at_the_end_of_the_piece_is_left_out():
    notes = [(3.99, 1.0, 60, 80, 0, False), (7.99, 0.01, 62, 80, 0, False)]
    score = Score(np.array(notes, NOTE), length=8.0)
    frames = encode_frames(score, plain_heads(score))
    assert frames[0].tolist() == [BAR, BAR, 0, END]
    assert decode_frames(frames).notes["pitch"].tolist() == [60]


def test_velocities_are_written_where_they_are_known():
    score = Score(np.array([(0.0, 1.0, 60, 36, 0, False), (1.0, 1.0, 60, 108, 0, False)], NOTE), length=4.0)
    known = encode_frames(score, plain_heads(score))
    assert np.abs(decode_frames(known).notes["velocity"] - [36, 108]).max() <= 4
    open_ = encode_frames(score, plain_heads(score), velocities=False)
    assert decode_frames(open_, velocity=71).notes["velocity"].tolist() == [71, 71]
    assert is_drawn(known)[4].sum() == 2 and not is_drawn(open_)[4].any()


def test_a_plan_knows_heads_and_that_each_bar_begins_with_a_chord():
    score = random_score(1, (3, 4))
    frames = encode_frames(score, plain_heads(score))
    drawn, bars = is_drawn(frames), frames[0] == BAR
    assert drawn[0, bars].all() and not drawn[1:, bars].any()
    first = (frames[1] == CHORD) & (frames[0] == 0)
    assert first.any() and not drawn[[0, 1]][:, first].any() and drawn[2, first].all()
    assert drawn[:4, is_note(frames)].all()
    assert [metre_of(int(who)) for who in frames[1, bars]] == [(3, 4)] * 6


def test_transposing_moves_pitches_and_chords_and_leaves_drums():
    notes = [(0.0, 1.0, 107, 80, 0, False), (1.0, 1.0, 60, 80, 0, False), (2.0, 1.0, 38, 80, 0, True)]
    score = Score(np.array(notes, NOTE), chords=((0.0, Chord(11, "min7")),), length=4.0)
    frames = encode_frames(score, plain_heads(score))
    up = decode_frames(transposed(frames, 3))
    assert sorted(up.notes["pitch"].tolist()) == [38, 63, 98], "above the range it comes back by an octave"
    assert up.chords[0][1] == Chord(2, "min7")
    assert (transposed(transposed(frames, 3), -3)[:, is_note(frames)][2, 1] == frames[:, is_note(frames)][2, 1]).all()


def test_a_part_of_a_piece_has_returns_only_of_what_is_in_it():
    heads = [BarHead((4, 4), letter, bar, how, 1).frame() for letter, bar, how in (
        (0, 0, "exact"), (0, 1, "varied"), (1, 0, "new"), (0, 0, "exact"), (0, 1, "exact"),
    )]  # fmt: skip
    what, section = np.array(heads)[:, 2], np.array(heads)[:, 3]
    new, exact = heads[2][2], heads[0][2]
    assert returning(what, section).tolist() == [new, new, new, exact, exact]


def test_ids_that_do_not_belong_together_are_told():
    score = random_score(2, (4, 4))
    frames = encode_frames(score, plain_heads(score)).astype(np.int64)
    assert readable(frames).all()
    noise = np.random.default_rng(0).integers(0, 256, (5, 4000))
    noise[0, 0], noise[:, 0] = BAR, frames[:, 0]
    noise[0, noise[0] == BAR] = END
    noise[:, 0] = frames[:, 0]
    decode_frames(noise[:, readable(noise)])
    with pytest.raises((IndexError, ValueError)):
        decode_frames(noise)


def test_what_cannot_be_written_is_said():
    score = Score(np.array([(0.0, 1.0, 60, 80, 20, False)], NOTE), length=4.0)
    with pytest.raises(ValueError, match="program 20 cannot be written"):
        encode_frames(score, plain_heads(score))
    with pytest.raises(ValueError, match="2 heads are given for 1 bars"):
        encode_frames(score, plain_heads(score) * 2)


def test_every_program_has_one_that_can_be_written():
    assert all(written_program(p) in PROGRAMS for p in range(128))
    assert all(written_program(p) == p for p in PROGRAMS)
