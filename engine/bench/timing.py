"""Timing: sides take turns, so that a busy spell of the machine falls on all of them.

Knows clocks, orders and spreads; not what is timed.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

MOST_BUFFERS = 32
_CPU_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")


@dataclass(frozen=True)
class Side:
    """One way to do the work that is compared.

    Attributes:
        name: what the table calls it.
        run: run(n) does the work n times; it may leave a GPU working.
        per_run: how many calls one time is, where a run does several.
        facts: what goes into its row as it is: dtype, bytes, flops and so on.
    """

    name: str
    run: Callable[[int], object]
    per_run: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """The seconds of one call, in every sample."""

    samples_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.samples_s)

    @property
    def quartiles_s(self) -> tuple[float, float]:
        if len(self.samples_s) == 1:
            return self.samples_s[0], self.samples_s[0]
        low, _, high = statistics.quantiles(self.samples_s, n=4, method="inclusive")
        return low, high

    @property
    def iqr_s(self) -> float:
        """The range of the middle half."""
        low, high = self.quartiles_s
        return high - low


def turns(sides: Sequence[Side], rounds: int) -> Iterator[Side]:
    """The sides in the order A B, B A, A B ...: a drift over time is shared by all."""
    for number in range(rounds):
        yield from sides if number % 2 == 0 else reversed(sides)


def seconds(run: Callable[[int], object], count: int, device: torch.device) -> float:
    """What run(count) takes, from when the device is idle until it is idle again."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        run(count)
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000
    started = time.perf_counter()
    run(count)
    return time.perf_counter() - started


def measure(
    sides: Sequence[Side],
    device: torch.device,
    *,
    repeats: int,
    least_s: float = 0.02,
    most: int = 1000,
    on_sample: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time every side `repeats` times, in turns.

    Args:
        sides: with names that differ.
        device: whose clock counts.
        repeats: samples a side, at least 1.
        least_s: a sample repeats the work until it is about this long, so that the clock's own cost is small.
        most: but no more often than this.
        on_sample: called after each sample, for a progress bar.

    Returns:
        By name, the seconds of one call.

    Raises:
        ValueError: no repeats, or two sides of one name.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}; it should be at least 1")
    if len({side.name for side in sides}) < len(sides):
        raise ValueError(f"two sides have the same name: {', '.join(side.name for side in sides)}")
    counts = {}
    for side in sides:
        side.run(1)  # compiles, allocates, reads the weights once
        once = seconds(side.run, 1, device)
        counts[side.name] = max(1, min(most, round(least_s / max(once, 1e-9))))
    samples: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in turns(sides, repeats):
        count = counts[side.name]
        samples[side.name].append(seconds(side.run, count, device) / (count * side.per_run))
        on_sample()
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def cache_bytes(device: torch.device) -> int:
    """The size of the last cache before memory: what is smaller may be read without it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size
    try:
        return int(_CPU_CACHE.read_text().strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        return 32 * 2**20  # a usual one; macOS and some virtual machines do not say


def buffers_needed(num_bytes: int, device: torch.device) -> int:
    """How many copies of a call's tensors to go round, so that none is in the cache when its turn comes again.

    At most `MOST_BUFFERS`: tensors of a few kilobytes stay in the cache, as they do in a real step.
    """
    return max(1, min(MOST_BUFFERS, -(-2 * cache_bytes(device) // max(1, num_bytes))))


def rotating(calls: Sequence[Callable[[], object]]) -> Callable[[int], None]:
    """run(n): n calls, each with the next set of tensors."""
    position = 0

    def run(count: int) -> None:
        nonlocal position
        for _ in range(count):
            calls[position]()
            position = (position + 1) % len(calls)

    return run


def captured(calls: Sequence[Callable[[], object]], device: torch.device) -> Callable[[int], None]:
    """run(n): n replays of one CUDA graph that holds all the calls, without what starting each from Python costs.

    Raises:
        RuntimeError: a call that cannot be captured, or a device that captures none.
    """
    if device.type != "cuda":  # builds of torch differ in what they raise
        raise RuntimeError(f"a graph is captured on a GPU; the device is {device}")
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for call in calls:
            call()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # What the calls read and what they return live as long as the graph, which knows no more than their addresses.
    kept: list[object] = [*calls]
    with torch.cuda.graph(graph):
        kept.extend(call() for call in calls)

    def run(count: int, kept: object = kept) -> None:
        for _ in range(count):
            graph.replay()

    return run
