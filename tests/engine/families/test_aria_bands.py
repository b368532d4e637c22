import numpy as np
import pytest

import clavilux
from clavilux.audio.arranging.library import band_names, band_words, load_band
from clavilux.families.aria.bands import check_style
from clavilux.families.aria.controls import ACCEPTS
from clavilux.families.aria.family import check_controls
from clavilux.families.aria.family import settled as settle
from clavilux.families.aria.parts import lead_of
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.styles import STYLES


@pytest.fixture(scope="module")
def aria():
    return clavilux.load("aria", device="cpu")


def controls_of(prompt: str, **options):
    return settle(parse_prompt(prompt), 1, options)[:2]


@pytest.mark.parametrize("name", band_names())
def test_words_of_a_style_name_it(name):
    for word in band_words()[name]:
        controls, plan = controls_of(word)
        assert controls.style == name == plan.band.name, word
    assert plan.band.composer in STYLES
    assert controls_of("", style=name)[1].band == plan.band
    low, high = plan.band.tempo
    assert low <= controls.tempo <= high and controls.metre == plan.band.metre


def test_styles_of_the_composer_have_no_band():
    assert all(controls_of("", style=style)[1] is None for style in STYLES)
    assert {*STYLES, *band_names()} == {*ACCEPTS["style"]}


def test_words_and_options_settle_who_plays():
    controls, plan = controls_of("pop for trumpet in D, 100 bpm")
    assert controls.instruments[:3] == ("trumpet", "drums", "acoustic bass") and plan.lead == 56
    assert (str(controls.key), controls.tempo) == ("D major", 100)
    assert controls_of("rock without drums")[1].drums == "none"
    trio, plan = controls_of("jazz trio")
    assert len(trio.instruments) == 3 and plan.without == ("guitar",)
    assert "harp (the band is" in controls_of("rock for guitar and harp")[0].unmet[-1]
    assert not controls_of("rock with drums and bass", drums="brushes", swing=0.6)[0].unmet


@pytest.mark.parametrize(
    ("prompt", "style", "bars"),
    [
        ("slow R&B in Eb", "soul", None), ("rock & roll", "rock", None), ("drum & bass", "drum and bass", None),
        ("12 bar blues in A", "blues shuffle", 12),
    ],
)  # fmt: skip
def test_names_with_signs_and_numbers(prompt, style, bars):
    parsed = parse_prompt(prompt)
    assert (parsed.style, parsed.bars, parsed.unknown, parsed.unmet) == (style, bars, (), ())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"style": "bosa nova"}, r"unknown style 'bosa nova' \(did you mean 'bossa nova'\?\)"),
        ({"style": "rock", "drums": "loud"}, "drums is 'loud'; it should be one of full"),
        ({"style": "rock", "swing": 0.9}, "swing is 0.9; it should be from 0.5"),
        ({"style": "march", "drums": "none"}, "march has no band; styles with one are"),
        ({"style": "nowhere.band"}, "there is no band style"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(options, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        check_controls(tmp_path, {}, "", dict(options))


@pytest.mark.parametrize(
    ("given", "style"),
    [("lo-fi", "lo-fi hip hop"), ("LoFi beats", "lo-fi hip hop"), ("jazz", "jazz swing"), ("lieder", "art song")],
)
def test_a_prompts_word_for_a_style_is_its_name(given, style):
    assert check_style(given) == style


def test_the_nearest_word_is_suggested():
    with pytest.raises(ValueError, match=r"unknown style 'lofy beats' \(did you mean 'lo-fi hip hop'\?\)"):
        check_style("lofy beats")
    with pytest.raises(ValueError, match="unknown style 'qqqq': it must"):
        check_style("qqqq")


@pytest.mark.parametrize(
    ("words", "drums"),
    [
        ("bossa nova with brushes", "brushes"),
        ("pop, soft drums", "light"),
        ("pop", "full"),
        ("pop without drums", "none"),
    ],
)
def test_words_say_how_drums_are_played(words, drums):
    parsed = parse_prompt(words)
    assert settle(parsed, 1, {}).plan.drums == drums and not parsed.unknown
    assert settle(parsed, 1, {"drums": "sticks"}).plan.drums == "sticks"


def test_drums_that_no_band_plays_are_said(aria):
    receipt = aria.generate("waltz for piano with brushes", seconds=3, seed=1).receipt
    assert "with brushes" not in receipt["taken"]
    assert any("drums: brushes (set otherwise)" in each for each in receipt["unmet"])


def test_a_song_with_a_band(aria):
    song = aria.generate("pop in A minor", seconds=12, seed=4, drums="light")
    assert song.samples.shape[1] == 12 * song.sample_rate
    notes, controls = song.score.notes, song.receipt["controls"]
    band = load_band("pop")
    assert notes["drum"].any() and {0} < set(notes["part"].tolist()) <= set(range(len(band.parts) + 1))
    assert controls["style"] == "pop" and controls["band"]["drums"] == "light"
    assert controls["chords"] == "as the style has them"
    bars = controls["bars"]
    assert sum(int(part.split()[1]) for part in controls["form"].split(", ")) == bars
    lead = notes[notes["part"] == 0]
    assert len(lead) and len(np.unique(lead["start"])) == len(lead), "one voice"
    ends = notes["start"] + notes["duration"]
    last = notes[(notes["start"] >= 4 * (bars - 1) - 1e-6) & ~notes["drum"]]
    chord = song.score.chords[-1][1]
    assert chord.root == song.score.key.tonic and {int(p) % 12 for p in last["pitch"]} <= chord.pitch_classes
    assert ends.max() <= song.score.length + 1e-6
    assert lead["pitch"][-1] % 12 == chord.root
    again = aria.generate("pop in A minor", seconds=12, seed=4, drums="light")
    assert np.array_equal(again.samples, song.samples) and np.array_equal(again.score.notes, notes)


def test_it_streams_bar_by_bar_what_it_gives_whole(aria):
    whole = aria.generate("funk", seconds=6, seed=1)
    pieces = list(aria.stream("funk", seconds=6, seed=1))
    assert len(pieces) > 1
    assert np.array_equal(np.concatenate([piece.samples for piece in pieces], axis=1), whole.samples)


def test_a_melody_returns_with_its_section(aria):
    song = aria.generate("reggae" if "reggae" in band_names() else "soul", seconds=60, seed=2, tempo=180)
    notes, form = song.score.notes, song.receipt["controls"]["form"]
    starts, at = {}, 0
    for name, count in (part.split() for part in form.split(", ")):
        starts.setdefault((name, int(count)), []).append(at)
        at += int(count)
    (_, count), (first, second, *_) = next((key, found) for key, found in starts.items() if len(found) > 1)
    lead = notes[notes["part"] == 0]

    def tune(bar):
        inside = lead[(lead["start"] >= bar * 4 - 1e-6) & (lead["start"] < (bar + count - 1) * 4 - 1e-6)]
        return [(round(float(note["start"]) - bar * 4, 3), int(note["pitch"])) for note in inside]

    assert tune(first) and tune(first) == tune(second)


def test_a_melody_stands_above_the_chords():
    """The harmonica's range goes down to the bass."""
    [part], _ = lead_of(controls_of("blues")[1], 0)
    assert (part.low, part.high, part.most_notes) == (60, 79, 1)
    [part], _ = lead_of(controls_of("rock for piccolo")[1], 0)
    assert part.high - part.low == 19
