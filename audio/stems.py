"""What was played, and each instrument's share of the sound: stems.

The renderer adds its voices up and the hall is linear, so parts that are rendered alone, from the same seats and to the
same length, sum to the whole. Knows parts and sound. Does not know files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from clavilux.audio.events import parts_of_events
from clavilux.audio.midi_writer import part_names
from clavilux.audio.notes import PART_NOTE, players_of
from clavilux.audio.room import REVERB_S
from clavilux.audio.synth import LONGEST_TAIL_S, ScoreRenderer, programs_of, score_events

if TYPE_CHECKING:
    from clavilux.audio.score import Score
    from clavilux.audio.soundfont import SoundFont

MOST_DIFFERENCE_DBFS = -80.0  # of the sum from the whole; what floats round away is below -100
_MOST_AWAY = 0.25  # quarters of a stroke from its note; what lies further off is another
MOST_STEMS_S = 1200.0  # all of them are in memory at once: 0.7 MB a second for each pair of instruments


@dataclass(frozen=True, eq=False)
class Performance:
    """What a renderer was given.

    Attributes:
        events: `PART_EVENT` records.
        controls: `CONTROL` records, their times in seconds; None where there are none.
        programs: all that the music uses, as `ScoreRenderer` was told them.
        soundfont: whose instruments play; the bundled one if None.
        mark: 64 bits of a key whose mark the sound carries; None: none. Not shown: it is what finds the mark.
    """

    events: np.ndarray
    controls: np.ndarray | None = None
    programs: tuple[int, ...] | None = None
    soundfont: SoundFont | None = None
    mark: int | None = field(default=None, repr=False)

    @classmethod
    def of_score(cls, score: Score, soundfont: SoundFont | None = None, mark: int | None = None) -> Performance:
        """As `stream_score` plays a score."""
        events, controls = score_events(score)
        return cls(events, controls, programs_of(events), soundfont, mark)

    def parts(self) -> dict[str, Performance]:
        """The share of each part, by the name that its track has in a MIDI file: "violin 1", "drums"."""
        named = self.events.copy()
        named["part"] = parts_of_events(self.events)
        parts = players_of(named)
        found = {}
        for name, (drum, program, part) in zip(part_names(parts), parts, strict=True):
            mine = (named["drum"] == drum) & (named["program"] == program) & (named["part"] == part)
            found[name] = replace(self, events=self.events[mine])
        return found

    def renderer(self, sample_rate: int, duration_s: float) -> ScoreRenderer:
        """What plays it, or more by the same players, for so long; `events` are not fed yet."""
        return ScoreRenderer(
            sample_rate=sample_rate,
            duration_s=duration_s,
            soundfont=self.soundfont,
            programs=self.programs,
            controls=self.controls,
            mark=self.mark,
        )

    def samples(self, sample_rate: int, num_samples: int) -> torch.Tensor:
        """The sound, float32 [2, num_samples], faded out over its last 40 ms as any sound of a set length is."""
        renderer = self.renderer(sample_rate, num_samples / sample_rate)
        return torch.cat([renderer.feed(self.events, math.inf), renderer.finish()], dim=1)

    def around(self, sample_rate: int, length: int) -> torch.Tensor:
        """A loop of so many samples, with all that rings on from the rounds before: float32 [2, length]."""
        tail = round((LONGEST_TAIL_S + REVERB_S) * sample_rate)
        rounds = 1 + -(-tail // length)
        once = self.samples(sample_rate, rounds * length)
        return once.reshape(2, rounds, length).sum(dim=1)


def played_score(score: Score, performance: Performance) -> Score:
    """A score with the times at which its notes were played, those of hands, instead of those on its grid.

    Each note has the start of the stroke of its pitch that lies nearest, and keeps its length.
    """
    notes = score.notes.copy()
    events = performance.events
    played_at = score.quarters_at(events["start"])
    for voice in set(notes[["drum", "pitch"]].tolist()):
        mine = np.flatnonzero((notes["drum"] == voice[0]) & (notes["pitch"] == voice[1]))
        strokes = played_at[(events["drum"] == voice[0]) & (events["pitch"] == voice[1])]
        if len(strokes):
            away = np.abs(notes["start"][mine][:, None] - strokes[None])
            nearest = away.argmin(axis=1)
            near = away[np.arange(len(mine)), nearest] < _MOST_AWAY
            notes["start"][mine] = np.where(near, np.maximum(strokes[nearest], 0.0), notes["start"][mine])
    return replace(score, notes=notes)


def joined_events(events: Iterable[np.ndarray]) -> np.ndarray:
    """Pieces of `PART_EVENT` records as one array."""
    return np.concatenate([np.empty(0, PART_NOTE), *events])


def stem_samples(
    performance: Performance, sample_rate: int, num_samples: int, *, around: bool = False
) -> dict[str, torch.Tensor]:
    """The sound of each part, float32 [2, num_samples], by its name, at the level that it has in the whole.

    `around`: of a loop, with what rings on from the rounds before.

    Raises:
        ValueError: nothing is played, or there is more than `MOST_STEMS_S` of it.
    """
    if not len(performance.events):
        raise ValueError("there are no notes, so there are no stems")
    if num_samples > MOST_STEMS_S * sample_rate:
        raise ValueError(
            f"the sound lasts {num_samples / sample_rate:,.0f} s; stems are made of {MOST_STEMS_S:,.0f} s at most"
        )
    play = Performance.around if around else Performance.samples
    return {name: play(part, sample_rate, num_samples) for name, part in performance.parts().items()}


def difference_dbfs(mix: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> float:
    """The highest sample of (sum of the parts - mix), in dBFS; -inf where they are the same, inf where
    they are not of one shape.
    """
    if any(samples.shape != mix.shape for samples in parts.values()):
        return math.inf
    summed = torch.zeros(mix.shape, dtype=torch.float64)
    for samples in parts.values():
        summed += samples
    highest = float((summed - mix).abs().max())
    return 20 * math.log10(highest) if highest else -math.inf
