"""embed: the reference against lookups written out, the Triton kernel against the reference."""

import pytest
import torch

from clavilux.kernels.catalog import cases
from clavilux.kernels.embed import embed
from clavilux.kernels.embed.triton import embed_op

# Triton's interpreter is wrong in bfloat16.
RUNS = [
    pytest.param(case, backend, id=f"{case}-{backend}")
    for case in cases("embed", toy=True)
    for backend in ("reference", "triton")
    if backend == "reference" or case.dtype != "bfloat16" or torch.cuda.is_available()
]


def inputs(shape, dtype):
    """tokens, table and the words of a toy case."""
    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, dtype)
    rows, books, vocabulary, width = (shape[name] for name in ("rows", "codebooks", "vocabulary", "width"))
    blocks = shape.get("blocks", 1)
    words = {"blocks": blocks, "prefix": shape.get("prefix", 0)}
    if shape.get("positions"):
        words["positions"] = torch.randn(9, width, generator=generator).to(dtype)
    if shape.get("additive"):
        words["additive"] = torch.randn(blocks * rows, 6, width, generator=generator).to(dtype)
    tokens = torch.randint(vocabulary, (rows, books), generator=generator)
    return tokens, torch.randn(books * vocabulary, width, generator=generator).to(dtype), words


def written_out(tokens, table, position, positions=None, additive=None, prefix=0, blocks=1):
    vocabulary = len(table) // tokens.shape[1]
    rows = []
    for row in range(blocks * len(tokens)):
        parts = [table[k * vocabulary + int(token)] for k, token in enumerate(tokens[row % len(tokens)])]
        parts += [] if positions is None else [positions[position]]
        parts += [] if additive is None else [additive[row, position - prefix]]
        rows.append(sum(part.double() for part in parts))
    return torch.stack(rows)


@pytest.mark.parametrize("on_device", [False, True], ids=["number", "tensor"])
@pytest.mark.parametrize(("case", "backend"), RUNS)
def test_embed_is_the_sum_of_the_rows(case, on_device, backend, compared):
    tokens, table, words = inputs(case.shape, case.dtype)
    for place in (words["prefix"], words["prefix"] + 3):
        expected = written_out(tokens, table, place, **words)
        position = torch.tensor([place], dtype=torch.int32) if on_device else place
        given = embed(tokens, table, position, **words, backend=backend)
        assert given.shape == expected.shape and given.dtype == table.dtype
        # Summed in float32 and rounded once: within one rounding of the exact sum.
        step = torch.finfo(table.dtype).eps * expected.abs().clamp(min=1)
        if case.dtype == "float32":
            step = step * 4
        assert ((given.double() - expected).abs() <= step).all()
    if backend == "triton":
        compared(case)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_strided_tokens_and_additive(backend):
    table = torch.randn(10, 4)
    plan = torch.randint(5, (3, 2, 7))
    additive = torch.randn(3, 6, 8)[:, 1:, 4:]
    given = embed(plan[:, :, 4], table, 2, additive=additive, backend=backend)
    torch.testing.assert_close(given, written_out(plan[:, :, 4], table, 2, additive=additive).float())


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_a_row_does_not_know_the_others(backend):
    tokens, table = torch.randint(5, (4, 2)), torch.randn(10, 33)
    together = embed(tokens, table, 0, backend=backend)
    assert all(
        torch.equal(together[row : row + 1], embed(tokens[[row]], table, 0, backend=backend)) for row in range(4)
    )


def test_the_operator_is_what_it_says_to_torch():
    tokens, table, position = torch.randint(5, (4, 2)), torch.randn(10, 33), torch.tensor([1], dtype=torch.int32)
    torch.library.opcheck(embed_op, (tokens, table, position, 0, torch.randn(3, 33), torch.randn(8, 2, 33), 0, 2))


TOKENS, TABLE = torch.zeros(2, 2, dtype=torch.int64), torch.zeros(6, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": TOKENS[0]}, r"tokens are torch.int64 \(2,\)"),
        ({"tokens": TOKENS.int()}, "tokens are torch.int32"),
        ({"tokens": TOKENS.to("meta")}, "tokens are on meta"),
        ({"table": TABLE[:5]}, "table has 5 rows"),
        ({"table": TABLE[:0]}, "table has 0 rows"),
        ({"table": TABLE[0]}, r"table is torch.float32 \(4,\)"),
        ({"table": TABLE.long()}, "table is torch.int64"),
        ({"table": torch.zeros(4, 6).T}, r"table has strides \(1, 6\)"),
        ({"position": -1}, "position is -1"),
        ({"position": 3}, "position is 3; positions has 3"),
        ({"position": 0, "prefix": 1}, "position is 0 after a prefix of 1"),
        ({"position": 2}, "position is 2 after a prefix of 0; additive has 2"),
        ({"position": torch.zeros(1)}, "position is torch.float32"),
        ({"position": torch.zeros(2, dtype=torch.int32)}, r"position is torch.int32 \(2,\)"),
        ({"position": torch.zeros(1, dtype=torch.int32, device="meta")}, "position is on meta"),
        ({"positions": torch.zeros(3, 5)}, r"positions is \(3, 5\)"),
        ({"positions": torch.zeros(3, 4, dtype=torch.int64)}, "positions is torch.int64"),
        ({"positions": torch.zeros(4, 3).T}, "positions has strides"),
        ({"positions": torch.zeros(3, 4, device="meta")}, "positions is on meta"),
        ({"additive": torch.zeros(3, 2, 4)}, r"additive is \(3, 2, 4\)"),
        ({"additive": torch.zeros(2, 4, 2).mT}, "additive has strides"),
        ({"blocks": 2}, r"additive is \(2, 2, 4\); it should be \[4, T, 4\]"),
        ({"blocks": 0}, "blocks is 0"),
        ({"prefix": -1}, "prefix is -1"),
        ({"backend": "magic"}, "backend 'magic'"),
    ],
)
def test_embed_names_what_does_not_fit(change, message):
    given = {
        "tokens": TOKENS,
        "table": TABLE,
        "position": 1,
        "positions": torch.zeros(3, 4),
        "additive": torch.zeros(2, 2, 4),
        **change,
    }
    with pytest.raises(ValueError, match=message):
        embed(**given)


def test_a_token_beyond_the_vocabulary_is_an_error_on_a_cpu():
    with pytest.raises(IndexError):
        embed(TOKENS + 6, TABLE, 0)
