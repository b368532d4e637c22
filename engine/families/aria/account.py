"""An account of what was read in a prompt: what each phrase was taken for, whether that says which music is meant,
and the known words that are spelled nearly as the unknown ones.

Knows claims and their meanings in words. Does not know how phrases are found in a text (`prompt`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from clavilux.audio.harmony import Key
from clavilux.families.aria.instruments import INSTRUMENTS, fold, words_of
from clavilux.families.aria.lexicon import KINDS, PHRASES, Claim
from clavilux.families.aria.tunes import MARCHES, SESSIONS

if TYPE_CHECKING:
    from clavilux.families.aria.controls import Controls
    from clavilux.families.aria.prompt import ParsedPrompt

_MAX_TAKEN = 50
# Need no word where they do not hold: lengths, of which `form.fit_asked` says why; and what a form is usually like.
_SILENT = ("bars", "length", "ensemble", "span")
_SAME_TEMPO, _SAME_PACE = 1.0, 0.15  # quarters a minute; a share: a tempo is moved a little to fill the time
# What any music has: a number of beats, "16 bars" or "song" beside words that are not known says nothing of them.
_GENERIC_SLOTS = frozenset((
    "tempo", "bars", "length", "metre", "section", "density", "count", "form", "intro", "outro", "ritardando", "drums",
    "alone", "highlight",
))  # fmt: skip
_GENERIC_PHRASES = frozenset((("song",), ("songs",), ("ballad",), ("ballads",)))
_MOST_NEAREST = 5


class Event(NamedTuple):
    """One thing read: kind "claims", "unknown", "unmet" (understood, and cannot be done), "not", "join", "number",
    "break" or "idle" (stop words).
    """

    kind: str
    text: str
    claims: tuple[Claim, ...] = ()
    negated: bool = False


def is_definite(events: list[Event]) -> bool:
    """Whether something says which music is meant: a style, an instrument, a key, a mood, a pace, chords."""
    return any(
        slot not in _GENERIC_SLOTS
        for event in events
        if event.kind == "claims" and not event.negated and words_of(event.text) not in _GENERIC_PHRASES
        for slot, _, _ in event.claims
    )


def account(
    events: list[Event], winners: dict[str, Claim]
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[Claim, ...], ...]]:
    """(words as written and what they mean, in order; the claims of each that hold among the words)"""
    taken: dict[tuple[str, str], tuple[Claim, ...]] = {}
    for event in events:
        if event.kind != "claims" or len(taken) >= _MAX_TAKEN:
            continue
        text = event.text[:60]
        if event.negated:
            taken[(text, f"not wanted: {_meaning(event.claims)}")] = ()
            continue
        holding = tuple(c for c in event.claims if _holds(c, winners))
        if holding:
            taken[(text, _meaning(holding))] = holding
        else:
            taken[(text, f"{_meaning(event.claims)}, but other words say otherwise")] = ()
    return tuple(taken), tuple(taken.values())


@dataclass(frozen=True)
class Settled:
    """How a piece is made, in the end.

    controls: every control; `tempo`, `num_bars` and `seconds` as the piece has them
    given: names of the controls that options gave, or the music that is continued
    """

    controls: Controls
    tempo: float
    num_bars: int
    seconds: float
    given: frozenset[str]


def kept(
    taken: Iterable[tuple[str, str]], claimed: Iterable[tuple[Claim, ...]], settled: Settled
) -> tuple[list[str], list[str]]:
    """(what was taken from the words and holds for the piece, what was read in them and does not hold for it).

    Other words, an option or the music that is continued may say otherwise.
    """
    holds, fails = [], []
    for (text, meaning), claims in zip(taken, claimed, strict=True):
        true = tuple(claim for claim in claims if _is_kept(claim, settled))
        if not claims or len(true) == len(claims):
            holds.append(f"{text} = {meaning}")
            continue
        if true:
            holds.append(f"{text} = {_meaning(true)}")
        broken = tuple(claim for claim in claims if claim not in true and claim[0] not in _SILENT)
        if broken:
            fails.append(f"{text} = {_meaning(broken)} (set otherwise)")
    return holds, fails


def _is_kept(claim: Claim, settled: Settled) -> bool:
    slot, value, _ = claim
    controls, given = settled.controls, settled.given
    if slot == "style":
        if controls.style in MARCHES:
            return value in ("march", *MARCHES)
        return value in (controls.style, KINDS.get(SESSIONS.get(controls.style, "")))
    if slot in ("metre", "density", "section"):
        return getattr(controls, slot) == value
    if slot in ("instruments", "ensemble"):
        return all(_is_played(name, controls) for name in (value if slot == "instruments" else value[1]))
    if slot == "key":
        return value in (controls.key, controls.key.tonic)
    if slot == "mode":
        return controls.key.mode == value
    if slot == "tempo":
        return abs(settled.tempo - value) < _SAME_TEMPO
    if slot == "span":
        return value[0] - _SAME_TEMPO < settled.tempo < value[1] + _SAME_TEMPO
    if slot == "pace":
        return "tempo" not in given and abs(settled.tempo / controls.tempo - 1) < _SAME_PACE
    if slot == "drums":
        return slot in controls.instruments and slot not in given
    if slot == "count":
        return len(controls.instruments) == value
    if slot in ("chords", "form", "intro", "outro", "ritardando"):
        return slot not in given and "sheet" not in given
    return {"bars": settled.num_bars, "length": settled.seconds}.get(slot, value) == value


def _is_played(name: str, controls: Controls) -> bool:
    """Drums that nobody plays are said elsewhere. In a session any guitar is a guitar."""
    near = INSTRUMENTS[name].written_as if controls.style in SESSIONS else None
    return name in ("drums", *controls.instruments) or near in [INSTRUMENTS[n].written_as for n in controls.instruments]


def _holds(claim: Claim, winners: dict[str, Claim]) -> bool:
    slot, value, _ = claim
    if slot == "instruments":
        return True
    held: Any = winners[slot][1] if slot in winners else None
    if slot == "ensemble" and value[0] != winners["style"][1]:
        return False
    return held == value or (slot == "key" and held.tonic == value)


def _is_named(claim: Claim) -> bool:
    return claim[0] not in ("kind", "others")  # the words themselves say it


def _meaning(claims: tuple[Claim, ...]) -> str:
    parts = []
    for slot, value, _ in filter(_is_named, claims):
        if slot == "instruments":
            parts.append(", ".join(dict.fromkeys(value)))
        elif slot == "metre":
            parts.append(f"{value[0]}/{value[1]}")
        elif slot == "span":
            parts.append(f"{value[0]} to {value[1]} quarters a minute")
        elif slot == "tempo":
            parts.append(f"{value:g} quarters a minute")
        elif slot == "key":
            parts.append(str(value) if isinstance(value, Key) else f"key of {str(Key(value, 'major')).split()[0]}")
        elif slot == "ensemble":
            parts.append(f"for {', '.join(value[1])}")
        elif slot == "count":
            parts.append(f"{value} players")
        elif slot == "form":
            parts.append(f"the form {value}")
        elif slot in ("intro", "outro"):
            parts.append(f"an {slot} of {value} bars")
        elif slot == "bars":
            parts.append(f"{value} bars")
        elif slot == "length":
            parts.append(f"{value:g} s")
        elif slot == "highlight":
            parts.append("the band's solo" if value == "solo" else "its loudest sections")
        else:
            said = {
                "mode": f"{value} key", "pace": f"{value} tempo", "drums": f"drums: {value}", "chords": "these chords",
                "ritardando": "slower at the end", "alone": "unaccompanied",
            }  # fmt: skip
            parts.append(said.get(slot, f"{value} {slot}"))
    return ", ".join(parts)


def nearest(words: tuple[str, ...]) -> tuple[str, ...]:
    """Known words that are spelled most like unknown ones, at most five; alike enough to be worth showing."""
    from difflib import SequenceMatcher, get_close_matches

    known = [phrase[0] for phrase, claims in PHRASES.items() if claims and len(phrase) == 1]
    found: dict[str, float] = {}
    for word in map(fold, words[:_MOST_NEAREST]):
        for near in get_close_matches(word, known, n=2, cutoff=0.75):
            found[near] = max(found.get(near, 0.0), SequenceMatcher(None, word, near).ratio())
    return tuple(sorted(found, key=lambda near: (-found[near], near))[:_MOST_NEAREST])


def hints(unknown: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """For words that are one slip away from a known one: that word. Anything less near is not guessed at."""
    from difflib import get_close_matches

    by_initial: dict[str, list[str]] = {}
    for phrase in PHRASES:
        if len(phrase) == 1 and len(phrase[0]) >= 4:
            by_initial.setdefault(phrase[0][0], []).append(phrase[0])
    found_for = []
    for written in unknown:
        word = fold(written)
        if len(word) >= 4 and word.isalpha():
            near = [w for w in by_initial.get(word[0], ()) if abs(len(w) - len(word)) <= 1]
            found = get_close_matches(word, near, n=1, cutoff=0.83)
            found_for += [(written, found[0])] if found else []
    return tuple(found_for)


def unknown_words(parsed: ParsedPrompt) -> list[str]:
    """The words that meant nothing, with the known word that is spelled nearly so; the others counted."""
    near = dict(parsed.hints)
    words = [f"{word} (did you mean {near[word]}?)" if word in near else word for word in parsed.unknown]
    more = parsed.unknown_count - len(parsed.unknown)
    words += [f"and {more} more"] if more > 0 else []
    return words + ([f"{parsed.unread} characters were not read"] if parsed.unread else [])
