"""Reading a prompt: from free words to what they say about style, instruments, key, tempo, metre and the
rest.

Knows how phrases are found in a text, how "no" turns them round and which of two claims wins. Does not know
what is played when nothing was asked (`controls`). Every word that was not understood is handed back, none
is guessed at.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from clavilux.audio.harmony import Key
from clavilux.families.aria.account import Event, account, hints, is_definite
from clavilux.families.aria.beside_bands import beside_bands
from clavilux.families.aria.instruments import MAX_INSTRUMENTS, NO_DRUMS, NUMBERS, fold
from clavilux.families.aria.lexicon import (
    BREAKS,
    COMPOSER,
    EXACT,
    JOINS,
    LONGEST,
    NEGATIONS,
    PHRASES,
    STOP_WORDS,
    STRANGE,
    Claim,
)
from clavilux.families.aria.literals import exact_spans
from clavilux.families.aria.styles import STYLES

MAX_READ = 20_000  # characters; what follows is counted, not read
MAX_LISTED = 20  # unknown words that are kept by name, of however many there are

_TOKEN = re.compile(r"\b[^\W_]&[^\W_]\b|[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")  # "r&b" is a word


@dataclass(frozen=True)
class ParsedPrompt:
    """What a prompt says. None, or an empty tuple, where it says nothing.

    `instruments` are names out of `INSTRUMENTS`, at most `MAX_INSTRUMENTS`; where none is named, or a band
    plays, `players` is their number ("trio"); `ensemble` is what a composer or a form is usually played on. `tempo` is
    exact, in quarters a minute; `pace` is one of `PACES`, relative to the style; `span` is a form's usual tempi (a
    jig's, a sarabande's), slowest and fastest. `chords` is text for `read_chart`. `avoid` are
    (slot, value) that were refused: ("instrument", "drums"). `taken` are (words as written, what they mean),
    in order; where two contradict each other both stand here, and the later one holds. `claimed` are the claims
    of each that hold among the words. `unknown` are the
    first `MAX_LISTED` different words that were not understood, of `unknown_count` in all; `hints` are
    (unknown word, known word that is spelled nearly so). `unmet` are sentences' parts on what was understood
    and cannot be done. `blank` is a prompt with nothing in it; `definite` one that says which music is meant.
    `bars` and `length` are how long the piece is to be, in bars or in seconds; `form` is text for `read_form`, `intro`
    and `outro` are bars, `ritardando` slows down at the end. `kind` is what music is named ("jig"), as the lexicon's
    forms are. `alone`: nobody accompanies. `drums` is how a band's are played, one of `DRUM_SETS`. `highlight` are
    the sections of a band's form that come first where there is no room for all: "solo" or "loud". `unread` is the
    number of characters beyond `MAX_READ`.
    """

    style: str | None = None
    instruments: tuple[str, ...] = ()
    players: int | None = None
    ensemble: tuple[str, ...] = ()
    key: Key | None = None
    mode: str | None = None
    tempo: float | None = None
    pace: str | None = None
    span: tuple[float, float] | None = None
    metre: tuple[int, int] | None = None
    density: str | None = None
    section: str | None = None
    chords: str | None = None
    avoid: tuple[tuple[str, object], ...] = ()
    taken: tuple[tuple[str, str], ...] = ()
    claimed: tuple[tuple[Claim, ...], ...] = ()
    unknown: tuple[str, ...] = ()
    unknown_count: int = 0
    hints: tuple[tuple[str, str], ...] = ()
    unmet: tuple[str, ...] = ()
    blank: bool = True
    definite: bool = False
    bars: int | None = None
    length: float | None = None
    kind: str | None = None
    unread: int = 0
    form: str | None = None
    intro: int | None = None
    outro: int | None = None
    ritardando: bool = False
    drums: str | None = None
    alone: bool = False
    highlight: str | None = None


def parse_prompt(prompt: str, style: str | None = None) -> ParsedPrompt:
    """Read a prompt in any words. Never fails on a string: what it cannot read it lists.

    Rules: the longest known phrase wins ("church organ" over "organ"), whatever its case, accents or
    plural. Of two claims on one thing the more definite wins ("Bach chorale" is a chorale, "sad … at 120
    bpm" is 120), then the later. "no", "not" and "without" refuse what follows, as far as the next comma,
    and everything that "and" or "or" adds to it. A number of beats a minute is taken as quarters a minute.
    `style` is one that an option gives: words mean what they mean beside it.
    Raises TypeError if `prompt` is not a string.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"the prompt must be a string, not {type(prompt).__name__}")
    read = _negate(_read(unicodedata.normalize("NFC", prompt[:MAX_READ])))
    events = [_without_drums(event) for event in beside_bands(read, style)]
    winners = _winners(events)
    positive = [e for e in events if e.kind == "claims" and not e.negated]
    avoid = tuple(dict.fromkeys(pair for e in events if e.negated for pair in _refused(e)))
    values = {slot: claim[1] for slot, claim in winners.items()}
    avoid += tuple(("instrument", name) for name in values.get("others", ()))
    held = style or values.get("style")
    has_band = held is not None and held not in STYLES
    names = _instruments(positive, None if has_band else values.get("count"), avoid)
    scored_style, scored_for = values.get("ensemble", (None, ()))
    unknown = dict.fromkeys(e.text[:40] for e in events if e.kind in ("unknown", "not"))
    unmet = dict.fromkeys(e.text for e in events if e.kind == "unmet")
    for name in dict.fromkeys(names[MAX_INSTRUMENTS:]):
        unmet[f"{name} (more than {MAX_INSTRUMENTS} players)"] = None
    listed = tuple(unknown)[:MAX_LISTED]
    taken, claimed = account(events, winners)
    return ParsedPrompt(
        style=values.get("style"),
        instruments=names[:MAX_INSTRUMENTS],
        players=None if names and not has_band else values.get("count") or (1 if values.get("alone") else None),
        ensemble=scored_for if scored_style == values.get("style") else (),
        key=values.get("key"),
        mode=values.get("mode"),
        tempo=values.get("tempo"),
        pace=values.get("pace"),
        span=values.get("span"),
        metre=values.get("metre"),
        density=values.get("density"),
        section=values.get("section"),
        chords=values.get("chords"),
        avoid=avoid,
        taken=taken,
        claimed=claimed,
        unknown=listed,
        unknown_count=len(unknown),
        hints=hints(listed),
        unmet=tuple(unmet)[:MAX_LISTED],
        blank=not events,
        definite=is_definite(events),
        bars=values.get("bars"),
        length=values.get("length"),
        kind=values.get("kind"),
        unread=max(0, len(prompt) - MAX_READ),
        form=values.get("form"),
        intro=values.get("intro"),
        outro=values.get("outro"),
        ritardando=bool(values.get("ritardando")),
        drums=values.get("drums"),
        alone=bool(values.get("alone")),
        highlight=values.get("highlight"),
    )


