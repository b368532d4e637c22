"""Note frames: a score as one frame of five ids a note, with a frame at the head of each bar and one a chord.

Knows how a `Score` and its bars' heads become frames and back. Does not know in which order a frame's ids are drawn
(a layout does), how likely they are (the composer), or how bars come to their sections.

The five books, for each kind of frame::

            when           who              what              length            force
    bar     BAR            its metre        how it returns    section and bar   bars left
    chord   its position   CHORD            root and quality  -                 -
    note    its position   its instrument   its pitch         its duration      its velocity
    end     END            -                -                 -                 -

Positions count 24ths of a quarter from the bar's start; those of 32nds and of triplet sixteenths can be written. Frames
of one position stand chords first, then by instrument, then by pitch. The head says what a plan knows before a note is
written: it is forced and never drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.codecs.remi import DRUMS, PITCH_RANGE, PROGRAMS
from clavilux.audio.harmony import QUALITIES, Chord
from clavilux.audio.score import NOTE, Score, bar_quarters

BOOKS = ("when", "who", "what", "length", "force")
IDS = 256  # of each book; not all are used
STEPS = 24  # of a quarter
IN_QUARTER = (0, 3, 4, 6, 8, 9, 12, 15, 16, 18, 20, 21)  # that hold an onset: 32nds and triplet sixteenths
DURATIONS = (
    *IN_QUARTER[1:], *(24 + step for step in IN_QUARTER), 48, 54, 60, 64, 66, 72, 78, 80, 84, 90, 96, 108, 120, 132,
    144, 168, 192, 216, 240, 288,
)  # fmt: skip

BAR, END = 144, 145  # in `when`, after the positions of the longest bar
CHORD = len(PROGRAMS) + 1  # in `who`, after the instruments and the drums
_METRES = tuple(WRITTEN_METRES)
_FIRST_METRE = CHORD + 1
_FIRST_CHORD = PITCH_RANGE[1] - PITCH_RANGE[0] + 1  # in `what`, after the pitches
_QUALITIES = tuple(QUALITIES)
RETURNS = ("new", "exact", "varied", "unsaid")  # how a bar relates to that of the same section and number before
_FIRST_RETURN = _FIRST_CHORD + 12 * len(_QUALITIES)
RETURN_UNSAID = _FIRST_RETURN + RETURNS.index("unsaid")
LETTERS, SECTION_BARS = 6, 32  # sections told apart; their bars are counted round
NO_LENGTH, NO_SECTION, _FIRST_SECTION = len(DURATIONS), 63, 64  # in `length`, after the durations
NO_FORCE, FORCES = 0, 16  # in `force`: no velocity, then velocities in steps of 8
MOST_LEFT = 64  # bars to the end, that one included, which are counted
LEFT_UNSAID = FORCES + 1
CHORD_IDS = range(_FIRST_CHORD, _FIRST_RETURN)  # in `what`
LAST_FRAME = (END, 0, 0, NO_LENGTH, NO_FORCE)
WHO = {program: row for row, program in enumerate((*PROGRAMS, DRUMS))}  # of each program
_FIRST_LEFT = LEFT_UNSAID  # one bar left is the id after it


@dataclass(frozen=True)
class BarHead:
    """What is planned of a bar.

    Attributes:
        metre: one of `bar_grid.WRITTEN_METRES`.
        letter: of its section, 0 or more; sections of one letter return. None: not said.
        bar: its number in the section.
        returns: one of `RETURNS`, as compared with the bar of this letter and number that was there before.
        left: bars to the end of the piece, this one included; None: not said.
    """

    metre: tuple[int, int]
    letter: int | None = None
    bar: int = 0
    returns: str = "unsaid"
    left: int | None = None

    def frame(self) -> tuple[int, int, int, int, int]:
        section = NO_SECTION
        if self.letter is not None:
            section = _FIRST_SECTION + min(self.letter, LETTERS - 1) * SECTION_BARS + self.bar % SECTION_BARS
        left = LEFT_UNSAID if self.left is None else _FIRST_LEFT + min(self.left, MOST_LEFT)
        metre = _FIRST_METRE + _METRES.index(self.metre)
        return BAR, metre, _FIRST_RETURN + RETURNS.index(self.returns), section, left


def vocabulary_hash() -> str:
    """SHA-256 of what the ids of frames mean, for the config of a checkpoint that writes them."""
    sizes = (IDS, STEPS, BAR, END, CHORD, LETTERS, SECTION_BARS, FORCES, MOST_LEFT)
    meant = (PROGRAMS, PITCH_RANGE, DURATIONS, _METRES, _QUALITIES, RETURNS, sizes)
    return hashlib.sha256(repr(meant).encode()).hexdigest()


def chord_frame(at: int, chord: Chord) -> tuple[int, int, int, int, int]:
    """The frame of a chord at a position."""
    return at, CHORD, _FIRST_CHORD + _QUALITIES.index(chord.quality) * 12 + chord.root, NO_LENGTH, NO_FORCE


def encode_frames(score: Score, heads: Sequence[BarHead], *, velocities: bool = True) -> np.ndarray:
    """A score as frames, uint8 [5, T].

    Args:
        score: of whole bars (`bar_grid.regular_bars`), its programs among `remi.PROGRAMS`.
        heads: one a bar.
        velocities: False: they are left open, because the source has none.

    Raises:
        ValueError: heads for another number of bars, or a program that no frame can say.
    """
    starts = score.bar_starts()
    if len(heads) != len(starts):
        raise ValueError(f"{len(heads)} heads are given for {len(starts)} bars; there should be one a bar")
    rows = [np.array([(i, -1, -1, 0, 0, *head.frame()) for i, head in enumerate(heads)])]
    rows.append(_chord_rows(score, starts, heads))
    rows.append(_note_rows(score, starts, heads, velocities))
    rows.append(np.array([(len(heads), -1, -1, 0, 0, *LAST_FRAME)]))
    table = np.concatenate(rows)  # [T, 10]: bar, position, rank, who, what; then the frame
    order = np.lexsort(table[:, 4::-1].T)
    return np.ascontiguousarray(table[order, 5:].T.astype(np.uint8))


def _chord_rows(score: Score, starts: np.ndarray, heads: Sequence[BarHead]) -> np.ndarray:
    """The chord that sounds at each bar's start, and each change."""
    changes: list[dict[int, Chord]] = [{} for _ in heads]
    for bar, at, chord in _placed(score.chords, starts, heads):
        changes[bar][at] = chord
    rows, sounding = [], None
    for bar, here in enumerate(changes):
        if sounding is not None:
            here.setdefault(0, sounding)
        for at in sorted(here):
            sounding = here[at]
            rows.append((bar, at, 0, 0, 0, *chord_frame(at, sounding)))
    return np.array(rows, dtype=np.int64).reshape(-1, 10)


