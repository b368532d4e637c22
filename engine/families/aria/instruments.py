"""The instruments and ensembles that a prompt can name, and their General MIDI programs.

Knows names. Does not know which styles use an instrument (`styles`) or how it sounds (the SoundFont does).
Format: General MIDI 1 sound set, programs counted from 0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

DRUMS = -1  # the drum kit, which is a channel and not a program
NO_DRUMS = "the composer has read no music for drums and writes none"
MAX_INSTRUMENTS = 12


@dataclass(frozen=True)
class Instrument:
    """One instrument: its name, the words that name it, and two General MIDI programs.

    `program` is the sound. `written_as` is the program whose music it plays: the composer has read many
    hundred pieces for piano and none for music box, so a music box is given what a piano would be given.
    """

    name: str
    program: int
    words: tuple[str, ...]
    written_as: int


def _table(*rows: tuple[str, int, str] | tuple[str, int, str, int]) -> dict[str, Instrument]:
    """Rows (name, program, other words separated by commas[, written_as])."""
    table = {}
    for row in rows:
        name, program, words = row[:3]
        others = tuple(word.strip() for word in words.split(",") if word.strip())
        table[name] = Instrument(name, program, (name, *others), row[3] if len(row) == 4 else program)
    return table


INSTRUMENTS: dict[str, Instrument] = _table(
    ("piano", 0, "grand piano, pianoforte, fortepiano, klavier, keyboard, pianino, upright piano, 🎹"),
    ("electric piano", 4, "rhodes, wurlitzer, e-piano, epiano, digital piano", 0),
    ("harpsichord", 6, "cembalo, clavecin, clavicembalo, clavier, clavichord, spinet, virginal, cravo"),
    ("celesta", 8, "celeste, glockenspiel, bell, bells, chimes, toy piano", 0),
    ("music box", 10, "musicbox, musical box, spieluhr, spieldose, boite a musique, carillon, "
     "caja de musica", 0),
    ("vibraphone", 11, "vibes, vibraharp", 0),
    ("marimba", 12, "xylophone, balafon, kalimba", 0),
    ("drawbar organ", 16, "hammond, hammond organ, electric organ, jazz organ", 19),
    ("church organ", 19, "organ, pipe organ, orgel, kirchenorgel, orgue, organo, órgano, orgao, reed organ, "
     "harmonium"),
    ("accordion", 21, "akkordeon, accordeon, fisarmonica, acordeon, concertina, bandoneon, melodeon, "
     "musette, 🪗", 19),
    ("guitar", 24, "nylon guitar, classical guitar, spanish guitar, gitarre, guitare, chitarra, guitarra, "
     "vihuela, 🎸"),
    ("lute", 24, "laute, luth, liuto, laud, theorbo, oud"),
    ("steel guitar", 25, "acoustic guitar, folk guitar, steel string guitar, western guitar, mandolin, "
     "ukulele", 24),
    ("acoustic bass", 32, "upright bass, jazz bass, bass guitar, string bass, walking bass", 43),
    ("violin", 40, "geige, violine, violon, violino, violín, 🎻"),
    ("viola", 41, "bratsche, alto violin"),
    ("cello", 42, "violoncello, violoncelle, violonchelo, viola da gamba, gamba, viol"),
    ("double bass", 43, "bass, contrabass, contrabasso, kontrabass, contrebasse"),
    ("pizzicato strings", 45, "pizzicato, plucked strings", 40),
    ("harp", 46, "harfe, harpe, arpa, lyre, lyra", 0),
    ("timpani", 47, "kettledrum, pauken, timbales", 43),
    ("string ensemble", 48, "string section, string orchestra, streichorchester, violins section"),
    ("choir", 52, "choral voices, satb, chorus, chor, choeur, coro, vocal ensemble, singers, a cappella, "
     "acappella"),
    ("voice", 52, "vocal, singer, singing, soprano, mezzo, mezzo-soprano, contralto, tenor, baritone, "
     "stimme, gesang, voix, voce, voz, sopran, bariton"),
    ("trumpet", 56, "cornet, trompete, trompette, tromba, trompeta, bugle, 🎺"),
    ("trombone", 57, "posaune, sackbut"),
    ("tuba", 58, "euphonium, sousaphone"),
    ("french horn", 60, "horn, waldhorn, corno, cor"),
    ("brass section", 61, "brass ensemble, horn section", 19),
    ("alto saxophone", 65, "saxophone, sax, alto sax, saxophon, saxofon, saxofono, soprano sax, "
     "soprano saxophone, 🎷", 71),
    ("tenor saxophone", 66, "tenor sax, baritone sax, baritone saxophone", 71),
    ("oboe", 68, "hautbois, shawm"),
    ("english horn", 69, "cor anglais, englischhorn", 68),
    ("bassoon", 70, "fagott, basson, fagotto, fagot, dulcian"),
    ("clarinet", 71, "klarinette, clarinette, clarinetto, clarinete, basset horn"),
    ("piccolo", 72, "piccolo flute, fife", 73),
    ("flute", 73, "querflote, floete, flöte, flauto, flauta, flûte, traverso, tin whistle, whistle, "
     "pennywhistle, shakuhachi"),
    ("recorder", 74, "blockflote, blockfloete, flute a bec, flauto dolce, flauta dulce"),
    ("pan flute", 75, "panpipes, pan pipes, panflute, pan pipe, ocarina", 73),
    ("banjo", 105, "", 24),
    ("fiddle", 110, "fiddler, fiedel, fidel, hardanger fiddle", 40),
    ("drums", DRUMS, "drum, drum kit, drumkit, drum set, percussion, bodhran, schlagzeug, batterie, bateria, 🥁"),
)  # fmt: skip

# Comfortable ranges as MIDI pitches, from orchestration handbooks.
RANGES = {
    0: (28, 100), 4: (28, 96), 6: (29, 89), 8: (60, 100), 10: (55, 100), 11: (53, 89), 12: (48, 96),
    16: (36, 96), 19: (36, 93), 21: (41, 93), 24: (40, 79), 25: (40, 83), 32: (28, 60), 40: (55, 93),
    41: (48, 81), 42: (36, 74), 43: (28, 55), 45: (36, 88), 46: (29, 96), 47: (38, 57), 48: (36, 91),
    52: (41, 81), 56: (54, 82), 57: (40, 70), 58: (28, 58), 60: (41, 76), 61: (36, 82), 65: (49, 80),
    66: (44, 75), 68: (58, 86), 69: (52, 79), 70: (34, 70), 71: (50, 87), 72: (74, 100), 73: (60, 93),
    74: (60, 88), 75: (60, 90), 105: (48, 82), 110: (55, 90),
}  # fmt: skip

# Programs of what plays chords, and how many notes hands begin at once.
HANDS = {
    0: 6, 4: 6, 6: 6, 8: 4, 10: 4, 11: 4, 12: 4, 16: 6, 19: 6, 21: 5, 24: 5, 25: 5, 46: 5, 48: 5, 61: 4, 105: 4,
}  # fmt: skip
TREBLE = 48  # an instrument that goes no lower plays melodies, and no bass
KEYBOARDS = frozenset((0, 4, 6, 16, 19))  # of those the ones that two hands play

_STRINGS = ("violin", "violin", "viola", "cello")
_BRASS = ("trumpet", "french horn", "trombone", "tuba")
_WINDS = ("flute", "oboe", "clarinet", "bassoon")

# Name: (its words, its instruments from the highest part down).
ENSEMBLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "string quartet": (
        ("string quartet", "string quartette", "streichquartett", "quatuor a cordes", "strings", "streicher",
         "cordes", "archi", "cuerdas"),
        _STRINGS,
    ),
    "string trio": (("string trio",), ("violin", "viola", "cello")),
    "string quintet": (("string quintet",), ("violin", "violin", "viola", "viola", "cello")),
    "string sextet": (("string sextet",), ("violin", "violin", "viola", "viola", "cello", "cello")),
    "piano trio": (("piano trio",), ("violin", "cello", "piano")),
    "piano quartet": (("piano quartet",), ("violin", "viola", "cello", "piano")),
    "piano quintet": (("piano quintet",), (*_STRINGS, "piano")),
    "brass quartet": (
        ("brass quartet", "brass", "brasses", "brass choir", "cuivres", "ottoni", "blechblaser"),
        _BRASS,
    ),
    "brass quintet": (("brass quintet",), ("trumpet", *_BRASS)),
    "brass band": (("brass band", "marching band"), ("trumpet", *_BRASS)),
    "military band": (
        ("military band", "concert band", "wind band", "blaskapelle"),
        ("piccolo", "clarinet", "alto saxophone", "trumpet", "french horn", "trombone", "tuba"),
    ),
    "wind quartet": (
        ("wind quartet", "woodwind quartet", "woodwind", "woodwinds", "winds", "holzblaser", "bois"),
        _WINDS,
    ),
    "wind quintet": (
        ("wind quintet", "woodwind quintet", "wind ensemble"),
        ("flute", "oboe", "clarinet", "french horn", "bassoon"),
    ),
    "saxophone quartet": (
        ("saxophone quartet", "sax quartet"),
        ("alto saxophone", "alto saxophone", "tenor saxophone", "tenor saxophone"),
    ),
    "trombone quartet": (("trombone quartet",), ("trombone", "trombone", "trombone", "trombone")),
    "clarinet quintet": (("clarinet quintet",), ("clarinet", *_STRINGS)),
    "flute quartet": (("flute quartet",), ("flute", "violin", "viola", "cello")),
    "chamber orchestra": (
        ("chamber orchestra", "kammerorchester"),
        ("flute", "oboe", "french horn", "violin", "violin", "viola", "cello", "double bass"),
    ),
    "orchestra": (
        ("orchestra", "symphony orchestra", "full orchestra", "orchester", "orchestre", "orquesta",
         "orchestral", "philharmonic"),
        (*_WINDS, "french horn", "trumpet", *_STRINGS, "double bass"),
    ),
    "piano four hands": (("piano four hands", "four hands", "piano duet", "two pianos"), ("piano", "piano")),
}  # fmt: skip

NUMBERS = {"two": 2, "2": 2, "three": 3, "3": 3, "four": 4, "4": 4, "five": 5, "5": 5}


def fold(word: str) -> str:
    """A word as the tables know it: caseless and without accents ("Flöte" and "FLOTE" are both "flote")."""
    word = word.casefold()
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def words_of(text: str) -> tuple[str, ...]:
    """A phrase as folded words, hyphens being spaces."""
    return tuple(fold(text).replace("-", " ").split())


def _phrases() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Every phrase, as folded words, and the instruments that it names; plurals of the last word included."""
    phrases: dict[tuple[str, ...], tuple[str, ...]] = {}
    named = [(i.words, (i.name,)) for i in INSTRUMENTS.values()]
    for words, members in [*ENSEMBLES.values(), *named]:
        for word in words:
            key = words_of(word)
            phrases.setdefault(key, members)
            if key[-1].isalpha():  # an emoji has no plural
                phrases.setdefault((*key[:-1], f"{key[-1]}s"), members)
    return phrases


