"""What a GPU has to show, in one command and at most ten minutes: that every kernel is right, then how fast it all is.

    python benchmarks/gpu_check.py [--minutes 9] [--out FOLDER] [--device cuda] [--only PART ...] [--models NAME ...]
                                   [--quick] [--commit NAME]

In this order: that a generation is replayed from a captured graph without a word from the host, that dependent launch
changes no bit, that a row does not depend on its batch, and what a folded norm costs; every catalog case in bfloat16
and float16 against its reference; whole steps, taken apart by node, beside the peers; `gpu_questions.py`; then the
other suites of `clavilux bench`. The file is written again after each result, so that a run that is cut off keeps what
it has, and what the time did not reach is among its notes. Needs torch and triton; nothing has to be installed. Exits
with 1 if anything fails, with 2 if it cannot run.

Compiling a peer takes a minute: here those of three models are, at half of the context. `--only steps --models NAME`
compiles those of the models that are named, for comparing with them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

if __name__ == "__main__" and {"cpu", "--device=cpu"} & set(sys.argv):  # before Triton is imported
    os.environ["TRITON_INTERPRET"] = "1"

import checkout
import gpu_cases
import gpu_proofs
import gpu_questions
import torch

from clavilux.bench import report
from clavilux.bench.end_to_end import run_generation
from clavilux.bench.layer import run_layer
from clavilux.bench.ops import run_ops
from clavilux.bench.steps import run_steps
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.workloads import named
from clavilux.files import write_json

CASES_SHARE = 0.3  # of the time, at most, for the cases
STEPS_SHARE = 0.6  # of what is then left, at most, for whole steps
QUESTIONS_SHARE = 0.4  # of what is left after them
PARTS = ("proofs", "cases", "steps", "questions", "generation", "layer", "ops")
MODELS = ("musicgen-small", "musicgen-large", "llamagen-3b", "jukebox-5b", "llamagen-b", "musicgen-medium",
          "imagegpt-large")  # fmt: skip
COMPILED = ("musicgen-small", "musicgen-large", "llamagen-3b")
LAYERS = ("musicgen-small", "musicgen-large", "llamagen-3b")


class Check:
    """The report, its file and its failures."""

    def __init__(self, path: Path, bench: Bench):
        self.path, self.bench = path, bench
        self.parts: dict = {}
        self.failures: list[str] = []
        bench.changed = lambda found: self.write()

    def put(self, name: str, value) -> None:
        self.parts[name] = value
        self.write()

    def fail(self, text: str) -> None:
        self.failures.append(text)
        print(f"FAILED: {text}", flush=True)
        self.write()

    def write(self) -> None:
        found = self.bench.report()
        results = found.pop("results")
        write_json({**found, "failures": self.failures, **self.parts, "results": results}, self.path)


@dataclass(frozen=True)
class Plan:
    """What is asked for: parts, models and when to end, of `time.monotonic`."""

    end: float
    parts: Sequence[str] = PARTS
    models: Sequence[str] = ()
    workers: int = 1


def run(check: Check, plan: Plan) -> None:
    bench = check.bench
    if "proofs" in plan.parts:
        prove(check, plan.end)
    if "cases" in plan.parts:
        check_cases(check, plan)
    measured = [part for part in plan.parts if part not in ("proofs", "cases")]
    if measured:
        bench.measure_ceilings()
    for part in measured:
        left = plan.end - time.monotonic()
        bench.deadline = plan.end - left * (1 - {"steps": STEPS_SHARE, "questions": QUESTIONS_SHARE}.get(part, 1.0))
        try:
            measure(check, part, tuple(plan.models))
        except Mismatch as error:
            check.fail(f"{part}: {error}")
        except Exception as error:  # what fails is reported, and what comes after it still runs
            check.fail(f"{part}: {type(error).__name__}: {error}")


def prove(check: Check, end: float) -> None:
    bench = check.bench
    for proof in gpu_proofs.PROOFS:
        if time.monotonic() >= end:
            check.fail(f"{proof.__name__} was left out, the time was up")
            continue
        try:
            found = proof(bench.device, bench.quick)
            print(f"{proof.__name__}: {found}", flush=True)
            check.put(proof.__name__, found)
        except Exception as error:  # as above
            check.fail(f"{proof.__name__}: {type(error).__name__}: {error}")


def check_cases(check: Check, plan: Plan) -> None:
    device, now = check.bench.device, time.monotonic()
    until = now + (plan.end - now) * CASES_SHARE
    cases = gpu_cases.check_all(
        device.type, plan.workers, until, check.bench.quick, lambda found: check.put("cases", found)
    )
    check.put("cases", cases)
    print(f"cases: {cases['passed']} of {cases['cases']} passed, {cases['left_out']} left out, "
          f"{cases['took_s']:.0f} s", flush=True)  # fmt: skip
    for found in cases["failures"]:
        check.fail(f"{found['case']}: {found['failure']}")
    if cases["left_out"]:
        check.fail(f"{cases['left_out']} cases were left out, the time was up")


def measure(check: Check, part: str, models: tuple[str, ...]) -> None:
    """One part; `models` are those that were named, in place of the usual ones."""
    bench = check.bench
    few = ("aria-composer",) if bench.quick else ()
    if part == "steps":
        bench.compiled = models or COMPILED
        run_steps(bench, models or few or MODELS)
    elif part == "questions":
        asked = gpu_questions.Asked(bench.device, bench.quick, bench.deadline or time.monotonic())
        asked.changed = lambda rows: check.put("questions", rows)
        for failure in gpu_questions.ask(asked):
            check.fail(f"questions: {failure}")
    elif part == "generation":
        run_generation(bench, models or few or LAYERS[:2])
    elif part == "layer":
        run_layer(bench, models or few or LAYERS)
    else:
        run_ops(bench, models or few)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="when to stop beginning anything new")
    parser.add_argument("--out", type=Path, default=checkout.ROOT / "benchmarks" / "results", help="folder of the file")
    parser.add_argument("--device", default="cuda", help="cpu shows only that the command works")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=f"some of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME", help="measure these, and compile their peers"
    )
    parser.add_argument("--workers", type=int, help="processes that check cases")
    parser.add_argument("--commit", help="where the checkout cannot tell")
    parser.add_argument("--quick", action="store_true", help="toy cases and small sizes")
    args = parser.parse_args()
    started = time.monotonic()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --quick shows only that the command works")
    if not args.out.is_dir():
        parser.error(f"--out is {str(args.out)!r}; it should be a folder")
    try:
        for name in args.models:
            named(name)
    except ValueError as error:
        parser.error(str(error))
    device = torch.device(args.device)
    announce = lambda text: print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)  # noqa: E731
    bench = Bench(device, repeats=3 if args.quick else 9, quick=args.quick, commit=args.commit, announce=announce)
    kind = "gpu" if device.type == "cuda" else device.type
    check = Check(args.out / f"{date.today().isoformat()}-{kind}.json", bench)
    workers = args.workers or gpu_cases.usual_workers(device.type)
    run(check, Plan(started + 60 * args.minutes, args.only, args.models, workers))
    check.put("took_s", time.monotonic() - started)
    print(report.plain(bench.report()))
    print(f"wrote {check.path}, {len(check.failures)} failures, {time.monotonic() - started:.0f} s")
    sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()
