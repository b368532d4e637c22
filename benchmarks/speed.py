"""How fast a model renders after loading: seconds of music made in a second (real-time factor).

    python benchmarks/speed.py [--seconds 20] [--repeats 5] [--batch 1] [--json results/speed.json]

The first render of each prompt is not counted: it decodes the instruments' samples, once in a process. Saving
is counted apart: it measures loudness and encodes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

import torch

import clavilux

PROMPTS = ("slow church organ chorale in G minor", "classical string quartet", "ragtime for piano")


def measure(source: str, seconds: float, repeats: int, batch: int, device: str) -> dict:
    """Time renders and saves; medians and all samples, in seconds."""
    started = time.perf_counter()
    model = clavilux.load(source, device=device)
    load_s = time.perf_counter() - started
    renders: dict[str, list[float]] = {prompt: [] for prompt in PROMPTS}
    saves: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats + 1):
            for prompt in PROMPTS:  # interleaved, so that a busy spell of the machine falls on all of them
                started = time.perf_counter()
                songs = model.generate(prompt, seconds=seconds, seed=1000 * repeat, batch=batch)
                rendered_s = time.perf_counter() - started
                song = songs[0] if isinstance(songs, list) else songs
                started = time.perf_counter()
                song.save(Path(folder) / "song.wav")
                if repeat:
                    renders[prompt].append(rendered_s)
                    saves.append(time.perf_counter() - started)
    samples = [s for each in renders.values() for s in each]
    return {
        "load_s": load_s,
        "render_s": renders,
        "save_s": saves,
        "median_render_s": statistics.median(samples),
        "fastest_and_slowest_render_s": [min(samples), max(samples)],
        "median_save_s": statistics.median(saves),
        "real_time_factor": seconds * batch / statistics.median(samples),
    }


def machine() -> dict:
    """What the numbers were measured on."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="aria")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each song")
    parser.add_argument("--repeats", type=int, default=5, help="renders of each prompt that are counted")
    parser.add_argument("--batch", type=int, default=1, help="songs made side by side")
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("at least one repeat is needed")
    settings = {"model": args.model, "seconds": args.seconds, "batch": args.batch, "dtype": "float32"}
    found = measure(args.model, args.seconds, args.repeats, args.batch, args.device)
    report = {**machine(), **settings, **found}
    for name, value in report.items():
        if name not in ("render_s", "save_s"):
            print(f"{name.replace('_', ' '):30} {value}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
