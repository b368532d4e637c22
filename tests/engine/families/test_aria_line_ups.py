"""Who of a band plays: trios and quartets, whose solo it is, marches, and what a report says of players who rest."""

import numpy as np
import pytest

from clavilux.audio.arranging.forms import highlighted
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.notes import NOTE
from clavilux.audio.programs import PROGRAM_NAMES
from clavilux.audio.score import Score
from clavilux.families.aria.outline import settled
from clavilux.families.aria.prompt import parse_prompt
from tests.helpers.drawn_songs import begin, finished

pytestmark = pytest.mark.usefixtures("silent")


def of(prompt, **options):
    controls, plan, _ = settled(parse_prompt(prompt), 5, options)
    return controls, plan


@pytest.mark.parametrize(
    ("prompt", "style", "players"),
    [
        ("jazz trio", "jazz swing", {"piano", "acoustic bass", "drums"}),
        ("jazz piano trio", "jazz swing", {"piano", "acoustic bass", "drums"}),
        ("jazz guitar trio", "jazz swing", {"guitar", "acoustic bass", "drums"}),
        ("jazz trio without drums", "jazz swing", {"piano", "acoustic bass", "guitar"}),
        ("jazz trio without piano", "jazz swing", {"guitar", "acoustic bass", "tenor saxophone"}),
        ("rock trio without guitar", "rock", {"tenor saxophone", "drawbar organ", "acoustic bass"}),
        ("jazz quartet without sax", "jazz swing", {"tenor saxophone", "piano", "acoustic bass", "drums"}),
        ("jazz quartet without tenor sax", "jazz swing", {"trumpet", "piano", "acoustic bass", "drums"}),
        ("jazz quartet", "jazz swing", {"tenor saxophone", "piano", "acoustic bass", "drums"}),
        ("power trio", "rock", {"guitar", "acoustic bass", "drums"}),
        ("rock trio", "rock", {"guitar", "acoustic bass", "drums"}),
        ("jazz trio with oboe", "jazz swing", {"oboe", "piano", "acoustic bass"}),
        ("jazz duo", "jazz swing", {"piano", "acoustic bass"}),
    ],
)
def test_a_number_says_how_many_the_band_has(prompt, style, players):
    controls, plan = of(prompt)
    assert controls.style == style == plan.band.name and not controls.unmet
    assert set(controls.instruments) == players and len(controls.instruments) == len(players)


def test_in_a_trio_one_has_melody_and_chords(aria):
    song = finished(begin(aria, "jazz trio", seed=2, bars=16), 2)
    notes, controls = song.score.notes, song.receipt["controls"]
    assert controls["instruments"] == ["acoustic grand piano", "acoustic bass", "drums"]
    assert not song.receipt["unmet"] and "trio = 3 players" in song.receipt["taken"]
    piano = notes[(notes["program"] == 0) & ~notes["drum"]]
    assert len(set(piano["part"].tolist())) == 2 and (piano["part"] == 0).any()


@pytest.mark.parametrize(
    ("prompt", "style", "band", "players"),
    [
        ("guitar solo", "metal", "metal", ["distortion guitar", "picked bass", "drums"]),
        ("piano trio", "jazz", "jazz swing", ["acoustic grand piano", "acoustic bass", "drums"]),
        ("for brass band", "march", "march", ["trumpet", "trumpet", "french horn", "trombone", "tuba"]),
    ],
)
def test_words_are_read_beside_the_style_of_an_option(aria, prompt, style, band, players):
    receipt = begin(aria, prompt, seed=3, bars=8, style=style).receipt
    assert receipt["controls"]["style"] == band and receipt["controls"]["instruments"] == players
    assert not receipt["unmet"]


def test_elsewhere_a_trio_is_of_strings():
    assert of("piano trio")[0].instruments == ("violin", "cello", "piano")
    assert of("string trio, baroque")[0].instruments == ("violin", "viola", "cello")


@pytest.mark.parametrize(
    ("prompt", "style"),
    [("jazz trio playing a ballad", "jazz swing"), ("jazz ballad", "jazz swing"), ("a country ballad", "country")],
)
def test_beside_a_style_a_ballad_is_slow(prompt, style):
    controls, _ = of(prompt)
    assert controls.style == style and 58 <= controls.tempo <= 78
    assert of("ballad")[0].style == of("rock ballad")[0].style == "ballad"


@pytest.mark.parametrize(
    ("prompt", "lead"),
    [
        ("heavy metal guitar solo", "distortion guitar"), ("rock guitar solo", "overdriven guitar"),
        ("blues guitar solo", "clean guitar"), ("piano solo in a jazz band", "acoustic grand piano"),
        ("jazz, with a sax solo", "alto saxophone"), ("metal solo", "distortion guitar"),
    ],
)  # fmt: skip
def test_a_solo_leads_the_band(prompt, lead):
    parsed = parse_prompt(prompt)
    controls, plan = of(prompt)
    assert not parsed.alone and parsed.highlight == "solo" and not parsed.unknown
    assert "drums" in controls.instruments and not plan.without
    assert prompt == "metal solo" or PROGRAM_NAMES[plan.lead] == lead


@pytest.mark.parametrize(
    ("prompt", "program"),
    [
        ("solo guitar, heavy metal", 30), ("metal for solo guitar", 30), ("rock for guitar solo", 29),
        ("solo piano, jazz", 0),
        ("jazz for unaccompanied piano", 0), ("jazz solo piano", 0), ("lullaby piano solo", 0), ("rock, solo", None),
    ],
)  # fmt: skip
def test_solo_before_the_instrument_is_alone(prompt, program):
    controls, plan = of(prompt)
    playing = [part for part in plan.band.parts if part.name not in plan.without]
    assert parse_prompt(prompt).alone and "drums" not in controls.instruments
    if program is not None:
        assert {plan.lead, *(part.program for part in playing)} == {program}


