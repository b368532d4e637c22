"""One thread for steps so small that more would only wait for each other.

Knows how many threads the calling thread's own parallel loops take. Leaves the process alone: `torch.set_num_threads`
is not used, as it also says with how many threads every new thread begins, so that generations that overlap in several
threads would leave 1 to all that come later.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on the calling thread alone; the other threads of the process go on as they did."""
    torch.get_num_threads()  # a thread's first parallel call sets its number: this is that call
    before = [(put, get()) for get, put in _openmp()]
    put_mkl = _mkl()
    for put, _ in before:
        put(1)
    mkl = put_mkl(1)
    try:
        yield
    finally:
        put_mkl(mkl)
        for put, number in before:
            put(number)


@cache
def _openmp() -> tuple[tuple[Callable[[], int], Callable[[int], None]], ...]:
    """(read, set) of each OpenMP library that is loaded; each counts for the thread that calls it. 7 ms, once."""
    found = ThreadpoolController().lib_controllers
    return tuple((lib.get_num_threads, lib.set_num_threads) for lib in found if lib.user_api == "openmp")


@cache
def _mkl() -> Callable[[int], int]:
    """Set the calling thread's number in the MKL inside torch, which `torch.set_num_threads` once said; the last one.

    0 is none of its own: OpenMP's. Where torch has no MKL nothing is set.
    """
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        return ctypes.CDLL(str(library)).MKL_Set_Num_Threads_Local
    except (OSError, AttributeError):
        return lambda number: 0
