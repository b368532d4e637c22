"""The form of a piece: how many bars, what part of the piece each is, and which chords were asked for.

Knows bars and time. Does not know tokens (`grammar`) or words (`prompt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clavilux.audio.chart import spread
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.literals import LONGEST_S
from clavilux.families.aria.prompt import ParsedPrompt

FREE_TEMPO_SHARE = 0.25  # how far a tempo that nobody asked for may move so that bars fill the time
SLOWEST_FREE, FASTEST_FREE = 36.0, 240.0  # to which a tempo moves that bars and seconds settle
RING_S, RING_SHARE = 1.5, 0.08  # time left for the last chord to ring, where the tempo is free


@dataclass(frozen=True)
class Bar:
    """One bar to write: its metre, its section, and its chords as (quarters from the bar's start, chord), the
    first at 0; None lets the model choose them. A bar that `rests` has no notes; one that `returns` has those of the
    earlier bar of that index.
    """

    metre: tuple[int, int]
    section: str
    chords: tuple[tuple[float, Chord], ...] | None = None
    rests: bool = False
    returns: int | None = None


def sections_of(num_bars: int, *, opens: bool = True, closes: bool = True) -> list[str]:
    """Where each bar stands in a piece: four bars of opening, three of closing, the last."""
    names = ["opening" if opens and i < 4 else "middle" for i in range(num_bars)]
    if closes:
        for back in range(2, min(4, num_bars) + 1):
            names[-back] = "closing"
        names[-1:] = ["last"]
    return names


def fit_bars(seconds: float, metre: tuple[int, int], tempo: float, *, tempo_is_free: bool) -> tuple[int, float]:
    """(number of bars, tempo) for a piece of `seconds`.

    An asked tempo stands, and the bars are as many as fit; a free one moves a little, so that the bars end
    shortly before the piece does.
    """
    bar_s = bar_quarters(metre) * 60 / tempo
    if tempo_is_free:
        room_s = seconds - min(RING_S, RING_SHARE * seconds)
        below = max(1, int(room_s / bar_s))
        pace = {bars: bar_quarters(metre) * 60 * bars / room_s for bars in (below, below + 1)}
        num_bars = min(pace, key=lambda bars: abs(pace[bars] / tempo - 1))
        if abs(pace[num_bars] / tempo - 1) <= FREE_TEMPO_SHARE and 20 <= pace[num_bars] <= 300:
            return num_bars, _plain(pace[num_bars], room_s, seconds)
    return max(1, int(seconds / bar_s + 1e-6)), tempo


def _plain(pace: float, bars_s: float, seconds: float) -> float:
    """The tempo with the fewest decimals, near `pace`, at which bars that last `bars_s` at it still fill the time:
    52 rather than 51.89. They may end 0.1 s earlier, or take half of the time in which the last chord rings.
    """
    earliest, latest = bars_s - 0.1, (bars_s + seconds) / 2
    for digits in (0, 1):
        step = 10.0**-digits
        near = round(pace, digits)
        for tempo in (near, round(near + (step if near < pace else -step), digits)):
            if tempo > 0 and earliest <= bars_s * pace / tempo <= latest:
                return tempo
    return round(pace, 2)


def fit_asked(
    parsed: ParsedPrompt,
    seconds: float,
    metre: tuple[int, int],
    tempo: float,
    *,
    before_s: float,
    open_length: bool,
    tempo_is_free: bool,
) -> tuple[float, int | None, float, tuple[str, ...]]:
    """(seconds, number of bars if it is settled, tempo, what cannot be done) for a length that words ask for.

    `seconds` count from the beginning of what is given before, which lasts `before_s`; bars count from its end. Where
    nobody gave a length (`open_length`) the words settle it; where one was given a free tempo moves until the bars
    fill it.

    Raises:
        ValueError: the bars would last longer than a piece may.
    """
    if parsed.length is not None and open_length:
        seconds, open_length = parsed.length, False
    elif parsed.length is not None and parsed.length != seconds:
        return seconds, None, tempo, (f"{parsed.length:g} s (an option says {seconds:g} s)",)
    if parsed.bars is None:
        return seconds, None, tempo, ()
    quarters = parsed.bars * bar_quarters(metre)
    if open_length:
        bars_s = quarters * 60 / tempo
        total = round(before_s + bars_s + min(RING_S, RING_SHARE * bars_s), 2)
        if total > LONGEST_S:
            raise ValueError(
                f"{parsed.bars} bars at {tempo:g} last {bars_s:.0f} s; a piece lasts up to {LONGEST_S:g} s"
            )
        return total, parsed.bars, tempo, ()
    room_s = seconds - before_s
    bars_s = room_s - min(RING_S, RING_SHARE * room_s)
    pace = quarters * 60 / bars_s if room_s > 0 else 0.0
    if tempo_is_free and SLOWEST_FREE <= pace <= FASTEST_FREE:
        return seconds, parsed.bars, _plain(pace, bars_s, room_s), ()
    held = max(1, int(room_s * tempo / 60 / bar_quarters(metre) + 1e-6))
    if held == parsed.bars:
        return seconds, held, tempo, ()
    return seconds, None, tempo, (f"{parsed.bars} bars ({room_s:g} s at {tempo:g} quarters a minute are {held})",)


def plan_bars(
    num_bars: int,
    metre: tuple[int, int],
    *,
    section: str = "whole",
    chords: Sequence[Sequence[Chord]] | None = None,
    key: Key | None = None,
    continues: bool = False,
) -> list[Bar]:
    """The bars of a piece. Asked `chords` (a list a bar) come round again until the end; without them, a
    piece that closes ends on its tonic. Raises ValueError for more chords in a bar than it has half-beats.
    """
    opens = section in ("whole", "opening") and not continues
    closes = section in ("whole", "closing")
    names = sections_of(num_bars, opens=opens, closes=closes)
    bars = []
    for index, name in enumerate(names):
        asked = None
        if chords is not None:
            bar = chords[index % len(chords)]  # one without chords is the model's own
            asked = tuple(zip(spread(len(bar), metre), bar, strict=True)) or None
        elif name == "last" and key is not None:
            asked = ((0.0, Chord(key.tonic, "maj" if key.mode == "major" else "min")),)
        bars.append(Bar(metre, name, asked))
    return bars
