"""How long a piece is: its bars, its tempo and its seconds, of which any two settle the third.

Knows numbers. Does not know what stands in the bars (`form`) or how words are read (`prompt`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clavilux.audio.score import Events, bar_quarters
from clavilux.families.aria.form_names import MOST_BARS
from clavilux.families.aria.literals import LONGEST_S

Metre = tuple[int, int]
FREE_TEMPO_SHARE = 0.25  # how far a tempo that nobody asked for may move so that bars fill the time
_TEMPO_MARGIN = 0.05  # by which a tempo may leave the usual ones so that whole parts fill the time
SLOWEST_FREE, FASTEST_FREE = 36.0, 240.0  # to which a tempo moves that bars and seconds settle
RING_S, RING_SHARE = 1.5, 0.08  # time left for the last chord to ring, where the tempo is free
SLOWED_BARS, SLOWED_TO = 2, 0.66  # of a ritardando: how many bars it has, and its last beat's share of the tempo


@dataclass(frozen=True)
class Asked:
    """What is asked of a piece's length.

    Attributes:
        seconds: of the whole; `open_length` says that nobody gave them.
        before_s: of what comes first, which lasts so long already.
        tempo: quarters a minute; one that is free may move.
        bars: that an option, a sheet or a form says; None for none.
        said_bars: that the words say, which give way to options; None for none.
        said_seconds: likewise.
        fits: whether the form can have so many bars.
        usual: bars where nobody says anything; None for as many as fit the seconds.
        rather: what bars that fill the seconds should be, the most wished for first, where a free tempo that is in
            `tempi` (slowest, fastest) allows it.
        form: what errors call the form.
    """

    seconds: float
    open_length: bool
    tempo: float
    tempo_is_free: bool
    before_s: float = 0.0
    bars: int | None = None
    said_bars: int | None = None
    said_seconds: float | None = None
    fits: Callable[[int], bool] = lambda bars: True
    usual: int | None = None
    rather: tuple[Callable[[int], bool], ...] = ()
    tempi: tuple[float, float] = (SLOWEST_FREE, FASTEST_FREE)
    form: str = "the form"


@dataclass(frozen=True)
class Length:
    """What came of it. `unmet` is what the words ask for and cannot have."""

    seconds: float
    bars: int
    tempo: float
    unmet: tuple[str, ...] = ()


def settle_length(asked: Asked, quarters_of: Callable[[int], float]) -> Length:
    """Seconds, bars and tempo.

    `quarters_of` gives the time of so many bars in quarters at the tempo, a ritardando's slowing counted.

    Raises:
        ValueError: bars, seconds and tempo that options give and that cannot be had together; bars that the form
            cannot have; or more than a piece may last.
    """
    seconds, open_length = asked.seconds, asked.open_length
    unmet: tuple[str, ...] = ()
    if asked.said_seconds is not None and open_length:
        seconds, open_length = asked.said_seconds, False
    elif asked.said_seconds is not None and asked.said_seconds != seconds:
        unmet = (f"{asked.said_seconds:g} s (an option says {seconds:g} s)",)
    bars = asked.bars
    if bars is None and asked.said_bars is not None and not unmet:
        length = _of_words(asked, seconds, open_length, quarters_of)
        if length is not None:
            return length
        room_s = _room(asked, seconds)
        held = max(1, _held(room_s * asked.tempo / 60, quarters_of))
        unmet = (f"{asked.said_bars} bars ({room_s:g} s at {asked.tempo:g} quarters a minute are {held})",)
    if bars is not None and asked.said_bars not in (None, bars):
        unmet = (*unmet, f"{asked.said_bars} bars (an option says {bars})")
    if bars is None and open_length and asked.usual is not None:
        bars = asked.usual
    if bars is not None:
        _check_fits(asked, bars)
        if open_length:
            return Length(_time_of(asked, bars, quarters_of(bars)), bars, asked.tempo, unmet)
        return Length(seconds, bars, _paced(asked, bars, _room(asked, seconds), quarters_of), unmet)
    bars, tempo = _filling(asked, _room(asked, seconds), quarters_of)
    return Length(seconds, bars, tempo, unmet)


def _room(asked: Asked, seconds: float) -> float:
    if asked.before_s < seconds:
        return seconds - asked.before_s
    raise ValueError(
        f"seconds is {seconds:g}, and what is to be continued lasts {asked.before_s:.1f} s already; ask for more"
    )


def _of_words(asked: Asked, seconds: float, open_length: bool, quarters_of: Callable[[int], float]) -> Length | None:
    """The length with the bars that words say; None where options leave no room for so many."""
    bars = asked.said_bars
    assert bars is not None, "the words say so"
    _check_fits(asked, bars)
    if open_length:
        return Length(_time_of(asked, bars, quarters_of(bars)), bars, asked.tempo)
    room_s = _room(asked, seconds)
    try:
        return Length(seconds, bars, _paced(asked, bars, room_s, quarters_of))
    except ValueError:
        return None


def _check_fits(asked: Asked, bars: int) -> None:
    if asked.fits(bars):
        return
    nearest = (_next(asked.fits, bars - 1, -1), _next(asked.fits, bars + 1, 1))
    near = " or ".join(str(n) for n in nearest if n is not None)
    raise ValueError(f"bars is {bars}, which {asked.form} cannot have; the nearest that it can have is {near}")


def _time_of(asked: Asked, bars: int, quarters: float) -> float:
    """Seconds of so many bars and of the last chord's ringing."""
    bars_s = quarters * 60 / asked.tempo
    total = round(asked.before_s + bars_s + min(RING_S, RING_SHARE * bars_s), 2)
    if total > LONGEST_S:
        raise ValueError(f"{bars} bars at {asked.tempo:g} last {bars_s:.0f} s; a piece lasts up to {LONGEST_S:g} s")
    return total


