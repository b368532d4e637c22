"""Dance tunes for several melody instruments: all play one melody, each in its own range."""

import itertools

import numpy as np
import pytest
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.midi_writer import part_names
from clavilux.audio.notes import players_of
from clavilux.audio.score import Score
from clavilux.audio.unison import doubles_in
from clavilux.families.aria.instruments import INSTRUMENTS, RANGES
from clavilux.families.aria.outline import settled
from clavilux.families.aria.parts import cast_of
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.rewriting import Rewriting
from clavilux.families.aria.tunes import TUNES, melodists_of
from clavilux.family import Request
from tests.helpers.drawn_songs import begin, finished

pytestmark = pytest.mark.usefixtures("silent")
FIDDLE, FLUTE, CELLO, GUITAR = (INSTRUMENTS[name].program for name in ("fiddle", "flute", "cello", "steel guitar"))


def players(prompt):
    controls, plan, _ = settled(parse_prompt(prompt), 1, {})
    return controls.instruments, controls.unison, None if plan is None else plan.band.name


def line(score, program):
    """What an instrument plays: (start, duration, pitch) in order."""
    own = score.notes[score.notes["program"] == program]
    own = np.sort(own, order=["start", "pitch"])
    return [(round(float(n["start"]), 4), round(float(n["duration"]), 4), int(n["pitch"])) for n in own]


def lifted(notes, semitones):
    return [(start, duration, pitch + semitones) for start, duration, pitch in notes]


@pytest.mark.parametrize(
    ("prompt", "programs"),
    [
        ("irish jig for flute and fiddle", (73, 110)), ("reel on fiddle, flute and accordion", (110, 73, 21)),
        ("irish tune for flute and violin", (73, 40)), ("waltz for flute and violin", (73, 40)),
        ("slow air for fiddle and flute, AABA", (110, 73)),
    ],
)  # fmt: skip
def test_who_is_named_plays_the_same_notes(aria, prompt, programs):
    song = finished(begin(aria, prompt, seed=4, bars=16), 4)
    first, *others = (line(song.score, program) for program in programs)
    assert len(first) >= 16 and all(other == first for other in others)
    assert {int(program) for program in song.score.notes["program"]} == set(programs)
    begun = [start for start, _, _ in first]
    assert len(set(begun)) == len(begun)  # one note at a time
    assert not song.receipt["unmet"] and len(song.receipt["controls"]["instruments"]) == len(programs)
    assert [program for _, program, _ in players_of(song.score.notes)] == list(programs)  # tracks, staves, stems
    assert len(set(part_names(players_of(song.score.notes)))) == len(programs)


def test_who_plays_lower_doubles_octaves_below(aria):
    song = finished(begin(aria, "hornpipe for fiddle and cello", seed=5, bars=16), 5)
    fiddle, cello = line(song.score, FIDDLE), line(song.score, CELLO)
    assert lifted(cello, 12) == fiddle and fiddle
    low, high = RANGES[CELLO]
    assert all(low <= pitch <= high for _, _, pitch in cello)


def test_a_session_has_several_melody_players(aria):
    song = finished(begin(aria, "jig for fiddle, flute, guitar and bodhran", seed=6, bars=16), 6)
    notes = song.score.notes
    assert line(song.score, FIDDLE) == line(song.score, FLUTE)
    assert [program for _, program, _ in players_of(notes[~notes["drum"]])] == [FIDDLE, FLUTE, GUITAR]
    assert notes["drum"].any() and not song.receipt["unmet"]
    names = ["fiddle", "flute", "steel guitar", "drums"]
    assert song.receipt["controls"]["instruments"] == names


@pytest.mark.parametrize(
    ("prompt", "instruments", "unison", "session"),
    [
        ("jig for fiddle and guitar", ("fiddle", "steel guitar"), (), "jig session"),
        ("reel for guitar and fiddle", ("fiddle", "steel guitar"), (), "folk session"),
        ("jig for fiddle and piano", ("fiddle", "piano", "piano"), (), "jig session"),
        ("hornpipe for flute, cello and harp", ("flute", "cello", "harp", "harp"), ("flute", "cello"), "folk session"),
        ("jig for fiddle, guitar and bass", ("fiddle", "steel guitar", "acoustic bass"), (), "jig session"),
        ("waltz for piano and violin", ("violin", "piano"), (), "piano waltz"),
        ("polka for clarinet and accordion", ("clarinet", "accordion"), (), "piano polka"),
        ("mazurka for violin, flute and piano", ("violin", "flute", "piano"), ("violin", "flute"), "piano mazurka"),
        ("reel for fiddle and banjo", ("fiddle", "banjo"), ("fiddle", "banjo"), None),
        ("jig for two fiddles", ("fiddle", "fiddle"), (), None),
        # An ensemble has parts of its own, in all but a fiddle's tunes.
        ("folk music for string quartet", ("violin", "violin", "viola", "cello"), (), None),
        ("polka for brass quintet", ("trumpet", "trumpet", "french horn", "trombone", "tuba"), (), None),
        ("jig for string quartet", ("violin", "violin", "viola", "cello"), (), None),
        ("chorale for flute and violin", ("flute", "violin"), (), None),
        ("gavotte for flute and oboe", ("flute", "oboe"), (), None),
    ],
)  # fmt: skip
def test_who_plays_the_tune_and_who_accompanies(prompt, instruments, unison, session):
    assert players(prompt) == (instruments, unison, session)


