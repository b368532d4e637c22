"""What may be written next of a piece in note frames: bars, metres, returns and asked chords stand where they must, and
only notes that the instruments can play can be drawn.

Knows the order of frames (`clavilux.audio.codecs.note_frames`) and their delay: a frame's ids are drawn one step after
another, so that of the frames before the one that begins less and less is known. Does not know why a bar's plan is as
it is (`form`) or how likely an id is (the decoder).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from clavilux.audio.codecs.note_frames import (
    BAR,
    CHORD,
    CHORD_IDS,
    DURATIONS,
    END,
    FORCES,
    IDS,
    IN_QUARTER,
    LAST_FRAME,
    NO_FORCE,
    NO_LENGTH,
    STEPS,
    WHO,
    BarHead,
    chord_frame,
)
from clavilux.audio.codecs.remi import PITCH_RANGE
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.ending import Ending
from clavilux.families.aria.form import Bar, quarters_to_end
from clavilux.families.aria.grammar import BASS_SPAN, MOST_NOTES_AT_ONCE
from clavilux.families.aria.open_bar import Frame, OpenBar
from clavilux.families.aria.voices import Part
from clavilux.layout import OPEN, Delay
from clavilux.marking import MOST_CHOICES, TICKS, Place

WHEN, WHOSE, WHAT, LENGTH, FORCE = range(5)
DELAYS = (0, 1, 2, 3, 4)  # that the grammar is written for: what it knows at each draw follows from them


class FrameGrammar:
    """The ids that may follow, for one row: `clavilux.sampling.OrderedGrammar`.

    Args:
        layout: with `DELAYS`.
        bars: what to write, bar by bar.
        heads: of each bar.
        parts: who plays.
        before: frames int64 [5, T] that the piece goes on from; steps 0 to T - 1 of theirs are read already.
        kept: of each bar its frames after the head, int64 [5, n], or None for one that is to be written.
        playing: of each bar the programs of those who play in it, None for all of them; all in every bar if None.
        voices: written program -> the one that plays it, where they differ.
    """

    order = (FORCE, LENGTH, WHAT, WHOSE, WHEN)  # older frames first, as they would be without delays

    def __init__(
        self,
        layout: Delay,
        bars: Sequence[Bar],
        heads: Sequence[BarHead],
        parts: Sequence[Part],
        before: np.ndarray | None = None,
        *,
        kept: Sequence[np.ndarray | None] | None = None,
        playing: Sequence[frozenset[int] | None] | None = None,
        voices: Mapping[int, int] | None = None,
    ) -> None:
        assert layout.delays == DELAYS and layout.special is not None, "the format checks them"
        assert all(part.program in WHO for part in parts), "parts are written as programs of frames"
        self._voices = {row: (voices or {}).get(program, program) for program, row in WHO.items()}
        self._special, self._bars, self._heads = layout.special, list(bars), list(heads)
        self._parts = {WHO[part.program]: part for part in sorted(parts, key=lambda part: WHO[part.program])}
        self._lead = WHO[parts[0].program] if parts else 0
        self._frames: list[Frame] = [] if before is None else [list(map(int, frame)) for frame in before.T]
        self._begins = not self._frames  # the piece does, and so with a note
        self._bar_of = [0] * len(self._frames)  # of those before nothing is drawn
        self._kept = kept if kept is not None else [None] * len(self._bars)
        self._playing = playing if playing is not None else [None] * len(self._bars)
        self._bodies: list[list[Frame]] = []  # of each bar the frames after its head
        self._silent = dict.fromkeys(self._parts, 0)  # bars since each part played
        self._queue: list[Frame] = []
        self._step, self._end = len(self._frames), 10**9
        self._opens: list[OpenBar] = []
        self._queue.insert(0, self._opened(0))
        self.done = False

    # The loop's side.

    def allowed(self) -> torch.Tensor:
        """int64 [5]: the ids that must come, `OPEN` for those to draw."""
        if len(self._frames) == self._step and self._step < self._end:
            self._begin_frame()
        return torch.tensor([self._id(book) for book in range(5)])

    def choices(self, book: int) -> torch.Tensor:
        """bool [256], the ids that an open book of this step may have."""
        at = self._step - DELAYS[book]
        mask = np.zeros(IDS, dtype=bool)
        mask[(self._whens, self._whos, self._whats, self._lengths, self._forces)[book](at)] = True
        return torch.from_numpy(mask)

    def take(self, book: int, token: int) -> None:
        """Take note of an id that was drawn."""
        at = self._step - DELAYS[book]
        frame = self._frames[at]
        frame[book] = token
        if book == WHEN:
            self._placed(frame)
        elif book == WHOSE and token == CHORD:
            frame[LENGTH], frame[FORCE] = NO_LENGTH, NO_FORCE
        elif book == WHOSE:
            self._silent[token] = 0

    def place(self) -> Place | None:
        """Where a pitch would stand that is drawn now: the onset, who plays it, and how many it has there already."""
        at = self._step - DELAYS[WHAT]
        if not 0 <= at < len(self._frames) or self._frames[at][WHOSE] == CHORD or self._frames[at][WHEN] >= BAR:
            return None
        frame, bar = self._frames[at], self._bar_of[at]
        first = next((i for i in range(at, 0, -1) if self._bar_of[i - 1] != bar), 0)
        choice = sum(other[:WHAT] == frame[:WHAT] for other in self._frames[first:at])
        if choice >= MOST_CHOICES:
            return None
        begun = round(sum(bar_quarters(each.metre) for each in self._bars[:bar]) * TICKS)
        return Place(begun + frame[WHEN] * TICKS // STEPS, self._voices[frame[WHOSE]], choice)

    def advance(self, tokens: torch.Tensor) -> None:
        """Take note of a step's ids [5]."""
        self._step += 1
        self.done = self._step >= self._end + DELAYS[-1]  # the last note's velocity is drawn

    # Frames and bars.

    def _id(self, book: int) -> int:
        at = self._step - DELAYS[book]
        return self._special if not 0 <= at <= self._end else self._frames[at][book]

    def _begin_frame(self) -> None:
        """The frame that begins at this step: one that is known, or an open one."""
        if not self._queue and self._bar.known:
            self._queue.insert(0, self._closed())
        self._add(self._queue.pop(0) if self._queue else [OPEN] * 5)

    def _add(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._bar_of.append(self._bar.index)
        if frame[WHEN] == END:
            self._end = len(self._frames) - 1
        elif frame[WHEN] != BAR:
            self._bodies[-1].append(frame)

    def _placed(self, frame: Frame) -> None:
        """A frame whose position was drawn: where that says more, all of it."""
        when = frame[WHEN]
        if when in (BAR, END):
            self._bodies[-1].pop()
            frame[:] = self._closed()
            self._bar_of[-1] = self._bar.index
            if frame[WHEN] == END:
                self._end = len(self._frames) - 1
        elif when in self._bar.chords:
            frame[:] = self._bar.chords.pop(when)

    def _closed(self) -> Frame:
        """What ends the bar: the next one's head, or the piece's end."""
        following = self._bar.index + 1
        return self._opened(following) if following < len(self._bars) else list(LAST_FRAME)

    def _opened(self, index: int) -> Frame:
        """The head of a bar that begins; what is known of the bar is queued behind it."""
        bar = self._bars[index]
        kept, returns = self._kept[index], bar.returns
        chords = {round(q * STEPS): list(chord_frame(round(q * STEPS), chord)) for q, chord in bar.chords or ()}
        if bar.varies is not None:
            chords = {frame[WHEN]: frame for frame in self._bodies[bar.varies] if frame[WHOSE] == CHORD}
        playing = self._playing[index]
        parts = {row: part for row, part in self._parts.items() if playing is None or part.program in playing}
        known = bar.rests or returns is not None or kept is not None or not parts
        left = round(quarters_to_end(self._bars, index) * STEPS)
        self._bar = OpenBar(index, bar, parts, left, known)
        self._opens.append(self._bar)
        queue = self._queue
        if kept is not None:
            queue.extend(list(map(int, frame)) for frame in kept.T)
        elif bar.rests or not parts:
            queue.extend(chords.values())
        elif returns is not None:
            # The frames themselves: ids that are open now are drawn before they are read again, a bar later.
            body = self._bodies[returns]
            own = [chords[0]] if chords and body[:1] and body[0][WHOSE] == CHORD else []
            queue.extend([*own, *body[len(own) :]])
        else:
            self._bar.free = not chords
            self._bar.chords = chords
            queue.append(chords.pop(0, [0, CHORD, OPEN, NO_LENGTH, NO_FORCE]))
            self._bar.bass = {round(q * STEPS): c.bass for q, c in bar.chords or () if c.bass is not None}
            self._bar.ending = ending = Ending.of(bar, STEPS, self._lead)
            enter = 0 if ending is None else ending.at
            if ending is not None and sum(part.most_notes for part in parts.values()) < 2:
                self._bar.bass.pop(enter, None)  # its one note is the melody's
            elif ending is not None and ending.root is not None:
                self._bar.bass.setdefault(enter, ending.root)
            self._bar.due = {at: frozenset((self._bar.lowest,)) for at in self._bar.bass}
            self._bar.due[enter] = self._bar.due.get(enter, frozenset()) | self._entering(self._bar)
        self._bodies.append([])
        return list(self._heads[index].frame())

    def _entering(self, bar: OpenBar) -> frozenset[int]:
        """Parts that begin a note where a bar to be written begins: those long silent, and in the last bar all."""
        for row in bar.parts:
            self._silent[row] += 1
        if bar.plan.section == "last":
            return frozenset(list(bar.parts)[:MOST_NOTES_AT_ONCE])
        num_bars = len(self._bars)
        return frozenset(row for row, part in bar.parts.items() if part.enters(bar.index, self._silent[row], num_bars))

    # What may come.

    def _whens(self, at: int) -> list[int]:
        """Positions of an open frame, or the bar's end."""
        bar, last = self._bar, self._frames[at - 1]
        here = self._notes_until(at)
        if self._due_at(bar, last[WHEN], here):
            return [last[WHEN]]
        rows, played = self._rows(bar, last[WHEN], here), any(f[WHOSE] < CHORD for f in self._bodies[-1][:-1])
        if rows and self._begins and bar.index == 0 and not played:
            return [last[WHEN]]
        until = min([*bar.chords, bar.latest])
        found = [p for p in _grid(bar.length) if last[WHEN] < p <= until]
        if rows:
            found.append(last[WHEN])
        ended = bar.ending is None or last[WHEN] == bar.ending.at
        if ended and not bar.chords and played:
            found.append(BAR if bar.index + 1 < len(self._bars) else END)
        return found

    def _whos(self, at: int) -> list[int]:
        """Who may play at the position of a frame; a chord that nobody asked for where a beat begins."""
        frame, bar = self._frames[at], self._opens[self._bar_of[at]]
        before, here = self._frames[at - 1], self._notes_until(at)
        leading = bar.leading(before[WHOSE], frame[WHEN]) if before[WHEN] == frame[WHEN] else None
        if leading is not None and here and leading.goes_on([here[-1][1]], bar.parts[before[WHOSE]].high, voices=False):
            return [before[WHOSE]]
        found = self._rows(bar, frame[WHEN], here)
        new = self._frames[at - 1][WHEN] != frame[WHEN]
        if bar.free and new and frame[WHEN] % bar.beat == 0:
            found.append(CHORD)
        return found

    def _whats(self, at: int) -> list[int]:
        """Pitches of a part, or chords; where another note is to begin here, one that leaves it room."""
        frame = self._frames[at]
        if frame[WHOSE] == CHORD:
            return list(CHORD_IDS)
        bar, here = self._opens[self._bar_of[at]], self._notes_until(at)
        found = self._pitches(bar, frame[WHOSE], frame[WHEN], here)
        leading = bar.leading(frame[WHOSE], frame[WHEN])
        if leading is not None and self._frames[at + 1 :] and self._frames[at + 1][WHEN] != frame[WHEN]:
            return [pitch - PITCH_RANGE[0] for pitch in leading.pitches(found, 0, 0)]
        if at + 1 < len(self._frames) and self._frames[at + 1][WHEN] == frame[WHEN]:
            while len(found) > 1 and not self._rows(bar, frame[WHEN], [*here, (frame[WHOSE], found[-1])]):
                found.pop()
        return [pitch - PITCH_RANGE[0] for pitch in found]

    def _lengths(self, at: int) -> list[int]:
        """Lengths that end with the piece at the latest, and of a single voice where its next note begins."""
        frame = self._frames[at]
        bar = self._opens[self._bar_of[at]]
        part, most = self._parts[frame[WHOSE]], bar.left - frame[WHEN]
        if part.leads:
            most = min(most, bar.length - frame[WHEN])
        if bar.ending is not None:
            if frame[WHEN] == bar.ending.at:
                return [max(i for i, steps in enumerate(DURATIONS) if steps <= most)]
            most = min(most, bar.ending.at - frame[WHEN])
        if part.most_notes == 1:
            most = max(DURATIONS[0], min(most, self._next_of(at) - frame[WHEN]))
        return [i for i, steps in enumerate(DURATIONS) if steps <= most]

    def _next_of(self, at: int) -> int:
        """The position at which the part of a frame begins its next note in the bar, as far as that is known.

        A melody is not to sound then: what is not known yet may be its next note, and so may what follows a chord.
        """
        frame, when = self._frames[at], 10**9
        leads = self._parts[frame[WHOSE]].leads
        for later in self._frames[at + 1 :]:
            if later[WHEN] == OPEN:
                return when
            if later[WHEN] >= BAR:
                break
            if later[WHEN] > frame[WHEN] and (later[WHOSE] == frame[WHOSE] or (leads and later[WHOSE] == OPEN)):
                return later[WHEN]
            if leads and later[WHEN] > frame[WHEN] and later[WHOSE] == CHORD:
                when = min(when, later[WHEN])
        else:
            return when
        return 10**9

    def _forces(self, at: int) -> list[int]:
        return list(range(NO_FORCE + 1, FORCES + 1))

    def _notes_until(self, at: int) -> list[tuple[int, int]]:
        """(row, pitch) of the notes before a frame that begin with the one before it or, if its position is known, with
        it. A pitch that is still to be drawn counts as the lowest that it can be.
        """
        bar, when = self._opens[self._bar_of[at]], self._frames[at][WHEN]
        when = self._frames[at - 1][WHEN] if when == OPEN else when
        first = at
        while first and self._frames[first - 1][WHEN] == when:
            first -= 1
        here: list[tuple[int, int]] = []
        for frame in self._frames[first:at]:
            if frame[WHOSE] == CHORD:
                continue
            pitch = frame[WHAT] + PITCH_RANGE[0]
            if frame[WHAT] == OPEN:
                pitch = min(self._pitches(bar, frame[WHOSE], when, here), default=PITCH_RANGE[1])
            here.append((frame[WHOSE], pitch))
        return here

    def _due_at(self, bar: OpenBar, when: int, here: list[tuple[int, int]]) -> set[int]:
        """Rows that have to begin a note there and have not."""
        missing = bar.due.get(when, frozenset()) - {row for row, _ in here}
        return {row for row in missing if self._pitches(bar, row, when, here)}

    def _rows(self, bar: OpenBar, when: int, here: list[tuple[int, int]]) -> list[int]:
        """Parts that can begin the next note of a position: in their order, as long as hands and pitches last."""
        if len(here) >= MOST_NOTES_AT_ONCE:
            return []
        due = self._due_at(bar, when, here)
        last = here[-1][0] if here else -1
        crowded = len(here) + len(due) >= MOST_NOTES_AT_ONCE
        found = []
        for row, part in bar.parts.items():
            if row < last or row > min(due, default=row) or (crowded and row not in due):
                continue
            if sum(other == row for other, _ in here) < part.most_notes and self._pitches(bar, row, when, here):
                found.append(row)
        return found

    def _pitches(self, bar: OpenBar, row: int, when: int, here: list[tuple[int, int]]) -> list[int]:
        """Pitches of a part's next note there, ascending: above those it has, none below a bass that was asked for, and
        in a last bar whose chord is given that chord's alone.
        """
        part, chords = bar.parts[row], bar.plan.chords
        low, high = max(part.low, PITCH_RANGE[0]), min(part.high, PITCH_RANGE[1])
        bass = bar.bass.get(when)
        own = [pitch for other, pitch in here if other == row]
        if bass is not None:
            given = [pitch for other, pitch in here if other == bar.lowest]
            span = _bass_pitches(bar.parts[bar.lowest], bass)
            if row == bar.lowest and not given:
                return [pitch for pitch in span if all(pitch <= other for _, other in here)]
            low = max(low, given[0] if given else span[0] if span else low)
        low = max(low, own[-1] + 1) if own else low
        found = list(range(low, high + 1))
        if bar.plan.section == "last" and chords:
            sounding = [chord for q, chord in chords if round(q * STEPS) <= when][-1]
            found = [pitch for pitch in found if pitch % 12 in sounding.pitch_classes]
        leading = bar.leading(row, when)
        if leading is not None:
            found = leading.pitches(
                found, len(own), min(part.most_notes - len(own), MOST_NOTES_AT_ONCE - len(here)) - 1
            )
        return found


def _bass_pitches(part: Part, bass: int) -> list[int]:
    low, high = max(part.low, PITCH_RANGE[0]), min(part.high, part.low + BASS_SPAN, PITCH_RANGE[1])
    return [pitch for pitch in range(low, high + 1) if pitch % 12 == bass]


def _grid(length: int) -> list[int]:
    return [beat + step for beat in range(0, length, STEPS) for step in IN_QUARTER if beat + step < length]
