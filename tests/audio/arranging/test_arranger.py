import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from clavilux.audio.arranging.arranger import Arranger, arrange
from clavilux.audio.arranging.band import DRUM_KEYS
from clavilux.audio.arranging.figures import Hands, Harmony, pitched_rows
from clavilux.audio.arranging.forms import fit_form, write_sheet
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.arranging.timing import offset_s, swing_notes, swung
from clavilux.audio.arranging.voicing import lead_voices
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notes import NOTE, PART_NOTE
from clavilux.audio.score import bar_quarters

NAMES = band_names()


def played(name: str, *, key: str = "C", bars: int = 24, seed: int = 1, **options):
    band = load_band(name)
    sheet = write_sheet(band, Key.parse(key), 100.0, bars, seed=seed, swing=options.pop("swing", None))
    return band, sheet, arrange(sheet, band, seed=seed, **options)


def chord_at(sheet, quarter):
    return [chord for time, chord in sheet.chords() if time <= quarter + 1e-6][-1]


@pytest.mark.parametrize("name", NAMES)
def test_chords_are_played_as_the_sheet_says(name):
    for key in ("C", "F# minor"):
        band, sheet, notes = played(name, key=key, swing=0.5)
        parts = {index + 1: part for index, part in enumerate(band.parts)}
        walking = {each.part for each in band.patterns if any("w" in symbols for _, symbols in each.rows)}
        for note in notes[~notes["drum"]]:
            part, chord = parts[int(note["part"])], chord_at(sheet, note["start"])
            low = min(part.low, part.root) - 12 * (part.voicing == "hand")  # octaves of a left hand
            assert low <= note["pitch"] <= max(part.high, part.root + 16), (part.name, note)
            if part.kind == "chords" and part.name in walking:
                assert int(note["pitch"]) % 12 in sheet.key.scale | chord.pitch_classes, (part.name, str(chord), note)
            elif part.kind == "chords":
                known = {*chord.pitch_classes, chord.bass, (chord.root + 9) % 12, (chord.root + 2) % 12}
                assert int(note["pitch"]) % 12 in known, (part.name, str(chord), note)


@pytest.mark.parametrize("name", NAMES)
def test_the_bass_says_every_change_of_chord(name):
    band, sheet, notes = played(name, swing=0.5)
    bass = next((index + 1 for index, part in enumerate(band.parts) if part.kind == "bass"), None)
    if bass is None:
        pytest.skip("without a bass")
    lows = notes[notes["part"] == bass]
    near = [(chord, lows[np.abs(lows["start"] - time) < 1.01]) for time, chord in sheet.chords()]
    classes = [(chord, {int(pitch) % 12 for pitch in found["pitch"]}) for chord, found in near if len(found)]
    heard = [bool({chord.root, chord.bass} & found) for chord, found in classes]
    assert len(heard) >= 2 and np.mean(heard) >= 0.8


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_for_the_same_seed_and_ends_with_the_piece(name):
    _, sheet, notes = played(name)
    assert np.array_equal(notes, played(name)[2]) and not np.array_equal(notes, played(name, seed=2)[2])
    ends = notes["start"] + notes["duration"]
    assert ends.max() <= sheet.quarters + 1e-6
    last = notes[(notes["start"] >= sheet.bar_starts()[-1] - 1e-6) & ~notes["drum"]]
    assert len(last) and {int(pitch) % 12 for pitch in last["pitch"]} & {sheet.key.tonic}


def test_forms_have_exactly_the_bars_that_are_asked_for():
    for name in NAMES:
        form = load_band(name).form
        assert fit_form(form, sum(bars for _, bars in form)) == list(form)
        for count in (*range(1, 60), 97, 150, 333):
            fitted = fit_form(form, count)
            assert sum(bars for _, bars in fitted) == count and all(bars > 0 for _, bars in fitted), (name, count)


def test_a_song_closes_on_its_tonic_and_sections_that_return_have_the_same_chords():
    band, sheet, notes = played("rock", bars=64)
    assert sheet.chords()[-1][1].root == sheet.key.tonic
    verses = [section for section in sheet.sections if section.name == "verse"]
    assert len(verses) == 3 and verses[0].bars == verses[1].bars == verses[2].bars
    starts = [start for start, name in sheet.section_starts() if name == "verse"]
    inner = [notes[(notes["start"] >= s) & (notes["start"] < s + 24) & ~notes["drum"]] for s in starts]
    first, second = (part[np.argsort(part, order=("part", "start", "pitch"))] for part in inner[:2])
    guitar = 1 + [part.name for part in band.parts].index("rhythm")
    a, b = (part[part["part"] == guitar] for part in (first, second))
    assert np.allclose(a["start"] - starts[0], b["start"] - starts[1])


