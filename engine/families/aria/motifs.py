"""A bar that takes up an earlier one: the rhythm of all its parts, and often its notes, a few steps of the scale away.

Knows tokens of a bar and keys. Does not know why a bar does so (`form`), nor what else may be drawn (`grammar`).
"""

from __future__ import annotations

from collections.abc import Sequence

from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.audio.harmony import Chord, Key
from clavilux.families.aria.form import Motif

MOVED = 5.0  # nats for the note that the earlier bar has, moved
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

    def goal(self, chord: Chord | None) -> int | None:
        """The token of the next note or chord as it is to be, under a chord; None where anything may come."""
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
