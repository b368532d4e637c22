"""Bars that take up an earlier one: phrases as text, notes moved in the scale, and whatever is drawn keeps a rhythm."""

import itertools

import numpy as np
import pytest

from clavilux.audio.chart import parse_chords
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.form import plan_form
from clavilux.families.aria.form_names import read_form
from clavilux.families.aria.motifs import Rhythm, moved_chord, moved_pitch
from clavilux.families.aria.phrases import BARS, PhraseBar, Phrases, Shape, counted, read_phrase, read_shapes
from clavilux.families.aria.usual_forms import UsualForm, usual_form
from clavilux.families.aria.voices import Part
from tests.helpers.walked_scores import walk

KEYS = [Key(tonic, mode) for tonic in (0, 3, 9) for mode in ("major", "minor")]
KINDS = (
    "art song", "baroque", "classical", "krakowiak", "lead sheet", "march", "mazurka", "orchestral", "polonaise",
    "quartet", "reel", "renaissance", "romantic", "jig", "slip jig", "hornpipe", "strathspey", "air", "waltz", "minuet",
    "polka",
)  # fmt: skip
ENSEMBLES = {
    "fiddle": [Part(40, 55, 90, 1, leads=True)],
    "piano": [Part(0, 30, 90, 4)],
    "duo": [Part(40, 55, 90, 1), Part(0, 30, 76, 3)],
    "narrow": [Part(40, 60, 66, 3)],
}


def phrased(phrase, *, key=KEYS[0], metre=(4, 4), form="AB", chords=None, seed=1):
    own = UsualForm("AB", phrases=Phrases(((1.0, (phrase, phrase)),)))
    parts = read_form(form).sections(8 * len(form))
    return plan_form(parts, metre, key, seed=seed, own=own, ends_at=0.0, chords=chords)


def test_notes_that_a_bar_has_again_stay_in_its_own_chord():
    tokens = score_tokens()
    body = [
        tokens.ids[n] for n in ("Program_40", "Pitch_69", "Duration_1.0.12", "Position_12", "Program_40", "Pitch_67")
    ]
    under = {name: Rhythm(tokens, body, None, chords=False) for name in ("D", "G")}
    found = {}
    for name, rhythm in under.items():
        chord, found[name] = Chord.parse(name), []
        for token in body:
            (goal,) = rhythm.leaning(chord) or [None]
            found[name].append(goal if goal is None else tokens.names[goal])
            rhythm.advance(tokens.kinds[token])
    assert found["D"] == [None, "Pitch_69", None, None, None, None]
    assert found["G"] == [None, None, None, None, None, "Pitch_67"]


def notes_of(score, bar):
    """(quarter in the bar, program, pitch) of its notes, and their rhythm without the pitches."""
    length = bar_quarters(score.metre_at(0.0))
    notes = score.notes[
        (score.notes["start"] >= bar * length - 1e-6) & (score.notes["start"] < (bar + 1) * length - 1e-6)
    ]
    rows = sorted((round(float(n["start"]) - bar * length, 3), int(n["program"]), int(n["pitch"])) for n in notes)
    return rows, [row[:2] for row in rows]


def test_phrases_are_text():
    assert read_phrase("12341278") == [PhraseBar(n) for n in (0, 1, 2, 3, 0, 1, 6, 7)]
    assert read_phrase("1 1' 1+2 2-1") == [PhraseBar(0), PhraseBar(0, None), PhraseBar(0, 2), PhraseBar(1, -1)]
    assert read_phrase("1 1~34 a8 a2~1") == [
        PhraseBar(0), PhraseBar(0, 0, (2, 3)), PhraseBar(7, 0, (), True), PhraseBar(1, 0, (0,), True),
    ]  # fmt: skip
    assert read_phrase("1 2 | 70 66") == read_phrase("1 2")
    assert (read_shapes("1 2 | 70 66"), read_shapes("1 2")) == ([Shape(70), Shape(66)], [])
    assert read_shapes("1 2 | 70:12.6.6 72:-6.18") == [Shape(70, ((0, 12), (12, 6), (18, 6))), Shape(72, ((6, 18),))]


