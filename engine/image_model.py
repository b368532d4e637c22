"""A loaded model that paints: from a call to a picture, for every family of pictures.

Knows requests, rows of tokens and how they are shown as they arrive. What a prompt means is the family's; which
tokens are known beforehand is `editing`'s; the loop that draws the others is `loop`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Protocol

import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.image.picture import Picture
from clavilux.inpainting import plan_of, tokens_of
from clavilux.layout import FrameReader
from clavilux.model import Model, Stage, drawn, kinds
from clavilux.sampling import SamplingSpec, Schedule
from clavilux.surprisal import Explanation, explained

LARGEST = 2048  # pixels a side
PICTURE_OPTIONS = frozenset(
    (
        "seed", "temperature", "top_k", "top_p", "guidance", "batch", "continue_from", "keep", "vary", "progress",
    )
)  # fmt: skip

_SETTINGS = ("temperature", "guidance")  # that change what the model thinks, not only what is drawn
_EXPLAINED = frozenset(("seed", *_SETTINGS))


@dataclass(frozen=True)
class PictureRequest:
    """What one picture is asked to be.

    Attributes:
        plan: int64 [1, K, rows * cols], the tokens that are known, `OPEN` for the others.
        size: pixels a side.
    """

    prompt: str
    size: int
    seed: int
    plan: Tensor
    controls: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class PictureFamily(Protocol):
    """What a family of pictures adds to the shared core. Its codec is a picture codec."""

    name: str
    accepts: dict[str, Any]  # the controls it takes, and what they may be
    sampling: SamplingSpec  # its defaults
    stages: tuple[Stage, ...]  # one
    identity: dict[str, Any]  # model, fingerprint and dtype, for receipts
    size: int  # pixels a side that it was trained on
    sizes: str | None  # why no other size can be painted; None: any can

    def jobs(self, requests: list[PictureRequest]) -> list[PictureJob]:
        """A job a request, all of the same size. Raises ValueError or TypeError for what the family cannot do."""


class PictureJob:
    """One picture: the tokens that are known, and those that are drawn.

    Attributes:
        decoder: the family's, for this size.
        conditioning: what is said, one row.
        unconditional: that nothing is said, the row of guidance's second block; None where there is nothing to say.
        prompt: int64 [1, K, T], read before the first token.
        plan: int64 [1, K, S], the request's as the stage lays it out in steps.
        receipt: all that makes the picture again.
    """

    grammar = None

    def __init__(
        self,
        family: PictureFamily,
        request: PictureRequest,
        decoder: Decoder,
        conditioning: Conditioning,
        unconditional: Conditioning | None,
        prompt: Tensor | None = None,
    ):
        self._codec, layout = family.stages[0].codec, family.stages[0].layout
        self.decoder, self.conditioning, self.unconditional = decoder, conditioning, unconditional
        self.plan, self._size = layout.arrange(request.plan), request.size
        device = decoder.embed.weight.device
        nothing = torch.zeros(1, layout.streams, 0, dtype=torch.int64)
        self.prompt = (nothing if prompt is None else prompt).to(device)
        self.columns = request.size // self._codec.downsampling
        self.num_tokens = request.plan.shape[2]  # places of the picture
        self._reader = FrameReader(layout)
        self._tokens: list[Tensor] = []  # each [K]
        self.receipt: dict[str, Any] = {
            **family.identity,
            "prompt": request.prompt[:500],
            "size": request.size,
            "seed": request.seed,
            "controls": dict(request.controls),
            "notes": list(request.notes),
        }

    @property
    def num_painted(self) -> int:
        """The places whose tokens are there."""
        return len(self._tokens)

    def push(self, tokens: Tensor) -> bool:
        """Take a step's tokens, int64 [K]; whether a row of the picture is now complete."""
        frames = self._reader.push(tokens.cpu()[None, :, None])[0]  # [K, as many as this step completes]
        self._tokens.extend(frames.unbind(1))
        return frames.shape[1] > 0 and len(self._tokens) % self.columns == 0

    @torch.inference_mode()
    def picture(self) -> Picture:
        """The picture as far as its rows are complete, grey below them; the whole one with its tokens and receipt."""
        rows = self.num_painted // self.columns
        pixels = torch.zeros(3, self._size, self._size)
        if not rows:
            return Picture.from_floats(pixels)
        tokens = torch.stack(self._tokens[: rows * self.columns], dim=1)  # [K, n]
        decoded = self._codec.decode(tokens[None], rows=rows)[0].float().cpu()
        if self.num_painted == self.num_tokens:
            return Picture.from_floats(decoded, tokens, self.receipt)
        pixels[:, : decoded.shape[1]] = decoded
        return Picture.from_floats(pixels)


