"""Places in a prompt: "on the left", "left of", "above", "under", "on"; and how they are written in a vocabulary.

A mark stands before each such word in the vocabulary, since "left", "top" and "flat" are in names of emoji as well
("top hat"). A checkpoint whose words hold none of them reads prompts without places. Knows English phrases; no ids, no
pictures, and not what things are.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from clavilux.families.lumia.reading import Token
from clavilux.families.lumia.words import COLOURS, split_colours

MARK = "@"
SIDES = ("left", "right", "top", "bottom")  # of the picture, for one thing
RELATIONS = ("left", "right", "above", "under", "on")  # of the first of two things to the second
SMALL = "small"
STYLES = ("shaded", "blob", "glossy", "flat", "outlined", "clipart", "plain")  # the hands that drew the pictures
MARKED = tuple(MARK + word for word in dict.fromkeys((*SIDES, *RELATIONS, SMALL, *STYLES)))
AS_RELATION = {"left": "left", "right": "right", "top": "above", "bottom": "under"}  # of a thing with another beside it
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}

_BEFORE_SIDE = frozenset(("on", "at", "in", "to"))
_BETWEEN = {
    "above": "above", "over": "above", "under": "under", "below": "under", "beneath": "under", "underneath": "under",
    "on": "on", "atop": "on", "onto": "on",
}  # fmt: skip
_CONJUNCTIONS = frozenset(("and", "und", "et", "y", "e", "och", "en", "и", "і", "ve"))


@dataclass(frozen=True)
class Place:
    """A phrase of a prompt that says where something is.

    Attributes:
        written: the phrase.
        word: one of `SIDES` or `RELATIONS`.
        between: whether it stands between two things, and says how the first lies to the second.
    """

    written: str
    word: str
    between: bool


@dataclass(frozen=True)
class Said:
    """What the painter is told.

    Attributes:
        words: of all things, each once; of two with a place between them the mark of that stands between theirs, of one
            its side stands at the end.
        colors: of one thing in order; of two things that of each, None for one without.
        left_out: places that it is not told, as they are written.
    """

    words: tuple[str, ...]
    colors: tuple[str | None, ...]
    left_out: tuple[str, ...] = ()


Clause = list[Token]


def knows_places(words: Container[str]) -> bool:
    """Whether a vocabulary has the words for places."""
    return all(MARK + word in words for word in (*SIDES, *RELATIONS))


def divided(tokens: Sequence[Token]) -> list[Clause | Place]:
    """A prompt's words as clauses and the places between, before or after them.

    "and" between two clauses ends the first. "top" and the like are places only where they are said to be ones: "on
    the left", "left of", or as the last word; a "left arrow" and a "top hat" are things.
    """
    found: list[Clause | Place] = []
    clause: Clause = []
    at = 0
    while at < len(tokens):
        length, place = _place_at(tokens, at)
        if place or tokens[at].folded in _CONJUNCTIONS:
            found += [clause] * bool(clause)
            found += [place] if place else []
            clause = []
        else:
            clause.append(tokens[at])
        at += max(1, length)
    return found + [clause] * bool(clause)


def _place_at(tokens: Sequence[Token], at: int) -> tuple[int, Place | None]:
    """How many words a place takes that begins there, and the place; (0, None) for none."""
    words = [token.folded for token in tokens[at : at + 7]]
    begin = 0
    if words[0] in _BEFORE_SIDE:
        begin = 2 if words[1:2] == ["the"] else 1
    side = words[begin] if begin < len(words) else ""
    if side in SIDES:
        end = begin + 1
        if begin and words[end : end + 1] in (["side"], ["corner"]):
            end += 1
        whole = words[end : end + 3] in (["of", "the", "picture"], ["of", "the", "image"])
        end += 3 * whole
        last = at + end == len(tokens)
        of = words[end : end + 1] == ["of"]
        # "rabbit in the top hat" has no place, and neither has "left arrow".
        if of and (begin or side in ("left", "right")):
            word = "on" if side == "top" and words[:1] == ["on"] else AS_RELATION[side]
            return end + 1, Place(_written(tokens, at, end + 1), word, True)
        said = whole or begin and (last or _ends(words[end : end + 1]) or (words[1] == "the" and words[0] != "in"))
        if said or (last and at > 0):
            return end, Place(_written(tokens, at, end), side, False)
    if words[0] in _BETWEEN and 0 < at < len(tokens) - 1:
        return 1, Place(tokens[at].written, _BETWEEN[words[0]], True)
    return 0, None


def _ends(following: list[str]) -> bool:
    """Whether what follows a side begins another clause."""
    return bool(following) and following[0] in _CONJUNCTIONS


def _written(tokens: Sequence[Token], at: int, length: int) -> str:
    return " ".join(token.written for token in tokens[at : at + length])


def arranged(clauses: Sequence[tuple[str, ...] | Place]) -> Said:
    """What is said by words, clause by clause, and the places among them."""
    pieces = _with_things(clauses)
    things = {index: piece for index, piece in enumerate(pieces) if not isinstance(piece, Place)}
    places = {index: piece for index, piece in enumerate(pieces) if isinstance(piece, Place)}
    words, colors = _split(tuple(word for piece in things.values() for word in piece))
    for index, place in places.items():
        others = tuple(other.written for other in places.values() if other is not place)
        before, after = [i for i in things if i < index], [i for i in things if i > index]
        if place.between and before and after:
            return _of_two(things[before[-1]], things[after[0]], place.word, others)
        if not place.between and len(things) == 1:
            return Said((*words, MARK + place.word), colors, others)
        if not place.between and len(things) > 1:
            first, second = list(things.values())[:2]
            own = before[-1] if before else after[0]
            word = AS_RELATION[place.word if own == min(things) else OPPOSITE[place.word]]
            # "a cat on the left and a dog on the right" says one thing twice.
            said = (place.word, OPPOSITE[place.word])
            other = tuple(each.written for each in places.values() if each.between or each.word not in said)
            return _of_two(first, second, word, other)
    if len(things) == 2 and colors:
        return Said(words, _colors_of(*things.values()), tuple(each.written for each in places.values()))
    return Said(words, colors, tuple(each.written for each in places.values()))


def _of_two(first: tuple[str, ...], second: tuple[str, ...], word: str, left_out: tuple[str, ...]) -> Said:
    """Two things with the place of the first between them."""
    return Said((*_split(first)[0], MARK + word, *_split(second)[0]), _colors_of(first, second), left_out)


def _colors_of(*clauses: tuple[str, ...]) -> tuple[str | None, ...]:
    """The first color of each thing, None where it has none; nothing where none has one."""
    colors = tuple(next(iter(_split(clause)[1]), None) for clause in clauses)
    return colors if any(colors) else ()


def _split(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    others, colors = split_colours(tuple(dict.fromkeys(words)))
    return others, tuple(COLOURS[color] for color in colors)


def _with_things(clauses: Sequence[tuple[str, ...] | Place]) -> list[tuple[str, ...] | Place]:
    """Clauses that name no thing, such as a color before "and", joined to the next one that does, or to the last."""
    found: list[tuple[str, ...] | Place] = []
    waiting: tuple[str, ...] = ()
    for clause in clauses:
        if isinstance(clause, Place):
            found.append(clause)
        elif set(clause) - {*COLOURS}:
            found.append((*waiting, *clause))
            waiting = ()
        else:
            waiting = (*waiting, *clause)
    last = next((index for index in range(len(found) - 1, -1, -1) if not isinstance(found[index], Place)), None)
    if waiting and last is None:
        return [waiting, *found]
    if waiting and last is not None:
        found[last] = (*found[last], *waiting)  # type: ignore[misc]
    return found
