"""From the words of a prompt to what the painter is told, and an account of it.

Knows a vocabulary, given as a list; does not know how words become numbers in a decoder.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from .conditions import NUM_COLOURS, NUM_WORDS, Brief
from .words import COLOURS, pieces, plain, split_colours

MAX_LISTED = 20  # unknown words that are named, of however many there are
_LONGEST = 2000  # characters of a prompt that are read
_NEAR = 0.8  # how alike words are spelled that one may be meant for the other, 1 is the same


@dataclass(frozen=True)
class Said:
    """What a prompt says.

    Attributes:
        brief: in numbers.
        taken: (as written, what it is taken for), in order.
        unknown: words that are not known, the first `MAX_LISTED`, with a guess where one is spelled nearly so.
        notes: sentences on what was left out.
    """

    brief: Brief
    taken: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def understand(prompt: str, numbers: Mapping[str, int]) -> Said:
    """Read a prompt.

    Args:
        prompt: English words; the order matters for colours only, of which the first covers most.
        numbers: the words that the painter knows -> their numbers.
    """
    text = prompt[:_LONGEST].lower()
    read = {word: plain(word) for word in pieces(text)}
    known = {written: word for written, word in read.items() if word in numbers or word in COLOURS}
    others, colours = split_colours(tuple(dict.fromkeys(known.values())))
    words = [word for word in others if word in numbers]
    notes = []
    if len(words) > NUM_WORDS:
        notes.append(f"hears {NUM_WORDS} words beside colours; left out are {', '.join(words[NUM_WORDS:])}")
    if len(colours) > NUM_COLOURS:
        notes.append(
            f"hears {NUM_COLOURS} colours; left out are {', '.join(COLOURS[c] for c in colours[NUM_COLOURS:])}"
        )
    if len(prompt) > _LONGEST:
        notes.append(f"reads {_LONGEST} characters; {len(prompt) - _LONGEST} more are left out")
    unknown = [_guessed(written, word, numbers) for written, word in read.items() if written not in known]
    brief = Brief(colours[:NUM_COLOURS], tuple(numbers[word] for word in words[:NUM_WORDS]))
    return Said(brief, tuple(known.items()), tuple(unknown[:MAX_LISTED]), tuple(notes))


def _guessed(written: str, word: str, numbers: Mapping[str, int]) -> str:
    near = difflib.get_close_matches(word, numbers, 1, _NEAR) if len(word) > 3 else []
    return f"{written} (did you mean {near[0]}?)" if near else written
