"""How long a command takes from nothing: `python benchmarks/cold_start.py --json results.json`.

Each command is a process of its own, from its start to its end, in turns, so that what else the machine does falls on
all alike; medians are told, with the least and the most. "Cold" is the process, not the disk: one round before the
others fills the system's cache of files, and Python's compiled ones, where the environment forbids them too: an
installed package has them. Run it on an idle machine; `--python` measures another checkout's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLAVILUX = ("-c", "from clavilux.cli import main; main()")
SONG = ("render", "slow church organ chorale in G minor", "--seed", "7", "--output", "song.wav", "--midi", "song.mid")
COMMANDS = {
    "import torch": ("-c", "import torch"),
    "render, 20 s": (*CLAVILUX, *SONG),
    "paint": (*CLAVILUX, "paint", "red apple", "--seed", "3", "--output", "picture.png"),
    "models": (*CLAVILUX, "models"),
    "info song.mid": (*CLAVILUX, "info", "song.mid"),
    "info picture.png": (*CLAVILUX, "info", "picture.png"),
    "info song.wav": (*CLAVILUX, "info", "song.wav"),
    "--help": (*CLAVILUX, "--help"),
}


def seconds_of(python: str, arguments: tuple[str, ...], folder: str) -> float:
    """Of one process. RuntimeError where it fails: a failure is no measurement."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["CLAVILUX_MARK"] = "0"  # as it was before there were marks
    started = time.perf_counter()
    run = subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    elapsed_s = time.perf_counter() - started
    if run.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {run.returncode}: {run.stderr.strip()[-300:]}")
    return elapsed_s


def measure(python: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each command, a number for each round."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, arguments in COMMANDS.items():
                elapsed_s = seconds_of(python, arguments, folder)
                if number:
                    found[name].append(round(elapsed_s, 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the checkout to measure")
    parser.add_argument("--json", type=Path, help="where to write every sample")
    options = parser.parse_args()
    found = measure(options.python, options.rounds)
    torch_s = statistics.median(found["import torch"])
    print(f"{'command':18} {'median':>8} {'least':>8} {'most':>8} {'beyond import torch':>20}")
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:18} {median:7.2f}s {min(times):7.2f}s {max(times):7.2f}s {median - torch_s:19.2f}s")
    if options.json:
        machine = {"platform": platform.platform(), "processors": os.cpu_count(), "load": os.getloadavg()}
        options.json.write_text(json.dumps({"machine": machine, "seconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
