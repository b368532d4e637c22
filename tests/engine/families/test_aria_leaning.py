"""What a melody leans away from and to, and the upbeat that a tune's composer is told of."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch

import clavilux
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.harmony import Key
from clavilux.audio.score import bar_quarters
from clavilux.families.aria import leaning
from clavilux.families.aria.controls import resolve
from clavilux.families.aria.form import Motif, plan_bars, plan_form
from clavilux.families.aria.form_names import read_form
from clavilux.families.aria.formats import RemiFormat, Task
from clavilux.families.aria.grammar import ScoreGrammar
from clavilux.families.aria.leaning import (
    chord_leaning,
    chromatic_chords,
    foreign_chords,
    mixed,
    part_leaning,
    pitch_leaning,
    return_leaning,
    sequence_leaning,
    together,
)
from clavilux.families.aria.motifs import MOVED
from clavilux.families.aria.parts import parts_of
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.upbeats import KINDS, upbeat_of
from clavilux.families.aria.voices import HYMN, Part
from clavilux.family import Request
from clavilux.sampling import LeaningGrammar

FIDDLE = Part(40, 55, 93, 1, leads=True)


def test_a_pitch_that_came_often_is_less_likely_and_steps_are_likelier():
    assert pitch_leaning([]) == {}
    same, on, back, third_on, third_back, *_, far_on, far_back = leaning.MOVES["tune"]
    found = pitch_leaning([60] * 8 + [64, 67] * 4)
    assert found[60] == pytest.approx(far_back - leaning.CROWDED * (8 - leaning.USUAL), abs=0.3)
    assert found[64] == pytest.approx(third_back - leaning.CROWDED * (4 - leaning.USUAL))
    assert found[65] == found[66] == back and found[68] == found[69] == on and found[80] == far_on
    # Each came once, which is not often.
    up = pitch_leaning(list(range(60, 76)))
    assert up[76] == up[77] == on and up[78] == up[79] == third_on and up[73] == back
    assert up[74] == back - leaning.BACK
    down = pitch_leaning([*range(76, 60, -3), 61, 61])  # a note said twice goes on as it came
    assert down[57] == down[58] == third_on and down[59] == down[60] == on and down[63] == back
    long_ago = pitch_leaning([60] * 8 + list(range(70, 86)))
    assert long_ago[60] == long_ago[59]  # it does not count
    for run in (1, 2, 3):  # once again is nothing
        run_of = pitch_leaning([*range(60, 74), *[76] * run])
        assert run_of[76] == pytest.approx(same - leaning.AGAIN * (run - 1))


def test_a_song_steps_and_may_go_back_or_leave_the_scale():
    """It came in too many thirds, where tunes go on in them; what is in neither C major nor C minor is likelier."""
    line = list(range(60, 76))
    song, hand, tune = (pitch_leaning(line, manner) for manner in ("song", "hand", "tune"))
    assert song[74] == leaning.MOVES["song"][2] > tune[74] and song[77] > song[79] and hand[90] > song[90]
    assert {(pitch - 60) % 12 for pitch in range(88, 100) if song[pitch] > song[91]} == {1, 6}
    assert song[90] == song[91] + leaning.CHROMATIC and tune[90] == tune[91]


@pytest.mark.parametrize(
    ("ensemble", "step", "again"),
    [(False, leaning.PART_STEP, leaning.AGAIN), (True, leaning.ENSEMBLE_STEP, leaning.ENSEMBLE_AGAIN)],
)
def test_a_part_among_others_leans_from_what_it_repeats(ensemble, step, again):
    chromatic = part_leaning([], ensemble=ensemble)
    assert set(chromatic) == {pitch for pitch in range(128) if pitch % 12 in (1, 6)}
    assert set(chromatic.values()) == {leaning.CHROMATIC}
    twice = part_leaning([*range(60, 74), 75, 75], ensemble=ensemble)
    assert twice == pytest.approx(together(chromatic, dict.fromkeys((73, 74, 76, 77), step), {75: -2 * again}))
    often = part_leaning([60, 64] * 7 + [64, 64], ensemble=ensemble)
    assert often[60] == pytest.approx(-leaning.CROWDED * (7 - leaning.USUAL))
    assert often[64] == pytest.approx(-leaning.CROWDED * (9 - leaning.USUAL) - 3 * again)


@pytest.mark.parametrize(
    ("line", "onward", "back"),
    [
        ([60, 62], {63, 64}, 60), ([62, 60], {58, 59}, 62), ([60, 64], {67, 68, 69}, None),
        ([60, 55], {50, 51, 52}, None), ([60, 60], set(), None), ([60, 67], set(), None), ([60], set(), None),
    ],
)  # fmt: skip
def test_a_part_goes_on_as_it_moved(line, onward, back):
    """In steps or in broken chords, and not at once back to where it was a step ago."""
    found, still = part_leaning(line), part_leaning([90] * (len(line) - 1) + line[-1:])
    changed = {pitch: found.get(pitch, 0.0) - still.get(pitch, 0.0) for pitch in {*found, *still} - {60, 90, line[-1]}}
    changed |= {back: found[back] - (leaning.PART_STEP if abs(back - line[-1]) <= 2 else 0)} if back else {}
    assert {pitch for pitch, nats in changed.items() if nats > 1e-9} == onward
    assert {pitch for pitch, nats in changed.items() if nats < -1e-9} == ({back} if back else set())


def test_an_ensembles_harmony_comes_back_and_resolves():
    tokens = score_tokens()
    chords = {name: tokens.ids[f"Chord_{name}"] for name in ("C:maj", "C:7", "C:min", "G:7", "D:min", "F:maj")}
    bodies = [[chords["C:maj"], 5], [chords["D:min"], chords["G:7"]], []]
    found = chord_leaning(tokens, bodies, tokens.values[chords["G:7"]], "ensemble")
    assert found[chords["C:maj"]] == leaning.HEARD + leaning.RESOLVED
    assert found[chords["D:min"]] == found[chords["G:7"]] == leaning.HEARD
    assert found[chords["C:7"]] == found[chords["C:min"]] == leaning.RESOLVED and chords["F:maj"] not in found
    secondary = chromatic_chords(tokens)
    assert {"Chord_D:maj", "Chord_D:7", "Chord_A:maj"} <= {tokens.names[i] for i in secondary}
    assert {found[i] for i in secondary} == {leaning.CHROMATIC}
    assert chord_leaning(tokens, bodies, tokens.values[chords["C:maj"]], "ensemble")[chords["C:maj"]] == leaning.HEARD
    plain = dict.fromkeys(secondary, leaning.CHROMATIC)
    assert chord_leaning(tokens, [bodies[0], *[[]] * (leaning.BARS_BACK + 1)], None, "ensemble") == plain
    assert chord_leaning(tokens, bodies, tokens.values[chords["G:7"]], "") == plain


@pytest.mark.parametrize("heard", [True, False])
def test_a_bar_that_takes_up_another_has_its_chord_the_more_when_it_was_heard(heard):
    """What a bar is to have and what its ensemble leans to are added up; neither stands for the other."""
    tokens = score_tokens()
    like = Motif(("A", 0), Key(0, "major"), 0)
    bars = plan_bars(3, (4, 4))
    bars = [bars[0], replace(bars[1], takes_up=0, motif=like), bars[2]]
    grammar = ScoreGrammar(tokens, bars, [Part(program, 48, 84, 1) for program in (40, 41, 42)], 90.0)
    names = ["Bar_None", "TimeSig_4/4", "Section_closing.4", "Position_0", "Tempo_90.0", "Chord_F:maj"]
    for program in (40, 41, 42):
        names += [f"Program_{program}", "Pitch_60", "Duration_1.0.12"]
    for name in names:
        grammar.advance(torch.tensor([tokens.ids[name]]))
    grammar.advance(torch.tensor([tokens.ids["Bar_None"]]))
    while (allowed := grammar.allowed()).dtype == torch.int64:
        grammar.advance(allowed)
    with patch.object(leaning, "HEARD", leaning.HEARD if heard else 0.0):
        nats = leaned(grammar)[tokens.ids["Chord_F:maj"]]
    assert nats == pytest.approx(MOVED + heard * leaning.HEARD)


@pytest.mark.parametrize(("texture", "heat"), [("", 1.0), ("ensemble", leaning.TIMES), ("hymn", leaning.HYMN_TIMES)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_rare_pitches_are_never_drawn_and_rare_times_are_but_in_hymns(texture, heat, blocks):
    """Of four tokens that may come the last two have 0.5 % each; the last is a length."""
    odds = torch.tensor([0.5, 0.2, 0.49, 0.005, 0.3, 0.005])  # the second and the fifth may not come
    logits = torch.stack([odds.log(), odds.flip(0).log()])[:blocks, None]
    given, places = logits.clone(), np.array([0, 2, 3, 5])
    leaning.lean(logits, {2: 0.0}, places, np.array([False, False, False, True]), texture)
    expected = given[:, 0]
    expected[:, [3, 5] if texture == "hymn" else 3] -= leaning.NEVER
    assert torch.allclose(logits[:, 0], expected)
    given = logits.clone()
    with patch.object(leaning, "LIKELY", 1.1):
        leaning.lean(logits, {}, places, np.ones(4, dtype=bool), texture)
    assert torch.allclose(logits[:, 0, places], given[:, 0, places] / heat)
    assert torch.equal(logits[:, 0, [1, 4]], given[:, 0, [1, 4]])


def test_what_follows_in_bars_that_began_the_same_is_less_likely():
    assert return_leaning([[1, 2, 3], [1, 2, 4], [1, 2, 3], [5], [1, 2]]) == {
        3: -2 * leaning.RETURNING,
        4: -leaning.RETURNING,
    }
    assert return_leaning([[1, 2, 3], [2]]) == return_leaning([[1]]) == {}
    far = [[1, 2]] + [[7]] * leaning.BARS_BACK
    assert return_leaning([*far, [1]]) == {} != return_leaning([*far[:-1], [1]])


def test_a_melody_leans_to_sequences():
    """Tokens 60 to 72 are pitches, 1 and 2 lengths, 90 and 91 chords."""
    pitches, chords = {pitch: pitch for pitch in range(60, 73)}, {90, 91}

    def leaning_of(*bodies):
        found = sequence_leaning(bodies, pitches, chords)
        assert all(nats == leaning.SEQUENCE for nats in found.values())
        return set(found)

    bar = [90, 60, 1, 62, 1, 64, 2]
    assert leaning_of(bar, [91, 62, 1, 64]) == {1}  # its rhythm
    assert leaning_of(bar, [91, 62, 1]) == {63, 64, 65}  # a tone higher, or what a scale makes of it
    assert leaning_of(bar, [91, 62, 1, 65, 1]) == {66, 67}  # 2 and 3 semitones higher so far
    assert leaning_of(bar, [5], [91, 62, 1]) == {63, 64, 65}  # two bars before
    for other in ([91, 60, 1], [91, 62, 2], [91, 62, 1, 66, 1], [91, 67, 1], [91], [91, 62], [91, 62, 1, 64, 1, 66, 2]):
        assert leaning_of(bar, other) == set()  # the same, other rhythms or steps, too far, too little yet, all of it
    assert leaning_of(bar, [5], [5], [91, 62, 1]) == leaning_of([91, 62, 1]) == set()
    twice = sequence_leaning([bar, bar, [91, 62, 1, 64]], pitches, chords)
    assert twice == {1: 2 * leaning.SEQUENCE}


@pytest.mark.parametrize(
    ("onsets", "places"),
    [
        ([], []), ([0], []), ([0, 6], []), ([0, 3], [4, 8]), ([9], [4, 8]), ([0, 8], [3, 9]), ([3, 9, 12], []),
        ([4, 24, 27], [28, 32]), ([0, 3, 4], [4, 8, 3, 9]),
    ],
)  # fmt: skip
def test_a_beat_has_sixteenths_or_triplets(onsets, places):
    assert mixed(onsets) == places


def test_the_other_notes_of_a_triplet_are_likelier_than_sixteenths():
    tokens = score_tokens()
    grammar = grammar_after(FIDDLE, [])
    for name in ("Pitch_60", "Duration_0.4.12", "Position_4", "Program_40", "Pitch_62", "Duration_0.4.12"):
        grammar.advance(torch.tensor([tokens.ids[name]]))
    logits = leaned(grammar)
    lower = {tokens.names[i] for i in (logits <= -leaning.MIXED).nonzero()[:, 0].tolist()}
    assert lower == {"Position_3", "Position_9"}


@pytest.mark.parametrize("voicing", [HYMN, None])
def test_a_hymn_has_no_splinters(voicing):
    """Between sixteenths and triplets are lengths of a twelfth of a beat; a composer that has one goes on with them."""
    tokens = score_tokens()
    grammar = ScoreGrammar(tokens, plan_bars(2, (4, 4)), [Part(0, 36, 84, 4, voicing=voicing)], 90.0)
    while (allowed := grammar.allowed()).dtype == torch.int64:
        grammar.advance(allowed)
    logits = leaned_after(grammar, "Chord_C:maj", "Program_0", "Pitch_48")
    dropped = {tokens.names[i] for i in (logits <= -leaning.NEVER).nonzero()[:, 0].tolist()}
    assert dropped == ({"Duration_0.1.12", "Duration_0.2.12"} if voicing else set())


def leaned_after(grammar, *names):
    """What a grammar adds to logits [V] after more tokens."""
    for name in names:
        grammar.advance(torch.tensor([score_tokens().ids[name]]))
    return leaned(grammar)


def test_a_melody_leans_to_the_tonic_where_its_part_closes():
    parts = read_form("AAB").sections(12)
    bars = plan_form(parts, (4, 4), Key.parse("C"), seed=1)
    assert [at for at, bar in enumerate(bars) if bar.closes] == [7, 11]  # the first A ends on the dominant
    tokens = score_tokens()
    opened = {}
    for closes in (False, True):
        grammar = ScoreGrammar(tokens, [replace(bars[7], closes=closes, takes_up=None), bars[11]], [FIDDLE], 90.0)
        while (allowed := grammar.allowed()).dtype == torch.int64:
            grammar.advance(allowed)
        grammar.advance(torch.tensor([tokens.ids["Program_40"]]))
        logits = leaned(grammar)
        opened[closes] = {tokens.names[i]: float(logits[i]) for i in logits.nonzero()[:, 0].tolist()}
    assert opened[False] == {}
    assert opened[True] == {f"Pitch_{pitch}": leaning.CLOSING for pitch in range(24, 109, 12)}


@pytest.mark.parametrize("begins", [True, False])
def test_a_piece_leans_from_a_first_chord_in_no_key(begins):
    tokens = score_tokens()
    names = {tokens.names[i] for i in foreign_chords(tokens)}
    assert {"Chord_A:maj", "Chord_C#:maj", "Chord_E:7"} <= names
    assert not names & {"Chord_C:maj", "Chord_G:7", "Chord_A:min", "Chord_C:min", "Chord_D#:maj", "Chord_B:dim7"}
    grammar = ScoreGrammar(tokens, plan_bars(2, (4, 4)), [FIDDLE], 90.0, begins=begins)
    while (allowed := grammar.allowed()).dtype == torch.int64:
        grammar.advance(allowed)
    logits = leaned(grammar)
    lower = {tokens.names[i] for i in (logits <= leaning.CHROMATIC - leaning.FOREIGN).nonzero()[:, 0].tolist()}
    assert lower == (names if begins else set())


def leaned(grammar):
    """What a grammar adds to logits [V] that are all the same, of which nothing is dropped as rare."""
    grammar.allowed()
    logits = torch.zeros(1, 1, len(score_tokens()))
    with patch("clavilux.families.aria.leaning.LIKELY", 1.1):
        grammar.lean(logits)
    return logits[0, 0]


def grammar_after(part, pitches):
    """A grammar of one part, where the next pitch is to be drawn after others on eighths."""
    tokens = score_tokens()
    grammar = ScoreGrammar(tokens, plan_bars(2, (4, 4), key=Key.parse("C")), [part], 120.0)
    names = ["Bar_None", "TimeSig_4/4", "Section_closing.5", "Position_0", "Tempo_120.0", "Chord_C:maj", "Program_40"]
    for i, pitch in enumerate(pitches):
        names += [f"Pitch_{pitch}", "Duration_0.6.12", f"Position_{6 * (i + 1)}"]
    for name in names:
        grammar.advance(torch.tensor([tokens.ids[name]]))
    return grammar


def test_the_grammar_leans_where_notes_are_written():
    tokens, pitches = score_tokens(), [72, 72, 72, 72, 72]
    for part, leans in ((FIDDLE, pitch_leaning), (Part(40, 55, 93, 1), part_leaning)):
        grammar = grammar_after(part, pitches)
        assert isinstance(grammar, LeaningGrammar)
        logits = leaned(grammar)
        changed = {tokens.names[i]: logits[i].item() for i in logits.nonzero()[:, 0].tolist()}
        expected = {f"Pitch_{pitch}": nats for pitch, nats in leans(pitches).items() if nats}
        assert changed == pytest.approx({name: nats for name, nats in expected.items() if name in tokens.ids})


def test_of_a_chord_its_highest_note_counts():
    tokens = score_tokens()
    piano = Part(0, 28, 96, 10)
    grammar = ScoreGrammar(tokens, plan_bars(2, (4, 4), key=Key.parse("C")), [piano], 120.0)
    names = ["Bar_None", "TimeSig_4/4", "Section_closing.5", "Position_0", "Tempo_120.0", "Chord_C:maj", "Program_0"]
    for name in [*names, "Pitch_60", "Duration_1.0.12", "Pitch_72", "Duration_1.0.12", "Position_12", "Program_0"]:
        grammar.advance(torch.tensor([tokens.ids[name]]))
    logits = leaned(grammar)
    changed = {i for i in logits.nonzero()[:, 0].tolist() if logits[i] != pytest.approx(leaning.CHROMATIC)}
    assert {tokens.names[i] for i in changed} == {f"Pitch_{p}" for p in range(70, 75)}


@pytest.mark.parametrize("metre", [(6, 8), (9, 8), (2, 4), (2, 2), (3, 4)])
@pytest.mark.parametrize("key", ["D major", "A minor"])
def test_an_upbeat_ends_its_bar_in_the_part(metre, key):
    controls = resolve(parse_prompt("jig on fiddle"), seed=1, key=key, metre="/".join(map(str, metre)))
    parts, _ = parts_of(("fiddle",), -2)
    for seed in range(20):
        bar = upbeat_of("jig", controls, 174.0, parts, seed)
        assert bar.tempos == ((0.0, 174.0),) and bar.metres == ((0.0, metre),) and bar.key.tonic == 0
        assert bar.notes["start"].min() >= bar_quarters(metre) / 2
        assert (bar.notes["start"] + bar.notes["duration"]).max() == pytest.approx(bar_quarters(metre))
        assert parts[0].low <= bar.notes["pitch"].min() and bar.notes["pitch"].max() <= parts[0].high
    assert len({tuple(upbeat_of("jig", controls, 174.0, parts, seed).notes["pitch"]) for seed in range(20)}) > 3
    assert upbeat_of("jig", controls, 174.0, [Part(40, 95, 100, 1)], 1) is None
    assert upbeat_of("waltz", controls, 174.0, parts, 1) is None and upbeat_of(None, controls, 174.0, parts, 1) is None
    assert "jig" in KINDS


def test_the_composer_reads_the_upbeat_and_begins_on_the_first_beat():
    controls = resolve(parse_prompt("jig on fiddle"), seed=1)
    upbeat = upbeat_of("jig", controls, 174.0, [FIDDLE], 1)
    task = Task(plan_bars(4, (6, 8), key=Key.parse("C")), [FIDDLE], [None] * 4, 174.0, upbeat=upbeat)
    prompt, grammar = RemiFormat().begin(task, None, 0, 500)
    tokens = score_tokens()
    names = [tokens.names[i] for i in prompt[0, 0].tolist()]
    assert names[:5] == ["Bar_None", "TimeSig_6/8", "Section_opening.7", "Position_0", "Tempo_174.0"]
    assert "Pitch_" in " ".join(names[6:])
    head = []
    while (allowed := grammar.allowed()).dtype == torch.int64:
        head.append(tokens.names[int(allowed[0])])
        grammar.advance(allowed)
    assert head == ["Bar_None", "TimeSig_6/8", "Section_closing.0", "Position_0"]  # the tempo has been said
    grammar.advance(torch.tensor([tokens.ids["Chord_C:maj"]]))
    assert {tokens.kinds[i] for i in grammar.allowed()[0].nonzero()[:, 0].tolist()} == {"Program"}


def test_nobody_plays_the_upbeat():
    aria = clavilux.load("aria")
    song = aria.generate("irish jig on fiddle", seconds=6, seed=3)
    assert song.score.notes["start"].min() == 0
    names = [score_tokens().names[i] for i in song.tokens[0].tolist()]
    assert names.count("Bar_None") == song.receipt["controls"]["bars"]
    same = {"prompt": "irish jig on fiddle", "seconds": 6, "seed": 3}
    nats = aria.score(song.tokens, **same)
    assert nats.shape == song.tokens.shape and np.isfinite(nats.numpy()).all()


def test_tunes_with_upbeats_of_one_and_of_two_notes_are_made_in_one_call():
    aria, prompt = clavilux.load("aria"), "irish jig on fiddle"
    asked = [Request(prompt=prompt, seconds=3.0, seed=seed) for seed in range(4)]
    assert len({each.prompt.shape[2] for each in aria.family.begin(asked)}) == 2
    songs = aria.generate(prompt, seconds=3, seed=[0, 1, 2, 3], batch=4)
    assert [song.receipt["seed"] for song in songs] == [0, 1, 2, 3]
    assert all(song.score.notes["start"].min() == 0 for song in songs)
