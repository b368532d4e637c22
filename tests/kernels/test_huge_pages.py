"""Large pages: which blocks are found, and that what lies in them stays."""

import sys

import pytest
import torch

from clavilux.kernels import huge_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for large pages")


def share(blocks, tensor):
    """How much of a tensor lies in the blocks; it may reach over several, where some of it had large pages before."""
    start, size = tensor.data_ptr(), tensor.numel() * tensor.element_size()
    return sum(max(0, min(start + size, last) - max(start, first)) for first, last in blocks) / size


def test_large_blocks_in_use_are_found():
    values = torch.ones(40 << 20, dtype=torch.uint8)
    assert share(huge_pages._blocks(), values) > 0.8  # pieces below `LEAST` are left out


def test_what_lies_in_collapsed_blocks_stays():
    values = torch.arange(10 << 20, dtype=torch.int32)
    huge_pages.collapse()
    assert torch.equal(values, torch.arange(10 << 20, dtype=torch.int32))


def test_only_whole_pages_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(huge_pages.ctypes, "CDLL", lambda name: type("C", (), {"madvise": Recorder(asked)}))
    page = huge_pages.PAGE
    huge_pages._madvise(page + 1, 2 * page, 14)
    huge_pages._madvise(page - 1, 3 * page + 5, 25)
    assert asked == [(page, 2 * page, 25)]


class Recorder:
    def __init__(self, asked):
        self.asked = asked

    def __call__(self, *arguments):
        self.asked.append(arguments)
