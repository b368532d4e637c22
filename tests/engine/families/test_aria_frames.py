"""A composer that writes a note a step: whatever its weights, what is asked stands, and the same is said each time."""

from __future__ import annotations

import itertools
import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import clavilux
from clavilux.audio.chart import parse_chords, read_chart
from clavilux.audio.codecs.note_frames import BAR, BOOKS, CHORD, END, IDS, decode_frames, readable
from clavilux.audio.harmony import Key
from clavilux.audio.score import bar_quarters
from clavilux.errors import CheckpointError
from clavilux.families.aria.family import Composer
from clavilux.families.aria.form import Bar, plan_bars
from clavilux.families.aria.formats import FrameFormat
from clavilux.families.aria.frame_grammar import FrameGrammar
from clavilux.families.aria.heads import planned_heads
from clavilux.families.aria.voices import Part
from clavilux.family import Request
from clavilux.mark_key import PUBLIC
from clavilux.provenance.mark_scores import find_in_score
from clavilux.training.labels import LABELS
from clavilux.training.note_composer import ComposerSpec
from tests.helpers.drawn_frames import walked

PARTS = [Part(40, 55, 90, 1), Part(0, 30, 90, 4)]
SPEC = ComposerSpec(width=16, layers=1, heads=2, ffn_width=16, context=256)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of random weights."""
    out = tmp_path_factory.mktemp("frames")
    torch.manual_seed(0)
    weights = Composer(SPEC.decoder(), len(LABELS)).state_dict()
    save_file({name: tensor.half().contiguous() for name, tensor in weights.items()}, out / "model.safetensors")
    frames = {"books": BOOKS, "delays": SPEC.delays, "ids": IDS}
    config = {"family": "aria", "frames": frames, "decoder": SPEC.decoder().to_dict(), "styles": LABELS}
    (out / "config.json").write_text(json.dumps(config))
    return out


@pytest.fixture(scope="module")
def model(folder):
    return clavilux.load(folder)


def walk(seed, bars, parts=PARTS, **given):
    """Frames drawn evenly from what is allowed."""
    layout = FrameFormat().layout
    steps = walked(FrameGrammar(layout, bars, planned_heads(bars), parts, **given), seed)
    frames = layout.restore(torch.stack(steps, 1)[None])[0].numpy()
    assert readable(frames).all()
    return frames


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (2, 2), (6, 8), (3, 2), (9, 8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_walk_is_a_score_with_everything_in_place(metre, seed):
    chords = parse_chords("Cm Fm | G7") if seed else None
    bars = plan_bars(4, metre, chords=chords, key=Key.parse("C minor"))
    score, length = decode_frames(walk(seed, bars)), bar_quarters(metre)
    assert score.length == 4 * length and score.metres == ((0.0, metre),)
    assert (score.notes["start"] + score.notes["duration"]).max() <= 4 * length + 1e-6
    assert set((score.notes["start"] // length).astype(int)) == {0, 1, 2, 3}
    for program, low, high in ((40, 55, 90), (0, 30, 90)):
        own = score.notes[score.notes["program"] == program]
        assert low <= own["pitch"].min() and own["pitch"].max() <= high
        assert (own["start"] >= 3 * length).any()  # nobody is missing where the piece ends
    violin = score.notes[score.notes["program"] == 40]
    assert len(np.unique(violin["start"])) == len(violin)
    asked = [(i * length + q, c) for i, bar in enumerate(bars) for q, c in bar.chords or ()]
    if chords:
        kept = [pair for i, pair in enumerate(asked) if not i or asked[i - 1][1] != pair[1]]
        assert [(round(q, 4), c) for q, c in score.chords] == [(round(q, 4), c) for q, c in kept]
    last = score.notes[score.notes["start"] >= 3 * length]
    tones = frozenset().union(*(chord.pitch_classes for _, chord in bars[-1].chords))
    assert {int(pitch) % 12 for pitch in last["pitch"]} <= tones


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("parts", [PARTS, PARTS[:1], PARTS[1:], [Part(42, 36, 74, 1), Part(43, 28, 55, 1)]])
def test_a_bass_is_the_lowest_note_that_begins_with_its_chord(parts, seed):
    bars = plan_bars(4, (4, 4), chords=parse_chords("C/E | F/G Am7/G | N.C. | C/E"))
    score = decode_frames(walk(seed, bars, parts))
    for quarter, bass in ((0, 4), (4, 7), (6, 7), (12, 4)):
        here = score.notes["pitch"][np.abs(score.notes["start"] - quarter) < 1e-6]
        assert here.min() % 12 == bass


def test_what_returns_returns_note_for_note_and_a_bar_that_rests_is_empty():
    plain = plan_bars(6, (3, 4), key=Key.parse("C"))
    bars = [*plain[:2], Bar((3, 4), "middle", returns=1), Bar((3, 4), "middle", returns=0), plain[4], plain[5]]
    bars[4] = Bar((3, 4), "middle", rests=True)
    frames = walk(3, bars)
    heads = [*np.flatnonzero(frames[0] == BAR).tolist(), frames.shape[1]]
    bodies = [frames[:, a + 1 : b] for a, b in itertools.pairwise(heads)]
    assert np.array_equal(bodies[2], bodies[1]) and np.array_equal(bodies[3], bodies[0])
    assert bodies[4].shape[1] == 0 and all(body.shape[1] > 1 for body in bodies[:4])


def test_bars_that_are_given_stay_and_others_are_written():
    bars = plan_bars(3, (4, 4), key=Key.parse("C"))
    first = walk(1, bars)
    heads = np.flatnonzero(first[0] == BAR).tolist()
    kept = [first[:, heads[0] + 1 : heads[1]].astype(int), None, first[:, heads[2] + 1 :].astype(int)]
    second = walk(2, bars, kept=kept)
    at = np.flatnonzero(second[0] == BAR).tolist()
    assert np.array_equal(second[:, : at[1]], first[:, : heads[1]])
    assert np.array_equal(second[:, at[2] :], first[:, heads[2] :])
    assert not np.array_equal(second[:, at[1] : at[2]], first[:, heads[1] : heads[2]])


REQUESTS = 100


def request(number):
    """Words and controls, and what they ask for."""
    chance = random.Random(number)
    key = Key(chance.randrange(12), chance.choice(("major", "minor")))
    names = chance.sample(("violin", "flute", "cello", "piano", "guitar", "tuba", "choir"), chance.randint(1, 4))
    metre, bars = chance.choice(("2/4", "3/4", "4/4", "6/8", "2/2", "5/4")), chance.randint(1, 5)
    chart = chance.choice((None, "C", "Am F | G7", "Dm/F | N.C. | E7 Am"))
    controls = {"key": str(key), "instruments": names, "metre": metre, "tempo": chance.choice((40.0, 97.5, 240.0))}
    return f"{bars} bars", bars, controls | ({"chords": chart} if chart and metre != "2/4" else {})


def test_whatever_is_asked_stands_in_a_hundred_of_a_hundred(model):
    kept = 0
    for number in range(REQUESTS):
        words, bars, controls = request(number)
        generation = begun(model, words, number, controls)
        for ids in walked(generation.grammar, number):  # as any weights might draw
            generation.push(ids)
        generation.finish()
        score = generation.complete(torch.zeros(2, 1)).score
        beats, unit = map(int, controls["metre"].split("/"))
        quarters = bars * beats * 4 / unit
        inside = score.notes["start"] < quarters + 1e-6
        assert score.tempos == ((0.0, controls["tempo"]),) and score.metres == ((0.0, (beats, unit)),)
        assert inside.all() and len(score.bar_starts()) >= bars
        assert {*np.floor(score.notes["start"] / (beats * 4 / unit)).astype(int)} == {*range(bars)}
        wanted = generation.receipt["controls"]
        assert wanted["bars"] == bars and set(wanted["instruments"]) == set(controls["instruments"])
        if "chords" in controls:
            asked = plan_bars(bars, (beats, unit), chords=read_chart(controls["chords"])[0])
            places = [(i * beats * 4 / unit + q, c) for i, bar in enumerate(asked) for q, c in bar.chords or ()]
            said = {round(q, 3): (c.root, c.quality) for q, c in score.chords}
            named = [(c.root, c.quality) for _, c in places]
            assert all(said.get(round(q, 3), named[i]) == named[i] for i, (q, _) in enumerate(places))
        else:
            tonic = Key.parse(controls["key"])
            third = 4 if tonic.mode == "major" else 3
            last = score.notes[score.notes["start"] >= quarters - beats * 4 / unit - 1e-6]
            tones = {tonic.tonic, (tonic.tonic + third) % 12, (tonic.tonic + 7) % 12}
            assert {int(pitch) % 12 for pitch in last["pitch"]} <= tones
        kept += 1
    assert kept == REQUESTS


def begun(model, words, seed, controls):
    """A generation that plays nothing: rendering takes longer than writing."""
    request = Request(words, 20.0, seed, None, controls | {"anything": True}, open_length=True)
    generation = model.family.begin([request])[0]
    generation._player._renderer = Silence()
    return generation


class Silence:
    def feed(self, *_):
        return torch.zeros(2, 0)

    def finish(self):
        return torch.zeros(2, 1)


def test_the_same_seed_says_the_same_alone_among_others_and_in_a_stream(model):
    asked = {"seconds": 4, "instruments": "piano", "tempo": 120}
    alone = model.generate("nocturne", seed=7, **asked)
    others = model.generate(["reel", "nocturne"], seed=[3, 7], **asked)
    assert torch.equal(others[1].tokens, alone.tokens) and torch.equal(others[1].samples, alone.samples)
    assert not torch.equal(others[0].tokens, alone.tokens)
    pieces = list(model.stream("nocturne", seed=7, **asked))
    assert len(pieces) > 1 and torch.equal(torch.cat([piece.samples for piece in pieces], 1), alone.samples)
    assert alone.samples.shape[1] == 4 * alone.sample_rate and alone.tokens.shape[0] == 5
    assert alone.receipt["model_sha256"] and alone.receipt["controls"]["style"] == "romantic"


def test_a_mark_in_frames_is_found_in_the_score(model):
    asked = {"seconds": 24, "tempo": 120, "seed": 4, "instruments": ["violin", "piano"]}
    found = [
        find_in_score(model.generate("romantic music", mark=mark, **asked).score, PUBLIC) for mark in (True, False)
    ]
    assert found[0].p < 1e-6 and found[1].p > 1e-3 and found[0].tokens > 24


def test_velocities_are_the_composers_own(model):
    song = model.generate("piano", seed=1, seconds=3, tempo=120)
    frames = song.tokens.numpy()
    notes = (frames[0] < BAR) & (frames[1] < CHORD)
    drawn = set((frames[4][notes] * 8 - 4).tolist())
    assert set(song.score.notes["velocity"].tolist()) <= drawn and len(drawn) > 2


def test_a_score_goes_on_and_what_was_given_stays(model, tmp_path):
    first = model.generate("piano in D major", seed=2, seconds=4, tempo=120, metre="4/4")
    first.score.save_midi(tmp_path / "first.mid")
    longer = model.generate("", seed=3, seconds=8, continue_from=tmp_path / "first.mid")
    was, now = first.score.notes, longer.score.notes
    assert np.array_equal(now["pitch"][: len(was)], was["pitch"]) and len(now) > len(was)
    assert longer.score.tempos == first.score.tempos and longer.duration_s == 8
    again = model.generate("", seed=3, seconds=8, continue_from=tmp_path / "first.mid")
    assert torch.equal(again.tokens, longer.tokens)


def test_frames_are_encoded_decoded_and_scored_in_any_key(model):
    song = model.generate("piano in E flat major", seed=4, seconds=4, tempo=100, metre="3/4")
    tokens = model.encode(song.score)
    assert tokens.shape[0] == 5 and int(tokens[0, -1]) == END
    heard = model.decode(tokens)
    assert sorted(heard.score.notes["pitch"].tolist()) == sorted(song.score.notes["pitch"].tolist())
    logits = model.logits(tokens, prompt="piano in E flat major", anything=True)
    scores = model.score(tokens, prompt="piano in E flat major", anything=True)
    assert logits.shape == (*tokens.shape, IDS)
    torch.testing.assert_close(scores, logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delays": [0, 0, 0, 0, 0]}, "frames is"),
        ({"ids": 128}, "frames is"),
        ({"sha256": "0" * 64}, "other note frames"),
    ],
)
def test_other_frames_are_refused(folder, tmp_path, change, message):
    config = json.loads((folder / "config.json").read_text())
    config["frames"] |= change
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=message):
        clavilux.load(tmp_path)
