"""What `clavilux bench` does: its checks, its progress bar, and which suites are run.

Knows the suites' names; how anything is measured is `clavilux.bench`'s. torch is imported inside `run` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clavilux.files import check_ending, check_target, write_json

if TYPE_CHECKING:
    from clavilux.bench.suite import Bench

SUITES = ("ops", "layer", "steps", "end-to-end")


def run(
    suite: str | None, models: list[str], device: str, dtype: str, threads: int | None, repeats: int | None,
    json: Path | None, plot: Path | None, quick: bool, hidden: bool,
) -> None:  # fmt: skip
    """Measure and show. Raises ValueError for what cannot be measured or written."""
    _check_arguments(suite, threads, repeats, json, plot)

    import torch

    from clavilux.bench import report
    from clavilux.bench.suite import Bench, Mismatch
    from clavilux.bench.workloads import named
    from clavilux.precision import check, device_named

    check(dtype)
    for name in models:
        if name != "aria" or suite != "end-to-end":
            named(name)
    if threads is not None:
        torch.set_num_threads(threads)
    wrong = []
    with _progress(hidden) as show_status:
        bench = Bench(device_named(device), repeats=repeats or (3 if quick else 20), quick=quick, announce=show_status)
        if json is not None:
            bench.changed = lambda found: write_json(found, json)
        bench.measure_ceilings()
        for name in (suite,) if suite else SUITES:
            try:
                _suite(name)(bench, tuple(models), dtype)
            except Mismatch as mismatch:
                wrong.append(str(mismatch))
        found = bench.report()
    report.show(found)
    if plot is not None:
        report.plot(found, plot)
    if wrong:
        raise ValueError(f"sides that do not compute the same were not timed: {'; '.join(wrong)}")


def _check_arguments(
    suite: str | None, threads: int | None, repeats: int | None, json: Path | None, plot: Path | None
) -> None:
    if suite is not None and suite not in SUITES:
        raise ValueError(f"the suite {suite!r} is not known; it should be {', '.join(SUITES)}")
    for name, value in (("threads", threads), ("repeats", repeats)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it should be at least 1")
    from clavilux.bench import report

    for path, endings in ((json, (".json",)), (plot, report.PICTURES)):
        if path is not None:
            check_ending(path, endings)
            check_target(path)


def _suite(name: str) -> Callable[[Bench, Sequence[str], str], None]:
    from importlib import import_module

    word = name.replace("-", "_")
    return getattr(import_module(f"clavilux.bench.{word}"), f"run_{word}")


@contextmanager
def _progress(hidden: bool) -> Iterator[Callable[[str], None]]:
    """Yield show_status(text), which shows what is being measured on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda text: bar.update(task, description=text)
