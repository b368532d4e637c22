"""What the SoundFont standard asks of a player, one small file each; `soundfont_files.py` writes and measures them.

A value outside [low, high] means that the player does something else, or nothing. Where the standard and what EMU's
synthesizers did differ (attenuation), both pass.
"""

from __future__ import annotations

from functools import partial

import soundfont_files as f
from soundfont_files import Feature, Preset, Zone, note

CC = 0x80  # a modulator's source is a MIDI controller


def _zone(sample: int = f.SINE, **generators: int) -> Zone:
    names = {name.lower(): number for name, number in vars(f).items() if name.isupper() and isinstance(number, int)}
    return {f.SAMPLE: sample, f.MODE: 1} | {names[name]: amount for name, amount in generators.items()}


def _one(sample: int = f.SINE, **generators: int) -> tuple[Preset, ...]:
    return (Preset((_zone(sample, **generators),)),)


def _two(zone: Zone, other: Zone) -> tuple[Preset, ...]:
    return Preset((zone,)), Preset((other,), program=1)


def _rpn_range(semitones: int) -> tuple:
    return *f.control(0, 101, 0), *f.control(0, 100, 0), *f.control(0, 6, semitones), *f.control(0, 38, 0)


def _level(a: float, b: float, c: float, d: float):
    """dB of the second span against the first."""
    return lambda sound: f.level_db(sound, c, d) - f.level_db(sound, a, b)


def _bright(a: float, b: float, c: float, d: float):
    return lambda sound: f.brightness(sound, c, d) - f.brightness(sound, a, b)


def _quieter(number: int) -> tuple:
    """A note with a controller at 127, and one with it at 64, half a square law below: 11.9 dB."""
    return *f.control(0, number, 127), *note(0.1, 0.8), *f.control(2.9, number, 64), *note(3, 3.8)


LONG = f.timecents(5)
_TWICE = note(0.1, 0.8) + note(3, 3.8, velocity=64)
_BOTH = (*f.program(0, 0), *note(0.1, 0.8), *f.program(2.9, 1), *note(3, 3.8))
_HELD = note(0.1, 1.9)
_TAILS = (*f.control(0, 91, 127), *note(0.1, 0.8), *f.control(2.9, 91, 0), *note(3, 3.8))

