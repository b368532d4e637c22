"""Cut the bundled SoundFont out of FluidR3Mono: chosen presets, with their instruments and samples.

    python benchmarks/soundfont_build.py FluidR3Mono_GM.sf3 [-o clavilux.sf3]

The full SoundFont is Debian's package fluidr3mono-gm-soundfont (MIT). Samples are copied as they are, in
Vorbis; nothing is encoded again. Run soundfont_measure.py afterwards: it
measures how loud each preset is.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np

from clavilux.audio.soundfont import DRUM_BANK, FOLDER, INSTRUMENT, KEYS, SAMPLE, TABLES, read_tables

PROGRAMS = (
    0, 6, 8, 10, 11, 12, 14,  # piano, harpsichord, celesta, music box, vibraphone, marimba, tubular bells
    16, 19, 20, 21, 24, 32,  # organs, accordion, nylon guitar, plucked double bass
    40, 41, 42, 45, 46, 47, 48, 52,  # strings, pizzicato, harp, timpani, string ensemble, choir
    56, 57, 58, 60, 65, 68, 70, 71,  # trumpet, trombone, tuba, horn, alto saxophone, oboe, bassoon, clarinet
    73, 74, 78, 105, 107, 110, 114,  # flute, recorder, whistle, banjo, koto, fiddle, steel drums
)  # fmt: skip
DRUM_KEYS = {*range(35, 52), 54, 55, 56, *range(60, 65), 69, 70, 75, 76, 77, 80, 81, 82, 83, 85}


def subset(source: Path) -> bytes:
    """The bytes of a SoundFont with the presets above, as SF3."""
    old, samples, compressed = read_tables(source)
    if not compressed:
        raise SystemExit(f"{source} is not an SF3 file")
    wanted = {(0, program) for program in PROGRAMS} | {(DRUM_BANK, 0)}
    found = {(int(h["bank"]), int(h["preset"])): i for i, h in enumerate(old["phdr"][:-1])}
    new = {name: [] for name in TABLES}
    instruments: dict[tuple[int, bool], int] = {}
    sample_numbers: dict[int, int] = {}
    for bank, program in sorted(wanted):
        index = found[bank, program]
        header = old["phdr"][index].copy()
        bags = range(int(header["bag"]), int(old["phdr"][index + 1]["bag"]))
        header["bag"] = len(new["pbag"])
        new["phdr"].append(header)
        for bag in bags:
            zone = _copy_zone(old, new, "p", bag)
            if zone is not None and zone["oper"] == INSTRUMENT:
                key = (int(zone["amount"]), bank == DRUM_BANK)
                zone["amount"] = instruments.setdefault(key, len(instruments))
    for (index, drum), _ in instruments.items():  # in the order of their new numbers
        _copy_instrument(old, new, index, drum, sample_numbers)
    data = bytearray()
    for index in sample_numbers:
        header = old["shdr"][index].copy()
        start, end = int(header["start"]), int(header["end"])
        header["start"], header["end"] = len(data), len(data) + end - start
        header["link"] = 0
        new["shdr"].append(header)
        data += samples[start:end]
    return _file(_finish(old, new), bytes(data))


def _copy_instrument(old: dict, new: dict, index: int, drum: bool, sample_numbers: dict[int, int]) -> None:
    header = old["inst"][index].copy()
    bags = range(int(header["bag"]), int(old["inst"][index + 1]["bag"]))
    header["bag"] = len(new["ibag"])
    new["inst"].append(header)
    for bag in bags:
        generators = old["igen"][old["ibag"]["gen"][bag] : old["ibag"]["gen"][bag + 1]]
        keys = generators["amount"][generators["oper"] == KEYS]
        if drum and len(keys) and not DRUM_KEYS & set(range(keys[0] & 0x7F, (keys[0] >> 8 & 0x7F) + 1)):
            continue
        zone = _copy_zone(old, new, "i", bag)
        if zone is not None and zone["oper"] == SAMPLE:
            zone["amount"] = sample_numbers.setdefault(int(zone["amount"]) & 0xFFFF, len(sample_numbers))


def _copy_zone(old: dict, new: dict, kind: str, bag: int) -> np.void | None:
    """Copy a bag with its generators and modulators; returns the last generator, which names the target."""
    record = old[kind + "bag"][bag].copy()
    following = old[kind + "bag"][bag + 1]
    generators = old[kind + "gen"][record["gen"] : following["gen"]].copy()
    modulators = old[kind + "mod"][record["mod"] : following["mod"]].copy()
    record["gen"], record["mod"] = len(new[kind + "gen"]), len(new[kind + "mod"])
    new[kind + "bag"].append(record)
    new[kind + "gen"] += [generators[i : i + 1][0] for i in range(len(generators))]
    new[kind + "mod"] += list(modulators)
    return new[kind + "gen"][-1] if len(generators) else None


def _finish(old: dict, new: dict) -> dict[str, np.ndarray]:
    """Append the closing record that each table ends with."""
    for name, parent in (("pbag", "phdr"), ("ibag", "inst")):
        last = old[parent][-1].copy()
        last["bag"] = len(new[name])
        new[parent].append(last)
        record = old[name][-1].copy()
        record["gen"], record["mod"] = len(new[name[0] + "gen"]), len(new[name[0] + "mod"])
        new[name].append(record)
    for name in ("pgen", "pmod", "igen", "imod", "shdr"):
        closing = old[name][-1].copy()
        new[name].append(np.zeros_like(closing) if name != "shdr" else closing)
    return {name: np.array(records, dtype=np.dtype(TABLES[name])) for name, records in new.items()}


def _file(tables: dict[str, np.ndarray], samples: bytes) -> bytes:
    text = {  # the last one is where this script stood when the bundled file was made, whose bytes it gives again
        b"isng": b"EMU8000", b"INAM": b"Clavilux (a part of FluidR3Mono GM)", b"ICOP": b"MIT; see NOTICE.md",
        b"IENG": b"Frank Wen, Michael Cowgill and others", b"ISFT": b"clavilux audio/soundfonts/build.py",
    }  # fmt: skip
    info = _chunk(b"ifil", struct.pack("<HH", 3, 1)) + b"".join(_chunk(k, v + b"\0") for k, v in text.items())
    pdta = b"".join(
        _chunk(name.encode(), tables[name].tobytes())
        for name in ("phdr", "pbag", "pmod", "pgen", "inst", "ibag", "imod", "igen", "shdr")
    )
    lists = ((b"INFO", info), (b"sdta", _chunk(b"smpl", samples)), (b"pdta", pdta))
    return _chunk(b"RIFF", b"sfbk" + b"".join(_chunk(b"LIST", name + body) for name, body in lists))


def _chunk(name: bytes, body: bytes) -> bytes:
    body += b"\0" * (len(body) % 2)
    return name + struct.pack("<I", len(body)) + body


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=FOLDER / "clavilux.sf3")
    arguments = parser.parse_args()
    payload = subset(arguments.source)
    arguments.output.write_bytes(payload)
    print(f"{arguments.output}: {len(payload) / 2**20:.2f} MiB, {len(PROGRAMS)} programs and a drum kit")
