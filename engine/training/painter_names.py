"""Make lumia's `names.tsv.gz`: what emoji and things are called in other languages -> the English words of their names.

    python -m clavilux.training.painter_names FOLDER

FOLDER is CLDR's `common/` (Debian package `unicode-cldr-core`: /usr/share/unicode/cldr/common). A line of the table is
English words that the bundled painter knows, and the phrases that mean them, with tabs between, as `reading.fold` has
them (with accents, where these change the meaning). Kinds of phrases:

- a symbol's name in a language stands for the words of its English name ("Katze" and "cat" are both 🐈);
- a keyword stands for the English word that is said of the same symbols ("Apfel" is said of 🍎 and 🍏, as "apple"
  is): those that both are said of, divided by those that either is said of, is the greatest of all words and at least
  `ALIKE`; so does a word of a name, by the names alone.

Where languages differ, the meaning that most of them have is kept, then that of the first in `LANGUAGES`. What English
words say already is left out.
"""

from __future__ import annotations

import gzip
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path

from clavilux.families.lumia.foreign import NAMES, colors, passed_over
from clavilux.families.lumia.reading import fold, tokens_of
from clavilux.families.lumia.words import COLOURS, bundled_words, words_of

LANGUAGES = ("de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ru", "ja", "zh", "zh_Hant", "ko", "ar", "hi", "sv", "uk")
ALIKE = 0.4
ALIKE_BY_NAME = 0.6  # more, as a word is in fewer names: "roter" is no apple
MOST_WORDS = 2  # of a phrase
Meaning = tuple[str, ...]
Annotations = dict[str, tuple[str, list[str]]]  # symbol -> its name, its keywords


def main(common: Path) -> None:
    """Write the table that the head of this module describes."""
    known = {*bundled_words(), *COLOURS}
    english = read(common, "en")
    names = {symbol: tuple(w for w in words_of(name) if w in known) for symbol, (name, _) in english.items()}
    names = {symbol: words for symbol, words in names.items() if words}
    said_of: dict[str, set[str]] = defaultdict(set)  # English word -> symbols
    for symbol, (name, keywords) in english.items():
        for word in words_of(" ".join((name, *keywords))):
            if word in known:
                said_of[word].add(symbol)
    votes: dict[str, Counter[Meaning]] = defaultdict(Counter)
    accented: dict[str, Counter[Meaning]] = defaultdict(Counter)
    for language in LANGUAGES:
        theirs = read(common, language)
        whole = {phrase_of(name) for name, _ in theirs.values()}
        for phrase, meaning in meanings(theirs, names, said_of).items():
            weight = 2 if phrase in whole else 1
            accented[phrase][meaning] += weight
            votes[fold(phrase)][meaning] += weight
    table = {symbol: words for symbol, words in names.items() if len(symbol) == 1}
    for phrase, meant in votes.items():
        meaning = max(meant, key=lambda each: meant[each])  # the first of equals: dicts keep the languages' order
        own = words_of(phrase)
        if phrase not in colors() and phrase not in passed_over() and (not own or not set(own) <= known):
            table[phrase] = meaning
    for phrase, meant in accented.items():  # "kuş" is a bird and "kus" a kiss
        meaning = max(meant, key=lambda each: meant[each])
        own = words_of(phrase)
        is_english = bool(own) and set(own) <= known  # "Bär" is a bear, though "bar" is English
        if phrase != fold(phrase) and (is_english or table.get(fold(phrase), meaning) != meaning):
            table[phrase] = meaning
    phrases_of: dict[Meaning, list[str]] = defaultdict(list)
    for phrase, words in sorted(table.items()):
        phrases_of[words].append(phrase)
    text = "".join("\t".join((" ".join(words), *phrases)) + "\n" for words, phrases in sorted(phrases_of.items()))
    target = NAMES
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(table)} phrases, {target.stat().st_size / 1024:.0f} KiB in {target}")


def read(common: Path, language: str) -> Annotations:
    """Symbols' names and keywords; flags and skin tones, which are in `annotationsDerived`, are left out."""
    found: Annotations = {}
    for each in ElementTree.parse(common / "annotations" / f"{language}.xml").iter("annotation"):
        symbol, text = each.get("cp", "").replace("\ufe0f", ""), each.text or ""
        if "\U0001f200" <= symbol <= "\U0001f2ff":  # signs of one Chinese character
            continue
        name, keywords = found.get(symbol, ("", []))
        if each.get("type") == "tts":
            found[symbol] = (text.split(",")[0], keywords)
        else:
            found[symbol] = (name, [part for keyword in text.split("|") for part in keyword.split(",")])
    return found


def meanings(theirs: Annotations, names: dict[str, Meaning], said_of: dict[str, set[str]]) -> dict[str, Meaning]:
    """Phrase -> English words, of one language."""
    whole: dict[str, Meaning] = {}  # names
    said: dict[str, set[str]] = defaultdict(set)  # phrase -> the symbols that it is a keyword of
    named: dict[str, set[str]] = defaultdict(set)  # word -> the symbols in whose names it is
    for symbol, (name, keywords) in theirs.items():
        if symbol in names and (phrase := phrase_of(name)):
            whole.setdefault(phrase, names[symbol])
        for word in name.split():
            named[phrase_of(word)].add(symbol)
        for keyword in (name, *keywords):
            said[phrase_of(keyword)].add(symbol)
    in_name = turned({symbol: set(words) for symbol, words in names.items()})
    said_at, named_at = turned(said_of), turned(in_name)
    found = dict(whole)
    for phrase in {**said, **named}:
        alike = Counter(likeness(said[phrase], said_of, said_at))
        by_name = likeness(named[phrase], in_name, named_at)
        if len(named[phrase]) > 1:
            alike |= Counter({word: share for word, share in by_name.items() if share >= ALIKE_BY_NAME})
        best = max(sorted(alike), key=lambda word: alike[word], default=None)
        one_word = " " not in phrase and not any(token.unspaced for token in tokens_of(phrase))
        several = len(whole.get(phrase, ())) > 1 and one_word and best in whole[phrase]
        if phrase and best is not None and alike[best] >= ALIKE and (phrase not in whole or several):
            found[phrase] = (best,)
    return found


def likeness(symbols: set[str], of: dict[str, set[str]], at: dict[str, set[str]]) -> dict[str, float]:
    """English words -> how alike the symbols are that they stand for; those alone that stand for one of `symbols`."""
    near = {word for symbol in symbols for word in at.get(symbol, ())}
    return {word: len(of[word] & symbols) / len(of[word] | symbols) for word in near}


def turned(sets: dict[str, set[str]]) -> dict[str, set[str]]:
    """Element -> the names of the sets that hold it."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, elements in sets.items():
        for element in elements:
            found[element].add(name)
    return found


def phrase_of(text: str) -> str:
    """The form under which a phrase stands in the table; empty for one that should not."""
    tokens = tokens_of(text)
    phrase = " ".join(token.accented for token in tokens)
    short = len(phrase) < 3 and phrase.isascii()
    return "" if short or not tokens or len(tokens) > MOST_WORDS or phrase.isdigit() else phrase


if __name__ == "__main__":
    main(Path(sys.argv[1]))
