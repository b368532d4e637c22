"""The words of a prompt and what each one claims: the open vocabulary as one table.

Knows meanings of single phrases. Does not know how phrases are found in a text (`prompt`). A claim is (slot,
value, rank): of two claims on one slot the higher rank wins, then the later one.
"""

from __future__ import annotations

from typing import Any

from clavilux.audio.arranging.library import band_words
from clavilux.families.aria.instruments import ENSEMBLES, INSTRUMENT_PHRASES, words_of
from clavilux.families.aria.styles import STYLES, Metre

Claim = tuple[str, Any, int]  # the value is of the slot's type: see `prompt.ParsedPrompt`
Phrase = tuple[str, ...]

# Ranks of claims on a style: "Bach" says baroque, but "Bach chorale" is a chorale and "Schubert song" a song.
FORM, COMPOSER, GENRE_HINT, PERIOD, GENRE = 1, 2, 3, 4, 5
# Ranks on everything else: implied by a form, implied by a mood, a word, a number.
MOOD, WORD, EXACT = 2, 3, 4

# Where a tempo word lies in a style's usual range of tempi: 0 is its slowest, 1 its fastest.
PACES: dict[str, tuple[float, float]] = {
    "very slow": (-1.1, -0.7),
    "slow": (-0.6, -0.1),
    "unhurried": (-0.1, 0.3),
    "moderate": (0.3, 0.65),
    "lively": (0.6, 1.0),
    "fast": (0.9, 1.3),
    "very fast": (1.3, 1.8),
}

_PACE_WORDS = {
    "very slow": "very slow, extremely slow, really slow, largo, grave, larghissimo, adagissimo, "
    "tres lent, sehr langsam, muy lento, molto lento, very slowly",
    "slow": "slow, slowly, slower, adagio, lento, larghetto, lent, lente, lentement, langsam, langsamer, "
    "getragen, sostenuto, down tempo, downtempo",
    "unhurried": "unhurried, leisurely, andante, andantino, walking pace, andante con moto, gehend, "
    "a bit slow, a little slow, rather slow",
    "moderate": "moderate, moderately, moderato, medium tempo, mid tempo, midtempo, medium speed, massig, "
    "modere",
    "lively": "lively, allegretto, brisk, briskly, spirited, animated, upbeat, up tempo, uptempo, "
    "con moto, lebhaft, allegro moderato, allegro ma non troppo, allegro non troppo, a bit fast, "
    "rather fast",
    "fast": "fast, faster, quick, quickly, quicker, rapid, rapidly, speedy, swift, allegro, "
    "allegro con brio, con brio, schnell, vite, rapide, rapido, veloce, energetic, driving",
    "very fast": "very fast, very quick, extremely fast, really fast, super fast, presto, prestissimo, "
    "vivace, vivacissimo, allegro assai, allegro molto, allegro vivace, sehr schnell, tres vite, "
    "muy rapido, breakneck",
}  # fmt: skip

_DENSITY_WORDS = {
    "sparse": "sparse, sparsely, simple, simply, minimal, minimalist, bare, airy, thin, open, plain, "
    "easy, einfach, uncluttered",
    "medium": "medium density, moderate density",
    "dense": "dense, busy, complex, rich, thick, ornate, virtuosic, virtuoso, intricate, elaborate, "
    "florid, many notes, lots of notes, contrapuntal",
}  # fmt: skip

_SECTION_WORDS = {
    "opening": "opening, intro, introduction, beginning",
    "middle": "middle, middle section, bridge, development",
    "closing": "closing, ending, finale, coda, outro, conclusion, final bars",
    "whole": "whole, whole piece, complete, complete piece, entire piece",
}

_MODE_WORDS = {
    "major": "major, major key, dur, majeur, maggiore, mayor",
    "minor": "minor, minor key, moll, mineur, minore, menor",
}