def test_asked_chords_stand_in_every_bar():
    band = load_band("pop")
    asked = [[Chord.parse("Am")], [Chord.parse("F"), Chord.parse("G")], []]
    sheet = write_sheet(band, Key.parse("A minor"), 100.0, 9, seed=3, chords=asked)
    for index in (0, 3, 6):
        assert sheet.bars[index].chords == ((0, Chord.parse("Am")),)
        assert sheet.bars[index + 1].chords == ((0, Chord.parse("F")), (2, Chord.parse("G")))
        assert sheet.bars[index + 2].chords


@pytest.mark.parametrize("swing", [0.5, 0.58, 0.62, 2 / 3, 0.75])
def test_swing_is_exact(swing):
    times = np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 1 / 3, 7.5])
    expected = [0, swing / 2, swing, (1 + swing) / 2, 1, 1 + swing, 1 / 3, 7 + swing]
    assert np.allclose(swung(times, swing), expected)
    assert np.allclose(swung(times / 2, swing, 0.5), np.array(expected) / 2)
    _, _, notes = played("rock", swing=swing)
    inside = notes["start"] % 1
    offbeats = inside[(inside > 0.4) & (inside < 0.8) & (np.abs(inside - 0.75) > 1e-6) | (inside == swing)]
    assert len(offbeats) and np.isclose(offbeats, swing).mean() > 0.9


def test_swung_notes_end_where_the_next_begin():
    notes = np.array([(0, 0.5, 60, 80, 0, False), (0.5, 0.5, 62, 80, 0, False)], NOTE)
    late = swing_notes(notes, 2 / 3)
    assert np.allclose(late["start"], [0, 2 / 3]) and np.allclose(late["duration"], [2 / 3, 1 / 3])


def test_drums_as_they_are_asked_for():
    full, none, brushes, sticks, light = (
        played("rock", drums=d)[2] for d in ("full", "none", "brushes", "sticks", "light")
    )
    assert full["drum"].any() and not none["drum"].any()
    assert np.array_equal(full[~full["drum"]], none)
    assert set(brushes["program"][brushes["drum"]]) == {40} and DRUM_KEYS["crash"] not in brushes["pitch"]
    assert DRUM_KEYS["snare"] not in sticks["pitch"][sticks["drum"]] and DRUM_KEYS["rim"] in sticks["pitch"]
    assert light["velocity"][light["drum"]].mean() < full["velocity"][full["drum"]].mean()
    with pytest.raises(ValueError, match="drums is 'loud'; it should be one of full, light"):
        played("rock", drums="loud")


