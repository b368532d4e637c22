"""The kinds of malformed inputs of `fuzz.py`, and how many of each."""

from __future__ import annotations

import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from fuzz_broken import TEMPO, WILD, Case, broken, midi, picture, sound, tokens, track, variable, written
from fuzz_checkpoints import config_case, job_case, pickle_case, weights_case
from PIL import Image

# Kinds


def midi_case(chance: random.Random) -> Case:
    commands = [["info", "FILE"], ["info", "FILE"], ["play", "FILE", "-o", "out.wav", "--json"]]
    if chance.random() < 0.6:
        return broken("MIDI", "in.mid", midi(), commands, chance)
    data, text = bytearray(midi()), WILD.encode()
    ideas = {
        "division 0": lambda: data.__setitem__(slice(12, 14), b"\0\0"),
        "SMPTE division": lambda: data.__setitem__(slice(12, 14), b"\xe7\x28"),
        "format 7": lambda: data.__setitem__(slice(8, 10), b"\0\7"),
        "more tracks than there are": lambda: data.__setitem__(slice(10, 12), b"\xff\xff"),
        "tempo 0": lambda: data.__setitem__(slice(data.find(TEMPO) + 3, data.find(TEMPO) + 6), b"\0\0\0"),
        "metre over 2^255": lambda: data.__setitem__(data.find(b"\xff\x58\x04") + 4, 255),
        "metre of 0": lambda: data.__setitem__(data.find(b"\xff\x58\x04") + 3, 0),
        "a track that claims 4 GiB": lambda: data.__setitem__(slice(18, 22), b"\xff\xff\xff\xff"),
        "the last event far away": lambda: data.extend(track([(268435455, b"\x90\x40\x40"), (9, b"\x80\x40\x40")])),
        "a text with escapes": lambda: data.extend(track([(0, b"\xff\x06" + variable(len(text)) + text)])),
        "events at very many ticks": lambda: data.extend(track([(99, b"\x90\x40\x40"), (99, b"\x80\x40\x40")] * 5000)),
        "SysEx without end": lambda: data.extend(b"MTrk\0\0\0\x08\0\xf0\xff\xff\xff\x7f\0\0"),
        "status of nothing": lambda: data.extend(b"MTrk\0\0\0\x06\0\x40\x40\0\xff\x2f"),
    }  # fmt: skip
    what = chance.choice(sorted(ideas))
    ideas[what]()
    if what in ("the last event far away", "a text with escapes", "events at very many ticks", "SysEx without end"):
        data[11] += 1
    arguments = [part.replace("FILE", "in.mid") for part in chance.choice(commands)]
    return Case("MIDI", what, arguments, written("in.mid", bytes(data)))


def sound_case(ending: str, chance: random.Random) -> Case:
    commands = [["info", "FILE"]] * 6 + [["analyze", "FILE", "--json"]]
    return broken(ending, f"in.{ending}", sound(ending), commands, chance)


def picture_case(ending: str, chance: random.Random) -> Case:
    commands = [["info", "FILE"]] * 7 + [["paint", "red apple", "--continue-from", "FILE", "-o", "out.png", "--json"]]
    return broken(ending, f"in.{ending}", picture(ending), commands, chance)


def tokens_case(chance: random.Random) -> Case:
    return broken("tokens", "in.safetensors", tokens(), [["info", "FILE"]], chance)


def receipt_case(chance: random.Random) -> Case:
    """Receipts that strangers wrote: escapes, megabytes, nesting, other types."""
    what, value = chance.choice((
        ("escapes", {"clavilux": {WILD: WILD, "notes": [WILD]}}), ("long", {"clavilux": {"prompt": "x" * 3_000_000}}),
        ("many", {"clavilux": {f"name{i}": i for i in range(50_000)}}), ("list", {"clavilux": [WILD] * 1000}),
        ("number", {"clavilux": 10**400}), ("escapes", {WILD: WILD}),
    ))  # fmt: skip
    text = json.dumps(value, ensure_ascii=False) if chance.random() < 0.8 else "[" * 100_000
    inner = json.dumps(value.get("clavilux", value), ensure_ascii=False)
    ending = chance.choice(("png", "jpg", "flac", "wav"))

    def make() -> None:
        if ending in ("png", "jpg"):
            from PIL import PngImagePlugin

            exif, info = Image.Exif(), PngImagePlugin.PngInfo()
            exif[0x10E] = text[:60_000]
            info.add_text("clavilux", inner.encode("latin-1", "replace").decode("latin-1"))
            options = {"pnginfo": info} if ending == "png" else {"exif": exif}
            Image.new("RGB", (8, 8)).save(f"in.{ending}", **options)
            return
        with soundfile.SoundFile(f"in.{ending}", "w", 8000, 1) as file:
            file.comment = text[:1_000_000]
            file.write(np.zeros(8000))

    return Case("receipt", f"{what} in {ending}", ["info", f"in.{ending}", *chance.choice(([], ["--json"]))], make)


