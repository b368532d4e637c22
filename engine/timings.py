"""Where the seconds of a render go: reading the prompt, prefill, steps, the codec.

Knows names and clocks. Does not know what is done in a part. On a GPU a part is measured between two events on its
stream, so that nothing waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")
PARTS = ("text", "prefill", "steps", "codec")
_current: ContextVar[Timings | None] = ContextVar("timings", default=None)


class Timed(Protocol):
    """What says where its seconds went."""

    timings: dict[str, float]


class Timings:
    """The seconds of one call; a part within another one counts for itself alone."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def part(self, name: str, device: torch.device | None = None) -> Iterator[None]:
        """What runs in it is a part's; `device`: where it computes. `part` of this module finds these timings in it."""
        on_gpu = device is not None and device.type == "cuda"
        # While a GPU works the host waits for steps that were queued before, or goes on: what it waits is the steps'.
        self._charge()
        self._open.append("steps" if on_gpu else name)
        before, events = _current.set(self), _begun(device) if on_gpu and device is not None else None
        try:
            yield
        finally:
            if events is not None:
                events[1].record(torch.cuda.current_stream(device))
                self._events.append((name, *events))
            _current.reset(before)
            self._charge()
            self._open.pop()

    def drawn(self, steps: Iterator[T]) -> Iterator[T]:
        """The same steps, each drawn as a part."""
        while True:
            with self.part("steps"):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step

    def seconds(self) -> dict[str, float]:
        """Seconds by part so far, "steps_s" and so on; what a GPU has still to do is not in them yet."""
        waiting = []
        for name, start, end in self._events:
            if end.query():
                took = start.elapsed_time(end) / 1e3  # from ms
                self._add(name, took)
                self._add("steps", -took)
            else:
                waiting.append((name, start, end))
        self._events = waiting
        names = [*PARTS, *(name for name in self._seconds if name not in PARTS)]
        return {f"{name}_s": round(max(0.0, self._seconds.get(name, 0.0)), 6) for name in names}

    def note(self, made: Iterable[Timed]) -> None:
        """Give it to what was made."""
        for each in made:
            each.timings = self.seconds()

    def _charge(self) -> None:
        """Count the time since the last change of parts for the one that is open."""
        now = time.perf_counter()
        if self._open:
            self._add(self._open[-1], now - self._since)
        self._since = now

    def _add(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


def part(name: str, device: torch.device | None = None) -> AbstractContextManager[None]:
    """As `Timings.part`, of the timings whose part this runs in; without one, nothing."""
    current = _current.get()
    return nullcontext() if current is None else current.part(name, device)


def _begun(device: torch.device) -> tuple[torch.cuda.Event, torch.cuda.Event]:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record(torch.cuda.current_stream(device))
    return start, end
