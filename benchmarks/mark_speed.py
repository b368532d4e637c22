"""What a mark costs a step on a CPU: `python benchmarks/mark_speed.py --json FILE`

aria's and lumia's own steps (decoder, grammar, sampler), with the public mark and without, in turns. Each of nine
medians is of `RUNS` runs; a run's time is divided by its steps. The processor's time is what counts where other
programs run beside; the wall's is given too.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path

import psutil
import torch
from quality import commit

import clavilux
from clavilux.family import Request
from clavilux.image_family import PictureRequest
from clavilux.kernels.sample.reference import OPEN
from clavilux.loop import sample_rows
from clavilux.mark_key import PUBLIC
from clavilux.marking import Mark

MEDIANS, RUNS, STEPS = 9, 5, 200
SIDES = ("unmarked", "marked")


def song_steps(family, mark: Mark | None) -> Iterator[object]:
    """Steps of a waltz by aria."""
    generation = family.generation(Request("slow piano waltz", 30.0, 1, None, {}))
    sampling, stage = replace(family.sampling, seed=(1,), mark=mark), family.stage
    return sample_rows(stage.decoder, [generation], sampling, layout=stage.layout, windows=generation.windows)


def picture_steps(family, mark: Mark | None) -> Iterator[object]:
    """Steps of an apple by lumia."""
    codec = family.stage.codec
    places = (family.size // codec.downsampling) ** 2
    plan = torch.full((1, codec.codebooks, places), OPEN)
    generation = family.generation(PictureRequest("red apple", family.size, 1, plan))
    sampling = replace(family.sampling, seed=(1,), mark=mark)
    return sample_rows(generation.decoder, [generation], sampling, layout=family.stage.layout)


def timed(steps: Callable[[], Iterator[object]], most: int) -> tuple[float, float]:
    """(milliseconds of the processor, of the wall) a step."""
    iterator = islice(steps(), most)
    next(iterator)  # the first reads the prompt
    cpu, wall, count = time.process_time(), time.perf_counter(), sum(1 for _ in iterator)
    return (time.process_time() - cpu) * 1e3 / count, (time.perf_counter() - wall) * 1e3 / count


def measured(name: str, steps: Callable, medians: int, runs: int, most: int) -> dict:
    """The medians of both sides, in turns; what is run first changes from one to the next."""
    family = clavilux.load(name, device="cpu").family
    marks = {"unmarked": None, "marked": Mark(PUBLIC.word(family.marked.kind), family.marked)}
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for side in SIDES:
        timed(lambda side=side: steps(family, marks[side]), most)
    for _ in range(medians):
        each: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
        for run in range(runs):
            for side in SIDES[:: -1 if run % 2 else 1]:
                each[side].append(timed(lambda side=side: steps(family, marks[side]), most))
        for side in SIDES:
            cpu, wall = zip(*each[side], strict=True)
            found[side].append((statistics.median(cpu), statistics.median(wall)))
        print(name, {side: f"{found[side][-1][0]:.3f} ms" for side in SIDES}, flush=True)
    report: dict = {}
    for number, clock in enumerate(("processor ms", "wall ms")):
        report[clock] = {side: sorted(pair[number] for pair in found[side]) for side in SIDES}
        plain, marked = (statistics.median(report[clock][side]) for side in SIDES)
        report[clock] |= {"medians": [plain, marked], "dearer by": marked / plain - 1}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--medians", type=int, default=MEDIANS)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each median")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a run, at most")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report = {
        "date": date.today().isoformat(), "commit": commit(), "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(), "load before": psutil.getloadavg(),
        "aria": measured("aria", song_steps, args.medians, args.runs, args.steps),
        "lumia": measured("lumia", picture_steps, args.medians, args.runs, args.steps),
        "load after": psutil.getloadavg(),
    }  # fmt: skip
    print(json.dumps(report, indent=1))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
