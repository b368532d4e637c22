"""Forms, bars, intros, sheets and slowing down in whole songs: each exact, whatever the composer draws."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from clavilux.audio.score import bar_quarters
from clavilux.audio.sheet_text import load_sheet, read_sheet
from clavilux.families.aria.family import check_controls
from tests.helpers.drawn_songs import bar_of, begin, finished

pytestmark = pytest.mark.usefixtures("silent")

SHEETS = Path(__file__).parents[3] / "examples/sheets"
FORMS = ("AABB", "ABA", "AABA", "AA'B", "verse-chorus", "ABACA", "intro 2, A 4, B 4, A 4")
PROMPTS = ("irish jig on fiddle", "waltz for piano", "string quartet in A minor", "pop", "bossa nova")


def ends(score):
    return score.notes["start"] + score.notes["duration"]


def asked_of(seed):
    """What the hundred requests ask for."""
    random = np.random.default_rng(seed)
    form = FORMS[seed % len(FORMS)]
    asked = {"form": form, "ritardando": bool(seed % 2)}
    if not form.startswith("intro"):
        asked["intro"] = int(random.integers(0, 4))
        asked["outro"] = int(random.integers(0, 4))
        asked["bars"] = asked["intro"] + asked["outro"] + 4 * int(random.integers(2, 5))
    if seed % 3 == 0:
        asked["tempo"] = float(random.integers(60, 180))
    return asked


@pytest.mark.parametrize("seed", range(100))
def test_a_hundred_requests_are_met(aria, seed):
    asked = asked_of(seed)
    song = finished(begin(aria, PROMPTS[seed % len(PROMPTS)], seed=seed, **asked), seed)
    score, controls = song.score, song.receipt["controls"]
    metre = tuple(map(int, controls["metre"].split("/")))
    bars, length = asked.get("bars", 14), bar_quarters(metre)
    assert controls["bars"] == bars
    parts = [part.split() for part in controls["form"].split(", ")]
    counts = [int(count) for _, count in parts]
    assert sum(counts) == bars
    names = [name for name, _ in parts]
    if "intro" in asked:
        assert (asked["intro"] > 0) == ("intro" in names) and (asked["outro"] > 0) == ("outro" in names)
        assert not asked["intro"] or parts[0] == ["intro", str(asked["intro"])]
        assert not asked["outro"] or parts[-1] == ["outro", str(asked["outro"])]
    starts = [0, *itertools.accumulate(counts)]
    assert [(at, name) for at, name in score.sections] == [
        (start * length, name) for start, name in zip(starts, names, strict=False)
    ]
    if "tempo" in asked:
        assert score.tempos[0][1] == asked["tempo"]
    assert (len(score.tempos) > 1) == asked["ritardando"]
    returned = 0
    for index, name in enumerate(names):
        if name in names[:index]:
            first = starts[names.index(name)]
            same = [
                bar_of(score, first + i, [0]) == bar_of(score, starts[index] + i, [0]) for i in range(counts[index])
            ]
            inner = same[: len(same) - 2 if index + 1 == len(names) else len(same) - 1]
            assert all(inner), (name, same)
            returned += len(inner)
    assert returned or asked["form"] == "AA'B"
    last = score.notes[(score.notes["start"] >= (bars - 1) * length - 1e-6) & (score.notes["part"] == 0)]
    sounding = last["start"] + last["duration"]
    for program in np.unique(last["program"]):
        assert sounding[last["program"] == program].max() == pytest.approx(sounding.max())
    chord = score.chords[-1][1]
    assert chord.root == score.key.tonic and {int(p) % 12 for p in last["pitch"]} <= chord.pitch_classes
    assert score.duration_s == pytest.approx(song.receipt["seconds"], abs=1e-3)
    assert score.seconds_at(bars * length) <= song.receipt["seconds"] + 1e-3
    assert ends(score).max() <= score.length + 1e-6


def test_no_note_is_held_from_one_part_into_the_next(aria):
    score = finished(begin(aria, "piano", form="ABA", bars=12, seed=3), 3).score
    for at, _ in score.sections[1:]:
        assert not ((score.notes["start"] < at - 1e-6) & (ends(score) > at + 1e-6)).any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("path", sorted(SHEETS.glob("*.txt")), ids=lambda path: path.stem)
def test_a_sheet_is_played_as_it_says(aria, path, seed):
    sheet = load_sheet(path).sheet
    song = finished(begin(aria, sheet=path, seed=seed), seed)
    score, controls = song.score, song.receipt["controls"]
    assert score.sections == sheet.section_starts() and score.metres == sheet.metres()
    assert score.tempos == ((0.0, sheet.tempo),) and str(score.key) == str(sheet.key)
    assert controls["style"] == sheet.style and controls["bars"] == len(sheet.bars)
    assert sheet.title and song.receipt["title"] == sheet.title
    written = [(round(at, 4), chord) for at, chord in sheet.chords()]
    left = [section for section in sheet.sections if not any(bar.chords for bar in section.bars)]
    if not left:
        assert [(round(at, 4), chord) for at, chord in score.chords] == written
    loud, by_name = {}, {"guitar": 24, "flute": 73, "church organ": 19, "voice": 52, "piano": 0}
    starts = [at for at, _ in sheet.section_starts()] + [sheet.quarters]
    for (begins, closes), section in zip(itertools.pairwise(starts), sheet.sections, strict=True):
        notes = score.notes
        here = notes[(notes["start"] >= begins - 1e-6) & (notes["start"] < closes - 1e-6)]
        loud.setdefault(section.dynamic, []).append(here["velocity"].mean())
        assert set(here["program"].tolist()) <= {by_name[name] for name in section.instruments}
    means = [np.mean(loud[mark]) for mark in ("p", "mp", "mf", "f", "ff") if mark in loud]
    assert means == sorted(means)


def test_a_sheet_is_played_by_a_band_too(aria):
    text = "key: G\ntempo: 110\ninstruments: flute, bass, drums\n[verse]\n| G | C | D7 | G |\n[chorus]\nbars: 4\n"
    sheet = read_sheet(text + "[verse]\ninstruments: bass\n").sheet
    song = finished(begin(aria, sheet=sheet, style="pop", seed=1), 1)
    score = song.score
    assert score.sections == ((0.0, "verse"), (16.0, "chorus"), (32.0, "verse"))
    band = set(song.receipt["controls"]["instruments"])
    assert {"flute", "drums"} <= band and song.receipt["controls"]["band"]["lead"] == "flute"
    inside = score.notes[score.notes["start"] >= 32]
    assert len(inside) and not inside["drum"].any() and len(np.unique(inside["part"])) == 1
    assert score.tempos == ((0.0, 110.0),)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"form": "sonata"}, "form is 'sonata'; it should be letters such as AABB"),
        ({"bars": 0}, "bars is 0; it should be a whole number from 1 to 999"),
        ({"bars": 10_000}, "bars is 10000; it should be a whole number from 1 to 999"),
        ({"intro": 65}, "intro is 65; it should be a whole number from 0 to 64"),
        ({"outro": -1}, "outro is -1; it should be a whole number from 0 to 64"),
        ({"form": "intro 4, A 8", "intro": 2}, "form has an intro of its own and intro is 2; leave out one of the two"),
        ({"form": "AABB", "section": "middle"}, "section is 'middle', a part of a piece, which has no form"),
        (
            {"sheet": SHEETS / "chorale.txt", "bars": 8},
            "a sheet says its own bars; leave out bars, or change the sheet",
        ),
        ({"sheet": SHEETS / "chorale.txt", "instruments": "flute"}, "the sheet names its own instruments; leave out"),
        ({"sheet": SHEETS / "nowhere.txt"}, "nowhere.txt"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(asked, says, tmp_path):
    with pytest.raises((ValueError, OSError), match=says):
        check_controls(tmp_path, {}, "", dict(asked))


def test_a_wrong_line_of_a_sheet_is_named(tmp_path):
    path = tmp_path / "song.txt"
    path.write_text("tempo: 96\n[A]\n| G | H7x |\n")
    with pytest.raises(ValueError, match=r"song.txt', line 3: Unknown chord 'H7x'"):
        check_controls(tmp_path, {}, "", {"sheet": str(path)})
    path.write_text("metre: 7/8\n[A]\n| G |\n")
    with pytest.raises(ValueError, match="bar 1 of the sheet is in 7/8; nearest is"):
        check_controls(tmp_path, {}, "", {"sheet": str(path)})


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"bars": 16, "tempo": 120, "seconds": 20}, "16 bars in 20 s at 120 .* leave out one of the three"),
        ({"form": "AABB", "bars": 15}, "bars is 15, which AABB cannot have; the nearest that it can have is 14 or 16"),
        ({"form": "A 8, B 8", "bars": 12}, "bars is 12, and A 8, B 8 has 16; leave out one of the two"),
        ({"intro": 4, "bars": 4}, "bars is 4, which a piece with an intro of 4 cannot have; the nearest .* is 5"),
        ({"sheet": SHEETS / "chorale.txt", "seconds": 5}, "15 bars in 5 s at 72 .* cannot be"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(aria, asked, says):
    with pytest.raises(ValueError, match=says):
        begin(aria, "4/4 piano" if "sheet" not in asked else "", **asked)


def test_words_ask_for_forms_as_options_do(aria):
    song = begin(aria, "irish jig on fiddle, AABB, 16 bars, with a 4 bar intro, slowing down at the end", seed=2)
    assert song.receipt["controls"]["form"].startswith("intro 4, A ") and song.receipt["controls"]["bars"] == 16
    assert song.receipt["controls"]["ritardando"] and not song.receipt["unmet"] and not song.receipt["unknown"]
    other = begin(aria, "irish jig on fiddle, AABB", seed=2, form="ABA", bars=12)
    assert other.receipt["controls"]["form"] == "A 4, B 4, A 4"
    assert any("AABB" in each and "set otherwise" in each for each in other.receipt["unmet"])
