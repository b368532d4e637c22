"""Score tokens: MidiTok's REMI with a chord at every bar, and in every bar's head where in the piece it stands.

Knows how a `Score` becomes token ids and back. Does not know how the tokens are drawn (the composer does)
or how they sound (the score codec does).

One bar reads::

    Bar  TimeSig  Section  Position_0 [Tempo] Chord  Program Pitch Duration  Pitch Duration ... Position_p ...

Notes at one position stand by program, then by pitch. A `Program` token holds until the next one or the next
bar, so a window of tokens that starts anywhere knows its programs after one bar at the latest. Pitches are
absolute. Format: Huang and Yang 2020 (arXiv 2002.00212) as written by MidiTok 3 (`miditok.REMI`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from clavilux.audio.codecs.bar_grid import WRITTEN_METRES, snap_to_grid
from clavilux.audio.harmony import QUALITIES, Chord
from clavilux.audio.programs import KIN
from clavilux.audio.score import NOTE, Events, Score, bar_quarters
from clavilux.audio.sections import PHRASE, phrase_places

if TYPE_CHECKING:
    import miditok
    from numpy.typing import ArrayLike

PROGRAMS = (
    0, 4, 6, 8, 10, 11, 12, 16, 19, 21, 24, 25, 32, 40, 41, 42, 43, 45, 46, 47, 48, 52, 56, 57, 58, 60, 61,
    65, 66, 68, 69, 70, 71, 72, 73, 74, 75, 105, 110,
)  # fmt: skip
DRUMS = -1  # MidiTok's program for the drum kit
SECTIONS = ("opening", "middle", "closing", "last")
PITCH_RANGE = (21, 108)
_BEAT_STEPS = {(0, 2): 12, (2, 4): 6, (4, 12): 2}  # (from, to) beats of a duration -> how finely it is written
_TEMPI = (20, 300)  # quarters a minute, each whole one
_TICKS_PER_QUARTER = 24  # exact for every grid of `bar_grid`

_TIME_SIGNATURES = {4: [2, 3, 4, 5, 6], 8: [3, 6, 9, 12]}
_ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")  # MidiTok's chord roots


def written_program(program: int) -> int:
    """The one of `PROGRAMS` most like a General MIDI program: a SoundFont may hold others, which no token says."""
    return next((p for p in (program, *KIN[program]) if p in PROGRAMS), min(PROGRAMS, key=lambda p: abs(p - program)))


class ScoreTokens:
    """The vocabulary of score tokens, and the way to and from a `Score`.

    `kinds[i]` and `values[i]` are the two halves of token `i`: ("Pitch", 60), ("Chord", Chord(...)), ...
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = _vocabulary()
        self.ids: dict[str, int] = {name: i for i, name in enumerate(self.names)}
        self.kinds: tuple[str, ...] = tuple(name.split("_", 1)[0] for name in self.names)
        self.values: tuple[Any, ...] = tuple(_value(name) for name in self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def pad(self) -> int:
        return self.ids["PAD_None"]

    def of_kind(self, kind: str) -> np.ndarray:
        """Ids of all tokens of one kind, ascending: int64 [n]."""
        return np.flatnonzero([k == kind for k in self.kinds])

    def chord_id(self, chord: Chord) -> int:
        return self.ids[f"Chord_{_ROOTS[chord.root]}:{chord.quality}"]

    @cached_property
    def pitches(self) -> dict[int, int]:
        """Pitch token -> its pitch."""
        return {int(token): self.values[token] for token in self.of_kind("Pitch")}

    @cached_property
    def of_pitches(self) -> dict[int, int]:
        """Pitch -> its token."""
        return {pitch: token for token, pitch in self.pitches.items()}

    @cached_property
    def chords(self) -> frozenset[int]:
        """The tokens that are chords."""
        return frozenset(self.of_kind("Chord").tolist())

    def section_id(self, section: str, place: int) -> int:
        """Of one of `SECTIONS` and a bar's place in its phrase, 0 to 7."""
        return self.ids[f"Section_{section}.{place}"]

    def metre_id(self, metre: tuple[int, int]) -> int:
        beats, unit = WRITTEN_METRES[metre]
        return self.ids[f"TimeSig_{beats}/{unit}"]

    @cached_property
    def duration_beats(self) -> np.ndarray:
        """Length of each Duration token in beats of the written metre, float64 [V]; 0 for other tokens."""
        return np.array([v if k == "Duration" else 0.0 for k, v in zip(self.kinds, self.values, strict=True)])

    @lru_cache(maxsize=32)  # noqa: B019  one instance lives as long as the process (see `score_tokens`)
    def transposition(self, semitones: int) -> np.ndarray:
        """Table [V] from a token to the same token `semitones` higher: pitches and chord roots move.

        Pitches that would leave the piano's range come back by an octave.
        """
        table = np.arange(len(self))
        low, high = PITCH_RANGE
        for i, (kind, value) in enumerate(zip(self.kinds, self.values, strict=True)):
            if kind == "Pitch":
                pitch = value + semitones
                pitch += 12 * ((pitch < low) - (pitch > high))
                table[i] = self.ids[f"Pitch_{pitch}"]
            elif kind == "Chord":
                table[i] = self.chord_id(Chord((value.root + semitones) % 12, value.quality))
        return table

    def encode(self, score: Score, sections: list[str] | None = None) -> np.ndarray:
        """Token ids of a score, int64 [T]. Onsets and ends move to the metre's grid; chords come from
        `score.chords` and are said again at every bar. `sections` names one section a bar ("middle" if None); each
        bar's place in its phrase is `phrase_places`'.

        Raises ValueError for a metre outside `WRITTEN_METRES`.
        """
        encoded = tokenizer().encode(_to_symusic(score), encode_ids=False)
        return self._with_chords(encoded.tokens, score, sections)

    def quarters(self, ids: ArrayLike) -> np.ndarray:
        """Quarters from the first bar to the position of each of token ids [T], float64 [T]."""
        ids = np.asarray(ids)
        found = np.zeros(len(ids))
        bar = length = here = 0.0
        unit = 4
        for i, token in enumerate(ids.tolist()):
            kind, value = self.kinds[token], self.values[token]
            if kind == "Bar":
                bar = here = bar + length
            elif kind == "TimeSig":
                length, unit = bar_quarters(value), value[1]
            elif kind == "Position":
                here = bar + value / 12 * 4 / unit
            found[i] = here
        return found

    def programs(self, ids: ArrayLike) -> tuple[int, ...]:
        """The programs, and `DRUMS`, that token ids name, rising."""
        found = np.unique(np.asarray(ids)).tolist()
        return tuple(sorted(self.values[i] for i in found if self.kinds[i] == "Program"))

    def decode(self, tokens: ArrayLike) -> Score:
        """The score that token ids [T] say, as MidiTok reads them; unknown kinds are passed over, and so is a pitch
        without a duration behind it. Velocities are 100 throughout.
        """
        ids = np.asarray(tokens)
        notes: list[tuple[float, float, int, int, int, bool]] = []  # `NOTE`
        chords: list[tuple[float, Chord]] = []
        tempos: list[tuple[float, float]] = []
        metres: list[tuple[float, tuple[int, int]]] = []
        bar = here = length = 0.0
        metre: tuple[int, int] | None = None
        program, pitch = 0, None
        for token in ids[ids != self.pad]:
            kind, value = self.kinds[token], self.values[token]
            if kind == "Bar":
                bar = here = length
            elif kind == "TimeSig":
                if value != metre:
                    metres.append((bar, value))
                metre = value
                length = bar + bar_quarters(value)
            elif kind == "Position" and metre is not None:
                here = bar + value / 12 * 4 / metre[1]
            elif kind == "Program":
                program = value
            elif kind == "Duration" and pitch is not None and metre is not None:
                start, duration = (
                    round(q * _TICKS_PER_QUARTER) / _TICKS_PER_QUARTER for q in (here, value * 4 / metre[1])
                )
                notes.append((start, duration, pitch, 100, max(program, 0), program == DRUMS))
            elif kind == "Chord" and (not chords or chords[-1][1] != value):
                chords.append((here, value))
            elif kind == "Tempo":
                tempos.append((here, value))
            pitch = value if kind in ("Pitch", "PitchDrum") else None
        found = np.array(notes, dtype=NOTE)
        found = found[np.lexsort((found["pitch"], found["program"], found["start"]))]
        return Score(
            notes=found,
            tempos=tuple(tempos) or ((0.0, 120.0),),
            metres=tuple(metres) or ((0.0, (4, 4)),),
            chords=tuple(chords),
            length=max(length, float((found["start"] + found["duration"]).max(initial=0.0))),
        )

    def _with_chords(self, names: list[str], score: Score, sections: list[str] | None) -> np.ndarray:
        """REMI tokens, bar by bar, with the section after the metre and the chords at their positions."""
        out: list[str] = []
        starts, places = score.bar_starts(), phrase_places(score)
        program = None
        for index, bar in enumerate(_split_bars(names)):
            metre = _value(bar[1])
            first = float(starts[index]) if index < len(starts) else float("inf")
            last = first + bar_quarters(metre)
            section = sections[index] if sections is not None and index < len(sections) else "middle"
            place = places[index] if index < len(places) else index % PHRASE
            out += ["Bar_None", bar[1], self.names[self.section_id(section, place)]]
            chords = _chords_between(score.chords, first, last)
            at = {round((q - first) * 12 * metre[1] / 4): self.names[self.chord_id(c)] for q, c in chords}
            body, program = _merge_positions(bar[2:], at, program)
            out += body
        return np.array([self.ids[name] for name in out], dtype=np.int64)


@lru_cache(maxsize=1)
def score_tokens() -> ScoreTokens:
    """The one vocabulary."""
    return ScoreTokens()


@lru_cache(maxsize=1)
def tokenizer() -> miditok.REMI:
    """MidiTok's tokenizer (`miditok.REMI`), whose vocabulary `score_tokens` has."""
    # here: it asks for huggingface_hub, which a song made from words does not
    from miditok import REMI, TokenizerConfig

    remi = REMI(
        TokenizerConfig(
            pitch_range=(PITCH_RANGE[0], PITCH_RANGE[1] + 1),
            beat_res=_BEAT_STEPS,
            special_tokens=["PAD"],
            use_velocities=False,
            use_chords=True,
            chord_maps=QUALITIES,
            chord_tokens_with_root_note=True,
            use_programs=True,
            programs=[*PROGRAMS, DRUMS],
            one_token_stream_for_programs=True,
            program_changes=True,
            use_time_signatures=True,
            time_signature_range=_TIME_SIGNATURES,
            use_tempos=True,
            num_tempos=_TEMPI[1] - _TEMPI[0] + 1,
            tempo_range=_TEMPI,
        )
    )
    for section in _sections():
        remi.add_to_vocab(f"Section_{section}")
    return remi


def _vocabulary() -> tuple[str, ...]:
    """The tokens in the order that MidiTok numbers them in (a test holds the two against each other)."""
    low, high = PITCH_RANGE
    durations = [
        f"{beat}.{part}.{steps}"
        for (first, last), steps in _BEAT_STEPS.items()
        for beat in range(first, last)
        for part in range(steps)
    ]
    values: dict[str, Iterable[object]] = {
        "PAD": ["None"],
        "Bar": ["None"],
        "Pitch": range(low, high + 2),
        "Duration": [*durations[1:], "12.0.2"],
        "Position": range(144),
        "PitchDrum": range(27, 89),
        "Chord": [f"{root}:{quality}" for quality in QUALITIES for root in _ROOTS],
        "Tempo": [float(tempo) for tempo in range(_TEMPI[0], _TEMPI[1] + 1)],
        "Program": [*PROGRAMS, DRUMS],
        "TimeSig": [f"{beats}/{unit}" for unit, counts in _TIME_SIGNATURES.items() for beats in counts],
        "Section": _sections(),
    }
    return tuple(f"{kind}_{value}" for kind, all_values in values.items() for value in all_values)


def _sections() -> list[str]:
    return [f"{section}.{place}" for section in SECTIONS for place in range(PHRASE)]


def _value(name: str) -> Any:
    """The second half of a token's name as the thing it means."""
    kind, text = name.split("_", 1)
    if kind in ("Pitch", "PitchDrum", "Position", "Program"):
        return int(text)
    if kind == "Duration":  # beats.twelfths-of-resolution.resolution
        beats, part, resolution = map(int, text.split("."))
        return beats + part / resolution
    if kind == "Tempo":
        return float(text)
    if kind == "TimeSig":
        beats, unit = map(int, text.split("/"))
        return beats, unit
    if kind == "Chord":
        root, quality = text.split(":")
        return Chord(_ROOTS.index(root), quality)
    if kind == "Section":
        section, place = text.split(".")
        return section, int(place)
    return text


def _to_symusic(score: Score) -> ScoreTick:
    """The score on the metre's grid, as MidiTok reads it."""
    out = ScoreTick(_TICKS_PER_QUARTER)
    for quarter, metre in score.metres:
        if metre not in WRITTEN_METRES:
            raise ValueError(
                f"metre {metre[0]}/{metre[1]} cannot be written as score tokens; "
                f"use one of {', '.join(f'{a}/{b}' for a, b in WRITTEN_METRES)}"
            )
        beats, unit = WRITTEN_METRES[metre]
        tick = round(quarter * _TICKS_PER_QUARTER)
        out.time_signatures.append(TimeSignatureTick(tick, beats, unit))
    out.tempos.append(TempoTick(0, score.tempos[0][1]))
    notes = snap_to_grid(score)
    for program in [*np.unique(notes["program"][~notes["drum"]]).tolist(), DRUMS]:
        chosen = notes[notes["drum"]] if program == DRUMS else notes[~notes["drum"] & (notes["program"] == program)]
        if not len(chosen):
            continue
        track = TrackTick("", max(program, 0), program == DRUMS)
        for note in chosen:
            start = round(note["start"] * _TICKS_PER_QUARTER)
            length = max(1, round(note["duration"] * _TICKS_PER_QUARTER))
            track.notes.append(NoteTick(start, length, int(note["pitch"]), int(note["velocity"])))
        out.tracks.append(track)
    return out


def _split_bars(names: list[str]) -> list[list[str]]:
    starts = [i for i, name in enumerate(names) if name == "Bar_None"]
    return [names[a:b] for a, b in itertools.pairwise([*starts, len(names)])]


def _chords_between(chords: Events[Chord], first: float, last: float) -> list[tuple[float, Chord]]:
    """The chord that sounds at `first`, then each change before `last`."""
    before = [c for q, c in chords if q <= first + 1e-6]
    inside = [(q, c) for q, c in chords if first + 1e-6 < q < last - 1e-6]
    return ([(first, before[-1])] if before else []) + inside


def _merge_positions(names: list[str], chords: dict[int, str], program: str | None) -> tuple[list[str], str | None]:
    """A bar's tokens after its head, with chords after their Position and the Program said at its first note;
    and the program in force at its end.
    """
    positions: dict[int, list[str]] = {position: [] for position in chords}
    at, said = 0, None
    for name in names:
        kind = name.split("_", 1)[0]
        if kind == "Position":
            at = int(name.split("_")[1])
        elif kind == "Program":
            program = name
        elif kind in ("Pitch", "PitchDrum", "Duration", "Tempo"):
            row = positions.setdefault(at, [])
            if kind in ("Pitch", "PitchDrum") and program is not None and program != said:
                row.append(program)
                said = program
            row.append(name)
    out: list[str] = []
    for position in sorted(positions):
        row = positions[position]
        tempos = [name for name in row if name.startswith("Tempo")]
        chord = [chords[position]] if position in chords else []
        out += [f"Position_{position}", *tempos, *chord, *(n for n in row if not n.startswith("Tempo"))]
    return out, program