@pytest.mark.parametrize("kind", KINDS)
def test_counted_phrases_look_back(kind):
    phrases = counted(kind)
    assert len(phrases.pieces) >= 12
    for text in [text for _, piece in phrases.pieces for text in piece]:
        bars = read_phrase(text)
        assert len(bars) == BARS == len(read_shapes(text))
        assert all(bar.in_first or bar.number < at or bar == PhraseBar(at) for at, bar in enumerate(bars))
        assert sum(bar.in_first for bar in bars) <= BARS // 2
        assert all(len(bar.anew) < 4 for bar in bars) and not any(shape.rhythm for shape in read_shapes(text))

    assert all(
        read_phrase(text) == [PhraseBar(n) for n in range(BARS)] and read_shapes(text)
        for _, piece in phrases.anew().pieces
        for text in piece
    )


@pytest.mark.parametrize(
    ("kind", "metre"),
    [("jig", (6, 8)), ("reel", (2, 2)), ("reel", (2, 4)), ("mazurka", (3, 4)), ("lead sheet", (4, 4))],
)
def test_phrases_of_a_metre_have_its_rhythms(kind, metre):
    phrases = counted(kind).in_metre(metre)
    assert len(phrases.pieces) >= 20
    for shape in (shape for _, piece in phrases.pieces for text in piece for shape in read_shapes(text)):
        assert shape.rhythm and shape.rhythm[0][0] >= 0 and shape.rhythm[-1][0] < 12 * bar_quarters(metre)
        assert all(a + length <= b for (a, length), (b, _) in itertools.pairwise(shape.rhythm))
    assert counted(kind).in_metre((9, 4)) == counted(kind) == counted(kind).in_metre(None)


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("steps", [-4, -1, 1, 2, 7])
def test_notes_of_a_scale_stay_in_it(key, steps):
    for pitch in range(40, 90):
        moved = moved_pitch(pitch, steps, key)
        assert (moved - pitch) * steps > 0
        if pitch % 12 in key.scale:
            assert moved % 12 in key.scale
        assert moved_pitch(pitch, 0, key) == pitch
    assert [moved_pitch(p, 7, key) - p for p in range(60, 72)] == [12] * 12


def test_chords_of_a_scale_become_others_of_it():
    major, minor = Key(0, "major"), Key(9, "minor")
    assert [str(moved_chord(Chord.parse(c), 1, major)) for c in ("C", "G7", "Bdim")] == ["Dm", "Am7", "C"]
    assert str(moved_chord(Chord.parse("Dm"), -1, major)) == "C"
    assert str(moved_chord(Chord.parse("Am"), 2, minor)) == "C"
    assert str(moved_chord(Chord.parse("E7"), -4, minor)) == "A7"  # no chord of the scale's own stays as it is built


