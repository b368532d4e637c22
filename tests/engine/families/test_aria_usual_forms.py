"""The forms that kinds of music have by themselves, fitted to lengths; and how a piece ends."""

import numpy as np
import pytest
import torch

from clavilux.audio.codecs.note_frames import decode_frames, readable
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.form import plan_form
from clavilux.families.aria.form_names import FormPart
from clavilux.families.aria.formats import FrameFormat, Task
from clavilux.families.aria.instruments import INSTRUMENTS
from clavilux.families.aria.parts import parts_of
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.styles import STYLES
from clavilux.families.aria.usual_forms import usual_form
from tests.helpers.drawn_frames import walked
from tests.helpers.drawn_songs import bar_of, begin, finished

pytestmark = pytest.mark.usefixtures("silent")


def controls_of(aria, prompt, seconds=None, **options):
    return begin(aria, prompt, seconds, seed=3, **options).receipt["controls"]


@pytest.mark.parametrize(
    ("prompt", "seconds", "form"),
    [
        ("irish jig", None, "A 8, A 8, B 8, B 8"),
        ("irish jig", 20, "A 4, A 4, B 4, B 4"),
        ("reel", None, "A 8, A 8, B 8, B 8"),
        ("slip jig", 45, "A 8, A 8, B 8, B 8"),
        ("hornpipe", 20, "A 4, A 4, B 4"),
        ("march for piano", None, "A 8, A 8, B 8, B 8"),
        ("slow air", None, "A 8, B 8"),
        ("nocturne", None, "A 4, B 4, A 4"),
        ("bach chorale", None, "A 4, A 4, B 4, C 4"),
        ("chaconne", None, "A 4, A' 4, A' 4, A' 4"),
        ("hymn", 12, "A 4"),
    ],
)
def test_a_kind_has_its_form(aria, prompt, seconds, form):
    found = begin(aria, prompt, seconds, seed=3).receipt
    assert found["controls"]["form"] == form
    assert seconds is None or found["seconds"] == seconds


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("fugue for organ", {}),
        ("irish jig", {"form": "free"}),
        ("irish jig", {"section": "middle"}),
        ("irish jig on fiddle", {"chords": "D G A"}),
    ],
)
def test_what_has_no_form(aria, prompt, options):
    assert "form" not in controls_of(aria, prompt, **options)


def test_a_form_by_kind_gives_way(aria):
    assert controls_of(aria, "irish jig", form="ABA", bars=12)["form"] == "A 4, B 4, A 4"
    assert controls_of(aria, "irish jig, ABA, 12 bars")["form"] == "A 4, B 4, A 4"
    assert controls_of(aria, "jig", bars=18)["form"] == "A 4, A 4, B 4, B 4, outro 2"
    assert controls_of(aria, "jig", bars=18, intro=2)["form"] == "intro 2, A 4, A 4, B 4, B 4"
    assert controls_of(aria, "jig", chords="D G A D")["form"] == "A 8, A 8, B 8, B 8"


@pytest.mark.parametrize("prompt", ["jig", "reel", "polka", "waltz", "mazurka", "minuet", "march for piano"])
@pytest.mark.parametrize("seconds", [30, 47, 90])
def test_a_form_that_is_fitted_keeps_the_tempo_of_the_dance(aria, prompt, seconds):
    span = parse_prompt(prompt).span or STYLES["march"].tempo
    controls = controls_of(aria, prompt, seconds, metre="2/4" if "march" in prompt else None)
    assert span[0] * 0.95 - 1 <= controls["tempo"] <= span[1] * 1.05 + 1
    parts = [part.split() for part in controls["form"].split(", ")]
    assert all(int(bars) in (4, 8) for name, bars in parts if name != "outro")


@pytest.mark.parametrize(
    ("kind", "style"),
    [(kind, "folk") for kind in ("jig", "polonaise", "hymn", "passacaglia", "pavane")] + [(None, s) for s in STYLES],
)
def test_every_number_of_bars_has_its_parts(style, kind):
    form = usual_form(kind, style)
    for bars in range(1, 100):
        parts = form.sections(bars)
        assert sum(part.bars for part in parts) == bars, (style, kind, bars, parts)
        assert len({(part.name, part.bars) for part in parts}) == len({part.name for part in parts})
    assert form.sections(0) is None


def test_a_waltz_as_it_ends_returns_to_its_beginning():
    form = usual_form("nocturne", "romantic")
    assert ["".join(part.name for part in form.sections(4 * n)) for n in (3, 4, 5)] == ["ABA", "AABA", "ABACA"]
    song = usual_form("lullaby", "folk")
    assert ["".join(part.name for part in song.sections(4 * n)) for n in (2, 3, 4)] == ["AA", "ABA", "AABA"]
    air = usual_form("air", "folk")
    assert ["".join(part.name for part in air.sections(8 * n)) for n in (2, 3, 4)] == ["AB", "ABC", "ABCD"]


