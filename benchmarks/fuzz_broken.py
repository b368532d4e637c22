"""Whole files, and ways to break them, for `fuzz.py`: each from a seed, so that a finding can be made again.

Knows what was cut off a file. Does not know what the command should say.
"""

from __future__ import annotations

import io
import json
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TEMPO = b"\xff\x51\x03"
CANARY = "canary"  # a file that exists only if a pickle was run
WILD = "\x1b[2J\x1b]0;title\x07\u202e\x9b31m"


@dataclass
class Case:
    """One input and the command that reads it, in a folder of its own.

    Attributes:
        kind: what sort of file.
        what: how it was broken.
        arguments: of the command.
        make: writes the inputs into the current folder.
        cut: a known part is missing, so that success without a remark is damage in silence.
    """

    kind: str
    what: str
    arguments: list[str]
    make: Callable[[], None]
    cut: bool = False
    outputs: list[str] = field(default_factory=list)


class Ended:
    """What a hostile pickle runs."""

    def __reduce__(self):
        return os.mkdir, (CANARY,)


# Whole files


def variable(number: int) -> bytes:
    """MIDI's numbers of 7 bits a byte."""
    found = [number & 127]
    while number := number >> 7:
        found.insert(0, number & 127 | 128)
    return bytes(found)


def track(events: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(variable(delta) + event for delta, event in [*events, (0, b"\xff\x2f\x00")])
    return b"MTrk" + struct.pack(">I", len(body)) + body


@cache
def midi() -> bytes:
    head = [(0, b"\xff\x51\x03\x07\xa1\x20"), (0, b"\xff\x58\x04\x04\x02\x18\x08"), (0, b"\xff\x03\x04name")]
    tracks = [track(head)]
    for channel, program in ((0, 0), (1, 40), (9, 0)):
        events = [(0, bytes([0xC0 | channel, program])), (0, bytes([0xB0 | channel, 7, 100]))]
        for step in range(16):
            pitch = 40 + channel + step % 12
            events += [(0, bytes([0x90 | channel, pitch, 90])), (240, bytes([0x80 | channel, pitch, 0]))]
        tracks.append(track(events))
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), 480) + b"".join(tracks)


@cache
def sound(ending: str) -> bytes:
    times = np.arange(22050) / 22050
    noise = np.random.default_rng(1).normal(0, 0.05, (22050, 2))
    samples = np.stack([np.sin(2 * np.pi * 440 * times), np.sin(2 * np.pi * 660 * times)], 1) * 0.4 + noise
    buffer = io.BytesIO()
    form, subtype = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"),
                     "mp3": ("MP3", "MPEG_LAYER_III")}[ending]  # fmt: skip
    soundfile.write(buffer, samples, 22050, subtype, format=form)
    return buffer.getvalue()


@cache
def picture(ending: str) -> bytes:
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "text"
    form, options = {
        "png": ("PNG", {}), "jpg": ("JPEG", {"exif": exif}), "webp": ("WEBP", {"exif": exif}), "gif": ("GIF", {}),
        "bmp": ("BMP", {}), "tif": ("TIFF", {}), "ppm": ("PPM", {}),
    }[ending]  # fmt: skip
    image.save(buffer, form, **options)
    return buffer.getvalue()


@cache
def tokens() -> bytes:
    from safetensors.numpy import save

    codec = {"family": "toy", "weights": "", "sample_rate": 100, "frame_rate": 10, "codebooks": 2, "vocabulary": 16}
    told = {"format": "clavilux-tokens", "codec": json.dumps(codec), "num_samples": "100"}
    return save({"tokens": np.zeros((2, 10), np.int16)}, told)


# Ways to break them


def _cut(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    kept = int(len(data) * chance.uniform(0.02, 0.9))
    return data[:kept], f"first {kept} of {len(data)} bytes", True


def _hole(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    start = int(len(data) * chance.uniform(0.2, 0.6))
    size = max(1, int(len(data) * chance.uniform(0.1, 0.3)))
    return data[:start] + data[start + size :], f"{size} bytes lost at {start}", False


def _flipped(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    found, count = bytearray(data), chance.choice((1, 3, 10, 100))
    for _ in range(count):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found), f"{count} bits flipped", False


def _head_flipped(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        found[chance.randrange(min(64, len(found)))] = chance.choice((0, 1, 127, 128, 255))
    return bytes(found), "header bytes", False


def _number(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    place = chance.randrange(4, min(len(data) - 4, 80))
    value = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF))
    found = data[:place] + struct.pack(chance.choice("<>") + "I", value) + data[place + 4 :]
    return found, f"{value:#x} at byte {place}", False


def _inserted(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    place, size = chance.choice((0, len(data) // 2, len(data))), chance.choice((1, 64, 5000))
    body = bytes(size) if chance.random() < 0.5 else chance.randbytes(size)
    return data[:place] + body + data[place:], f"{size} bytes put in at {place}", False


def _other(data: bytes, chance: random.Random) -> tuple[bytes, str, bool]:
    what = chance.choice(("empty", "text", "noise", "zeros", "signature"))
    made = {"empty": b"", "text": b"hello\n", "noise": chance.randbytes(3000), "zeros": bytes(3000),
            "signature": data[:4]}  # fmt: skip
    return made[what], what, False


BREAKS = (_cut, _cut, _cut, _hole, _flipped, _flipped, _head_flipped, _number, _number, _inserted, _other)


def written(name: str, data: bytes) -> Callable[[], None]:
    return lambda: (Path(name).write_bytes(data), None)[1]


def broken(kind: str, name: str, data: bytes, commands: list[list[str]], chance: random.Random) -> Case:
    data, what, cut = chance.choice(BREAKS)(data, chance)
    arguments = chance.choice(commands)
    if "info" in arguments and chance.random() < 0.5:
        arguments = [*arguments, "--json"]
    return Case(kind, what, [part.replace("FILE", name) for part in arguments], written(name, data), cut)
