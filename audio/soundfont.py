"""SoundFont files: which sample sounds for a program, key and velocity, and how it is shaped.

Reads SoundFont 2 and its Vorbis-compressed form SF3 (SoundFont Technical Specification 2.04; the generator
numbers below are its section 8.1.2). Knows the file, not how a note is played.
"""

from __future__ import annotations

import functools
import io
import json
import math
import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from clavilux.audio.programs import KIN
from clavilux.files import PathLike, check_readable

FOLDER = Path(__file__).parent / "soundfonts"
DRUM_BANK = 128
TABLES: dict[str, list[tuple[str, str] | tuple[str, str, int]]] = {
    "phdr": [("name", "S20"), ("preset", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "<u4", 3)],
    "pbag": [("gen", "<u2"), ("mod", "<u2")],
    "pmod": [("src", "<u2"), ("dst", "<u2"), ("amount", "<i2"), ("control", "<u2"), ("transform", "<u2")],
    "pgen": [("oper", "<u2"), ("amount", "<i2")],
    "inst": [("name", "S20"), ("bag", "<u2")],
    "shdr": [
        ("name", "S20"), ("start", "<u4"), ("end", "<u4"), ("loop_start", "<u4"), ("loop_end", "<u4"),
        ("rate", "<u4"), ("pitch", "u1"), ("correction", "i1"), ("link", "<u2"), ("type", "<u2"),
    ],
}  # fmt: skip
TABLES |= {"ibag": TABLES["pbag"], "imod": TABLES["pmod"], "igen": TABLES["pgen"]}

# Generators that are used here; the values of a preset are added to its instrument's, except for those below.
START, END, LOOP_START, LOOP_END = 0, 1, 2, 3
FILTER, RESONANCE, ENVELOPE_TO_FILTER, LFO_TO_VOLUME = 8, 9, 11, 13
PAN, LFO_DELAY, LFO_RATE, MOD_ENVELOPE, VOLUME_ENVELOPE = 17, 21, 22, 25, 33
INSTRUMENT, KEYS, VELOCITIES = 41, 43, 44
ATTENUATION, COARSE, FINE, SAMPLE, MODE, SCALE, CHOKE, ROOT = 48, 51, 52, 53, 54, 56, 57, 58
_NOT_ADDED = {START, END, LOOP_START, LOOP_END, 4, 12, 45, 46, 47, 50}
_NOT_ADDED |= {INSTRUMENT, KEYS, VELOCITIES, SAMPLE, MODE, CHOKE, ROOT}
_TIMES = (LFO_DELAY, *range(MOD_ENVELOPE, 29), 30, *range(VOLUME_ENVELOPE, 37), 38)
_DEFAULTS = {FILTER: 13500, SCALE: 100, ROOT: -1} | dict.fromkeys(_TIMES, -12000)