@pytest.mark.parametrize(
    ("prompt", "style"),
    [
        ("march", "marching band"), ("march by brass band", "marching band"),
        ("a march for military band", "marching band"),
        ("march in 6/8", "quick march"), ("Sousa march for a wind band in 6/8", "quick march"),
        ("marching band", "marching band"), ("march for piano", "march"), ("march for brass quintet", "march"),
        ("funeral march for brass band", "march"), ("march trio", "march"), ("solo march", "march"),
    ],
)  # fmt: skip
def test_who_plays_a_march(prompt, style):
    controls, plan = of(prompt)
    assert controls.style == style and (plan is not None) == (style != "march")
    assert "clarinet" not in controls.instruments or "brass band" not in prompt
    assert of("march", style="march")[1] is None and of("march", metre="6/8")[0].style == "quick march"
    assert of("march", instruments="piano")[1] is None


@pytest.mark.parametrize("prompt", ["march by brass band", "march for brass band in 6/8"])
def test_a_march_has_bass_on_the_beat_horns_beside_it_and_drums(aria, prompt):
    song = finished(begin(aria, prompt, seed=1, bars=24), 1)
    assert not song.receipt["unmet"]
    notes, beat = song.score.notes, 1.5 if "6/8" in prompt else 1.0
    tuba, horn = (notes[(notes["program"] == program) & ~notes["drum"]] for program in (58, 60))
    inner = horn[horn["start"] < 23 * 2 * beat - 1e-6]  # before the last chord
    assert len(tuba) >= 24 and (tuba["start"] % beat < 1e-3).mean() > 0.8
    assert len(inner) >= 48 and (inner["start"] % beat > 0.4).all()
    drums = {int(pitch) for pitch in notes[notes["drum"]]["pitch"]}
    assert {36, 38} <= drums
    assert set(song.receipt["controls"]["instruments"]) == {"trumpet", "tuba", "French horn", "trombone", "drums"}


@pytest.mark.parametrize("prompt", ["lo-fi beats", "techno", "bossa nova", "country", "film music", "lullaby", "ska"])
@pytest.mark.parametrize("seconds", [12, 30])
def test_those_are_listed_who_play(aria, prompt, seconds):
    song = finished(begin(aria, prompt, seed=5, seconds=seconds), 5)
    notes = song.score.notes
    heard = {"drums" if note["drum"] else PROGRAM_NAMES[int(note["program"])] for note in notes}
    assert {*song.receipt["controls"]["instruments"]} == heard


def test_who_was_asked_for_and_rests_is_said(aria):
    receipt = finished(begin(aria, "film music for trumpet and choir", seed=5, seconds=12), 5).receipt
    assert "choir (rests in the sections that there is room for)" in receipt["unmet"]
    named = begin(aria, "film music", seed=5, seconds=12, instruments=["trumpet", "choir"]).receipt
    assert named["unmet"] == receipt["unmet"]
    receipt = finished(begin(aria, "epic film music for trumpet and choir", seed=5, seconds=12), 5).receipt
    assert not receipt["unmet"] and "choir aahs" in receipt["controls"]["instruments"]


@pytest.mark.parametrize("name", band_names())
def test_forms_begin_where_they_are_asked_to(name):
    band = load_band(name)
    for what in ("solo", "loud", None):
        for count in range(1, 100):
            form = highlighted(band, count, what)
            assert sum(bars for _, bars in form) == count and all(bars > 0 for _, bars in form)
    whole = sum(bars for _, bars in band.form)
    assert highlighted(band, whole, "solo") == highlighted(band, whole, "loud") == list(band.form)


def test_short_forms_have_the_solo_or_the_loudest():
    assert highlighted(load_band("metal"), 16, "solo") == [("solo", 8), ("chorus", 8)]
    assert highlighted(load_band("film music"), 13, "loud") == [("bridge", 5), ("B", 8)]
    assert highlighted(load_band("film music"), 10, "loud") == [("B", 10)]
    assert highlighted(load_band("film music"), 3, "loud") == [("B", 3)]


def test_epic_music_is_loud_within_half_a_minute(aria):
    song = finished(begin(aria, "epic film music", seed=5, seconds=30), 5)
    assert song.receipt["controls"]["form"].endswith("B 8") and not song.receipt["unmet"]
    players = song.receipt["controls"]["instruments"]
    assert players[0] == "French horn" and {"brass section", "choir aahs", "drums"} <= {*players}
    notes = song.score.notes
    drums = notes[notes["drum"]]["start"]
    assert len(drums) >= 40 and parse_prompt("epic metal").highlight == "loud"


def test_a_wrong_trio_is_named_with_its_line(tmp_path):
    text = "style: t\nmetre: 4/4\ntempo: 100\nform: A 8\nlead: flute\ntrio: bass\n[part bass]\nplays: tuba\n"
    (tmp_path / "t.band").write_text(text + "[chords *]\nI\n[bass *]\n1--- ---- ---- ----\n")
    with pytest.raises(ValueError, match="line 6: 'bass' plays no chords; it should be a part that does"):
        load_band(tmp_path / "t.band")


def test_a_given_melody_has_a_trio_too(aria, tmp_path):
    notes = [(quarter, 1, 60 + quarter % 5, 80, 73, False) for quarter in range(16)]
    Score(np.array(notes, NOTE), ((0.0, 150.0),)).save_midi(tmp_path / "tune.mid")
    song = begin(aria, "jazz trio", seed=1, melody=tmp_path / "tune.mid")
    assert song.receipt["controls"]["instruments"] == ["acoustic grand piano", "acoustic bass", "drums"]