@pytest.mark.parametrize("parts", ENSEMBLES.values(), ids=ENSEMBLES)
@pytest.mark.parametrize("metre", [(4, 4), (6, 8), (3, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_drawn_has_the_rhythm_that_it_takes_up(parts, metre, seed):
    bars = phrased("1 1' 3 3' 1' 3' 1 8", metre=metre)
    score = walk(seed, bars, parts, leans=False)
    taken = [(at, bar.takes_up) for at, bar in enumerate(bars) if bar.takes_up is not None]
    assert [at for at, _ in taken] == [1, 3, 4, 5, 6, 9, 11, 12, 13, 14]  # bars 6 and 14 are 0 and 8 under a cadence
    # A melody may still sound where the rhythm would begin, and a planned chord may begin where it has no note.
    kept = [notes_of(score, at)[1] == notes_of(score, of)[1] for at, of in taken if bars[at].chords is None]
    assert all(kept) if not parts[0].leads else sum(kept) > 5


def test_a_sequence_has_the_notes_moved_and_a_returning_part_returns():
    key, exact = Key(0, "major"), []
    bars = phrased("1 1+1 1+2 4 5 5-1 7 8", form="ABA", key=key)
    for seed in range(6):
        score = walk(seed, bars, [Part(73, 60, 96, 1)])
        for at, of, steps in ((1, 0, 1), (2, 0, 2), (5, 4, -1)):
            moved = [(q, p, moved_pitch(pitch, steps, key)) for q, p, pitch in notes_of(score, of)[0]]
            exact += [a == b for a, b in zip(moved, notes_of(score, at)[0], strict=True)]
        assert all(notes_of(score, at)[0] == notes_of(score, 16 + at)[0] for at in range(6))
    assert np.mean(exact) > 0.6  # of pitches that are as likely one as the other but for that


def test_a_bar_under_other_chords_keeps_its_rhythm():
    bars = phrased("12341278", chords=parse_chords("C | F | G | C | Am | F | G7 | C"))
    assert [bar.returns for bar in bars[4:8]] == [None, 1, None, None]
    assert bars[4].takes_up == 0
    score = walk(3, bars, ENSEMBLES["duo"])
    assert notes_of(score, 4)[1] == notes_of(score, 0)[1]
    assert [str(chord) for at, chord in score.chords if at == 16] == ["Am"]


@pytest.mark.parametrize("parts", [ENSEMBLES["fiddle"], ENSEMBLES["piano"]], ids=["fiddle", "piano"])
@pytest.mark.parametrize("metre", [(4, 4), (6, 8), (3, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_a_bar_has_most_of_another_ones_notes(parts, metre, seed):
    """But for quarters of the bar that are its own."""
    bars = phrased("1 1~4 3 1~34 5 5~1 7 8", metre=metre)
    assert [bar.takes_up for bar in bars[:6]] == [None, 0, None, 0, None, 4]
    score, length = walk(seed, bars, parts), bar_quarters(metre)
    for at, of, anew in ((1, 0, (3,)), (3, 0, (2, 3)), (5, 4, (0,))):
        own, other = (
            {row for row in notes_of(score, bar)[0] if int(4 * row[0] / length + 1e-6) not in anew} for bar in (at, of)
        )
        assert len(own & other) >= 0.6 * len(own | other)


def test_a_part_takes_up_bars_of_the_first():
    own = UsualForm("AB", phrases=Phrases(((1.0, ("1 2 1 4 1 2 7 8", "1 2 a3 a4~4 5 a5 1 a8")),)))
    bars = plan_form(read_form("AB").sections(16), (4, 4), KEYS[0], seed=1, own=own)
    assert [bar.returns for bar in bars[8:14]] == [None, None, 0, None, None, 0]
    assert (bars[11].takes_up, bars[11].motif.anew) == (3, (3,))
    assert own.like("B", 4, 1) == [("B", 0), ("B", 1), ("A", 0), ("B", 3)]
    pooled = UsualForm("AB", phrases=Phrases(((1.0, ("a1 a8 1 a2~4 5 6 7 8",)),)))
    assert pooled.like("A", 8, 1)[:4] == [("A", 0), ("A", 1), ("A", 0), ("A", 3)] and not pooled.motifs(
        "A", 8, KEYS[0], 1
    )
    short = pooled.like("B", 4, 1)
    assert short == [("A", 0), ("B", 1), ("A", 0), ("B", 3)]  # a part of four bars has no eighth


def test_forms_of_kinds_have_sequences_and_rhythms():
    key = KEYS[0]
    motifs = [usual_form(None, "romantic", seed=seed).motifs("A", 8, key, seed) for seed in range(40)]
    found = list(itertools.chain.from_iterable(each.values() for each in motifs))
    assert sum(motif.steps is None for motif in found) > 10
    assert sum(bool(motif.steps) for motif in found) > 10 < sum(bool(motif.anew) for motif in found)
    assert {} in motifs
    tunes = [usual_form("reel", "folk", seed=seed).motifs("B", 8, key, seed) for seed in range(40)]
    assert any(motif.anew for each in tunes for motif in each.values())
    assert {motif.like[0] for each in tunes for motif in each.values()} == {"A", "B"}
