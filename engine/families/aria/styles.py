"""The styles that the composer knows: what each is usually like, and which training scores belong to it.

Knows musical habits: ensembles, metres, tempi, keys. Does not know how a prompt is read (`prompt`) or how a
choice is drawn from these habits (`controls`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Metre = tuple[int, int]

METRES: tuple[Metre, ...] = (
    (2, 4), (3, 4), (4, 4), (2, 2), (3, 2), (3, 8), (6, 8), (9, 8), (12, 8), (6, 4), (5, 4),
)  # fmt: skip

# Music moves in beats, tempi are counted in quarters: how much faster the quarters go where the beat is another
# note. Less than the beat's length in quarters (1.5 in 6/8, 2 in 2/2), because longer beats go slower.
_PACE_OF_METRE = {(6, 8): 1.3, (9, 8): 1.3, (12, 8): 1.3, (2, 2): 1.5, (3, 2): 1.5, (6, 4): 1.5, (3, 8): 0.75}


@dataclass(frozen=True)
class Style:
    """One style and its usual values.

    `words` name it in a prompt. Each of `ensembles` is (weight, instrument names), from the melody or the
    highest part down to the bass or the accompaniment; the first is the most usual. `at_home` are further
    instruments that it is often written for. `metres` are (metre, weight). `tempo` is the usual range in
    quarters a minute where the quarter is the beat, `tempos` that of single metres (see `tempo_in`).
    `minor` is the share of minor keys; `major_keys` and `minor_keys` are usual tonics, all equally likely.
    `weight` is how often an open prompt draws it; 0 means only when it is asked for. `brisk` styles are
    hardly ever drawn for slow music.
    """

    name: str
    words: tuple[str, ...]
    ensembles: tuple[tuple[float, tuple[str, ...]], ...]
    metres: tuple[tuple[Metre, float], ...]
    tempo: tuple[float, float]
    minor: float
    major_keys: str
    minor_keys: str
    at_home: tuple[str, ...] = ()
    tempos: tuple[tuple[Metre, tuple[float, float]], ...] = ()
    weight: float = 1.0
    brisk: bool = False

    def tempo_in(self, metre: Metre) -> tuple[float, float]:
        """The usual slowest and fastest tempo in `metre`, in quarters a minute."""
        for known, span in self.tempos:
            if known == metre:
                return span
        pace = _PACE_OF_METRE.get(metre, 1.0)
        return self.tempo[0] * pace, self.tempo[1] * pace


_FOUR_STRINGS = ("violin", "violin", "viola", "cello")
_FOUR_BRASS = ("trumpet", "french horn", "trombone", "tuba")

_ALL = (
    Style(
        name="chorale",
        words=("chorale", "choral", "hymn", "hymnal", "hymn tune", "church music", "choralsatz",
               "kirchenlied", "carol", "christmas carol", "gospel", "spiritual", "psalm", "cantique",
               "inno", "himno", "anthem"),
        ensembles=((5, ("church organ",)), (4, ("choir",)), (1, _FOUR_BRASS)),
        at_home=("voice", "piano", "trumpet", "trombone", "tuba", "french horn", "violin", "viola", "cello"),
        metres=(((4, 4), 6), ((3, 4), 3), ((3, 2), 1)),
        tempo=(60, 92),
        minor=0.25,
        major_keys="D G C F Bb Eb A",
        minor_keys="A D G E",
    ),
    Style(
        name="baroque",
        words=("baroque", "barock", "barocco", "barroco"),
        ensembles=((5, ("harpsichord",)), (2, ("church organ",)), (2, ("violin", "viola", "cello")),
                   (1, ("flute", "harpsichord")), (1, ("guitar",))),
        at_home=("piano", "oboe", "recorder", "lute", "trumpet", "bassoon", "violin", "flute", "cello"),
        metres=(((4, 4), 5), ((3, 4), 3), ((2, 2), 1.5), ((3, 8), 1), ((2, 4), 1), ((6, 8), 0.5),
                ((12, 8), 0.5)),
        tempo=(66, 112),
        minor=0.5,
        major_keys="C G D F Bb A",
        minor_keys="D A E G C",
    ),
    Style(
        name="classical",
        words=("classical", "classic", "klassik", "klassisch", "classique", "clasico", "classico", "galant",
               "viennese"),
        ensembles=((6, ("piano",)), (2, ("guitar",)), (1, ("flute", "guitar")), (1, ("violin", "piano"))),
        at_home=("flute", "clarinet", "bassoon", "oboe", "french horn", "violin", "viola", "cello",
                 "trumpet", "harp"),
        metres=(((4, 4), 4), ((2, 4), 3), ((3, 4), 2.5), ((6, 8), 1.5), ((2, 2), 1)),
        tempo=(80, 132),
        minor=0.2,
        major_keys="C G D F Bb A Eb",
        minor_keys="A D C G E",
    ),
    Style(
        name="romantic",
        words=("romantic", "romantik", "romantisch", "romantique", "romantico", "impressionist",
               "impressionism"),
        ensembles=((6, ("piano",)), (1, ("guitar",)), (1, ("clarinet", "piano")), (1, ("cello", "piano"))),
        at_home=("violin", "flute", "french horn", "viola", "harp", "clarinet", "oboe", "church organ",
                 "choir"),
        metres=(((4, 4), 4), ((3, 4), 3), ((2, 4), 2), ((6, 8), 2), ((2, 2), 1)),
        tempo=(63, 112),
        minor=0.4,
        major_keys="C G Ab Bb F Eb D E A",
        minor_keys="C A E D F G",
    ),
    Style(
        name="art song",
        words=("art song", "artsong", "lied", "lieder", "kunstlied", "chanson", "song cycle", "aria",
               "arie", "parlour song", "parlor song"),
        ensembles=((1, ("voice", "piano")),),
        at_home=("guitar", "viola", "clarinet", "flute"),
        metres=(((4, 4), 4), ((3, 4), 3), ((2, 4), 2.5), ((6, 8), 1.5), ((2, 2), 0.5)),
        tempo=(60, 108),
        minor=0.35,
        major_keys="C F G Eb D Bb Ab E A",
        minor_keys="A D G C E F",
    ),
    Style(
        name="quartet",
        words=("quartet music", "chamber music", "kammermusik", "streichquartett", "quatuor",
               "quatuor a cordes", "quartetto d'archi", "cuarteto de cuerdas"),
        ensembles=((1, _FOUR_STRINGS),),
        metres=(((4, 4), 4), ((3, 4), 2.5), ((2, 2), 1.5), ((2, 4), 1.5), ((6, 8), 1)),
        tempo=(69, 132),
        minor=0.3,
        major_keys="C G D A F Bb Eb",
        minor_keys="D G C A E",
    ),
    Style(
        name="folk",
        words=("folk", "folk song", "folk tune", "folk music", "folksong", "traditional", "trad", "celtic",
               "irish", "scottish", "gaelic", "ceilidh", "celidh", "country dance", "bluegrass", "old time",
               "oldtime", "volkslied", "volksmusik", "chanson populaire"),
        ensembles=((3, ("violin",)), (1, ("flute",)), (1, ("accordion",))),
        at_home=("fiddle", "flute", "recorder", "banjo", "steel guitar", "guitar", "piano", "voice", "harp",
                 "piccolo"),
        metres=(((4, 4), 4), ((6, 8), 3), ((2, 4), 2), ((3, 4), 2)),
        tempo=(92, 132),
        tempos=(((6, 8), (138, 180)),),
        minor=0.25,
        major_keys="D G A C",
        minor_keys="E A D B",
        weight=0.5,
        brisk=True,
    ),
    Style(
        name="march",
        words=("march", "marche", "marsch", "marcia", "marcha", "marching", "military", "parade"),
        ensembles=((3, ("piano",)), (2, ("piccolo", "clarinet", "alto saxophone", *_FOUR_BRASS))),
        at_home=("trumpet", "french horn", "trombone", "tuba", "brass section", "flute", "timpani",
                 "bassoon", "tenor saxophone"),
        metres=(((2, 4), 4), ((6, 8), 3), ((2, 2), 2), ((4, 4), 1)),
        tempo=(104, 126),
        tempos=(((6, 8), (160, 192)), ((2, 2), (200, 240))),  # one step to the beat, whatever note it is
        minor=0.1,
        major_keys="F Bb Eb C Ab",
        minor_keys="C G D F",
        weight=0.5,
        brisk=True,
    ),
    Style(
        name="ragtime",
        words=("ragtime", "rag", "rags", "cakewalk", "jazz", "early jazz", "stride", "honky tonk"),
        ensembles=((1, ("piano",)),),
        at_home=("banjo", "clarinet", "trumpet", "trombone", "tuba"),
        metres=(((2, 4), 1),),
        tempo=(69, 96),
        tempos=(((4, 4), (138, 192)), ((2, 2), (138, 192))),  # the same music in notes twice as long
        minor=0.08,
        major_keys="C F Bb Ab G Eb",
        minor_keys="A D C",
        weight=0.5,
        brisk=True,
    ),
    Style(
        name="renaissance",
        words=("renaissance", "renaissancemusik", "madrigal", "motet", "early music", "elizabethan",
               "tudor", "medieval"),
        ensembles=((3, ("choir",)), (2, ("guitar",)), (2, ("recorder", "recorder", "recorder")),
                   (1, ("church organ",))),
        at_home=("lute", "recorder", "viola", "cello", "voice", "harpsichord"),
        metres=(((4, 4), 4), ((2, 2), 2), ((3, 4), 2), ((3, 2), 1)),
        tempo=(76, 120),
        minor=0.5,
        major_keys="F C G D",
        minor_keys="D A G",
        weight=0.7,
    ),
    Style(
        name="japanese",
        words=("japanese", "japan", "koto", "shamisen", "shakuhachi", "japonais", "japanisch"),
        ensembles=((1, ("guitar",)),),
        at_home=("harp", "flute", "steel guitar", "banjo"),
        metres=(((4, 4), 1), ((2, 4), 1)),
        tempo=(76, 116),
        minor=0.7,
        major_keys="C D G",
        minor_keys="A E D",
        weight=0.0,
    ),
)  # fmt: skip

STYLES: dict[str, Style] = {style.name: style for style in _ALL}

# Where the index has no period, or one by another reckoning, the composer decides.
_COMPOSERS = {
    "baroque": "BachJS SanzG",
    "classical": "MozartWA BeethovenLv HaydnFJ BachCPE",
    "romantic": "RegerM ChopinFF FranckC SatieE SchumannR SchubertF TchaikovskyPI GriegE ScriabinA MinkusLA "
    "AdamA TarregaF MertzJK MercadanteS SardainL WorrallH BreyC CavalliniE Mendelssohn-BartholdyF StraussJJ "
    "PeaseAH BlumenthalJ BrahmsJ",
    "march": "SousaJP",
    "ragtime": "JoplinS TurpinT HunterC",
    "renaissance": "MorleyT",
    "chorale": "SchulzJAP HastingsT",
}
_STYLE_OF_COMPOSER = {composer: style for style, names in _COMPOSERS.items() for composer in names.split()}
_STYLE_OF_WORD = {
    "hymn": "chorale", "gospel": "chorale", "baroque": "baroque", "classical": "classical",
    "technique": "classical", "romantic": "romantic", "romantique": "romantic", "romanticism": "romantic",
    "modern": "romantic", "march": "march", "jazz": "ragtime", "renaissance": "renaissance", "folk": "folk",
    "popular / dance": "folk", "song": "art song", "strophic with chorus": "art song",
}  # fmt: skip
_JAPANESE = re.compile(r"koto|shamisen|shakuhachi")
_VOICE_AND_PIANO = re.compile(r"(voice|mezzo)\b.*\b(piano|organ)|2 voices")
_PART_SONG = re.compile(r"^voice,? \(s(?!.*orchestra)")  # four voices by themselves
# Bach's four-part settings, the Schemelli songbook's, and the Orgelbuechlein, with its tunes plain in the
# soprano.
_BACH_CHORALES = (range(250, 439), range(439, 508), range(510, 513), range(599, 645))


def style_of(row: dict[str, str]) -> str:
    """The style that a row of the training index belongs to, one of `STYLES`.

    Reads `file`, `title` (in Mutopia's rows with the instruments in brackets), `composer` and `style`. In
    order: the folder of songs and that of quartets; instruments that tell more than a period (koto, four
    voices, voice and piano, string quartet); Bach's chorales; the composer, where known; the index's own
    style. A row that none of these place is romantic: the rest of the index is nineteenth-century parlour
    music.
    """
    file, title, label = row["file"], row["title"].lower(), row["style"].lower()
    if file.startswith("lieder/"):
        return "art song"
    if file.startswith("quartets/"):
        return "quartet"
    brackets = title[title.rfind("[") + 1 : -1] if title.endswith("]") else ""
    composer = row["composer"] or re.split(r"-(?:O\d|KV)", file.split("/")[-1])[0]
    style = _STYLE_OF_COMPOSER.get(composer)
    if _JAPANESE.search(brackets):
        return "japanese"
    if label in ("hymn", "gospel", "march", "jazz", "renaissance"):
        return "chorale" if style == "chorale" else _STYLE_OF_WORD[label]
    if style in ("march", "ragtime", "renaissance", "chorale"):
        return style
    if composer in ("Traditional", "Anonymous") and label in ("folk", "song", "strophic with chorus"):
        return "folk"
    if composer == "BachJS" and _is_bach_chorale(file, title):
        return "chorale"
    if label != "baroque" and style != "baroque":
        if _PART_SONG.search(brackets) or "chorale" in title:
            return "chorale"
        if "string quartet" in brackets:
            return "quartet"
        if _VOICE_AND_PIANO.search(brackets):
            return "art song"
    if label == "" and brackets == "organ":
        return "chorale"  # settings of hymn tunes
    return style or _STYLE_OF_WORD.get(label, "romantic")


def _is_bach_chorale(file: str, title: str) -> bool:
    number = re.search(r"-BWV(\d+)", file)
    if number and any(int(number[1]) in span for span in _BACH_CHORALES):
        return True
    return "chorale" in title or "choral " in title or file.startswith("mutopia/BachJS-Nun-komm")
