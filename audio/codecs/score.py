"""The score codecs: a composer's tokens into the sound of sampled instruments, whole or bar by bar.

Knows how a score is phrased when it is played. Does not know who wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.arranging.arranger import LEVEL_OF, Arranger
from clavilux.audio.codecs.bar_readers import BarReader, RemiBars
from clavilux.audio.codecs.note_frames import BOOKS, IDS, decode_frames, readable
from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.codecs.timeline import Timeline
from clavilux.audio.controllers import parts_matched
from clavilux.audio.divisi import Divisi
from clavilux.audio.events import AT_REST, NO_PART, PART_EVENT
from clavilux.audio.harmony import Chord, Key
from clavilux.audio.notes import PART_NOTE, as_parts
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.soundfont import SoundFont
from clavilux.audio.stems import Performance, joined_events
from clavilux.audio.synth import SAMPLE_RATE, ScoreRenderer, events_of, render_score, score_events


class ScoreCodec:
    """A `Codec` whose tokens are a score's (`ScoreTokens`) and whose samples are played from them."""

    sample_rate = SAMPLE_RATE
    channels = 2
    frame_rate = 0.0  # a score's tokens have no fixed rate
    codebooks = 1

    @property
    def vocabulary(self) -> int:
        return len(score_tokens())

    def score(self, tokens: Tensor) -> Score:
        """What tokens int64 [K, T] say, as it is played. ValueError where they say no score."""
        score = score_tokens().decode(tokens[0].cpu())
        return replace(score, notes=phrased(score.notes, score))

    def encode(self, samples: Tensor) -> Tensor:
        """Always a ValueError: notes cannot be read from sound. `ScoreTokens.encode` reads a `Score`."""
        raise ValueError("sound cannot be written back as notes; give the score or its MIDI file instead")

    def decode(self, tokens: Tensor) -> Tensor:
        """tokens int64 [B, K, T] -> samples float32 [B, 2, N], shorter rows followed by silence."""
        rows = [render_score(self.score(row), SAMPLE_RATE) for row in tokens]
        length = max(row.shape[1] for row in rows)
        return torch.stack([torch.nn.functional.pad(row, (0, length - row.shape[1])) for row in rows])


class FrameCodec(ScoreCodec):
    """The same, of note frames (`note_frames`), whose notes have velocities of their own."""

    codebooks = len(BOOKS)

    @property
    def vocabulary(self) -> int:
        return IDS

    def score(self, tokens: Tensor) -> Score:
        """What frames int64 [5, T] say, without those whose ids do not belong together. ValueError for none."""
        frames = tokens.cpu().numpy()
        return decode_frames(frames[:, readable(frames)])


def phrased(notes: np.ndarray, score: Score, first_bar: int = 0) -> np.ndarray:
    """Notes with velocities as a player gives them: strong beats, the highest voice, a swell over four bars.

    Tokens carry no dynamics; this is a rule, not a prediction. `first_bar` counts the bars before the score.
    """
    notes = notes.copy()
    if not len(notes):
        return notes
    starts = score.bar_starts()
    bars = np.clip(np.searchsorted(starts, notes["start"] + 1e-6, side="right") - 1, 0, len(starts) - 1)
    beat = np.array([4 / score.metre_at(start)[1] for start in starts])[bars]
    inside = notes["start"] - starts[bars]
    velocity = np.full(len(notes), 74.0)
    velocity += np.where(inside < 1e-6, 9, np.where(np.abs(inside / beat - np.round(inside / beat)) < 1e-6, 2, -5))
    velocity += 6 * np.sin(np.pi * ((bars + first_bar) % 4 + inside / 4) / 4)
    for start in np.unique(notes["start"]):
        here = np.flatnonzero(notes["start"] == start)
        velocity[here[np.argmax(notes["pitch"][here])]] += 9
    notes["velocity"] = np.clip(np.round(velocity), 1, 127)
    return notes


