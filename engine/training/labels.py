"""Styles of training scores, finer than a prompt's: dances by name, hymns beside chorales, bands beside quartets.

Knows the index's folders, titles and words. Does not know a note.
"""

from __future__ import annotations

import re

from clavilux.families.aria.styles import style_of

# Each label with the style of `clavilux.families.aria.styles` that it belongs to; None where none is near.
STYLE_OF_LABEL: dict[str, str | None] = {
    "air": "folk", "art song": "art song", "baroque": "baroque", "chorale": "chorale", "classical": "classical",
    "country dance": "folk", "drums": None, "folk": "folk", "harp tune": "folk", "hornpipe": "folk",
    "hymn": "chorale", "japanese": "japanese", "jig": "folk", "krakowiak": "folk", "lead sheet": None,
    "march": "march", "mazurka": "romantic", "minuet": "classical", "orchestral": None, "polka": "folk",
    "polonaise": "romantic", "quartet": "quartet", "ragtime": "ragtime", "reel": "folk", "renaissance": "renaissance",
    "romantic": "romantic", "slip jig": "folk", "strathspey": "folk", "waltz": "romantic", "wind band": "march",
}  # fmt: skip
LABELS = tuple(STYLE_OF_LABEL)

_OF_WORD = {
    "air": "air", "jig": "jig", "slide": "jig", "reel": "reel", "hornpipe": "hornpipe", "clog": "hornpipe",
    "harp tune": "harp tune", "slip jig": "slip jig", "march": "march", "set dance": "folk", "waltz": "waltz",
    "country dance": "country dance", "strathspey": "strathspey", "highland fling": "strathspey",
    "mazurka": "mazurka", "polonaise": "polonaise", "minuet": "minuet", "krakowiak": "krakowiak", "polka": "polka",
    "galop": "polka", "anglaise": "country dance", "contradance": "country dance", "cotillion": "country dance",
    "gavotte": "country dance", "dance": "folk", "dumka": "romantic", "tango": "romantic", "art song": "art song",
    "orchestral": "orchestral", "choral orchestral": "orchestral", "wind music": "wind band",
}  # fmt: skip
_OF_FOLDER = {
    "hymns": "hymn",
    "leadsheets": "lead sheet",
    "drums": "drums",
    "quartets": "quartet",
    "lieder": "art song",
}
_OF_TITLE = (
    (r"\bma[sz]ur(ka|ek|ca)", "mazurka"), (r"\bpolona?ise|\bpolonez", "polonaise"), (r"\bpolka", "polka"),
    (r"\b(waltz|valse|walzer|vals)", "waltz"), (r"\bm[ei]nuet|\bmenuetto|\bminuetto", "minuet"),
    (r"\bhornpipe", "hornpipe"), (r"\bstrathspey", "strathspey"), (r"\breel\b", "reel"), (r"\bslip jig", "slip jig"),
    (r"\bjig\b", "jig"),
)  # fmt: skip


def label_of(row: dict[str, str]) -> str:
    """The label of a row of the index, one of `LABELS`.

    A folder of one kind of music says it; then the type that dance tunes and Polish pieces have; in Mutopia a dance
    that the title names, then what `style_of` finds, hymns apart from chorales.
    """
    folder, word = row["file"].split("/")[0], row["style"].lower()
    if folder in _OF_FOLDER:
        return _OF_FOLDER[folder]
    if folder in ("oneill", "ryan", "polish", "orchestra"):
        return _OF_WORD.get(word, "folk")
    title = row["title"].lower().split("[")[0]
    named = next((label for words, label in _OF_TITLE if re.search(words, title)), None)
    style = style_of(row)
    if named is not None and style not in ("chorale", "art song", "quartet", "ragtime"):
        return named
    return "hymn" if style == "chorale" and word in ("hymn", "gospel") else style
