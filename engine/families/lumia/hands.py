"""Whose manner a picture has: the hands that drew the pictures of training, and which words each of them drew.

A painter that is left the choice draws much the same mixture every time. So the seed chooses a hand, among those that
drew what the prompt names, and the words of that hand are its beginning. Knows words and seeds; no pictures.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

import numpy as np

from clavilux.checks import short
from clavilux.families.lumia.places import MARK, STYLES

DRAWING = tuple(hand for hand in STYLES if hand not in ("clipart", "plain"))  # many people's, and nobody's
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"  # a letter's bits are hands
_KEY = 0x68616E64  # the seed's other draws have other keys


def table_of(words: Sequence[str], drawn: Mapping[str, Container[str]]) -> str:
    """A letter for each word, for a checkpoint's config: which of `DRAWING` drew something of that name."""
    return "".join(
        _LETTERS[sum(1 << bit for bit, hand in enumerate(DRAWING) if hand in drawn.get(word, ()))] for word in words
    )


def read_table(text: object, words: Sequence[str]) -> list[frozenset[str]]:
    """The hands of each word, from what `table_of` wrote.

    Raises:
        ValueError: no such text, or words that a hand needs are not there.
    """
    if not isinstance(text, str) or len(text) != len(words) or set(text) - set(_LETTERS):
        raise ValueError(f"hands is {short(text)}; it should be a letter of 0 to V for each of the {len(words)} words")
    missing = [MARK + hand for hand in STYLES if MARK + hand not in words]
    if missing:
        raise ValueError(f"it has hands and not the words {', '.join(missing)}")
    return [frozenset(hand for bit, hand in enumerate(DRAWING) if _LETTERS.index(letter) >> bit & 1) for letter in text]


def hand_of(seed: int, hands: Iterable[frozenset[str]]) -> str | None:
    """One of the hands that all words have, by the seed; None where there is none, or no word has any."""
    sets = [each for each in hands if each]
    common = sorted(frozenset.intersection(*sets), key=DRAWING.index) if sets else []
    if not common:
        return None
    drawn = np.random.Philox(key=np.array([seed % 2**64, _KEY], np.uint64)).random_raw()
    return common[int(drawn) % len(common)]


def check_hand(hand: object) -> str | None:
    """A hand that was asked for, or None. ValueError for another."""
    if hand is not None and hand not in STYLES:
        raise ValueError(f"hand is {short(hand)}; it should be one of {', '.join(STYLES)}")
    return hand if isinstance(hand, str) else None
