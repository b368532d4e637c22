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
from clavilux.audio.score import Score
from clavilux.checks import check_number
from clavilux.decoder import Decoder
from clavilux.family import Family, FromNotes, Generation, Progress, Request
from clavilux.files import PathLike
from clavilux.loop import group_by_prefix_length, sample_rows
from clavilux.mark_key import MarkChoice, key_of
from clavilux.marking import PLAYED_KIND
from clavilux.model import Model
from clavilux.provenance.stamp import stamped
from clavilux.requests import USUAL_S, check_seconds
from clavilux.sampling import SamplingSpec
from clavilux.teacher_forcing import checked_tokens, forced_logits, forced_scores
from clavilux.timings import Timings


class MusicModel(Model):
    """A loaded checkpoint that makes music. Made by `clavilux.load`."""

    OPTIONS = frozenset(
        ("seed", "temperature", "top_k", "top_p", "guidance", "batch", "continue_from", "mark", "progress")
    )
    family: Family

    @overload
    def generate(
        self, prompt: str = "", *, seconds: float | None = None, seed: int | None = None,
        temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        guidance: float | None = None, batch: Literal[1] = 1, continue_from: str | Path | Audio | None = None,
        mark: MarkChoice = None, progress: Progress | None = None, **controls: Any,
    ) -> Audio: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str | Sequence[str] = "", *, seconds: float | None = None,
        seed: int | Sequence[int] | None = None, temperature: float | None = None, top_k: int | None = None,
        top_p: float | None = None, guidance: float | None = None, batch: int = 1,
        continue_from: str | Path | Audio | None = None, mark: MarkChoice = None,
        progress: Progress | None = None, **controls: Any,
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
        mark: MarkChoice = None,
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
            continue_from: a MIDI, MusicXML, ABC or sound file, or an `Audio`, that the piece begins with.
            mark: of what is drawn: None: the public key's mark, or none where the environment has CLAVILUX_MARK=0;
                True: the public key's; False: none; or the file of a private key, which is made if it is not there. A
                temperature of 0 draws nothing, and leaves no mark.
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
        timings = Timings()
        with timings.part("text", self.device):
            as_list, generations, sampling = self._prepare(
                prompt, seconds, seed, batch, continue_from, controls,
                temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance, mark=mark,
            )  # fmt: skip
        pieces: list[list[Tensor]] = [[] for _ in generations]
        for row, samples in self._run(generations, sampling, progress, timings):
            pieces[row].append(samples)
        songs = [each.complete(torch.cat(parts, dim=1)) for each, parts in zip(generations, pieces, strict=True)]
        timings.note(songs)
        followed = "tune" if self.family.name == "aria" else "melody"  # aria plays it, MusicGen only follows it
        stamped(songs, continue_from=continue_from, **{followed: controls.get("melody")})
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
        mark: MarkChoice = None,
        progress: Progress | None = None,
        **controls: Any,
    ) -> Iterator[Audio]:
        """Give a piece out as it is made. Arguments and errors as `generate`, of one piece.

        Yields:
            `Audio` after `Audio`, without receipt, with the timings up to there; their samples, joined, are those that
            `generate` gives.
        """
        if isinstance(prompt, (list, tuple)) or controls.pop("batch", 1) != 1:
            raise ValueError("a stream gives one piece; use generate for a list of prompts or a batch")
        timings = Timings()
        with timings.part("text", self.device):
            _, generations, sampling = self._prepare(
                prompt, seconds, seed, 1, continue_from, controls,
                temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance, mark=mark,
            )  # fmt: skip
        sample_rate = self.family.stage.codec.sample_rate
        pieces = self._run(generations, sampling, progress, timings)
        return (Audio(samples, sample_rate, timings=timings.seconds()) for _, samples in pieces)

    def logits(
        self,
        tokens: Tensor,
        *,
        prompt: str = "",
        seconds: float | None = None,
        seed: int = 0,
        guidance: float = 1.0,
        **controls: Any,
    ) -> Tensor:
        """What the model expects at each token of a piece, given those before it (teacher forcing).

        Of pieces longer than the context each token is seen in the window in which it would be drawn. No grammar,
        temperature, top_k or top_p has a part in it.

        Args:
            tokens: integers [K, T], or [B, K, T] for rows under the same conditioning, with ids of the model's codec, 0
                to V - 1: a whole piece from its beginning on, such as an `Audio`'s tokens, or what `encode` gives.
            prompt: the text that the model is conditioned on.
            seconds: as `generate` was given it; aria's tempo may follow from it. None: the tokens' own length, and for
                aria 20.
            seed: as `generate` was given it: aria settles by it what prompt and controls leave open.
            guidance: 1 is the conditional logits alone; another scale mixes in the unconditional ones, as `generate`
                does.
            controls: the family's own: see `accepts`.

        Returns:
            float32 [K, T, V] on the CPU, or [B, K, T, V] for rows. The decoder's layout is undone: in
            MusicGen's delay pattern a token's logits follow from all that is read before its own step.

        Raises:
            ValueError: tokens of another shape or dtype, an id out of range, or an argument outside its range.
            TypeError: tokens that are no tensor, or a control that this model does not take.
        """
        forced, rows = self._forced(tokens, prompt, seconds, seed, guidance, controls)
        logits = forced_logits(*forced, layout=self.family.stage.layout, windows=forced[1].windows)
        return logits if rows else logits[0]

    def score(
        self,
        tokens: Tensor,
        *,
        prompt: str = "",
        seconds: float | None = None,
        seed: int = 0,
        guidance: float = 1.0,
        **controls: Any,
    ) -> Tensor:
        """How likely each token of a piece is to the model, given those before it.

        Arguments and errors as `logits`, of which it is the log-softmax at the tokens; it keeps no whole table of them.

        Returns:
            Log-probabilities in nats, float32 [K, T] on the CPU, or [B, K, T] for rows.
        """
        forced, rows = self._forced(tokens, prompt, seconds, seed, guidance, controls)
        scores = forced_scores(*forced, layout=self.family.stage.layout, windows=forced[1].windows)
        return scores if rows else scores[0]

    def encode(self, source: Audio | Score | PathLike) -> Tensor:
        """The tokens of a piece.

        Args:
            source: an `Audio` or a sound file; for aria, whose tokens are notes, a `Score`, a MIDI file, or an `Audio`
                with its score.

        Returns:
            int64 [K, T] on the CPU, ids of the model's codec.

        Raises:
            ValueError: a file that cannot be read, or sound where the tokens are notes.
            TypeError: something else.
        """
        return self.family.encode(source)

    def decode(self, tokens: Tensor) -> Audio:
        """The sound of tokens.

        Args:
            tokens: integers [K, T], ids of the model's codec, 0 to V - 1, such as `encode` gives.

        Returns:
            `Audio`, float32 [C, N] at the codec's rate, with its tokens, and from aria with its score.

        Raises:
            ValueError: another shape or dtype, or an id out of range.
            TypeError: no tensor.
        """
        layout = self.family.stage.layout
        frames, rows = checked_tokens(tokens, layout.codebooks, layout.vocabulary)
        if rows:
            raise ValueError(f"tokens are of {len(frames)} pieces; decode takes one, [{layout.codebooks}, T]")
        return self.family.decode(frames[0])

    def _forced(
        self, tokens: Tensor, prompt: str, seconds: float | None, seed: int, guidance: float, controls: dict[str, Any]
    ) -> tuple[tuple[Decoder, Generation, Tensor, SamplingSpec], bool]:
        """(what `teacher_forcing` takes, whether rows were given). Everything is checked here."""
        stage = self.family.stage
        frames, rows = checked_tokens(tokens, stage.layout.codebooks, stage.layout.vocabulary)
        text, own, taken = self._parse_single(prompt, seed, controls, ("prompt", "seconds", "seed", "guidance"))
        sampling = SamplingSpec(guidance=check_number("guidance", guidance))
        rate = stage.codec.frame_rate
        length = check_seconds(seconds if seconds is not None else frames.shape[2] / rate if rate else USUAL_S)
        request = Request(text, float(length), own, None, taken, seconds is None)
        return (stage.decoder, self.family.begin([request])[0], frames, sampling), rows

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
        sampling = self._sampling_spec([each.receipt for each in generations], **drawing)
        if sampling.is_marked and (key := key_of(drawing.get("mark"))) is not None:
            for each in generations:
                if isinstance(each, FromNotes):
                    each.mark_sound(key.word(PLAYED_KIND))
        return as_list, generations, sampling

    def _run(
        self, generations: list[Generation], sampling: SamplingSpec, progress: Progress | None, timings: Timings
    ) -> Iterator[tuple[int, Tensor]]:
        """(row, samples [C, N]) as they are settled."""
        count = len(generations)
        seconds = sum(each.receipt["seconds"] for each in generations) / count
        for rows, alike in group_by_prefix_length(generations, sampling):
            for index, samples in self._run_together([generations[row] for row in rows], alike, timings):
                yield rows[index], samples
                if progress is not None:
                    # The mean: rows of another group are made later, and the least of all would stand still till then.
                    progress(sum(each.at_s for each in generations) / count, seconds)
        if progress is not None:
            progress(seconds, seconds)

    def _run_together(
        self, generations: list[Generation], sampling: SamplingSpec, timings: Timings
    ) -> Iterator[tuple[int, Tensor]]:
        stage = self.family.stage
        windows = generations[0].windows
        steps = sample_rows(stage.decoder, generations, sampling, layout=stage.layout, windows=windows)
        for tokens in timings.drawn(steps):
            for row, generation in enumerate(generations):
                with timings.part("codec"):
                    samples = generation.push(tokens[row])
                if samples is not None and samples.shape[1]:
                    yield row, samples
        for row, generation in enumerate(generations):
            with timings.part("codec"):
                samples = generation.finish()
            yield row, samples