def test_a_style_has_one_of_its_rounds():
    found = {usual_form(None, "romantic", seed=seed).letters for seed in range(40)}
    assert found == {"ABA", "ABCD", "AABC", "ABAC"}
    assert {usual_form("jig", "folk", seed=seed).letters for seed in range(40)} == {"AABB"}


def returns_of(kind, style, bars, seed):
    """Of each bar the earlier one that it returns, None for a new one."""
    form = usual_form(kind, style, seed=seed)
    plan = plan_form(
        form.sections(bars), (6, 8), parse_prompt("in C major").key, seed=seed, own=form, ends_at=form.ends_at,
    )  # fmt: skip
    return [bar.returns for bar in plan]


def test_parts_of_a_tune_rhyme():
    """Bars of the second part are bars of the first, the last ones the most often."""
    plans = [returns_of("jig", "folk", 32, seed) for seed in range(60)]
    rhyming = np.array([[bar is not None and bar < 16 for bar in plan[16:24]] for plan in plans])
    assert {0, 1, 2} <= set(rhyming.sum(1)) <= {0, 1, 2, 3, 4}
    assert 0.15 < rhyming[:, 5:].mean() < 0.5 and rhyming[:, 5:].mean() > 2 * rhyming[:, :5].mean()


def test_a_part_that_returns_may_end_anew():
    """The first bars of an ABA's second A return, up to half of them do not."""
    new = {}
    for seed in range(60):
        if usual_form(None, "classical", seed=seed).letters == "ABA":
            plan = returns_of(None, "classical", 24, seed)
            assert plan[16:20] == [n if bar is None else bar for n, bar in enumerate(plan[:4])]
            new[plan[20:23].count(None)] = plan  # the last bar of all is new in any case
    assert {0, 1, 3} == set(new)


def test_bars_of_a_part_come_again_in_it(aria):
    found = set()
    for seed in range(12):
        score = finished(begin(aria, "irish jig on fiddle", seed=seed), seed).score
        again = tuple(bar_of(score, 4 + i) == bar_of(score, i) for i in range(3))
        found.add(again)
        assert all(bar_of(score, 8 + i) == bar_of(score, i) for i in range(7))  # the second time
    assert {(True, True, False), (False, False, False)} <= found


@pytest.mark.parametrize(
    ("prompt", "silence"),
    [("irish jig on fiddle", 0.5), ("romantic piano", 0.0), ("string quartet", 0.0), ("hymn for choir", 0.0)],
)
@pytest.mark.parametrize("seed", range(6))
def test_a_piece_begins_with_a_note_and_ends_on_its_tonic(aria, prompt, silence, seed):
    song = finished(begin(aria, prompt, seed=seed, bars=16), seed)
    lead = INSTRUMENTS[song.receipt["controls"]["instruments"][0]]
    check_both_ends(song.score, song.score.key.tonic, 16, lead.program, silence)


def check_both_ends(score, tonic, bars, lead, silence):
    """The piece begins with a note. All that sound at its end begin together and end with the last bar, or so many
    quarters before that; the lowest and the highest of the lead is the tonic.

    `lead` is its program.
    """
    notes, ends = score.notes, score.notes["start"] + score.notes["duration"]
    length = bar_quarters(score.metre_at(0.0))
    bar, end = (bars - 1) * length, bars * length - silence
    assert notes["start"].min() == 0
    last = notes[notes["start"] == notes["start"].max()]
    assert last["start"][0] >= bar - 1e-6
    assert np.allclose(last["start"] + last["duration"], end) and ends.max() <= end + 1e-6
    assert not ((notes["start"] < last["start"][0]) & (ends > last["start"][0] + 1e-6)).any()
    assert set(last["program"]) == set(notes["program"])
    assert last["pitch"].min() % 12 == tonic
    assert last["pitch"][last["program"] == lead].max() % 12 == tonic


@pytest.mark.parametrize("names", [("fiddle",), ("piano",), ("violin", "viola", "cello"), ("choir",)])
@pytest.mark.parametrize("seed", range(4))
def test_a_piece_of_note_frames_begins_and_ends_likewise(names, seed):
    silence = seed % 2 / 2
    writing, key = FrameFormat(), parse_prompt("in C major").key
    bars = plan_form([FormPart("A", 4)], (6, 8), key, seed=seed, ends_at=0.5, upbeat_after=silence > 0)
    parts, programs = parts_of(names, 0)
    _, grammar = writing.begin(Task(bars, parts, [None] * 4, 120.0, programs), None, 0, 100)
    frames = writing.layout.restore(torch.stack(walked(grammar, seed), 1)[None])[0].numpy()
    check_both_ends(decode_frames(frames[:, readable(frames)]), 0, 4, parts[0].program, silence)