def test_fills_lead_out_of_sections_and_nowhere_else():
    band = load_band("rock")
    sheet = write_sheet(band, Key.parse("E"), 120.0, 64, seed=5)
    notes = arrange(sheet, band, seed=5)
    toms = [DRUM_KEYS[name] for name in ("tom1", "tom2")]
    bars = {int(start // 4) for start in notes["start"][np.isin(notes["pitch"], toms) & notes["drum"]]}
    lasts = {int(start // 4) - 1 for start, _ in sheet.section_starts()[1:]}
    assert bars and bars <= lasts


def test_players_rest_where_the_sheet_says():
    band = load_band("pop")
    sheet = write_sheet(band, Key.parse("C"), 100.0, 16, seed=1)
    first = replace(sheet.sections[0], instruments=("bass",))
    notes = arrange(replace(sheet, sections=(first, *sheet.sections[1:])), band, seed=1)
    alone = notes[notes["start"] < first.quarters - 1e-6]
    assert len(set(notes["part"])) > 2 and set(alone["part"]) <= {2}
    quiet = [replace(section, dynamic="p") for section in sheet.sections]
    assert arrange(replace(sheet, sections=tuple(quiet)), band)["velocity"].mean() < notes["velocity"].mean()


def test_voices_move_as_little_as_they_can():
    before: tuple[int, ...] = ()
    moved = []
    for name in ("C", "Am", "Dm", "G7", "C", "F", "Bdim", "E7", "Am"):
        pitches = lead_voices(Chord.parse(name), before, 52, 76)
        assert {pitch % 12 for pitch in pitches} <= Chord.parse(name).pitch_classes
        assert list(pitches) == sorted(set(pitches)) and pitches[0] >= 52 and pitches[-1] <= 76
        if before and len(before) == len(pitches):
            moved += [abs(a - b) for a, b in zip(before, pitches, strict=True)]
        before = pitches
    assert max(moved) <= 7 and np.mean(moved) < 2.5


def test_chords_in_the_bass_are_not_muddy_and_stay_under_a_melody():
    for low in (36, 40, 45):
        for chord in ("C", "Fmaj7", "G7", "Am"):
            pitches = lead_voices(Chord.parse(chord), (), low, low + 24, kind="open")
            assert all(b - a >= 5 for a, b in itertools.pairwise(pitches) if a < 50)
    assert max(lead_voices(Chord.parse("C"), (), 48, 80, kind="open", below=66)) < 66


def test_hands_are_late_by_milliseconds_and_the_grid_stays():
    band = load_band("jazz swing")
    sheet = write_sheet(band, Key.parse("F"), 120.0, 16, seed=1)
    arranger = Arranger(sheet, band, seed=1)
    notes = arranger.bar(0)
    late = arranger.played(notes)
    off_s = (late["start"] - notes["start"]) / 2
    assert np.abs(off_s).max() <= 0.08 and len(set(np.round(off_s, 6))) > 3
    assert np.array_equal(late, arranger.played(notes)) and np.array_equal(late["pitch"], notes["pitch"])
    drawn = [offset_s(1, number) for number in range(400)]
    assert abs(np.mean(drawn)) < 0.001 and 0.004 < np.std(drawn) < 0.006


def test_a_figure_keeps_its_beats_in_shorter_notes():
    """A waltz in 3/8 has its chords on the second and third beat; in 2/4 it has the first two beats of 3/4."""
    onsets = {}
    for metre in ((3, 4), (3, 8), (2, 4)):
        sheet = write_sheet(load_band("piano waltz"), Key.parse("C"), tempo=150, num_bars=9, seed=2, metre=metre)
        notes = arrange(sheet, load_band("piano waltz"), seed=2)
        length = bar_quarters(metre)
        first = notes[notes["start"] < 4 * length]
        onsets[metre] = {round(float(at % length) / length, 3) for at in first["start"]}
    assert onsets[3, 4] == onsets[3, 8] == {0.0, 0.333, 0.667}
    assert onsets[2, 4] == {0.0, 0.5}


@pytest.mark.parametrize("name", [name for name in NAMES if load_band(name).parts[0].voicing == "hand"])
def test_a_left_hand_lies_under_the_melody_has_its_sevenths_and_varies(name):
    """Whatever the figures drawn: no key struck twice, no chord under its bar's bass or over the tune."""
    band = load_band(name)
    sevenths, sizes, lowest = [], set(), []
    for seed in range(12):
        sheet = write_sheet(band, Key.parse(("C", "F", "A minor", "Bb")[seed % 4]), 120.0, 16, seed=seed)
        length = sheet.bars[0].quarters
        tune = np.array([(start, length, 67, 80, 0, False, 0) for start in sheet.bar_starts()], PART_NOTE)
        notes = arrange(replace(sheet, melody=tune), band, seed=seed)
        assert notes["pitch"].max() < 67
        assert len(np.unique(notes[["start", "pitch"]])) == len(notes)
        for start in sheet.bar_starts():
            bar = notes[(notes["start"] > start - 1e-6) & (notes["start"] < start + length - 1e-6)]
            chord = chord_at(sheet, start)
            if chord.quality == "7":
                sevenths.append((chord.root + 10) % 12 in bar["pitch"] % 12)
            first = np.sort(bar["pitch"][bar["start"] < start + 1e-6])
            if len(first):
                lowest.append(first[0] % 12 == chord.lowest)
            sizes |= {int((bar["start"] == at).sum()) for at in np.unique(bar["start"])}
    assert np.mean(lowest) >= 0.7
    if name != "piano minuet":  # of single notes and thirds
        assert np.mean(sevenths) >= 0.5 and sizes >= {1, 2, 3}


def test_the_tones_of_an_inversion_count_from_its_bass():
    part = replace(load_band("piano waltz").parts[0], root=40)
    harmony = Harmony(lambda _: Chord.parse("C/E"), Key.parse("C"))
    rows = pitched_rows(["135", "8.."], [0, 1, 2], 3, part, harmony, Hands(), random.Random(1))
    assert [(start, pitch) for start, _, pitch, _ in rows] == [(0, 40), (1, 43), (2, 48), (0, 52)]


def test_a_hand_takes_an_octave_with_the_seventh_and_the_bass_lowest():
    before: tuple[int, ...] = ()
    for name in ("C", "G7", "Am", "Dm7", "E7", "F"):
        chord = Chord.parse(name)
        before = lead_voices(chord, before, 48, 66, kind="hand", voices=3)
        assert len(before) == 3 and before[-1] - before[0] <= 12
        if len(chord.pitch_classes) == 4:
            assert (chord.root + 10) % 12 in {pitch % 12 for pitch in before}
    assert lead_voices(Chord.parse("C"), (), 48, 66, kind="hand")[0] == 48
    assert lead_voices(Chord.parse("C"), (), 48, 66, kind="hand", below=62)[-1] < 62