def test_a_piano_takes_the_chords_and_the_bass_of_a_session(aria):
    """Where nobody else plays them, each in its range; two hands begin on the first beat."""
    song = finished(begin(aria, "jig for fiddle and piano", seed=3, bars=16), 3)
    assert song.receipt["controls"]["instruments"] == ["fiddle", "acoustic grand piano"]
    piano = song.score.notes[song.score.notes["program"] == 0]
    assert len({int(part) for part in piano["part"][piano["start"] == 0]}) == 2
    bass = piano[piano["pitch"] < 52]
    assert {round(float(start) % 3, 3) for start in bass["start"]} <= {0.0, 1.0, 1.5, 2.5} and len(bass) >= 16


def test_a_tune_lies_where_all_can_play_it():
    """All pairs and threes of those who play a fiddle's tunes have more than an octave in common, each in its range."""
    names = [name for name in INSTRUMENTS if melodists_of("jig", "folk", (name,))]
    assert {"fiddle", "flute", "accordion", "banjo", "tuba"} <= set(names) and "guitar" not in names
    for together in (*itertools.permutations(names, 2), *itertools.combinations(names, 3)):
        cast = cast_of(together, None, TUNES["jig"], 0, together)
        (part,) = cast.parts
        assert part.program == 40 and part.most_notes == 1 and part.high - part.low >= 17
        for program, semitones in cast.unison:
            low, high = RANGES[program]
            assert low <= part.low + semitones and part.high + semitones <= high, together
    assert cast_of(("fiddle", "piccolo"), None, TUNES["jig"], 0, ("fiddle", "piccolo")).unison == ((110, 0), (72, 12))


def test_a_sheet_says_who_plays_which_section(aria, tmp_path):
    sheet = tmp_path / "tune.txt"
    sheet.write_text(
        "style: folk\nkey: G major\ntempo: 120\nmetre: 4/4\ninstruments: fiddle, flute\n\n"
        "[A]\ninstruments: flute\nbars: 4\n[B]\ninstruments: fiddle\nbars: 4\n[C]\nbars: 4\n"
    )
    song = finished(begin(aria, "", seed=2, sheet=str(sheet)), 2)
    bars = {program: {int(start // 4) for start, _, _ in line(song.score, program)} for program in (FIDDLE, FLUTE)}
    assert bars[FLUTE] == {0, 1, 2, 3, 8, 9, 10, 11} and bars[FIDDLE] == set(range(4, 12))


def jig(aria, seed=3):
    return finished(begin(aria, "jig for fiddle and cello", seed=seed, bars=12), seed)


def test_bars_written_anew_are_doubled_too(aria):
    before = jig(aria)
    request = Request("", 20.0, 8, before, {"regenerate": "3-6"}, True)
    (generation,) = aria.begin([request])
    assert isinstance(generation, Rewriting)
    song = finished(generation, 8)
    fiddle, cello = line(song.score, FIDDLE), line(song.score, CELLO)
    assert lifted(cello, 12) == fiddle
    kept = [[note for note in notes if not 6 <= note[0] < 18] for notes in (fiddle, line(before.score, FIDDLE))]
    assert kept[0] == kept[1] and fiddle != line(before.score, FIDDLE)
    assert {"cello"} < set(song.receipt["controls"]["instruments"])
    low, high = RANGES[CELLO]
    assert all(low <= pitch <= high for _, _, pitch in cello)


def test_a_piece_in_unison_goes_on_in_unison(aria):
    before = jig(aria)
    song = finished(begin(aria, "", seconds=30, seed=5, continue_from=before), 5)
    quarters = before.score.length
    later = song.score.notes[song.score.notes["start"] >= quarters - 1e-6]
    low, high = (later[np.isin(later["program"], own)] for own in ((CELLO,), (FIDDLE, 40)))
    assert len(low) >= 8 and np.array_equal(low["start"], high["start"])
    assert set((high["pitch"] - low["pitch"]).tolist()) == {12}


def test_parts_that_double_others_are_found(aria):
    song = jig(aria)
    (double,) = doubles_in(song.score)
    assert (double.program, double.of[0], double.semitones) == (CELLO, FIDDLE, -12)
    duet = finished(begin(aria, "baroque duet for flute and violin", seed=1, bars=32), 1)
    assert len(duet.score.notes) > 20 and not doubles_in(duet.score)
    assert not doubles_in(Score(song.score.notes[:0], ((0.0, 100.0),)))


def test_batch_rows_and_streams_are_as_alone(aria):
    """What a player gives for the bars one after another is what the song holds in the end."""
    generation = begin(aria, "reel for fiddle and flute", seed=2, bars=8)
    song = finished(generation, 2)
    again = finished(begin(aria, "reel for fiddle and flute", seed=2, bars=8), 2)
    assert np.array_equal(song.score.notes, again.score.notes)
    assert isinstance(song, Audio) and torch.equal(song.tokens, again.tokens)
    written = aria.decode(song.tokens).score  # the melody once, as it is written
    assert len(written.notes) * 2 == len(song.score.notes)
