"""What conditions a song, as ids: artists and genres through the user's own lists, lyrics by character.

A list is a text file with a name a line, `name;number` or just the name, whose number then is its line's from 0; or a
JSON object from names to numbers, as transformers' tokenizer has it, where the names of the second generation end in
".v2". Which list a prior was trained with shows in its length. Knows no prior but by such counts.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clavilux.files import read_text

KINDS = ("artist", "genre")
_V2 = ".v2"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# The characters of each vocabulary, numbered from 1; 0 stands for any other.
ALPHABETS = {
    79: _LETTERS + ".,:;!?-'\"()[] \t\n",
    80: _LETTERS + ".,:;!?-+'\"()[] \t\n",
}
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\\": "\n"})
_LONGEST = 1 << 20  # characters


class Lists:
    """Names of artists and of genres.

    Attributes:
        folder: where they were read; None for no lists.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._lists: dict[str, list[dict[str, int]]] = {kind: [] for kind in KINDS}
        if folder is None:
            return
        if not folder.is_dir():
            raise ValueError(f"the labels {str(folder)!r} are no folder; it should hold lists of artists and genres")
        for path in sorted(folder.iterdir()):
            kind = next((kind for kind in KINDS if kind in path.stem.lower()), None)
            if kind is not None and path.suffix.lower() in (".txt", ".json"):
                self._lists[kind] += _read(path)

    def __bool__(self) -> bool:
        return any(self._lists.values())

    def of(self, kind: str, count: int) -> dict[str, int]:
        """The list of a prior that knows `count` of a kind: of that length, or else the longest that fits."""
        fitting = [names for names in self._lists[kind] if names and max(names.values()) < count]
        return max(fitting, key=lambda names: max(names.values()), default={})

    def number(self, kind: str, name: str, count: int) -> int:
        """The number of a name.

        Raises:
            ValueError: a name that is in no list, with the nearest ones; or there is no list.
        """
        names = self.of(kind, count)
        if not names:
            where = "no labels are given" if self.folder is None else f"{str(self.folder)!r} holds no fitting list"
            raise ValueError(
                f"the {kind} {name!r} is a name, and {where}; give its number, 0 to {count - 1}, or a folder with "
                f"lists (labels, --labels) such as {kind}s.txt"
            )
        key = _key(name)
        if key not in names:
            near = difflib.get_close_matches(key, names, n=5, cutoff=0.4) or sorted(names)[:5]
            raise ValueError(f"the {kind} {name!r} is not known; near are {', '.join(near)}")
        return names[key]


def label_ids(
    kind: str, asked: Any, lists: Lists, counts: Mapping[int, int], notes: list[str]
) -> dict[int, tuple[int, ...]]:
    """The ids that each level's prior has for what was asked for.

    Args:
        kind: "artist" or "genre".
        asked: names or ids, a list of them or one text with commas.
        counts: how many each level's prior knows, the top level's first.
        notes: takes the notes of the receipt.

    Raises:
        ValueError: a number out of range, or a name that the top level does not know.
    """
    parts = asked if isinstance(asked, (list, tuple)) else [asked]
    parts = [part.strip() if isinstance(part, str) else part for entry in parts for part in _split(entry)]
    top = next(iter(counts))
    found: dict[int, list[int]] = {level: [] for level in counts}
    for part in parts:
        is_number = not isinstance(part, bool) and re.fullmatch(r"\d+", str(part))
        for level, count in counts.items():
            if is_number and (level == top or count == counts[top]):
                if int(part) >= count:
                    raise ValueError(f"the {kind} is number {part}; the prior of level {level} knows 0 to {count - 1}")
                found[level].append(int(part))
            elif is_number:  # another list's numbers: 0 is nobody in all of them
                found[level].append(0)
                notes.append(f"level {level} has another list of {kind}s, so number {part} is nobody there")
            elif not isinstance(part, str):
                raise TypeError(f"{kind} is {part!r}; it should be a name or a number")
            else:
                found[level].append(_named(kind, part, lists, level, count, level == top, notes))
    return {level: tuple(values) for level, values in found.items()}


