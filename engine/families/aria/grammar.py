"""What may be written next: bars, metres, tempo, sections and asked chords stand where they must, and only
notes that the instruments can play can be drawn.

Knows the order of score tokens (`clavilux.audio.codecs.remi`). Does not know why a bar's plan is as it is
(`form`) or how likely a token is (the decoder).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES, grid_quarters
from clavilux.audio.codecs.remi import ScoreTokens
from clavilux.audio.harmony import Chord
from clavilux.audio.harmony_analysis import beat_group
from clavilux.audio.score import bar_quarters
from clavilux.families.aria.ending import Ending
from clavilux.families.aria.form import Bar, quarters_of_line, quarters_to_end
from clavilux.families.aria.leaning import FOREIGN, chord_leaning, foreign_chords, lean, leaning, together
from clavilux.families.aria.motifs import Near, Rhythm, chords_of
from clavilux.families.aria.shapes import Pattern, heights_in
from clavilux.families.aria.sounding import Sounding
from clavilux.families.aria.voices import Part, Voices, texture_of
from clavilux.marking import MOST_CHOICES, TICKS, Place

MOST_NOTES_AT_ONCE = 10  # begun at one position by all parts together
BASS_SPAN = 23  # semitones above a part's lowest note in which a bass that was asked for lies
_NO_PROGRAM = -1  # before a bar's first Program token


class ScoreGrammar:
    """The tokens that may follow, for one row: `clavilux.sampling.Grammar`.

    Args:
        tokens: the vocabulary.
        bars: what to write, bar by bar.
        parts: who plays.
        tempo: quarters a minute, written at the first bar's start; None where the piece is under way.
        playing: of each bar the programs of those who play in it, None for all of them; all in every bar if None.
        voices: written program -> the one that plays it, where they differ.
        begins: the piece does, and so with a note: an upbeat's rests would be silence.
    """

    def __init__(
        self,
        tokens: ScoreTokens,
        bars: Sequence[Bar],
        parts: Sequence[Part],
        tempo: float | None,
        playing: Sequence[frozenset[int] | None] | None = None,
        voices: Mapping[int, int] | None = None,
        begins: bool = False,
    ) -> None:
        self._tokens, self._bars, self._all = tokens, list(bars), {part.program: part for part in parts}
        self._playing, self._texture = playing, texture_of(parts)
        self._voices, self._begins = dict(voices or {}), begins
        self._kinds, self._values, self._pitch_ids = tokens.kinds, tokens.values, tokens.of_kind("Pitch")
        self._first_pitch = int(tokens.values[self._pitch_ids[0]])
        self._program_ids = {tokens.values[i]: int(i) for i in tokens.of_kind("Program")}
        self._chord_ids, self._duration_ids = tokens.of_kind("Chord"), tokens.of_kind("Duration")
        self._bar_id = tokens.ids["Bar_None"]
        self._is_time = np.isin(tokens.kinds, ("Position", "Duration", "Bar"))
        self._mask = np.zeros(len(tokens), dtype=bool)
        self._index, self.done, self._heights = -1, False, heights_in(self._bars, parts[0].low, parts[0].high)
        self._bodies: list[list[int]] = []  # of each bar the tokens after its head
        self._tops: dict[int, list[int]] = {program: [] for program in self._all}  # the highest at each onset
        self._hands = {part.program: Voices(part.voicing) for part in parts if part.voicing is not None}
        self._silent = dict.fromkeys(self._all, 0)  # bars since each part played
        self._sounding = Sounding(tokens, {part.program for part in parts if part.is_line}, self._hands)
        self._chord: Chord | None = None
        self._open_bar(tempo)

    def _open_bar(self, tempo: float | None = None) -> None:
        """Force the head of the next bar: nothing is free in it but, where none was asked for, its first chord."""
        self._index += 1
        bar = self._bars[self._index]
        self._begun = sum(bar_quarters(b.metre) for b in self._bars[: self._index])
        self._quarters_left = quarters_to_end(self._bars, self._index)
        self._line_left = quarters_of_line(self._bars, self._index)
        playing = None if self._playing is None else self._playing[self._index]
        self._parts = {p: part for p, part in self._all.items() if playing is None or p in playing}
        tokens = self._tokens
        self._quarters, (_, self._unit) = bar_quarters(bar.metre), WRITTEN_METRES[bar.metre]
        self._sounding.open_bar(self._begun, self._unit)
        self._positions = np.round(grid_quarters(bar.metre) * 3 * self._unit).astype(int)  # twelfths of a beat
        self._position_ids = np.array([tokens.ids[f"Position_{p}"] for p in self._positions])
        self._plan_chords_and_end(bar)
        self._forced = [
            *([self._bar_id] if self._index == 0 else []),
            tokens.metre_id(bar.metre),
            tokens.section_id(bar.section, bar.place),
            tokens.ids["Position_0"],
        ]
        if tempo is not None:
            self._forced.append(tokens.ids[f"Tempo_{float(min(300, max(20, round(tempo))))}"])
        if not self._free:
            self._forced.append(self._due.pop(0))
        self._head_left = len(self._forced)
        self._bodies.append([])
        if bar.returns is not None:
            self._forced += self._bodies[bar.returns]
        self._known = bar.rests or bar.returns is not None or not self._parts  # nothing is open in it
        self._position, self._program, self._notes, self._last = 0, _NO_PROGRAM, 0, ""
        self._at_position: dict[int, int] = {}
        self._lowest, self._floor, self._leads_on = 0, 0, False  # whether the melody's last note is still to come
        for program in self._parts:
            self._silent[program] += not self._known
        at, count = self._index, len(self._bars)
        self._entering = {p for p, part in self._parts.items() if part.enters(at, self._silent[p], count)}
        if bar.section == "last":
            self._entering = set(self._parts)  # nobody is missing where the piece ends
        self._near = Near.of(tokens, self._bodies, bar)
        self._pattern = Pattern.of(tokens, bar) if all(part.leads for part in self._parts.values()) else None
        self._rhythm = self._taken_up(bar) if self._near is None else None

    def _plan_chords_and_end(self, bar: Bar) -> None:
        """When the bar's chords come, where notes may begin, and from where on they are held."""
        self._due = {round(q * 3 * self._unit): self._tokens.chord_id(c) for q, c in bar.chords or ()}
        if bar.varies is not None:
            self._due = chords_of(self._tokens, self._bodies[bar.varies])
        self._bass_at = {round(q * 3 * self._unit): c.bass for q, c in bar.chords or () if c.bass is not None}
        self._free = not self._due
        self._latest, self._held = self._positions[-1], np.inf  # from the latter on notes sound until the bar ends
        if bar.section == "last" or bar.breath:  # what begins late does not end with the others
            self._latest = max(self._quarters * 3 * self._unit / 2, *self._due, 0)
        if bar.breath and not any(part.leads for part in self._all.values()):
            beat = round(beat_group(bar.metre) * 3 * self._unit)
            self._latest = self._held = max(self._latest // beat * beat, *self._due, 0)
        self._ending = Ending.of(bar, 3 * self._unit, next(iter(self._all)))
        if self._ending is not None:
            self._latest, self._held = self._ending.at, np.inf
            if sum(part.most_notes for part in self._parts.values()) < 2:  # its one note is the melody's
                self._bass_at.pop(self._ending.at, None)
            elif self._ending.root is not None:
                self._bass_at.setdefault(self._ending.at, self._ending.root)

    def _taken_up(self, bar: Bar) -> Rhythm | None:
        """The rhythm of the bar that this one takes up; None where there is none, or where its notes find no place."""
        if bar.takes_up is None or self._known or self._bass_at or self._ending is not None:
            return None
        found = Rhythm(self._tokens, self._bodies[bar.takes_up], bar.motif, chords=self._free)
        begins = found.begins
        plays = bool(begins) and self._entering <= set(begins) <= set(self._parts)
        fits = plays and set(self._due) <= found.positions
        return found if fits and all(self._sounding.is_free(program, at) for program, at in begins.items()) else None

    def allowed(self) -> torch.Tensor:
        """int64 [1] for a token that must come, bool [1, V] otherwise."""
        if self._forced or self._known:
            return torch.tensor(self._forced[:1] or [self._bar_id])
        mask = self._mask
        mask[:] = False
        if self._rhythm is not None and self._last != "Position_0":
            return self._in_rhythm(self._rhythm)
        if self._last == "Position_0":
            mask[self._chord_ids] = True
        elif self._last == "Program":
            self._allow_pitches()
        elif self._last == "Pitch":
            self._allow_durations()
        else:
            self._allow_content()
        return torch.from_numpy(mask.copy())[None]

    def _in_rhythm(self, rhythm: Rhythm) -> torch.Tensor:
        """What comes next in a bar with the rhythm of another one."""
        token = self._bar_id if rhythm.next is None else rhythm.next
        kind = self._kinds[token]
        if kind == "Pitch":
            self._allow_pitches(rhythm.notes_here - 1)
        elif kind == "Chord":
            self._mask[self._chord_ids] = True
        elif kind == "Duration":
            self._allow_durations()
        if kind in ("Pitch", "Chord") or (kind == "Duration" and not self._mask[token]):
            return torch.from_numpy(self._mask.copy())[None]
        return torch.tensor([token])

    def lean(self, logits: torch.Tensor) -> None:
        """Change logits [R, 1, V] in place (`leaning`)."""
        here = np.flatnonzero(self._mask)
        if not self._forced and not self._known and len(here):
            lean(logits, self._leaning(), here, self._is_time[here], self._texture)

    def _leaning(self) -> dict[int, float]:
        """Nats to add to the logits of tokens."""
        found = [] if self._rhythm is None else [self._rhythm.leaning(self._chord)]
        found += [] if self._near is None else [self._near.leaning(self._bodies[-1])]
        if self._pattern is not None:
            found.append(self._pattern.leaning(self._position, self._last, bool(self._at_position)))
        if self._free and self._mask[self._chord_ids].any():
            found.append(chord_leaning(self._tokens, self._bodies, self._chord, self._texture))
        if self._last == "Position_0" and self._begins and self._index == 0:
            found.append(dict.fromkeys(foreign_chords(self._tokens), -FOREIGN))
        bar, chord = self._bars[self._index], self._chord
        if (part := self._parts.get(self._program)) is not None:
            found += [leaning(
                self._tokens, self._tops[self._program], self._bodies, self._sounding.pitches(self._position),
                self._sounding.onsets, leads=part.leads, root=chord.root if bar.closes and chord is not None else None,
                begins=self._last in ("Program", "Position"), again=self._program in self._at_position,
                height=self._heights[self._index], manner=part.manner,
                texture=self._texture, voices=self._sounding.leaning(self._program) if self._last != "Pitch" else {},
            )]  # fmt: skip
        return together(*found)

    def place(self) -> Place | None:
        """Where a pitch would stand that came next: the onset, who plays it, and how many it has there already."""
        choice = self._at_position.get(self._program, 0)
        if self._program == _NO_PROGRAM or choice >= MOST_CHOICES:
            return None
        player = self._voices.get(self._program, self._program)
        return Place(round((self._begun + self._position / 3 / self._unit) * TICKS), player, choice)

    def advance(self, tokens: torch.Tensor) -> None:
        """Take note of the token [1] that came."""
        token = int(tokens[0])
        kind, value = self._kinds[token], self._values[token]
        self._sounding.hear(token)
        if self._head_left:
            self._head_left -= 1
        elif kind != "Bar":
            self._bodies[-1].append(token)
        if kind == "Chord":
            self._chord = value
        if self._forced:
            self._forced.pop(0)
            if not self._forced and self._last != "Position":
                self._last = "Position_0" if self._free and kind in ("Position", "Tempo") else "Chord"
            elif kind == "Chord":
                self._last = "Chord"
            return
        self._last = kind
        if self._rhythm is not None:
            self._rhythm.advance(kind)
        if kind == "Bar":
            self.done = self._index + 1 == len(self._bars)
            if not self.done:
                self._open_bar()
        elif kind == "Position":
            self._position, self._at_position, self._lowest, self._floor = value, {}, 0, 0
            if value in self._due:
                self._forced = [self._due.pop(value)]
        elif kind == "Program":
            self._program, self._lowest = value, 0
        elif kind == "Pitch":
            self._begin(value)

    def _begin(self, pitch: int) -> None:
        """Take note of a pitch of the part that plays."""
        own = self._at_position[self._program] = self._at_position.get(self._program, 0) + 1
        tops = self._tops[self._program]
        if own > 1:
            tops.pop()  # pitches of a chord come from below
        held = self._sounding.pitches(self._position) if self._texture == "hymn" else []
        tops.append(max([pitch, *held]))
        self._lowest, self._notes = pitch + 1, self._notes + 1
        if self._bass_at.pop(self._position, None) is not None:
            self._floor = pitch  # nothing that begins here is below the bass
        self._silent[self._program] = 0
        if self._ending is None or self._ends_here():
            self._entering.discard(self._program)
            leading, part = self._leading(), self._parts[self._program]
            voices = self._texture == "hymn" and own < part.most_notes
            self._leads_on = leading is not None and leading.goes_on(tops, part.high, voices)

    def _allow_pitches(self, above: int = 0) -> None:
        """The part's pitches above those it has here, below so many more; in a last bar whose chord is given, that
        chord's alone.
        """
        part = self._parts[self._program]
        low, high = max(part.low, self._lowest, self._floor), part.high - above
        bass = self._bass_at.get(self._position)
        if bass is not None:
            high = min(high, low + BASS_SPAN)
        voices = self._hands.get(self._program)
        if voices is not None and bass is None:
            high = min(high, max(low + self._room, voices.highest(high, 0 if self._ends_here() else self._room)))
            low = min(high, voices.lowest(low))
        if self._ending is not None and self._ends_here():
            tops = self._tops[self._program][: -1 if self._program in self._at_position else None]
            high = self._ending.highest(tops, low, high, self._texture == "hymn")
        here = self._pitch_ids[max(0, low - self._first_pitch) : max(0, high + 1 - self._first_pitch)]
        if bass is not None:
            here = here[[self._values[i] % 12 == bass for i in here]]
        elif self._bars[self._index].section == "last" and not self._free:
            assert self._chord is not None, "a bar whose chords were asked for begins with one"
            here = here[[self._values[i] % 12 in self._chord.pitch_classes for i in here]]
        leading = self._leading()
        if leading is not None:
            own, others = self._at_position.get(self._program, 0), sum(self._at_position.values())
            pitches = [self._values[i] for i in here]
            more = min(part.most_notes - own, MOST_NOTES_AT_ONCE - others) - 1
            fewest = voices.missing if voices is not None else 0
            here = here[np.isin(pitches, leading.pitches(pitches, own, more, fewest))]
        self._mask[here] = True

    @property
    def _room(self) -> int:
        """Semitones in which notes find a place: in the last bar an octave, which holds those of its chord."""
        return 11 if self._bars[self._index].section == "last" else 0

    def _ends_here(self) -> bool:
        """Whether the notes at this position are the last."""
        return self._ending is not None and self._position == self._ending.at

    def _is_whole(self) -> bool:
        """Whether a hymn's last chord has its root above, and as many voices as it needs."""
        if self._texture != "hymn" or self._ending is None or not self._ends_here():
            return False
        return self._ending.is_whole(self._tops[self._program]) and not self._hands[self._program].missing

    def _leading(self) -> Ending | None:
        """The ending, where the part's notes here are the last of the melody."""
        return self._ending if self._ends_here() and self._ending and self._program == self._ending.lead else None

    def _allow_durations(self) -> None:
        """Lengths that end with the piece at the latest, or before its last notes begin; of those the longest."""
        quarters_left = self._quarters_left - (here := self._position / 3 / self._unit)
        if self._all[self._program].is_line and not self._ends_here():
            quarters_left = min(quarters_left, self._line_left - here)
            basses = [position for position in self._bass_at if position > self._position]
            quarters_left = min([quarters_left, *(at / 3 / self._unit - here for at in basses)])
        if self._ending is not None and not self._ends_here():
            quarters_left = min(quarters_left, (self._ending.at - self._position) / 3 / self._unit)
        lengths = self._tokens.duration_beats[self._duration_ids] * 4 / self._unit
        fit = lengths <= quarters_left + 1e-6
        if self._ends_here():
            fit &= lengths == lengths[fit].max()
        elif (held := self._held / 3 / self._unit - here) < np.inf:  # nothing ends after that but with the bar
            last = (lengths >= self._quarters - here - 1e-6) | (lengths <= held + 1e-6)
            fit &= last | ~(fit & last).any()
        self._mask[self._duration_ids[fit]] = True

    def _lacks_voices(self) -> bool:
        """Whether another voice begins with those of the part that begin here."""
        own = self._at_position.get(self._program, 0)
        if self._program not in self._hands or not own or not self._hands[self._program].missing:
            return False
        low, part = max(self._lowest, self._floor), self._parts[self._program]
        return own < min(part.most_notes, MOST_NOTES_AT_ONCE) and low <= part.high

    def _sounding_until(self, later: np.ndarray) -> float:
        """The position up to which enough voices sound: the next one stands there at the latest, where one may."""
        position = np.inf if self._ends_here() else self._sounding.until
        return position if (later & (self._positions <= position)).any() else np.inf

    def _allow_bass(self) -> None:
        """A chord over a bass begins with that note, in the part that reaches lowest."""
        program = min(self._parts.values(), key=lambda part: part.low).program
        if self._program == program:
            self._allow_pitches()
        else:
            self._mask[self._program_ids[program]] = True

    def _allow_content(self) -> None:
        """At a position: a chord where one may change, notes, a later position, or the bar's end."""
        mask = self._mask
        if self._position in self._bass_at:
            self._allow_bass()
            return
        if self._leads_on or self._lacks_voices():
            self._allow_pitches()
            return
        begun = sum(self._at_position.values())
        here, part = self._at_position.get(self._program, 0), self._parts.get(self._program)
        if begun < MOST_NOTES_AT_ONCE:
            plays = part is not None and here < part.most_notes and max(self._lowest, self._floor) <= part.high
            if plays and self._sounding.is_free(self._program, self._position) and not self._is_whole():
                self._allow_pitches()
            others = self._parts if self._ending and not self._ends_here() else self._entering or self._parts
            for program in others:
                reaches = self._parts[program].high >= self._floor + self._room
                other = program not in self._at_position and program != self._program
                if other and reaches and self._sounding.is_free(program, self._position):
                    mask[self._program_ids[program]] = True
        if self._last == "Position":
            if self._free and self._position % 12 == 0:
                mask[self._chord_ids] = True
            if mask.any():
                return
        enters = self._ends_here() if self._ending is not None else self._position == 0
        if self._entering and enters and mask[list(self._program_ids.values())].any():
            return
        if self._begins and self._index == 0 and not self._notes and mask.any():
            return
        until = min(self._due, default=10**6)
        later = (self._positions > self._position) & (self._positions <= min(until, self._latest))
        free = np.zeros(len(later), dtype=bool)
        for place in np.flatnonzero(later):
            position = int(self._positions[place])
            free[place] = any(self._sounding.is_free(program, position) for program in self._parts)
        sounding = self._sounding_until(later & free)
        free |= (self._positions == until) | (self._free & (self._positions % 12 == 0))  # a chord, asked for or not
        mask[self._position_ids[later & (self._positions <= sounding) & free]] = True
        whole = not self._due and sounding >= self._positions[-1]
        if whole and (self._notes or not mask.any()) and (self._ending is None or self._ends_here()):
            mask[self._bar_id] = True
