"""A loaded model: from a call to sound, for every family of music (`painting` has those of pictures).

Knows requests, rows and pieces. What a prompt means and how tokens become sound is the family's; the loop
that draws them is `loop`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.audio.codecs import Codec
from clavilux.checkpoint import CASCADES, PICTURES, Checkpoint, find
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.layout import Layout
from clavilux.loop import draw
from clavilux.precision import check
from clavilux.sampling import Grammar, SamplingSpec
from clavilux.threads import one_thread
from clavilux.windows import Windows

LONGEST_S, USUAL_S = 3600.0, 20.0
SMALL_DECODER = 30_000_000  # parameters
SONG_OPTIONS = frozenset(("seed", "temperature", "top_k", "top_p", "guidance", "batch", "continue_from", "progress"))

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Stage:
    """One decoder, how its tokens are laid out and windowed, and the codec that they belong to."""

    decoder: Decoder
    layout: Layout
    windows: Windows
    codec: Codec


@dataclass(frozen=True)
class Request:
    """What one row asks for. `open_length`: no length was given, `seconds` is the usual one; words may say another."""

    prompt: str
    seconds: float
    seed: int
    continue_from: str | Path | Audio | None = None
    controls: dict[str, Any] = field(default_factory=dict)
    open_length: bool = False


class Job(Protocol):
    """One row of a render, made by its family."""

    prompt: Tensor  # int64 [1, K, T], read before anything is drawn
    plan: Tensor | None  # int64 [1, K, S], what is known of the steps to come; None where a grammar says it
    grammar: Grammar | None
    conditioning: Conditioning  # one row
    unconditional: Conditioning  # the row of guidance's second block: nothing is said
    windows: Windows  # the stage's, or those that were asked for; the same in all rows of a call
    receipt: dict[str, Any]

    @property
    def at_s(self) -> float:
        """Seconds of the piece that are written."""

    def push(self, tokens: Tensor) -> Tensor | None:
        """Take a step's tokens, int64 [K]; the samples float32 [C, N] that they settle, if any."""

    def finish(self) -> Tensor:
        """The rest of the samples."""

    def complete(self, samples: Tensor) -> Audio:
        """The whole piece, with its score, tokens and receipt."""


class Family(Protocol):
    """What a checkpoint family adds to the shared core."""

    name: str
    accepts: dict[str, Any]  # the controls it takes, and what they may be
    sampling: SamplingSpec  # its defaults
    stages: tuple[Stage, ...]
    identity: dict[str, Any]  # model, hash and dtype, for receipts

    def jobs(self, requests: list[Request]) -> list[Job]:
        """A job a row, made side by side. Raises ValueError or TypeError for what the family cannot do."""


