"""Music for one: nobody accompanies, and who plays one note at a time has one line, whatever is drawn."""

import numpy as np
import pytest
import torch

from clavilux.audio.chart import read_chart
from clavilux.families.aria.form import plan_bars
from clavilux.families.aria.formats import FrameFormat, Task
from clavilux.families.aria.outline import settled
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.voices import Part
from tests.helpers.drawn_frames import walked
from tests.helpers.drawn_songs import begin, finished

pytestmark = pytest.mark.usefixtures("silent")


def overlapping(notes, least=1e-6):
    """How many notes begin while one before them sounds, for so many quarters more."""
    notes = np.sort(notes, order=["start", "pitch"])
    ends = np.maximum.accumulate(notes["start"] + notes["duration"])
    return int((notes["start"][1:] < ends[:-1] - least).sum())


@pytest.mark.parametrize("word", ["solo {}", "{} alone", "unaccompanied {}", "{} without accompaniment", "{} solo"])
def test_words_for_alone(word):
    parsed = parse_prompt(word.format("flute"))
    assert parsed.alone and parsed.instruments == ("flute",) and not parsed.unknown
    assert tuple(sorted((m for _, m in parsed.taken), key=len, reverse=True)) == ("unaccompanied", "flute")
    assert not parse_prompt("flute").alone and not parse_prompt("not solo flute").alone
    assert parse_prompt("solo jig").players == 1 and parse_prompt("duet, solo").players == 2


@pytest.mark.parametrize(
    ("prompt", "instruments", "band"),
    [
        ("popular song for voice alone", ("voice",), "pop"), ("swing on trumpet alone", ("trumpet",), "jazz swing"),
        ("bossa nova for solo flute", ("flute",), "bossa nova"), ("solo jig", ("flute",), None),
        ("irish jig for solo fiddle", ("fiddle",), None), ("melody for voice alone", ("voice",), None),
        ("celtic session for solo flute", ("flute",), "folk session"),
        ("pop song for voice and piano alone", ("voice", "piano"), "pop"),
        ("pop for solo piano", ("piano", "piano"), "pop"), ("solo waltz", ("piano", "piano"), "piano waltz"),
        ("waltz for solo piano", ("piano", "piano"), "piano waltz"), ("waltz for violin alone", ("violin",), None),
    ],
)  # fmt: skip
def test_who_is_left(prompt, instruments, band):
    """Of a band those who are named; who plays chords has them in his own hands."""
    controls, plan, _ = settled(parse_prompt(prompt), 1, {})
    assert controls.instruments == instruments and "drums" not in instruments
    assert (None if plan is None else plan.band.name) == band and not controls.unmet


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("popular song for voice alone", {}), ("melody for voice alone", {}), ("solo flute", {}), ("oboe solo", {}),
        ("unaccompanied trumpet, baroque", {"metre": "3/8"}), ("art song for voice alone", {"form": "AA'BA"}),
        ("clarinet alone", {"metre": "5/4"}), ("recorder alone", {"chords": "C/E F/A G7 | C Am/E"}),
        ("bassoon alone", {"metre": "9/8", "form": "ABA"}), ("march for piccolo", {"bars": 9}),
        ("solo slip jig", {}), ("bossa nova for solo flute", {}), ("flute solo", {"form": "free", "bars": 12}),
        ("horn alone", {"metre": "12/8", "bars": 1}), ("pop on trumpet alone", {"form": "intro 2, A 8, A 8"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_one_line_is_one_note_at_a_time(aria, prompt, options, seed):
    """Whatever is drawn: none begins while another sounds, over bars that return too, and no bar is empty."""
    song = finished(begin(aria, prompt, seed=seed, **options), seed)
    notes = song.score.notes
    assert overlapping(notes) == 0 and len({int(p) for p in notes["program"]}) == 1 and not notes["drum"].any()
    begins = np.searchsorted(song.score.bar_starts(), notes["start"] + 1e-6, side="right")
    assert set(begins.tolist()) == set(range(1, song.receipt["controls"]["bars"] + 1))


@pytest.mark.parametrize("name", ["sonata for piano", "pop song on flute", "jig for fiddle and guitar"])
def test_a_melody_has_one_line_and_hands_have_chords(aria, name):
    song = finished(begin(aria, name, seed=1, bars=16), 1)
    notes = song.score.notes
    if name == "sonata for piano":
        assert overlapping(notes) > 0
    else:
        lead = notes[notes["part"] == 0]
        assert overlapping(lead) == 0 and len(lead) < len(notes)


@pytest.mark.parametrize("seed", range(4))
def test_a_line_in_note_frames(seed):
    bars = plan_bars(8, (4, 4), chords=read_chart("C F | G7 C/E")[0], ends_at=0.5)
    part = Part(73, 60, 90, 1, leads=True)
    writing = FrameFormat()
    _, grammar = writing.begin(Task(bars, [part], [None] * 8, 100.0), None, 0, 100)
    frames = writing.layout.restore(torch.stack(walked(grammar, seed), 1)[None])[0]
    notes = writing.decode(frames).notes
    assert len(notes) >= 8 and overlapping(notes, 1 / 8) == 0  # no length is shorter


def test_what_a_line_holds_over_a_bar_leaves_the_next_one_room(aria):
    """Some notes last beyond their bar, none beyond the middle of the next one."""
    held = []
    for seed in range(20):
        song = finished(begin(aria, "solo flute in 4/4", seed=seed, form="free", bars=16), seed)
        starts, notes = song.score.bar_starts(), song.score.notes
        bar = np.searchsorted(starts, notes["start"] + 1e-6, side="right") - 1
        held += (notes["start"] + notes["duration"] - starts[bar] - 4).tolist()
    assert max(held) > 0 and max(held) <= 2 + 1e-6


@pytest.mark.parametrize("words", ["solo cello", "trumpet", "melody for voice alone"])
def test_one_line_is_no_chorale_and_no_quartet(aria, words):
    styles = {begin(aria, words, seed=seed).receipt["controls"]["style"] for seed in range(40)}
    assert len(styles) > 2 and not styles & {"chorale", "quartet"}
    assert begin(aria, f"chorale for {words}").receipt["controls"]["style"] == "chorale"  # where it is asked for
