"""Products and attention in which a row keeps its bits, whatever rows are beside it, on a CPU.

A library sums in an order that can change with the number of rows: FBGEMM's half-precision product, on a processor
without AVX-512, has an order of its own for a block of one row, another for two, and one for three to six; it cuts 7
rows into 5 and 2, 32 into 30 and 2. So the orders are looked at once for each shape, and a count of rows that would be
summed in another one is filled up to the next that is not: 1 and 2 rows to 3, 7 to 8.

Knows rows and bits. Does not know what multiplies.
"""

from collections.abc import Callable, Iterable
from itertools import accumulate

import torch
from torch.nn.functional import scaled_dot_product_attention

# Most rows that are multiplied at once. oneDNN's tiles of AMX sum in another order beyond 32.
CHUNKS = (32, 24, 16, 8, 4, 2, 1)

Product = Callable[[torch.Tensor], torch.Tensor]


def steady(product: Product, width: int, counts: list[int] | None = None) -> Product:
    """A product like `product`, x [rows, width] -> [rows, N], whose rows do not depend on each other's number.

    `counts`: what `row_counts` gives for products of this kind and shape, if it is known.
    """
    counts = row_counts(product, width) if counts is None else counts
    chunk = len(counts) - 1
    if counts == list(range(chunk + 1)):
        return lambda x: product(x) if len(x) <= chunk else _in_chunks(product, x, chunk)
    # 4 us for 2 x 1024, where `pad` takes 8; what stands in the rows that fill up does not matter.
    filled = [torch.arange(count).where(torch.arange(count) < rows, 0) for rows, count in enumerate(counts)]

    def run(x: torch.Tensor) -> torch.Tensor:
        rows = len(x)
        if rows > chunk:
            return _in_chunks(run, x, chunk)
        if counts[rows] == rows:
            return product(x)
        return product(x.index_select(0, filled[rows]))[:rows]

    return run


def row_counts(product: Product, width: int) -> list[int]:
    """For 0, 1, 2 ... rows, up to the most that are multiplied at once: how many are to be multiplied in their stead.

    Found by multiplying one random row beside copies of itself: in the largest chunk all of whose rows come out alike,
    rows have the bits that they are to have in every other.
    """
    row = torch.randn(1, width, generator=torch.Generator().manual_seed(width))
    for chunk in CHUNKS:
        bits = product(row.expand(chunk, width).contiguous())
        if torch.equal(bits, bits[:1].expand_as(bits)):
            break
    own = [torch.equal(product(row.expand(rows, width).contiguous()), bits[:rows]) for rows in range(1, chunk)]
    nearest: Iterable[int] = accumulate(range(chunk, 0, -1), lambda above, rows: rows if own[rows - 1] else above)
    return [0, *reversed(list(nearest))]


def attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, mask: torch.Tensor | None = None, causal: bool = False
) -> torch.Tensor:
    """PyTorch's attention over [B, H, T, E]; a row at a time where several threads of a CPU would share the rows.

    Each thread computes in a part of one buffer, and how that part is aligned decides in which order MKL sums: with two
    threads, from 8 keys on, a row's bits depended on which thread it fell to, and so on the rows beside it. One row is
    shared out by its heads alone. It costs a call a row (20 us), which the sums of a long context hide.
    """
    batch = len(q)
    # Compiled steps are those of training: their rows need not be the same in every batch, and a graph breaks where
    # threads are counted.
    if (
        batch == 1 or q.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling()
        or torch.get_num_threads() == 1
    ):  # fmt: skip
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    masks = [mask] * batch if mask is None or len(mask) == 1 else mask.split(1)
    rows = zip(q.split(1), k.split(1), v.split(1), masks, strict=True)
    return torch.cat(
        [
            scaled_dot_product_attention(query, key, value, attn_mask=allowed, is_causal=causal)
            for query, key, value, allowed in rows
        ]
    )


def _in_chunks(product: Product, x: torch.Tensor, chunk: int) -> torch.Tensor:
    return torch.cat([product(part) for part in x.split(chunk)])
