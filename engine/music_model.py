"""A loaded model of music: from a call to sound, for every family whose pieces are one run of tokens.

Knows requests, rows and pieces. What a prompt means and how tokens become sound is the family's; the loop that draws
them is `loop`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.family import Family, Generation, Progress, Request
from clavilux.loop import group_by_prefix_length, sample_rows
from clavilux.model import Model
from clavilux.requests import USUAL_S, check_seconds
from clavilux.sampling import SamplingSpec


class MusicModel(Model):
    """A loaded checkpoint that makes music. Made by `clavilux.load`."""

    OPTIONS = frozenset(("seed", "temperature", "top_k", "top_p", "guidance", "batch", "continue_from", "progress"))
    family: Family

    @overload
    def generate(
        self, prompt: str = "", *, seconds: float | None = None, seed: int | None = None,
        temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        guidance: float | None = None, batch: Literal[1] = 1, continue_from: str | Path | Audio | None = None,
        progress: Progress | None = None, **controls: Any,
    ) -> Audio: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str | Sequence[str] = "", *, seconds: float | None = None,
        seed: int | Sequence[int] | None = None, temperature: float | None = None, top_k: int | None = None,
        top_p: float | None = None, guidance: float | None = None, batch: int = 1,
        continue_from: str | Path | Audio | None = None, progress: Progress | None = None, **controls: Any,
    ) -> Audio | list[Audio]: ...  # fmt: skip

    def generate(
        self,
        prompt: str | Sequence[str] = "",
        *,
        seconds: float | None = None,
        seed: int | Sequence[int] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        batch: int = 1,
        continue_from: str | Path | Audio | None = None,
        progress: Progress | None = None,
        **controls: Any,
    ) -> Audio | list[Audio]:
        """Make a whole piece; a list of them where `prompt` is a list or `batch` is above 1.

        Args:
            prompt: the text, or a list of texts that are made side by side.
            seconds: exact length, above 0 up to 3600; the length of `continue_from` counts. If None, what the prompt
                says ("16 bars", where the family reads it), else 20.
            seed: the same seed gives the same piece on the same device; a random one if None; a list has one for each
                piece. 0 to 2^64 - 1.
            temperature: 0 or more; 0 takes the likeliest token each time. The family's own value if None, as are the
                next three.
            top_k: only the k likeliest tokens are drawn from; 0 is all.
            top_p: only the likeliest tokens that together have this probability, above 0 up to 1; 1 is all.
            guidance: how strictly the prompt is followed; 1 is freely. For families that are conditioned on text.
            batch: how many pieces, 1 to 64, with seeds one after another.
            continue_from: a MIDI or sound file, or an `Audio`, that the piece begins with.
            progress: called with (seconds done, seconds in all).
            controls: the family's own, such as `key` or `tempo`: see `accepts`.

        Returns:
            `Audio`, float32 [C, N] of exactly that length, with its receipt, its tokens and, from aria, its score; a
            list of them for a list of prompts or a batch.

        Raises:
            ValueError: an argument outside its range, a prompt that the family cannot follow, or a file that cannot
                be read.
            TypeError: an argument of another type, or one that this model does not take.
        """
        as_list, generations, sampling = self._prepare(
            prompt, seconds, seed, batch, continue_from, controls,
            temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance,
        )  # fmt: skip
        pieces: list[list[Tensor]] = [[] for _ in generations]
        for row, samples in self._run(generations, sampling, progress):
            pieces[row].append(samples)
        songs = [each.complete(torch.cat(parts, dim=1)) for each, parts in zip(generations, pieces, strict=True)]
        return songs if as_list else songs[0]

    def stream(
        self,
        prompt: str = "",
        *,
        seconds: float | None = None,
        seed: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float | None = None,
        continue_from: str | Path | Audio | None = None,
        progress: Progress | None = None,
        **controls: Any,
    ) -> Iterator[Audio]:
        """Give a piece out as it is made. Arguments and errors as `generate`, of one piece.

        Yields:
            `Audio` after `Audio`, without receipt; their samples, joined, are those that `generate` gives.
        """
        if isinstance(prompt, (list, tuple)) or controls.pop("batch", 1) != 1:
            raise ValueError("a stream gives one piece; use generate for a list of prompts or a batch")
        _, generations, sampling = self._prepare(
            prompt, seconds, seed, 1, continue_from, controls,
            temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance,
        )  # fmt: skip
        sample_rate = self.family.stage.codec.sample_rate
        pieces = self._run(generations, sampling, progress)
        return (Audio(samples, sample_rate) for _, samples in pieces)

    def _prepare(
        self,
        prompt: str | Sequence[str],
        seconds: float | None,
        seed: int | Sequence[int] | None,
        batch: int,
        continue_from: str | Path | Audio | None,
        controls: Mapping[str, Any],
        **drawing: Any,
    ) -> tuple[bool, list[Generation], SamplingSpec]:
        """(whether a list was asked for, a generation a row, how to draw). Everything is checked here."""
        as_list, rows, taken = self._parse_request(prompt, batch, seed, controls)
        length = float(check_seconds(USUAL_S if seconds is None else seconds))
        requests = [Request(text, length, own, continue_from, taken, seconds is None) for text, own in rows]
        generations = list(self.family.begin(requests))
        return as_list, generations, self._sampling_spec([each.receipt for each in generations], **drawing)

    def _run(
        self, generations: list[Generation], sampling: SamplingSpec, progress: Progress | None
    ) -> Iterator[tuple[int, Tensor]]:
        """(row, samples [C, N]) as they are settled."""
        count = len(generations)
        seconds = sum(each.receipt["seconds"] for each in generations) / count
        for rows, alike in group_by_prefix_length(generations, sampling):
            for index, samples in self._run_together([generations[row] for row in rows], alike):
                yield rows[index], samples
                if progress is not None:
                    # The mean: rows of another group are made later, and the least of all would stand still till then.
                    progress(sum(each.at_s for each in generations) / count, seconds)
        if progress is not None:
            progress(seconds, seconds)

    def _run_together(self, generations: list[Generation], sampling: SamplingSpec) -> Iterator[tuple[int, Tensor]]:
        stage = self.family.stage
        windows = generations[0].windows
        for tokens in sample_rows(stage.decoder, generations, sampling, layout=stage.layout, windows=windows):
            for row, generation in enumerate(generations):
                samples = generation.push(tokens[row])
                if samples is not None and samples.shape[1]:
                    yield row, samples
        for row, generation in enumerate(generations):
            yield row, generation.finish()
