"""Prompts as people write them, and what they are read as."""

import random
import time

import pytest

from clavilux.audio.arranging.library import band_names
from clavilux.audio.harmony import Key
from clavilux.families.aria.instruments import INSTRUMENTS, MAX_INSTRUMENTS
from clavilux.families.aria.lexicon import PACES, PHRASES
from clavilux.families.aria.prompt import MAX_LISTED, MAX_READ, ParsedPrompt, parse_prompt
from clavilux.families.aria.styles import METRES, STYLES

STRINGS = ("violin", "violin", "viola", "cello")
BRASS = ("trumpet", "french horn", "trombone", "tuba")

# Prompt, and every field that differs from "nothing said".
PROMPTS = [
    ("", {}),
    ("slow church organ chorale in G minor",
     {"style": "chorale", "instruments": ("church organ",), "key": "G minor", "pace": "slow"}),
    ("irish reel on fiddle",
     {"style": "folk", "instruments": ("fiddle",), "metre": (2, 2), "span": (184, 224)}),
    ("brass chorale", {"style": "chorale", "instruments": BRASS}),
    ("fast baroque harpsichord in D major 3/4",
     {"style": "baroque", "instruments": ("harpsichord",), "key": "D major", "metre": (3, 4),
      "pace": "fast"}),
    ("sad string quartet at 60 bpm",
     {"style": "quartet", "instruments": STRINGS, "tempo": 60.0, "mode": "minor"}),
    ("ragtime piano", {"style": "ragtime", "instruments": ("piano",)}),
    ("march for brass band in Bb",
     {"style": "marching band", "instruments": (), "key": "Bb major",
      "avoid": (("instrument", "clarinet"), ("instrument", "piccolo"))}),
    ("lullaby for music box",
     {"style": "lullaby", "instruments": ("music box",), "metre": (3, 4), "span": (63, 84),
      "density": "sparse"}),
    ("heavy metal dubstep with distorted guitar",
     {"style": "metal", "instruments": ("guitar",), "unknown": ("dubstep", "distorted")}),
    ("waltz", {"style": "romantic", "metre": (3, 4), "span": (126, 174), "ensemble": ("piano",)}),
    ("Schubert song", {"style": "art song"}),
    ("Chopin nocturne", {"style": "romantic", "pace": "unhurried", "ensemble": ("piano",)}),
    ("Chopin song", {"style": "art song"}),
    ("Bach fugue on organ in D minor",
     {"style": "baroque", "instruments": ("church organ",), "key": "D minor"}),
    ("renaissance lute dance", {"style": "renaissance", "instruments": ("lute",), "pace": "lively"}),
    ("happy flute and guitar duet, allegro",
     {"instruments": ("flute", "guitar"), "mode": "major", "pace": "fast"}),
    # Styles: the more definite word holds.
    ("Bach chorale", {"style": "chorale"}),
    ("Mozart string quartet", {"style": "quartet", "instruments": STRINGS}),
    ("baroque string quartet", {"style": "baroque", "instruments": STRINGS}),
    ("folk song", {"style": "folk"}),
    ("funeral march", {"style": "march", "metre": (4, 4), "span": (50, 66), "mode": "minor"}),
    ("two hymns and a jig", {"style": "chorale", "metre": (6, 8), "span": (160, 190)}),
    # Instruments.
    ("two violins and a cello", {"instruments": ("violin", "violin", "cello")}),
    ("violin duet", {"instruments": ("violin", "violin")}),
    ("3 recorders", {"instruments": ("recorder",) * 3}),
    ("a trio", {"players": 3}),
    ("jazz trio", {"style": "jazz swing", "players": 3}),
    ("Pianos, FLUTES & clarinet's", {"instruments": ("piano", "flute", "clarinet")}),
    ("e-piano", {"instruments": ("electric piano",)}),
    ("🎻 and 🎹", {"instruments": ("violin", "piano")}),
    # Keys.
    ("in f# minor", {"key": "F# minor"}),
    ("e-flat major", {"key": "Eb major"}),
    ("a piece in A♭", {"key": "Ab major"}),
    ("sad and in G", {"key": "G minor", "pace": "unhurried"}),
    ("happy in G minor", {"key": "G minor"}),
    ("in a minor key", {"mode": "minor"}),
    ("in A minor", {"key": "A minor"}),
    ("Gm", {"key": "G minor"}),
    ("I Am in a garden", {"unknown": ("Am", "garden")}),
    ("in D then in E", {"key": "E major"}),
    ("h-moll", {"key": "B minor"}),
    ("Es-Dur", {"key": "Eb major"}),
    ("si bémol majeur", {"key": "Bb major"}),
    # Tempo, metre.
    ("♩ = 72", {"tempo": 72.0}),
    ("tempo 90", {"tempo": 90.0}),
    ("fast at 120.5 bpm", {"tempo": 120.5}),
    ("9999 bpm in 7/16", {}),
    ("fast slow", {"pace": "slow"}),
    ("very slow", {"pace": "very slow"}),
    ("allegro ma non troppo", {"pace": "lively"}),
    ("six-eight time", {"metre": (6, 8)}),
    ("a minuet in 4/4", {"style": "classical", "metre": (4, 4), "span": (96, 126)}),
    # Density, section, chords.
    ("16 bars of piano", {"instruments": ("piano",), "bars": 16}),
    ("twelve bars", {"bars": 12}),
    ("a 2-minute march", {"style": "march", "length": 120.0}),
    ("busy ending", {"density": "dense", "section": "closing"}),
    ("chords Am F C G on guitar", {"chords": "Am F C G", "instruments": ("guitar",)}),
    ("Gm Cm | D7 | Gm", {"chords": "Gm Cm | D7 | Gm"}),
    ("Am-F-C-G", {"chords": "Am F C G"}),
    # Refusals.
    ("no drums or piano, guitar",
     {"instruments": ("guitar",), "avoid": (("instrument", "drums"), ("instrument", "piano"))}),
    ("minuet without violin", {"style": "classical", "metre": (3, 4), "span": (96, 126),
                               "avoid": (("instrument", "violin"),)}),
    ("not sad, not too fast", {"mode": "major", "pace": "moderate"}),
    ("not baroque", {"avoid": (("style", "baroque"),)}),
    ("not in 3/4", {"avoid": (("metre", (3, 4)),)}),
    ("no dubstep", {"unknown": ("no", "dubstep")}),
    ("Sonata no. 5", {"style": "classical", "ensemble": ("piano",)}),
    # Other languages and scripts.
    ("langsamer Walzer für Klavier in d-moll",
     {"style": "romantic", "instruments": ("piano",), "key": "D minor", "metre": (3, 4), "span": (126, 174),
      "pace": "slow", "ensemble": ("piano",)}),
    ("nocturne en sol mineur pour flûte",
     {"style": "romantic", "instruments": ("flute",), "key": "G minor", "pace": "unhurried",
      "ensemble": ("piano",)}),
    ("ピアノ", {"unknown": ("ピアノ",)}),
    ("\x00\x07\u200b\ufeff \t\n", {}),
]  # fmt: skip
FIELDS = (
    "style",
    "instruments",
    "players",
    "ensemble",
    "key",
    "mode",
    "tempo",
    "pace",
    "span",
    "metre",
    "density",
    "section",
    "chords",
    "bars",
    "length",
)


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS)
def test_prompts_are_read_as_they_are_meant(prompt, expected):
    got = parse_prompt(prompt)
    wanted = dict(expected)
    if "key" in wanted:
        wanted["key"] = Key.parse(wanted["key"])
        wanted["mode"] = wanted["key"].mode
    nothing = ParsedPrompt()
    assert {f: getattr(got, f) for f in (*FIELDS, "avoid", "unknown")} == {
        f: wanted.get(f, getattr(nothing, f)) for f in (*FIELDS, "avoid", "unknown")
    }


