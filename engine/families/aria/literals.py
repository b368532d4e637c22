"""Music written exactly in running text: "in G minor", "D dorian", "120 bpm", "3/4", "chords Am F C G".

Knows the spellings of keys, modes, tempi, metres and chord progressions. Does not know words ("slow", "waltz"):
`phrases`. Every repetition is bounded, so reading stays linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clavilux.audio.chart import parse_chords
from clavilux.audio.harmony import Key
from clavilux.families.aria.form_names import MOST_OF_ENDS
from clavilux.families.aria.instruments import fold
from clavilux.families.aria.lexicon import EXACT, WORD, Claim
from clavilux.families.aria.styles import METRES

TEMPO_RANGE = (20.0, 300.0)  # quarters a minute
MAX_BARS = 999
LONGEST_S = 3600.0


@dataclass(frozen=True)
class Span:
    """Text from `start` to `end` and what it claims; nothing where it cannot be played. `reason` says why that is so,
    or what is played in its place.
    """

    start: int
    end: int
    claims: tuple[Claim, ...]
    reason: str = ""


_NUMBER = r"(?<![\d.,/])(\d{1,4}(?:\.\d{1,3})?)"
_CHORD = (
    r"(?:N\.C\.|(?:[A-G][#b♯♭]?|H)(?:maj|min|dim|aug|sus|add|alt|[mMΔø°+]|[#b♯♭]?(?:13|11|[245679])|6/9){0,4}"
    r"(?:/[A-H][#b♯♭]?)?)"
)
_GAP = r"(?:\s{0,2}(?:[|,→–—-]|->)\s{0,2}|\s{1,3})"
_CHORDS_NAMED = re.compile(rf"(?i:\b(?:chords?|progression|changes)\s?(?:of|are|:|=)?)\s{{1,3}}\|?\s?"
                           rf"({_CHORD}(?:{_GAP}{_CHORD})+)(?![\w#♯♭])")  # fmt: skip
_CHORDS_BARE = re.compile(rf"(?<![\w#♯♭'’/])({_CHORD}(?:{_GAP}{_CHORD}){{2,}})(?![\w#♯♭'’])")
_TEMPI = (
    re.compile(
        rf"{_NUMBER}\s{{0,3}}(?:bpm|b\.p\.m\.?|qpm|beats (?:per|a) minute|quarters (?:per|a) minute)(?!\w)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?:♩|\bquarter(?: note)?s?|\bcrotchet|\btempo(?: of)?)\s{{0,2}}[=:]?\s{{0,2}}{_NUMBER}(?![\w/])",
        re.IGNORECASE,
    ),
    re.compile(rf"\bat {_NUMBER}(?!\s?[\w/%°])", re.IGNORECASE),
)
_METRE = re.compile(r"(?<![\d/.])(\d{1,3})\s?/\s?(\d{1,3})(?![\d/])|(?<![\d.])(\d{1,2})[ -](\d{1,2}) time\b")
_BAR_NUMBERS = {"two": 2, "four": 4, "eight": 8, "twelve": 12, "sixteen": 16, "twenty-four": 24, "thirty-two": 32}
_BARS = re.compile(
    rf"(?<![\w.,/])(\d{{1,4}}|{'|'.join(_BAR_NUMBERS)})[ -]?"
    r"(?:bars?|measures?|takte?n?|mesures?|battute|compases|compassos|maten|такт(?:а|ов)?)(?!\w)",
    re.IGNORECASE,
)
_COUNT = r"\d{1,4}|two|four|eight|twelve|sixteen"
_FORM_LETTERS = re.compile(r"(?<![\w#♯♭'’-])((?:A['’]?)(?:[A-D]['’]?){2,15})(?![\w#♯♭-])( form)?")
_FORM_NAMES = re.compile(
    r"\b((?:verse|chorus)(?:[ -](?:verse|prechorus|chorus|bridge|solo)){1,9})(?: form)?\b", re.IGNORECASE
)
_ENDS = re.compile(
    rf"\b(?:with )?(?:(?:an? )?({_COUNT})[ -]bars? |(?:with an? ))(intro|introduction|outro|coda)\b"
    rf"(?: of ({_COUNT}) bars?)?",
    re.IGNORECASE,
)
_SLOWING = re.compile(
    r"\b(?:with an? )?(?:ritardando|ritard\.?|rallentando|(?:slows?|slowing) down at the end|slower at the end)(?!\w)",
    re.IGNORECASE,
)
_SECONDS = re.compile(
    r"(?<![\w.,/])(\d{1,4}(?:\.\d{1,3})?)[ -]?(seconds?|secs?|sekunden|secondes|secondi|segundos|s|"
    r"minutes?|mins?|minuten|minuti|minutos)(?!\w)",
    re.IGNORECASE,
)
_ACCIDENTAL = r"(?:[ -]?(flat|sharp)|([#b♯♭]))?"
_KEY_WITH_MODE = re.compile(
    rf"(?<![\w#♭♯'’])([a-g]){_ACCIDENTAL}[ -]{{0,2}}(major|minor|maj|min)(?!\w)( keys?\b)?", re.IGNORECASE
)
_KEY_GERMAN = re.compile(r"\b(cis|dis|fis|gis|ais|ces|des|es|ges|as|[a-h])[ -]?(dur|moll)\b", re.IGNORECASE)
_KEY_SOLFEGE = re.compile(
    r"\b(do|ut|r[eé]|mi|fa|sol|la|si)[ -]?(di[eè]se|sostenido|diesis|bemolle|b[eé]mol|#|♯|b|♭)?[ -]?"
    r"(majeur|mineur|maggiore|minore|mayor|menor)\b",
    re.IGNORECASE,
)
_KEY_SHORT = re.compile(r"(?<![\w#♭♯'’/|-])(?<!I )([A-G][#b♯♭]?)m(?![\w/|'’])")
_KEY_TONIC = re.compile(rf"(?i:\b(?:in|key of|key))\s?:?\s?(?:the key of )?([A-Gb-g]){_ACCIDENTAL}(?![\w#♯♭'’])")
_CHURCH_MODES = {  # by their thirds
    "ionian": "major", "ionisch": "major", "lydian": "major", "lydisch": "major", "mixolydian": "major",
    "mixolydisch": "major", "dorian": "minor", "dorisch": "minor", "phrygian": "minor", "phrygisch": "minor",
    "aeolian": "minor", "äolisch": "minor", "locrian": "minor", "lokrisch": "minor",
}  # fmt: skip
_MODE = re.compile(
    rf"(?:(?<![\w#♭♯'’])([a-g]){_ACCIDENTAL}[ -]{{1,2}})?\b({'|'.join(_CHURCH_MODES)})(?:e[mnrs]?)?(?: mode)?\b",
    re.IGNORECASE,
)

_GERMAN = {
    "c": 0, "cis": 1, "des": 1, "d": 2, "dis": 3, "es": 3, "e": 4, "f": 5, "fis": 6, "ges": 6, "g": 7,
    "gis": 8, "as": 8, "a": 9, "ais": 10, "b": 10, "h": 11, "ces": 11,
}  # fmt: skip
_SOLFEGE = {"do": 0, "ut": 0, "re": 2, "mi": 4, "fa": 5, "sol": 7, "la": 9, "si": 11}


def exact_spans(text: str) -> list[Span]:
    """Everything that is written exactly in `text`, in order, without overlaps."""
    found: list[Span] = []
    taken = bytearray(len(text))
    for reader in (_forms, _chords, _tempi, _lengths, _metres, _modes, _keys):
        for span in reader(text):
            if not any(taken[span.start : span.end]):
                taken[span.start : span.end] = b"\1" * (span.end - span.start)
                found.append(span)
    return sorted(found, key=lambda span: span.start)


def _forms(text: str) -> Iterator[Span]:
    for match in _FORM_LETTERS.finditer(text):
        letters = match[1].replace("’", "'")
        order = [letter for i, letter in enumerate(letters) if letter.isalpha() and letter not in letters[:i]]
        returns = len(order) < len(letters.replace("'", ""))
        if order == sorted(order) and len(order) == ord(order[-1]) - 64 and (match[2] or returns and letters != "ABBA"):
            yield Span(match.start(), match.end(), (("form", letters, EXACT),))
    for match in _FORM_NAMES.finditer(text):
        yield Span(match.start(), match.end(), (("form", "-".join(re.split(r"[\s-]+", match[1].lower())), EXACT),))
    for match in _ENDS.finditer(text):
        count, name = match[1] or match[3], match[2].lower()
        bars = 4 if count is None else _BAR_NUMBERS.get(count.lower()) or int(count)
        name = {"introduction": "intro", "coda": "outro"}.get(name, name)
        if 0 <= bars <= MOST_OF_ENDS:
            yield Span(match.start(), match.end(), ((name, bars, EXACT),))
        else:
            yield Span(match.start(), match.end(), (), f"an {name} has at most {MOST_OF_ENDS} bars")
    for match in _SLOWING.finditer(text):
        yield Span(match.start(), match.end(), (("ritardando", True, EXACT),))


def _chords(text: str) -> Iterator[Span]:
    for pattern in (_CHORDS_NAMED, _CHORDS_BARE):
        for match in pattern.finditer(text):
            chart = match[1]
            if "|" not in chart:
                chart = " ".join(re.findall(_CHORD, chart))
            try:
                parse_chords(chart)
            except ValueError as error:  # such as two bar lines in a row
                yield Span(match.start(), match.end(), (), str(error))
            else:
                yield Span(match.start(), match.end(), (("chords", chart, EXACT),))


def _tempi(text: str) -> Iterator[Span]:
    for pattern in _TEMPI:
        for match in pattern.finditer(text):
            tempo = float(match[1])
            if TEMPO_RANGE[0] <= tempo <= TEMPO_RANGE[1]:
                yield Span(match.start(), match.end(), (("tempo", tempo, EXACT),))
            else:
                yield Span(match.start(), match.end(), (), "a tempo is {:g} to {:g}".format(*TEMPO_RANGE))


def _metres(text: str) -> Iterator[Span]:
    for match in _METRE.finditer(text):
        metre = (int(match[1] or match[3]), int(match[2] or match[4]))
        if metre in METRES:
            yield Span(match.start(), match.end(), (("metre", metre, EXACT),))
        else:
            yield Span(match.start(), match.end(), (), no_metre(metre))


def no_metre(metre: tuple[int, int]) -> str:
    """What can be asked for instead of a metre that the score tokens have no bars of."""
    beats, unit = metre
    a, b = min(METRES, key=lambda known: (abs(known[0] / known[1] - beats / max(unit, 1)), known[1] != unit))
    return f"nearest is {a}/{b}; metres are {', '.join(f'{a}/{b}' for a, b in METRES)}"


def _lengths(text: str) -> Iterator[Span]:
    for match in _BARS.finditer(text):
        bars = _BAR_NUMBERS.get(match[1].lower()) or int(match[1])
        if 1 <= bars <= MAX_BARS:
            yield Span(match.start(), match.end(), (("bars", bars, EXACT),))
        else:
            yield Span(match.start(), match.end(), (), f"a piece has 1 to {MAX_BARS} bars")
    for match in _SECONDS.finditer(text):
        seconds = float(match[1]) * (60 if match[2][0].lower() == "m" else 1)
        if 0 < seconds <= LONGEST_S:
            yield Span(match.start(), match.end(), (("length", seconds, EXACT),))
        else:
            yield Span(match.start(), match.end(), (), f"a piece lasts up to {LONGEST_S:g} s")


def _keys(text: str) -> Iterator[Span]:
    for match in _KEY_WITH_MODE.finditer(text):
        letter, word, sign, mode, key_word = match.groups()
        mode = "major" if mode[:2].lower() == "ma" else "minor"
        if letter == "a" and key_word and not (word or sign):  # "in a minor key" names no tonic
            yield Span(match.start(), match.end(), (("mode", mode, WORD),))
        else:
            yield _key_span(match, Key.parse(f"{letter.upper()}{_accidental(word, sign)} {mode}"))
    for match in _KEY_GERMAN.finditer(text):
        yield _key_span(match, Key(_GERMAN[match[1].lower()], "major" if match[2].lower() == "dur" else "minor"))
    for match in _KEY_SOLFEGE.finditer(text):
        sign = fold(match[2] or "")
        shift = 0 if not sign else 1 if sign[0] in "ds#♯" else -1
        minor = match[3][:2].lower() in ("mi", "me")
        yield _key_span(match, Key((_SOLFEGE[fold(match[1])] + shift) % 12, "minor" if minor else "major"))
    for match in _KEY_SHORT.finditer(text):
        yield _key_span(match, Key.parse(f"{match[1]} minor"))
    for match in _KEY_TONIC.finditer(text):  # a tonic alone leaves the mode to other words: "sad ... in G" is G minor
        tonic = Key.parse(f"{match[1].upper()}{_accidental(match[2], match[3])}").tonic
        yield Span(match.start(), match.end(), (("key", tonic, EXACT),))


def _modes(text: str) -> Iterator[Span]:
    for match in _MODE.finditer(text):
        letter, word, sign, name = match.groups()
        mode = _CHURCH_MODES[name.lower()]
        reason = "" if name.lower().startswith("ion") else f"nearest is {mode}"
        article = letter == "a" or (letter == "A" and match.start() == 0)
        if letter is None or (article and not (word or sign)):  # "a dorian song" names no tonic
            yield Span(match.start(4), match.end(), (("mode", mode, EXACT),), reason)
        else:
            yield _key_span(match, Key.parse(f"{letter.upper()}{_accidental(word, sign)} {mode}"), reason)


def _accidental(word: str | None, sign: str | None) -> str:
    if word:
        return "#" if word.lower() == "sharp" else "b"
    return {"♯": "#", "♭": "b", "B": "b"}.get(sign or "", sign or "")


def _key_span(match: re.Match[str], key: Key, reason: str = "") -> Span:
    return Span(match.start(), match.end(), (("key", key, EXACT),), reason)
