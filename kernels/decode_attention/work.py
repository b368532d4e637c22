"""How the keys of a row and head are shared out to programs of decode_attention's kernel. Knows sizes only."""

from dataclasses import dataclass

import triton


@dataclass(frozen=True)
class Work:
    """How the keys of one row and head are shared out.

    Attributes:
        tile: keys that a program holds at once.
        pieces: programs that share the keys; each takes one tile, or several in turn.
        width: columns of the values that a program takes: all of them where there are several pieces.
        warps: of each program.
    """

    tile: int
    pieces: int
    width: int
    warps: int


def work(head_dim: int, keys: int, heads: int, few: bool, item: int) -> Work:
    """What a program does, by sizes that a model fixes: nothing of it depends on the batch.

    A program asks for all its keys and values before it computes, so that they are under way together. Where no more
    than `keys` can ever come (`few`: a span, a memory) and a program's registers hold them, nothing is merged: 32
    columns of the values a program, 64 bytes of a line in 16 bits. Otherwise a tile is 16 KiB of keys in 16 bits, so
    small that several programs fit on a processor of 64K registers. 16 pieces or more, as many as give 256 programs a
    row, but 64 at most: what a merge reads grows with them.
    """
    columns = triton.next_power_of_2(head_dim)
    tile, width = max(16, triton.next_power_of_2(keys)), 32 if columns >= 128 else columns
    if few and tile <= 256 and tile * (columns + width) <= 40960:
        return Work(tile, 1, width, min(4 * item, max(4, tile * columns * item // 4096)))
    tile, warps = {128: (64, 4), 256: (32, 4), 512: (16, 4)}.get(columns, (128, 8))
    most = min(64, max(16, triton.next_power_of_2(triton.cdiv(256, heads))))
    return Work(tile, min(most, triton.cdiv(keys, tile)), columns, warps)
