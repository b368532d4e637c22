"""From the words of a prompt to what conditions the painter, and an account of it.

Knows a vocabulary, which is an argument, and how words are found in a text of any script; does not know how words
become vectors in a decoder, and imports no torch, so that the command can refuse a prompt before it loads a model.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from clavilux.families.lumia import foreign
from clavilux.families.lumia.places import MARK, Clause, Place, arranged, divided, knows_places
from clavilux.families.lumia.prefix_controls import NUM_COLOURS, NUM_WORDS, PrefixControls
from clavilux.families.lumia.reading import Token, tokens_of
from clavilux.families.lumia.words import COLOURS, STOP_WORDS, plain

ACCEPTS = {"anything": "yes, to paint even where nothing of the prompt is understood"}
MAX_LISTED = 20  # unknown words that are named, of however many there are
_LONGEST = 2000  # characters of a prompt that are read
_LONGEST_PHRASE = 3  # words
_NEAR = 0.8  # how alike words are spelled that one may be meant for the other, 1 is the same
_SHOWN = 60  # characters of a prompt in a sentence about it


@dataclass(frozen=True)
class ParsedPrompt:
    """What a prompt says.

    Attributes:
        controls: as ids.
        taken: (as written, what it is taken for), in order.
        unknown: words that are not known, the first `MAX_LISTED`, with a guess where one is spelled nearly so.
        notes: sentences on what was left out.
    """

    controls: PrefixControls
    taken: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Read(NamedTuple):
    """A phrase as it is written and the English words that it means; `color`: it may be one, if something else is
    there that can have it ("rosa" is a rose, and "elefante rosa" a pink elephant).
    """

    written: str
    words: tuple[str, ...] = ()
    color: str | None = None


def parse_prompt(prompt: str, ids: Mapping[str, int]) -> ParsedPrompt:
    """Read a prompt.

    English comes first; then names of other languages, the longest first. The order of words matters for colours, of
    which the first covers most, and for two things with a place between them, each of which has its own colour; places
    are heard where the painter knows their words (`places`).

    Args:
        prompt: words, in any language that `foreign` knows, or emoji.
        ids: the words that the painter knows -> their ids.
    """
    tokens = _tokens(prompt[:_LONGEST])
    pieces: list[Clause | Place] = divided(tokens) if knows_places(ids) else [tokens]
    reads = [piece if isinstance(piece, Place) else list(_read(piece, ids)) for piece in pieces]
    flat = [read for piece in reads if not isinstance(piece, Place) for read in piece]
    colorful = bool([read for read in flat if set(read.words) - {*COLOURS} and read.color is None])
    meant: dict[str, tuple[str, ...]] = {}
    clauses: list[tuple[str, ...] | Place] = []
    for piece in reads:
        if isinstance(piece, Place):
            meant[piece.written] = (piece.word,)
            clauses.append(piece)
            continue
        said = {each.written: (each.color,) if each.color and colorful else each.words for each in piece}
        meant |= said
        clauses.append(tuple(word for words in said.values() for word in words))
    scene = arranged(clauses)
    words = [word for word in scene.words if word in ids]
    notes = [f"hears one place; left out are {', '.join(scene.left_out)}"] if scene.left_out else []
    if len(words) > NUM_WORDS:
        words, dropped = _shortened(words)
        notes.append(f"hears {NUM_WORDS} words beside colours; left out are {', '.join(dropped)}")
    if len(scene.colors) > NUM_COLOURS:
        more = ", ".join(color for color in scene.colors[NUM_COLOURS:] if color)
        notes.append(f"hears {NUM_COLOURS} colours; left out are {more}")
    if len(prompt) > _LONGEST:
        notes.append(f"reads {_LONGEST} characters; {len(prompt) - _LONGEST} more are left out")
    taken = {written: words for written, words in meant.items() if words and written not in scene.left_out}
    unknown = [written for written, words in meant.items() if not words][:MAX_LISTED]
    colors = tuple(COLOURS.index(color) if color else None for color in scene.colors[:NUM_COLOURS])
    controls = PrefixControls(colors, tuple(ids[word] for word in words))
    accounts = tuple((written, " ".join(words)) for written, words in taken.items())
    return ParsedPrompt(controls, accounts, tuple(_guessed(word, ids) for word in unknown), tuple(notes))


def _shortened(words: list[str]) -> tuple[list[str], list[str]]:
    """(`NUM_WORDS` of the words, those that are left out): the first ones, or of two things with a place between half
    of each.
    """
    at = next((index for index, word in enumerate(words) if word.startswith(MARK)), None)
    if at is None:
        return words[:NUM_WORDS], words[NUM_WORDS:]
    first, place, second = words[:at], words[at : at + 1], words[at + 1 :]
    room = NUM_WORDS - 1
    most = max(room // 2, room - len(second))
    second_most = room - len(first[:most])
    return first[:most] + place + second[:second_most], first[most:] + second[second_most:]


def check_prompt(config: Mapping[str, Any], prompt: str, anything: bool = False) -> None:
    """As `check_understood`, of the words in a checkpoint's config. One without a list of them is refused later."""
    words = config.get("words")
    if isinstance(words, str):
        check_understood(prompt, {word: number for number, word in enumerate(words.split())}, anything)


