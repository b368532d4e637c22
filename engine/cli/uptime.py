"""How long this process has run, from its start: what a user waited for, imports included.

Knows Linux's /proc. Elsewhere it counts from this module's import, which the command begins with, and so leaves out the
start of Python itself, some hundredths of a second.
"""

import os
import time

_IMPORTED = time.perf_counter()
_START_TIME = 19  # of /proc/self/stat, counted behind the name in brackets: field 22 of proc(5)


def process_seconds() -> float:
    """Seconds since this process was started."""
    try:
        with open("/proc/self/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        started = int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")  # since the machine was booted
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):  # no /proc, or a system without these clocks
        return time.perf_counter() - _IMPORTED