FEATURES = (
    Feature(
        "pitch bend, 2 semitones",
        _one(),
        (*f.bend(0, 16383), *_HELD),
        partial(f.cents, start=0.5, end=1.5),
        195,
        205,
        "cents",
    ),
    Feature(
        "pitch bend range (RPN 0)",
        _one(),
        (*_rpn_range(12), *f.bend(0, 16383), *_HELD),
        partial(f.cents, start=0.5, end=1.5),
        1190,
        1210,
        "cents",
    ),
    Feature(
        "sustain pedal",
        _one(),
        (*f.control(0, 64, 127), *note(0.1, 0.5), *f.control(1.6, 64, 0)),
        _level(0.2, 0.4, 1.1, 1.5),
        -1,
        1,
        "dB",
    ),
    Feature(
        "sostenuto pedal",
        _one(),
        (*note(0.1, 0.5), *f.control(0.3, 66, 127), *f.control(1.6, 66, 0)),
        _level(0.2, 0.4, 1.1, 1.5),
        -1,
        1,
        "dB",
    ),
    Feature("volume (CC 7)", _one(), _quieter(7), _level(0.3, 0.7, 3.2, 3.7), -13, -11, "dB", 4),
    Feature("expression (CC 11)", _one(), _quieter(11), _level(0.3, 0.7, 3.2, 3.7), -13, -11, "dB", 4),
    Feature(
        "pan (CC 10)", _one(), (*f.control(0, 10, 0), *_HELD), partial(f.side_db, start=0.5, end=1.5), 10, 200, "dB"
    ),
    Feature("velocity to volume", _one(), _TWICE, _level(0.3, 0.7, 3.2, 3.7), -13, -11, "dB", 4),
    Feature(
        "velocity to filter",
        _one(f.SAW, filter=f.absolute_cents(4000)),
        note(0.1, 0.8, 57) + note(3, 3.8, 57, 30),
        _bright(0.3, 0.7, 3.2, 3.7),
        -40,
        -4,
        "dB",
        4,
    ),
    Feature(
        "initial attenuation of 10 dB",
        _two(_zone(), _zone(attenuation=100)),
        _BOTH,
        _level(0.3, 0.7, 3.2, 3.7),
        -11,
        -3.5,
        "dB",
        4,
    ),
    Feature(
        "key ranges",
        (Preset((_zone(keys=0 | 68 << 8), _zone(keys=69 | 127 << 8, coarse=5))),),
        _HELD,
        partial(f.cents, start=0.5, end=1.5),
        490,
        510,
        "cents",
    ),
    Feature(
        "velocity ranges",
        (Preset((_zone(velocities=0 | 100 << 8), _zone(velocities=101 | 127 << 8, coarse=5))),),
        _HELD,
        partial(f.cents, start=0.5, end=1.5),
        490,
        510,
        "cents",
    ),
    Feature(
        "preset added to instrument",
        (Preset((_zone(coarse=2),), added={f.COARSE: 3}),),
        _HELD,
        partial(f.cents, start=0.5, end=1.5),
        490,
        510,
        "cents",
    ),
    Feature("fine tuning", _one(fine=50), _HELD, partial(f.cents, start=0.5, end=1.5), 45, 55, "cents"),
    Feature(
        "scale tuning", _one(scale=50), note(0.1, 1.9, 81), partial(f.cents, start=0.5, end=1.5), 590, 610, "cents"
    ),
    Feature("pan of a zone", _one(pan=-500), _HELD, partial(f.side_db, start=0.5, end=1.5), 10, 200, "dB"),
    Feature(
        "volume envelope: delay",
        _one(delay=f.timecents(0.3)),
        _HELD,
        lambda s: f.level_db(s, 0.15, 0.38) - f.level_db(s, 0.45, 0.6),
        -200,
        -40,
        "dB",
    ),
    Feature(
        "volume envelope: attack", _one(attack=f.timecents(1.0)), _HELD, _level(1.3, 1.7, 0.55, 0.65), -8, -4, "dB"
    ),
    Feature(
        "volume envelope: decay",
        _one(decay=f.timecents(2), sustain=600),
        _HELD,
        _level(0.1, 0.12, 0.59, 0.61),
        -29,
        -19,
        "dB",
    ),
    Feature(
        "volume envelope: release",
        _one(release=f.timecents(2)),
        note(0.1, 0.9),
        _level(0.8, 0.9, 1.28, 1.32),
        -25,
        -14,
        "dB",
    ),
    Feature(
        "key to decay",
        _one(decay=f.timecents(2), sustain=960, key_to_decay=50, scale=0),
        note(0.1, 0.9, 36) + note(3, 3.9, 84),
        lambda s: (
            (f.level_db(s, 3.49, 3.51) - f.level_db(s, 3.1, 3.12))
            / (f.level_db(s, 0.59, 0.61) - f.level_db(s, 0.2, 0.22))
        ),
        3,
        5,
        "times",
        4,
    ),
    Feature(
        "filter cutoff",
        _two(_zone(f.SAW), _zone(f.SAW, filter=f.absolute_cents(800))),
        (*f.program(0, 0), *note(0.1, 0.8, 57), *f.program(2.9, 1), *note(3, 3.8, 57)),
        _bright(0.3, 0.7, 3.2, 3.7),
        -40,
        -8,
        "dB",
        4,
    ),
    Feature(
        "filter resonance",
        _two(_zone(f.SAW, filter=f.absolute_cents(2000)), _zone(f.SAW, filter=f.absolute_cents(2000), resonance=200)),
        (*f.program(0, 0), *note(0.1, 0.8, 57), *f.program(2.9, 1), *note(3, 3.8, 57)),
        lambda s: (
            f.band_db(s, 3.2, 3.7, 1800, 2200)
            - f.band_db(s, 3.2, 3.7, 100, 500)
            - f.band_db(s, 0.3, 0.7, 1800, 2200)
            + f.band_db(s, 0.3, 0.7, 100, 500)
        ),
        10,
        30,
        "dB",
        4,
    ),
    Feature(
        "modulation envelope to pitch",
        _one(mod_envelope_pitch=1200, mod_attack=f.timecents(0.5)),
        _HELD,
        partial(f.cents, start=1.0, end=1.8),
        1180,
        1220,
        "cents",
    ),
    Feature(
        "modulation envelope to filter",
        _one(
            f.SAW,
            filter=f.absolute_cents(400),
            filter_envelope=6000,
            mod_delay=f.timecents(0.5),
            mod_attack=f.timecents(0.3),
        ),
        note(0.1, 1.9, 57),
        _bright(0.2, 0.5, 1.4, 1.8),
        8,
        60,
        "dB",
    ),
    Feature(
        "modulation LFO to pitch",
        _one(mod_lfo_pitch=100, mod_lfo_rate=f.absolute_cents(5)),
        _HELD,
        partial(f.swing_cents, start=0.3, end=1.8),
        85,
        110,
        "cents",
    ),
    Feature(
        "modulation LFO to volume",
        _one(volume_lfo=60, mod_lfo_rate=f.absolute_cents(3)),
        _HELD,
        partial(f.swing_db, start=0.3, end=1.8),
        2,
        9,
        "dB",
    ),
    Feature(
        "modulation LFO to filter",
        _one(f.SAW, filter=f.absolute_cents(1500), filter_lfo=2400, mod_lfo_rate=f.absolute_cents(3)),
        note(0.1, 1.9, 57),
        partial(f.swing_db, start=0.3, end=1.8, measure=f.brightness),
        4,
        40,
        "dB",
    ),
    Feature(
        "vibrato LFO to pitch",
        _one(vibrato_pitch=100, vibrato_rate=f.absolute_cents(5)),
        _HELD,
        partial(f.swing_cents, start=0.3, end=1.8),
        85,
        110,
        "cents",
    ),
    Feature(
        "mod wheel to vibrato",
        _one(vibrato_rate=f.absolute_cents(5)),
        (*f.control(0, 1, 127), *_HELD),
        partial(f.swing_cents, start=0.3, end=1.8),
        40,
        60,
        "cents",
    ),
    Feature(
        "channel pressure to vibrato",
        _one(vibrato_rate=f.absolute_cents(5)),
        ((0, b"\xd0\x7f"), *_HELD),
        partial(f.swing_cents, start=0.3, end=1.8),
        40,
        60,
        "cents",
    ),
    Feature(
        "modulators of a file",
        (Preset((_zone(),), modulators=((CC | 20, f.ATTENUATION, 400, 0, 0),)),),
        (*note(0.1, 0.8), *f.control(2.9, 20, 127), *note(3, 3.8)),
        _level(0.3, 0.7, 3.2, 3.7),
        -45,
        -14,
        "dB",
        4,
    ),
    Feature(
        "exclusive class, drums",
        (
            Preset(
                (
                    _zone(keys=46 | 46 << 8, **{"class": 1}, scale=0),
                    _zone(f.FIFTH, keys=42 | 42 << 8, **{"class": 1}, scale=0),
                ),
                bank=128,
            ),
        ),
        note(0.1, 1.9, 46, channel=9) + note(0.8, 1.9, 42, channel=9),
        lambda s: f.band_db(s, 1.2, 1.7, 420, 460) - f.band_db(s, 0.3, 0.7, 420, 460),
        -200,
        -25,
        "dB",
    ),
    Feature(
        "exclusive class, melodic",
        (
            Preset(
                (
                    _zone(keys=60 | 60 << 8, **{"class": 1}, scale=0),
                    _zone(f.FIFTH, keys=62 | 62 << 8, **{"class": 1}, scale=0),
                ),
            ),
        ),
        note(0.1, 1.9, 60) + note(0.8, 1.9, 62),
        lambda s: f.band_db(s, 1.2, 1.7, 420, 460) - f.band_db(s, 0.3, 0.7, 420, 460),
        -200,
        -25,
        "dB",
    ),
    Feature("no loop (mode 0)", _one(f.BURST, mode=0), _HELD, _level(0.1, 0.12, 0.5, 1.5), -200, -30, "dB"),
    Feature(
        "loop while held (mode 3), then the rest",
        _one(f.TWO_TONES, mode=3, release=LONG),
        note(0.1, 0.9),
        lambda s: f.band_db(s, 1.2, 1.5, 950, 1050) - f.band_db(s, 0.4, 0.8, 400, 480),
        -20,
        10,
        "dB",
    ),
    Feature(
        "bank select",
        (*_one(), Preset((_zone(coarse=5),), bank=8)),
        (*f.control(0, 0, 8), *f.program(0.01, 0), *_HELD),
        partial(f.cents, start=0.5, end=1.5),
        490,
        510,
        "cents",
    ),
    Feature(
        "drum channel",
        (*_one(), Preset((_zone(coarse=5),), bank=128)),
        note(0.1, 1.9, channel=9),
        partial(f.cents, start=0.5, end=1.5),
        490,
        510,
        "cents",
    ),
    Feature(
        "two zones at once, left and right",
        (Preset((_zone(pan=-500), _zone(f.FIFTH, pan=500))),),
        _HELD,
        lambda s: f.band_db(s[:1], 0.5, 1.5, 420, 460) - f.band_db(s[1:], 0.5, 1.5, 420, 460),
        10,
        200,
        "dB",
    ),
    Feature("reverb send (CC 91)", _one(), _TAILS, _level(3.95, 4.3, 0.95, 1.3), 6, 200, "dB", 5),
    Feature(
        "chorus send (CC 93)",
        _one(),
        (*f.control(0, 93, 127), *note(0.1, 3.9)),
        partial(f.sidebands_db, start=0.5, end=3.7),
        -50,
        0,
        "dB",
        4,
    ),
    Feature(
        "onsets in their place",
        (
            Preset(
                (_zone(f.BURST, mode=0),),
            ),
        ),
        tuple(e for at in f.ONSETS for e in note(at, at + 0.1)),
        f.jitter,
        0,
        8,
        "samples",
        4,
    ),
    Feature(
        "a sine of 5 kHz stays one",
        _one(f.HIGH),
        note(0.1, 1.9, 116),
        partial(f.noise_db, start=0.5, end=1.5),
        -200,
        -60,
        "dB",
    ),
)