@dataclass(frozen=True)
class Envelope:
    """How loud a note is over time: seconds, and the sustain level as dB below the top.

    The attack rises evenly in amplitude; in `decay` and `release` seconds the level would fall by 100 dB.
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain_db: float
    release: float


@dataclass(frozen=True, eq=False)
class Region:
    """One sample with the keys and velocities for which it sounds, and its shape.

    Modulators are not read, nor vibrato (none of the bundled presets has any), nor a filter that moves: it
    stays where a fast modulation envelope would leave it.
    """

    sample: int
    keys: tuple[int, int]
    velocities: tuple[int, int]
    root: float  # the key at which the sample sounds as it is, fine tuning included
    cents_per_key: int
    loop: tuple[int, int] | None  # in samples from the start of the sample
    gain: float  # amplitude
    pan: float  # -1 left .. 1 right
    envelope: Envelope
    cutoff_hz: float  # low-pass; infinite if it is open
    resonance_db: float
    tremolo: tuple[float, float, float]  # delay in seconds, rate in Hz, depth in dB
    choke: int  # a drum of the same class cuts this one short; 0 is none


class SoundFont:
    """A SoundFont file: its presets as regions, and its samples.

    Args:
        path: of the file.
        measured: whether a file of measured levels and tunings stands beside it, as beside the bundled one.

    Raises:
        ValueError: the file is missing or is not an SF2 or SF3 file.
    """

    def __init__(self, path: str | Path, *, measured: bool = True) -> None:
        self.path = Path(path)
        settings = self.path.with_suffix(".json")
        self._settings = json.loads(settings.read_text()) if measured and settings.exists() else {}
        with self._reading():
            self._tables, self._samples, self._compressed = read_tables(self.path)
            headers = self._tables["phdr"]
            self._presets = {(int(h["bank"]), int(h["preset"])): number for number, h in enumerate(headers[:-1])}
        self._regions: dict[int, tuple[Region, ...]] = {}  # by preset, read when it is first played
        self._instruments: dict[int, list[dict[int, int]]] = {}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Errors of a broken file as one sentence."""
        try:
            yield
        except (KeyError, IndexError, struct.error, ValueError) as error:
            raise ValueError(f"{str(self.path)!r} is not a SoundFont 2 or 3 file ({error}).") from error

    @classmethod
    @functools.cache
    def bundled(cls) -> SoundFont:
        """The SoundFont that comes with the package (a part of FluidR3Mono, see soundfonts/NOTICE.md)."""
        return cls(FOLDER / "clavilux.sf3")

    @classmethod
    def open(cls, path: PathLike) -> SoundFont:
        """Somebody's own SoundFont file.

        Raises:
            ValueError: the file is missing, is not an SF2 or SF3 file, or holds no General MIDI instrument.
        """
        font = cls(check_readable(path, "SoundFont"), measured=False)
        if not font.programs:
            raise ValueError(f"{str(path)!r} holds no instruments in bank 0, where General MIDI has them")
        return font

    @classmethod
    def given(cls, given: PathLike | SoundFont | None) -> SoundFont | None:
        """What an argument `soundfont` means: a file is opened, None stays None (the bundled one)."""
        return given if given is None or isinstance(given, SoundFont) else cls.open(given)

    @property
    def has_drums(self) -> bool:
        """Whether there is a kit in bank 128."""
        return (DRUM_BANK, 0) in self._presets

    @property
    def programs(self) -> tuple[int, ...]:
        """General MIDI programs (0..127) that the file holds, ascending."""
        return tuple(sorted(program for bank, program in self._presets if bank == 0))

    def nearest(self, program: int) -> int:
        """The held program most like a General MIDI program: itself, or the first held of its `KIN`."""
        if not 0 <= program <= 127:
            raise ValueError(f"A General MIDI program lies between 0 and 127, not {program}.")
        held = self.programs
        if not held:
            raise ValueError(f"{str(self.path)!r} holds no instruments.")
        for candidate in (program, *KIN[program]):
            if candidate in held:
                return candidate
        return min(held, key=lambda other: abs(other - program))

    def level_db(self, program: int, drum: bool) -> float:
        """The gain that makes a held preset as loud as the others; 0 without a measured table."""
        return self._settings.get("levels_db", {}).get("drums" if drum else str(program), 0.0)

    def bank(self, program: int, select: int) -> int:
        """The bank that a bank select (0..16383) of a held program means, if it is held; otherwise bank 0.

        Files select by both bytes, by the first alone (GS) or by the second alone (XG).
        """
        return next((bank for bank in (select, select >> 7, select & 127) if (bank, program) in self._presets), 0)

    def regions(self, program: int, drum: bool, key: int, velocity: int, bank: int = 0) -> list[Region]:
        """What sounds for a key and velocity (0..127 each) of a held program; drums ignore program and bank.

        A key outside an instrument's range is played by the nearest region, a drum's by none.
        """
        fitting = [
            region
            for region in self._preset((DRUM_BANK, 0) if drum else (bank, program))
            if region.velocities[0] <= velocity <= region.velocities[1]
        ]
        away = [max(region.keys[0] - key, key - region.keys[1], 0) for region in fitting]
        nearest = 0 if drum else min(away, default=0)
        return [region for region, distance in zip(fitting, away, strict=True) if distance == nearest]

    def sample_rate(self, index: int) -> int:
        """The rate of a sample in Hz."""
        return int(self._tables["shdr"][index]["rate"])

    def sample(self, index: int) -> np.ndarray:
        """A sample, float32 [N]."""
        header = self._tables["shdr"][index]
        start, end = int(header["start"]), int(header["end"])
        if not self._compressed:
            return np.frombuffer(self._samples[2 * start : 2 * end], "<i2").astype(np.float32) / 32768
        data, _ = soundfile.read(io.BytesIO(self._samples[start:end]), dtype="float32")
        return data

    def _preset(self, name: tuple[int, int]) -> tuple[Region, ...]:
        """The regions of a (bank, preset); none where it is not held."""
        number = self._presets.get(name)
        if number is None:
            return ()
        if number not in self._regions:
            with self._reading():
                self._regions[number] = self._read_preset(number)
        return self._regions[number]

    def _read_preset(self, number: int) -> tuple[Region, ...]:
        bags = self._tables["phdr"]["bag"]
        regions = [
            self._region(zone, inner)
            for zone in self._zones("p", int(bags[number]), int(bags[number + 1]))
            if INSTRUMENT in zone
            for inner in self._instrument(zone[INSTRUMENT])
        ]
        return tuple(region for region in regions if region is not None)

    def _instrument(self, index: int) -> list[dict[int, int]]:
        if index not in self._instruments:
            bags = self._tables["inst"]["bag"]
            self._instruments[index] = [
                zone for zone in self._zones("i", bags[index], bags[index + 1]) if SAMPLE in zone
            ]
        return self._instruments[index]

    def _zones(self, kind: str, first: int, last: int) -> list[dict[int, int]]:
        """Zones of a preset or instrument, each with the global zone's values (the first, without target)."""
        bags, generators = self._tables[kind + "bag"]["gen"], self._tables[kind + "gen"]
        zones, common = [], {}
        for bag in range(first, last):
            own = {int(g["oper"]): int(g["amount"]) for g in generators[bags[bag] : bags[bag + 1]]}
            if bag == first and not own.keys() & {INSTRUMENT, SAMPLE}:
                common = own
            else:
                zones.append(common | own)
        return zones

    def _region(self, outer: dict[int, int], inner: dict[int, int]) -> Region | None:
        keys, velocities = (_intersection(outer.get(g), inner.get(g)) for g in (KEYS, VELOCITIES))
        if keys[0] > keys[1] or velocities[0] > velocities[1]:
            return None
        values = _DEFAULTS | inner
        for generator, amount in outer.items():
            if generator not in _NOT_ADDED:
                values[generator] = values.get(generator, 0) + amount
        get = functools.partial(_value, values)
        header = self._tables["shdr"][get(SAMPLE) & 0xFFFF]
        origin = 0 if self._compressed else int(header["start"])
        loop = (
            int(header["loop_start"]) - origin + get(LOOP_START),
            int(header["loop_end"]) - origin + get(LOOP_END),
        )
        root = get(ROOT) if get(ROOT) >= 0 else int(header["pitch"])
        cents = 100 * get(COARSE) + get(FINE) + int(header["correction"])
        cents += self._settings.get("tune_cents", {}).get(str(get(SAMPLE) & 0xFFFF), 0.0)
        return Region(
            sample=get(SAMPLE) & 0xFFFF,
            keys=keys,
            velocities=velocities,
            root=root - cents / 100,
            cents_per_key=get(SCALE),
            loop=loop if get(MODE) in (1, 3) and loop[1] - loop[0] >= 8 else None,
            gain=10 ** (-0.04 * get(ATTENUATION) / 20),  # 0.1 dB, of which EMU's synthesizers take 0.4
            pan=min(1.0, max(-1.0, get(PAN) / 500)),
            envelope=_envelope(get),
            cutoff_hz=_cutoff(get),
            resonance_db=get(RESONANCE) / 10,
            tremolo=(_seconds(get(LFO_DELAY)), _hertz(get(LFO_RATE)), get(LFO_TO_VOLUME) / 10),
            choke=get(CHOKE),
        )