def test_what_was_taken_says_the_words_as_written_and_what_they_mean():
    assert parse_prompt("SLOW Orgel, fast").taken == (
        ("SLOW", "slow tempo, but other words say otherwise"),
        ("Orgel", "church organ"),
        ("fast", "fast tempo"),
    )
    assert parse_prompt("no drums").taken == (("drums", "not wanted: drums"),)


def test_near_misses_are_hinted_at_and_not_taken():
    got = parse_prompt("clarinnet and zzzz")
    assert got.instruments == ()
    assert got.unknown == ("clarinnet", "zzzz")
    assert got.hints == (("clarinnet", "clarinet"),)


def test_every_phrase_is_understood_by_itself():
    for phrase, claims in PHRASES.items():
        if claims:
            got = parse_prompt(" ".join(phrase))
            assert bool(got.taken) != (claims[0][1] == ("drums",)), phrase
            assert not got.unknown, phrase


def _is_valid(got: ParsedPrompt) -> bool:
    return (
        (got.style is None or got.style in (*STYLES, *band_names()))
        and all(name in INSTRUMENTS for name in got.instruments)
        and len(got.instruments) <= MAX_INSTRUMENTS
        and (got.metre is None or got.metre in METRES)
        and (got.tempo is None or 20 <= got.tempo <= 300)
        and (got.pace is None or got.pace in PACES)
        and len(got.unknown) <= MAX_LISTED
        and got.unknown_count >= len(got.unknown)
    )


