"""What a Jukebox takes of memory, reckoned from its sizes. Knows no weights."""

from __future__ import annotations

import math

from clavilux.families.jukebox.config import PriorConfig
from clavilux.families.jukebox.files import JukeboxFiles
from clavilux.kernels.quantized import packing_supported
from clavilux.precision import BYTES, step_bytes
from clavilux.state import places_of, rounded_up

_PROGRAM = 250 << 20  # Python, torch and what else is imported
_SLACK = 128 << 20  # what is mapped of a file, and what lies between tensors
_ACTIVATIONS = 8  # values a position and column, while a window is read in one pass


def memory_bytes(files: JukeboxFiles, seconds: float, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that a render takes at its peak, loading included: of the level that takes most.

    Measured in float32 on a CPU: 4,233 MiB for the first tokens of a 1b_lyrics, where 4,126 are reckoned; with 20 of
    its 72 layers 1,621 (1,619), and 2,147 (2,118) where a whole window is read.

    Args:
        files: the checkpoint.
        seconds: of each piece.
        batch: pieces side by side.
        dtype: as for `clavilux.load`; "auto" is reckoned as on a CPU: loaded in float32, then packed in 16 bits.
    """
    spec = files.spec
    total = math.ceil(seconds * spec.sample_rate / spec.hop(files.top)) * spec.hop(files.top)
    levels = [_level_bytes(sizes, total // sizes.hop, batch, dtype) for sizes in files.sizes.values()]
    sound = 4 * batch * spec.channels * math.ceil(seconds * spec.sample_rate) * 3
    return _PROGRAM + _SLACK + max([*levels, sound])


def cache_bytes(sizes: PriorConfig, tokens: int, batch: int, number: int, captured: bool = False) -> int:
    """Bytes of the keys and values of a window of so many tokens, `number` bytes each number; `captured`: on a GPU."""
    capacity = min(sizes.stack.positions, tokens + sizes.stack.positions - sizes.context)
    if captured:
        capacity = rounded_up(capacity, sizes.stack.positions)
    spec = sizes.spec
    values = sum(places_of(spec, capacity)) * spec.heads * spec.head_dim
    if sizes.encoder is not None:
        values += len(spec.cross_layers) * spec.heads * spec.head_dim * sizes.lyric_tokens
    return 2 * values * batch * number


def _level_bytes(sizes: PriorConfig, tokens: int, batch: int, dtype: str) -> int:
    """Of a level's prior: loading it, making a window's conditions, or reading the window, whichever takes most."""
    loaded = stepped = BYTES[dtype]
    if dtype == "auto" and packing_supported():
        stepped = 2
    number = 4 if dtype in ("auto", "float32") else 2  # of what is computed
    column = batch * sizes.stack.width * number
    given = sizes.context * column  # what is added at each position
    first = sizes.stack.positions - sizes.context  # lyrics before the music
    read = first + (sizes.context if tokens > sizes.context else 0)  # positions that are read in one pass
    captured = number < 4  # else it may be a CPU
    cache = cache_bytes(sizes, min(tokens, sizes.context), batch, min(step_bytes(dtype), max(2, stepped)), captured)
    # A captured step has what is added at each position, to a token and to what the head reads, in its own memory.
    added = 3 * given if captured else given
    running = max(3 * given, added + cache + _ACTIVATIONS * read * column)
    return max(sizes.parameters * loaded, sizes.parameters * stepped + running)
