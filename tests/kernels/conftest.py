"""Counts the catalog's cases whose Triton kernel was compared with the reference, for the summary."""

from collections import Counter

import pytest
import torch

WORD = "kernel case"


@pytest.fixture
def compared(record_property):
    """Call it with a case whose kernel has run; it counts if the test passes."""
    return lambda case: record_property(WORD, (case.op, str(case)))


def pytest_terminal_summary(terminalreporter):
    passed = terminalreporter.stats.get("passed", [])
    cases = {value for report in passed for name, value in report.user_properties if name == WORD}
    if cases:
        where = "on a GPU" if torch.cuda.is_available() else "under Triton's interpreter"
        counts = ", ".join(f"{op} {count}" for op, count in sorted(Counter(op for op, _ in cases).items()))
        terminalreporter.write_line(f"{len(cases)} kernel cases equal their reference {where}: {counts}")
