"""Dance tunes: for whom they are written, who plays along, and the sheet of a session."""

import numpy as np
import pytest

from clavilux.audio.harmony import Key
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.bands import plan_of
from clavilux.families.aria.form import plan_form
from clavilux.families.aria.form_names import FormPart
from clavilux.families.aria.outline import settled
from clavilux.families.aria.parts import cast_of
from clavilux.families.aria.phrases import Phrases
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.tunes import RIGHT_HANDS, SESSIONS, TUNES, kind_of, tune_of, tune_sheet
from clavilux.families.aria.usual_forms import UsualForm
from tests.helpers.drawn_songs import begin, finished


def settle(prompt, **options):
    return settled(parse_prompt(prompt), 1, options)[:2]


def players(prompt, **options):
    controls, plan = settle(prompt, **options)
    return controls.instruments, None if plan is None else (plan.band.name, plan.drums)


@pytest.mark.parametrize(
    ("prompt", "session", "metre"),
    [
        ("irish jig", "jig session", (6, 8)), ("slip jig", "jig session", (9, 8)), ("reel", "folk session", (2, 2)),
        ("hornpipe in D", "folk session", (2, 2)), ("jig by a celtic band", "jig session", (6, 8)),
    ],
)  # fmt: skip
def test_a_dance_for_nobody_in_particular_has_a_session(prompt, session, metre):
    controls, plan = settle(prompt)
    assert (controls.style, controls.metre) == (session, metre) and plan.band.name == session
    assert controls.instruments[0] in ("fiddle", "flute", "accordion") and "drums" in controls.instruments
    assert not controls.unmet


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("irish jig on fiddle", {}), ("reel", {"instruments": "flute"}), ("slow air", {}),
        ("strathspey", {}), ("jig", {"style": "folk"}), ("jig", {"form": "free"}), ("jig", {"section": "middle"}),
        ("baroque gigue", {}),
    ],
)  # fmt: skip
def test_who_plays_alone(prompt, options):
    controls, plan = settle(prompt, **options)
    assert plan is None and len(controls.instruments) == 1


def test_a_session_is_those_who_are_named():
    assert players("jig for fiddle and guitar") == (("fiddle", "steel guitar"), ("jig session", "none"))
    found = ("flute", "drums", "steel guitar"), ("folk session", "full")
    assert players("reel for flute, guitar and bodhran") == found
    assert players("reel, fiddle and guitar", drums="brushes")[1] == ("folk session", "brushes")
    assert players("irish jig without drums")[1] == ("jig session", "none")
    assert players("jig for string quartet")[1] is None
    assert not settle("jig for fiddle and guitar")[0].unmet


def test_a_session_plays_its_own_kind():
    assert kind_of(parse_prompt("folk session"), "folk session", (4, 4)) == "reel"
    assert kind_of(parse_prompt("folk session"), "folk session", (3, 4)) is None
    assert kind_of(parse_prompt("hornpipe"), "folk session", (2, 2)) == "hornpipe"
    assert kind_of(parse_prompt("jig"), "baroque", (6, 8)) is None
    assert all(TUNES[kind].session == session for session, kind in SESSIONS.items())
    assert tune_of(None, "folk") is not None and tune_of(None, "romantic") is tune_of("nocturne", "romantic") is None


@pytest.mark.parametrize(
    ("kind", "name", "written", "sounding", "notes"),
    [
        ("jig", "flute", 40, 73, 1), ("jig", "piano", 40, 0, 1), ("reel", "fiddle", 40, 110, 1),
        ("polka", "accordion", 0, 21, 6), ("polka", "flute", 73, 73, 1), ("waltz", "piano", 0, 0, 6),
    ],
)  # fmt: skip
def test_a_tune_is_written_as_its_kind_is(kind, name, written, sounding, notes):
    cast = cast_of((name,), None, TUNES[kind], 0)
    (part,) = cast.parts
    assert cast.programs == {written: sounding} and cast.by_name == {name: (written, sounding)} and not cast.unison
    assert (part.program, part.most_notes) == (written, notes)


@pytest.mark.parametrize(("name", "low", "high"), [("accordion", 60, 83), ("flute", 60, 83), ("tuba", 28, 58)])
def test_a_tune_lies_where_its_kind_does_and_who_plays_it_can(name, low, high):
    for shift in (-6, 0, 5):  # the key is none of the register's business
        (part,) = cast_of((name,), None, TUNES["jig"], shift).parts
        assert (part.low - shift, part.high - shift) == (low, high)


