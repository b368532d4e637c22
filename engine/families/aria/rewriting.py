"""A piece of which some bars are written anew: `regenerate` names them, `vary` says how many.

Knows scores, bars and the composer's tokens. All notes that begin in other bars stay as they are, and so do tempi,
metres, chords, controllers and drums; new notes are written under the chords that the bars have.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.bar_grid import grid_quarters, regular_bars
from clavilux.audio.codecs.remi import PITCH_RANGE, score_tokens
from clavilux.audio.codecs.score import ScoreCodec, phrased
from clavilux.audio.harmony import Chord
from clavilux.audio.harmony_analysis import harmony_of
from clavilux.audio.midi_tracks import plural
from clavilux.audio.notation.files import read_score
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.sections import PHRASE
from clavilux.audio.soundfont import SoundFont
from clavilux.audio.stems import Performance
from clavilux.audio.synth import render_score
from clavilux.audio.unison import doubles_in, with_doubles, without
from clavilux.checks import number_from
from clavilux.conditioning import Conditioning
from clavilux.families.aria.bands import band_of
from clavilux.families.aria.continuation import Continuation, given_score, instrument_of
from clavilux.families.aria.controls import Controls, resolve
from clavilux.families.aria.form import Bar, moved, sections_of
from clavilux.families.aria.formats import RemiFormat
from clavilux.families.aria.instruments import INSTRUMENTS, MAX_INSTRUMENTS, RANGES
from clavilux.families.aria.kept_bars import KeptBars
from clavilux.families.aria.parts import parts_of
from clavilux.families.aria.prefix import MODES, PrefixControls, shift_to_c, tempo_bin
from clavilux.families.aria.prompt import ParsedPrompt
from clavilux.families.aria.score_bars import ScoreBars
from clavilux.families.aria.voices import Part
from clavilux.family import Request
from clavilux.files import is_score
from clavilux.sampling import Grammar

if TYPE_CHECKING:
    from clavilux.families.aria.family import Aria

OPTIONS = ("regenerate", "vary")
CONTEXT_BARS = 16  # that the composer reads before the first bar that it writes anew
_METRE, _SECTION = 1, 2  # where they stand in the tokens of a bar
_TAKEN = (*OPTIONS, "style", "density", "soundfont", "anything")


def check_rewriting(options: dict[str, Any]) -> bool:
    """Whether a piece is to be written anew in part.

    Raises:
        ValueError: bars or a share that there cannot be, or what cannot be asked for beside them.
    """
    given = [name for name in OPTIONS if options.get(name) is not None]
    if not given:
        return False
    if len(given) == 2:
        raise ValueError("regenerate says which bars are written anew and vary how many; leave out one of the two")
    if given == ["vary"]:
        number_from("vary", options["vary"], 0, 1)
    else:
        read_bars(options["regenerate"])
    others = [name for name in options if name not in _TAKEN and options[name] is not None]
    if others:
        raise ValueError(f"a piece that is written anew in part keeps its own {others[0]}; leave {others[0]} out")
    return True


def read_bars(text: Any) -> tuple[int, int]:
    """(first, last) of "9-12" or "9", counted from 1. ValueError for what names no bars."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", text) if isinstance(text, str) else None
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(f"the bars are {str(text)[:40]!r}; they should be like '9-12' or '9', counted from 1")
    return first, last


