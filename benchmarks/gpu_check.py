"""What a GPU has to show, in one command and at most ten minutes: that every kernel is right, then how fast it all is.

    python benchmarks/gpu_check.py [--minutes 9] [--out FOLDER] [--device cuda] [--quick] [--commit NAME]

In this order: every catalog case in bfloat16 and float16 against its reference; that a generation is replayed from a
captured graph without a word from the host, and that a row does not depend on its batch; then the suites of
`clavilux bench`. The file is written again after each result, so that a run that is cut off keeps what it has. Needs
torch and triton; nothing has to be installed. Exits with 1 if anything fails, with 2 if it cannot run.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date
from pathlib import Path

import checkout
import gpu_cases
import gpu_proofs
import torch

from clavilux.bench import report
from clavilux.bench.end_to_end import run_generation
from clavilux.bench.layer import run_layer
from clavilux.bench.ops import run_ops
from clavilux.bench.steps import run_steps
from clavilux.bench.suite import Bench, Mismatch
from clavilux.files import write_json

CASES_SHARE = 0.45  # of the time, at most, for the cases
STEPS_SHARE = 0.55  # of what is then left, at most, for whole steps; the ops take the rest


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


def run(check: Check, started: float, minutes: float, workers: int, quick: bool) -> None:
    device = check.bench.device
    end = started + 60 * minutes
    cases = gpu_cases.check_all(
        device.type, workers, started + 60 * minutes * CASES_SHARE, quick, lambda found: check.put("cases", found)
    )
    check.put("cases", cases)
    print(f"cases: {cases['passed']} of {cases['cases']} passed, {cases['left_out']} left out, "
          f"{cases['took_s']:.0f} s", flush=True)  # fmt: skip
    for found in cases["failures"]:
        check.fail(f"{found['case']}: {found['failure']}")
    if cases["left_out"]:
        check.fail(f"{cases['left_out']} cases were left out, the time was up")
    for proof in gpu_proofs.PROOFS:
        try:
            found = proof(device, quick)
            print(f"{proof.__name__}: {found}", flush=True)
            check.put(proof.__name__, found)
        except Exception as error:  # what fails is reported, and what comes after it still runs
            check.fail(f"{proof.__name__}: {type(error).__name__}: {error}")
    measure(check, end)


def measure(check: Check, end: float) -> None:
    bench = check.bench
    bench.measure_ceilings()
    steps_end = time.monotonic() + (end - time.monotonic()) * STEPS_SHARE
    models = ("aria-composer",) if bench.quick else ()
    suites = [
        (run_steps, models, steps_end),
        (run_generation, models or ("musicgen-small", "musicgen-large"), steps_end),
        (run_layer, models or ("musicgen-small", "musicgen-large", "llamagen-3b"), end),
        (run_ops, models, end),
    ]
    for suite, names, deadline in suites:
        bench.deadline = deadline
        try:
            suite(bench, names)
        except Mismatch as error:
            check.fail(f"{suite.__name__}: {error}")
        except Exception as error:  # as above
            check.fail(f"{suite.__name__}: {type(error).__name__}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="when to stop beginning anything new")
    parser.add_argument("--out", type=Path, default=checkout.ROOT / "benchmarks" / "results", help="folder of the file")
    parser.add_argument("--device", default="cuda", help="cpu shows only that the command works")
    parser.add_argument("--workers", type=int, help="processes that check cases")
    parser.add_argument("--commit", help="where the checkout cannot tell")
    parser.add_argument("--quick", action="store_true", help="toy cases and small sizes")
    args = parser.parse_args()
    started = time.monotonic()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --quick shows only that the command works")
    if not args.out.is_dir():
        parser.error(f"--out is {str(args.out)!r}; it should be a folder")
    device = torch.device(args.device)
    announce = lambda text: print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)  # noqa: E731
    bench = Bench(device, repeats=3 if args.quick else 9, quick=args.quick, commit=args.commit, announce=announce)
    kind = "gpu" if device.type == "cuda" else device.type
    check = Check(args.out / f"{date.today().isoformat()}-{kind}.json", bench)
    workers = args.workers or gpu_cases.usual_workers(device.type)
    run(check, started, args.minutes, workers, args.quick)
    check.put("took_s", time.monotonic() - started)
    print(report.plain(bench.report()))
    print(f"wrote {check.path}, {len(check.failures)} failures, {time.monotonic() - started:.0f} s")
    sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()