def read_tables(path: Path) -> tuple[dict[str, np.ndarray], memoryview, bool]:
    """A SoundFont file's nine tables as record arrays, its samples, and whether they are compressed."""
    if not path.is_file():
        raise ValueError("there is no such file")
    with open(path, "rb") as handle:
        data = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"sfbk":
        raise ValueError("it does not begin with RIFF and sfbk")
    chunks: dict[str, memoryview] = {}
    for name, start, end in _chunks(data, 12, len(data)):
        if name == b"LIST":
            chunks |= {inner.decode(): data[a:b] for inner, a, b in _chunks(data, start + 4, end)}
    tables = {name: np.frombuffer(chunks[name], np.dtype(fields)) for name, fields in TABLES.items()}
    return tables, chunks["smpl"], struct.unpack_from("<H", chunks["ifil"])[0] >= 3


def _chunks(data: memoryview, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start + 8 <= end:
        size = struct.unpack_from("<I", data, start + 4)[0]
        if start + 8 + size > end:
            raise ValueError("it is cut short")
        yield bytes(data[start : start + 4]), start + 8, start + 8 + size
        start += 8 + size
        # Odd chunks end with a zero byte, which FluidR3Mono leaves out; no chunk's name begins with one.
        start += size % 2 and start < end and data[start] == 0


def _intersection(outer: int | None, inner: int | None) -> tuple[int, int]:
    ranges = [(value & 0x7F, value >> 8 & 0x7F) for value in (outer, inner) if value is not None]
    return max((low for low, _ in ranges), default=0), min((high for _, high in ranges), default=127)


def _value(values: dict[int, int], generator: int) -> int:
    return values.get(generator, 0)


def _envelope(get: Callable[[int], int]) -> Envelope:
    delay, attack, hold, decay, release = (_seconds(get(VOLUME_ENVELOPE + i)) for i in (0, 1, 2, 3, 5))
    return Envelope(delay, attack, hold, decay, min(100.0, max(0.0, get(VOLUME_ENVELOPE + 4) / 10)), release)


def _cutoff(get: Callable[[int], int]) -> float:
    cents: float = get(FILTER)
    if _seconds(get(MOD_ENVELOPE)) + _seconds(get(MOD_ENVELOPE + 1)) < 0.1:  # as good as at once
        cents += get(ENVELOPE_TO_FILTER) * (1 - min(1.0, max(0.0, get(MOD_ENVELOPE + 4) / 1000)))
    return _hertz(cents) if cents < 13500 else math.inf


def _seconds(timecents: float) -> float:
    return 0.0 if timecents <= -12000 else 2 ** (min(timecents, 8000) / 1200)


def _hertz(cents: float) -> float:
    return 8.176 * 2 ** (cents / 1200)