class Rewriting:
    """A piece while some of its bars are written anew (`clavilux.family.Generation`)."""

    _sound_mark: int | None = None

    def __init__(self, aria: Aria, request: Request, parsed: ParsedPrompt, soundfont: SoundFont | None) -> None:
        if not isinstance(aria.writing, RemiFormat):
            raise ValueError("this composer writes note frames; bars are written anew by one that writes REMI tokens")
        if not request.open_length:
            raise ValueError("a piece that is written anew in part is as long as before; leave seconds out")
        self._score, self._soundfont = _read(request), soundfont
        notes = [f"of the score that is written anew: {remark}" for remark in self._score.remarks]
        self._doubles = doubles_in(self._score)
        self._line = without(self._score, self._doubles)
        given = given_score(self._line, notes)
        assert given.score is not None, "it is one"
        self._bars = ScoreBars.of(self._score)
        self._new = _chosen(self._bars, request)
        self._voices = _voices(self._line)
        names = [name for name, players in self._voices.values() for _ in players]
        controls = _controls(parsed, request, given, names)
        self._shift = shift = shift_to_c(controls.key.tonic)
        self._moved = aria.writing.moved(shift)
        parts, self._programs = parts_of(controls.instruments, shift)
        parts = [self._together(part, shift, len(parts) == 1) for part in parts]
        self._first = max(0, min(self._new, default=0) - CONTEXT_BARS)
        prefix = PrefixControls(
            style=aria.styles.index(controls.style),
            mode=MODES.index(controls.key.mode),
            tempo=tempo_bin(given.tempo),
            density=controls.density_index,
            programs=tuple(part.program for part in parts),
        )
        self.prompt, self.plan = torch.zeros(1, 1, 0, dtype=torch.int64), None
        self.windows = aria.windows
        self.conditioning = Conditioning(prefix=aria.composer.conditioner([prefix]))
        self.unconditional = Conditioning(prefix=aria.composer.conditioner([PrefixControls(-1, -1, -1, -1, ())]))
        self.grammar: Grammar | None = _Finished()
        if self._new:
            plan, kept, before = self._plan(given.score)
            playing = [self._playing(index) for index in range(self._first, self._first + len(plan))]
            self.grammar = KeptBars(score_tokens(), moved(plan, shift), parts, given.tempo, kept, playing, before)
        doubling = [instrument_of(double.program) for double in self._doubles]
        self._drawn: list[int] = []
        self._seconds = self._score.duration_s
        self.receipt: dict[str, Any] = {
            **aria.identity,
            "prompt": request.prompt[:500],
            "seconds": self._seconds,
            "seed": request.seed,
            "unknown": list(parsed.unknown),
            "unmet": [*parsed.unmet, *controls.unmet],
            "taken": [f"{text} = {meaning}" for text, meaning in parsed.taken],
            "controls": {
                "style": controls.style,
                "instruments": list(dict.fromkeys((*controls.instruments, *doubling))),
                "key": str(controls.key),
                "tempo": given.tempo,
                "metre": f"{self._bars.metres[0][0]}/{self._bars.metres[0][1]}",
                "bars": len(self._bars.metres),
                "density": controls.density,
                "written anew": ", ".join(str(index + 1) for index in self._new) or "none",
                **{name: request.controls[name] for name in OPTIONS if request.controls.get(name) is not None},
            },
            "notes": notes,
            **({"title": self._score.receipt["title"]} if self._score.receipt.get("title") else {}),
        }

    @property
    def at_s(self) -> float:
        """Seconds of the piece up to the bar that is being written."""
        bars = self._first + self._drawn.count(score_tokens().ids["Bar_None"])
        return float(self._score.seconds_at(self._bars.starts[min(bars, len(self._bars.starts) - 1)]))

    def to_decoder(self, tokens: Tensor) -> Tensor:
        """The composer's ids, in C."""
        return self._moved.to_composer(tokens)

    def from_decoder(self, logits: Tensor) -> Tensor:
        """Logits of ids at their sounding pitch."""
        return self._moved.to_sounding(logits)

    def mark_sound(self, word: int) -> None:
        self._sound_mark = word

    def push(self, tokens: Tensor) -> Tensor | None:
        """Take a step's token, int64 [1]; the sound comes at the end."""
        self._drawn.append(int(tokens[0]))
        return None

    def finish(self) -> Tensor:
        """The sound of the whole piece, float32 [2, N]."""
        self._score = self._written()
        samples = render_score(self._score, ScoreCodec.sample_rate, soundfont=self._soundfont, mark=self._sound_mark)
        self._seconds = self.receipt["seconds"] = samples.shape[1] / ScoreCodec.sample_rate
        return samples

    def complete(self, samples: Tensor) -> Audio:
        """The piece with its score, the tokens that were read and drawn, and its receipt."""
        return Audio(
            samples, ScoreCodec.sample_rate, score=self._score, tokens=torch.tensor(self._drawn or [0])[None],
            receipt=self.receipt, performance=Performance.of_score(self._score, self._soundfont, self._sound_mark),
        )  # fmt: skip

    def _plan(self, score: Score) -> tuple[list[Bar], list[list[int] | None], list[list[int]]]:
        """(the bars from the first that is read to the last that is written, the tokens of those kept, and of all)"""
        sections, harmony = sections_of(len(self._bars.metres)), harmony_of(score)
        tokens, vocabulary = self._tokens_of_bars(score, sections), score_tokens()
        plan, kept = [], []
        for index in range(self._first, max(self._new) + 1):
            new = index in self._new
            begins = (index in self._new) != (index - 1 in self._new)
            metre = self._bars.metres[index] if self._bars.whole[index] else _metre_of(tokens[index])
            chords = _on_grid(harmony[index], metre) if new else None
            section, place = vocabulary.values[tokens[index][_SECTION]]
            name, number = "new" if new else "kept", 0 if begins else 1
            plan.append(Bar(metre, section, chords, place, name=name, number=number))
            kept.append(None if new else tokens[index])
        return plan, kept, tokens[self._first : self._first + len(plan)]

    def _tokens_of_bars(self, score: Score, sections: list[str]) -> list[list[int]]:
        """Each bar as tokens in the composer's key, without drums."""
        vocabulary = score_tokens()
        writes = {plays: written for written, plays in self._programs.items()}
        table = {}
        for program, (name, _) in self._voices.items():
            plays = INSTRUMENTS[name].program
            table[program] = writes.get(plays, INSTRUMENTS[name].written_as)
        pitched = score.notes[~score.notes["drum"]].copy()
        pitched["pitch"] = np.clip(pitched["pitch"], *PITCH_RANGE)
        plain = regular_bars(replace(score, notes=pitched).with_programs(table)) if len(pitched) else score
        ids = vocabulary.encode(plain, sections)
        down = vocabulary.transposition(self._shift)
        bars: list[list[int]] = []
        for token in down[ids].tolist():
            if token == vocabulary.ids["Bar_None"]:
                bars.append([])
            bars[-1].append(token)
        for index in range(len(bars), len(self._bars.metres)):  # silent ones at the end have no tokens
            metre = self._bars.metres[index]
            place = (vocabulary.values[bars[-1][_SECTION]][1] + 1) % PHRASE if bars else 0
            head = (vocabulary.metre_id(metre), vocabulary.section_id(sections[index], place))
            bars.append([vocabulary.ids["Bar_None"], *head, vocabulary.ids["Position_0"]])
        return bars

    def _playing(self, index: int) -> frozenset[int] | None:
        """The written programs of those who play in a bar or beside it; everybody where nobody does."""
        starts = self._bars.starts
        begin, end = starts[max(0, index - 1)], starts[min(len(starts) - 1, index + 2)]
        notes = self._line.notes[~self._line.notes["drum"]]
        near = notes[(notes["start"] >= begin - 1e-6) & (notes["start"] < end - 1e-6)]
        plays = {INSTRUMENTS[self._voices[int(p)][0]].program for p in np.unique(near["program"])}
        found = frozenset(written for written, program in self._programs.items() if program in plays)
        return found or None

    def _together(self, part: Part, shift: int, leads: bool) -> Part:
        """The part, within the ranges of those who double it."""
        plays = self._programs[part.program]
        for double in self._doubles:
            if INSTRUMENTS[self._voices[double.of[0]][0]].program == plays:
                own = RANGES[INSTRUMENTS[instrument_of(double.program)].program]
                low, high = (pitch + shift - double.semitones for pitch in own)
                part = replace(part, low=max(part.low, low), high=min(part.high, high), most_notes=1, leads=leads)
        return part

    def _written(self) -> Score:
        """The piece with its new bars in the place of the old ones."""
        if not self._new:
            return self._score
        vocabulary = score_tokens()
        up = vocabulary.transposition(-self._shift)
        bars: list[list[int]] = []
        for token in self._drawn:
            if token == vocabulary.ids["Bar_None"]:
                bars.append([])
            bars[-1].append(token)
        old, found = self._score.notes, []
        stays = np.ones(len(old), dtype=bool)
        for index in self._new:
            begin, end = self._bars.starts[index : index + 2]
            inside = (old["start"] >= begin - 1e-6) & (old["start"] < end - 1e-6) & ~old["drum"]
            stays &= ~inside
            said = vocabulary.decode(up[np.array(bars[index - self._first])])
            metre = self._bars.metres[index]
            said = replace(said, metres=((0.0, metre),), length=max(bar_quarters(metre), said.length))
            found.append(self._placed(phrased(said.notes, said, index), begin, old[inside]))
        kept = old[stays]
        new = _beside(with_doubles(np.concatenate([np.empty(0, PART_NOTE), *found]), self._doubles), kept)
        return replace(self._score, notes=np.concatenate([kept, new]))

    def _placed(self, notes: np.ndarray, begin: float, before: np.ndarray) -> np.ndarray:
        """A bar's new notes (`NOTE`) as those of the parts that they are written for, about as loud as those before."""
        placed = np.zeros(len(notes), PART_NOTE)
        for name in ("duration", "pitch", "velocity"):
            placed[name] = notes[name]
        placed["start"] = notes["start"] + begin
        usual = before if len(before) else self._score.notes
        if len(notes):
            louder = float(usual["velocity"].mean()) - float(notes["velocity"].mean())
            placed["velocity"] = np.clip(np.round(notes["velocity"] + louder), 1, 127)
        for place, note in enumerate(notes):
            plays = self._programs.get(int(note["program"]), int(note["program"]))
            voices = [p for p, (name, _) in self._voices.items() if INSTRUMENTS[name].program == plays]
            owners = [(part, p) for p in voices for part in self._voices[p][1]]
            together = notes[(notes["start"] == note["start"]) & (notes["program"] == note["program"])]
            rank = int((together["pitch"] > note["pitch"]).sum())
            placed["part"][place], placed["program"][place] = owners[min(rank, len(owners) - 1)]
        return placed


