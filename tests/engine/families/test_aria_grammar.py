"""The grammar: whatever is drawn, what was asked stands in its place."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from clavilux.audio.chart import parse_chords
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.harmony import Key
from clavilux.audio.harmony_analysis import beat_group
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.form import plan_bars
from clavilux.families.aria.grammar import ScoreGrammar
from clavilux.families.aria.voices import HYMN, Part

PARTS = [Part(40, 55, 90, 1), Part(0, 30, 90, 4)]


def walk(seed, bars, parts=PARTS, tempo=72.0):
    """Tokens drawn evenly from what is allowed."""
    random, tokens = np.random.default_rng(seed), score_tokens()
    grammar = ScoreGrammar(tokens, bars, parts, tempo)
    drawn = []
    while not grammar.done:
        allowed = grammar.allowed()
        if allowed.dtype == torch.bool:
            choices = allowed[0].nonzero()[:, 0].tolist()
            assert choices, f"nothing may follow {tokens.names[drawn[-1]]}"
            # Bars end now and then, or a walk would fill every position.
            bar = tokens.ids["Bar_None"]
            token = bar if bar in choices and random.random() < 0.2 else int(random.choice(choices))
        else:
            token = int(allowed[0])
        drawn.append(token)
        grammar.advance(torch.tensor([token]))
        assert len(drawn) < 20_000
    return drawn


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (2, 2), (6, 8), (3, 2), (9, 8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_walk_is_a_score_with_everything_in_place(metre, seed):
    tokens, key = score_tokens(), Key.parse("C minor")
    chords = parse_chords("Cm Fm | G7") if seed else None
    bars = plan_bars(4, metre, chords=chords, key=key)
    drawn = walk(seed, bars)
    assert tokens.kinds[drawn[-1]] == "Bar"
    score = tokens.decode(drawn[:-1])
    assert [tokens.values[i] for i in drawn if tokens.kinds[i] == "Section"] == [
        (bar.section, bar.place) for bar in bars
    ]
    assert score.tempos == ((0.0, 72.0),)
    length = 4 * bar_quarters(metre)
    assert (score.notes["start"] + score.notes["duration"]).max() <= length + 1e-6
    for bar in range(4):
        begins = bar * bar_quarters(metre)
        inside = (score.notes["start"] >= begins) & (score.notes["start"] < begins + bar_quarters(metre))
        assert inside.any(), f"bar {bar} is empty"
    assert set(score.notes["program"].tolist()) == {0, 40}
    for program, low, high in ((40, 55, 90), (0, 30, 90)):
        pitches = score.notes["pitch"][score.notes["program"] == program]
        assert low <= pitches.min() and pitches.max() <= high
    asked = [(i * bar_quarters(metre) + q, c) for i, bar in enumerate(bars) for q, c in bar.chords or ()]
    if chords:
        expected = [asked[0]] + [b for a, b in itertools.pairwise(asked) if a[1] != b[1]]
        assert [(round(q, 4), c) for q, c in score.chords] == [(round(q, 4), c) for q, c in expected]
    else:
        assert score.chords[-1][1] == asked[-1][1]
    last = score.notes[score.notes["start"] >= 3 * bar_quarters(metre)]
    chord_tones = frozenset().union(*(chord.pitch_classes for _, chord in bars[-1].chords))
    assert {int(pitch) % 12 for pitch in last["pitch"]} <= chord_tones


def test_a_part_for_one_player_begins_one_note_at_once():
    tokens = score_tokens()
    score = tokens.decode(walk(5, plan_bars(6, (4, 4)))[:-1])
    violin = score.notes[score.notes["program"] == 40]
    assert len(np.unique(violin["start"])) == len(violin)


def test_under_way_no_tempo_is_said():
    tokens = score_tokens()
    drawn = walk(1, plan_bars(2, (4, 4), continues=True), tempo=None)
    assert "Tempo" not in {tokens.kinds[i] for i in drawn}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("parts", [PARTS, PARTS[:1], PARTS[1:], [Part(42, 36, 74, 1), Part(43, 28, 55, 1)]])
def test_a_bass_is_the_lowest_note_that_begins_with_its_chord(parts, seed):
    tokens = score_tokens()
    bars = plan_bars(4, (4, 4), chords=parse_chords("C/E | F/G Am7/G | N.C. | C/E"))
    score = tokens.decode(walk(seed, bars, parts)[:-1])
    for quarter, bass in ((0, 4), (4, 7), (6, 7), (12, 4)):
        here = score.notes["pitch"][np.abs(score.notes["start"] - quarter) < 1e-6]
        assert here.min() % 12 == bass


@pytest.mark.parametrize(("metre", "latest"), [((4, 4), 2), ((3, 4), 1), ((6, 8), 1.5), ((2, 4), 1), ((3, 2), 2)])
@pytest.mark.parametrize("chords", [None, "C Am | G C"])
@pytest.mark.parametrize("voicing", [HYMN, None])
def test_a_phrase_ends_on_a_chord_that_is_held(metre, latest, chords, voicing):
    """Nothing begins after the beat at the half of its last bar, and what begins there lasts until the bar ends."""
    key, length, held = Key.parse("C"), bar_quarters(metre), 0
    bars = plan_bars(8, metre, chords=chords and parse_chords(chords), key=key)
    bars = [replace(bar, breath=at in (1, 3, 5)) for at, bar in enumerate(bars)]
    part = Part(0, 36, 84, 4, voicing=voicing)
    for seed in range(4):
        notes = score_tokens().decode(walk(seed, bars, [part])[:-1]).notes
        for at in (1, 3, 5):
            begins = at * length
            inside = notes[(notes["start"] >= begins - 1e-6) & (notes["start"] < begins + length - 1e-6)]
            last = begins + max(latest, beat_group(metre) if chords else 0)  # a chord that was asked for has its notes
            assert (inside["start"] <= last + 1e-6).all()
            ends = inside["start"] + inside["duration"]
            assert ((ends > begins + length - 1e-3) | (ends < last + 1e-3)).all()
            held += (ends > begins + length - 1e-3).sum()
    assert held
