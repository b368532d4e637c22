"""Words of other languages than English: colours, what is passed over, and plurals; names are in `names.tsv.gz`.

Knows spellings. Sources: `by_hand.tsv`, colours in sixteen languages, names that CLDR has under another meaning or
only as parts of others (a boat is a ship there), and what is no name ("長", of "成長", growth); `names.tsv.gz`, from
Unicode CLDR (`make_names`).
"""

from __future__ import annotations

import gzip
from collections.abc import Container
from functools import lru_cache
from pathlib import Path

from clavilux.families.lumia.reading import fold

NAMES, BY_HAND = Path(__file__).with_name("names.tsv.gz"), Path(__file__).with_name("by_hand.tsv")
# English words as well, but articles before a word of another language: "die Katze", "son chat".
ARTICLES = frozenset(
    ("die", "das", "den", "dem", "des", "las", "los", "les", "son", "on", "os", "as", "um", "en", "un")
)
_PARTICLES = frozenset(
    ("가", "이", "는", "은", "를", "을", "와", "과", "의", "도", "에", "들", "들이", "들은", "로", "으로", "하고")
)  # after a Korean word
# Of a plural that the table does not hold: an ending, and what stands in the singular.
_ENDINGS = (
    ("s", ""), ("es", ""), ("n", ""), ("en", ""), ("e", ""), ("er", ""), ("i", "o"), ("i", "e"), ("e", "a"), ("x", ""),
    ("aux", "al"), ("ler", ""), ("lar", ""), ("y", ""), ("ы", ""), ("ы", "а"), ("и", ""), ("и", "а"), ("и", "ь"),
    ("oes", "ao"), ("ar", ""), ("or", "a"), ("ات", "ة"), ("en", "e"), ("ien", "ie"), ("het", ""),
)  # fmt: skip


@lru_cache(maxsize=1)
def _by_hand() -> dict[str, dict[str, str]]:
    """Kind of word -> word, folded -> the English word."""
    found: dict[str, dict[str, str]] = {}
    for line in BY_HAND.read_text(encoding="utf-8").splitlines()[1:]:
        kind, english, words = line.split("\t")
        found.setdefault(kind, {}).update(dict.fromkeys(map(fold, words.split()), english))
    return found


def colors() -> dict[str, str]:
    """A colour's word, folded -> its English name."""
    return _by_hand()["color"]


def colored_things() -> dict[str, str]:
    """Colours that are things as well, where nothing else is there to have the colour: "rosa" -> rose."""
    return _by_hand()["color or name"]


def passed_over() -> Container[str]:
    """Folded words that say nothing."""
    return _by_hand()["passed over"]


@lru_cache(maxsize=1)
def names() -> dict[str, tuple[str, ...]]:
    """A phrase, folded -> the English words that it means."""
    table: dict[str, tuple[str, ...]] = {}
    for line in gzip.decompress(NAMES.read_bytes()).decode().splitlines():
        meaning, *phrases = line.split("\t")
        table |= dict.fromkeys(phrases, tuple(meaning.split()))
    # A Chinese character that is a keyword of one symbol is named after that in the table, and is mostly half a word.
    named = {phrase: meaning for phrase, meaning in table.items() if phrase not in _by_hand()["no name"]}
    return named | {word: (thing,) for word, thing in _by_hand()["name"].items()}


def meaning_of(phrase: str) -> tuple[str, ...]:
    """The English words that a folded phrase means, as it is, without a plural or an ending; none: ()."""
    table = names()
    if phrase in table:
        return table[phrase]
    if phrase.startswith("ال") and phrase[2:] in table:  # the Arabic article
        return table[phrase[2:]]
    if "\uac00" <= phrase[:1] <= "\ud7a3":
        ends = [end for end in range(len(phrase) - 1, 0, -1) if phrase[end:] in _PARTICLES and phrase[:end] in table]
        return table[phrase[: ends[0]]] if ends else ()
    if len(phrase) >= 4:
        for ending, instead in _ENDINGS:
            stem = phrase[: -len(ending)] + instead
            if phrase.endswith(ending) and len(stem) >= 3 and stem in table:
                return table[stem]
    return ()


def split_unspaced(run: str) -> list[str]:
    """A run of letters without spaces as words: always the longest that is known; what is not stays in one piece."""
    known, words, unknown = (names(), colors(), passed_over()), [], ""
    at = 0
    while at < len(run):
        ends = range(min(len(run), at + 12), at, -1)
        end = next((end for end in ends if any(run[at:end] in table for table in known)), None)
        if end is None:
            unknown, at = unknown + run[at], at + 1
            continue
        words += [unknown] * bool(unknown) + [run[at:end]]
        unknown, at = "", end
    return words + [unknown] * bool(unknown)
