"""Splitting a prompt of any script into words, and the form under which tables know each of them.

Knows letters, accents and scripts without spaces; knows no meanings.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# Scripts whose accents are spelling; in others (Devanagari, Thai, kana) the marks are letters of the word.
_ACCENTED = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "ک": "ك", "ی": "ي"})
_KATAKANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}  # to hiragana
_ELIDED = frozenset(("l", "d", "un", "dell", "all", "nell", "sull", "dall", "c", "j", "s", "qu"))  # l'ours, dell'orso
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class Token(NamedTuple):
    """A word as it is written and as tables know it, without accents and with them.

    `unspaced`: of a script that puts no spaces between words.
    """

    written: str
    folded: str
    accented: str
    unspaced: bool = False


def fold(text: str) -> str:
    """Caseless, without accents, one form for each way of writing a letter; katakana as hiragana."""
    out, base = [], ""
    for char in unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold()):
        if unicodedata.category(char) == "Mn":
            if unicodedata.name(base, "").startswith(_ACCENTED) if base else False:
                continue
        else:
            base = char
        out.append(char)
    return unicodedata.normalize("NFC", "".join(out)).translate(_LETTERS).translate(_KATAKANA)


def caseless(text: str) -> str:
    """As `fold`, with accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold()).translate(_KATAKANA)


def tokens_of(text: str) -> list[Token]:
    """The words, numbers and emoji of a text, in order."""
    found: list[Token] = []
    for written in _runs(unicodedata.normalize("NFC", text)):
        head, quote, rest = written.replace("\u2019", "'").partition("'")
        if quote and fold(head) in _ELIDED and rest:
            written = rest
        bare = written.replace("'", "").replace("\u2019", "")
        if folded := fold(bare):
            found.append(Token(written, folded, caseless(bare), _UNSPACED.match(folded) is not None))
    return found


def _runs(text: str) -> list[str]:
    """Runs of letters of one kind, with their marks; each symbol by itself."""
    runs: list[str] = []
    kind = ""
    for index, char in enumerate(text):
        category = unicodedata.category(char)
        if category == "Cf" or char == "\ufe0f":  # joiners and variation selectors
            continue
        if category[0] in "LMN" or char == "ー":
            here = "unspaced" if _UNSPACED.match(char) else "letters"
            if category[0] == "M" and kind in ("letters", "unspaced"):
                here = kind
        elif char in "'\u2019" and kind == "letters" and text[index + 1 : index + 2].isalpha():
            here = "letters"
        elif category == "So":
            here = "symbol"
        else:
            here = ""
        if here and here == kind and here != "symbol":
            runs[-1] += char
        elif here:
            runs.append(char)
        kind = here
    return runs