def _paced(asked: Asked, bars: int, room_s: float, quarters_of: Callable[[int], float]) -> float:
    """The tempo at which so many bars fill the time. ValueError where there is none."""
    quarters = quarters_of(bars)
    bars_s = room_s - min(RING_S, RING_SHARE * room_s)
    pace = quarters * 60 / bars_s if room_s > 0 else 0.0
    if asked.tempo_is_free and SLOWEST_FREE <= pace <= FASTEST_FREE:
        return _plain(pace, bars_s, room_s)
    if quarters <= room_s * asked.tempo / 60 + 1e-6 and quarters_of(bars + 1) > room_s * asked.tempo / 60 + 1e-6:
        return asked.tempo
    given = f"{bars} bars in {room_s:g} s"
    if asked.tempo_is_free:
        raise ValueError(
            f"{given} would be {pace:.0f} quarters a minute; a tempo that is not asked for is {SLOWEST_FREE:g} to "
            f"{FASTEST_FREE:g}: leave out the seconds or ask for other bars"
        )
    raise ValueError(
        f"{given} at {asked.tempo:g} quarters a minute cannot be: they last {quarters * 60 / asked.tempo:.4g} s; "
        "leave out one of the three"
    )


def _held(quarters: float, quarters_of: Callable[[int], float]) -> int:
    """The most bars that last at most so many quarters."""
    bars = int(quarters / quarters_of(1) + 1e-6) + 1
    while bars > 0 and quarters_of(bars) > quarters + 1e-6:
        bars -= 1
    return bars


def _filling(asked: Asked, room_s: float, quarters_of: Callable[[int], float]) -> tuple[int, float]:
    """(bars, tempo) that fill the time: an asked tempo stands, and the bars are as many as fit; a free one moves a
    little, so that the bars end shortly before the piece does.
    """
    longest = _held(room_s * asked.tempo / 60, quarters_of)
    wanted = max(1, longest)
    if asked.tempo_is_free:
        bars_s = room_s - min(RING_S, RING_SHARE * room_s)
        target = _held(bars_s * asked.tempo / 60, quarters_of)

        def nearest(fits: Callable[[int], bool]) -> tuple[int, float]:
            """(bars, tempo) next to the target."""
            found = [n for n in (_next(fits, target, -1), _next(fits, target + 1, 1)) if n is not None]
            return min(
                ((n, quarters_of(n) * 60 / bars_s) for n in found), key=lambda pair: abs(pair[1] / asked.tempo - 1)
            )

        slowest, fastest = asked.tempi[0] * (1 - _TEMPO_MARGIN), asked.tempi[1] * (1 + _TEMPO_MARGIN)
        for wished in asked.rather:
            bars, pace = nearest(wished)
            if slowest <= pace <= fastest and asked.fits(bars):
                return bars, _plain(pace, bars_s, room_s)
        bars, pace = nearest(asked.fits)
        near = abs(pace / asked.tempo - 1) <= FREE_TEMPO_SHARE and 20 <= pace <= 300
        if near or (not asked.fits(wanted) and SLOWEST_FREE <= pace <= FASTEST_FREE):
            return bars, _plain(pace, bars_s, room_s)
    held = _next(asked.fits, wanted, -1)
    if held is not None:
        return held, asked.tempo
    raise ValueError(
        f"{asked.form} has {_next(asked.fits, wanted, 1)} bars or more, and {room_s:g} s at {asked.tempo:g} quarters a "
        f"minute have room for {longest}; ask for more seconds or another tempo"
    )


def _next(fits: Callable[[int], bool], bars: int, step: int) -> int | None:
    """The first number of bars, from `bars` on up or down, that fits."""
    most = max(MOST_BARS, bars)
    while 1 <= bars <= most:
        if fits(bars):
            return bars
        bars += step
    return None


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


def slowing(metres: Sequence[Metre]) -> list[tuple[float, float, float]]:
    """The beats of a ritardando over the last bars: (quarters from the start, length in quarters, share of the tempo).

    Every beat is slower than the one before by as much, the last is `SLOWED_TO` of the tempo.
    """
    slowed = list(metres[-SLOWED_BARS:])
    at = sum(bar_quarters(metre) for metre in metres[:-SLOWED_BARS])
    beats: list[tuple[float, float]] = []
    for beats_of, unit in slowed:
        compound = unit == 8 and beats_of % 3 == 0 and beats_of > 3
        length, count = (1.5, beats_of // 3) if compound else (4 / unit, beats_of)
        for _ in range(count):
            beats.append((at, length))
            at += length
    step = (1 - SLOWED_TO) / len(beats)
    return [(start, length, round(1 - step * (i + 1), 6)) for i, (start, length) in enumerate(beats)]


def quarters_slowed(metres: Sequence[Metre], ritardando: bool) -> float:
    """How many quarters at the tempo the bars last."""
    quarters = sum(bar_quarters(metre) for metre in metres)
    return quarters + (sum(length * (1 / share - 1) for _, length, share in slowing(metres)) if ritardando else 0.0)


def tempos_of(metres: Sequence[Metre], tempo: float, ritardando: bool) -> Events[float]:
    """(quarter, quarters a minute) at each change."""
    if not ritardando:
        return ((0.0, tempo),)
    beats = [(start, round(tempo * share, 3)) for start, _, share in slowing(metres)]
    return (*(((0.0, tempo),) if beats[0][0] > 0 else ()), *beats)
