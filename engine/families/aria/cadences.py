"""On which chords the parts of a form end, and by which they come there.

Knows parts by their names and bars, keys and chords. Does not know what else a bar holds (`form`), nor how often a kind
of music ends its parts in which way (`usual_forms`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from clavilux.audio.chart import spread
from clavilux.audio.harmony import Chord, Key
from clavilux.families.aria.form_names import FormPart
from clavilux.families.aria.styles import Metre

Placed = tuple[tuple[float, Chord], ...]  # (quarters from the bar's start, chord)
# How a part ends: "open" on the dominant where it is repeated at once, and on the tonic the last time; "home" on the
# tonic and "dominant" on that, each time; "free" as the composer likes.
Close = Literal["open", "home", "dominant", "free"]
_CADENCE_BARS = 4  # of a part whose last bar but one is planned too


def cadence(
    parts: Sequence[FormPart], place: int, number: int, metre: Metre, key: Key, close: Close, seed: str | None
) -> Placed | None:
    """The chords of a bar that ends a part, or leads to its end where there is a `seed`; None where it is free."""
    part = parts[place]
    assert part.bars is not None, "`Form.sections` says how many"
    minor = key.mode == "minor"
    dominant = Chord((key.tonic + 7) % 12, "maj")
    leads_back = _leads_back(parts, part.name)
    last = place + 1 == len(parts)
    if number + 1 == part.bars:
        again = not last and parts[place + 1].name == part.name and part.bars >= _CADENCE_BARS
        if not leads_back and (last or close == "home" or (close == "open" and not again)):
            return ((0.0, key.home),)
        return ((0.0, dominant),) if leads_back or close != "free" else None
    comes_home = close in ("open", "home") or (last and part.name not in [earlier.name for earlier in parts[:place]])
    if seed is None or leads_back or not comes_home or number + 2 < part.bars or part.bars < _CADENCE_BARS:
        return None
    fourth = Chord((key.tonic + 5) % 12, "min" if minor else "maj")
    second = Chord((key.tonic + 2) % 12, "hdim7" if minor else "min")
    before: tuple[Chord, ...] = random.Random(seed).choice(((), (fourth,), (second,)))
    chords = (*before, Chord(dominant.root, "7"))
    return tuple(zip(spread(len(chords), metre), chords, strict=True))


def _leads_back(parts: Sequence[FormPart], name: str) -> bool:
    """Whether a part is a middle one: an earlier part follows its first time, and it does not end the piece."""
    names = [part.name for part in parts]
    first = names.index(name)
    middle = name == "bridge" or len(name) == 1
    return middle and names[-1] != name and names[first + 1] in names[:first]
