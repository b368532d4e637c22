"""A loaded model that draws a song level by level, and can stop and go on (Jukebox).

Knows requests, journals and progress. What a request becomes is the family's; how a level is drawn `cascade`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.encode_clip import encode_clip
from clavilux.errors import CheckpointError
from clavilux.families.jukebox import job_mark
from clavilux.families.jukebox.cascade import LevelPlan, draw_level
from clavilux.families.jukebox.journal import Journal, LevelJournal
from clavilux.families.jukebox.priming import check_no_prompt
from clavilux.families.jukebox.teacher_forcing import forced
from clavilux.families.jukebox.work import Work
from clavilux.families.musicgen.family import clip_of
from clavilux.family import Progress
from clavilux.files import PathLike
from clavilux.mark_key import MarkChoice, MarkKey, OwnKey, key_of
from clavilux.model import Model
from clavilux.provenance.stamp import stamped
from clavilux.requests import USUAL_S, check_seconds
from clavilux.teacher_forcing import checked_tokens, log_probability
from clavilux.timings import Timings

if TYPE_CHECKING:
    from clavilux.families.jukebox.alignment import Alignment
    from clavilux.families.jukebox.family import Jukebox

_PIECE_S = 1.0  # sound that a stream gives at a time


class JukeboxModel(Model):
    """A loaded cascade, made by `clavilux.load`; `at` is what is being drawn, as progress shows it."""

    OPTIONS = frozenset(
        ("seed", "temperature", "top_k", "top_p", "batch", "continue_from", "mark", "progress", "job", "job_metadata")
    )
    family: Jukebox
    at = ""

    @property
    def device(self) -> torch.device:
        """Where its codec and the prior at work compute."""
        return next(self.family.codec.parameters()).device

    @property
    def num_parameters(self) -> int:
        """Of all its priors."""
        return sum(sizes.parameters for sizes in self.family.files.sizes.values())

    @overload
    def generate(
        self, prompt: str = "", *, seconds: float | None = None, seed: int | None = None,
        temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        batch: Literal[1] = 1, continue_from: str | Path | Audio | None = None, mark: MarkChoice = None,
        job: str | Path | None = None, job_metadata: Mapping[str, Any] | None = None,
        progress: Progress | None = None, **controls: Any,
    ) -> Audio: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str = "", *, seconds: float | None = None, seed: int | Sequence[int] | None = None,
        temperature: float | None = None, top_k: int | None = None, top_p: float | None = None,
        batch: int = 1, continue_from: str | Path | Audio | None = None, mark: MarkChoice = None,
        job: str | Path | None = None, job_metadata: Mapping[str, Any] | None = None,
        progress: Progress | None = None, **controls: Any,
    ) -> Audio | list[Audio]: ...  # fmt: skip

    def generate(
        self,
        prompt: str = "",
        *,
        seconds: float | None = None,
        seed: int | Sequence[int] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        batch: int = 1,
        continue_from: str | Path | Audio | None = None,
        mark: MarkChoice = None,
        job: str | Path | None = None,
        job_metadata: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        **controls: Any,
    ) -> Audio | list[Audio]:
        """Make a whole song; a list of them where `batch` is above 1.

        Args:
            prompt: empty; a Jukebox is conditioned on an artist, genres and lyrics instead.
            seconds: exact length, above 0 up to 3600, 20 if None; what the song begins with counts.
            seed: the same seed gives the same song on the same device; a random one if None; a list has one for each
                song. 0 to 2^64 - 1.
            temperature: 0 or more, of all levels (`temperatures` has one each); the family's own value if None, as are
                the next two.
            top_k: only the k likeliest tokens are drawn from; 0 is all.
            top_p: only the likeliest tokens that together have this probability, above 0 up to 1; 1 is all.
            batch: how many songs, 1 to 64, with seeds one after another.
            continue_from: a sound file or an `Audio` that the song begins with, all of it.
            mark: of what is drawn of the top level: None: the public key's mark, or none where the environment has
                CLAVILUX_MARK=0; True: the public key's; False: none; or the file of a private key, which is made if it
                is not there. A temperature of 0 draws nothing, and leaves no mark.
            job: a new folder, to which every token is written as it is drawn: `resume` goes on from there.
            job_metadata: JSON values that the job keeps beside its settings.
            progress: called with (seconds done, seconds in all); levels count by their work.
            controls: the family's own, such as `artist` or `lyrics`: see `accepts`.

        Returns:
            `Audio`, float32 [C, N] of exactly that length, with the lowest level's tokens [1, T] and its receipt; a
            list of them for a batch.

        Raises:
            ValueError: an argument outside its range, a job's folder that exists, or a file that cannot be read.
            TypeError: an argument of another type, or one that this model does not take.
        """
        timings, drawing = Timings(), {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        with timings.part("text", self.device):
            as_list, settings, given, notes = self._prepare(
                prompt, seconds, seed, batch, continue_from, controls, drawing
            )
            key = key_of(mark)
            top = self.family.plans(settings)[0]
            settings |= job_mark.settled(key, top, self._given(given, top, settings).shape[1])
        about = {
            "checkpoint": self.family.identity["files"], "device": self.family.device.type, "settings": settings,
            "notes": notes, "words": dict(job_metadata or {}),
        }  # fmt: skip
        with nullcontext() if job is None else Journal.create(Path(job), about, given) as journal:
            samples, tokens = self._generate(settings, given, journal, key, progress, timings)
        songs = self._songs(settings, notes, samples, tokens)
        timings.note(stamped(songs, continue_from=continue_from, **{n: controls.get(n) for n in ("prime", "tokens")}))
        return songs if as_list else songs[0]

    def resume(
        self,
        job: str | Path | Journal,
        *,
        levels: int | None = None,
        mark_key: OwnKey = None,
        progress: Progress | None = None,
    ) -> list[Audio]:
        """Go on with a job that was cut off, or make it again from its tokens; the songs, the same as in one go.

        Args:
            job: the folder, or its journal, which stays open.
            levels: how many levels to draw, where that is not the job's own number: to add a sketch's other levels.
            mark_key: the file of the private key that the job was begun with: of one whose top level is not whole.
            progress: as for `generate`.

        Raises:
            ValueError: no job there, another process is at it, or its private key is needed, or another is given.
            CheckpointError: it was begun with another checkpoint, or its files are damaged.
        """
        with _held(job) as journal:
            settings, given = self.checked(journal), journal.given()
            key = job_mark.key_to_go_on(settings, mark_key)
            if levels is not None:
                top = self.family.files.top
                if type(levels) is not int or not 1 <= levels <= top + 1:
                    raise ValueError(f"levels is {levels!r}; it should be a whole number from 1 to {top + 1}")
                settings["levels"] = list(range(top, top - levels, -1))
                journal.update(settings)
            timings = Timings()
            samples, tokens = self._generate(settings, given, journal, key, progress, timings)
            songs = stamped(self._songs(settings, journal.job["notes"], samples, tokens), prime=list(given.values()))
        timings.note(songs)
        return songs

    def align(self, job: PathLike | Journal) -> list[Alignment]:
        """When each word of the lyrics is sung, for each song of a job (as `resume`) whose top level is drawn.

        Raises:
            ValueError: no job there, one that is not so far, or a song or model without lyrics.
            CheckpointError: as `resume`.
        """
        from clavilux.families.jukebox.alignment import aligned

        top = self.family.files.top
        with _held(job) as journal:
            settings, given = self.checked(journal), journal.given()
            plan = self.family.plans(settings)[0]
            begins = self._given(given, plan, settings)
            if begins.shape[1] < plan.total:
                with journal.level(top, self.family.head(plan, settings), len(settings["seeds"])) as kept:
                    begins = kept.tokens
        if begins.shape[1] < plan.total:
            raise ValueError(
                f"{begins.shape[1]} of {plan.total} tokens of the top level are drawn; `clavilux resume` draws the rest"
            )
        token_s = self.family.files.spec.hop(top) / self.family.files.spec.sample_rate
        prior, labels = self.family.prior(top), self.family.labels(settings, top)
        return [aligned(prior, labels, settings["lyrics"], row[None], plan.windows, token_s) for row in begins]

    def logits(
        self, tokens: Tensor, *, level: int, above: Tensor | None = None, seconds: float | None = None, **controls: Any
    ) -> Tensor:
        """What a level's prior expects at each token of a song, given those before it (teacher forcing).

        Each token is seen in the window in which it would be drawn, without temperature, top_k or top_p.

        Args:
            tokens: integers [1, T], or [B, 1, T] for songs under the same conditioning, 0 to V - 1: a level of a whole
                song, or its beginning.
            level: whose tokens these are; 0 is the lowest, whose tokens `generate` gives.
            above: the tokens of the level above, [1, T'], or [B, 1, T'] for as many songs; of every level but the top.
            seconds: as `generate` was given it; the tokens' own length if None.
            controls: artist, genre, lyrics, labels, song_s and hop, as for `generate`.

        Returns:
            float32 [1, T, V] on the CPU, or [B, 1, T, V] for several songs.

        Raises:
            ValueError: tokens of another shape or dtype, an id out of range, no such level, tokens above that are
                missing or too few, or an argument outside its range.
            TypeError: tokens that are no tensor, or an argument that has no part in it.
            CheckpointError: the prior's file is damaged.
        """
        pieces, several = forced(self.family, tokens, level, above, seconds, controls)
        logits = torch.cat([seen.cpu() for _, seen in pieces], dim=2)
        return logits if several else logits[0]

    def score(
        self, tokens: Tensor, *, level: int, above: Tensor | None = None, seconds: float | None = None, **controls: Any
    ) -> Tensor:
        """How likely each token of a level is, given those before it.

        Arguments and errors as `logits`, of which it is the log-softmax at the tokens; it keeps no whole table of them.

        Returns:
            Log-probabilities in nats, float32 [1, T] on the CPU, or [B, 1, T] for several songs.
        """
        pieces, several = forced(self.family, tokens, level, above, seconds, controls)
        scores = torch.cat([log_probability(seen.log_softmax(-1), known).cpu() for known, seen in pieces], dim=2)
        return scores if several else scores[0]

    def encode(self, source: Audio | str | Path, *, level: int = 0) -> Tensor:
        """The tokens of a sound at one level of the VQ-VAE.

        Args:
            source: an `Audio`, or a sound file; it is brought to the codec's rate and channels.
            level: 0 has the shortest hop and the best sound.

        Returns:
            int64 [1, T] on the CPU.

        Raises:
            ValueError: no such level, or a file that cannot be read.
            TypeError: something else than a file or an `Audio`.
        """
        return encode_clip(self.family.codec.level(level), clip_of(source, "source")).tokens[0].cpu()

    def decode(self, tokens: Tensor, *, level: int = 0) -> Audio:
        """The sound of tokens [1, T] of a level, such as `encode` gives: float32 [C, N] at the codec's rate.

        Raises:
            ValueError: no such level, tokens of another shape or dtype, or an id out of range.
            TypeError: no tensor.
        """
        codec = self.family.codec.level(level)
        frames, several = checked_tokens(tokens, 1, codec.vocabulary)
        if several:
            raise ValueError(f"tokens are of {len(frames)} songs; decode takes one, [1, T]")
        samples = codec.decode(frames.to(self.device))[0].float().cpu()
        return Audio(samples, codec.sample_rate, tokens=frames[0])

    def checked(self, journal: Journal) -> dict[str, Any]:
        """The settings of a job that this checkpoint began. Raises CheckpointError for another one's."""
        settings = journal.settings
        began, device = journal.job["checkpoint"], journal.job["device"]
        files = self.family.identity["files"]
        if began != files:
            differ = ", ".join(sorted(name for name in {*began, *files} if began.get(name) != files.get(name)))
            raise CheckpointError(
                f"the job {str(journal.folder)!r} was begun with another checkpoint than "
                f"{str(self.family.files.folder)!r}: they differ in {differ}"
            )
        if device != self.family.device.type:
            raise CheckpointError(
                f"the job {str(journal.folder)!r} was begun on {device}; on {self.family.device.type} its tokens would "
                "not be the same"
            )
        try:
            for plan in self.family.plans(settings):
                self.family.head(plan, settings)
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"the settings of the job {str(journal.folder)!r} are damaged: {error}") from None
        return settings

    def stream(self, prompt: str = "", *, seconds: float | None = None, **options: Any) -> Iterator[Audio]:
        """As `generate`, of one song, in pieces of a second; the first comes when the last level has been drawn."""
        song = self.generate(prompt, seconds=seconds, **options)
        if isinstance(song, list):
            raise ValueError("a stream gives one piece; use generate for a batch")
        size = max(1, round(_PIECE_S * song.sample_rate))
        return (Audio(piece, song.sample_rate, timings=song.timings) for piece in song.samples.split(size, dim=1))

    def _prepare(
        self,
        prompt: str,
        seconds: float | None,
        seed: int | Sequence[int] | None,
        batch: int,
        continue_from: PathLike | Audio | None,
        controls: Mapping[str, Any],
        drawing: Mapping[str, Any],
    ) -> tuple[bool, dict[str, Any], dict[int, Tensor], list[str]]:
        """(whether a list was asked for, settings, what the song begins with, notes). Everything is checked here."""
        as_list, rows, taken = self._parse_request(prompt, batch, seed, controls)
        for text, _ in rows:
            check_no_prompt(self.family.identity["model"], text)
        seconds = check_seconds(USUAL_S if seconds is None else seconds)
        settings, given, notes = self.family.settled(float(seconds), taken | {"continue_from": continue_from}, drawing)
        settings |= {"seeds": [own for _, own in rows], "dtype": self.family.dtype}
        return as_list, settings, given, notes

    def _generate(
        self,
        settings: Mapping[str, Any],
        given: Mapping[int, Tensor],
        journal: Journal | None,
        key: MarkKey | None,
        progress: Progress | None,
        timings: Timings,
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        """(samples [C, N] of each song, tokens int64 [B, T] by level)."""
        plans = self.family.plans(settings)
        work = Work(self.family, plans, settings["seconds"], progress)
        tokens: dict[int, Tensor] = {}
        for plan in plans:
            above = tokens.get(plan.level + 1)
            tokens[plan.level] = self._level(plan, settings, given, above, journal, key, work, timings)
        work.over()
        self.at = "decoding"
        last, count = plans[-1].level, self.family.num_samples(settings)
        codec = self.family.codec.level(last)
        with timings.part("codec", self.device):
            samples = [codec.decode(row[None, None])[0, :, :count].float().cpu() for row in tokens[last]]
        return samples, tokens

    def _level(
        self,
        plan: LevelPlan,
        settings: Mapping[str, Any],
        given: Mapping[int, Tensor],
        above: Tensor | None,
        journal: Journal | None,
        key: MarkKey | None,
        work: Work,
        timings: Timings,
    ) -> Tensor:
        """All tokens of a level, int64 [B, T]."""
        seeds = settings["seeds"]
        begins = self._given(given, plan, settings)
        if begins.shape[1] >= plan.total:
            return begins[:, : plan.total].clone()
        rows = len(seeds) * plan.lanes
        opened: AbstractContextManager[LevelJournal | None] = nullcontext()
        if journal is not None:
            opened = journal.level(plan.level, self.family.head(plan, settings), rows)
        with opened as kept:
            done = torch.zeros(rows, 0, dtype=torch.int64) if kept is None else kept.tokens
            columns = [done]
            work.begins(plan, done.shape[1])
            if done.shape[1] < plan.length:
                mark = job_mark.drawn(settings, key, self.family.marked) if above is None else None
                self.at = f"level {plan.level}: loading"
                with timings.part("load"):
                    prior, labels = self.family.prior(plan.level), self.family.labels(settings, plan.level)
                for column in timings.drawn(draw_level(prior, plan, labels, seeds, begins, above, done, mark)):
                    columns.append(column[:, None])
                    if kept is not None:
                        kept.append(column)
                    self.at = f"level {plan.level}: {work.step()} of {plan.length} tokens"
            return plan.joined(torch.cat(columns, dim=1))

    def _given(self, given: Mapping[int, Tensor], plan: LevelPlan, settings: Mapping[str, Any]) -> Tensor:
        """What a level begins with, int64 [B, n]."""
        return given.get(plan.level, torch.zeros(1, 0, dtype=torch.int64)).expand(len(settings["seeds"]), -1)

    def _songs(
        self, settings: Mapping[str, Any], notes: list[str], samples: list[Tensor], tokens: Mapping[int, Tensor]
    ) -> list[Audio]:
        last, rate = min(tokens), self.family.files.spec.sample_rate
        receipts = [self.family.receipt(settings, seed, notes) for seed in settings["seeds"]]
        rows = zip(samples, tokens[last].split(1), receipts, strict=True)
        return [Audio(sound, rate, tokens=own, receipt=receipt) for sound, own, receipt in rows]


def _held(job: PathLike | Journal) -> AbstractContextManager[Journal]:
    """A job's journal, closed at the end unless it was open already."""
    return nullcontext(job) if isinstance(job, Journal) else Journal(Path(job))
