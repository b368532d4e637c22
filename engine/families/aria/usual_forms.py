"""The form that a kind of music has where nobody asks for one: a jig is AABB in parts of eight bars.

Knows kinds by their names (`lexicon`) and styles, and how parts fill a number of bars. Does not know keys or chords
(`form`). Which bars of a part come again in it or in the next, and where in its last bar a piece ends, so that with an
upbeat it begins anew, was counted in the tunes of O'Neill's and Ryan's collections and in dances from Polish archives;
how often parts of eight bars return in other styles, and how much of them, in the first 32 bars of up to 150 scores of
each: in quartets and orchestral movements 3 to 8 % of them do, in art songs 9 %, in piano music of the classics and
romantics 17 %, in dances 40 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from clavilux.audio.harmony import Key
from clavilux.families.aria.cadences import Close
from clavilux.families.aria.form import Motif
from clavilux.families.aria.form_names import Form, FormPart
from clavilux.families.aria.phrases import BARS as WHOLE
from clavilux.families.aria.phrases import PhraseBar, Phrases, Shape, counted, read_phrase, read_shapes
from clavilux.families.aria.seeded import draw, weighted
from clavilux.families.aria.styles import Metre

SQUARE = (8, 4)  # bars of a part
_FEWEST = 8  # bars of which a form is made; fewer are one part
# What speaks against parts that fill a number of bars: each bar left over, parts shorter than usual, no whole rounds,
# and not even one.
_ODD_BAR, _SHORT_PARTS, _BROKEN_ROUND, _PART_OF_ROUND = 1.0, 2.0, 1.0, 3.0


Closes = tuple[tuple[float, Close], ...]


@dataclass(frozen=True)
class UsualForm:
    """What a kind of music usually is.

    Attributes:
        letters: the parts of one round, "AABB"; a small letter returns with other notes.
        others: (weight, letters) of other rounds that it may have, beside `letters` of weight 1.
        part: bars of a part where the form decides the length.
        more: the parts of each further round; "" for `letters` again.
        decides: how long a piece is where nobody says.
        dances: parts have four or eight bars, and what is left over comes after them; otherwise parts give way.
        phrases: pieces in parts of eight bars: what each has of those before it, and its melody's shape (`phrases`).
        anew: (weight, bars): how many of the last bars of a part that returns have other notes.
        cadences: the share of parts whose last bar but one is planned; a tune's leads to its end in many ways.
        closes: (weight, on what a part ends); those of collections' tunes do so on the tonic both times.
        breaths: the shares of fourth and of eighth bars in whose second half the melody rests, or all hold their notes.
        ends_at: share of the last bar after which the last notes begin.
        ends: (weight, share): other such shares, beside `ends_at` of weight 1.
        upbeat_after: the share of pieces whose last notes leave room for an upbeat.
        chart: bars of the chart that is played, of which a part has one or several; 1 where there is none.
    """

    letters: str
    others: tuple[tuple[float, str], ...] = ()
    part: int = 8
    more: str = ""
    decides: bool = True
    dances: bool = False
    phrases: Phrases = Phrases()
    anew: tuple[tuple[float, int], ...] = ()
    cadences: float = 1.0
    closes: Closes = ((1.0, "open"),)
    breaths: tuple[float, float] = (0.0, 0.0)
    ends_at: float = 0.0
    ends: tuple[tuple[float, float], ...] = ()
    upbeat_after: float = 0.0
    chart: int = 1

    def sections(self, num_bars: int) -> list[FormPart] | None:
        """The parts that fill so many bars; None for no bars at all."""
        if num_bars < 1:
            return None
        if num_bars < _FEWEST:
            return [FormPart("A", num_bars)]
        size = self._size(num_bars)
        left = num_bars % size
        found = [FormPart(name.upper(), size, name.islower()) for name in self._names(num_bars // size)]
        if left and not self.dances and self.chart == 1:
            parts = tuple(replace(part, bars=None) for part in found)
            given_way = Form(self.letters, parts).sections(num_bars)
            if given_way is not None:
                return given_way
        return [*found, *([FormPart("outro", left)] if left else [])]

    def usual(self) -> int | None:
        """Bars where nobody says how many; None where the form does not decide it."""
        return self.part * len(self.letters) if self.decides else None

    def whole_rounds(self, num_bars: int) -> bool:
        """Whether so many bars are one round or several."""
        size = self._size(num_bars)
        return num_bars >= _FEWEST and num_bars % size == 0 and not self._broken(num_bars // size)

    def whole_parts(self, num_bars: int) -> bool:
        """Whether so many bars are parts of the usual length, of which a round has several, or shorter ones."""
        size = self._size(num_bars)
        return num_bars >= _FEWEST and num_bars % size == 0 and (size == self.part or num_bars < 3 * self.part)

    def like(self, name: str, bars: int, seed: int) -> list[tuple[str, int]]:
        """Of each bar of a part (part, number in it) of the bar that it is: itself, or one that comes again."""
        found: list[tuple[str, int]] = []
        for number, bar in enumerate(self._phrase(name, bars, seed)):
            own = (name, number)
            found.append(self._root(bar, own, found, seed) if bar.is_again and bar != PhraseBar(number) else own)
        return found

    def motifs(self, name: str, bars: int, key: Key, seed: int) -> dict[int, Motif]:
        """What bars of a part take up of other bars, by their numbers."""
        again = self.like(name, bars, seed)
        taken = ((number, bar) for number, bar in enumerate(self._phrase(name, bars, seed)) if not bar.is_again)
        return {
            number: Motif(self._root(bar, (name, number), again, seed), key, bar.steps, bar.anew)
            for number, bar in taken
        }

    def _root(
        self, bar: PhraseBar, own: tuple[str, int], again: Sequence[tuple[str, int]], seed: int
    ) -> tuple[str, int]:
        """(part, number in it) of the bar that one takes up, or is, where that is no other again; `again` says that of
        those before it in its own part.
        """
        if not bar.in_first or own[0] == self.letters[0]:
            return again[bar.number]
        first = self.like(self.letters[0], bar.number + 1, seed)
        return first[bar.number]

    def shapes(self, name: str, bars: int, seed: int) -> dict[int, Shape]:
        """The melody in bars of a part, by their numbers."""
        texts = enumerate(self._drawn_phrases(name, bars, seed))
        return {WHOLE * at + n: shape for at, text in texts for n, shape in enumerate(read_shapes(text))}

    def new_bars(self, place: int, bars: int, seed: int) -> int:
        """How many of the last bars of a part that returns at `place` among the parts have other notes."""
        return min(_drawn(self.anew, seed, f"anew:{place}"), bars // 2) if self.anew else 0

    def breathes(self, name: str, number: int, seed: int) -> bool:
        """Whether the melody rests in the second half of a bar of a part."""
        half, place = divmod(number % WHOLE, WHOLE // 2)
        return place == WHOLE // 2 - 1 and draw(seed, f"breath:{name}:{number}") < self.breaths[half]

    def plans_cadence(self, name: str, seed: int) -> bool:
        """Whether the chords of the last bar but one of a part are planned."""
        return draw(seed, f"planned:{name}") < self.cadences

    def close(self, name: str, seed: int) -> Close:
        """On what a part ends that neither leads back nor ends the piece."""
        return _drawn(self.closes, seed, f"closes:{name}")

    def _phrase(self, name: str, bars: int, seed: int) -> list[PhraseBar]:
        """What the bars of a part have of each other, eight by eight."""
        if not self.phrases.pieces:
            return [PhraseBar(number) for number in range(bars)]
        found: list[PhraseBar] = []
        for text in self._drawn_phrases(name, bars, seed):
            first = len(found)
            for number, bar in enumerate(read_phrase(text), first):
                missing = bar.number >= bars or (not first and name == self.letters[0])
                kept = bar if bar.in_first else replace(bar, number=first + bar.number)
                found.append(PhraseBar(number) if bar.in_first and missing else kept)
        return found[:bars]

    def _drawn_phrases(self, name: str, bars: int, seed: int) -> list[str]:
        """The phrases of a part: those of one piece, in its order; where that has no more, of another one."""
        if not self.phrases.pieces:
            return []
        count = -(-bars // WHOLE)
        piece = _drawn(self.phrases.pieces, seed, "phrases")
        place = ord(name) - ord("A") if len(name) == 1 else int(draw(seed, f"phrases:{name}") * len(piece))
        first = count * place
        found = list(piece[first : first + count])
        others = [(weight, phrases[-1]) for weight, phrases in self.phrases.pieces]
        return [*found, *(_drawn(others, seed, f"phrases:{name}:{at}") for at in range(len(found), count))]

    def _size(self, num_bars: int) -> int:
        """Bars of a part."""
        sizes = [size for size in SQUARE if size % self.chart == 0 and 2 * size <= num_bars]
        return min(sizes, key=lambda size: self._against(num_bars, size), default=num_bars)

    def _against(self, num_bars: int, size: int) -> float:
        count, left = divmod(num_bars, size)
        return left * _ODD_BAR + (size < self.part) * _SHORT_PARTS + self._broken(count)

    def _broken(self, count: int) -> float:
        """What speaks against so many parts, which are no whole rounds; 0 for those that are."""
        if count < len(self.letters):
            return _PART_OF_ROUND
        return _BROKEN_ROUND if not self.more and count % len(self.letters) else 0.0

    def _names(self, count: int) -> str:
        """So many parts; what ends as it began does so however long it is."""
        if count == 2:
            return "AA" if self.letters.startswith("AA") else self.letters[:2]
        names = self.letters
        while len(names) <= count:
            names += self.more or self.letters
        if self.letters[-1] != self.letters[0] or names[count - 1] == names[0]:
            return names[:count]
        return names[1 : count + 1] if names[0] == names[1] else names[0] + names[: count - 1]


T = TypeVar("T")


def _drawn(choices: Sequence[tuple[float, T]], seed: int, name: str) -> T:
    """One of (weight, choice)."""
    return weighted([(choice, weight) for weight, choice in choices], seed, name)


_ANEW = ((1, 0), (3, 1), (2, 2), (4, 4))
# Every eighth bar ends on the tonic in 0.8 of tunes, in half of Polish dances and of hymns, in a third of other music;
# on the dominant in 0.05, 0.3, 0.3 and 0.3, and else anywhere.
_TUNES_CLOSE: Closes = ((75, "home"), (20, "free"), (5, "open"))
_DANCES_CLOSE: Closes = ((30, "home"), (30, "open"), (20, "dominant"), (20, "free"))
_OTHERS_CLOSE: Closes = ((20, "home"), (15, "dominant"), (65, "free"))
_HYMNS_CLOSE: Closes = ((40, "home"), (25, "dominant"), (35, "free"))

_JIG = UsualForm(
    "AABB",
    dances=True,
    phrases=counted("jig"),
    cadences=0.15,
    closes=_TUNES_CLOSE,
    ends_at=1 / 2,
    upbeat_after=1.0,
)
_HORNPIPE = replace(_JIG, phrases=counted("hornpipe"))
_REEL = replace(_HORNPIPE, phrases=counted("reel"), ends_at=3 / 4, ends=((0.4, 1 / 2),))
_WALTZES = UsualForm(
    "AABB", more="CCAABB", dances=True, phrases=counted("waltz"), closes=_DANCES_CLOSE, upbeat_after=0.6
)
_POLISH = replace(_WALTZES, ends_at=1 / 3, upbeat_after=0.3)
_SONG = UsualForm("AABA", part=4, more="BA", anew=_ANEW)
_SUITE = UsualForm("AABB", part=4, dances=True)
_THREE = UsualForm("ABA", more="CABA", anew=_ANEW)
_NEW_PARTS = UsualForm("ABCD", decides=False, anew=_ANEW, cadences=0.75, closes=_OTHERS_CLOSE)
_HYMN = UsualForm(
    "ABCD",
    part=4,
    others=((0.5, "AABA"), (0.5, "AABC"), (0.25, "ABAC")),
    anew=_ANEW,
    closes=_HYMNS_CLOSE,
    breaths=(0.75, 0.75),
)

SONG = "song"  # the style of melodies under a band's chords, or of songs that nobody accompanies
# By the name of the kind; None for music that goes on without parts that return.
_OF_KINDS: dict[str, UsualForm | None] = {
    "jig": _JIG, "tarantella": _JIG, "two step": _JIG, "reel": _REEL, "hornpipe": _HORNPIPE,
    "slip jig": replace(_JIG, phrases=counted("slip jig"), ends_at=2 / 3),
    "strathspey": replace(_REEL, phrases=counted("strathspey")),
    "polka": replace(_WALTZES, phrases=counted("polka"), ends_at=1 / 2), "waltz": _WALTZES,
    "krakowiak": replace(_WALTZES, phrases=counted("krakowiak"), ends_at=1 / 2),
    "mazurka": replace(_POLISH, phrases=counted("mazurka"), breaths=(0.13, 0.38)),
    "polonaise": replace(_POLISH, letters="ABA", ends_at=2 / 3, more="CABA", phrases=counted("polonaise")),
    "minuet": replace(_POLISH, phrases=counted("minuet"), ends_at=2 / 3, ends=((0.6, 1 / 3), (0.4, 0.0)),
        upbeat_after=0.7),
    "air": UsualForm("AB", more="CD", dances=True, phrases=counted("air"),
        cadences=0.15, closes=_TUNES_CLOSE,
        ends=((1, 1 / 2),), upbeat_after=0.8),
    "lullaby": _SONG, "hymn": _HYMN, "foxtrot": UsualForm("AABA", more="BA"), "wedding march": _SONG,
    "funeral march": replace(_THREE, part=4), "passacaglia": UsualForm("Aaaa", part=4),
    "sarabande": _SUITE, "allemande": _SUITE, "courante": UsualForm("AABB", dances=True), "siciliana": _SUITE,
    "gavotte": UsualForm("AABB", dances=True, ends_at=1 / 2), "bourree": UsualForm("AABB", dances=True, ends_at=1 / 2),
    "gigue": replace(_JIG, cadences=1.0, closes=_DANCES_CLOSE),
    "pavane": UsualForm("AABBCC", part=4, dances=True),
    "galliard": UsualForm("AABBCC", part=4, dances=True), "saltarello": _JIG, "tango": UsualForm("AABB"),
    "bolero": _THREE, "barcarolle": replace(_THREE, part=4), "nocturne": replace(_THREE, part=4),
    "scherzo": _THREE, "etude": None, "fugue": None, "requiem": None,
}  # fmt: skip
_OF_STYLES: dict[str, UsualForm] = {
    "folk": replace(_JIG, ends_at=0.0, upbeat_after=0.6),
    "march": UsualForm(
        "AABB",
        more="CCAABB",
        dances=True,
        phrases=counted("march"),
        closes=_DANCES_CLOSE,
        ends_at=1 / 2,
        upbeat_after=0.7,
    ),
    "chorale": UsualForm("AABC", part=4, breaths=(0.75, 0.75)),
    "ragtime": UsualForm("AABBA", more="CCDD", dances=True, ends_at=1 / 2, upbeat_after=0.9),
    "baroque": replace(
        _NEW_PARTS, ends=((0.4, 1 / 2), (0.4, 3 / 4)), others=((0.3, "AABB"),), phrases=counted("baroque")
    ),
    "renaissance": replace(_NEW_PARTS, others=((0.3, "AABB"), (0.2, "ABAC")), phrases=counted("renaissance")),
    "art song": replace(
        _NEW_PARTS,
        ends=((0.4, 1 / 3), (0.5, 1 / 2)),
        others=((0.2, "AABC"), (0.2, "ABAC"), (0.2, "ABCA")),
        phrases=counted("art song"),
    ),
    SONG: UsualForm(
        "AABA",
        others=((1, "ABAC"), (1, "AABC"), (1, "ABCD")),
        phrases=counted("lead sheet"),
        breaths=(0.22, 0.32),
    ),
    "japanese": replace(_SONG, part=8, decides=False),
    "classical": replace(
        _THREE,
        others=((5, "ABCD"), (0.5, "AABC")),
        decides=False,
        ends=((0.2, 1 / 3), (0.4, 1 / 2)),
        cadences=0.75,
        closes=_OTHERS_CLOSE,
        phrases=counted("classical", "orchestral"),
    ),
    "romantic": replace(
        _THREE,
        others=((2, "ABCD"), (1, "AABC"), (0.5, "ABAC")),
        decides=False,
        ends=((0.3, 1 / 3), (0.3, 1 / 2)),
        cadences=0.75,
        closes=_OTHERS_CLOSE,
        phrases=counted("romantic"),
    ),
    "quartet": replace(
        _THREE,
        others=((9, "ABCD"),),
        decides=False,
        ends=((0.15, 1 / 3), (0.15, 1 / 2)),
        cadences=0.75,
        closes=_OTHERS_CLOSE,
        phrases=counted("quartet"),
    ),
}


def usual_form(
    kind: str | None, style: str, chart: int = 0, seed: int = 0, metre: Metre | None = None
) -> UsualForm | None:
    """The form of a kind out of `lexicon`, or else of one of `STYLES`; None where parts do not return.

    `chart`: bars of the chords that are asked for, which come round in each part; None where no part of four or eight
    bars has room for them. `seed` draws one of the rounds that it may have. `metre` is that of all its bars, whose
    rhythms its melodies have; None for any.
    """
    found = _OF_KINDS[kind] if kind in _OF_KINDS else _OF_STYLES.get(style)
    if found is None:
        return None
    letters = _drawn(((1.0, found.letters), *found.others), seed, "form")
    if letters != found.letters:
        found = replace(found, letters=letters, more="")
    ends_at = _drawn(((1.0, found.ends_at), *found.ends), seed, "end")
    found = replace(found, ends_at=ends_at, upbeat_after=float(draw(seed, "upbeat after") < found.upbeat_after))
    phrases = found.phrases.in_metre(metre)
    if phrases is not found.phrases:  # where they rest and end on long notes is in their rhythms
        found = replace(found, phrases=phrases, breaths=(0.0, 0.0))
    if not chart:
        return found
    return replace(found, chart=chart, phrases=found.phrases.anew()) if 8 % chart == 0 else None
