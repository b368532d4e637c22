"""How every Triton kernel is started, or only noted: the compile gate asks what would run, without a GPU.

Knows no kernel and no op.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
        options: num_warps, num_stages.
    """

    kernel: Kernel
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: Mapping[str, Any]
    options: Mapping[str, int]


_AMD: ContextVar[bool] = ContextVar("amd", default=torch.version.hip is not None)
_NOTES: ContextVar[list[Launch] | None] = ContextVar("launches", default=None)


def launch(
    kernel: Kernel, grid: tuple[int, ...], *arguments: Any, num_warps: int = 4, num_stages: int = 3, **constants: Any
) -> None:
    """Start `kernel` on `grid` programs; under `noted`, only write it down."""
    options = {"num_warps": num_warps, "num_stages": num_stages}
    notes = _NOTES.get()
    if notes is not None:
        notes.append(Launch(kernel, tuple(grid), arguments, constants, options))
        return
    kernel[grid](*arguments, **constants, **options)


@contextmanager
def noted(amd: bool = False) -> Iterator[list[Launch]]:
    """Within it no kernel runs: the list holds what would have been started, on an AMD GPU or on another."""
    notes: list[Launch] = []
    tokens = _NOTES.set(notes), _AMD.set(amd)
    try:
        yield notes
    finally:
        _NOTES.reset(tokens[0])
        _AMD.reset(tokens[1])


def waves_of_64() -> bool:
    """Whether a warp is a wave of 64 threads, as on AMD's GPUs, which want other constants."""
    return _AMD.get()


def recording() -> bool:
    """Whether launches are only noted."""
    return _NOTES.get() is not None
