"""What a part leans away from, and to: a pitch that came too often, a bar that was there before; steps, sequences.

A composer that reads its own notes repeats more than what it was taught: it locks into a pitch or a figure, and leaps
where tunes move by step. What each is worth was chosen so that songs come as near to held-out ones as they do in notes
that repeat the one before, in how often one pitch comes among sixteen, in steps, in bars that return and in sequences:
it writes one bar in fifty as the one two before it, moved, where in tunes one in fourteen is. A part that is no melody
by itself leans from pitches alone: what accompanies returns. Knows pitches and tokens of bars; does not know which may
come (`grammar`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.audio.harmony import Chord, Key
from clavilux.families.aria.shapes import height_leaning
from clavilux.families.aria.voice_leading import HYMNS, kind_of_move

WINDOW = 16  # notes
USUAL = 3.5  # how often the commonest pitch of so many comes in tunes
CROWDED = 0.4  # nats against a pitch for each time that it came more often
AGAIN = 0.5  # nats against the highest note of a part, for each time that it came in a row; of a melody but for one
ENSEMBLE_AGAIN = 0.15  # the same in an ensemble, whose parts repeat notes
Manner = Literal[
    "tune", "song", "hand"
]  # how a melody moves: of a dance tune, of a song or an air, of a pianist's hand
# Nats for the nine kinds of moves (`kind_of_move`) of a melody; songs and hands had too many thirds, songs leaped.
MOVES: dict[Manner, tuple[float, ...]] = {
    "tune": (0.0, 0.15, 0.2, 0.25, -0.1, -0.45, -0.05, -0.6, 0.0),
    "song": (0.25, 0.2, 0.3, 0.0, -0.3, 0.1, -0.25, -0.1, -0.4),
    "hand": (0.0, 0.25, 0.35, 0.05, -0.4, -0.05, -0.25, 0.4, 0.1),
}
PART_STEP = 0.5  # nats for each pitch within two semitones, of a part that is no melody by itself
ENSEMBLE_STEP = 0.3  # and of an ensemble's
HARSH = 0.7  # nats against a pitch of such a part for each that sounds a semitone from it, in any octave
HARSH_VOICES = 1.4  # the same of a hymn's voices
RETURNING = 0.4  # nats against a token for each bar that began the same and went on with it
BARS_BACK = 16
SEQUENCE = 0.8  # nats for what goes on with one of the two bars before, a few semitones higher or lower
FARTHEST = 5  # semitones
CLOSING = 1.5  # nats for the tonic of a melody where its part closes on it
CHROMATIC = 0.3  # nats for what is in neither C major nor C minor, of which there was half of what there should be
FOREIGN = 3.0  # nats against a first chord that is neither in C major nor in C minor; real pieces hardly have one
ONWARD = 0.3  # nats for a step or a third of such a part that goes on in its direction, and against one that turns back
BACK = 0.5  # nats against the pitch of a tune that is a step back; half as many again came
SHORT = 0.2  # beats; a hymn that has lengths between sixteenths and triplets goes on in them
MIXED = 4.0  # nats against what makes a beat one of sixteenths and of triplets, which few print
HEARD = 0.7  # nats for a chord of three parts and more that the last bars had: their harmony wanders
RESOLVED = 0.7  # nats for the tonic after a dominant in theirs
ENSEMBLE = 3  # parts of which such leanings are
TIMES = 1.05  # temperature of when they play and for how long; bars in one rhythm are too many at 1
HYMN_TIMES = 0.9  # the same of voices, whose rhythms are too many
NEVER = 1e4  # nats against what is not drawn; infinity has no place under guidance
LIKELY = 0.99  # of the probability is where pitches, players and chords are drawn from; of times rare ones are wanted
Texture = Literal["", "ensemble", "hymn"]  # what parts are together
_TEMPERATURES: dict[Texture, float] = {"": 1.0, "ensemble": TIMES, "hymn": HYMN_TIMES}
_DOMINANT = 7
_SCALES = Key(0, "major").scale, Key(0, "minor").scale
_CHROMATIC = {pitch: CHROMATIC for pitch in range(128) if all(pitch % 12 not in scale for scale in _SCALES)}
_SIXTEENTHS, _TRIPLETS = (3, 9), (4, 8)  # twelfths of a beat that belong to one of the two alone


def leaning(
    tokens: ScoreTokens,
    tops: Sequence[int],
    bodies: Sequence[Sequence[int]],
    sounding: Collection[int],
    onsets: Sequence[int],
    *,
    leads: bool,
    begins: bool,
    again: bool,
    texture: Texture = "",
    manner: Manner = "tune",
    voices: Mapping[int, float] | None = None,
    root: int | None = None,
    height: int | None = None,
) -> dict[int, float]:
    """Nats to add to the logits of tokens where a part writes.

    Args:
        tokens: the vocabulary.
        tops: the highest pitch at each of the part's onsets so far.
        bodies: of each bar the tokens after its head so far.
        sounding: the pitches of all parts that sound here.
        onsets: the positions of the bar at which notes began.
        leads: it is a melody by itself.
        begins: no note of it begins at this position yet, and one comes next.
        again: its last onset is at this position.
        texture: it is one of `ENSEMBLE` parts or more, or a hymn's.
        manner: how its melody moves.
        voices: nats to add to pitches for the sake of its voices (`voice_leading`); none where it has no such, or where
            a length comes next.
        root: the pitch class on which it closes in this bar; None where it does not.
        height: the mean pitch that it is to have in this bar; None for any.
    """
    pitches: dict[int, float] = {}
    if voices:
        pitches = together(_harsh(sounding, HARSH_VOICES), voices)
    elif not leads:
        pitches = part_leaning(tops[:-1] if again else tops, sounding, texture == "ensemble")
    elif begins:
        pitches = pitch_leaning(tops, manner)
        if height is not None:
            pitches = together(pitches, height_leaning(height, tops))
        if root is not None:
            pitches |= {pitch: pitches.get(pitch, 0.0) + CLOSING for pitch in range(root, 128, 12)}
    found = {tokens.of_pitches[pitch]: nats for pitch, nats in pitches.items() if pitch in tokens.of_pitches}
    found |= dict.fromkeys((tokens.ids[f"Position_{place}"] for place in mixed(onsets)), -MIXED)
    if texture == "hymn":
        found |= dict.fromkeys(short_lengths(tokens), -NEVER)
    if leads and any(token in tokens.pitches for token in bodies[-1]):
        sequences = sequence_leaning(bodies, tokens.pitches, tokens.chords)
        return together(found, return_leaning(bodies), sequences)
    return found


@lru_cache(maxsize=2)
def short_lengths(tokens: ScoreTokens) -> list[int]:
    """The tokens of lengths under `SHORT`, which one note of a thousand has in hymns."""
    return np.flatnonzero((tokens.duration_beats > 0) & (tokens.duration_beats < SHORT)).tolist()


def together(*leanings: Mapping[int, float]) -> dict[int, float]:
    """The nats of all, added up."""
    found: dict[int, float] = {}
    for leaning in leanings:
        for key, nats in leaning.items():
            found[key] = found.get(key, 0.0) + nats
    return found


@lru_cache(maxsize=2)
def foreign_chords(tokens: ScoreTokens) -> list[int]:
    """The tokens of chords that are neither in C major nor in C minor, the keys that a composer writes in."""
    return [token for token in tokens.chords if not any(tokens.values[token].pitch_classes <= s for s in _SCALES)]


@lru_cache(maxsize=2)
def chromatic_chords(tokens: ScoreTokens) -> list[int]:
    """The tokens of chords with a pitch that is in neither."""
    return [
        token for token in tokens.chords if any(pitch in _CHROMATIC for pitch in tokens.values[token].pitch_classes)
    ]


def chord_leaning(
    tokens: ScoreTokens, bodies: Sequence[Sequence[int]], chord: Chord | None, texture: Texture
) -> dict[int, float]:
    """Nats to add to the logits of chords, after the tokens of each bar so far and the chord that sounds, in C."""
    if texture == "hymn":
        return {token: HYMNS.of_chord(tokens.values[token], chord) for token in tokens.chords}
    chromatic = dict.fromkeys(chromatic_chords(tokens), CHROMATIC)
    if not texture:
        return chromatic
    heard = {token: HEARD for body in bodies[-BARS_BACK - 1 :] for token in body if token in tokens.chords}
    dominant = chord is not None and chord.root == _DOMINANT
    return together(chromatic, heard, dict.fromkeys(tonics(tokens), RESOLVED) if dominant else {})


@lru_cache(maxsize=2)
def tonics(tokens: ScoreTokens) -> list[int]:
    """The tokens of chords on C that have its fifth."""
    chords = ((token, tokens.values[token]) for token in tokens.chords)
    return [token for token, chord in chords if chord.root == 0 and _DOMINANT in chord.pitch_classes]


def lean(
    logits: torch.Tensor, added: Mapping[int, float], open_tokens: np.ndarray, times: np.ndarray, texture: Texture
) -> None:
    """Change logits [R, 1, V] of R guidance weights in place.

    Args:
        logits: the first row says what is likely.
        added: nats by token.
        open_tokens: int64 [n], those that may come.
        times: bool [n], which of them are positions, lengths or a bar's end.
        texture: whose they are; a hymn's rare times are not drawn either.
    """
    if added:
        logits[:, 0, list(added)] += torch.tensor(list(added.values()), device=logits.device)
    if times.mean() >= 0.5:
        logits[:, 0, open_tokens] /= _TEMPERATURES[texture]
    odds = logits[0, 0, open_tokens].float().softmax(0).cpu().numpy()
    order = np.argsort(-odds, kind="stable")
    rare = np.zeros(len(odds), dtype=bool)
    rare[order] = np.cumsum(odds[order]) - odds[order] >= LIKELY
    logits[:, 0, open_tokens[rare & ~(times & (texture != "hymn"))]] -= NEVER


def mixed(onsets: Sequence[int]) -> list[int]:
    """Positions of the last beat of `onsets` that are triplets where it has sixteenths, and sixteenths where it has
    triplets.
    """
    if not onsets:
        return []
    first = onsets[-1] // 12 * 12
    here = {onset - first for onset in onsets if onset >= first}
    pairs = (_SIXTEENTHS, _TRIPLETS), (_TRIPLETS, _SIXTEENTHS)
    return [first + place for own, others in pairs if here & set(own) for place in others]


def pitch_leaning(line: Sequence[int], manner: Manner = "tune") -> dict[int, float]:
    """Nats to add to the logits of pitches, after the pitches of a melody: it says a note twice, seldom more often, and
    moves as others of its kind do; a tune goes on rather than a step back.
    """
    if not line:
        return {}
    moves = [b - a for a, b in pairwise(line[-WINDOW:]) if a != b]
    upward = 0 if not moves else 1 if moves[-1] > 0 else -1
    table, tune = MOVES[manner], manner == "tune"
    moved = {pitch: table[kind_of_move(pitch - line[-1], upward)] for pitch in range(128)}
    back = {line[-2]: -BACK} if moves and tune and 0 < abs(line[-1] - line[-2]) <= 2 else {}
    return together(_of_pitches(line, 0.0, AGAIN, spared=1), moved, back, {} if tune else _CHROMATIC)


def part_leaning(tops: Sequence[int], sounding: Collection[int] = (), ensemble: bool = False) -> dict[int, float]:
    """Nats to add to the logits of pitches of a part that is no melody by itself, after the highest note at each of its
    onsets, while others sound.
    """
    step, again = (ENSEMBLE_STEP, ENSEMBLE_AGAIN) if ensemble else (PART_STEP, AGAIN)
    return together(_of_pitches(tops, step, again, spared=0), _onward(tops), _harsh(sounding, HARSH), _CHROMATIC)


def _harsh(sounding: Collection[int], nats: float) -> dict[int, float]:
    """Away from what is a semitone from another pitch, in any octave."""
    clashes = [[beside + side for beside in range(p % 12, 128, 12)] for p in sounding for side in (-1, 1)]
    return together(*(dict.fromkeys(clash, -nats) for clash in clashes))


def _of_pitches(line: Sequence[int], step: float, again: float, spared: int) -> dict[int, float]:
    """Away from what came often, or in a row more than `spared` times; to what is a step away."""
    if not line:
        return {}
    found, last = _crowded(line), line[-1]
    for interval in (-2, -1, 1, 2):
        found[last + interval] = found.get(last + interval, 0.0) + step
    run = next((back for back, pitch in enumerate(reversed(line)) if pitch != last), len(line))
    if run > spared:
        found[last] = found.get(last, 0.0) - again * (min(run, WINDOW) - spared)
    return found


def _onward(line: Sequence[int]) -> dict[int, float]:
    """To what goes on as the last move did, in steps or in thirds and fourths; away from what takes a step back."""
    if len(line) < 2 or not 0 < abs(move := line[-1] - line[-2]) <= 5:
        return {}
    steps = abs(move) <= 2
    on = (1, 2) if steps else (3, 4, 5)
    back = {line[-2]: -ONWARD} if steps else {}
    return back | {line[-1] + (size if move > 0 else -size): ONWARD for size in on}


def _crowded(line: Sequence[int]) -> dict[int, float]:
    recent = line[-WINDOW:]
    usual = USUAL * len(recent) / WINDOW
    return {pitch: -CROWDED * (count - usual) for pitch, count in Counter(recent).items() if count > usual}


def return_leaning(bodies: Sequence[Sequence[int]]) -> dict[int, float]:
    """Nats to add to the logits of tokens, after the tokens of each bar so far; the last is the one that is written."""
    *earlier, body = bodies[-BARS_BACK - 1 :]
    done = len(body)
    following = [other[done] for other in earlier if len(other) > done and other[:done] == body]
    return {token: -RETURNING * count for token, count in Counter(following).items()}


def sequence_leaning(
    bodies: Sequence[Sequence[int]], pitches: Mapping[int, int], chords: Collection[int]
) -> dict[int, float]:
    """Nats to add to the logits of tokens, after the tokens of each bar so far, where the bar that is written is one of
    the two before it at another pitch: in the same rhythm, each note as far from that bar's, but for the semitone by
    which steps of a scale differ. Its chords may be any.

    Args:
        bodies: of each bar the tokens after its head.
        pitches: token -> pitch, of those that have one.
        chords: the tokens that are chords.
    """
    *earlier, body = bodies[-3:]
    found: dict[int, float] = {}
    for other in earlier:
        moves = _moves(body, other, pitches, chords)
        if not moves or len(other) <= len(body) or other[len(body)] in chords:
            continue
        following = other[len(body)]
        if following not in pitches and sum(token in pitches for token in body) < 2:
            continue  # one note is no figure whose rhythm could go on
        goals = {pitches[following] + move for move in moves} if following in pitches else set()
        for token in [token for token, pitch in pitches.items() if pitch in goals] or [following]:
            found[token] = found.get(token, 0.0) + SEQUENCE
    return found


def _moves(body: Sequence[int], other: Sequence[int], pitches: Mapping[int, int], chords: Collection[int]) -> range:
    """The semitones by which a bar's next note may lie above another's, so far as it is that one at another pitch; none
    where it is not.
    """
    pairs = list(zip(body, other, strict=False))
    moves = {pitches[a] - pitches[b] for a, b in pairs if a in pitches and b in pitches}
    same = all(a == b or (a in pitches and b in pitches) or (a in chords and b in chords) for a, b in pairs)
    if not same or not moves or 0 in moves or max(moves) - min(moves) > 1 or max(map(abs, moves)) > FARTHEST:
        return range(0)
    return range(max(moves) - 1, min(moves) + 2)