class _Finished:
    """A grammar of nothing to write."""

    done = True

    def allowed(self) -> Tensor:
        raise AssertionError("there is nothing to draw")

    def advance(self, tokens: Tensor) -> None:
        raise AssertionError("there is nothing to draw")


def _read(request: Request) -> Score:
    source = request.continue_from
    if source is None:
        name = "regenerate" if request.controls.get("vary") is None else "vary"
        raise ValueError(f"continue_from is missing: {name} needs a piece, as a file of notes or an Audio")
    if isinstance(source, Audio):
        if source.score is None:
            raise ValueError("the Audio to write anew in part has no score; give a MIDI, MusicXML or ABC file")
        return source.score
    if not is_score(source):
        raise ValueError(
            f"{str(source)!r} holds sound, whose notes are not known; give a MIDI, MusicXML or ABC file, such as "
            "--midi writes"
        )
    return read_score(source)


def _chosen(bars: ScoreBars, request: Request) -> list[int]:
    """Which bars are written anew, by their index."""
    count = len(bars.metres)
    if request.controls.get("vary") is None:
        first, last = read_bars(request.controls["regenerate"])
        if last > count:
            raise ValueError(f"the bars are {first} to {last}, and the piece has {plural(count, 'bar')}")
        for index in range(first - 1, last):
            if not bars.whole[index]:
                a, b = bars.metres[index]
                raise ValueError(
                    f"bar {index + 1} is no whole bar of a metre that is written ({a}/{b}); it can only be kept"
                )
        return list(range(first - 1, last))
    whole = [index for index in range(count) if bars.whole[index]]
    wanted = min(len(whole), round(number_from("vary", request.controls["vary"], 0, 1) * count))
    return sorted(random.Random(f"{request.seed}:vary").sample(whole, wanted))


