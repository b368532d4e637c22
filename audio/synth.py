"""Scores into sound: sampled instruments, each in its seat of a small hall.

Streaming first: `ScoreRenderer` takes notes as they are written and gives back sound; `render_score` feeds it
a whole score. Works in blocks of a fixed size counted from the start, so the pieces of a stream are the
whole, bit for bit. Compared with tinysoundfont and FluidSynth in docs/soundfont-player.md; ours stays.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from clavilux.audio.controllers import sounding_durations
from clavilux.audio.events import EVENT, PART_EVENT, EventTuple, checked_events
from clavilux.audio.expression import NoteBend, PartExpression, part_expressions
from clavilux.audio.notes import BANK, CONTROL
from clavilux.audio.programs import DRUM_KEYS, program_name
from clavilux.audio.room import DRUMS, Reverb, Seat, pan_gains, seat_of
from clavilux.audio.sampler import Note, Sampler
from clavilux.audio.sound_mark import SoundMark
from clavilux.audio.soundfont import SoundFont

if TYPE_CHECKING:
    from clavilux.audio.score import Score

__all__ = [
    "EVENT",
    "SAMPLE_RATE",
    "ScoreRenderer",
    "SoundFont",
    "events_of",
    "program_name",
    "render_score",
    "stream_score",
]

SAMPLE_RATE = 44100  # Hz, that of most of the samples

Amplitude = np.float32 | np.ndarray
BLOCK = 8192
END_FADE_S = 0.04
MASTER = 0.25  # leaves a full orchestra below full scale; saving brings a clip to its loudness anyway
LONGEST_TAIL_S = 8.0
_INAUDIBLE = 10 ** (-75 / 20)
PIECE_S = 2.0
LONGEST_REST_S = 10.0  # a file may end minutes, or hours, after its last note
_CHOKE_S = 0.03
_SHORTEST_NOTE_S = 0.03


@dataclass
class _Voice:
    """A sounding note, from sample `start` on.

    `left` and `right` hold for an instrument in its seat; one that is panned stands between `position` and a side, with
    the amplitudes `sides` of its own there.
    """

    start: int
    note: Note
    left: float
    right: float
    wet: float
    choke: int
    position: float
    sides: tuple[float, float]
    moves: PartExpression | None

    @property
    def end(self) -> int:
        return self.start + len(self.note)

    def gains(self, begin: int, count: int) -> tuple[Amplitude, Amplitude, Amplitude]:
        """Amplitudes left, right and into the hall of `count` samples: float32 [count] or numbers."""
        left, right, wet = np.float32(self.left), np.float32(self.right), np.float32(self.wet)
        if self.moves is None:
            return left, right, wet
        gain, pan = self.moves.gain(begin, count), self.moves.pan(begin, count)
        if not (isinstance(pan, float) and pan == 0):
            room = 1 - np.sign(pan) * self.position  # from the seat to the side
            sides = pan_gains(self.position + pan * room)
            left, right = (np.float32(own) * np.float32(side) for own, side in zip(self.sides, sides, strict=True))
        if isinstance(gain, float) and gain == 1:
            return left, right, wet
        gain = np.asarray(gain, np.float32)
        return left * gain, right * gain, wet * gain


class ScoreRenderer:
    """Notes in, sound out.

    Args:
        sample_rate: Hz.
        duration_s: the exact length: round(duration_s * sample_rate) samples, faded out over the last 40 ms.
            None lets the last notes ring out.
        soundfont: whose instruments play; the bundled one if None.
        programs: the programs that the music uses, if they are known: a single instrument sits in the middle.
        controls: `CONTROL` records of all the music, their times in seconds; they move the notes of their part.
        mark: 64 bits of a key whose mark the sound carries (`sound_mark`); None: none.
    """

    def __init__(
        self,
        *,
        sample_rate: int = SAMPLE_RATE,
        duration_s: float | None = None,
        soundfont: SoundFont | None = None,
        programs: Iterable[int] | None = None,
        controls: np.ndarray | None = None,
        mark: int | None = None,
    ) -> None:
        if not 8000 <= sample_rate <= 192000 or sample_rate != int(sample_rate):
            raise ValueError(f"The sample rate must be whole and from 8000 to 192000 Hz, not {sample_rate}.")
        if duration_s is not None and not (math.isfinite(duration_s) and round(duration_s * sample_rate) > 0):
            raise ValueError(f"The duration must be a positive number of seconds, not {duration_s}.")
        self.sample_rate, self.soundfont = int(sample_rate), soundfont or SoundFont.bundled()
        self._total = None if duration_s is None else round(duration_s * sample_rate)
        self._sampler = _sampler(self.soundfont, self.sample_rate)
        self._alone = programs is not None and len(set(programs)) == 1
        self._reverb = Reverb(self.sample_rate, BLOCK)
        self._moves = part_expressions(np.empty(0, CONTROL) if controls is None else controls, self.sample_rate)
        self._waiting: list[np.void] = []
        self._voices: list[_Voice] = []
        self._mark = None if mark is None else SoundMark(mark, self.sample_rate)
        self._blocks = 0  # rendered so far
        self._kept = np.zeros((2, 0), np.float32)  # rendered and not given out
        self._given = 0  # samples
        self._fed_s = 0.0
        self._last = 0  # the sample at which the last key so far is let go
        self._finished = False

    def feed(self, notes: np.ndarray | Iterable[EventTuple], until_s: float) -> torch.Tensor:
        """Add the notes that start before `until_s` and get the sound that they settle.

        Args:
            notes: `EVENT` or `PART_EVENT` records, or tuples (start_s, duration_s, pitch, velocity, program, drum),
                in any order; all start at or after the `until_s` of the call before, and before this one's.
            until_s: seconds; no later note starts before it.

        Returns:
            float32 [2, N]: the next samples, in whole blocks, none of them after `until_s`. N may be 0.

        Raises:
            ValueError: a note outside its time, or outside General MIDI's ranges.
        """
        if self._finished:
            raise ValueError("This renderer has finished; make another one.")
        if not until_s >= self._fed_s:
            raise ValueError(f"until_s must not go back: {until_s} is before {self._fed_s}.")
        events = checked_events(notes, self._fed_s, until_s)
        self._waiting += list(events)
        self._fed_s = float(until_s)
        if len(events):
            last = round(float((events["start"] + events["duration"]).max()) * self.sample_rate)
            self._last = max(self._last, last)
        settled = int(until_s * self.sample_rate // BLOCK) if math.isfinite(until_s) else self._blocks
        if self._total is None:
            self._render_until(settled)
            return self._give(self._kept)
        self._render_until(min(settled, -(-self._total // BLOCK)))
        return self._give(self._kept[:, : max(0, self._total - self._fade - self._given)])

    def finish(self) -> torch.Tensor:
        """The rest of the sound, float32 [2, N]; with `duration_s` all pieces are exactly that long."""
        if self._finished:
            raise ValueError("This renderer has finished; make another one.")
        self._finished = True
        if self._total is None:
            return self._give(self._ring_out())
        self._render_until(-(-self._total // BLOCK), last=True)
        rest = self._kept[:, : self._total - self._given].copy()
        fade = min(self._fade, rest.shape[1])
        rest[:, rest.shape[1] - fade :] *= _fade_out(fade)
        return self._give(rest)

    @property
    def _fade(self) -> int:
        return round(END_FADE_S * self.sample_rate)

    def _give(self, samples: np.ndarray) -> torch.Tensor:
        self._given += samples.shape[1]
        self._kept = self._kept[:, samples.shape[1] :]
        return torch.from_numpy(np.ascontiguousarray(samples))

    def _ring_out(self) -> np.ndarray:
        """Everything that is left, up to where it can no longer be heard."""
        latest = self._last + round(LONGEST_TAIL_S * self.sample_rate)
        self._render_until(-(-(self._last + 1) // BLOCK))
        ends = [voice.end for voice in self._voices] + [self._last]
        self._render_until(-(-min(latest, max(ends) + self._reverb.num_samples) // BLOCK), last=True)
        loud = np.flatnonzero(np.abs(self._kept).max(axis=0, initial=0) > _INAUDIBLE)
        audible = int(loud[-1]) + 1 if len(loud) else 0
        end = min(self._kept.shape[1], max(self._last - self._given, audible))
        rest = self._kept[:, :end].copy()
        fade = min(self._fade, end)
        rest[:, end - fade :] *= _fade_out(fade)
        return rest

    def _render_until(self, block: int, *, last: bool = False) -> None:
        rendered = [self._kept]
        while self._blocks < block:
            samples = self._render_block()
            rendered.append(samples if self._mark is None else self._mark.push(samples))
            self._blocks += 1
        if last and self._mark is not None:
            rendered.append(self._mark.finish())
        self._kept = np.concatenate(rendered, axis=1)

    def _render_block(self) -> np.ndarray:
        begin = self._blocks * BLOCK
        self._start_voices(begin + BLOCK)
        dry, send = np.zeros((2, BLOCK), np.float32), np.zeros(BLOCK, np.float32)
        for voice in self._voices:
            first = max(voice.start, begin)
            part = voice.note.take(begin + BLOCK - first)
            here = slice(first - begin, first - begin + len(part))
            left, right, wet = voice.gains(first, len(part))
            dry[0, here] += left * part
            dry[1, here] += right * part
            send[here] += wet * part
        self._voices = [v for v in self._voices if v.end > begin + BLOCK]
        return np.float32(MASTER) * (dry + self._reverb.process(send))

    def _start_voices(self, end: int) -> None:
        count = 0
        for event in self._waiting:
            start = round(float(event["start"]) * self.sample_rate)
            if start >= end:
                break
            self._start(event, start)
            count += 1
        del self._waiting[:count]

    def _start(self, event: np.void, start: int) -> None:
        pitch, velocity, drum = int(event["pitch"]), int(event["velocity"]), bool(event["drum"])
        program = 0 if drum else self.soundfont.nearest(int(event["program"]))
        key = self._drum_key(pitch, velocity) if drum else pitch
        held = round(max(float(event["duration"]), _SHORTEST_NOTE_S) * self.sample_rate)
        seat: Seat = DRUMS if drum else seat_of(program, alone=self._alone)
        left, right = seat.gains(key)
        gain = (velocity / 127) ** 2 * 10 ** (self.soundfont.level_db(program, drum) / 20)
        moves, bend, bank = self._moves.get(int(event["part"])), None, 0
        if moves is not None:
            gain *= moves.soft_gain(start)
            bend = NoteBend(moves, start)
            bank = self.soundfont.bank(program, int(moves.at(BANK, start)))
        for region in self.soundfont.regions(program, drum, key, velocity, bank):
            if region.choke and drum:
                self._choke(region.choke, start)
            note = self._sampler.note(region, key, held, bend)
            own_left, own_right = Seat(region.pan).gains(60)
            sides = gain * left * own_left, gain * right * own_right
            own = gain * own_left, gain * own_right
            self._voices.append(
                _Voice(start, note, *sides, gain * seat.wet, region.choke, seat.position(key), own, moves)
            )

    def _drum_key(self, pitch: int, velocity: int) -> int:
        """The key that plays a drum: another one where the kit lacks it."""
        held = pitch not in DRUM_KEYS or self.soundfont.regions(0, True, pitch, velocity)
        return pitch if held else DRUM_KEYS[pitch]

    def _choke(self, group: int, start: int) -> None:
        """A closing hi-hat silences the open one."""
        for voice in self._voices:
            if voice.choke == group and voice.start < start:
                at = start - voice.start
                fade = min(round(_CHOKE_S * self.sample_rate), max(0, len(voice.note) - at))
                voice.note.end(at, _fade_out(fade))


def render_score(
    score: Score,
    sample_rate: int = SAMPLE_RATE,
    duration_s: float | None = None,
    soundfont: SoundFont | None = None,
    mark: int | None = None,
) -> torch.Tensor:
    """The sound of a score; without notes it is silence.

    Args:
        score: the notes, with tempi and controllers.
        sample_rate: Hz, 8000 to 192000.
        duration_s: the exact length, faded out over the last 40 ms; None lets the last notes ring out.
        soundfont: whose instruments play; the bundled one if None.
        mark: as for `ScoreRenderer`.

    Returns:
        float32 [2, N], at the level of the instruments: `Audio.save` brings it to a loudness.

    Raises:
        ValueError: a rate or duration outside its range.
    """
    return torch.cat(list(stream_score(score, sample_rate, duration_s, soundfont, mark)), dim=1)


def stream_score(
    score: Score,
    sample_rate: int = SAMPLE_RATE,
    duration_s: float | None = None,
    soundfont: SoundFont | None = None,
    mark: int | None = None,
) -> Iterator[torch.Tensor]:
    """`render_score` in pieces of about `PIECE_S` seconds: a long score takes no more memory than a short one.

    Rests at the end of a score are played, up to `LONGEST_REST_S` of them.
    """
    events, controls = score_events(score)
    events = events[np.argsort(events["start"], kind="stable")]
    if duration_s is None and not len(events):
        duration_s = min(max(score.duration_s, 1 / sample_rate), LONGEST_REST_S)
    renderer = ScoreRenderer(
        sample_rate=sample_rate,
        duration_s=duration_s,
        soundfont=soundfont,
        programs=programs_of(events),
        controls=controls,
        mark=mark,
    )
    ends_s = max(played_s(score), float(events["start"].max(initial=0)) + 1e-6)
    for until_s in [*np.arange(PIECE_S, ends_s, PIECE_S).tolist(), ends_s]:
        count = int(np.searchsorted(events["start"], until_s))
        yield renderer.feed(events[:count], until_s)
        events = events[count:]
    yield renderer.finish()


def played_s(score: Score) -> float:
    """Seconds that `stream_score` plays of a score, but for what rings on."""
    notes = score.notes
    let_go_s = float(score.seconds_at(notes["start"] + notes["duration"]).max(initial=0))
    return min(score.duration_s, let_go_s + LONGEST_REST_S)


def score_events(score: Score) -> tuple[np.ndarray, np.ndarray]:
    """(notes as `PART_EVENT` records that sound as long as pedals hold them, `CONTROL` records in seconds)."""
    notes, controls = score.notes.copy(), score.controls.copy()
    notes["duration"] = sounding_durations(notes, controls)
    controls["time"] = score.seconds_at(controls["time"])
    return events_of(notes, score.seconds_at), controls


def programs_of(events: np.ndarray) -> tuple[int, ...] | None:
    """All programs of `PART_EVENT` records, -1 for drums, as `ScoreRenderer` takes them; None where there are none."""
    return tuple(events["program"][~events["drum"]].tolist() + [-1] * bool(events["drum"].any())) or None


def events_of(notes: np.ndarray, seconds_at: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A score's notes as `PART_EVENT` records in the same order; `seconds_at` maps quarters to seconds."""
    events = np.zeros(len(notes), PART_EVENT)
    for field in ("pitch", "velocity", "program", "drum", "part"):
        events[field] = notes[field]
    events["start"] = seconds_at(notes["start"])
    events["duration"] = seconds_at(notes["start"] + notes["duration"]) - events["start"]
    return events


def _fade_out(num_samples: int) -> np.ndarray:
    phase = np.pi * np.arange(1, num_samples + 1) / max(1, num_samples)
    return (0.5 + 0.5 * np.cos(phase)).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _sampler(soundfont: SoundFont, sample_rate: int) -> Sampler:
    """Decoded and pitched samples, shared by renderers: they are a cache and change no result."""
    return Sampler(soundfont, sample_rate)
