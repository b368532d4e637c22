"""What a song goes on from: a score of whole bars or a recording, and the key, tempo and metre found in it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.bar_grid import WRITTEN_METRES
from clavilux.audio.codecs.remi import PROGRAMS, written_program
from clavilux.audio.codecs.score import ScoreCodec
from clavilux.audio.harmony import Key
from clavilux.audio.harmony_analysis import find_chords, find_key
from clavilux.audio.loudness import normalize
from clavilux.audio.midi_tracks import plural
from clavilux.audio.notation.files import read_score
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.sections import PHRASE, phrase_places
from clavilux.audio.synth import SoundFont
from clavilux.audio.unison import Double, doubles_in, without
from clavilux.families.aria.instruments import HANDS, INSTRUMENTS, MAX_INSTRUMENTS
from clavilux.files import PathLike, is_score

_PLAIN_TEMPO = 100.0  # for a recording in which no beat is found
_GIVEN_LUFS = -23.0  # about what the renderer gives out, so that a given recording and what follows match


@dataclass(frozen=True)
class Continuation:
    """What `continue_from` gives: a score of whole bars, or a recording; and what was found in it."""

    key: Key
    tempo: float
    metre: tuple[int, int] | None
    score: Score | None = None
    recording: Audio | None = None

    @cached_property
    def unison(self) -> tuple[str, ...]:
        """The instruments of the score that play one part's notes together, that part's first; () where none do."""
        programs = [double.of[0] for double in self._doubles[:1]] + [double.program for double in self._doubles]
        return tuple(dict.fromkeys(map(instrument_of, programs)))

    @cached_property
    def line(self) -> Score | None:
        """The score without the parts that double others: what a composer reads."""
        return None if self.score is None else without(self.score, self._doubles)

    @cached_property
    def _doubles(self) -> tuple[Double, ...]:
        """The parts that double the first one that is doubled, each on an instrument of its own."""
        found = () if self.score is None else doubles_in(self.score)
        own = tuple(double for double in found if double.of == found[0].of)
        programs = [double.of[0] for double in own[:1]] + [double.program for double in own]
        return own if len(set(map(instrument_of, programs))) == len(programs) else ()

    @property
    def next_place(self) -> int:
        """Where in a phrase of eight bars the bar stands that follows."""
        return 0 if self.line is None else (phrase_places(self.line)[-1] + 1) % PHRASE

    @property
    def duration_s(self) -> float:
        """Its length."""
        if self.score is not None:
            return self.score.duration_s
        assert self.recording is not None, "it is one or the other"
        return self.recording.duration_s

    def controls(self) -> dict[str, Any]:
        """As options of `resolve`."""
        found: dict[str, Any] = {"key": str(self.key), "tempo": self.tempo}
        if self.metre is not None:
            found["metre"] = f"{self.metre[0]}/{self.metre[1]}"
        if self.line is not None:
            named = self._players(self.line)
            found |= {"instruments": named} if named else {}  # drums alone: others join them
        return found

    def _players(self, line: Score) -> list[str]:
        """Its instruments, who plays in unison first; those that have one note at a time once for each of their parts,
        where there is room for all.
        """
        parts = dict.fromkeys(line.notes[~line.notes["drum"]][["program", "part"]].tolist())
        names = [instrument_of(program) for program, _ in parts]
        distinct = list(dict.fromkeys([*self.unison[:1], *names]))[:MAX_INSTRUMENTS]
        once = {name for name in distinct if name in self.unison or INSTRUMENTS[name].program in HANDS}
        each = [name for name in distinct for _ in range(1 if name in once else names.count(name))]
        return each if len(each) <= MAX_INSTRUMENTS else distinct


def instrument_of(program: int) -> str:
    """The instrument whose music the nearest program of the bundled SoundFont plays."""
    by_program = {instrument.program: name for name, instrument in reversed(INSTRUMENTS.items())}
    return by_program[written_program(SoundFont.bundled().nearest(program))]


def read_continuation(source: Any, notes: list[str]) -> Continuation | None:
    """Read `continue_from`: a MIDI file, a sound file, or an `Audio`; what was found goes to `notes`."""
    if source is None:
        return None
    score = source.score if isinstance(source, Audio) else None
    if score is None and not isinstance(source, Audio) and is_score(source):
        score = read_score(source)
        notes.extend(f"of the score that is continued: {remark}" for remark in score.remarks)
    if score is not None:
        return given_score(score, notes)
    clip = source if isinstance(source, Audio) else Audio.load(source)
    from clavilux.audio.analysis import analyze  # librosa is slow to import

    found = analyze(clip)
    key = Key.parse(found.key or "C major")
    tempo = round(found.tempo_bpm or _PLAIN_TEMPO, 2)
    while tempo > 180:
        tempo /= 2
    while tempo < 45:
        tempo *= 2
    found_in = [f"{key}" if found.key else f"no key (so {key})"]
    found_in.append(f"{tempo:g} quarters a minute" if found.tempo_bpm else f"no beat (so {tempo:g} quarters a minute)")
    notes.append(f"continues a recording of {clip.duration_s:.1f} s, in which were found {' and '.join(found_in)}")
    return Continuation(key, tempo, None, recording=clip)


def given_score(score: Score, notes: list[str]) -> Continuation:
    """A score that goes on, with its key and chords, found where it names none. ValueError for a metre unknown."""
    tempo, metre = score.tempos[-1][1], score.metre_at(score.bar_starts()[-1])
    if metre not in WRITTEN_METRES:
        raise ValueError(
            f"the score to continue is in {metre[0]}/{metre[1]}; "
            f"those that can be continued are {', '.join(f'{a}/{b}' for a, b in WRITTEN_METRES)}"
        )
    merged = score.merged()
    key = score.key or find_key(merged)
    whole = score.bar_starts()[-1] + bar_quarters(metre)
    score = replace(score, key=key, chords=score.chords or find_chords(merged, key), length=max(whole, score.length))
    notes.append(
        f"continues a score of {plural(len(score.bar_starts()), 'bar')}, {score.duration_s:.1f} s: "
        f"{key}, {metre[0]}/{metre[1]}, {tempo:g} quarters a minute"
    )
    return Continuation(key, tempo, metre, score=score)


def score_to_encode(source: Audio | Score | PathLike) -> Score:
    """A score in whole bars, with its chords or those it implies.

    Raises:
        ValueError: a file that is no MIDI file, an Audio without a score, or a metre that cannot be written.
        TypeError: something else.
    """
    score = source.score if isinstance(source, Audio) else source
    if score is None:
        raise ValueError("the Audio has no score; tokens of this model are notes, which cannot be read from sound")
    if isinstance(score, (str, os.PathLike)):
        if not is_score(score):
            raise ValueError(f"{str(score)!r} is no MIDI, MusicXML or ABC file; tokens of this model are notes")
        score = read_score(score)
    if not isinstance(score, Score):
        raise TypeError(
            f"source is {type(source).__name__}; it should be a Score, a MIDI file or an Audio with a score"
        )
    whole = given_score(score, []).score
    assert whole is not None, "a score goes on as one"
    return whole


def written(score: Score) -> Score:
    """A score whose instruments may be any, for those that tokens can say."""
    font = SoundFont.bundled()
    return score.with_programs({p: p if p in PROGRAMS else written_program(font.nearest(p)) for p in range(128)})


def recording_samples(clip: Audio | None) -> Tensor | None:
    """A recording as the renderer would give it out: float32 [2, N] at its rate, about as loud."""
    if clip is None:
        return None
    clip = clip.resample(ScoreCodec.sample_rate)
    samples = clip.samples if clip.channels == 2 else clip.to_mono().samples.expand(2, -1)
    return normalize(samples, ScoreCodec.sample_rate, target_lufs=_GIVEN_LUFS)
