"""How every Triton kernel is started, or only noted: the compile gate asks what would run, without a GPU.

Knows no kernel and no op.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch


class Kernel(Protocol):
    """What `triton.jit` makes: a grid gives what starts the kernel on it."""

    def __getitem__(self, grid: tuple[int, ...], /) -> Callable[..., object]: ...


@dataclass(frozen=True)
class Launch:
    """One start of a kernel.

    Attributes:
        kernel: the function under `triton.jit`.
        grid: programs along each axis.
        arguments: the values of its first parameters, in order: tensors and numbers.
        constants: its `tl.constexpr` parameters by name.
        options: num_warps, num_stages, and launch_pdl where the launch is a dependent one.
    """

    kernel: Kernel
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: Mapping[str, Any]
    options: Mapping[str, int]


_AMD: ContextVar[bool] = ContextVar("amd", default=torch.version.hip is not None)
_NOTES: ContextVar[list[Launch] | None] = ContextVar("launches", default=None)
_DEPENDENT: ContextVar[bool] = ContextVar("dependent", default=False)


def launch(
    kernel: Kernel, grid: tuple[int, ...], *arguments: Any, num_warps: int = 4, num_stages: int = 3, **constants: Any
) -> None:
    """Start `kernel` on `grid` programs; under `noted`, only write it down.

    Every kernel has a constant DEPENDENT, which is given here: whether it may begin before the kernel before it has
    ended (`dependent`). It then calls `clavilux.kernels.prologue.wait` before it touches what a kernel writes.
    """
    options = {"num_warps": num_warps, "num_stages": num_stages}
    constants["DEPENDENT"] = _DEPENDENT.get()
    if constants["DEPENDENT"]:
        options["launch_pdl"] = True
    notes = _NOTES.get()
    if notes is not None:
        notes.append(Launch(kernel, tuple(grid), arguments, constants, options))
        return
    kernel[grid](*arguments, **constants, **options)


@contextmanager
def dependent(device: torch.device, wanted: bool = True) -> Iterator[bool]:
    """Within it, a kernel begins while the one before it still runs, where the device can (`overlaps`).

    CUDA's programmatic dependent launch: a kernel asks for its weights, then waits until the one before it is done and
    everything it wrote can be seen. So what is called a weight must not have been written by the kernels just before,
    and neither must the clock, the plan, and the keys and values of earlier positions: that holds for a step of a
    decoder, between whose last kernel and whose first one the device has finished, and not for any call of an op. It
    yields whether it is so; `wanted` False leaves everything as it is, for comparisons.
    """
    token = _DEPENDENT.set(wanted and overlaps(device))
    try:
        yield _DEPENDENT.get()
    finally:
        _DEPENDENT.reset(token)


@cache
def overlaps(device: torch.device) -> bool:
    """Whether kernels can be started early there: NVIDIA's GPUs from compute capability 9.0 on."""
    return device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device) >= (9, 0)


@contextmanager
def noted(amd: bool = False, dependent: bool = False) -> Iterator[list[Launch]]:
    """Within it no kernel runs: the list holds what would have been started, on an AMD GPU or on another.

    `dependent`: as in a step on a GPU whose kernels can be started early.
    """
    notes: list[Launch] = []
    tokens = _NOTES.set(notes), _AMD.set(amd), _DEPENDENT.set(dependent)
    try:
        yield notes
    finally:
        _NOTES.reset(tokens[0])
        _AMD.reset(tokens[1])
        _DEPENDENT.reset(tokens[2])


def waves_of_64() -> bool:
    """Whether a warp is a wave of 64 threads, as on AMD's GPUs, which want other constants."""
    return _AMD.get()


def recording() -> bool:
    """Whether launches are only noted."""
    return _NOTES.get() is not None
