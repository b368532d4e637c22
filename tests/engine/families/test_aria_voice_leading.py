"""Where a hymn's voices lean: to their registers, on in their lines, and never in parallel fifths or octaves."""

import itertools
from dataclasses import replace

import pytest

from clavilux.audio.harmony import QUALITIES, Chord
from clavilux.families.aria.voice_leading import HYMNS, PARALLEL, USUAL, VoiceLeading, kind_of_move
from clavilux.families.aria.voices import HYMN, Voices

MIDDLES = (48.0, 55.0, 62.0, 69.0)
NOTHING = replace(
    HYMNS, middles=MIDDLES, at_bars=0.0, full=0.0, moves=((0.0,) * 9,) * 4, crowded=(0.0,) * 4, over_bass=(0.0,) * 12,
)  # fmt: skip


def test_what_was_counted_is_complete():
    assert len(HYMNS.middles) == len(HYMNS.moves) == len(HYMNS.crowded) == 4
    assert {len(moves) for moves in HYMNS.moves} == {9}
    assert len(HYMNS.over_bass) == len(HYMNS.chord_moves) == len(HYMNS.roots) == 12
    assert set(HYMNS.qualities) <= set(QUALITIES) and list(HYMNS.middles) == sorted(HYMNS.middles)


@pytest.mark.parametrize(
    ("semitones", "upward", "kind"),
    [
        (0, 1, 0),
        (2, 0, 1),
        (-1, -1, 1),
        (-2, 1, 2),
        (4, 1, 3),
        (-3, 1, 4),
        (7, 1, 5),
        (5, -1, 6),
        (12, 1, 7),
        (-8, 1, 8),
    ],
)
def test_kinds_of_moves(semitones, upward, kind):
    assert kind_of_move(semitones, upward) == kind


def test_each_voice_leans_to_its_own_register():
    """Which voice a pitch is says the number of those that sound below it."""
    voices = VoiceLeading(NOTHING)
    for voice, middle in enumerate(MIDDLES):
        found = voices.leaning([int(each) for each in MIDDLES[:voice]], begins_bar=False)
        assert max(found, key=found.get) == middle and found[int(middle)] == 0.0
    held = voices.leaning([48, 69], begins_bar=False)  # the melody is held, an inner voice begins
    assert max((p for p in held if 48 < p < 69), key=held.get) == 55
    higher = VoiceLeading(replace(NOTHING, at_bars=5.0)).leaning([], begins_bar=True)
    assert max(higher, key=higher.get) == 53


@pytest.mark.parametrize("octaves", [0, 12, 24])
def test_parallel_fifths_and_octaves_are_shunned(octaves):
    voices = VoiceLeading(NOTHING)
    voices.hear([48, 55, 64, 72])
    even = VoiceLeading(NOTHING).leaning([50], begins_bar=False)
    found = voices.leaning([50], begins_bar=False)  # the bass went a step up
    assert {pitch for pitch in found if found[pitch] < even[pitch]} == set(range(57, 128, 12))
    assert found[57 + octaves] == even[57 + octaves] - PARALLEL
    still = voices.leaning([48], begins_bar=False)  # it stayed
    assert still == VoiceLeading(NOTHING).leaning([48], begins_bar=False)
    found, even = (each.leaning([50, 55, 64], begins_bar=False) for each in (voices, VoiceLeading(NOTHING)))
    assert {p for p in found if found[p] < even[p]} == {p for p in even if p > 64 and (p - 50) % 12 == 0}


def test_lines_go_on_and_do_not_hang_on_a_pitch():
    moves = tuple(tuple(float(10 * voice + kind) for kind in range(9)) for voice in range(4))
    voices = VoiceLeading(replace(NOTHING, moves=moves, crowded=(1.0,) * 4))
    for melody in (69, 71):
        voices.hear([48, 55, 62, melody])
    voices.hear([48, 55, 62])  # a voice is missing, which one is not known
    found = voices.leaning([41, 52, 60], begins_bar=False)
    apart = {pitch: ((pitch - 69) / 6) ** 2 / 2 for pitch in found}
    assert [found[p] + apart[p] for p in (71, 72, 69, 75, 67)] == pytest.approx([30, 31, 32, 33, 34])
    for _ in range(2 * USUAL):
        voices.hear([48, 55, 62, 71])
    assert voices.leaning([41, 52, 60], begins_bar=False)[71] + apart[71] == pytest.approx(30 - USUAL - 1)


def test_chords_follow_each_other():
    chord = replace(HYMNS, chord_moves=tuple(map(float, range(12))), roots=(0.5,) * 12, qualities={"min": 0.25})
    assert chord.of_chord(Chord(0, "maj"), Chord(7, "maj")) == 5.5
    assert chord.of_chord(Chord(2, "min"), None) == 0.75


def test_real_voices_are_likelier_than_a_choir_in_octaves():
    """Four chords of a hymn beside the same bass under voices that go with it."""
    sums = []
    for inner in ([(48, 64, 67, 72), (53, 65, 69, 72), (55, 62, 67, 71), (48, 60, 67, 72)],
                  [(48, 55, 60, 67), (53, 60, 65, 72), (55, 62, 67, 74), (48, 55, 60, 67)]):  # fmt: skip
        voices, total = Voices(HYMN), 0.0
        for beat, chord in enumerate(inner):
            voices.move(float(beat), begins_bar=beat == 0)
            for pitch in chord:
                total += voices.leaning[pitch]
                voices.begin(pitch, beat + 1.0)
        sums.append(total)
    assert sums[0] > sums[1] + 3 * PARALLEL


def test_the_bass_of_every_interval_is_a_voice_below():
    """Intervals count from the lowest voice that sounds, in any octave."""
    over = tuple(float(interval) for interval in range(12))
    voices = VoiceLeading(replace(NOTHING, over_bass=over))
    found, even = (v.leaning([45], begins_bar=False) for v in (voices, VoiceLeading(NOTHING)))
    for pitch, octave in itertools.product(range(46, 57), (0, 12)):
        assert found[pitch + octave] - even[pitch + octave] == pytest.approx((pitch - 45) % 12)
