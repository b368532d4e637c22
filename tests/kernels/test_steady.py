"""Counts of rows that are summed in another order are filled up, whatever the library's blocks are."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from clavilux.kernels.steady import attention, row_counts, steady

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
    x = torch.randn(40, 64, generator=torch.Generator().manual_seed(1))
    together = product(x)
    torch.testing.assert_close(together, x @ WEIGHT.T)
    for rows in (1, 2, 3, 5, 7, 24, 25, 32, 33, 39):
        assert torch.equal(product(x[:rows]), together[:rows])
        assert torch.equal(product(x[rows:]), together[rows:])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("keys", [8, 23, 513])
@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_has_the_same_bits_in_any_batch(queries, keys, threads, masked):
    random = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(16, 3, size, 24, generator=random) for size in (queries, keys, keys))
    mask = torch.rand(16, 1, 1, keys, generator=random) < 0.8 if masked else None
    if masked:
        mask[..., 0] = True
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            together = attention(q, k, v, mask=mask)
            expected = scaled_dot_product_attention(q, k, v, attn_mask=mask)
            torch.testing.assert_close(together, expected, rtol=1e-5, atol=1e-6)
            for rows in (1, 2, 3, 5):
                own = [x if x is None else x[-rows:].clone() for x in (q, k, v, mask)]
                assert torch.equal(attention(*own[:3], mask=own[3]), together[-rows:]), f"{rows} rows"
    finally:
        torch.set_num_threads(before)