class Model:
    """A loaded checkpoint. Made by `load`."""

    def __init__(self, family: Family):
        self.family = family

    def __repr__(self) -> str:
        size = sum(stage.decoder.num_parameters for stage in self.family.stages)
        identity = self.family.identity
        return f"Model({identity['model']!r}, {size / 1e6:.1f} M parameters, {identity['dtype']})"

    def generate(self, prompt: str | list[str] = "", *, seconds: float | None = None, **options) -> Audio | list[Audio]:
        """Make a whole piece; a list of them where `prompt` is a list or `batch` is above 1.

        Args:
            prompt: words, or a list of prompts that are made side by side.
            seconds: exact length, above 0 up to 3600; with `continue_from`, what is given counts. If None, what the
                prompt says of it ("16 bars", where the family reads it), else 20.
            options: as for `stream`.
        """
        rows, jobs, sampling = self._jobs(prompt, seconds, options)
        pieces: list[list[Tensor]] = [[] for _ in jobs]
        for row, samples in self._run(jobs, sampling, options.get("progress")):
            pieces[row].append(samples)
        songs = [job.complete(torch.cat(parts, dim=1)) for job, parts in zip(jobs, pieces, strict=True)]
        return songs if rows else songs[0]

    def stream(self, prompt: str = "", *, seconds: float | None = None, **options) -> Iterator[Audio]:
        """Give a piece out as it is made: `Audio` after `Audio`, together exactly what `generate` gives.

        Args:
            prompt: words.
            seconds: exact length in all; None as for `generate`.
            seed: the same seed gives the same piece; one is drawn if None.
            temperature, top_k, top_p, guidance: as `SamplingSpec`; the family's own values if None.
            batch: how many pieces, with seeds one after another (`generate` only).
            continue_from: a MIDI or sound file, or an `Audio`, that comes first.
            progress: called with (seconds done, seconds in all).
            The family's controls, such as `key` or `tempo`, see `accepts`.

        Raises:
            ValueError, TypeError: an argument outside its range, or one that this model does not take.
        """
        rows, jobs, sampling = self._jobs(prompt, seconds, options)
        if rows:
            raise ValueError("a stream gives one piece; use generate for a list of prompts or a batch")
        sample_rate = self.family.stages[-1].codec.sample_rate
        pieces = self._run(jobs, sampling, options.get("progress"))
        return (Audio(samples, sample_rate) for _, samples in pieces)

    @property
    def accepts(self) -> dict[str, Any]:
        """The family's own controls and what each may be."""
        return dict(self.family.accepts)

    def _jobs(self, prompt, seconds, options) -> tuple[bool, list[Job], SamplingSpec]:
        """(whether a list was asked for, a job a row, how to draw). Everything is checked here."""
        as_list, rows, controls = self._asked(prompt, options, SONG_OPTIONS)
        length = float(check_seconds(USUAL_S if seconds is None else seconds))
        source = options.get("continue_from")
        requests = [Request(text, length, seed, source, controls, seconds is None) for text, seed in rows]
        jobs = self.family.jobs(requests)
        return as_list, jobs, self._settled(jobs, options, options.get("guidance"))

    def _asked(self, prompt, options, known: Iterable[str]) -> tuple[bool, list[tuple[str, int]], dict[str, Any]]:
        """(whether a list was asked for, each row's words and seed, the family's own controls), checked."""
        check_taken(self.family.identity["model"], options, {*known, *self.family.accepts})
        batch = check_batch(options.get("batch", 1))
        as_list = isinstance(prompt, (list, tuple)) or batch > 1
        prompts = list(prompt) if isinstance(prompt, (list, tuple)) else [prompt] * batch
        if not prompts or not all(isinstance(p, str) for p in prompts):
            raise TypeError(f"prompt is {type(prompt).__name__}; it should be a string or a list of strings")
        controls = {name: options[name] for name in self.family.accepts if options.get(name) is not None}
        return as_list, list(zip(prompts, seeds_of(options.get("seed"), len(prompts)), strict=True)), controls

    def _settled(self, jobs, options, guidance) -> SamplingSpec:
        """How to draw: what was asked for, else the family's usual settings; every job's receipt notes it."""
        given = {name: options.get(name) for name in ("temperature", "top_k", "top_p")} | {"guidance": guidance}
        usual = self.family.sampling
        settings = {name: getattr(usual, name) if value is None else value for name, value in given.items()}
        for job in jobs:
            job.receipt["settings"] = settings
        return SamplingSpec(seed=tuple(job.receipt["seed"] for job in jobs), **settings)

    def _run(self, jobs: list[Job], sampling: SamplingSpec, progress: Progress | None) -> Iterator[tuple[int, Tensor]]:
        """(row, samples [C, N]) as they are settled."""
        seconds = sum(job.receipt["seconds"] for job in jobs) / len(jobs)
        for rows, alike in kinds(jobs, sampling):
            for index, samples in self._run_together([jobs[row] for row in rows], alike):
                yield rows[index], samples
                if progress is not None:
                    # The mean: rows of another kind are made later, and the least of all would stand still till then.
                    progress(sum(job.at_s for job in jobs) / len(jobs), seconds)
        if progress is not None:
            progress(seconds, seconds)

    def _run_together(self, jobs: list[Job], sampling: SamplingSpec) -> Iterator[tuple[int, Tensor]]:
        stage = self.family.stages[0]
        for tokens in drawn(stage.decoder, jobs, sampling, layout=stage.layout, windows=jobs[0].windows):
            for row, job in enumerate(jobs):
                samples = job.push(tokens[row])
                if samples is not None and samples.shape[1]:
                    yield row, samples
        for row, job in enumerate(jobs):
            yield row, job.finish()


def kinds(jobs, sampling: SamplingSpec) -> Iterator[tuple[list[int], SamplingSpec]]:
    """The rows that are made together, and how they are drawn, one kind after the other.

    Rows whose prefixes differ in length are not made together: padding would change what they read.
    """
    found: dict[int, list[int]] = {}
    for row, job in enumerate(jobs):
        found.setdefault(job.conditioning.num_prefix, []).append(row)
    for rows in found.values():
        yield rows, replace(sampling, seed=tuple(sampling.seed[row] for row in rows))


