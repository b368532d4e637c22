"""Counts of rows that are summed in another order are filled up, whatever the library's blocks are."""

import pytest
import torch

from clavilux.kernels.steady import row_counts, steady

WEIGHT = torch.randn(40, 64, generator=torch.Generator().manual_seed(0))


def summed_in(order, x):
    """x @ WEIGHT.T, in an order of its own: the row's numbers in blocks, each summed from its start."""
    parts = [part @ other.T for part, other in zip(x.split(order, 1), WEIGHT.split(order, 1), strict=True)]
    return sum(parts[1:], parts[0])


def library(blocks):
    """A product that cuts its rows into blocks, by `blocks(rows)`, and sums each number of rows in another order."""

    def product(x):
        # One row at a time, so that the library under this one has no say.
        rows = iter(x.split(1))
        return torch.cat([summed_in(order, next(rows)) for size, order in blocks(len(x)) for _ in range(size)])

    return product


def six_at_a_time(rows):
    """As FBGEMM without AVX-512: blocks of one row and of two have orders of their own."""
    sizes = [6] * (rows // 6) + ([rows % 6] if rows % 6 else [])
    return [(size, {1: 8, 2: 16}.get(size, 32)) for size in sizes]


def test_small_blocks_are_filled_up():
    counts = row_counts(library(six_at_a_time), 64)
    assert len(counts) - 1 == 24  # 32 rows end in a block of two
    assert counts[:10] == [0, 3, 3, 3, 4, 5, 6, 9, 9, 9]


def test_one_order_costs_nothing():
    assert row_counts(library(lambda rows: [(rows, 32)]), 64) == list(range(33))


def test_an_order_for_every_place_ends_in_single_rows():
    counts = row_counts(library(lambda rows: [(1, 1 + place) for place in range(rows)]), 64)
    assert counts == [0, 1]


@pytest.mark.parametrize(
    "blocks",
    [six_at_a_time, lambda rows: [(rows, 32)], lambda rows: [(rows, 8 if rows < 4 else 64)],
     lambda rows: [(1, 1 + place) for place in range(rows)]],
)  # fmt: skip
def test_a_row_has_the_same_bits_whatever_is_beside_it(blocks):
    product = steady(library(blocks), 64)
    x = torch.randn(70, 64, generator=torch.Generator().manual_seed(1))
    together = product(x)
    torch.testing.assert_close(together, x @ WEIGHT.T)
    for rows in range(1, 70):
        assert torch.equal(product(x[:rows]), together[:rows])
        assert torch.equal(product(x[rows:]), together[rows:])
