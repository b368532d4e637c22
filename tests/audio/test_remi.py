"""Score tokens: what is written comes back, bars are whole, transposition is exact."""

import numpy as np
import pytest

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES, grid_quarters, regular_bars
from clavilux.audio.codecs.remi import score_tokens, tokenizer
from clavilux.audio.harmony import Chord
from clavilux.audio.score import NOTE, Score, bar_quarters


def random_score(seed, metre, num_bars=5):
    """Notes on the grid, a chord at each bar, for two programs and drums."""
    random = np.random.default_rng(seed)
    grid = grid_quarters(metre)
    length = bar_quarters(metre)
    unit = 4 / metre[1] if metre in ((3, 8), (6, 8)) else 1.0
    rows = []
    for bar in range(num_bars):
        for _ in range(8):
            start = bar * length + random.choice(grid)
            duration = float(random.choice([0.5, 1, 2])) * unit
            program, drum = [(0, False), (40, False), (0, True)][random.integers(3)]
            rows.append((start, duration, random.integers(40, 80), 100, program, drum))
    chords = tuple((bar * length, Chord(int(random.integers(12)), "min")) for bar in range(num_bars))
    notes = np.array(rows, dtype=NOTE)
    return Score(notes, ((0.0, 96.0),), ((0.0, metre),), None, chords, num_bars * length)


def facts(score):
    return [tuple(round(float(v), 4) for v in n) for n in score.notes[["start", "pitch", "program", "drum"]]]


@pytest.mark.parametrize("metre", list(WRITTEN_METRES))
@pytest.mark.parametrize("seed", [0, 1])
def test_notes_chords_and_bars_come_back(metre, seed):
    score, tokens = random_score(seed, metre), score_tokens()
    back = tokens.decode(tokens.encode(score))
    assert sorted(facts(back)) == sorted(facts(score))
    said = []
    for quarter, chord in score.chords:
        if not said or said[-1][1] != chord:
            said.append((quarter, chord))
    assert [(round(q, 4), c) for q, c in back.chords] == [(round(q, 4), c) for q, c in said]
    assert back.metres == ((0.0, WRITTEN_METRES[metre]),)
    assert back.tempos[0][1] == 96.0


def test_every_bar_has_its_head_and_names_its_programs_again():
    tokens = score_tokens()
    names = [tokens.names[i] for i in tokens.encode(random_score(3, (4, 4)))]
    bars = [i for i, name in enumerate(names) if name == "Bar_None"]
    assert len(bars) == 5
    for start, end in zip(bars, [*bars[1:], len(names)], strict=True):
        kinds = [name.split("_")[0] for name in names[start:end]]
        assert kinds[:4] == ["Bar", "TimeSig", "Section", "Position"]
        first_note = next(i for i, kind in enumerate(kinds) if kind in ("Pitch", "PitchDrum"))
        assert "Program" in kinds[:first_note]


@pytest.mark.parametrize(("first", "places"), [(0.0, [0, 1, 2]), (1.0, [0, 1, 2]), (2.0, [7, 0, 1]), (3.5, [7, 0, 1])])
def test_phrases_begin_after_an_upbeat(first, places):
    """What begins in the first bar's second half is one."""
    notes = np.array([(first, 0.5, 60, 90, 0, False), (8, 4, 64, 90, 0, False)], dtype=NOTE)
    score = Score(notes, metres=((0.0, (4, 4)),), length=12.0)
    tokens = score_tokens()
    sections = ["opening", "middle", "last"]
    ids = tokens.encode(score, sections)
    said = [tokens.values[i] for i in ids if tokens.kinds[i] == "Section"]
    assert said == list(zip(sections, places, strict=True))


def test_transposition_moves_pitches_and_chords_and_nothing_else():
    tokens = score_tokens()
    score = random_score(4, (3, 4))
    up = tokens.decode(tokens.transposition(3)[tokens.encode(score)])
    expected = score.transposed(3)
    assert sorted(facts(up)) == sorted(facts(expected))
    assert up.chords[0][1] == expected.chords[0][1]
    assert (tokens.transposition(-3)[tokens.transposition(3)[tokens.of_kind("Chord")]] == tokens.of_kind("Chord")).all()


def test_a_pickup_becomes_a_whole_bar_silent_before_its_notes():
    notes = np.array([(0, 1, 60, 90, 0, False), (1, 4, 64, 90, 0, False)], dtype=NOTE)
    score = regular_bars(Score(notes, ((0.0, 100.0),), ((0.0, (1, 4)), (1.0, (4, 4))), None, (), 5.0))
    assert score.metres == ((0.0, (4, 4)),)
    assert score.notes["start"].tolist() == [3.0, 4.0]
    assert score.length == 8.0


def test_a_metre_that_cannot_be_written_is_named():
    notes = np.array([(0, 1, 60, 90, 0, False)], dtype=NOTE)
    with pytest.raises(ValueError, match="7/8 cannot be written"):
        score_tokens().encode(Score(notes, metres=((0.0, (7, 8)),)))


def test_the_vocabulary_is_miditoks():
    vocabulary = tokenizer().vocab
    assert score_tokens().names == tuple(sorted(vocabulary, key=vocabulary.get))


@pytest.mark.parametrize("metre", list(WRITTEN_METRES.values()))
def test_any_tokens_decode_as_miditok_reads_them(metre):
    """Also what no score becomes: pitches without durations, positions behind the bar, programs at every place."""
    tokens, random = score_tokens(), np.random.default_rng(7)
    kinds = ["Bar", "Position", "Program", "Chord", "Section"]
    ids = [tokens.ids["Bar_None"], tokens.metre_id(metre), tokens.ids["Position_0"]]
    for _ in range(400):
        if random.random() < 0.5:
            ids += [random.choice(tokens.of_kind("Pitch")), random.choice(tokens.of_kind("Duration"))]
        elif random.random() < 0.2:
            ids.append(random.choice(tokens.of_kind(str(random.choice(["Pitch", "Duration"])))))
        else:
            ids.append(random.choice(tokens.of_kind(str(random.choice(kinds)))))
            ids += [tokens.metre_id(metre)] if tokens.kinds[ids[-1]] == "Bar" else []
    decoded = tokenizer().decode(np.array(ids))
    rows = [
        (note.time / decoded.tpq, note.duration / decoded.tpq, note.pitch, 100, track.program, track.is_drum)
        for track in decoded.tracks
        for note in track.notes
    ]
    expected = Score(np.array(rows, dtype=NOTE))
    found = tokens.decode(ids)
    assert found.notes.tolist() == expected.notes.tolist()
    assert len(found.notes) > 150
