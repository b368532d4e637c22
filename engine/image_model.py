"""A loaded model of pictures: from a call to a picture, for every family of them.

Knows requests, rows of tokens and how they are shown as they arrive. What a prompt means is the family's; which
tokens are known beforehand is `inpainting`'s; the loop that draws the others is `loop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor

from clavilux.checks import whole_number
from clavilux.decoder import Decoder
from clavilux.files import PathLike
from clavilux.image.picture import Picture
from clavilux.image_family import PictureFamily, PictureGeneration, PictureRequest, checked_size
from clavilux.inpainting import Box, plan_of, tokens_of
from clavilux.layout import OPEN
from clavilux.loop import group_by_prefix_length, sample_rows
from clavilux.mark_key import MarkChoice, key_of
from clavilux.marking import PAINTED_KIND
from clavilux.model import Model
from clavilux.provenance.stamp import stamped
from clavilux.sampling import SamplingSpec, Schedule, guidance_of
from clavilux.surprisal import SurprisalMaps, surprisal_maps
from clavilux.teacher_forcing import checked_tokens, forced_logits, forced_scores
from clavilux.timings import Timings

PictureProgress = Callable[[int, int], None]
_SETTINGS = ("temperature", "guidance")  # that change what the model thinks, not only what is drawn


class ImageModel(Model):
    """A loaded checkpoint that makes pictures. Made by `clavilux.load`."""

    OPTIONS = frozenset(
        {"seed", "temperature", "top_k", "top_p", "guidance", "batch", "continue_from", "keep", "vary"}
        | {"mark", "progress"}
    )
    family: PictureFamily

    @overload
    def generate(
        self, prompt: str = "", *, size: int | None = None, seed: int | None = None, temperature: float | None = None,
        top_k: int | None = None, top_p: float | None = None, guidance: float | str | None = None,
        batch: Literal[1] = 1, continue_from: Picture | PathLike | None = None, keep: Box | None = None,
        vary: float | None = None, mark: MarkChoice = None, progress: PictureProgress | None = None,
        **controls: Any,
    ) -> Picture: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str | Sequence[str] = "", *, size: int | None = None, seed: int | Sequence[int] | None = None,
        temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        guidance: float | str | None = None, batch: int = 1,
        continue_from: Picture | PathLike | None = None, keep: Box | None = None,
        vary: float | None = None, mark: MarkChoice = None, progress: PictureProgress | None = None,
        **controls: Any,
    ) -> Picture | list[Picture]: ...  # fmt: skip

    def generate(
        self,
        prompt: str | Sequence[str] = "",
        *,
        size: int | None = None,
        seed: int | Sequence[int] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float | str | None = None,
        batch: int = 1,
        continue_from: Picture | PathLike | None = None,
        keep: Box | None = None,
        vary: float | None = None,
        mark: MarkChoice = None,
        progress: PictureProgress | None = None,
        **controls: Any,
    ) -> Picture | list[Picture]:
        """Paint a picture; a list of them where `prompt` is a list or `batch` is above 1.

        Args:
            prompt: the text, or a list of texts that are painted side by side; empty for a model that takes none.
            size: pixels a side, a multiple of the codec's patch up to 2048; what the model was trained on if None.
            seed: the same seed gives the same picture on the same device; a random one if None; a list has one for each
                picture. 0 to 2^64 - 1.
            temperature: 0 or more; 0 takes the likeliest token each time. The family's own value if None, as are the
                next three.
            top_k: only the k likeliest tokens are drawn from; 0 is all.
            top_p: only the likeliest tokens that together have this probability, above 0 up to 1; 1 is all.
            guidance: how strictly the prompt is followed; 1 is freely. Or text such as "1:7.5", a scale that goes in a
                straight line from the first token to the last (more points are spread evenly).
            batch: how many pictures, 1 to 64, with seeds one after another.
            continue_from: a picture, or its file: the rows that it has are kept, the rest is painted.
            keep: (x, y, width, height) in pixels of the picture: the tokens of `continue_from` there are kept.
            vary: the share of `continue_from`'s tokens, 0 to 1, that is kept; which ones follows from the seed.
            mark: of tokens that are drawn, and of their pixels: None: the public key's mark, or none where the
                environment has CLAVILUX_MARK=0; True: the public key's; False: none; or a private key's file, which
                is made if it is not there. A temperature of 0 draws nothing, and leaves no mark.
            progress: called with (tokens painted, tokens in all) after each row.
            controls: the family's own, such as `class_id`: see `accepts`.

        Returns:
            `Picture`, uint8 [H, W, 3], with its tokens [K, rows * cols] and its receipt; a list of them for a list of
            prompts or a batch.

        Raises:
            ValueError: an argument outside its range, a picture that cannot be read, or nothing left to paint.
            TypeError: an argument of another type, or one that this model does not take.
        """
        timings = Timings()
        with timings.part("text", self.device):
            as_list, generations, sampling = self._prepare(
                prompt, size, seed, batch, (continue_from, keep, vary), controls,
                temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance, mark=mark,
            )  # fmt: skip
        for _ in self._run(generations, sampling, progress, timings):
            pass
        pictures = self._pictures(generations, timings, continue_from)
        return pictures if as_list else pictures[0]

    def stream(
        self,
        prompt: str | Sequence[str] = "",
        *,
        every: int = 1,
        size: int | None = None,
        seed: int | Sequence[int] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float | str | None = None,
        batch: int = 1,
        continue_from: Picture | PathLike | None = None,
        keep: Box | None = None,
        vary: float | None = None,
        mark: MarkChoice = None,
        progress: PictureProgress | None = None,
        **controls: Any,
    ) -> Iterator[Picture] | Iterator[list[Picture]]:
        """The picture as its rows arrive, grey where nothing is painted yet; the last one is what `generate` gives.

        Arguments and errors as `generate`; pictures that are painted side by side come in lists.

        Args:
            every: rows of tokens from one picture to the next, at least 1; each time all rows so far are decoded.

        Yields:
            `Picture` without tokens and receipt, but for the last one; lists of them for a list of prompts or a batch.
        """
        if type(every) is not int or every < 1:
            raise ValueError(f"every is {every!r}; it should be a whole number of rows, at least 1")
        timings = Timings()
        with timings.part("text", self.device):
            as_list, generations, sampling = self._prepare(
                prompt, size, seed, batch, (continue_from, keep, vary), controls,
                temperature=temperature, top_k=top_k, top_p=top_p, guidance=guidance, mark=mark,
            )  # fmt: skip
        pictures = (
            self._pictures(generations, timings, continue_from)
            for number, _ in enumerate(self._run(generations, sampling, progress, timings), 1)
            if number % every == 0 or all(each.num_painted == each.num_tokens for each in generations)
        )
        return pictures if as_list else (picture[0] for picture in pictures)

    def explain(
        self,
        picture: Picture | PathLike,
        prompt: str | None = None,
        *,
        temperature: float | None = None,
        guidance: float | str | None = None,
        **controls: Any,
    ) -> SurprisalMaps:
        """How open each place of a picture was to the model, and how much it is surprised by what stands there.

        Args:
            picture: one that it painted, or any other, or a file; of another the middle square is looked at, as its
                codec sees it.
            prompt: the text; that of the picture's receipt if None.
            temperature: as for `generate`, 0 counts as 1; that of the picture's receipt if None and this model painted
                it, else the family's own value.
            guidance: the same.
            controls: the same, each of the family's own.

        Returns:
            Maps in bits, float32 [rows, cols], a value for each place of the token grid.

        Raises:
            ValueError: an argument outside its range, a picture that cannot be read, or guidance of a model without a
                prompt.
            TypeError: a control that this model does not take.
        """
        stage, identity = self.family.stage, self.family.identity
        picture = picture if isinstance(picture, Picture) else Picture.load(picture)
        receipt = picture.receipt if picture.receipt.get("fingerprint") == identity["fingerprint"] else {}
        drawing = {name: receipt.get("settings", {}).get(name) for name in _SETTINGS}
        drawing |= {
            n: value for n, value in (("temperature", temperature), ("guidance", guidance)) if value is not None
        }
        said = receipt.get("controls", {})
        controls = {name: said[name] for name in self.family.accepts if name in said} | controls
        words = receipt.get("prompt", "") if prompt is None else prompt
        _, [(text, seed)], taken = self._parse_request(words, 1, receipt.get("seed", 0), controls, _SETTINGS)
        if "anything" in self.family.accepts:
            taken["anything"] = True  # nothing is made here
        size = checked_size(self.family, receipt.get("size"))
        tokens = tokens_of(stage.codec, picture, size, identity)
        generation = self.family.begin([PictureRequest(text, size, seed, tokens.flatten(1)[None], taken)])[0]
        sampling = self._drawing([generation], drawn=False, **drawing)
        return SurprisalMaps(picture.fit(size), *surprisal_maps(generation, sampling, stage.layout))

    def logits(
        self,
        tokens: Tensor,
        *,
        prompt: str = "",
        size: int | None = None,
        guidance: float | str = 1.0,
        **controls: Any,
    ) -> Tensor:
        """What the model expects at each token of a picture, given those before it (teacher forcing).

        Args:
            tokens: integers [K, T], or [B, K, T] for rows under the same conditioning, with ids of the model's codec, 0
                to V - 1, row by row from the top left: a whole picture, or its beginning.
            prompt: the text that the model is conditioned on; empty for a model that takes none.
            size: pixels a side of the picture; what the model was trained on if None.
            guidance: 1 is the conditional logits alone; another scale, or text such as "1:7.5", mixes in the
                unconditional ones, as `generate` does.
            controls: the family's own, such as `class_id`: see `accepts`.

        Returns:
            float32 [K, T, V] on the CPU, or [B, K, T, V] for rows; before temperature, top_k and top_p.

        Raises:
            ValueError: tokens of another shape or dtype, more of them than the picture has, an id out of range, or an
                argument outside its range.
            TypeError: tokens that are no tensor, or a control that this model does not take.
        """
        forced, rows = self._forced(tokens, prompt, size, guidance, controls)
        logits = forced_logits(*forced, layout=self.family.stage.layout)
        return logits if rows else logits[0]

    def score(
        self,
        tokens: Tensor,
        *,
        prompt: str = "",
        size: int | None = None,
        guidance: float | str = 1.0,
        **controls: Any,
    ) -> Tensor:
        """How likely each token of a picture is to the model, given those before it.

        Arguments and errors as `logits`, of which it is the log-softmax at the tokens; it keeps no whole table of them.

        Returns:
            Log-probabilities in nats, float32 [K, T] on the CPU, or [B, K, T] for rows.
        """
        forced, rows = self._forced(tokens, prompt, size, guidance, controls)
        scores = forced_scores(*forced, layout=self.family.stage.layout)
        return scores if rows else scores[0]

    def encode(self, source: Picture | PathLike, *, size: int | None = None) -> Tensor:
        """The tokens of a picture, as the model's codec sees it.

        A picture that a model painted holds the tokens that it was painted from: its `tokens`.

        Args:
            source: a picture or its file; of another shape the middle square.
            size: pixels a side that it is scaled to, as for `generate`.

        Returns:
            int64 [K, rows * cols] on the CPU, row by row from the top left.

        Raises:
            ValueError: a size that is none, or a file that cannot be read.
        """
        picture = source if isinstance(source, Picture) else Picture.load(source)
        codec, side = self.family.stage.codec, checked_size(self.family, size)
        tokens: Tensor = codec.encode(picture.fit(side).to_floats()[None])[0].cpu()
        return tokens

    def decode(self, tokens: Tensor, *, rows: int | None = None) -> Picture:
        """The picture of tokens.

        Args:
            tokens: integers [K, rows * cols], ids of the model's codec, such as `encode` gives.
            rows: of tokens; a square's if None.

        Returns:
            `Picture`, uint8 [H, W, 3], with its tokens; without a mark in its pixels.

        Raises:
            ValueError: another shape or dtype, an id out of range, or tokens that are not of so many rows.
            TypeError: no tensor.
        """
        codec = self.family.stage.codec
        frames, several = checked_tokens(tokens, codec.codebooks, codec.vocabulary)
        if several:
            raise ValueError(f"tokens are of {len(frames)} pictures; decode takes one, [{codec.codebooks}, T]")
        count = frames.shape[2]
        lines = math.isqrt(count) if rows is None else whole_number("rows", rows, 1, count)
        if count % lines or (rows is None and lines**2 != count):
            square = "a square" if rows is None else f"{rows} rows"
            raise ValueError(f"there are {count} tokens; they should be those of {square}")
        with torch.inference_mode():
            pixels = codec.decode(frames, rows=lines)[0].float().cpu()
        return Picture.from_floats(pixels, frames[0])

    def _forced(
        self, tokens: Tensor, prompt: str, size: int | None, guidance: float | str, controls: dict[str, Any]
    ) -> tuple[tuple[Decoder, PictureGeneration, Tensor, SamplingSpec], bool]:
        """(what `teacher_forcing` takes, whether rows were given). Everything is checked here."""
        stage = self.family.stage
        frames, rows = checked_tokens(tokens, stage.codec.codebooks, stage.codec.vocabulary)
        text, own, taken = self._parse_single(prompt, 0, controls, ("prompt", "size", "guidance"))
        side = checked_size(self.family, size)
        places = (side // stage.codec.downsampling) ** 2
        if frames.shape[2] > places:
            raise ValueError(
                f"there are {frames.shape[2]} tokens a codebook; a picture of {side} pixels has {places} (size)"
            )
        unknown = torch.full((1, stage.codec.codebooks, places), OPEN)
        generation = self.family.begin([PictureRequest(text, side, own, unknown, taken)])[0]
        return (generation.decoder, generation, frames, self._drawing([generation], guidance, drawn=False)), rows

    def _prepare(
        self,
        prompt: str | Sequence[str],
        size: int | None,
        seed: int | Sequence[int] | None,
        batch: int,
        source: tuple[Picture | PathLike | None, Box | None, float | None],
        controls: Mapping[str, Any],
        **drawing: Any,
    ) -> tuple[bool, list[PictureGeneration], SamplingSpec]:
        """(whether a list was asked for, a generation a picture, how to draw). Everything is checked here."""
        as_list, rows, taken = self._parse_request(prompt, batch, seed, controls)
        size, codec = checked_size(self.family, size), self.family.stage.codec
        continue_from, keep, vary = source
        requests = []
        for text, own in rows:
            plan, notes = plan_of(codec, size, continue_from, keep, vary, own, self.family.identity)
            requests.append(PictureRequest(text, size, own, plan, taken, notes))
        generations = list(self.family.begin(requests))
        edits = {"keep": None if keep is None else list(keep), "vary": vary}
        for generation in generations:
            generation.receipt["controls"] |= {name: value for name, value in edits.items() if value is not None}
        sampling = self._drawing(generations, **drawing)
        if sampling.is_marked and (key := key_of(drawing.get("mark"))) is not None:
            for generation in generations:
                generation.pixel_mark = key.word(PAINTED_KIND)
        return as_list, generations, sampling

    def _drawing(
        self, generations: list[PictureGeneration], guidance: float | str | None = None, **drawing: Any
    ) -> SamplingSpec:
        """How to draw, which every receipt notes."""
        scale = guidance_of(guidance, generations[0].plan.shape[2])
        sampling = self._sampling_spec([each.receipt for each in generations], guidance=scale, **drawing)
        if isinstance(sampling.guidance, Schedule):
            for generation in generations:
                generation.receipt["settings"] = generation.receipt["settings"] | {"guidance": guidance}
        if len(sampling.weights) > 1 and generations[0].unconditional is None:
            raise ValueError(
                f"guidance is {guidance}; {self.family.identity['model']} is unconditional, so it should be 1"
            )
        return sampling

    def _pictures(
        self, generations: list[PictureGeneration], timings: Timings, source: Picture | PathLike | None
    ) -> list[Picture]:
        """Each picture as far as it is painted, with the timings up to there."""
        with timings.part("codec", self.device):
            pictures = [generation.picture() for generation in generations]
        timings.note(pictures)
        return stamped(pictures, continue_from=source)

    def _run(
        self,
        generations: list[PictureGeneration],
        sampling: SamplingSpec,
        progress: PictureProgress | None,
        timings: Timings,
    ) -> Iterator[None]:
        """Draw all tokens; once for each row of tokens that is complete."""
        total = sum(each.num_tokens for each in generations)
        for rows, alike in group_by_prefix_length(generations, sampling):
            together = [generations[row] for row in rows]
            for tokens in timings.drawn(sample_rows(together[0].decoder, together, alike)):
                complete = [generation.push(tokens[row]) for row, generation in enumerate(together)]
                if progress is not None:
                    progress(sum(each.num_painted for each in generations), total)
                if complete[0]:
                    yield
