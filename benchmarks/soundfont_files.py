"""Small SoundFonts and MIDI files that each ask one thing of a player, and how what it did is measured.

Numbers of generators and modulators are those of the SoundFont Technical Specification 2.04. Knows no player:
`soundfont_players.py` renders the files and asks `Feature.measure` about the sound.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.signal import hilbert

from clavilux.audio.soundfont import TABLES

RATE = 44100  # of what is rendered
_SAMPLE_RATE = 44000  # of the samples: 100 of them are a period of 440 Hz
_TICKS_PER_S = 19200  # 9600 a quarter at 120: finer than a sample block of any player

# generators
START, FILTER, RESONANCE, FILTER_LFO, FILTER_ENVELOPE, VOLUME_LFO, CHORUS, REVERB, PAN = 0, 8, 9, 10, 11, 13, 15, 16, 17
MOD_LFO_PITCH, VIBRATO_PITCH, MOD_ENVELOPE_PITCH, MOD_LFO_RATE, VIBRATO_RATE, MOD_DELAY, MOD_ATTACK = (
    5,
    6,
    7,
    22,
    24,
    25,
    26,
)
DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, KEY_TO_DECAY = 33, 34, 35, 36, 37, 38, 40
INSTRUMENT, KEYS, VELOCITIES, ATTENUATION, COARSE, FINE, SAMPLE, MODE, SCALE, CLASS = (
    41,
    43,
    44,
    48,
    51,
    52,
    53,
    54,
    56,
    57,
)
SINE, SAW, HIGH, BURST, TWO_TONES, FIFTH = range(6)  # samples
_NOTE, _PEDAL = 69, 64

Zone = dict[int, int]


@dataclass(frozen=True)
class Preset:
    """A preset with one instrument: generators of each zone, those of the preset itself, modulators of every zone."""

    zones: tuple[Zone, ...]
    bank: int = 0
    program: int = 0
    added: Zone = field(default_factory=dict)
    modulators: tuple[tuple[int, int, int, int, int], ...] = ()  # source, destination, amount, control, transform


@dataclass(frozen=True)
class Feature:
    """What is asked, how it is played, and what is measured; the standard is kept if low <= value <= high."""

    name: str
    presets: tuple[Preset, ...]
    events: tuple[tuple[float, bytes], ...]
    measure: Callable[[np.ndarray], float]
    low: float
    high: float
    unit: str
    seconds: float = 2.0

    def honoured(self, value: float) -> bool:
        return self.low <= value <= self.high

    def write(self, folder: Path) -> tuple[Path, Path]:
        """(the SoundFont, the MIDI file)."""
        stem = "".join(letter if letter.isalnum() else "-" for letter in self.name)
        sf2, midi = folder / f"{stem}.sf2", folder / f"{stem}.mid"
        sf2.write_bytes(soundfont_bytes(self.presets))
        midi.write_bytes(midi_bytes(self.events))
        return sf2, midi


def timecents(seconds: float) -> int:
    return round(1200 * math.log2(seconds))


def absolute_cents(hz: float) -> int:
    return round(1200 * math.log2(hz / 8.176))


def samples() -> list[tuple[np.ndarray, int, tuple[int, int]]]:
    """(int16 data, root key, loop) of each sample."""
    time = np.arange(_SAMPLE_RATE) / _SAMPLE_RATE
    sine = np.sin(2 * np.pi * 440 * time)
    saw = sum(np.sin(2 * np.pi * 220 * n * time) / n for n in range(1, 80)) / 2
    high = np.sin(2 * np.pi * 5000 * time)
    burst = np.cos(2 * np.pi * 2200 * time[:2000]) * np.linspace(1, 0, 2000)
    two = np.where(time < 0.3, sine, np.sin(2 * np.pi * 1000 * time))
    fifth = np.sin(2 * np.pi * 660 * time)
    last = _SAMPLE_RATE // 100 * 100 - 200
    loops = [(2000, last), (2000, last), (2200, 2200 + 44 * 945), (0, 1900), (4000, 12000), (2000, last)]
    roots = [69, 57, 111, 69, 69, 69]
    waves = [sine, saw, high, burst, two, fifth]
    return [
        (np.round(wave * 16000).astype("<i2"), root, loop) for wave, root, loop in zip(waves, roots, loops, strict=True)
    ]


def soundfont_bytes(presets: tuple[Preset, ...]) -> bytes:
    """An SF2 file with all of `samples` and these presets, sorted by bank and program."""
    rows: dict[str, list[tuple]] = {name: [] for name in TABLES}
    for preset in sorted(presets, key=lambda each: (each.bank, each.program)):
        number = len(rows["inst"])
        rows["phdr"].append((b"preset", preset.program, preset.bank, len(rows["pbag"]), [0, 0, 0]))
        rows["pbag"].append((len(rows["pgen"]), 0))
        rows["pgen"] += [*sorted(preset.added.items()), (INSTRUMENT, number)]
        rows["inst"].append((b"instrument", len(rows["ibag"])))
        for zone in preset.zones:
            rows["ibag"].append((len(rows["igen"]), len(rows["imod"])))
            # Ranges stand first and the sample last, as the standard wants it.
            order = sorted(
                zone.items(), key=lambda pair: (pair[0] == SAMPLE, pair[0] not in (KEYS, VELOCITIES), pair[0])
            )
            rows["igen"] += order
            rows["imod"] += preset.modulators
    data = b""
    for wave, root, (start, end) in samples():
        first = len(data) // 2
        rows["shdr"].append(
            (b"sample", first, first + len(wave), first + start, first + end, _SAMPLE_RATE, root, 0, 0, 1)
        )
        data += wave.tobytes() + bytes(2 * 46)
    rows["phdr"].append((b"EOP", 0, 0, len(rows["pbag"]), [0, 0, 0]))
    rows["pbag"].append((len(rows["pgen"]), 0))
    rows["inst"].append((b"EOI", len(rows["ibag"])))
    rows["ibag"].append((len(rows["igen"]), len(rows["imod"])))
    rows["shdr"].append((b"EOS", *[0] * 9))
    for name in ("pgen", "igen", "pmod", "imod"):
        rows[name].append((0,) * len(TABLES[name]))
    tables = b"".join(
        _chunk(name.encode(), np.array(rows[name], dtype=np.dtype(TABLES[name])).tobytes())
        for name in ("phdr", "pbag", "pmod", "pgen", "inst", "ibag", "imod", "igen", "shdr")
    )
    info = _chunk(b"ifil", struct.pack("<HH", 2, 4)) + _chunk(b"isng", b"EMU8000\0") + _chunk(b"INAM", b"features\0\0")
    lists = ((b"INFO", info), (b"sdta", _chunk(b"smpl", data)), (b"pdta", tables))
    return _chunk(b"RIFF", b"sfbk" + b"".join(_chunk(b"LIST", name + body) for name, body in lists))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def midi_bytes(events: tuple[tuple[float, bytes], ...]) -> bytes:
    """A MIDI file of (seconds, message), kept in their order where times are equal."""
    track, at = b"", 0
    for seconds, message in sorted(events, key=lambda each: each[0]):
        tick = round(seconds * _TICKS_PER_S)
        track += _variable(tick - at) + message
        at = tick
    track += _variable(0) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS_PER_S // 2) + b"MTrk" + struct.pack(">I", len(track)) + track


def _variable(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def note(start: float, end: float, key: int = _NOTE, velocity: int = 127, channel: int = 0) -> tuple:
    return (start, bytes([0x90 | channel, key, velocity])), (end, bytes([0x80 | channel, key, 0]))


def control(at: float, number: int, value: int, channel: int = 0) -> tuple[tuple[float, bytes]]:
    return ((at, bytes([0xB0 | channel, number, value])),)


def program(at: float, number: int, channel: int = 0) -> tuple[tuple[float, bytes]]:
    return ((at, bytes([0xC0 | channel, number])),)


def bend(at: float, value: int) -> tuple[tuple[float, bytes]]:
    return ((at, bytes([0xE0, value & 127, value >> 7])),)


# Measures; sound is float32 [2, N].


def span(sound: np.ndarray, start: float, end: float) -> np.ndarray:
    """Both sides added, float64 [n]."""
    return sound[:, round(start * RATE) : round(end * RATE)].sum(axis=0).astype(np.float64)


def level_db(sound: np.ndarray, start: float, end: float) -> float:
    wave = span(sound, start, end)
    return 10 * math.log10(float(np.mean(wave**2)) + 1e-12)


def band_db(sound: np.ndarray, start: float, end: float, low: float, high: float) -> float:
    """Level of a band of frequencies."""
    wave = span(sound, start, end)
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / RATE)
    return 10 * math.log10(float(power[(hz >= low) & (hz < high)].sum()) / len(wave) ** 2 + 1e-14)


def brightness(sound: np.ndarray, start: float, end: float, edge: float = 2000) -> float:
    """dB of what lies above an edge against what lies below it."""
    return band_db(sound, start, end, edge, 20000) - band_db(sound, start, end, 50, edge)


def cents(sound: np.ndarray, start: float, end: float, reference: float = 440) -> float:
    """Pitch of the strongest partial, over 440 Hz."""
    wave = span(sound, start, end)
    size = 1 << 18
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    return 1200 * math.log2(max(1, int(power.argmax())) * RATE / size / reference)


def swing_cents(sound: np.ndarray, start: float, end: float) -> float:
    """Half the way from the lowest to the highest pitch of a sine."""
    wave = span(sound, start, end)
    spectrum = np.fft.rfft(wave)
    hz = np.fft.rfftfreq(len(wave), 1 / RATE)
    spectrum[(hz < 300) | (hz > 700)] = 0
    phase = np.unwrap(np.angle(hilbert(np.fft.irfft(spectrum, len(wave)))))
    smooth = np.convolve(np.diff(phase), np.ones(401) / 401, "valid")[2000:-2000] * RATE / 2 / np.pi
    low, high = np.percentile(smooth, [2, 98])
    return 600 * math.log2(high / low)


def swing_db(sound: np.ndarray, start: float, end: float, measure: Callable = level_db) -> float:
    """Half the way from the lowest to the highest of a measure over windows of 40 ms."""
    values = [measure(sound, at, at + 0.04) for at in np.arange(start, end - 0.04, 0.02)]
    low, high = np.percentile(values, [5, 95])
    return float(high - low) / 2


def sidebands_db(sound: np.ndarray, start: float, end: float) -> float:
    """What lies 3 to 60 Hz beside 440 Hz, against what is there."""
    beside = [band_db(sound, start, end, *edges) for edges in ((380, 437), (443, 500))]
    return 10 * math.log10(sum(10 ** (db / 10) for db in beside)) - band_db(sound, start, end, 437, 443)


def noise_db(sound: np.ndarray, start: float, end: float) -> float:
    """Everything from 50 Hz on but the strongest partial, against it."""
    wave = span(sound, start, end)
    power = np.abs(np.fft.rfft(wave * np.blackman(len(wave)))) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / RATE)
    peak = np.abs(hz - hz[power.argmax()]) < 60
    return 10 * math.log10(float(power[~peak & (hz > 50)].sum()) / float(power[peak].sum()) + 1e-14)


def side_db(sound: np.ndarray, start: float, end: float) -> float:
    """Left against right."""
    part = sound[:, round(start * RATE) : round(end * RATE)].astype(np.float64)
    left, right = (part**2).mean(axis=1)
    return 10 * math.log10((float(left) + 1e-12) / (float(right) + 1e-12))


ONSETS = tuple(0.1 + 0.2137 * n for n in range(16))


def jitter(sound: np.ndarray) -> float:
    """How many samples lie between the earliest and the latest onset, each against where the file has it."""
    wave, errors = np.abs(span(sound, 0, ONSETS[-1] + 0.2)), []
    for seconds in ONSETS:
        at = round(seconds * _TICKS_PER_S) / _TICKS_PER_S * RATE
        near = wave[max(0, round(at) - 1000) : round(at) + 4000]
        errors.append(int((near > 0.4 * near.max()).argmax()) + max(0, round(at) - 1000) - at)
    return max(errors) - min(errors)