class ScorePlayer:
    """Tokens in, one after another; sound out, a bar at a time, and the score in the end.

    Args:
        timeline: the bars that come, their metres where the tokens' are stand-ins, and their exact tempo (tokens know
            whole ones only). The notes that end the last bar are heard until the sound ends.
        duration_s: the exact length of all the sound.
        reader: of the tokens; of REMI tokens as they are if None.
        programs: written program -> the one that plays it.
        players: program that plays -> how many do, as `Divisi`; each of them is a part.
        unison: (program, semitones higher) of all who play the notes of the first of them, each as a part of its own.
        before: a score that comes first, untouched.
        soundfont: whose instruments play; the bundled one if None.
        band: who plays with what the tokens say, which is then the melody of its sheet.
    """

    sound_mark: int | None = None  # 64 bits of a key whose mark the sound carries; to be set before anything is pushed

    def __init__(
        self,
        *,
        timeline: Timeline,
        duration_s: float,
        reader: BarReader | None = None,
        programs: Mapping[int, int] | None = None,
        players: Mapping[int, int] | None = None,
        unison: Sequence[tuple[int, int]] = (),
        before: Score | None = None,
        soundfont: SoundFont | None = None,
        band: Arranger | None = None,
    ):
        self._timeline, self._before = timeline, before
        self._reader: BarReader = RemiBars() if reader is None else reader
        self._programs, self._players, self._unison = dict(programs or {}), dict(players or {}), unison
        self._divisi = Divisi(self._players)
        self._offset = before.length if before is not None else 0.0
        self._start_s = before.duration_s if before is not None else 0.0
        self._duration_s, self._band = duration_s, band
        used = {*self._programs.values(), *(program for program, _ in unison)} | (
            set(before.notes["program"].tolist()) if before is not None else set()
        )
        used |= {part.program for part in band.parts if part.kind != "drums"} if band is not None else set()
        controls: np.ndarray | None = None
        self._before_events = np.empty(0, PART_EVENT)
        if before is not None:
            self._before_events, controls = score_events(before)
        self._fed: list[np.ndarray] = []
        self._played = Performance(np.empty(0, PART_EVENT), controls, tuple(sorted(used)) or None, soundfont)
        self._bars = 0
        self._notes: list[np.ndarray] = []
        self._chords: list[tuple[float, Chord]] = []
        self._given = before is None

    @cached_property
    def _renderer(self) -> ScoreRenderer:
        return replace(self._played, mark=self.sound_mark).renderer(SAMPLE_RATE, self._duration_s)

    @property
    def at_s(self) -> float:
        """Seconds that are written so far."""
        return self._start_s + float(self._timeline.seconds_at(np.array(self._timeline.starts[self._bars])))

    @property
    def drawn(self) -> Tensor:
        """int64 [K, T], the tokens of the bars that were played, at their sounding pitch."""
        return self._reader.drawn

    def push(self, tokens: Tensor) -> Tensor | None:
        """Take a step's tokens int64 [K]; the samples float32 [2, N] that a finished bar settles, or None."""
        bar = self._reader.push(tokens)
        return None if bar is None else self._finish_bar(bar)

    def finish(self) -> Tensor:
        """The rest of the sound."""
        bar = self._reader.finish()
        first = self._finish_bar(bar) if bar is not None else self._feed_before()
        return torch.cat([first, self._renderer.finish()], dim=1)

    def score(self, key: Key | None) -> Score:
        """All that was written, after what came before, no longer than the sound."""
        written = self._written(key)
        whole = written if self._before is None else replace(self._before, key=key).concat(written)
        return whole.slice(0.0, float(whole.quarters_at(self._duration_s)))

    def performance(self) -> Performance:
        """All that was played so far, by parts as `score` has them."""
        events = joined_events(self._fed)
        new = events["part"] < NO_PART
        if self._before is not None:
            own = events[new]
            own["part"] -= AT_REST
            names = parts_matched(self._before.notes, own)
            events["part"][new] = [names[voice] + AT_REST for voice in own[["part", "program", "drum"]].tolist()]
        return replace(self._played, events=events, mark=self.sound_mark)

    def _written(self, key: Key | None) -> Score:
        notes = np.concatenate([np.empty(0, PART_NOTE), *self._notes])
        notes["start"] -= self._offset
        line = self._timeline
        length = max(line.starts[self._bars], line.quarters_at(self._duration_s - self._start_s))
        chords = tuple(self._chords) if self._band is None else self._band.sheet.chords()
        return Score(notes, line.tempos, line.metre_changes, key, chords, length, sections=line.sections)

    def _feed_before(self) -> Tensor:
        if self._given:
            return torch.zeros(2, 0)
        self._given = True
        return self._feed(self._before_events, self._start_s)

    def _finish_bar(self, bar: Score) -> Tensor:
        before = self._feed_before()
        metre, begins = self._timeline.metres[self._bars], self._timeline.starts[self._bars]
        bar = replace(bar, metres=((0.0, metre),), length=max(bar_quarters(metre), bar.length))
        notes = bar.notes if self._reader.velocities else phrased(bar.notes, bar, first_bar=self._bars)
        if self._programs:
            notes["program"] = [self._programs.get(int(p), int(p)) for p in notes["program"]]
        notes = self._played_together(as_parts(notes))
        for quarter, chord in bar.chords:
            if not self._chords or self._chords[-1][1] != chord:
                self._chords.append((begins + quarter, chord))
        notes["start"] += begins
        notes = self._heard(notes)
        notes["part"] += self._divisi.divided(notes)
        if self._bars + 1 == len(self._timeline.metres):
            notes = self._ended(notes)
        if self._band is not None:
            notes = self._band.with_melody(self._bars, notes)
        notes["start"] += self._offset
        self._bars += 1
        self._notes.append(notes)
        played = self._held(notes) if self._bars == len(self._timeline.metres) else notes
        played = played if self._band is None else self._played_by_band(played)
        events = events_of(played, self._seconds_at)
        events["part"] += AT_REST  # the controllers of what came before are at rest here, as in `Score.concat`
        return torch.cat([before, self._feed(events, self.at_s)], dim=1)

    def _played_by_band(self, notes: np.ndarray) -> np.ndarray:
        """The bar's notes as hands play them; none leaves its bar, which is what is rendered next."""
        assert self._band is not None, "it was asked"
        begin, end = (self._offset + at for at in self._timeline.starts[self._bars - 1 : self._bars + 1])
        played = self._band.played(notes)
        played["start"] = np.clip(played["start"], begin, end - 1e-3)
        return played

    def _played_together(self, notes: np.ndarray) -> np.ndarray:
        """The notes, those of the first in unison once for each of them; other parts are numbered behind these."""
        if not self._unison:
            return notes
        melody = notes["program"] == self._unison[0][0]
        found = []
        for part, (program, semitones) in enumerate(self._unison):
            own = notes[melody]
            own["program"], own["part"] = program, part
            own["pitch"] += semitones
            found.append(own)
        others = notes[~melody]
        programs = sorted(self._programs.values())
        firsts = np.cumsum([len(self._unison), *(self._players.get(program, 1) for program in programs)])
        others["part"] = firsts[np.searchsorted(programs, others["program"])]
        return np.concatenate([*found, others])

    def _heard(self, notes: np.ndarray) -> np.ndarray:
        """A bar's notes without those of players who rest in it, as loud as it is to be."""
        line = self._timeline
        programs = line.programs[self._bars] if line.programs else None
        if programs is not None:
            notes = notes[[int(program) in programs for program in notes["program"]]]
        dynamic = line.dynamics[self._bars] if line.dynamics else None
        if dynamic is not None:
            notes["velocity"] = np.clip(np.round(notes["velocity"] * LEVEL_OF[dynamic]), 1, 127)
        return notes

    def _ended(self, notes: np.ndarray) -> np.ndarray:
        """The last bar's notes: those that each part begins last last until the bar's end or the silence there, all
        together.
        """
        end = self._timeline.starts[-1] - self._timeline.silence
        for program in np.unique(notes["program"]):
            own = notes["program"] == program
            last = own & (notes["start"] == notes["start"][own].max())
            notes["duration"] = np.where(last, np.maximum(notes["duration"], end - notes["start"]), notes["duration"])
        return notes

    def _held(self, notes: np.ndarray) -> np.ndarray:
        """The last notes as they sound: until the piece ends, where it ends later than the bar."""
        notes = notes.copy()
        end = self._offset + self._timeline.starts[-1]
        until = self._offset + self._timeline.quarters_at(self._duration_s - self._start_s)
        beat = 4 / self._timeline.metres[-1][1]
        ringing = notes["start"] + notes["duration"] > end - self._timeline.silence - beat + 1e-6
        notes["duration"] = np.where(ringing & (until > end), until - notes["start"], notes["duration"])
        return notes

    def _seconds_at(self, quarters: np.ndarray) -> np.ndarray:
        return self._start_s + self._timeline.seconds_at(quarters - self._offset)

    def _feed(self, events: np.ndarray, until_s: float) -> Tensor:
        until_s = max(until_s, 0.0)
        self._fed.append(events[events["start"] < until_s])
        return self._renderer.feed(self._fed[-1], until_s)
