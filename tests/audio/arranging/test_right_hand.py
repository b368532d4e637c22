import itertools
import random
from dataclasses import replace

import numpy as np
import pytest

from clavilux.audio.arranging.arranger import Arranger
from clavilux.audio.arranging.figures import Harmony
from clavilux.audio.arranging.forms import write_sheet
from clavilux.audio.arranging.library import band_names, load_band
from clavilux.audio.arranging.right_hand import LOWEST, TEXTURES, Manner, companions, habits, manners
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notes import PART_NOTE

HANDS = [name for name in band_names() if load_band(name).parts[0].right_hand]
SCALE_RUN = [(step / 2, 0.5, pitch, 90) for step, pitch in enumerate((84, 83, 81, 79, 77, 76))]


def manner(texture: str, *, reach: str = "slow", accent: str = "octaves", full: bool = False) -> Manner:
    return Manner(tuple(dict.fromkeys((texture, "single"))), reach, accent, full)


def under(tune, how: Manner, chord: str = "C", key: str = "C", **options):
    """What lies under each note of a tune, as distances from it, the nearest first."""
    harmony = Harmony(lambda _: Chord.parse(chord), Key.parse(key))
    rows = companions(tune, how, harmony, **({"beat": 1.0, "tempo": 120.0} | options))
    by_start = {note[0]: note for note in tune}
    assert all(row[1] == by_start[row[0]][1] and row[3] < by_start[row[0]][3] for row in rows)  # as long, softer
    return [sorted(note[2] - row[2] for row in rows if row[0] == note[0]) for note in tune]


def song(name: str, *, key: str = "C", seed: int = 1, program: int = 0, weights=None, melodists: int = 1):
    """(sheet, the tune of quarters and eighths that a player of `program` has, all notes of both)."""
    band = load_band(name)
    if weights is not None:
        band = replace(band, parts=(replace(band.parts[0], right_hand=tuple(weights.items())),))
    sheet = write_sheet(band, Key.parse(key), 120.0, 32, seed=seed, form=[("A", 8, False), ("B", 8, False)] * 2)
    rng, drawn, rows = random.Random(seed), {}, []
    scale = [pitch for pitch in range(67, 87) if pitch % 12 in sheet.key.scale]
    names = [section.name for section in sheet.sections for _ in section.bars]
    for index, (start, bar) in enumerate(zip(sheet.bar_starts(), sheet.bars, strict=True)):
        tune = [(0.0, 1.0), (1.0, 0.5), (1.5, 0.5), (2.0, 1.0)][: 4 if bar.quarters == 3 else 3]
        pitches = drawn.setdefault((names[index], index % 8), rng.choices(scale, k=4))
        rows += [(start + at, length, p, 90, program, False, 0) for (at, length), p in zip(tune, pitches, strict=False)]
    melody = np.array(rows, PART_NOTE)
    arranger = Arranger(sheet, band, seed=seed, melodists=melodists)
    bars = [
        arranger.with_melody(index, melody[(melody["start"] >= start) & (melody["start"] < start + bar.quarters)])
        for index, (start, bar) in enumerate(zip(sheet.bar_starts(), sheet.bars, strict=True))
    ]
    return sheet, melody, np.concatenate(bars)