# (mode, pace, density) and the words that imply them; None claims nothing.
_MOODS: tuple[tuple[tuple[str | None, str | None, str | None], str], ...] = (
    (("minor", "unhurried", None),
     "sad, sadness, sorrowful, mournful, melancholy, melancholic, melancholia, tragic, grief, lament, "
     "lamento, elegy, elegiac, plaintive, triste, traurig, mesto, doleful, heartbroken, lonely, tristesse"),
    (("minor", None, None),
     "dark, sinister, ominous, spooky, eerie, haunted, haunting, scary, menacing, brooding, moody, bleak, "
     "gloomy, mysterious, dramatic, duster, dunkel, sombre, somber, cupo, oscuro, tense, halloween"),
    (("minor", "fast", "dense"),
     "stormy, furious, angry, agitated, agitato, fierce, wild, tempestuous, appassionato"),
    (("major", None, None),
     "happy, happily, happiness, joyful, joyous, joy, glad, sunny, bright, uplifting, optimistic, "
     "hopeful, triumphant, heroic, festive, frohlich, heiter, joyeux, joyeuse, gai, feliz, felice, "
     "alegre, gioioso, glorious"),
    (("major", "lively", None),
     "cheerful, cheerfully, merry, jolly, playful, jaunty, bouncy, lustig, munter, scherzando, giocoso"),
    ((None, "unhurried", "sparse"),
     "calm, calmly, peaceful, gentle, gently, tranquil, serene, relaxing, relaxed, soothing, dreamy, "
     "quiet, quietly, meditative, sleepy, ruhig, calme, tranquillo, tranquilo, still"),
    ((None, "unhurried", None),
     "majestic, solemn, noble, stately, maestoso, pastoral, lyrical, tender, cantabile"),
    ((None, "lively", None),
     "dance, dances, dancing, danse, tanz, danza, danses"),
)  # fmt: skip


def _form(
    words: str,
    style: str,
    metre: Metre | None = None,
    span: tuple[float, float] | None = None,
    *claims: Claim,
) -> tuple[str, tuple[Claim, ...]]:
    kind = words.split(",")[0]
    implied = (("metre", metre, FORM), ("span", span, FORM), ("style", style, FORM), ("kind", kind, FORM))
    return words, (*claims, *(claim for claim in implied if claim[1] is not None))


# Forms that a composer may have learned as styles of their own, with the style that each belongs to.
KINDS = {
    "jig": "folk", "slip jig": "folk", "reel": "folk", "hornpipe": "folk", "strathspey": "folk", "polka": "folk",
    "krakowiak": "folk", "air": "folk", "waltz": "romantic", "mazurka": "romantic", "polonaise": "romantic",
    "minuet": "classical", "hymn": "chorale",
}  # fmt: skip

