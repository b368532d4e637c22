"""Whether a change left every token as it was: digests of what the models make here, to hold two commits together.

    python benchmarks/identity.py --checkpoints DIR --json before.json       # on the commit before
    python benchmarks/identity.py --checkpoints DIR --compare before.json    # on the one after; exit code 1: it differs

Runs the bundled models and toy checkpoints (written to DIR once, so that both read the same files) through the public
API and the command line, on one thread of a CPU. Digests are SHA-256 of shapes and raw values; they depend on the
processor and on torch, so they are good on the machine and with the packages that made them.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "CLAVILUX_MARK": "0"}

import torch
import toys

import clavilux

Found = Iterator[tuple[str, Any]]  # (what, a thing to take the digest of)
LINUX = sys.platform == "linux"
PROMPT = "slow church organ chorale in G minor"
CONTROLS = {"key": "D major", "tempo": 96, "metre": "3/4", "chords": "D G A7 D", "instruments": ["violin", "piano"]}


def digest(thing: Any) -> str:
    """Of a tensor, bytes, text or JSON value."""
    if isinstance(thing, torch.Tensor):
        held = thing.detach().cpu().contiguous()
        head = f"{held.dtype} {list(held.shape)} ".encode()
        thing = head + held.view(torch.uint8).numpy().tobytes() if held.numel() else head
    elif not isinstance(thing, bytes):
        thing = json.dumps(thing, sort_keys=True).encode()
    return hashlib.sha256(thing).hexdigest()[:32]


def song(name: str, made: Any) -> Found:
    """Tokens, samples and receipt of a song."""
    yield f"{name}: tokens", made.tokens
    yield f"{name}: samples", made.samples
    yield f"{name}: receipt", made.receipt


def picture(name: str, made: Any) -> Found:
    """Tokens, pixels and receipt of a picture."""
    yield f"{name}: tokens", made.tokens
    yield f"{name}: pixels", made.pixels
    yield f"{name}: receipt", made.receipt


def command(*arguments: object) -> str:
    """What a command prints on stdout, run in this process. RuntimeError where it fails."""
    from clavilux.cli import main

    out, before, sys.argv = io.StringIO(), sys.argv, ["clavilux", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out):
            main()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"clavilux {' '.join(map(str, arguments))} ended with {stop.code}") from None
    finally:
        sys.argv = before
    return out.getvalue()


def aria(folders: dict[str, Path], scratch: Path) -> Found:
    model = clavilux.load("aria", device="cpu")
    seeded = model.generate(PROMPT, seconds=8, seed=7)
    yield from song("aria seeded", seeded)
    yield from song("aria greedy", model.generate(PROMPT, seconds=8, seed=7, temperature=0))
    yield from song("aria controls", model.generate("", seconds=8, seed=3, guidance=2.0, **CONTROLS))
    seeded.save(scratch / "aria.mid")
    yield "aria seeded: MIDI file", (scratch / "aria.mid").read_bytes()
    yield from song("aria continued", model.generate("", seconds=12, seed=5, continue_from=scratch / "aria.mid"))
    for row, made in enumerate(model.generate([PROMPT, "irish jig on fiddle"], seconds=4, seed=[1, 9])):
        yield from song(f"aria row {row}", made)
    pieces = list(model.stream(PROMPT, seconds=8, seed=7))
    yield "aria streamed: samples", torch.cat([piece.samples for piece in pieces], 1)
    yield from song("aria float32", clavilux.load("aria", device="cpu", dtype="float32").generate(seconds=4, seed=2))


def lumia(folders: dict[str, Path], scratch: Path) -> Found:
    model = clavilux.load("lumia", device="cpu")
    apple = model.generate("red apple", seed=3)
    yield from picture("lumia seeded", apple)
    yield from picture("lumia greedy", model.generate("red apple", seed=3, temperature=0))
    yield from picture("lumia guided", model.generate("blue fish", seed=4, guidance="1:3"))
    yield from picture("lumia kept", model.generate("pear", seed=5, continue_from=apple, keep=(0, 0, 32, 64)))
    yield from picture("lumia varied", model.generate("red apple", seed=6, continue_from=apple, vary=0.5))
    for row, made in enumerate(model.generate(["green leaf", "sun"], seed=[1, 2])):
        yield from picture(f"lumia row {row}", made)
    for number, made in enumerate(model.stream("red apple", seed=3, every=4)):
        yield f"lumia streamed {number}: pixels", made.pixels
    maps = vars(model.explain(apple)).values()
    yield "lumia explained: maps", sorted(digest(values) for values in maps if isinstance(values, torch.Tensor))


def musicgen(folders: dict[str, Path], scratch: Path) -> Found:
    model = clavilux.load(folders["musicgen"], device="cpu", dtype="float32")
    yield from song("musicgen greedy", model.generate("slow rain", seconds=1, seed=1, temperature=0))
    yield from song("musicgen seeded", model.generate("slow church organ", seconds=1, seed=5))
    windows = {"window_s": 0.4, "stride_s": 0.2}
    seeded = model.generate("drums", seconds=1.5, seed=6, **windows)
    yield from song("musicgen in windows", seeded)
    for row, made in enumerate(model.generate(["rain", "slow drums in the night", ""], seconds=0.5, seed=2)):
        yield from song(f"musicgen row {row}", made)
    begun = seeded.slice(0, 0.5)
    yield from song("musicgen continued", model.generate("bass", seconds=1, seed=3, continue_from=begun))
    half = clavilux.load(folders["musicgen"], device="cpu", dtype="bfloat16")
    yield from song("musicgen bfloat16", half.generate("slow rain", seconds=0.5, seed=5))
    stereo = clavilux.load(folders["musicgen-stereo"], device="cpu", dtype="float32")
    yield from song("musicgen stereo", stereo.generate("slow rain", seconds=1, seed=5))
    tune = clavilux.Audio(0.5 * torch.sin(torch.arange(16000) * 0.2)[None], 16000)
    melody = clavilux.load(folders["musicgen-melody"], device="cpu", dtype="float32")
    yield from song("musicgen melody", melody.generate("slow rain", seconds=1, seed=5, melody=tune))
    command("quantize", folders["musicgen"], "-o", scratch / "int8", "--quiet")
    yield "int8 copy: weights", (scratch / "int8" / "model.safetensors").read_bytes()
    int8 = clavilux.load(scratch / "int8", device="cpu", dtype="float32")
    yield from song("int8 copy", int8.generate("slow rain", seconds=1, seed=5))


class Stop(Exception):
    """The end of a render before its end."""


def jukebox(folders: dict[str, Path], scratch: Path) -> Found:
    model = clavilux.load(folders["jukebox"], device="cpu", dtype="float32")
    options = {"seconds": 40, "seed": 4, "hop": 0.4}
    whole = model.generate(**options)
    yield from song("jukebox seeded", whole)
    yield from song("jukebox greedy", model.generate(seconds=20, seed=1, temperature=0))
    calls = 0

    def stop(*_: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 90:
            raise Stop

    with contextlib.suppress(Stop):
        model.generate(job=scratch / "job", progress=stop, **options)
    assert calls == 90, "the render was over before it could be stopped"
    (resumed,) = clavilux.load(folders["jukebox"], device="cpu", dtype="float32").resume(scratch / "job")
    yield from song("jukebox resumed", resumed)
    assert torch.equal(resumed.samples, whole.samples), "resuming gave another song than going through"
    yield from song("jukebox in lanes", model.generate(seconds=60, seed=7, levels=2, parallel_windows=3))
    prime = clavilux.Audio(0.3 * torch.sin(torch.arange(2000) / 3)[None], 100)
    yield from song("jukebox primed", model.generate(seconds=30, seed=2, prime=prime, prime_s=7.7))
    rows = model.generate(seconds=30, seed=3, batch=2, levels=2)
    for row, made in enumerate(rows):
        yield from song(f"jukebox row {row}", made)
    said = {"artist": 3, "genre": [1], "lyrics": "ababab"}
    sung = clavilux.load(folders["jukebox-lyrics"], device="cpu", dtype="float32")
    yield from song("jukebox sung", sung.generate(seconds=20, seed=4, levels=1, **said))


def pictures(folders: dict[str, Path], scratch: Path) -> Found:
    model = clavilux.load(folders["llamagen"], device="cpu", dtype="float32")
    yield from picture("llamagen greedy", model.generate(class_id=3, seed=1, temperature=0))
    yield from picture("llamagen seeded", model.generate(class_id=5, seed=2, guidance=4.0, top_k=20))
    for row, made in enumerate(model.generate(class_id=2, seed=8, batch=2)):
        yield from picture(f"llamagen row {row}", made)
    model = clavilux.load(folders["imagegpt"], device="cpu", dtype="float32")
    yield from picture("imagegpt greedy", model.generate(seed=1, temperature=0))
    whole = model.generate(seed=2)
    yield from picture("imagegpt seeded", whole)
    half = clavilux.Picture(whole.pixels[:3])
    yield from picture("imagegpt continued", model.generate(seed=9, continue_from=half))


def commands(folders: dict[str, Path], scratch: Path) -> Found:
    """Files that commands write, and what they print as JSON, without times and places."""
    render = ("render", PROMPT, "--seconds", 3, "--seed", 7, "-o", scratch / "a.wav", "--midi", scratch / "a.mid")
    command(*render, "--quiet")
    command("paint", "red apple", "--seed", 3, "-o", scratch / "a.png", "--quiet")
    command("play", scratch / "a.mid", "-o", scratch / "played.wav", "--quiet")
    folder = folders["musicgen"]
    command("encode", scratch / "a.wav", "--codec", folder, "-o", scratch / "a.safetensors", "--quiet")
    command("decode", scratch / "a.safetensors", "--codec", folder, "-o", scratch / "decoded.wav", "--quiet")
    for name in ("a.wav", "a.mid", "a.png", "played.wav", "a.safetensors", "decoded.wav"):
        yield f"command: {name}", (scratch / name).read_bytes()
    for source in ("aria", "lumia", *folders.values(), *(scratch / f"a.{end}" for end in ("wav", "mid", "png"))):
        yield f"info: {Path(source).name}", _without_places(json.loads(command("info", source, "--json")))
    yield "models", json.loads(command("models", "--json"))


def _without_places(value: Any) -> Any:
    """A JSON value without the texts that name a file of this run."""
    if isinstance(value, dict):
        return {key: _without_places(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


PARTS: dict[str, Callable[[dict[str, Path], Path], Found]] = {
    "aria": aria, "lumia": lumia, "musicgen": musicgen, "jukebox": jukebox, "pictures": pictures, "commands": commands,
}  # fmt: skip


def digests(checkpoints: Path, parts: list[str]) -> dict[str, str]:
    """Name -> digest of all that the parts make."""
    torch.set_num_threads(1)
    folders, found = toys.write(checkpoints), {}
    for part in parts:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            found |= {name: digest(thing) for name, thing in PARTS[part](folders, Path(scratch))}
        print(f"{part}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    return found


def machine() -> dict[str, str]:
    """What digests depend on besides the code."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M) if LINUX else []
    processor = f"{(names or [platform.processor()])[0]}, {torch.backends.cpu.get_cpu_capability()}"
    return {"processor": processor, "python": platform.python_version(), "torch": torch.__version__}


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """A line for each digest that is another one, gone, or new."""
    lines = [f"differs: {name}" for name in before if name in now and before[name] != now[name]]
    lines += [f"gone: {name}" for name in before if name not in now]
    return lines + [f"new: {name}" for name in now if name not in before]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoints", type=Path, required=True, help="folder of the toy checkpoints; made if need be"
    )
    parser.add_argument("--json", type=Path, help="where to write the digests")
    parser.add_argument("--compare", type=Path, help="digests of another commit")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this; may be given several times")
    options = parser.parse_args()
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    found = digests(options.checkpoints, options.part or list(PARTS))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "digests": found}, indent=1) + "\n")
    if not options.compare:
        print(f"{len(found)} digests")
        return 0
    before = json.loads(options.compare.read_text())
    if before["machine"] != machine():
        print(f"made elsewhere, so they may well differ: {before['machine']}, here {machine()}")
    lines = differences(before["digests"], found)
    print("\n".join(lines) or f"the same: all {len(found)} digests")
    return 1 if any(not line.startswith("new: ") for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