# From text to events.


def _read(text: str) -> list[Event]:
    events: list[Event] = []
    end = 0
    for span in exact_spans(text):
        events += _read_words(text[end : span.start])
        written = " ".join(text[span.start : span.end].split())
        if span.claims:
            events.append(Event("claims", written, span.claims))
        if span.reason:
            events.append(Event("unmet", f"{written[:60]} ({span.reason})"))
        end = span.end
    return events + _read_words(text[end:])


def _read_words(text: str) -> list[Event]:
    tokens = [m for m in _TOKEN.finditer(text) if m[0] not in "-‐'’" and not _invisible(m[0])]
    words = [_word(m[0]) for m in tokens]
    events: list[Event] = []
    i = 0
    while i < len(tokens):
        length, claims = _longest_phrase(words, i)
        if length:
            strange = tuple(words[i : i + length]) in STRANGE
            kind = "claims" if claims else "unknown" if strange else "idle"
            events.append(Event(kind, text[tokens[i].start() : tokens[i + length - 1].end()], claims))
            i += length
            continue
        events.append(Event(_kind(words, i), tokens[i][0]))
        i += 1
    return events


def _invisible(token: str) -> bool:
    return len(token) == 1 and unicodedata.category(token)[0] in "CMZ"


@lru_cache(4096)
def _word(token: str) -> str | None:
    """A token as the tables know it; None for punctuation, which no phrase crosses."""
    if token == "&":
        return "and"
    if token.isascii() and not token.isalnum() and len(token) == 1:
        return None
    return fold(token).replace("’", "'")


def _longest_phrase(words: list[str | None], i: int) -> tuple[int, tuple[Claim, ...]]:
    """How many words from `i` on make the longest known phrase (0 if none does) and what it claims."""
    for first in _stems(words[i]):
        for length in range(min(LONGEST.get(first, 0), len(words) - i), 0, -1):
            rest = [word for word in words[i + 1 : i + length] if word is not None]
            if len(rest) < length - 1:
                continue
            for last in _stems(rest[-1]) if rest else ("",):
                phrase = (first, *rest[:-1], last) if rest else (first,)
                if phrase in PHRASES:
                    return length, PHRASES[phrase]
    return 0, ()


@lru_cache(4096)
def _stems(word: str | None) -> tuple[str, ...]:
    """A word, and what may stand in the tables for it: without a possessive, a plural, an adverb's ending."""
    if word is None:
        return ()
    stems = [word]
    if word.endswith("'s"):
        stems.append(word[:-2])
    if len(word) > 4 and word not in STOP_WORDS:
        for ending, instead in (("ies", "y"), ("es", ""), ("s", ""), ("ily", "y"), ("ly", "")):
            if word.endswith(ending):
                stems.append(word[: -len(ending)] + instead)
    return tuple(stems)


