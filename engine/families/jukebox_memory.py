"""What a Jukebox takes of memory, reckoned from its sizes. Knows no weights."""

from __future__ import annotations

import math

from ..precision import BYTES, step_bytes
from ..state import places_of
from .jukebox_files import JukeboxFiles
from .jukebox_sizes import PriorSizes


def memory_bytes(files: JukeboxFiles, seconds: float, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that a render takes at its peak, loading included: of the level that takes most.

    Args:
        files: the checkpoint.
        seconds: of each piece.
        batch: pieces side by side.
        dtype: as for `clavilux.load`; "auto" is reckoned as on a CPU, where weights pass through float32.
    """
    spec = files.spec
    total = math.ceil(seconds * spec.sample_rate / spec.hop(files.top)) * spec.hop(files.top)
    levels = [_level_bytes(sizes, total // sizes.hop, batch, dtype) for sizes in files.sizes.values()]
    sound = 4 * batch * spec.channels * math.ceil(seconds * spec.sample_rate) * 3
    return max(levels) + sound


def cache_bytes(sizes: PriorSizes, tokens: int, batch: int, number: int) -> int:
    """Bytes of the keys and values of a window of so many tokens, `number` bytes each number."""
    capacity = min(sizes.stack.positions, tokens + sizes.stack.positions - sizes.context)
    spec = sizes.spec
    numbers = sum(places_of(spec, capacity)) * spec.heads * spec.head_dim
    if sizes.encoder is not None:
        numbers += len(spec.cross_layers) * spec.heads * spec.head_dim * sizes.lyric_tokens
    return 2 * numbers * batch * number


def _level_bytes(sizes: PriorSizes, tokens: int, batch: int, dtype: str) -> int:
    size, width = BYTES[dtype], sizes.stack.width
    tokens = min(tokens, sizes.context)
    weights = sizes.parameters * size
    cache = cache_bytes(sizes, tokens, batch, step_bytes(dtype))
    given = batch * sizes.context * width * step_bytes(dtype)  # what is added at each position
    return weights + cache + given
