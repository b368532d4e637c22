"""A lead sheet with its melody, played by a band: sound a bar at a time, and the score in the end.

Knows sheets, the arranger and the renderer. Does not know who wrote the melody. Where a composer writes it while it is
played, `score.ScorePlayer` plays.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from torch import Tensor

from clavilux.audio.arranging.arranger import Arranger
from clavilux.audio.codecs.score import phrased
from clavilux.audio.events import PART_EVENT
from clavilux.audio.lead_sheet import LeadSheet
from clavilux.audio.notes import PART_NOTE, as_parts
from clavilux.audio.score import Score
from clavilux.audio.soundfont import SoundFont
from clavilux.audio.stems import Performance, joined_events
from clavilux.audio.synth import SAMPLE_RATE, ScoreRenderer, events_of


class SheetPlayer:
    """Plays a band's sheet, whose melody is there already.

    Args:
        band: who plays, with the sheet.
        lead: the General MIDI program that plays the melody.
        duration_s: the exact length of all the sound; the last notes ring until then.
        soundfont: whose instruments play; the bundled one if None.
    """

    sound_mark: int | None = None  # 64 bits of a key whose mark the sound carries; to be set before the first bar

    def __init__(self, band: Arranger, lead: int, *, duration_s: float, soundfont: SoundFont | None = None) -> None:
        assert band.sheet.melody is not None, "without a melody a composer writes one"
        self._band, self._sheet, self._duration_s = band, band.sheet, duration_s
        programs = {lead, *(part.program for part in band.parts if part.kind != "drums")}
        self._performance = Performance(np.empty(0, PART_EVENT), None, tuple(sorted(programs)), soundfont)
        self._melody = _with_velocities(as_parts(band.sheet.melody), band.sheet)
        self._melody["program"], self._melody["drum"], self._melody["part"] = lead, False, 0
        self._ends = np.cumsum([bar.quarters for bar in self._sheet.bars])
        self._bars = 0
        self._notes: list[np.ndarray] = []
        self._fed: list[np.ndarray] = []

    @cached_property
    def _renderer(self) -> ScoreRenderer:
        return replace(self._performance, mark=self.sound_mark).renderer(SAMPLE_RATE, self._duration_s)

    @property
    def at_s(self) -> float:
        """Seconds that are written so far."""
        return float(self._ends[self._bars - 1]) * 60 / self._sheet.tempo if self._bars else 0.0

    def bar(self) -> Tensor:
        """The samples float32 [2, N] that the next bar settles."""
        index = self._bars
        end, begin = float(self._ends[index]), float(self._ends[index - 1]) if index else 0.0
        own = self._melody[(self._melody["start"] >= begin - 1e-6) & (self._melody["start"] < end - 1e-6)]
        notes = self._band.with_melody(index, own)
        self._bars += 1
        if self._bars == self._band.num_bars:
            notes = self._held(notes, end)
        self._notes.append(notes)
        played = self._band.played(notes)
        played["start"] = np.clip(played["start"], begin, end - 1e-3)  # none leaves its bar, which is rendered next
        events = events_of(played, lambda quarters: quarters * 60 / self._sheet.tempo)
        self._fed.append(events)
        return self._renderer.feed(events, self.at_s)

    def finish(self) -> Tensor:
        """The rest of the sound."""
        return self._renderer.finish()

    def score(self) -> Score:
        """All that was written, no longer than the sound."""
        sheet = self._sheet
        notes = np.concatenate([np.empty(0, PART_NOTE), *self._notes])
        length = max(float(self._ends[-1]), self._duration_s * sheet.tempo / 60)
        return Score(
            notes, ((0.0, sheet.tempo),), sheet.metres(), sheet.key, sheet.chords(), length,
            sections=sheet.section_starts(),
        )  # fmt: skip

    def performance(self) -> Performance:
        """All that was played so far."""
        return replace(self._performance, events=joined_events(self._fed), mark=self.sound_mark)

    def _held(self, notes: np.ndarray, end: float) -> np.ndarray:
        """The last notes ring until the piece ends, where it ends later than the bar."""
        until = self._duration_s * self._sheet.tempo / 60
        ringing = notes["start"] + notes["duration"] > end - 1 + 1e-6
        notes["duration"] = np.where(ringing & (until > end), until - notes["start"], notes["duration"])
        return notes


def _with_velocities(notes: np.ndarray, sheet: LeadSheet) -> np.ndarray:
    """Notes with velocities as a player gives them, where the source has one for all."""
    if len(set(notes["velocity"].tolist())) > 1:
        return notes
    return phrased(notes, Score(notes, ((0.0, sheet.tempo),), sheet.metres(), sheet.key, (), sheet.quarters))