INSTRUMENT_PHRASES = _phrases()


def instruments_named(text: str | Iterable[str]) -> tuple[str, ...]:
    """Names out of `INSTRUMENTS` for "organ", "flute, guitar" or "string quartet and piano".

    Parts are separated by commas, "+", "&" or "and"; "2 violins" is two. Several texts are read in order.
    Raises ValueError for an unknown or empty name, and for more than `MAX_INSTRUMENTS`.
    """
    texts = [text] if isinstance(text, str) else list(text)
    if not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        raise ValueError(f"instruments is {text!r}; it should be names such as 'flute, guitar'")
    names: list[str] = []
    for part in (part for t in texts for part in re.split(r"[,+&;]|\band\b", t)):
        words = words_of(part)
        count = 1
        if len(words) > 1 and words[0] in NUMBERS and words not in INSTRUMENT_PHRASES:
            count, words = NUMBERS[words[0]], words[1:]
        if words not in INSTRUMENT_PHRASES:
            raise ValueError(unknown("instrument", part.strip(), (*INSTRUMENTS, *ENSEMBLES)))
        names.extend(INSTRUMENT_PHRASES[words] * count)
    if len(names) > MAX_INSTRUMENTS:
        raise ValueError(f"{len(names)} instruments are too many: ask for at most {MAX_INSTRUMENTS}")
    return tuple(names)


def unknown(kind: str, given: str, valid: Sequence[str], meant: str | None = None) -> str:
    """The sentence for a name that is not in a table: what was given, what is likely `meant`, else the nearest
    spelling, and all there are.
    """
    from difflib import get_close_matches

    near = [meant] if meant else get_close_matches(fold(given), valid, n=1, cutoff=0.6)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {given[:40]!r}{hint}: it must be one of {', '.join(valid)}"