# Words of a form, and what it implies: style, metre, usual tempi in quarters a minute, further claims.
_FORMS = (
    _form("waltz, viennese waltz, wiener walzer, valse, walzer, vals, valzer, landler",
          "romantic", (3, 4), (126, 174)),
    _form("jig, jigs, irish jig, double jig", "folk", (6, 8), (160, 190)),
    _form("slip jig", "folk", (9, 8), (160, 190)),
    _form("reel, reels, irish reel", "folk", (2, 2), (184, 224)),
    _form("hornpipe", "folk", (2, 2), (152, 184)),
    _form("strathspey", "folk", (4, 4), (112, 138)),
    _form("air, airs, slow air, irish air, slow irish air", "folk", None, (63, 90)),
    _form("polka, polca, galop", "folk", (2, 4), (104, 126)),
    _form("krakowiak, cracovienne, krakowiaki", "folk", (2, 4), (100, 132)),
    _form("tarantella", "folk", (6, 8), (190, 230)),
    _form("mazurka", "romantic", (3, 4), (112, 144)),
    _form("polonaise, polacca", "romantic", (3, 4), (84, 104)),
    _form("barcarolle, barcarole", "romantic", (6, 8), (72, 96)),
    _form("bolero", "romantic", (3, 4), (66, 80)),
    _form("tango, habanera", "romantic", (2, 4), (56, 72)),
    _form("lullaby, cradle song, berceuse, wiegenlied, schlaflied, ninna nanna, nana",
          "romantic", (3, 4), (63, 84), ("density", "sparse", FORM)),
    _form("nocturne, notturno, reverie, romance, romanze",
          "romantic", None, None, ("pace", "unhurried", FORM)),
    _form("ballade, impromptu, rhapsody, intermezzo, arabesque, song without words, barcarola", "romantic"),
    _form("minuet, menuet, menuett, minuetto, menuetto", "classical", (3, 4), (96, 126)),
    _form("scherzo", "classical", (3, 4), (150, 200)),
    _form("sonata, sonatina, sonate, rondo, bagatelle, serenade, divertimento, symphony, overture",
          "classical"),
    _form("etude, study, studies, exercise", "classical", None, None, ("density", "dense", FORM)),
    _form("sarabande, sarabanda", "baroque", (3, 4), (50, 69)),
    _form("passacaglia, chaconne, ciaccona", "baroque", (3, 4), (60, 84)),
    _form("gavotte", "baroque", (2, 2), (132, 168)),
    _form("bourree", "baroque", (2, 2), (150, 184)),
    _form("gigue, giga", "baroque", (6, 8), (150, 186)),
    _form("allemande", "baroque", (4, 4), (60, 84)),
    _form("courante, corrente", "baroque", (3, 4), (100, 132)),
    _form("siciliana, siciliano, sicilienne", "baroque", (6, 8), (54, 76)),
    _form("fugue, fuga, fuge, fughetta, prelude, praeludium, preludio, toccata, invention, sinfonia, "
          "partita, suite, canon, concerto, trio sonata, chorale prelude",
          "baroque"),
    _form("pavane, pavan", "renaissance", (2, 2), (104, 128)),
    _form("galliard, gaillarde", "renaissance", (3, 4), (120, 150)),
    _form("saltarello", "renaissance", (6, 8), (170, 204)),
    _form("branle, ricercar, ricercare, intabulation", "renaissance"),
    _form("funeral march, marche funebre, marcia funebre, trauermarsch",
          "march", (4, 4), (50, 66), ("style", "march", GENRE), ("mode", "minor", MOOD)),
    _form("wedding march, hochzeitsmarsch",
          "march", (4, 4), (92, 112), ("style", "march", GENRE), ("mode", "major", MOOD)),
    _form("two step, twostep", "march", (6, 8), (160, 192)),
    _form("foxtrot", "ragtime", (4, 4), (112, 138)),
    _form("slow drag", "ragtime", (2, 4), (56, 72), ("style", "ragtime", GENRE)),
    _form("requiem, dies irae", "chorale", None, None, ("mode", "minor", MOOD)),
)  # fmt: skip

_COMPOSERS = {
    "renaissance": "dowland, palestrina, byrd, william byrd, tallis, josquin, praetorius, gibbons, "
    "morley, lassus, victoria, gesualdo, susato, galilei",
    "baroque": "bach, handel, haendel, vivaldi, telemann, purcell, scarlatti, rameau, couperin, corelli, "
    "pachelbel, buxtehude, lully, monteverdi, frescobaldi, albinoni, froberger",
    "classical": "mozart, haydn, beethoven, clementi, czerny, kuhlau, boccherini, giuliani, carulli, "
    "carcassi, fernando sor, diabelli",
    "romantic": "schubert, schumann, clara schumann, brahms, chopin, liszt, mendelssohn, tchaikovsky, "
    "tschaikowski, tchaikovski, grieg, dvorak, faure, debussy, satie, ravel, verdi, wagner, franck, "
    "mussorgsky, rachmaninoff, rachmaninov, scriabin, tarrega, elgar, saint saens, johann strauss, "
    "strauss, bruckner, mahler, smetana, bizet, fanny hensel, borodin",
    "art song": "hugo wolf, stephen foster",
    "march": "sousa",
    "ragtime": "joplin, scott joplin",
}  # fmt: skip