@pytest.mark.parametrize("seed", range(40))
def test_any_text_is_read_without_failing(seed):
    rng = random.Random(seed)
    known = [" ".join(phrase) for phrase in PHRASES]
    pieces = []
    for _ in range(rng.randrange(200)):
        kind = rng.randrange(6)
        if kind == 0:
            pieces.append(chr(rng.choice((rng.randrange(0x20), rng.randrange(0x3000), rng.randrange(0x110000)))))
        elif kind == 1:
            pieces.append(rng.choice(["no", "not", "and", "or", ",", ".", "|", "/", "-", "in", "key of", "at", "'s"]))
        elif kind == 2:
            pieces.append(rng.choice(["3/4", "0/0", "120 bpm", "Am F C", "G#", "Bbm7b5/F", "b flat minor", "E♯ major"]))
        else:
            pieces.append(rng.choice(known))
    assert _is_valid(parse_prompt(rng.choice(["", " "]).join(pieces)))


LONG = {
    "words": "slow piano xyz no and 3/4 in G violin Am F C G ",
    "one word": "a",
    "digits": "1",
    "fractions": "1/",
    "chords": "A|",
    "quotes": "a'",
    "emoji": "🎻",
    "stacked accents": "e\u0301\u0302",
    "spaces": " ",
    "no": "no ",
}


@pytest.mark.parametrize("unit", LONG.values(), ids=LONG)
def test_a_hundred_thousand_characters_take_no_time(unit):
    prompt = (unit * (100_000 // len(unit) + 1))[:100_000]
    parse_prompt(prompt)  # the tables' caches fill once
    best = min(_timed(prompt) for _ in range(3))
    assert best < 0.5  # 0.1 on a quiet machine
    assert parse_prompt(prompt).unread == 100_000 - MAX_READ


def _timed(prompt: str) -> float:
    start = time.process_time()
    parse_prompt(prompt)
    return time.process_time() - start


def test_unknown_words_are_capped_for_display_but_counted():
    got = parse_prompt(" ".join(f"zq{i}" for i in range(500)))
    assert got.unknown == tuple(f"zq{i}" for i in range(MAX_LISTED))
    assert got.unknown_count == 500


def test_players_beyond_the_most_are_said_to_be_left_out():
    got = parse_prompt("orchestra, choir, piano and flute")
    assert len(got.instruments) == MAX_INSTRUMENTS
    assert got.unmet == ("piano (more than 12 players)", "flute (more than 12 players)")


@pytest.mark.parametrize(
    ("prompt", "word"),
    [("piano with drums", "drums"), ("waltz at 9999 bpm", "9999 bpm"), ("jig in 7/16", "7/16"),
     ("flute, 0 bars", "0 bars"), ("flute, 9000 seconds", "9000 seconds")],
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_the_reason_and_not_taken(prompt, word):
    got = parse_prompt(prompt)
    [said] = got.unmet
    assert said.startswith(f"{word} (") and word not in dict(got.taken) and not got.unknown
    assert got.definite


@pytest.mark.parametrize(
    ("prompt", "key", "said"),
    [("reel in E dorian", "E minor", "E dorian (nearest is minor)"),
     ("a mixolydian jig in D", "D major", "mixolydian (nearest is major)"),
     ("A Mixolydian jig in D", "D major", "Mixolydian (nearest is major)"),
     ("jazz trio, F# Dorian", "F# minor", "F# Dorian (nearest is minor)"),
     ("film music, B flat lydian mode", "Bb major", "B flat lydian mode (nearest is major)"),
     ("walzer in d-dorisch", "D minor", "d-dorisch (nearest is minor)"),
     ("slow air in C ionian", "C major", None)],
)  # fmt: skip
def test_of_a_church_mode_the_third_is_played_and_the_rest_is_said_not_to_be(prompt, key, said):
    got = parse_prompt(prompt)
    assert str(got.key) == key and got.unmet == ((said,) if said else ()) and not got.unknown


def test_a_church_mode_without_a_tonic_is_a_mode():
    assert parse_prompt("a phrygian song").mode == "minor" and parse_prompt("a phrygian song").key is None
    assert parse_prompt("a song for Doriana").mode is None


def test_a_prompt_that_is_no_string_is_an_error():
    with pytest.raises(TypeError, match="the prompt must be a string, not NoneType"):
        parse_prompt(None)
