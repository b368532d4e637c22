"""A bar that takes up an earlier one: the rhythm of all its parts, and often its notes, a few steps of the scale away;
or most of its notes.

Knows tokens of a bar and keys. Does not know why a bar does so (`form`), nor what else may be drawn (`grammar`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.form import Bar, Motif
from clavilux.families.aria.phrases import QUARTERS

MOVED = 5.0  # nats for the note that the earlier bar has, moved
KEPT = 8.0  # nats for what the earlier bar has in a quarter that is kept
ANEW = 1.5  # nats against a pitch that it has in one that is not
_TRIADS = {"major": "maj min min maj maj min dim", "minor": "min dim maj min min maj maj"}
_SEVENTHS = {"major": "maj7 min7 min7 maj7 7 min7 hdim7", "minor": "min7 hdim7 maj7 min7 min7 maj7 7"}


class Rhythm:
    """What is left of an earlier bar while one with its rhythm is written: notes come where they came, by the same
    parts and as many at once.

    Args:
        tokens: the vocabulary.
        body: the earlier bar's tokens after its head.
        motif: the steps of a scale by which its notes and chords are to be higher; None: they are to be the same, but
            for notes that are not in the chord that this bar has in their place.
        chords: whether chords are drawn where it has them; otherwise they are known.
    """

    def __init__(self, tokens: ScoreTokens, body: Sequence[int], motif: Motif | None, chords: bool) -> None:
        self._tokens, self._motif = tokens, motif
        self._left = [token for token in body if chords or token not in tokens.chords]
        self.begins: dict[int, int] = {}  # program -> the position of its first note
        self.positions = {0}
        position = program = 0
        for token in body:
            kind, value = tokens.kinds[token], tokens.values[token]
            if kind == "Position":
                position = value
                self.positions.add(position)
            elif kind == "Program":
                program = value
            elif kind == "Pitch":
                self.begins.setdefault(program, position)

    @property
    def next(self) -> int | None:
        """The token that came then; None where the bar ends."""
        return self._left[0] if self._left else None

    @property
    def notes_here(self) -> int:
        """How many notes of one part begin together from the next token on, which is a pitch."""
        count = 0
        while 2 * count < len(self._left) and self._left[2 * count] in self._tokens.pitches:
            count += 1
        return count

    def leaning(self, chord: Chord | None) -> dict[int, float]:
        """Nats to add to the logit of the next note or chord as it is to be, under a chord."""
        goal = self._goal(chord)
        return {} if goal is None else {goal: MOVED}

    def _goal(self, chord: Chord | None) -> int | None:
        """The token of that note or chord; None where anything may come."""
        token, motif, tokens = self.next, self._motif, self._tokens
        if token is None or (token not in tokens.pitches and token not in tokens.chords):
            return None
        if motif is None:
            stays = chord is None or token in tokens.chords or tokens.pitches[token] % 12 in chord.pitch_classes
            return token if stays else None
        if motif.steps is None:
            return None
        if token in tokens.pitches:
            return tokens.of_pitches.get(moved_pitch(tokens.pitches[token], motif.steps, motif.key))
        return tokens.chord_id(moved_chord(tokens.values[token], motif.steps, motif.key))

    def advance(self, kind: str) -> None:
        """A token of that kind came: the next one, or a chord that the earlier bar has not."""
        if self._left and self._tokens.kinds[self._left[0]] == kind:
            self._left.pop(0)


class Near:
    """The earlier bar, while one with most of its notes is written.

    Args:
        tokens: the vocabulary.
        body: the earlier bar's tokens after its head.
        anew: the quarters of the bar, from 0, in which it is to have other notes.
        length: of the bar in the units of positions.
        against: nats against a pitch that it has in one of these.
    """

    def __init__(
        self, tokens: ScoreTokens, body: Sequence[int], anew: Collection[int], length: float, against: float = ANEW
    ) -> None:
        self._tokens, self._anew, self._length, self._against = tokens, anew, length, against
        self._following: dict[_Place, list[int]] = defaultdict(list)
        place = _Place()
        for token in body:
            self._following[place].append(token)
            place = place.after(tokens.kinds[token], tokens.values[token])
        self._bar = tokens.ids["Bar_None"]
        self._following[place].append(self._bar)
        self._positions = [tokens.values[token] for token in body if tokens.kinds[token] == "Position"]

    @classmethod
    def of(cls, tokens: ScoreTokens, bodies: Sequence[Sequence[int]], bar: Bar) -> Near | None:
        """Of a bar to come, after the tokens of each bar so far; None where it takes up none so."""
        if bar.takes_up is None or bar.motif is None or not bar.motif.anew:
            return None
        length = bar_quarters(bar.metre) * 3 * WRITTEN_METRES[bar.metre][1]
        return cls(tokens, bodies[bar.takes_up], bar.motif.anew, length)

    def leaning(self, body: Sequence[int]) -> dict[int, float]:
        """Nats to add to the logits of tokens, after those of the bar so far."""
        tokens, place = self._tokens, _Place()
        for token in body:
            place = place.after(tokens.kinds[token], tokens.values[token])
        found = {}
        for token in self._following.get(place, ()):
            if self._is_kept(self._at(token, place.position)):
                found[token] = KEPT
            elif token in tokens.pitches:
                found[token] = -self._against
        if self._is_kept(place.position) and not place.is_pitch:
            for token in [*tokens.pitches, *tokens.of_kind("Program").tolist()]:
                found.setdefault(token, -KEPT)
        kept = [at for at in self._positions if at > place.position and self._is_kept(at)]
        if kept:
            found[self._bar] = -KEPT
        for token in tokens.of_kind("Position").tolist():
            at = tokens.values[token]  # nothing comes between what is kept, and nothing of it is passed over
            if (self._is_kept(at) and at not in self._positions) or (kept and at > kept[0]):
                found[token] = -KEPT
        return found

    def _at(self, token: int, position: int) -> float:
        """Where a token that comes after a position belongs: a bar's end to the last quarter."""
        if token == self._bar:
            return self._length - 1
        return self._tokens.values[token] if self._tokens.kinds[token] == "Position" else position

    def _is_kept(self, position: float) -> bool:
        return int(QUARTERS * position / self._length) not in self._anew


