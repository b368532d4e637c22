"""What the machine can do at best, measured in the same run: the numbers that every other one is a share of.

Copy and read bandwidth, a large matrix product, and what starting one operation costs.
"""

from typing import TypedDict

import torch

from clavilux.bench.timing import Side, Timing, captured, measure

_OPERATIONS = 1000  # in the graph whose gaps are measured


class Ceiling(TypedDict):
    """What one thing runs at, at best: `median` and `best` (the fastest sample) in `unit`, and every sample."""

    median: float
    best: float
    unit: str
    samples_s: list[float]


def measure_ceilings(device: torch.device, *, repeats: int, quick: bool = False) -> dict[str, Ceiling]:
    """By name.

    `copy` counts what is read and what is written. On a GPU `operation` is the time a captured kernel of one element
    takes from the last one's start to its own; on a CPU, a call of torch on one element.
    """
    size = (2**28 if device.type == "cuda" else 2**26) // (16 if quick else 1)  # float32: 1 GiB, or 256 MiB
    side = (8192 if device.type == "cuda" else 2048) // (8 if quick else 1)
    source, target = torch.randn(size, device=device), torch.empty(size, device=device)
    half = torch.bfloat16
    matrices = {dtype: torch.randn(2, side, side, device=device).to(dtype) for dtype in (torch.float32, half)}
    timings = measure(
        [
            Side("copy", lambda n: [target.copy_(source) for _ in range(n)]),
            Side("read", lambda n: [source.sum() for _ in range(n)]),
            Side("gemm float32", lambda n: [torch.mm(*matrices[torch.float32]) for _ in range(n)]),
            Side("gemm bfloat16", lambda n: [torch.mm(*matrices[half]) for _ in range(n)]),
            _operation(device),
        ],
        device,
        repeats=repeats,
    )
    moved, computed = 4 * size, 2 * side**3
    return {
        "copy": _rate(timings["copy"], 2 * moved, "bytes/s"),
        "read": _rate(timings["read"], moved, "bytes/s"),
        "gemm_float32": _rate(timings["gemm float32"], computed, "flops/s"),
        "gemm_bfloat16": _rate(timings["gemm bfloat16"], computed, "flops/s"),
        "operation": {
            "median": timings["operation"].median_s,
            "best": min(timings["operation"].samples_s),
            "unit": "s",
            "samples_s": list(timings["operation"].samples_s),
        },
    }


def bandwidth(ceilings: dict[str, Ceiling], device: torch.device) -> float:
    """The bytes/s that a step is a share of: a GPU's copy, as others report it; a CPU's reading, which is faster."""
    return ceilings["copy" if device.type == "cuda" else "read"]["median"]


def floor_s(num_bytes: float, flops: float, dtype: str, ceilings: dict[str, Ceiling], device: torch.device) -> float:
    """The least that moving so many bytes and computing so much could take: the greater of the two."""
    peak = ceilings["gemm_float32" if dtype == "float32" else "gemm_bfloat16"]["median"]
    return max(num_bytes / bandwidth(ceilings, device), flops / peak)


def _operation(device: torch.device) -> Side:
    x = torch.ones(1, device=device)
    if device.type == "cuda":
        return Side("operation", captured([lambda: x.add_(1)] * _OPERATIONS, device), per_run=_OPERATIONS)
    return Side("operation", lambda n: [x.add_(1) for _ in range(n)])


def _rate(timing: Timing, amount: int, unit: str) -> Ceiling:
    return {
        "median": amount / timing.median_s,
        "best": amount / min(timing.samples_s),
        "unit": unit,
        "samples_s": list(timing.samples_s),
    }