def _voices(score: Score) -> dict[int, tuple[str, list[int]]]:
    """Of each program that plays pitches: the instrument whose music it plays, and its parts, the highest first."""
    pitched = score.notes[~score.notes["drum"]]
    found = {}
    for program in np.unique(pitched["program"]).tolist():
        own = pitched[pitched["program"] == program]
        parts = np.unique(own["part"]).tolist()
        parts.sort(key=lambda part: -float(own["pitch"][own["part"] == part].mean()))
        found[program] = instrument_of(program), parts
    return found


def _controls(parsed: ParsedPrompt, request: Request, given: Continuation, names: Sequence[str]) -> Controls:
    """The composer's controls: those of the piece, and the style and density that are asked for."""
    asked = {name: request.controls[name] for name in ("style", "density") if request.controls.get(name) is not None}
    assert given.metre is not None, "a score has one"
    own: dict[str, Any] = {"key": given.key, "tempo": given.tempo, "metre": f"{given.metre[0]}/{given.metre[1]}"}
    own |= {"instruments": names[:MAX_INSTRUMENTS], "density": parsed.density or "medium"}
    controls = resolve(replace(parsed, players=None), seed=request.seed, **(own | asked))
    band = band_of(controls.style)
    return controls if band is None else replace(controls, style=band.composer)


def _metre_of(tokens: Sequence[int]) -> tuple[int, int]:
    return score_tokens().values[tokens[_METRE]]


def _on_grid(harmony: Sequence[tuple[float, Chord]], metre: tuple[int, int]) -> tuple[tuple[float, Chord], ...]:
    """A bar's chords where the grammar can write them, without basses."""
    grid = grid_quarters(metre)
    found: dict[float, Chord] = {}
    for at, chord in harmony:
        found.setdefault(float(grid[np.abs(grid - at).argmin()]), replace(chord, bass=None))
    return tuple(sorted(found.items(), key=lambda each: each[0]))


def _beside(new: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """New notes that leave kept ones of their part, program and pitch alone: none begins while one sounds, and none
    lasts into one.
    """
    for note in new:
        same = kept[
            (kept["part"] == note["part"]) & (kept["program"] == note["program"]) & (kept["pitch"] == note["pitch"])
        ]
        ends = same["start"] + same["duration"]
        if ((same["start"] <= note["start"] + 1e-6) & (ends > note["start"] + 1e-6)).any():
            note["duration"] = 0
            continue
        later = same["start"][same["start"] > note["start"] + 1e-6]
        if len(later):
            note["duration"] = min(float(note["duration"]), float(later.min() - note["start"]))
    return new[new["duration"] > 0]