# What a composer or a form is usually played on, where no instrument is named.
_SCORING = {
    ("piano",): "beethoven, clementi, czerny, kuhlau, diabelli, chopin, liszt, schumann, brahms, grieg, "
    "debussy, satie, ravel, rachmaninoff, rachmaninov, scriabin, mussorgsky, nocturne, waltz, valse, walzer, "
    "mazurka, polonaise, ballade, impromptu, arabesque, song without words, etude, sonatina, sonata, "
    "scherzo, joplin, scott joplin",
    ("guitar",): "fernando sor, giuliani, carulli, carcassi, tarrega",
    ("lute",): "dowland, galilei, intabulation",
    ("harpsichord",): "scarlatti, rameau, couperin, invention, partita, suite, allemande, gavotte, bourree, "
    "gigue",
    ("church organ",): "buxtehude, toccata, passacaglia, chorale prelude",
    ("violin", "viola", "cello"): "vivaldi, corelli, trio sonata",
    ("choir",): "palestrina, tallis, josquin, lassus, victoria, gesualdo, gibbons, morley, requiem",
    ("piccolo", "clarinet", "alto saxophone", "trumpet", "french horn", "trombone", "tuba"): "sousa",
    ENSEMBLES["orchestra"][1]: "symphony, overture",
}  # fmt: skip

_METRE_WORDS = {
    (2, 4): "two four, duple time",
    (3, 4): "three four, triple time, triple metre, triple meter, in three, dreivierteltakt",
    (4, 4): "four four, common time, in four",
    (2, 2): "cut time, alla breve, two two",
    (6, 8): "six eight, compound time",
    (9, 8): "nine eight",
    (12, 8): "twelve eight",
    (3, 8): "three eight",
    (5, 4): "five four, in five",
    (3, 2): "three two",
    (6, 4): "six four",
}  # fmt: skip

_DRUM_WORDS = {
    "brushes": "brushes, brush drums, brushed drums, drums with brushes, jazz brushes",
    "light": "light drums, soft drums, quiet drums, gentle drums, light percussion",
    "sticks": "cross stick, cross sticks, side stick, rim clicks",
}

_ALONE_WORDS = (
    "alone, solo, unaccompanied, without accompaniment, no accompaniment, single line, monophonic, a single voice, "
    "allein, unbegleitet, ohne begleitung, seul, seule, sans accompagnement, senza accompagnamento"
)
_LOUD_WORDS = "epic, epic music, trailer, trailer music"  # of a band's sections
_COUNTS = {2: "duet, duo, duett", 3: "trio, trios", 4: "quartet, quartett, quartetto", 5: "quintet, quintett"}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


NEGATIONS = _set("no not without non sans ohne senza sin kein keine keinen nicht never minus except excluding avoid")
NEGATIONS |= _set("don't dont isn't nor")
JOINS = _set("and or nor und oder et ou e y o")
BREAKS = _set("but only just instead rather")  # what follows these is meant

# Phrases that look like something else and claim nothing.
_IDLE = ("non troppo", "ma non troppo", "non tanto", "not only", "grand", "no matter", "to study")

# Styles that nothing is known of, though a word in their name is: "drum and bass" is no piece for double bass.
STRANGE = frozenset(
    words_of(words)
    for words in (
        "drum and bass", "drum n bass", "classic rock", "acid jazz", "electronic dance music",
        "classical trance", "swing house", "horn house", "dance pop", "dance punk", "bass house", "bass boosted",
        "french house", "japanese pop", "piano house",
    )
)  # fmt: skip

