"""One run of the benchmark: what was asked for, the rows that are found, and what could not be measured.

Knows how rows are timed, compared and kept; not what any suite measures, nor how a report looks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from clavilux.bench.machine import machine
from clavilux.bench.roofline import Ceiling, bandwidth, floor_s, measure_ceilings
from clavilux.bench.timing import Side, measure

SCHEMA = 1


class Mismatch(Exception):
    """Two sides do not compute the same, so their times say nothing."""


@dataclass
class Bench:
    """The run.

    Attributes:
        device: where everything runs.
        repeats: samples of each side.
        quick: smaller sizes and lengths, to see that everything works; its numbers are not to be quoted.
        commit: of the checkout, where the machine cannot know.
        announce: called with what is being measured, in words.
        changed: called with the report after each row, so that a run that is cut off keeps what it has.
        deadline: of `time.monotonic`; what would begin after it is noted as left out.
        compiled: the models whose peers are compiled, which takes a minute each; None: all.
    """

    device: torch.device
    repeats: int = 10
    quick: bool = False
    commit: str | None = None
    announce: Callable[[str], object] = lambda text: None
    changed: Callable[[dict[str, Any]], object] = lambda report: None
    deadline: float | None = None
    compiled: tuple[str, ...] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ceilings: dict[str, Ceiling] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machine = machine(self.device, self.commit)

    def measure_ceilings(self) -> None:
        self.announce("ceilings")
        self.ceilings = measure_ceilings(self.device, repeats=max(3, self.repeats), quick=self.quick)
        self.changed(self.report())

    def note(self, text: str) -> None:
        """Something that the reader has to know: what was left out and why."""
        if text not in self.notes:
            self.notes.append(text)
            self.changed(self.report())

    def compiles(self, model: str, *, everywhere: bool = False) -> bool:
        """Whether a model's peers are compiled: with a deadline, or in a quick run, in one place only."""
        short_of_time = self.quick or self.deadline is not None
        return (self.compiled is None or model in self.compiled) and not (everywhere and short_of_time)

    def late(self, what: str) -> bool:
        """Whether the time is up; then notes that `what` was left out."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return False
        self.note(f"left out, the time was up: {what}")
        return True

    def compare(self, suite: str, subject: str, at: str, sides: Sequence[Side], *, repeats: int | None = None,
                least_s: float = 0.02, most: int = 1000) -> list[dict[str, Any]]:  # fmt: skip
        """Time the sides in turns and keep a row for each; the rows.

        A side's facts may hold `bytes`, `flops` and `dtype`, of one call: then the row says its share of the ceiling.
        """
        sides = [side for side in sides if side is not None]
        if not sides or self.late(f"{suite}, {subject}, {at}"):
            return []
        self.announce(f"{suite}: {subject}, {at}")
        started = time.monotonic()
        timings = measure(sides, self.device, repeats=repeats or self.repeats, least_s=least_s, most=most)
        elapsed_s = time.monotonic() - started
        rows = []
        for side in sides:
            timing, facts = timings[side.name], dict(side.facts)
            row = {"suite": suite, "subject": subject, "at": at, "side": side.name, **facts}
            row |= {"median_s": timing.median_s, "iqr_s": timing.iqr_s, "samples_s": list(timing.samples_s)}
            if facts.get("bytes"):
                row["bytes_per_s"] = facts["bytes"] / timing.median_s
                row["share"] = self.floor_s(facts) / timing.median_s
            rows.append(row)
        for row in rows:  # how much faster this side is than each of the others that was run beside it
            others = [other for other in rows if other is not row]
            row["times_as_fast_as"] = {other["side"]: other["median_s"] / row["median_s"] for other in others}
            row["group_took_s"] = elapsed_s
        self.rows += rows
        self.changed(self.report())
        return rows

    def floor_s(self, facts: dict[str, Any]) -> float:
        """The least that a call with these facts can take on this machine."""
        dtype = facts.get("dtype", "float32")
        return floor_s(facts["bytes"], facts.get("flops", 0), dtype, self.ceilings, self.device)

    def report(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        ceiling = bandwidth(self.ceilings, self.device) if self.ceilings else None
        settings = {"repeats": self.repeats, "quick": self.quick, "bandwidth_of_shares": ceiling}
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "settings": settings,
            "ceilings": self.ceilings,
            "notes": list(self.notes),
            "results": list(self.rows),
        }