def _kind(words: list[str | None], i: int) -> str:
    word = words[i]
    if word is None:
        return "break"
    if word in NEGATIONS:
        after = next((w for w in words[i + 1 : i + 3] if w), "")
        return "idle" if after[:1].isdigit() else "not"  # "Sonata no. 5"
    if word in JOINS:
        return "join"
    if word in BREAKS:
        return "break"
    if word in NUMBERS:
        return "number"
    if word in STOP_WORDS or word.isdigit() or unicodedata.category(word[0])[0] == "P":
        return "idle"
    return "unknown"


def _negate(events: list[Event]) -> list[Event]:
    """Mark what a "no" refuses; the "no" itself goes, unless it refused nothing. Numbers become counts."""
    out: list[Event] = []
    pending: int | None = None  # where in `out` the last "not" stands that has refused nothing yet
    after_refusal = False
    steps, count = 0, 1
    for event in events:
        if event.kind == "not":
            pending, steps = len(out), 0
        elif event.kind == "break":
            pending, after_refusal, count = None, False, 1
        elif event.kind == "unknown":
            steps += 1
            after_refusal = False
        elif event.kind == "claims":
            joined = after_refusal and out and out[-1].kind == "join"
            if (pending is not None and steps <= 2) or joined:
                event = Event("claims", event.text, event.claims, negated=True)
                if pending is not None:
                    out[pending] = Event("idle", "")
            elif count > 1 and event.claims and event.claims[0][0] == "instruments":
                event = _times(event, count)
            pending, after_refusal = None, event.negated
        elif event.kind == "idle" and out and out[-1].kind == "join":
            continue  # "no drums or any piano"
        count = NUMBERS[fold(event.text)] if event.kind == "number" else 1
        out.append(event)
    return out


def _without_drums(event: Event) -> Event:
    """Drums that are asked for are not written: no score that the composer has read is for drums."""
    if event.kind == "claims" and not event.negated and any(value == ("drums",) for _, value, _ in event.claims):
        return Event("unmet", f"{event.text[:60]} ({NO_DRUMS})")
    return event


def _times(event: Event, count: int) -> Event:
    """As in "two violins": an instrument's claim, `count` times over."""
    (slot, names, rank), *others = event.claims
    if names == ("drums",):
        return event
    return Event("claims", f"{count} {event.text}", ((slot, names * count, rank), *others))


# From events to meaning.


def _winners(events: list[Event]) -> dict[str, Claim]:
    """The claim that holds for every slot but the instruments, which add up: the highest rank, then the
    latest.
    """
    winners: dict[str, Claim] = {}
    for event in events:
        if event.kind != "claims":
            continue
        for claim in _turned(event) if event.negated else event.claims:
            held = winners.get(claim[0])
            if claim[0] != "instruments" and (held is None or claim[2] >= held[2]):
                winners[claim[0]] = claim
    return _settled(winners)


def _settled(winners: dict[str, Claim]) -> dict[str, Claim]:
    """A key settles the mode, the mode completes a tonic, and a number of beats settles every word on
    tempo.
    """
    if "key" in winners:
        key = winners["key"][1]
        if not isinstance(key, Key):
            key = Key(key, winners["mode"][1] if "mode" in winners else "major")
        winners["key"] = ("key", key, EXACT)
        winners["mode"] = ("mode", key.mode, EXACT)
    if "tempo" in winners:
        winners.pop("pace", None)
        winners.pop("span", None)
    return winners


def _turned(event: Event) -> list[Claim]:
    """What a refused phrase asks for instead: the other mode, a moderate tempo."""
    claims: list[Claim] = []
    for slot, value, rank in event.claims:
        if slot == "mode":
            claims.append((slot, "minor" if value == "major" else "major", rank))
        elif slot == "pace":
            claims.append((slot, "moderate", rank))
    return claims


def _refused(event: Event) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for slot, value, rank in event.claims:
        if slot == "instruments":
            pairs += [("instrument", name) for name in value]
        elif slot in ("metre", "density", "key", "section", "tempo", "chords") or (
            slot == "style" and rank >= COMPOSER
        ):
            pairs.append((slot, value))
    return pairs


def _instruments(events: list[Event], count: int | None, avoid: tuple[tuple[str, object], ...]) -> tuple[str, ...]:
    named = [name for e in events for slot, names, _ in e.claims if slot == "instruments" for name in names]
    names = [name for name in named if ("instrument", name) not in avoid]
    if count and len(set(names)) == 1:
        names = names[:1] * count
    return tuple(names)