class _Place(NamedTuple):
    """Where a bar stands after some tokens; what follows may be several things where a chord may come."""

    position: int = 0
    program: int | None = None
    notes: int = 0  # of the program at the position
    is_pitch: bool = False  # a length comes next

    def after(self, kind: str, value: Any) -> _Place:
        """The place after a token."""
        if kind == "Position":
            return _Place(value, self.program)
        if kind == "Program":
            return _Place(self.position, value)
        if kind == "Pitch":
            return self._replace(notes=self.notes + 1, is_pitch=True)
        return self._replace(is_pitch=False)


def chords_of(tokens: ScoreTokens, body: Sequence[int]) -> dict[int, int]:
    """Position -> token of the chords among a bar's tokens."""
    found, position = {}, 0
    for token in body:
        if tokens.kinds[token] == "Position":
            position = tokens.values[token]
        elif token in tokens.chords:
            found[position] = token
    return found


def moved_pitch(pitch: int, steps: int, key: Key) -> int:
    """A pitch as many steps of the scale higher; one beside the scale lies as far beside it, where both of a minor
    key's sixths and sevenths are its own, or else in it.
    """
    scale = key.degrees
    if steps % len(scale) == 0:
        return pitch + 12 * steps // len(scale)
    octave, above = divmod(pitch - key.tonic, 12)
    degree = max(n for n, semitones in enumerate(scale) if semitones <= above)
    higher, to = divmod(degree + steps, len(scale))
    found = key.tonic + 12 * (octave + higher) + scale[to]
    beside = found + above - scale[degree]
    return beside if beside % 12 in key.scale else found


def moved_chord(chord: Chord, steps: int, key: Key) -> Chord:
    """A chord as many steps of the scale higher: one of the scale's own becomes another of them, others stay as they
    are built.
    """
    root = moved_pitch(chord.root + 12, steps, key) % 12
    scale = [(key.tonic + semitones) % 12 for semitones in key.degrees]
    if chord.root in scale and root in scale:
        for names in (_TRIADS[key.mode].split(), _SEVENTHS[key.mode].split()):
            if chord.quality == names[scale.index(chord.root)]:
                return Chord(root, names[scale.index(root)])
    return Chord(root, chord.quality)