def drawn(decoder: Decoder, jobs, sampling: SamplingSpec, **words) -> Iterator[Tensor]:
    """The steps int64 [B, K] of jobs that are made together; words as for `clavilux.loop.draw`."""
    conditionings = [job.conditioning for job in jobs]
    if len(sampling.weights) > 1:
        conditionings += [job.unconditional for job in jobs]
    plans, grammars = [job.plan for job in jobs], [job.grammar for job in jobs]
    steps = draw(
        decoder,
        sampling,
        torch.cat([job.prompt for job in jobs]),
        plan=None if plans[0] is None else torch.cat(plans),
        grammars=None if grammars[0] is None else grammars,
        conditioning=Conditioning.stack(conditionings),
        **words,
    )
    return small_steps_alone(steps, decoder)


def small_steps_alone(steps: Iterator[Tensor], decoder: Decoder) -> Iterator[Tensor]:
    """The steps, each drawn on one thread where the decoder is so small that threads would only wait.

    On two busy cores a step of 3 M parameters took 30 ms on two threads and 3 ms on one.
    """
    small = decoder.embed.weight.device.type == "cpu" and decoder.num_parameters < SMALL_DECODER
    while True:
        with one_thread() if small else nullcontext(), torch.inference_mode():
            tokens = next(steps, None)
        if tokens is None:
            return
        yield tokens


def check_seconds(seconds) -> float:
    """The length of a piece. TypeError or ValueError for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds is {seconds!r}; it should be a number")
    if not (math.isfinite(seconds) and 0 < seconds <= LONGEST_S):
        raise ValueError(f"seconds is {seconds}; it should be above 0 and at most {LONGEST_S:g}")
    return seconds


def check_taken(model: str, options: Iterable[str], takes: set[str]) -> None:
    """Raise TypeError for options that a model does not take; those that it takes are named."""
    unknown = sorted(set(options) - takes)
    if unknown:
        raise TypeError(f"{model} does not take {', '.join(unknown)}; it takes {', '.join(sorted(takes))}")


def check_batch(batch) -> int:
    """How many are made side by side. Raises ValueError for what is no such number."""
    if type(batch) is not int or not 1 <= batch <= 64:
        raise ValueError(f"batch is {batch!r}; it should be a whole number from 1 to 64")
    return batch


def seeds_of(seed, rows: int) -> list[int]:
    """A seed a row: a list's own, or one number and those that follow it."""
    if seed is None:
        seed = secrets.randbelow(2**31)
    if isinstance(seed, (list, tuple)):
        if len(seed) != rows:
            raise ValueError(f"there are {len(seed)} seeds; there should be one for each of {rows} pieces")
        seeds = list(seed)
    else:
        if type(seed) is not int:
            raise TypeError(f"seed is {seed!r}; it should be a whole number")
        seeds = [seed + row for row in range(rows)]
    SamplingSpec(seed=tuple(seeds))  # checks each
    return seeds


def load(
    source: str | Path | Checkpoint, device: str = "auto", dtype: str = "auto", *, codec: str | Path | None = None
) -> Model:
    """Load a model.

    Args:
        source: a bundled model's name ("aria"), a folder, a file that is part of one, a hub id ("owner/name"), or one
            file in it and what it needs ("owner/name/c2i_B_256.pt"); or what `clavilux.checkpoint.find` gave for one.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "mps" ...
        dtype: "auto", "float32", "bfloat16", "float16" or "int8"; see `clavilux.precision.prepare`.
        codec: a file or folder with the codec, where it does not lie beside the model (LlamaGen).

    Returns:
        A model; of pictures, a `clavilux.image_model.Painter`; of a cascade, a
        `clavilux.families.jukebox.model.Singer`.

    Raises:
        CheckpointError: nothing is there, or it is damaged or of an unknown family.
        ValueError: an unknown device or dtype.
    """
    check(dtype)
    found = find(source)
    name = found.family
    words = {} if codec is None else {"codec": codec}
    if words and name != "llamagen":
        raise ValueError(f"a codec is given; a model of the family {name!r} has its own")
    family = found.module.load(found.folder, found.config, device_named(device), dtype, **words)
    if name in CASCADES:
        from clavilux.families.jukebox.model import Singer  # as below

        return Singer(family)
    if name not in PICTURES:
        return Model(family)
    from clavilux.image_model import Painter  # it builds on this module

    return Painter(family)


def device_named(name: str) -> torch.device:
    """The device of a word. Raises ValueError for one that is not to be had."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ValueError(f"the device {name!r} is not to be had here; auto, cpu, cuda and mps are names") from None
    return device