STOP_WORDS = _set(
    """a an the in on of for with and or to by at from is are be was as into over than then that this
    these those it its my me i i'd i'm we us our you your he she his her they their them some any one so
    such very really quite rather bit little more most much too also just only but like please want
    would could can need give let make makes making create generate write compose play played plays
    playing perform using featuring feat plus when where there here up about kind type set part parts use
    used long short
    per style styles manner music musical piece pieces tune tunes work theme melody track composition
    arrangement version something sound sounds sounding feel feeling mood key keys time times metre
    meter tempo bpm bars bar beat beats minute minutes second seconds chords chord progression harmony
    der die das den dem des ein eine einen einem einer fur mit und auf von im zu ist bitte stuck musik
    le la les un une pour avec et en sur de du au aux dans musique morceau il gli uno con e su di da
    nel nella musica brano el los las y para sobre del al una pieza"""
)


def _split(words: str) -> list[Phrase]:
    return [words_of(word) for word in words.split(",")]


def _table() -> dict[Phrase, tuple[Claim, ...]]:
    table: dict[Phrase, dict[str, Claim]] = {}

    def add(phrases: list[Phrase], *claims: Claim) -> None:
        for phrase in phrases:
            known = table.setdefault(phrase, {})
            for claim in claims:
                known.setdefault(claim[0], claim)

    for phrase, members in INSTRUMENT_PHRASES.items():
        add([phrase], ("instruments", members, WORD))
    add([words_of(word) for word in ENSEMBLES["string quartet"][0] if "quart" in word or "quat" in word],
        ("style", "quartet", GENRE_HINT))  # fmt: skip
    for name, asking in band_words().items():
        add([words_of(word) for word in asking], ("style", name, GENRE))
    add([("hymn",), ("hymnal",), ("hymn", "tune")], ("kind", "hymn", FORM))
    for style in STYLES.values():
        period = style.name in ("renaissance", "baroque", "classical", "romantic")
        add([words_of(word) for word in style.words], ("style", style.name, PERIOD if period else GENRE))
    add([("song",), ("songs",), ("ballad",)], ("style", "art song", GENRE_HINT))
    for pace, words in _PACE_WORDS.items():
        add(_split(words), ("pace", pace, WORD))
    for words, claims in _FORMS:
        add(_split(words), *claims)
    for name, words in _COMPOSERS.items():
        add(_split(words), ("style", name, COMPOSER))
    for names, words in _SCORING.items():
        for phrase in _split(words):
            _, of_style, rank = table[phrase]["style"]
            add([phrase], ("ensemble", (of_style, names), rank))
    for slot, by_value in (("density", _DENSITY_WORDS), ("section", _SECTION_WORDS), ("mode", _MODE_WORDS),
                           ("metre", _METRE_WORDS), ("count", _COUNTS), ("drums", _DRUM_WORDS)):  # fmt: skip
        for value, words in by_value.items():
            add(_split(words), (slot, value, WORD))
    add([("power", "trio")], ("count", 3, WORD), ("style", "rock", GENRE_HINT))
    add(_split(_LOUD_WORDS), ("highlight", "loud", WORD))
    add(_split(_ALONE_WORDS), ("alone", True, WORD))
    for implied_values, words in _MOODS:
        implied = tuple(
            (slot, value, MOOD) for slot, value in zip(("mode", "pace", "density"), implied_values, strict=True)
        )
        add(_split(words), *(claim for claim in implied if claim[1] is not None))
    add([("quartet",), ("quartett",), ("quartetto",)], ("style", "quartet", FORM))
    add([words_of(words) for words in _IDLE])
    add(sorted(STRANGE))
    return {phrase: tuple(claims.values()) for phrase, claims in table.items()}


PHRASES = _table()
LONGEST: dict[str, int] = {}  # first word: the number of words in the longest phrase that starts with it
for _phrase in PHRASES:
    LONGEST[_phrase[0]] = max(LONGEST.get(_phrase[0], 0), len(_phrase))
