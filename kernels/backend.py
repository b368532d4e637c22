"""Which implementation of an op runs: the one that is asked for, or the one made for the device.

Knows no op. An op's `api.py` lists its implementations and asks here, once a call.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch

from clavilux.kernels import launch

_Op = TypeVar("_Op", bound=Callable[..., object])


@dataclass(frozen=True, eq=False)
class Called:
    """One call of an op, to be repeated.

    Attributes:
        op: its name.
        run: the implementation that ran.
        arguments: what it was given, in the order of the op's reference.
        result: what it returned.
    """

    op: str
    run: Callable[..., object]
    arguments: tuple[Any, ...]
    result: object

    def again(self) -> object:
        """Run it once more, on the same tensors."""
        return self.run(*self.arguments)


_PREFERRED: ContextVar[str | None] = ContextVar("backend", default=None)
_CALLS: ContextVar[list[Called] | None] = ContextVar("calls", default=None)


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Within it, calls that name no backend take this one where it fits: for tests and for comparing the two."""
    token = _PREFERRED.set(backend)
    try:
        yield
    finally:
        _PREFERRED.reset(token)


@contextmanager
def recorded() -> Iterator[list[Called]]:
    """Within it every op's call is added to the list, in order: what a step is made of."""
    calls: list[Called] = []
    token = _CALLS.set(calls)
    try:
        yield calls
    finally:
        _CALLS.reset(token)


def preferred() -> str | None:
    """What `using` says; None outside it."""
    return _PREFERRED.get()


def usual(device: torch.device) -> str:
    """The implementation that a call on a device takes where it names none."""
    return preferred() or ("triton" if device.type == "cuda" else "reference")


def lazy(module: str, name: str) -> Callable[..., Any]:
    """A function that is imported when it is first called, so that Triton is needed only where it runs."""

    def call(*arguments: Any, **words: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **words)

    return call


def choose(implementations: Mapping[str, _Op], backend: str | None, device: torch.device, fits: bool = True) -> _Op:
    """Return one implementation of an op.

    Args:
        implementations: name to callable; every op has at least "reference".
        backend: a name in `implementations`, or None for the one that is made for `device`.
        device: where the op's inputs are.
        fits: whether the op's Triton kernel is made for this call's shapes. Where it is not (a prompt's many rows),
            PyTorch's own kernels are the better choice, and the reference is written in them.

    Raises:
        ValueError: the op has no implementation of that name, or it cannot run there. It is never replaced by another.
    """
    name = backend or usual(device)
    if backend is None and (name not in implementations or (name == "triton" and not fits)):
        name = "reference"
    if name not in implementations:
        names = ", ".join(sorted(implementations))
        raise ValueError(f"backend {name!r} does not exist for this op; it has: {names}")
    if name == "triton":
        _check_triton(device)
        if not fits:
            raise ValueError(
                "backend 'triton' is asked for a shape that its kernel is not made for; leave it to choose"
            )
    run, calls = implementations[name], _CALLS.get()
    return run if calls is None else cast("_Op", _recording(implementations["reference"].__name__, run, calls))


def _recording(op: str, run: Callable[..., object], calls: list[Called]) -> Callable[..., object]:
    def call(*arguments: Any) -> object:
        result = run(*arguments)
        calls.append(Called(op, run, arguments, result))
        return result

    return call


def _check_triton(device: torch.device) -> None:
    if find_spec("triton") is None:
        raise ValueError("backend 'triton' is not installed; pip install triton (Linux), or use a CPU")
    if device.type == "cpu" and not interpreted() and not launch.recording():
        raise ValueError("backend 'triton' is given tensors on cpu; it needs a GPU, or TRITON_INTERPRET=1 for tests")


def interpreted() -> bool:
    """Whether Triton runs its kernels in Python, for tests: a setting that must stand before Triton is imported."""
    return os.environ.get("TRITON_INTERPRET") == "1"
