"""What a receipt says was taken from the words is so in the piece."""

import pytest

from clavilux.families.aria.account import Settled, kept
from clavilux.families.aria.controls import resolve
from clavilux.families.aria.prompt import parse_prompt


def said_of(prompt, *, tempo=None, num_bars=8, seconds=20.0, **options):
    said = parse_prompt(prompt)
    options |= {} if tempo is None else {"tempo": tempo}
    controls = resolve(said, seed=1, **options)
    return kept(said.taken, said.claimed, Settled(controls, controls.tempo, num_bars, seconds, frozenset(options)))


@pytest.mark.parametrize(
    "prompt",
    ["slow sad waltz for flute and organ", "jig in D minor at 120 bpm", "string quartet in G", "dense march, 8 bars"],
)
def test_what_nothing_contradicts_is_taken(prompt):
    holds, fails = said_of(prompt)
    assert len(holds) == len(parse_prompt(prompt).taken) and not fails


def test_options_say_otherwise():
    assert said_of("waltz", metre="4/4", tempo=90) == (
        ["waltz = romantic style, for piano"],
        ["waltz = 3/4 (set otherwise)"],
    )
    assert said_of("slow organ in C minor", instruments="flute", tempo=160, key="G major") == (
        [],
        [
            "slow = slow tempo (set otherwise)",
            "organ = church organ (set otherwise)",
            "C minor = C minor (set otherwise)",
        ],
    )
    assert said_of("sad ragtime", style="march", key="F major")[0] == ["sad = unhurried tempo"]


def test_who_plays_by_default_is_not_claimed_where_others_are_named():
    holds, fails = said_of("waltz for flute")
    assert holds[0] == "waltz = 3/4, 126 to 174 quarters a minute, romantic style" and not fails


def test_lengths_are_claimed_only_where_they_are_kept():
    assert said_of("march, 16 bars", num_bars=16)[0][-1] == "16 bars = 16 bars"
    assert said_of("march, 16 bars", num_bars=9) == (["march = march style"], [])  # `fit_asked` says why
    assert said_of("march, 30 seconds", seconds=12.0)[0] == ["march = march style"]


def test_refused_and_contradicted_words_stay_as_they_were_read():
    assert said_of("organ, no drums")[0] == ["organ = church organ", "drums = not wanted: drums"]
    assert "slow = slow tempo, but other words say otherwise" in said_of("slow fast organ")[0]