def _named(kind: str, name: str, lists: Lists, level: int, count: int, strict: bool, notes: list[str]) -> int:
    try:
        return lists.number(kind, name, count)
    except ValueError:
        if strict:
            raise
    notes.append(f"level {level} does not know the {kind} {name!r}")
    return 0


def _split(entry: Any) -> Sequence[Any]:
    return entry.split(",") if isinstance(entry, str) else [entry]


def _read(path: Path) -> list[dict[str, int]]:
    """The lists in a file. Raises ValueError."""
    try:
        text = read_text(path, "JSON file" if path.suffix.lower() == ".json" else "text file")
        content = json.loads(text) if path.suffix.lower() == ".json" else _lines(text)
        if not isinstance(content, dict) or not all(type(number) is int for number in content.values()):
            raise ValueError("it should hold names and whole numbers")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is no list of names: {error}") from None
    second = {_key(name[: -len(_V2)]): number for name, number in content.items() if name.endswith(_V2)}
    first = {_key(name): number for name, number in content.items() if not name.endswith(_V2)}
    return [names for names in (first, second) if names]


def _lines(text: str) -> dict[str, int]:
    names = {}
    for index, line in enumerate(text.splitlines()):
        name, separator, number = line.rpartition(";")
        if separator and number.strip().isdigit():
            names[name.strip()] = int(number)
        elif line.strip():
            names[line.strip()] = index
    return names


def _key(name: str) -> str:
    """Names are compared without case, accents and what is neither letter nor digit."""
    plain = unicodedata.normalize("NFKD", name.lower())
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return re.sub(r"[^\w.]+|_+", "_", plain).strip("_")


def read_lyrics(asked: Any) -> str:
    """The lyrics themselves, or those of a text file that is named.

    Raises:
        TypeError, ValueError: no text, or a file that cannot be read.
    """
    if isinstance(asked, Path) or (isinstance(asked, str) and asked.endswith(".txt") and "\n" not in asked):
        try:
            asked = read_text(asked)
        except ValueError as error:
            raise ValueError(f"the lyrics cannot be read: {error}") from None
    if not isinstance(asked, str):
        raise TypeError(f"lyrics is {type(asked).__name__}; it should be the words, or a .txt file's name")
    if len(asked) > _LONGEST:
        raise ValueError(f"the lyrics have {len(asked)} characters; at most {_LONGEST} are read")
    return asked


def alphabet_of(folder: Path, count: int) -> dict[str, int]:
    """The number of each character of a vocabulary of `count`; from the checkpoint's lyrics.json where it has one.

    Raises:
        ValueError: neither a known vocabulary nor a file that says.
    """
    path = folder / "lyrics.json"
    if path.is_file():
        try:
            found = {str(name): int(number) for name, number in json.loads(read_text(path, "JSON file")).items()}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} is no list of characters: {error}") from None
        found = {name: number for name, number in found.items() if len(name) == 1 and 0 <= number < count}
        if found:
            return found
    if count not in ALPHABETS:
        known = " and ".join(map(str, ALPHABETS))
        raise ValueError(
            f"this model reads {count} kinds of characters, and which is not known (vocabularies of {known} are); "
            f"say so in a lyrics.json beside it, from characters to numbers"
        )
    return {character: number for number, character in enumerate(ALPHABETS[count], 1)}


def spelled(lyrics: str, alphabet: Mapping[str, int], notes: list[str]) -> tuple[str, tuple[int, ...]]:
    """(the characters that are known, their ids), accents and typographic marks made plain, others left out."""
    plain = unicodedata.normalize("NFKD", lyrics.translate(_QUOTES))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    kept = "".join(character for character in plain if character in alphabet)
    if len(kept) < len(plain):
        left_out = "".join(dict.fromkeys(character for character in plain if character not in alphabet))
        notes.append(f"{len(plain) - len(kept)} characters of the lyrics are not known and left out: {left_out[:20]}")
    return kept, tuple(alphabet[character] for character in kept)
