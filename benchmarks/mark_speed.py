"""What a mark costs on a CPU: `python benchmarks/mark_speed.py --json FILE`

aria's and lumia's own steps (decoder, grammar, sampler), with the public mark and without, in turns; and with --whole
songs of 20 s and pictures instead, from the words to the samples or pixels, the filter of the sound's mark with them.
Each of nine medians is of `RUNS` runs; a step's time is a run's, divided by its steps. A song with the mark has other
notes than the one of that seed without it, so each run has another seed, the same on both sides. The processor's time
is what counts where other programs run beside; the wall's is given too.
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
SECONDS = 20.0  # of a song
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


def stepping(name: str, steps: Callable, most: int) -> Callable[[str, int], tuple[float, float]]:
    """(side, seed) -> milliseconds a step; the seed is always the same one."""
    family = clavilux.load(name, device="cpu").family
    marks = {"unmarked": None, "marked": Mark(PUBLIC.word(family.marked.kind), family.marked)}
    return lambda side, _: timed(lambda: steps(family, marks[side]), most)


def making(name: str, *words: str, **options: float) -> Callable[[str, int], tuple[float, float]]:
    """(side, seed) -> milliseconds of the processor and of the wall that a whole song or picture takes."""
    model = clavilux.load(name, device="cpu")

    def run(side: str, seed: int) -> tuple[float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        model.generate(*words, seed=seed, mark=side == "marked", **options)
        return (time.process_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3

    return run


def measured(name: str, timed_run: Callable[[str, int], tuple[float, float]], medians: int, runs: int) -> dict:
    """The medians of both sides, in turns; what is run first changes from one to the next."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for side in SIDES:
        timed_run(side, 0)
    for median in range(medians):
        each: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
        for run in range(runs):
            for side in SIDES[:: -1 if run % 2 else 1]:
                each[side].append(timed_run(side, 1 + median * runs + run))
        for side in SIDES:
            cpu, wall = zip(*each[side], strict=True)
            found[side].append((statistics.median(cpu), statistics.median(wall)))
        print(name, {side: f"{found[side][-1][0]:.3f} ms" for side in SIDES}, flush=True)
    report: dict = {}
    for number, clock in enumerate(("processor ms", "wall ms")):
        report[clock] = {side: [pair[number] for pair in found[side]] for side in SIDES}
        plain, marked = (statistics.median(report[clock][side]) for side in SIDES)
        dearer = [other / one - 1 for one, other in zip(*(report[clock][side] for side in SIDES), strict=True)]
        report[clock] |= {
            "medians": [plain, marked], "dearer by": marked / plain - 1,
            "dearer by, median of the turns": statistics.median(dearer), "dearer by, of each turn": sorted(dearer),
        }  # fmt: skip
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--medians", type=int, default=MEDIANS)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each median")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a run, at most")
    parser.add_argument("--whole", action="store_true", help="songs and pictures instead of steps")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.whole:
        sides = {"aria": making("aria", "slow piano waltz", seconds=SECONDS), "lumia": making("lumia", "red apple")}
    else:
        sides = {
            "aria": stepping("aria", song_steps, args.steps),
            "lumia": stepping("lumia", picture_steps, args.steps),
        }
    report = {
        "date": date.today().isoformat(), "commit": commit(), "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(), "load before": psutil.getloadavg(),
        "of": f"a song of {SECONDS:g} s, a picture" if args.whole else "a step",
        **{name: measured(name, run, args.medians, args.runs) for name, run in sides.items()},
        "load after": psutil.getloadavg(),
    }  # fmt: skip
    print(json.dumps(report, indent=1))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
