"""Words that mean something else beside a band: "trio", "ballad", "guitar solo", and who plays a march.

Knows what was read (`Event`), and turns its claims. Does not know how phrases are found (`prompt`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clavilux.audio.arranging.library import band_names, load_band
from clavilux.families.aria.account import Event
from clavilux.families.aria.instruments import ENSEMBLES, words_of
from clavilux.families.aria.lexicon import FORM, GENRE, WORD, Claim, Phrase
from clavilux.families.aria.styles import STYLES
from clavilux.families.aria.tunes import MARCHING_BAND

_BALLAD, _BALLAD_TEMPI = "ballad", (58, 78)
_SOLO = ("solo", "solos")
_COUNTED: dict[Phrase, int] = {
    ("piano", "trio"): 3,
    ("piano", "quartet"): 4,
    ("piano", "quintet"): 5,
}  # of a violin elsewhere
_BRASS_BANDS = frozenset(map(words_of, ENSEMBLES["brass band"][0]))
_WIND_BANDS = frozenset(map(words_of, ENSEMBLES["military band"][0]))
_NO_BRASS = ("clarinet", "piccolo")  # of a marching band's players


def beside_bands(events: Sequence[Event], given: str | None = None) -> list[Event]:
    """The events with what they mean beside a style that a band plays, or as a march; others as they are.

    A style word makes "ballad" a slow tempo and a "piano trio" one of piano, bass and drums. The "guitar solo" of a
    band with drums is its guitarist's and not a guitar alone: "solo guitar" and "for guitar solo" are. A march for a
    brass, wind or military band is a marching band's. `given` is the style that an option says.
    """
    other = _other_style(events) if given is None else given not in (_BALLAD, *STYLES)
    events = [_ballad(event) for event in events] if other else list(events)
    style = given or _style(events)
    marches = style in ("march", MARCHING_BAND) and given != "march"
    if marches and not any(slot == "kind" for slot, _, _ in _claims(events)):
        return _march(events)
    if style is None or style in STYLES:
        return events
    events = [_counted(event) for event in events]
    if not any(part.kind == "drums" for part in load_band(style).parts):
        return events
    return [_led(event) if _leads(events, place) else event for place, event in enumerate(events)]


def _claims(events: Sequence[Event]) -> Iterator[Claim]:
    return (claim for event in events if event.kind == "claims" and not event.negated for claim in event.claims)


def _style(events: Sequence[Event]) -> str | None:
    """The style that holds: of the highest rank, the last."""
    claims = [(rank, place, value) for place, (slot, value, rank) in enumerate(_claims(events)) if slot == "style"]
    return max(claims)[2] if claims else None


def _other_style(events: Sequence[Event]) -> bool:
    bands = band_names()
    return any(slot == "style" and value != _BALLAD and value in bands for slot, value, _ in _claims(events))


def _ballad(event: Event) -> Event:
    if event.negated or words_of(event.text) not in ((_BALLAD,), ("ballads",)):
        return event
    return event._replace(claims=(("span", _BALLAD_TEMPI, FORM),))


def _counted(event: Event) -> Event:
    count = _COUNTED.get(words_of(event.text))
    if count is None or event.negated:
        return event
    return event._replace(claims=(("instruments", ("piano",), WORD), ("count", count, WORD)))


def _leads(events: Sequence[Event], place: int) -> bool:
    """Whether a "solo" is that of the instrument, or the style, before it."""
    event = events[place]
    if event.kind != "claims" or event.negated or event.text.lower() not in _SOLO:
        return False
    if place + 1 < len(events) and _names(events[place + 1], "instruments"):
        return False
    before = [at for at in range(place) if events[at].kind not in ("idle", "join")]
    if not before or not (_names(events[before[-1]], "instruments") or _names(events[before[-1]], "style")):
        return False
    at = before[-1]
    return not (at and _names(events[at], "instruments") and events[at - 1].text.lower() in ("for", "für", "pour"))


def _names(event: Event, slot: str) -> bool:
    return event.kind == "claims" and not event.negated and any(each == slot for each, _, _ in event.claims)


def _led(event: Event) -> Event:
    return event._replace(claims=(("highlight", "solo", WORD),))


def _march(events: Sequence[Event]) -> list[Event]:
    """The march of a brass, wind or military band; of others as it is."""
    own = [words_of(event.text) in (_BRASS_BANDS | _WIND_BANDS) and not event.negated for event in events]
    if not any(own):
        return list(events)
    style = ("style", MARCHING_BAND, GENRE)
    found = []
    for event, is_band in zip(events, own, strict=True):
        if is_band:
            brass = words_of(event.text) in _BRASS_BANDS - {("marching", "band")}
            event = event._replace(claims=(style, ("others", _NO_BRASS, WORD)) if brass else (style,))
        elif _names(event, "style"):
            claims = tuple(style if (slot, value) == ("style", "march") else (slot, value, rank)
                           for slot, value, rank in event.claims if slot != "ensemble")  # fmt: skip
            event = event._replace(claims=claims)
        found.append(event)
    return found