def _placed(
    chords: Sequence[tuple[float, Chord]], starts: np.ndarray, heads: Sequence[BarHead]
) -> list[tuple[int, int, Chord]]:
    if not chords:
        return []
    bars, positions = _snapped(np.array([quarter for quarter, _ in chords]), starts, heads)
    found = zip(bars.tolist(), positions.tolist(), (chord for _, chord in chords), strict=True)
    return [(bar, at, chord) for bar, at, chord in found if bar < len(heads)]


def _snapped(quarters: np.ndarray, starts: np.ndarray, heads: Sequence[BarHead]) -> tuple[np.ndarray, np.ndarray]:
    """(bar, position) of times: the nearest that can be written. A time after the last bar is in a bar of its own."""
    bars = np.maximum(np.searchsorted(starts, quarters + 1e-6, side="right") - 1, 0)
    beats, inside = np.divmod((quarters - starts[bars]) * STEPS, STEPS)
    grid = np.array([*IN_QUARTER, STEPS])
    middle = (grid[1:] + grid[:-1]) / 2
    positions = (beats * STEPS + grid[np.searchsorted(middle, inside)]).astype(np.int64)
    lengths = np.array([round(bar_quarters(head.metre) * STEPS) for head in heads])
    while (over := positions >= lengths[np.minimum(bars, len(heads) - 1)]).any() and (bars[over] < len(heads)).any():
        moved = over & (bars < len(heads))
        positions[moved] -= lengths[bars[moved]]
        bars[moved] += 1
    return bars, positions


def _note_rows(score: Score, starts: np.ndarray, heads: Sequence[BarHead], velocities: bool) -> np.ndarray:
    notes = score.merged().notes
    bars, positions = _snapped(notes["start"], starts, heads)
    first = np.round(np.append(starts, starts[-1] + bar_quarters(heads[-1].metre)) * STEPS).astype(np.int64)
    end_bars, ends = _snapped(notes["start"] + notes["duration"], starts, heads)
    steps = first[np.minimum(end_bars, len(heads))] + ends - first[np.minimum(bars, len(heads))] - positions
    durations = np.array(DURATIONS)
    middle = (durations[1:] + durations[:-1]) / 2
    length = np.searchsorted(middle, np.maximum(steps, 1))
    programs = np.where(notes["drum"], DRUMS, notes["program"])
    unknown = set(np.unique(programs).tolist()) - set(WHO)
    if unknown:
        raise ValueError(f"program {min(unknown)} cannot be written as note frames; use one of {PROGRAMS}")
    who = np.array([WHO[program] for program in programs.tolist()], dtype=np.int64)
    low, high = PITCH_RANGE
    pitch = notes["pitch"].astype(np.int64)
    while ((pitch < low) | (pitch > high)).any():  # by octaves into the range
        pitch += 12 * ((pitch < low).astype(np.int64) - (pitch > high))
    force = notes["velocity"] // 8 + 1 if velocities else np.full(len(notes), NO_FORCE)
    frames = (positions, who, pitch - low, length, force)
    table = np.stack([bars, positions, np.ones_like(bars), who, pitch, *frames], axis=1)[bars < len(heads)]
    order = np.lexsort((-table[:, 8], *table[:, 4::-1].T))  # of notes that fall together the longest stays
    table = table[order]
    again = np.zeros(len(table), dtype=bool)
    again[1:] = (table[1:, :5] == table[:-1, :5]).all(axis=1)
    return table[~again]


