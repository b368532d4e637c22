"""Large pages for what a step reads: a CPU finds an address in a 4 KiB page by a walk that costs more than the read.

Linux gives pages of 2 MiB only where a program asks for them. Knows addresses; does not know what lies there.
"""

import ctypes
import re
import sys

import torch

PAGE = 2 << 20
LEAST = 4 << 20  # smaller blocks stay in the caches, or are not worth a call
_HUGEPAGE, _COLLAPSE = 14, 25  # of madvise(2): from now on; and what is there already, at once (Linux 6.1)
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?$")


def advise(tensor: torch.Tensor) -> None:
    """Ask for large pages under a CPU tensor that is yet to be written. Elsewhere, and where it is small: nothing."""
    size = tensor.numel() * tensor.element_size()
    if sys.platform == "linux" and tensor.device.type == "cpu" and size >= LEAST:
        _madvise(tensor.data_ptr(), tensor.data_ptr() + size, _HUGEPAGE)


def collapse() -> None:
    """Move this process's large blocks that are in use, such as loaded weights, to large pages.

    Measured on two cores of a Xeon with AMX, 4096 x 1024 and two rows: float16 products in 468 us instead of 644, int8
    in 197 instead of 253. FBGEMM keeps its matrices to itself, so every block of the process is looked at.
    It is advice: a system that has no large pages to give goes on with small ones.
    """
    if sys.platform == "linux":
        for start, end in _blocks():
            _madvise(start, end, _HUGEPAGE)
            _madvise(start, end, _COLLAPSE)


def _blocks() -> list[tuple[int, int]]:
    """Anonymous mappings of which at least `LEAST` bytes are in use, as (start, end)."""
    found, start, end = [], 0, 0
    try:
        with open("/proc/self/smaps") as file:
            for line in file:
                if mapping := _MAPPING.match(line):
                    start, end = (int(part, 16) for part in mapping.groups())
                elif line.startswith("Rss:"):
                    if end and int(line.split()[1]) * 1024 >= LEAST:
                        found.append((start, end))
                    start = end = 0
                elif "-" in line.partition(" ")[0]:  # a mapping of another kind
                    start = end = 0
    except OSError:  # no /proc in some containers
        return []
    return found


def _madvise(start: int, end: int, advice: int) -> None:
    """Advise on the whole large pages within start .. end."""
    start, end = -(-start // PAGE) * PAGE, end // PAGE * PAGE
    if start < end:
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        madvise(start, end - start, advice)
