"""Every catalog case on a GPU against its reference, in worker processes: compiling kernels is most of the time.

A case passes where its error against float64 is at most twice that of torch in the same dtype; integers must be equal.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import checkout  # noqa: F401  clavilux is imported from here on
import torch

from clavilux.kernels.case_inputs import Call, call
from clavilux.kernels.catalog import CASES, Case
from clavilux.kernels.cross_step import FoldedMemory
from clavilux.kernels.folded import FoldedWeight
from clavilux.kernels.linear import MOST_ROWS
from clavilux.kernels.quantized import Int8Weight

DTYPES = ("bfloat16", "float16")
CHUNK = 8  # cases a worker takes at a time


def all_cases(quick: bool) -> list[Case]:
    """Each case in both dtypes, once."""
    found = {}
    for case in CASES:
        for dtype in DTYPES:
            made = case.with_dtype(dtype)
            if not quick or case.toy:
                found[str(made)] = made
    return list(found.values())


def check_case(case: Case, device: str) -> dict[str, Any]:
    """{"case", "passed", "error", "limit"}; "failure" says what went wrong."""
    backend = "triton" if device == "cuda" else None
    found = {"case": str(case), "passed": False}
    try:
        made, same, exact = (call(case, device) for _ in range(3))
        truth = _wider(exact).results("reference")
        ours, theirs = made.results(_backend(case, backend)), same.results("reference")
        error, limit = 0.0, 0.0
        for one, other, right in zip(ours, theirs, truth, strict=True):
            if not one.numel():
                continue  # of a span that keeps no such position, so that nothing is written
            if not one.dtype.is_floating_point:
                error += float((one != other).sum())  # tokens: none may differ
                continue
            scale = float(right.double().abs().max())
            error = max(error, _error(one, right))
            roundings = 2 if case.op == "cross_step" else 1  # it rounds the stream between its kernels as well
            limit = max(limit, 2 * _error(other, right), roundings * torch.finfo(one.dtype).eps * scale / 2)
        found |= {"passed": error <= limit, "error": error, "limit": limit}
        if error > limit:
            found["failure"] = f"the error is {error:.3g}, at most {limit:.3g} is let pass"
    except Exception as error:  # whatever a kernel or its compiler raises belongs in the report
        found["failure"] = f"{type(error).__name__}: {str(error)[:500]}"
    return found


def _backend(case, backend):
    # prefill_attention leaves to torch what torch serves, products of many rows too: their own choice is checked.
    few_rows = case.op not in ("norm_linear", "linear_residual") or case.shape["rows"] <= MOST_ROWS
    return backend if case.op != "prefill_attention" and few_rows else None


def _error(found, truth):
    difference = (found.double() - truth.double()).abs().max()
    return float("inf") if bool(difference.isnan()) else float(difference)


def _wider(made: Call) -> Call:
    """The same call in float64, whose result is taken as true; weights in int8 stand for what they hold.

    embed takes float32 at most, which holds its sums of a few numbers in half precision well enough.
    """
    dtype = torch.float32 if made.function.__name__ == "embed" else torch.float64

    def wide(value):
        if isinstance(value, Int8Weight):
            return value.dequantized(dtype)
        if isinstance(value, FoldedWeight):
            return FoldedWeight(wide(value.matrix), value.row_sums)
        if isinstance(value, FoldedMemory):
            return FoldedMemory(**{name: wide(part) for name, part in vars(value).items()})
        if isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16):
            return value.to(dtype)
        return value

    if any(not tensor.dtype.is_floating_point for tensor in made.written) or made.function.__name__ == "sample":
        return made  # tokens are compared with those of the same dtype
    arguments = tuple(wide(value) for value in made.arguments)
    written = made.written
    if written:  # the same places of the caches, which are now others
        caches = arguments[1:3]
        written = tuple(
            cache.as_strided(place.shape, place.stride(), place.storage_offset())
            for cache, place in zip(caches, written, strict=True)
        )
    words = {name: wide(value) for name, value in made.words.items()}
    return replace(made, arguments=arguments, words=words, written=written)


def _check_chunk(cases: list[Case], device: str) -> list[dict]:
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = [check_case(case, device) for case in cases]
    if device == "cuda":
        torch.cuda.empty_cache()
    return found


def check_all(device: str, workers: int, deadline: float, quick: bool, changed) -> dict[str, Any]:
    """Check every case until the deadline; {"checked", "passed", "failures", "left_out", "worst"}.

    `changed` is called with it as it grows.
    """
    cases = all_cases(quick)
    chunks = [cases[first : first + CHUNK] for first in range(0, len(cases), CHUNK)]
    results, started = [], time.monotonic()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(_check_chunk, chunk, device) for chunk in chunks]
        try:
            for done in as_completed(waiting, timeout=max(1.0, deadline - time.monotonic())):
                results += done.result()
                changed(_summary(results, len(cases), started))
        except TimeoutError:
            pool.shutdown(wait=False, cancel_futures=True)
    return _summary(results, len(cases), started)


def _summary(results, total, started):
    failures = [found for found in results if not found["passed"]]
    measured = [found for found in results if found.get("limit")]
    worst = sorted(measured, key=lambda found: -found["error"] / found["limit"])[:10]
    return {
        "cases": total,
        "checked": len(results),
        "passed": len(results) - len(failures),
        "left_out": total - len(results),
        "failures": failures,
        "nearest_to_the_limit": worst,
        "took_s": time.monotonic() - started,
    }


def usual_workers(device: str) -> int:
    return min(8, os.cpu_count() or 1) if device == "cuda" else 1