def check_understood(prompt: str, ids: Mapping[str, int], anything: bool = False) -> ParsedPrompt:
    """What `parse_prompt` reads.

    Something of the prompt must be a thing that the painter knows. A colour alone will do where no other word stands
    beside it; an empty prompt leaves all to the seed.

    Raises:
        ValueError: nothing of that was understood, unless `anything`.
        TypeError: `anything` is neither True nor False.
    """
    if not isinstance(anything, bool):
        raise TypeError(f"anything is {anything!r}; it should be True or False")
    parsed = parse_prompt(prompt, ids)
    things = [word for _, meaning in parsed.taken for word in meaning.split() if word not in COLOURS]
    complete = bool(parsed.taken) and not parsed.unknown
    if not (anything or not prompt.strip() or things or complete):
        raise ValueError(_refusal(prompt, parsed, ids))
    return parsed


def _refusal(prompt: str, parsed: ParsedPrompt, ids: Mapping[str, int]) -> str:
    words = " ".join(prompt.split())
    shown = words if len(words) <= _SHOWN else words[:_SHOWN] + "..."
    only = ", ".join(written for written, _ in parsed.taken[:3])
    near = _nearest([token.folded for token in _tokens(prompt[:_LONGEST])], ids)
    parts = [
        f"not understood: {shown!r} names nothing that the painter knows"
        + (f" (of it only {only} was understood)" if only else ""),
        *([f"known words that are spelled much like it: {', '.join(near)}"] if near else []),
        f"it knows the {len(ids)} English words of emoji's names, such as apple, cat or house, and what emoji are "
        "called in sixteen other languages",
        "anything=True paints a picture all the same",
    ]
    return "; ".join(parts)


def _tokens(text: str) -> list[Token]:
    """The words of a text; where a script puts no spaces between them, those that are known."""
    found: list[Token] = []
    for token in tokens_of(text):
        if not token.unspaced:
            found.append(token)
            continue
        at = 0
        for word in foreign.split_unspaced(token.folded):
            written = token.written[at : at + len(word)] if len(token.written) == len(token.folded) else word
            found.append(Token(written, word, word, unspaced=True))
            at += len(word)
    return found


def _read(tokens: list[Token], ids: Mapping[str, int]) -> Iterator[_Read]:
    """Phrases in order, those that are passed over left out."""
    at = 0
    while at < len(tokens):
        length = _phrase_length(tokens, at)
        if length:
            written = " ".join(token.written for token in tokens[at : at + length])
            yield _Read(written, _known(_name(tokens[at : at + length]), ids))
        elif read := _read_one(tokens, at, ids):
            yield read
        at += max(1, length)


def _phrase_length(tokens: list[Token], at: int) -> int:
    """How many words from `at` on are a name of several words; 0 if none."""
    for length in range(min(_LONGEST_PHRASE, len(tokens) - at), 1, -1):
        if _name(tokens[at : at + length]):
            return length
    return 0


def _name(tokens: list[Token]) -> tuple[str, ...]:
    """What a name, written with all its accents or without, means; () for none."""
    table = foreign.names()
    accented = table.get(" ".join(token.accented for token in tokens))
    return accented or table.get(" ".join(token.folded for token in tokens), ())


def _read_one(tokens: list[Token], at: int, ids: Mapping[str, int]) -> _Read | None:
    """What one word means; None where it is passed over."""
    written, word, accented, _ = tokens[at]
    color, thing = foreign.colors().get(word), foreign.colored_things().get(word)
    english = () if accented in foreign.names() and accented != word else _known((plain(word),), ids)
    if english and word in foreign.ARTICLES and at + 1 < len(tokens):
        following = tokens[at + 1].folded
        if not _known((plain(following),), ids) and (foreign.meaning_of(following) or following in foreign.colors()):
            return None
    if word in STOP_WORDS or (not english and word in foreign.passed_over()):
        return None
    if english:
        return _Read(written, english)
    if color:
        return _Read(written, _known((thing,), ids), color) if thing else _Read(written, (color,))
    if meaning := _known(foreign.meaning_of(accented) or foreign.meaning_of(word), ids):
        return _Read(written, meaning)
    if word.isdigit() or (len(word) == 1 and word.isascii()):
        return None
    return _Read(written)


def _known(words: Iterable[str], ids: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(word for word in words if word in ids or word in COLOURS)


def _guessed(written: str, ids: Mapping[str, int]) -> str:
    near = _nearest([token.folded for token in tokens_of(written)], ids, _NEAR)
    return f"{written} (did you mean {near[0]}?)" if near else written


def _nearest(words: Iterable[str], ids: Mapping[str, int], cutoff: float = 0.7) -> list[str]:
    """Known words of any language that are spelled most like some of the first of `words`; at most four."""
    found: list[str] = []
    for word in [word for word in words if len(word) > 3 and word not in STOP_WORDS][:5]:
        known = [*ids, *COLOURS]
        known += [name for name in foreign.names() if name[0] == word[0] and abs(len(name) - len(word)) < 3]
        found += difflib.get_close_matches(plain(word), known, 1 if word.isascii() else 2, cutoff)
    return list(dict.fromkeys(found))[:4]