def special_case(chance: random.Random) -> Case:
    """What is no regular file, or cannot be read."""
    command, ending = chance.choice((
        (["info", "FILE"], "mid"), (["play", "FILE", "-o", "out.wav"], "mid"), (["info", "FILE"], "wav"),
        (["analyze", "FILE"], "flac"), (["info", "FILE"], "png"), (["info", "FILE"], "safetensors"),
        (["paint", "apple", "--continue-from", "FILE", "-o", "out.png"], "png"), (["info", "FILE"], "pt"),
        (["render", "waltz", "--continue-from", "FILE", "-o", "out.wav"], "mid"), (["resume", "FILE"], "job"),
        (["info", "FILE"], "job"), (["info", "FILE"], "json"), (["render", "waltz", "--model", "FILE"], "th"),
    ))  # fmt: skip
    what = chance.choice(("fifo", "/dev/zero", "folder", "missing", "loop", "socket", "huge and empty"))
    name = f"in.{ending}"

    def make() -> None:
        at = name
        if ending == "job":
            Path(name).mkdir()
            at = f"{name}/job.json"
        if what == "fifo":
            os.mkfifo(at)
        elif what == "/dev/zero":
            Path(at).symlink_to("/dev/zero")
        elif what == "folder":
            Path(at).mkdir()
        elif what == "loop":
            Path(at).symlink_to(Path(at).name)
        elif what == "socket":
            import socket

            socket.socket(socket.AF_UNIX).bind(at)
        elif what == "huge and empty":
            with open(at, "wb") as file:
                file.truncate(1 << 36)

    return Case("no file", f"{what} as {name}", [part.replace("FILE", name) for part in command], make)


OPTIONS = {
    "render": ("--seconds", "--seed", "--key", "--tempo", "--metre", "--chords", "--instrument", "--style", "--density",
               "--section", "--temperature", "--top-k", "--top-p", "--guidance", "--batch", "--model", "--device",
               "--dtype", "--continue-from", "--midi", "--plot", "--melody", "--lyrics", "--window", "--job"),
    "paint": ("--size", "--seed", "--seeds", "--guidance", "--temperature", "--top-k", "--top-p", "--keep", "--vary",
              "--batch", "--class", "--model", "--device", "--dtype", "--continue-from", "--explain", "--preview"),
    "info": ("--seconds", "--batch"),
}  # fmt: skip
VALUES = (
    "nan", "inf", "-1", "0", "1e400", "9" * 400, "", " ", WILD, "x" * 50_000, "\udcff\udcfe", "0x10", "1,2", "..", "/",
    "/dev/null", "a\nb", "\u0663", "1_000", "-inf", "None", "\U0001f3bb", "C" * 3000, "9/0", "%s%n", "{}",
    "C C C |" * 9,
)  # fmt: skip


def option_case(chance: random.Random) -> Case:
    command = chance.choice(("render", "render", "paint", "info"))
    option, value = chance.choice(OPTIONS[command]), chance.choice(VALUES)
    base = {
        "render": ["render", "waltz", "--seconds", "1", "--seed", "1", "-o", "out.wav", "--json"],
        "paint": ["paint", "red apple", "--seed", "1", "-o", "out.png", "--json"], "info": ["info", "aria", "--json"],
    }[command]  # fmt: skip
    shown = value if len(value) < 30 else f"{value[:10]}... ({len(value)})"
    return Case("options", f"{command} {option} {shown!r}", [*base, f"{option}={value}"], lambda: None)


def compressed_png_case(chance: random.Random) -> Case:
    """Chunks that grow, sizes that are claimed, colours that are transparent, in pngs with right checksums."""
    kind, body = chance.choice((
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(9_000_000))),
        (b"iCCP", b"p\0\0" + zlib.compress(bytes(9_000_000))),
        (b"eXIf", chance.randbytes(50)), (b"tRNS", chance.randbytes(chance.choice((1, 2, 6, 300)))),
        (b"PLTE", chance.randbytes(7)), (b"acTL", b"\xff" * 8), (b"IHDR", b"\xff" * 13), (b"iTXt", b"\0" * 9),
        (b"IDAT", zlib.compress(bytes(50_000_000))), (b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)),
    ))  # fmt: skip
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    data = picture("png")
    at = 8 if kind == b"IHDR" else 33
    return Case("png", f"a chunk {kind.decode()}", ["info", "in.png"], written("in.png", data[:at] + chunk + data[at:]))


KINDS: dict[str, tuple[int, Callable[[random.Random], Case]]] = {
    "MIDI": (110, midi_case),
    **{name: (35, lambda chance, name=name: sound_case(name, chance)) for name in ("wav", "flac", "ogg", "mp3")},
    "png": (40, lambda chance: picture_case("png", chance)),
    "png chunks": (20, compressed_png_case),
    "jpg": (35, lambda chance: picture_case("jpg", chance)),
    "webp": (20, lambda chance: picture_case("webp", chance)),
    **{name: (5, lambda chance, name=name: picture_case(name, chance)) for name in ("gif", "bmp", "tif", "ppm")},
    "tokens": (20, tokens_case),
    "weights": (25, weights_case),
    "config": (40, config_case),
    "pickle": (30, pickle_case),
    "job": (35, job_case),
    "receipt": (25, receipt_case),
    "no file": (35, special_case),
    "options": (60, option_case),
}  # fmt: skip


def cases(seed: int) -> list[Case]:
    """All of them; the same seed gives the same."""
    return [make(random.Random(f"{seed} {kind} {n}")) for kind, (count, make) in KINDS.items() for n in range(count)]
