"""Breeding with the bundled musician: the form of one score, the harmony of another, the melody varied.

Its genes are the tokens of a score, a layer a bar, and the composer's controls. Knows which bars stay; what is new the
composer writes, bar after bar with what comes before in sight, under chords that are given. It computes in float32 on
the CPU, so that the same genes come of the same seed on most machines.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from clavilux.audio.codecs.remi import PITCH_RANGE, score_tokens
from clavilux.audio.harmony import Chord
from clavilux.audio.harmony_analysis import Harmony, harmony_of
from clavilux.audio.score import Score
from clavilux.audio.sections import PHRASE
from clavilux.breeding import reharmonizing
from clavilux.breeding.arithmetic import uniforms
from clavilux.breeding.breeder import Genes, Mix
from clavilux.breeding.score_picture import score_picture
from clavilux.checks import short
from clavilux.errors import CheckpointError
from clavilux.families.aria.continuation import read_continuation, score_to_encode, written
from clavilux.families.aria.controls import DENSITIES, Controls, resolve, with_density
from clavilux.families.aria.family import Aria, ScoreGeneration
from clavilux.families.aria.form import Bar, sections_of
from clavilux.families.aria.formats import RemiFormat
from clavilux.families.aria.instruments import RANGES
from clavilux.families.aria.kept_bars import KeptBars
from clavilux.families.aria.parts import parts_of
from clavilux.families.aria.prefix import shift_to_c
from clavilux.families.aria.prompt import parse_prompt
from clavilux.families.aria.refusal import check_understood
from clavilux.family import Request
from clavilux.files import PathLike
from clavilux.loading import load as load_model
from clavilux.loop import sample_rows
from clavilux.mark_key import MarkKey
from clavilux.marking import PLAYED_KIND, Mark
from clavilux.music_model import MusicModel
from clavilux.requests import USUAL_S

if TYPE_CHECKING:
    from clavilux.audio.clip import Audio
    from clavilux.image.picture import Picture

USUAL_BARS, MOST_BARS = 8, 128
VARIED = 0.25  # of a child's bars that the composer writes anew
BARS = 6  # a stream of a seed
_CONTROLS = ("style", "instruments", "key", "tempo", "metre", "density")


def load(name: str, folder: Path, model_sha256: str) -> AriaBreeder:
    """As `clavilux.breeding.models.BREEDERS` has it. CheckpointError."""
    model = load_model(folder, device="cpu", dtype="float32")
    assert isinstance(model, MusicModel) and isinstance(model.family, Aria), "its config says so"
    if not isinstance(model.family.writing, RemiFormat):
        raise CheckpointError(f"{name} writes note frames, and scores are bred as REMI tokens; use a model that does")
    return AriaBreeder(name, model_sha256, model.family)


class AriaBreeder:
    """`Breeder` of a composer."""

    makes: Literal["music"] = "music"

    def __init__(self, name: str, model_sha256: str, family: Aria) -> None:
        self.name, self.model_sha256, self._family, self._tokens = name, model_sha256, family, score_tokens()
        self._key: MarkKey | None = None

    def marked(self, key: MarkKey) -> AriaBreeder:
        """As `DrawsTokens.marked`: the notes that are written, and the sound of all that is played."""
        made = copy.copy(self)
        made._key = key
        return made

    def check(self, genes: Genes) -> None:
        """As `Breeder.check`."""
        if set(genes.latents) != {f"bar {number}" for number in range(1, len(genes.latents) + 1)}:
            raise ValueError(f"the genome has the layers {short(list(genes.latents))}; a score has bar 1, bar 2 ...")
        if len(genes.latents) > MOST_BARS:
            raise ValueError(f"the genome has {len(genes.latents)} bars; a score may have {MOST_BARS}")
        bar = self._tokens.ids["Bar_None"]
        for layer, numbers in genes.latents.items():
            if any(type(token) is not int or not 0 <= token < len(self._tokens) for token in numbers):
                raise ValueError(f"{layer} of the genome holds tokens beyond 0 to {len(self._tokens) - 1}")
            if numbers[0] != bar or bar in numbers[1:]:
                raise ValueError(f"{layer} of the genome is no bar: it should begin with the token {bar}")
        if set(genes.classes) != set(_CONTROLS):
            raise ValueError(f"the genome's classes are {short(dict(genes.classes))}; a score's are {_CONTROLS}")
        self._settled(genes.classes)

    def random(self, seed: int, words: str) -> Genes:
        """As `Breeder.random`: what `clavilux render` would write of the words, 8 bars where they say no number."""
        parsed = check_understood(words)
        settled = resolve(parsed, seed=seed)
        controls = with_density(settled, parsed, settled.style, seed)
        bars = USUAL_BARS if parsed.bars is None else parsed.bars
        if bars > MOST_BARS:
            raise ValueError(f"{bars} bars are asked for; a score that is bred may have {MOST_BARS}")
        plan = self._plan(controls, [None] * bars)
        return Genes(self._composed(controls, plan, [None] * bars, seed), _classes(controls))

    def cross(self, parents: Sequence[Genes], mix: Mix) -> Genes:
        """As `Breeder.cross`: the form (bars, metre, tempo, players, rhythms) of the parent with the largest share of
        structure, the first of several; the chords and the key of those with a share of style, where all are alike of
        the others. A quarter of the bars is written anew.
        """
        for number, parent in enumerate(parents):
            if mix.structure[number] == mix.style[number] == 1:
                return parent
        form = max(range(len(parents)), key=lambda number: (mix.structure[number], -number))
        style = list(mix.style)
        if len(set(style)) == 1:
            style[form] = 0.0
        lead = max(range(len(parents)), key=lambda number: (style[number], -number))
        scores = [self.score(parent) for parent in parents]
        controls = self._settled(parents[form].classes)
        key = self._settled(parents[lead].classes).key
        progressions = []
        for score in scores:
            assert score.key is not None, "`score` names it"
            moved = reharmonizing.transposed(harmony_of(score), key.tonic - score.key.tonic)
            metre = score.metres[0][1]
            progressions.append(reharmonizing.fitted(moved, len(moved), metre, controls.metre))
        progression = reharmonizing.joined(progressions, style)
        bars = len(parents[form].latents)
        harmony = reharmonizing.fitted(progression, bars, controls.metre, controls.metre)
        ranges = {program: RANGES[program] for program in RANGES}
        moved_score = reharmonizing.reharmonized(scores[form], harmony, key, ranges)
        controls = replace(controls, key=key)
        kept: list[Sequence[int] | None] = list(self._bars_of(moved_score, controls))
        for number in self._chosen(bars, max(1, round(VARIED * bars)), mix.seed):
            kept[number] = None
        return Genes(self._composed(controls, self._plan(controls, harmony), kept, mix.seed), _classes(controls))

    def mutate(self, genes: Genes, strength: float, seed: int) -> Genes:
        """As `Breeder.mutate`: so many of the bars are written anew, under the chords that they have."""
        controls, bars = self._settled(genes.classes), len(genes.latents)
        kept: list[Sequence[int] | None] = list[Sequence[int] | None](_bars(genes))
        for number in self._chosen(bars, max(1, round(strength * bars)), seed):
            kept[number] = None
        plan = self._plan(controls, harmony_of(self.score(genes)))
        return Genes(self._composed(controls, plan, kept, seed), genes.classes)

    def between(self, first: Genes, second: Genes, share: float) -> Genes:
        """As `Breeder.between`: there is none."""
        if share in (0, 1):
            return second if share else first
        raise ValueError(f"between two scores of {self.name} there is nothing; cross them")

    def directions(self) -> Sequence[str]:
        """None: tokens have no directions."""
        return ()

    def slide(self, genes: Genes, sliders: Mapping[str, float]) -> Genes:
        """As `Breeder.slide`."""
        raise ValueError(f"{self.name} writes tokens, which have no genes to slide; a gan and a vae have some")

    def encode(self, path: PathLike) -> Genes:
        """The genes of a MIDI file, whose chords are found in its notes. ValueError for what cannot be written."""
        given = read_continuation(path, [])
        if given is None or given.score is None or given.metre is None:
            raise ValueError(f"{str(path)!r} is no MIDI file; a score is read from one")
        found = given.controls()
        names = found.get("instruments", ["piano"])
        controls = resolve(
            parse_prompt(""), seed=0, style="folk", density="medium", instruments=names, key=given.key,
            tempo=given.tempo, metre=found["metre"],
        )  # fmt: skip
        tokens = [int(token) for token in RemiFormat().encode(written(score_to_encode(given.score)))[0]]
        bars = self._split(tokens)
        if len(bars) > MOST_BARS:
            raise ValueError(f"{str(path)!r} has {len(bars)} bars; a score that is bred may have {MOST_BARS}")
        return Genes(_layers(bars), _classes(controls))

    def score(self, genes: Genes) -> Score:
        """The notes, with chords and the key, on the instruments that play them."""
        controls = self._settled(genes.classes)
        written = self._tokens.decode(np.concatenate(_bars(genes)))
        score = written.with_programs(parts_of(controls.instruments, 0)[1])
        return replace(score, key=controls.key, tempos=((0.0, controls.tempo),), metres=((0.0, controls.metre),))

    def show(self, genes: Genes) -> Audio:
        """As `Breeder.show`: played, as `clavilux render` would play it."""
        controls = self._settled(genes.classes)
        generation = self._generation(controls, len(genes.latents), 0)
        if self._key is not None:
            generation.mark_sound(self._key.word(PLAYED_KIND))
        down = self._tokens.transposition(shift_to_c(controls.key.tonic))
        samples = []
        for bar in _bars(genes):
            for token in down[bar]:
                settled = generation.push(torch.tensor([int(token)]))
                if settled is not None:
                    samples.append(settled)
        samples.append(generation.finish())
        return generation.complete(torch.cat(samples, dim=1))

    def portrait(self, genes: Genes) -> Picture:
        """As `Breeder.portrait`: the notes."""
        return score_picture(self.score(genes))

    def _settled(self, classes: Mapping[str, Any]) -> Controls:
        """The controls of a genome. ValueError or TypeError for what the composer does not take."""
        given = {name: classes[name] for name in _CONTROLS}
        if not isinstance(given["instruments"], list):
            raise ValueError(f"the genome's instruments are {short(given['instruments'])}; they should be a list")
        return resolve(parse_prompt(""), seed=0, **given)

    def _generation(self, controls: Controls, bars: int, seed: int) -> ScoreGeneration:
        """A piece of so many bars, in which every control is settled."""
        words = _classes(controls) | {"section": "whole", "anything": True}
        made = self._family.generation(Request(f"{bars} bars", USUAL_S, seed, None, words, open_length=True))
        assert isinstance(made, ScoreGeneration), "no melody is given"
        return made

    def _plan(self, controls: Controls, harmony: Sequence[Harmony | None]) -> list[Bar]:
        """The bars in the composer's key, which is C; without a harmony the piece ends on its tonic."""
        shift = shift_to_c(controls.key.tonic)
        sections = sections_of(len(harmony))
        plan = []
        for index, (section, chords) in enumerate(zip(sections, harmony, strict=True)):
            asked = chords or (((0.0, controls.key.home),) if section == "last" else None)
            moved = asked and tuple((at, Chord((chord.root + shift) % 12, chord.quality)) for at, chord in asked)
            plan.append(Bar(controls.metre, section, moved, index % PHRASE))
        return plan

    def _composed(
        self, controls: Controls, plan: Sequence[Bar], kept: Sequence[Sequence[int] | None], seed: int
    ) -> dict[str, tuple[int, ...]]:
        """The layers of a piece whose bars are kept (sounding tokens) or written (None)."""
        shift = shift_to_c(controls.key.tonic)
        down, up = self._tokens.transposition(shift), self._tokens.transposition(-shift)
        generation = self._generation(controls, len(plan), seed)
        in_c = [None if bar is None else [int(token) for token in down[np.array(bar)]] for bar in kept]
        parts, _ = parts_of(controls.instruments, shift)
        generation.grammar = KeptBars(self._tokens, plan, parts, controls.tempo, in_c)
        marked = self._family.marked
        mark = None if self._key is None else Mark(self._key.word(marked.kind), marked)
        sampling = replace(self._family.sampling, seed=(seed,), mark=mark)
        stage = self._family.stage
        steps = sample_rows(stage.decoder, [generation], sampling, layout=stage.layout, windows=generation.windows)
        drawn = [int(step[0, 0]) for step in steps]
        bars = self._split([int(token) for token in up[np.array(drawn)]])
        return _layers([bar if old is None else list(old) for bar, old in zip(bars, kept, strict=True)])

    def _bars_of(self, score: Score, controls: Controls) -> list[list[int]]:
        """A score's bars as tokens at their sounding pitch, written for the programs that the composer writes for."""
        _, programs = parts_of(controls.instruments, 0)
        written = score.with_programs({plays: writes for writes, plays in programs.items()})
        low, high = PITCH_RANGE
        notes = written.notes.copy()
        notes["pitch"] = np.clip(notes["pitch"], low, high)
        sections = sections_of(len(written.bar_starts()))
        return self._split([int(token) for token in self._tokens.encode(replace(written, notes=notes), sections)])

    def _split(self, tokens: Sequence[int]) -> list[list[int]]:
        """Bars of tokens; a Bar token that nothing follows ends the last one."""
        bars: list[list[int]] = []
        for token in tokens:
            if token == self._tokens.ids["Bar_None"]:
                bars.append([])
            bars[-1].append(token)
        return [bar for bar in bars if len(bar) > 1]

    def _chosen(self, bars: int, count: int, seed: int) -> list[int]:
        """So many numbers of bars, by the seed."""
        return np.argsort(uniforms(seed, BARS, bars), kind="stable")[:count].tolist()


def _classes(controls: Controls) -> dict[str, Any]:
    """Controls as plain values, which `resolve` takes."""
    assert controls.density in DENSITIES, "it is settled"
    return {
        "style": controls.style,
        "instruments": list(controls.instruments),
        "key": str(controls.key),
        "tempo": controls.tempo,
        "metre": f"{controls.metre[0]}/{controls.metre[1]}",
        "density": controls.density,
    }


def _bars(genes: Genes) -> list[list[int]]:
    """The tokens of each bar, in order whatever the order in the file."""
    return [[int(token) for token in genes.latents[f"bar {n}"]] for n in range(1, len(genes.latents) + 1)]


def _layers(bars: Sequence[Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {f"bar {number}": tuple(bar) for number, bar in enumerate(bars, 1)}