def test_a_session_has_chords_under_every_bar():
    """A bar that is another one again has its chords; the ends of parts keep theirs; an intro has no melody."""
    _, plan = settle("jig in D")
    parts = [FormPart("intro", 2), FormPart("A", 8), FormPart("A", 8), FormPart("B", 8), FormPart("B", 8)]
    planned = plan_form(
        parts, (6, 8), Key.parse("D"), seed=3, ends_at=0.5,
        own=UsualForm("AABB", phrases=Phrases(((1, ("12341278",)),))),
    )  # fmt: skip
    bars, sheet = tune_sheet(planned, plan, Key.parse("D"), 174.0, 3)
    assert len(bars) == len(sheet.bars) == 34
    assert all(bar.chords == own.chords and bar.chords for bar, own in zip(bars, sheet.bars, strict=True))
    assert all(bar.chords == was.chords for bar, was in zip(bars, planned, strict=True) if was.chords)
    assert bars[2].chords == bars[6].chords and bars[6].returns == 2 and bars[10].returns == 2
    assert [bar.rests for bar in bars[:3]] == [True, True, False]
    assert [section.name for section in sheet.sections] == ["intro", "A", "A", "B", "B"]
    assert str(bars[-1].chords[0][1]) == "D" and str(bars[9].chords[0][1]) == "A"


@pytest.mark.usefixtures("silent")
def test_a_reel_with_its_session(aria):
    song = finished(begin(aria, "irish reel", seed=5), 5)
    assert song.receipt["controls"]["form"] == "A 8, A 8, B 8, B 8" and "set otherwise" not in str(song.receipt)
    notes, lead = song.score.notes, song.score.notes["part"] == 0
    assert {int(p) for p in notes["program"][~lead & ~notes["drum"]]} == {25, 28, 32} and notes["drum"].any()
    starts = notes["start"][lead]
    first, second = (
        [(round(float(n["start"]) - at, 3), int(n["pitch"])) for n in notes[lead] if at <= n["start"] < at + 28]
        for at in (0, 32)
    )
    assert first == second and len(first) > 8 and starts.max() >= 31 * 4
    assert np.all(np.diff(starts) > 0)  # one note at a time
    assert plan_of("folk", parse_prompt("reel"), settle("reel on fiddle")[0], {}) is None


def left_of(melody, notes):
    """The notes without those that the right hand strikes with the melody."""
    times = {(float(note["start"]), float(note["duration"])) for note in melody}
    is_right = [note["pitch"] >= 60 and (float(note["start"]), float(note["duration"])) in times for note in notes]
    return notes[~np.array(is_right)]


@pytest.mark.parametrize(
    ("prompt", "session", "who"),
    [
        ("waltz", "piano waltz", {0}), ("waltz for piano", "piano waltz", {0}),
        ("polka on accordion", "piano polka", {21}), ("mazurka for violin and piano", "piano mazurka", {0, 40}),
        ("minuet for harpsichord", "piano minuet", {6}),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("silent")
def test_a_dance_of_the_piano_has_two_hands(aria, prompt, session, who):
    """The composer's melody, and the session's bass and chords below it, on what is asked for."""
    song = finished(begin(aria, prompt, seed=2, bars=16), 2)
    assert song.receipt["controls"]["style"] == session and not song.receipt["unmet"]
    notes = song.score.notes
    assert {int(program) for program in notes["program"]} == who
    melody, below = (notes[notes["part"] == part] for part in (0, 1))
    assert len(melody) >= 16 and melody["pitch"].min() >= 67 and left_of(melody, below)["pitch"].max() <= 67
    length = bar_quarters(song.score.metre_at(0.0))
    times = [
        [
            (round(float(n["start"]) - at, 3), int(n["pitch"]))
            for n in notes
            if at - 1e-6 <= n["start"] < at + 3 * length
        ]
        for at in (0.0, 4 * length)
    ]
    assert times[0] == times[1]  # both hands, all but the end of the part
    first = notes[notes["start"] == 0]
    assert set(first["part"]) == {0, 1} and first["pitch"].min() % 12 == song.score.key.tonic
    last, end = melody[-1], 16 * length
    assert last["pitch"] % 12 == song.score.key.tonic and np.isclose(last["start"] + last["duration"], end)


def test_a_right_hand_has_the_density_of_its_dance_unless_the_words_say_otherwise():
    assert (settle("waltz")[0].density, settle("polka")[0].density) == ("medium", "sparse")
    assert settle("busy waltz")[0].density == "dense" and settle("waltz", density="sparse")[0].density == "sparse"
    assert set(RIGHT_HANDS) == {session for session, kind in SESSIONS.items() if TUNES[kind].has_chords}


@pytest.mark.usefixtures("silent")
def test_a_krakowiak_is_written_in_eighths_and_quarters(aria):
    """Its left hand begins every bar, and has no lengths that print does not have."""
    song = finished(begin(aria, "krakowiak for piano", seed=3, bars=16), 3)
    assert song.receipt["controls"]["style"] == "piano krakowiak" and not song.receipt["unmet"]
    assert song.score.metre_at(0.0) == (2, 4) and set(song.score.notes["program"]) == {0}
    melody, left = (song.score.notes[song.score.notes["part"] == part] for part in (0, 1))
    left = left_of(melody, left)
    assert melody["pitch"].min() >= 67 and left["pitch"].max() <= 65
    written = np.round(left["duration"] * 4) / 4
    assert set(written.tolist()) <= {0.5, 1.0, 2.0} and set((left["start"] % 0.5).tolist()) == {0.0}
    assert {int(start) for start in left["start"]} >= {2 * bar for bar in range(16)}  # where each bar begins