def decode_frames(frames: np.ndarray, *, tempo: float = 120.0, velocity: int = 80) -> Score:
    """The score that frames [5, T] say;
    `velocity` where a note has none. Frames before the first bar are passed over.
    """
    notes: list[tuple[float, float, int, int, int, bool]] = []  # `NOTE`
    chords: list[tuple[float, Chord]] = []
    metres: list[tuple[float, tuple[int, int]]] = []
    bar = end = 0.0
    metre: tuple[int, int] | None = None
    for when, who, what, length, force in np.asarray(frames, dtype=np.int64).T.tolist():
        if when == BAR:
            bar, said = end, _METRES[who - _FIRST_METRE]
            end = bar + bar_quarters(said)
            if said != metre:
                metres.append((bar, said))
            metre = said
        elif when == END or metre is None:
            continue
        elif who == CHORD:
            quality, root = divmod(what - _FIRST_CHORD, 12)
            chord = Chord(root, _QUALITIES[quality])
            if not chords or chords[-1][1] != chord:
                chords.append((bar + when / STEPS, chord))
        else:
            program = (*PROGRAMS, DRUMS)[who]
            loud = velocity if force == NO_FORCE else min(127, force * 8 - 4)
            start, duration, pitch = bar + when / STEPS, DURATIONS[length] / STEPS, what + PITCH_RANGE[0]
            notes.append((start, duration, pitch, loud, max(program, 0), program == DRUMS))
    return Score(
        notes=np.array(notes, dtype=NOTE),
        tempos=((0.0, tempo),),
        metres=tuple(metres) or ((0.0, (4, 4)),),
        chords=tuple(chords),
        length=end,
    )


@lru_cache(maxsize=12)
def transposition(semitones: int) -> np.ndarray:
    """uint8 [2, 256]: `what` of a note (row 0) and of a chord (row 1) -> the same `semitones` higher.

    Pitches that would leave the range come back by an octave.
    """
    table = np.tile(np.arange(IDS, dtype=np.uint8), (2, 1))
    count = _FIRST_CHORD
    moved = np.arange(count) + semitones
    table[0, :count] = moved + 12 * ((moved < 0).astype(int) - (moved >= count))
    for quality in range(len(_QUALITIES)):
        first = _FIRST_CHORD + quality * 12
        table[1, first : first + 12] = first + (np.arange(12) + semitones) % 12
    table.flags.writeable = False
    return table


def transposed(frames: np.ndarray, semitones: int) -> np.ndarray:
    """Frames [5, T] with pitches and chords `semitones` higher; drums stay."""
    out, table = frames.copy(), transposition(semitones)
    inside = frames[0] < BAR
    notes, chords = inside & (frames[1] < len(PROGRAMS)), inside & (frames[1] == CHORD)
    out[2, notes] = table[0][frames[2, notes]]
    out[2, chords] = table[1][frames[2, chords]]
    return out


def metre_of(who: int) -> tuple[int, int]:
    """The metre that a head's `who` says."""
    return _METRES[who - _FIRST_METRE]


def returning(what: np.ndarray, section: np.ndarray) -> np.ndarray:
    """The heads' `what` [N] of a part of a piece, from theirs in the piece and their `length` [N], in order.

    A bar returns only as one that is in the part; where it is not there, the bar is new.
    """
    out = np.asarray(what).copy()
    _, first = np.unique(section, return_index=True)
    there = out[first] != RETURN_UNSAID
    out[first[there]] = _FIRST_RETURN
    return out


def is_note(frames: np.ndarray) -> np.ndarray:
    """bool [T]: which of frames [5, T] are notes."""
    return (frames[0] < BAR) & (frames[1] < CHORD)


def readable(frames: np.ndarray) -> np.ndarray:
    """bool [T]: which of frames [5, T] hold ids that belong together; heads and ends always do."""
    when, who, what, length, force = frames
    chord = (who == CHORD) & (what >= _FIRST_CHORD) & (what < _FIRST_RETURN)
    note = (who < CHORD) & (what < _FIRST_CHORD) & (length < NO_LENGTH) & (force <= FORCES)
    return (when == BAR) | (when == END) | ((when < BAR) & (chord | note))


def is_drawn(frames: np.ndarray) -> np.ndarray:
    """bool [5, T]: which ids of frames [5, T] say something that no plan knows; a note without a velocity has none."""
    notes, bars = is_note(frames), frames[0] == BAR
    chords = ~notes & ~bars & (frames[0] != END)
    free_who = notes | (chords & (frames[0] > 0))  # every bar begins with a chord
    drawn = np.stack([np.ones_like(notes), free_who, notes | chords, notes, notes & (frames[4] != NO_FORCE)])
    drawn[0] &= ~(chords & (frames[0] == 0))
    return drawn