def right_of(melody: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """The band's notes that begin and end with a melody's, from C4 up and within an octave under it."""
    times = {(float(n["start"]), float(n["duration"])): int(n["pitch"]) for n in melody}
    own = [
        n["part"] == 1 and n["pitch"] >= LOWEST
        and 0 < times.get((float(n["start"]), float(n["duration"])), 0) - n["pitch"] <= 12 for n in notes
    ]  # fmt: skip
    return notes[np.array(own)]


def test_each_texture_is_what_it_is_called():
    assert under(SCALE_RUN, manner("single")) == [[]] * 6
    assert under(SCALE_RUN, manner("octaves")) == [[12]] * 6
    assert under(SCALE_RUN, manner("accents")) == [[12], *[[]] * 5]
    thirds = under(SCALE_RUN, manner("thirds"), chord="F")
    assert thirds == [[3], [4], [4], [7], [3], [4]]  # under the G no E beside F and no B beside C, but a C
    assert all(sizes[0] in (8, 9, 7, 5, 6) for sizes in under(SCALE_RUN[:3], manner("sixths")))
    assert under(SCALE_RUN[:1], manner("chords")) == [[5, 8]]  # C E G
    assert under(SCALE_RUN[:1], manner("chords", full=True)) == [[5, 8, 12]]


def test_a_bar_keeps_to_thirds_or_sixths_whichever_it_has_more_of():
    tune = [(0.0, 1.0, 84, 90), (1.0, 1.0, 76, 90), (2.0, 0.5, 84, 90), (2.5, 0.5, 76, 90)]
    for texture in ("thirds", "sixths"):
        assert under(tune, manner(texture), chord="C") == [[8], [9], [8], [9]]  # a bar does not begin on A over C


def test_a_note_that_is_held_has_what_belongs_to_every_chord_under_it():
    chords = [Chord.parse("C"), Chord.parse("F")]
    harmony = Harmony(lambda quarter: chords[quarter >= 1], Key.parse("C"), (1.0,))
    for pitch, below in ((84, []), (79, []), (76, [72])):  # over C and F: E G no more, E no more, C in both
        rows = companions([(0.0, 2.0, pitch, 90)], manner("thirds"), harmony, beat=1.0, tempo=120.0)
        assert [row[2] for row in rows] == below
    rows = companions([(0.0, 2.0, 84, 90)], manner("octaves"), harmony, beat=1.0, tempo=120.0)
    assert [row[2] for row in rows] == [72]


def test_fast_notes_and_what_no_hand_could_play_stay_single():
    fast = [(step / 4, 0.25, 84 - step, 90) for step in range(4)]
    for texture in TEXTURES:
        assert under(fast, manner(texture)) == [[]] * 4
    assert any(under(fast, manner("thirds", reach="all"), tempo=90.0))
    assert not any(under(fast, manner("thirds", reach="all"), tempo=150.0))
    assert not any(under(SCALE_RUN, manner("octaves"), tempo=200.0))
    on_beats = under(SCALE_RUN, manner("octaves", reach="beats"))
    assert [bool(each) for each in on_beats] == [True, False] * 3


def test_a_bar_that_does_not_suit_a_texture_is_played_in_the_next():
    low = [(0.0, 1.0, 67, 90), (1.0, 1.0, 69, 90), (2.0, 1.0, 72, 90)]
    assert under(low, manner("octaves")) == [[]] * 3  # two of three would lie below C4
    assert under(low, replace(manner("octaves"), textures=("octaves", "thirds", "single")))[0] == [3]


@pytest.mark.parametrize("chord", ["C", "G7", "Am", "F", "Dm7", "Bdim", "E7", "C/E"])
@pytest.mark.parametrize("key", ["C", "A minor"])
def test_a_hand_spans_an_octave_and_what_it_adds_belongs_there(chord, key):
    tones = Chord.parse(chord).pitch_classes
    for pitch, texture, full, start in itertools.product(range(60, 90), TEXTURES, (False, True), (0.0, 1.5)):
        (found,) = under([(start, 0.5, pitch, 90)], manner(texture, full=full), chord, key)
        assert len(found) <= 3 and all(3 <= size <= 12 and pitch - size >= LOWEST for size in found)
        assert all(b - a >= 3 for a, b in itertools.pairwise(found))
        for added in ((pitch - size) % 12 for size in found if size != 12):
            beside = {(added + 1) % 12, (added - 1) % 12} & tones
            assert added in tones or (added in Key.parse(key).scale and start and not beside and texture != "chords")


def test_the_last_note_of_a_piece_stands_on_its_chord():
    tune = [(0.0, 1.0, 83, 90), (1.0, 2.0, 84, 90)]
    assert under(tune, manner("octaves"), is_last=True) == [[], [5, 8]]
    assert under(tune, manner("single"), is_last=True) == [[], []]


def test_pieces_differ_and_on_average_have_the_weights():
    weights = {"single": 50.0, "octaves": 30.0, "thirds": 20.0, "chords": 0.0}
    shares = []
    for seed in range(2000):
        own = habits(weights, random.Random(seed))
        assert own == habits(weights, random.Random(seed)) and "chords" not in own
        shares.append([own[name] / sum(own.values()) for name in ("single", "octaves", "thirds")])
    assert np.allclose(np.mean(shares, axis=0), [0.5, 0.3, 0.2], atol=0.03)
    assert np.allclose(np.std(shares, axis=0), [0.267, 0.245, 0.214], atol=0.02)


def test_a_manner_holds_for_a_stretch_and_a_longer_section_begins_alike():
    weights = dict(zip(TEXTURES, (53, 10, 12, 11, 6, 8), strict=True))
    changes = []
    for seed in range(300):
        found = manners(weights, 8, random.Random(seed))
        assert found == manners(weights, 16, random.Random(seed))[:8]
        assert all(each.textures[-1] == "single" and len(set(each.textures)) == len(each.textures) for each in found)
        changes.append([a != b for a, b in itertools.pairwise(found)])
    often = np.mean(changes, axis=0)
    assert often[3] > 0.95 and (often[[0, 2, 4, 6]] < 0.2).all() and (np.abs(often[[1, 5]] - 0.5) < 0.1).all()


@pytest.mark.parametrize("name", HANDS)
def test_a_melody_has_company_from_its_player_and_stays_as_it_is(name):
    counts = []
    for seed in range(8):
        key = ("C", "F", "A minor", "Bb")[seed % 4]
        _, melody, notes = song(name, key=key, seed=seed)
        assert np.array_equal(notes, song(name, key=key, seed=seed)[2])
        own = notes[notes["part"] == 0]
        assert np.array_equal(own, melody) and set(notes["part"]) == {0, 1}
        right = right_of(melody, notes)
        counts.append(len(right))
        assert len(np.unique(notes[["start", "pitch"]])) == len(notes)  # no key is struck twice at once
        left = np.setdiff1d(notes[notes["part"] == 1], right)
        for note in right:
            sounding = left["start"] + left["duration"] > note["start"] + 1e-6
            sounding &= left["start"] < note["start"] + note["duration"] - 1e-6
            assert not sounding.any() or left["pitch"][sounding].max() < note["pitch"]
    assert max(counts) > 40 > min(counts)


@pytest.mark.parametrize("name", HANDS)
def test_what_returns_returns_with_the_same_company(name):
    sheet, melody, notes = song(name, seed=3, weights={"octaves": 1, "thirds": 1, "chords": 1})
    right, half = right_of(melody, notes), sheet.quarters / 2
    rows = [(round(float(n["start"]), 3), int(n["pitch"])) for n in right]
    last = sheet.bar_starts()[-1]
    first = [row for row in rows if row[0] < last - half]
    assert len(first) > 20 and first == [(round(at - half, 3), p) for at, p in rows if half <= at < last]


def test_a_melody_of_another_player_and_one_in_unison_are_left_alone():
    bare = [song("piano waltz", program=program, weights={"single": 1})[2] for program in (0, 40)]
    assert np.array_equal(song("piano waltz", program=40, weights={"octaves": 1})[2], bare[1])
    assert np.array_equal(song("piano waltz", weights={"octaves": 1}, melodists=2)[2]["pitch"], bare[0]["pitch"])
    assert len(song("piano waltz", weights={"octaves": 1})[2]) > len(bare[0])
