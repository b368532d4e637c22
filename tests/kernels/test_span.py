"""Spans: the arithmetic of positions, against their definition."""

import pytest
import torch

from clavilux.kernels.span import KINDS, Span

SPANS = [Span(kind, size) for kind in KINDS for size in (1, 3, 4)]


def defined(span, query):
    """The keys that the query reads, from the definition."""
    own, size = query // span.size, span.size
    every = {
        "row": lambda key: key // size == own,
        "column": lambda key: (query - key) % size == 0,
        "previous_row": lambda key: key // size == own - 1,
        "prefix": lambda key: key < size,
    }[span.kind]
    return [key for key in range(query + 1) if every(key)]


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_keys_are_those_of_the_definition(span):
    for query in range(3 * span.size + 1):
        first, stride, count = span.keys(query)
        assert [first + stride * index for index in range(count)] == defined(span, query)


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_reads_says_the_same_as_keys(span):
    positions = torch.arange(3 * span.size + 1)
    table = span.reads(positions[:, None], positions)
    assert [row.nonzero()[:, 0].tolist() for row in table] == [defined(span, query) for query in positions.tolist()]


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_a_cache_holds_what_is_read_side_by_side(span):
    for positions in (1, span.size, 3 * span.size + 1):
        places = span.num_slots(positions)
        assert span.fits_cache(places) and not span.fits_cache(span.size - 1)
        lies = {}  # place -> the position written there last
        for query in range(positions):
            place = span.slot(query, places)
            if place < places:
                lies[place] = query
            first, count = span.slots_read(query, places)
            assert [lies[first + index] for index in range(count)] == defined(span, query)
            table = span.reads_slots(torch.tensor([query]), places)
            assert table.nonzero()[:, 0].tolist() == list(range(first, first + count))


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_no_query_reads_more_than_the_most(span):
    for positions in range(2 * span.size, 4 * span.size):
        assert span.most(positions) == max(span.keys(query)[2] for query in range(positions))


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("diagonal", 4, "kind is 'diagonal'"),
        ("row", 0, "size is 0"),
        ("row", -1, "size is -1"),
        ("row", 2.5, "size"),
    ],
)
def test_what_is_no_span(kind, size, message):
    with pytest.raises(ValueError, match=message):
        Span(kind, size)