class Painter(Model):
    """A loaded checkpoint that paints. Made by `clavilux.load`."""

    family: PictureFamily

    def generate(self, prompt: str | list[str] = "", *, size: int | None = None, **options) -> Picture | list[Picture]:
        """Paint a picture; a list of them where `prompt` is a list or `batch` is above 1.

        Args:
            prompt: words, or a list of prompts that are painted side by side.
            size: pixels a side, a multiple of the codec's patch; what the model was trained on if None.
            seed: the same seed gives the same picture; one is drawn if None; a list has one for each picture.
            temperature, top_k, top_p: as `SamplingSpec`; the family's own values if None.
            guidance: how strictly the words are followed, 1 is freely; or text such as "1:7.5", a scale that goes in
                a straight line from the first token to the last (more points are spread evenly).
            batch: how many pictures, with seeds one after another.
            continue_from: a picture, or its file: the rows that it has are kept, the rest is painted.
            keep: (x, y, width, height) in pixels of the picture: what `continue_from` has there is kept.
            vary: the share of `continue_from`'s tokens, 0 to 1, that is kept; which ones, the seed says.
            progress: called with (tokens painted, tokens in all).
            The family's controls, see `accepts`.

        Raises:
            ValueError, TypeError: an argument outside its range, or one that this model does not take.
        """
        as_list, jobs, sampling = self._jobs(prompt, size, options)
        for _ in self._painted(jobs, sampling, options.get("progress")):
            pass
        pictures = [job.picture() for job in jobs]
        return pictures if as_list else pictures[0]

    def stream(
        self, prompt: str | list[str] = "", *, size: int | None = None, every: int = 1, **options
    ) -> Iterator[Picture] | Iterator[list[Picture]]:
        """The picture as its rows arrive, grey where nothing is painted yet; the last one is what `generate` gives.

        Arguments and errors as `generate`; pictures that are painted side by side come in lists.

        Args:
            every: rows of tokens from one to the next; all rows that are there are decoded each time.
        """
        if type(every) is not int or every < 1:
            raise ValueError(f"every is {every!r}; it should be a whole number of rows, at least 1")
        as_list, jobs, sampling = self._jobs(prompt, size, options)
        pictures = (
            [job.picture() for job in jobs]
            for number, _ in enumerate(self._painted(jobs, sampling, options.get("progress")), 1)
            if number % every == 0 or all(job.num_painted == job.num_tokens for job in jobs)
        )
        return pictures if as_list else (picture[0] for picture in pictures)

    def explain(self, picture: Picture | str | PathLike, prompt: str | None = None, **options) -> Explanation:
        """How open each place of a picture was to the model, and how much it is surprised by what stands there.

        Args:
            picture: one that it painted, or any other, or a file; of another the middle square is looked at, as its
                codec sees it.
            prompt: words; None: those of the picture's receipt.
            temperature, guidance, and the family's controls: as for `generate`; what is not given is as the picture's
                receipt says if this model painted it, else as the family has it.

        Raises:
            ValueError, TypeError: as `generate`.
        """
        stage, identity = self.family.stages[0], self.family.identity
        picture = picture if isinstance(picture, Picture) else Picture.load(picture)
        receipt = picture.receipt if picture.receipt.get("fingerprint") == identity["fingerprint"] else {}
        settings, said = receipt.get("settings", {}), receipt.get("controls", {})
        before = {name: settings[name] for name in _SETTINGS if name in settings}
        before |= {name: said[name] for name in self.family.accepts if name in said}
        options = before | options
        words = receipt.get("prompt", "") if prompt is None else prompt
        _, [(text, seed)], controls = self._asked(words, {"seed": receipt.get("seed", 0)} | options, _EXPLAINED)
        if "anything" in self.family.accepts:
            controls["anything"] = True  # nothing is made here
        size = self._size(receipt.get("size"))
        tokens = tokens_of(stage.codec, picture, size, identity)
        job = self.family.jobs([PictureRequest(text, size, seed, tokens.flatten(1)[None], controls)])[0]
        sampling = self._drawing([job], options)
        return Explanation(picture.fit(size), *explained(job, sampling, stage.layout))

    def _jobs(self, prompt, size, options) -> tuple[bool, list[PictureJob], SamplingSpec]:
        """(whether a list was asked for, a job a picture, how to draw). Everything is checked here."""
        as_list, rows, controls = self._asked(prompt, options, PICTURE_OPTIONS)
        size, codec = self._size(size), self.family.stages[0].codec
        source, keep, vary = (options.get(name) for name in ("continue_from", "keep", "vary"))
        requests = []
        for text, seed in rows:
            plan, notes = plan_of(codec, size, source, keep, vary, seed, self.family.identity)
            requests.append(PictureRequest(text, size, seed, plan, controls, notes))
        jobs = self.family.jobs(requests)
        edits = {"keep": None if keep is None else list(keep), "vary": vary}
        for job in jobs:
            job.receipt["controls"] |= {name: value for name, value in edits.items() if value is not None}
        return as_list, jobs, self._drawing(jobs, options)

    def _drawing(self, jobs: list[PictureJob], options) -> SamplingSpec:
        """How to draw, which every job's receipt notes."""
        guidance = options.get("guidance")
        sampling = self._settled(jobs, options, guidance_of(guidance, jobs[0].plan.shape[2]))
        if isinstance(sampling.guidance, Schedule):
            for job in jobs:
                job.receipt["settings"] = job.receipt["settings"] | {"guidance": guidance}
        if len(sampling.weights) > 1 and jobs[0].unconditional is None:
            raise ValueError(
                f"guidance is {guidance}; {self.family.identity['model']} is told nothing that could guide it, so it "
                "should be 1"
            )
        return sampling

    def _size(self, size) -> int:
        family, patch = self.family, self.family.stages[0].codec.downsampling
        if size is None:
            return family.size
        if type(size) is not int:
            raise TypeError(f"size is {size!r}; it should be a whole number of pixels")
        if not patch <= size <= LARGEST or size % patch:
            raise ValueError(f"size is {size}; it should be a multiple of {patch} pixels, up to {LARGEST}")
        if family.sizes is not None and size != family.size:
            raise ValueError(f"size is {size}; it should be {family.size}: {family.sizes}")
        return size

    def _painted(self, jobs: list[PictureJob], sampling: SamplingSpec, progress) -> Iterator[None]:
        """Draw all tokens; once for each row of tokens that is complete."""
        total = sum(job.num_tokens for job in jobs)
        for rows, alike in kinds(jobs, sampling):
            together = [jobs[row] for row in rows]
            for tokens in drawn(together[0].decoder, together, alike):
                complete = [job.push(tokens[row]) for row, job in enumerate(together)]
                if progress is not None:
                    progress(sum(job.num_painted for job in jobs), total)
                if complete[0]:
                    yield


def guidance_of(value, num_steps: int) -> float | Schedule | None:
    """A scale, or a schedule where there are several with colons between them."""
    if not isinstance(value, str):
        return value
    try:
        points = [float(part) for part in value.split(":")]
    except ValueError:
        raise ValueError(
            f"guidance is {value!r}; it should be a number, or numbers with colons between them, such as '1:7.5'"
        ) from None
    return points[0] if len(points) == 1 else Schedule.between(points, num_steps)
