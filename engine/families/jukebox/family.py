"""Jukebox (arXiv 2005.00341): a cascade of priors over the levels of a VQ-VAE, for an artist, genres and lyrics.

Knows what a request becomes: settings that fit the checkpoint, plain values all of them, so that a journal can hold
them. Where files lie is `files`', what a prior is `prior`'s, how a level is drawn `cascade`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clavilux.audio.codecs.token_files import codec_identity
from clavilux.checks import check_number, whole_number
from clavilux.families.jukebox.cascade import LevelPlan
from clavilux.families.jukebox.config import PriorConfig
from clavilux.families.jukebox.files import JukeboxFiles, find
from clavilux.families.jukebox.labels import Lists, alphabet_of, label_ids, read_lyrics, spelled
from clavilux.families.jukebox.memory import memory_bytes
from clavilux.families.jukebox.priming import check_no_prompt, given_tokens
from clavilux.families.jukebox.prior import Labels, Prior, seen_lyrics
from clavilux.families.model_card import licence, model_name
from clavilux.layout import parallel
from clavilux.mark_key import id_said, in_receipt
from clavilux.marking import MarkedTokens
from clavilux.precision import DTYPES, place_codec, prepare
from clavilux.sampling import SamplingSpec
from clavilux.windows import hop_of

SAMPLING = SamplingSpec(temperature=0.99)
TOP_HOP, HOP = 0.125, 0.5  # of a window
MOST_LANES = 64
ACCEPTS = {
    "artist": "a number, or a name in the lists of labels",
    "genre": "numbers or names, several by commas",
    "lyrics": "the words, or a .txt file with them",
    "labels": "a folder with lists of artists and genres (artists.txt: a name a line, or name;number)",
    "song_s": "seconds of the whole song that this is the beginning of",
    "levels": "how many levels are drawn, from the top: 1 is a quick sketch",
    "hop": "by what share of a window the next one moves on, above 0 up to 1; or one a level, from the top",
    "temperatures": "a temperature for each level, from the top",
    "parallel_windows": "stretches of a lower level that are drawn at once; they meet in seams",
    "prime": "a sound file, with whose first seconds the song begins",
    "prime_s": "how many of them; one window of the top level if not said",
    "tokens": "tokens of one level that `clavilux encode` wrote: the song begins with them",
}


class Jukebox:
    """A checkpoint. The VQ-VAE is loaded, and of the priors only the one at work.

    Attributes:
        files: where everything lies.
        codec: all levels of the VQ-VAE.
        identity: model, fingerprint and dtype, for receipts.
    """

    name = "jukebox"
    accepts = ACCEPTS
    sampling = SAMPLING

    def __init__(self, files: JukeboxFiles, device: torch.device, dtype: str) -> None:
        self.files, self.device, self.dtype = files, device, dtype
        self.codec = files.load_codec()
        place_codec(self.codec, device, dtype)
        self.identity: dict[str, Any] = {"model": model_name(files.folder), "files": files.identity(), "dtype": dtype}
        self._prior: tuple[int, Prior] | None = None

    def prior(self, level: int) -> Prior:
        """A level's prior; the one of another level is let go of first. Raises CheckpointError, ValueError."""
        if self._prior is None or self._prior[0] != level:
            self._prior = None
            through = torch.float32 if self.device.type == "cpu" else DTYPES.get(self.dtype, torch.bfloat16)
            prior = self.files.load_prior(level, through)
            prepare(prior, prior.decoder, self.device, self.dtype)
            self._prior = level, prior
        return self._prior[1]

    @cached_property
    def marked(self) -> MarkedTokens:
        """The top level's tokens, in clusters of its codec's vectors."""
        codec = self.codec.level(self.files.top)
        kind = f"sound {codec.family} level {codec.index} {codec.vocabulary}"
        return MarkedTokens.of_codec(kind, codec.quantizer.vectors[0], parallel(1, codec.vocabulary))

    def settled(
        self, seconds: float, controls: Mapping[str, Any], drawing: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[int, Tensor], list[str]]:
        """(settings, JSON values; what the song begins with, int64 [1, n] by level; the receipt's notes).

        Args:
            seconds: of what is made.
            controls: by the names of `ACCEPTS`; continue_from is a sound file or an Audio that comes first.
            drawing: temperature, top_k and top_p; None for the usual ones.

        Raises:
            ValueError, TypeError: what this checkpoint does not take, or a value out of range.
        """
        notes: list[str] = []
        sizes, top = self.files.sizes, self.files.top
        count = _levels(self.files, controls)
        levels = list(range(top, top - count, -1))
        rate = self.files.spec.sample_rate
        song_s = self._song_seconds(seconds, controls)
        total = math.ceil(max(1, round(seconds * rate)) / self.files.spec.hop(top))
        everywhere = list(range(top, -1, -1))  # a sketch can be gone on with
        given = given_tokens(self.codec, controls, everywhere, total, notes, self._window_s())
        settings: dict[str, Any] = {
            "seconds": seconds, "levels": levels, "song_samples": round(song_s * rate),
            "given": {str(level): tokens.shape[1] for level, tokens in given.items()},
        }  # fmt: skip
        for level in levels:
            whole = total * self.files.spec.hop(top) // self.files.spec.hop(level)
            if level not in sizes and settings["given"].get(str(level), 0) < whole:
                self.files.load_prior(level, torch.float32)  # says what there is
        settings |= _label_settings(self.files, controls, notes) | _drawing(self.files, controls, drawing)
        self._check_lyrics(settings)
        return settings, given, notes

    def plans(self, settings: Mapping[str, Any]) -> list[LevelPlan]:
        """What is to be drawn of each level, the top one first."""
        spec, top = self.files.spec, self.files.top
        total = math.ceil(self.num_samples(settings) / spec.hop(top))
        plans = []
        for level in settings["levels"]:
            whole = total * spec.hop(top) // spec.hop(level)
            if level not in self.files.sizes:  # all of it is given
                plans.append(LevelPlan(level=level, total=whole, context=whole, hop=whole))
                continue
            sizes = self.files.sizes[level]
            ratio = 1 if sizes.upsampling is None else sizes.upsampling.ratio
            lanes = 1 if level == top else max(1, min(settings["parallel_windows"], whole // sizes.context))
            plan = LevelPlan(
                level=level, total=whole, context=sizes.context, ratio=ratio, lanes=lanes,
                hop=hop_of(settings["hops"][str(level)], sizes.context, ratio),
                temperature=settings["temperatures"][str(level)], top_k=settings["top_k"], top_p=settings["top_p"],
            )  # fmt: skip
            plans.append(plan)
        return plans

    def labels(self, settings: Mapping[str, Any], level: int) -> Labels:
        """What a level's prior is conditioned on."""
        lyrics = tuple(settings["characters"]) if self.files.sizes[level].lyric_tokens else ()
        return Labels(
            settings["artist"][str(level)], tuple(settings["genres"][str(level)]), lyrics, settings["song_samples"]
        )

    def num_samples(self, settings: Mapping[str, Any]) -> int:
        """Samples of what is made."""
        return max(1, round(settings["seconds"] * self.files.spec.sample_rate))

    def head(self, plan: LevelPlan, settings: Mapping[str, Any]) -> dict[str, Any]:
        """All that a level's tokens depend on; JSON values."""
        names = ("seeds", "dtype", "song_samples", "given")
        codec = codec_identity(self.codec.level(plan.level))
        mark = id_said(settings) if plan.level == self.files.top else None
        return {
            **plan.facts(), **{name: settings[name] for name in names}, "artist": settings["artist"][str(plan.level)],
            "genres": settings["genres"][str(plan.level)], "lyrics": settings["lyrics"], "codec": codec["weights"][:16],
            "vocabulary": codec["vocabulary"], **({} if mark is None else {"mark": mark}),
        }  # fmt: skip

    def receipt(self, settings: Mapping[str, Any], seed: int, notes: list[str]) -> dict[str, Any]:
        """That of one song."""
        return {
            **self.identity, "prompt": "", "seconds": settings["seconds"], "seed": seed,
            "controls": {name: settings[name] for name in ("levels", "artist", "genres", "lyrics")},
            "notes": notes,
            "settings": {n: settings[n] for n in ("temperatures", "hops", "top_k", "top_p", "parallel_windows")},
            **in_receipt(settings),
        }  # fmt: skip

    @property
    def _top_sizes(self) -> PriorConfig | None:
        return _top_sizes(self.files)

    def _window_s(self) -> float:
        return 0.0 if self._top_sizes is None else self._top_sizes.window_s

    def _song_seconds(self, seconds: float, controls: Mapping[str, Any]) -> float:
        sizes = self._top_sizes
        least, most = (0.0, 3600.0) if sizes is None else (sizes.shortest_s, sizes.longest_s)
        song_s = controls.get("song_s")
        if song_s is None:
            song_s = max(seconds, least)
        if not max(seconds, least) <= check_number("song_s", song_s, "seconds") <= most:
            raise ValueError(
                f"the whole song is said to last {song_s:g} s, and {seconds:g} s of it are to be made; this model "
                f"knows songs from {least:g} to {most:g} s"
            )
        return float(song_s)

    def _check_lyrics(self, settings: Mapping[str, Any]) -> None:
        """Refuse lyrics of which some would be seen by no window."""
        sizes, top = self._top_sizes, self.files.top
        if sizes is None or len(settings["characters"]) <= sizes.lyric_tokens:
            return
        labels, end = self.labels(settings, top), 0
        for start, _ in next(plan for plan in self.plans(settings) if plan.level == top).windows:
            first, last = seen_lyrics(labels, sizes, start)
            if first > end:
                raise ValueError(
                    f"the lyrics have {len(labels.lyrics)} characters; a window sees {sizes.lyric_tokens} of them, and "
                    f"at this pace none would see those from {end} to {first}: give fewer, or a longer song (song_s)"
                )
            end = last


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> Jukebox:
    """Find a checkpoint's parts and load its VQ-VAE; priors are read when they are needed. Raises CheckpointError."""
    return Jukebox(find(folder, config), device, dtype)


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The controls that the model takes."""
    return ACCEPTS


def check_controls(folder: Path, config: Mapping[str, Any], prompt: str, controls: Mapping[str, Any]) -> None:
    """Refuse a prompt, and what `Jukebox.settled` would refuse of these controls by themselves; no weights are read.

    Raises:
        ValueError, TypeError: as `settled`; what depends on the song's length or on what it begins with comes later.
        CheckpointError: as `files.find`.
    """
    check_no_prompt(model_name(folder), prompt)
    files = find(folder, config)
    _levels(files, controls)
    _label_settings(files, controls, [])
    _drawing(files, controls, {})


def memory_needed(folder: Path, config: Mapping[str, Any], seconds: float, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that loading and a render take at their peak; no weights are read. CheckpointError."""
    return memory_bytes(find(folder, config), seconds, batch, dtype)


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Weights are not read. Raises CheckpointError."""
    files = find(folder, config)
    priors = [_prior_facts(files.sizes[level]) for level in sorted(files.sizes, reverse=True)]
    return {
        "kind": "checkpoint",
        "family": "Jukebox",
        "layout": "transformers" if files.codec is None else "original",
        "parameters": sum(sizes.parameters for sizes in files.sizes.values()),
        "size_bytes": sum(path.stat().st_size for path in files.paths.values()),
        "licence": licence(folder),
        "sample_rate": files.spec.sample_rate,
        "levels": files.spec.levels,
        "hops": [files.spec.hop(level) for level in range(files.spec.levels)],
        "vocabulary": files.spec.vocabulary,
        "priors": priors,
    }


def _prior_facts(sizes: PriorConfig) -> dict[str, Any]:
    stack = sizes.stack
    return {
        "level": sizes.level, "parameters": sizes.parameters, "width": stack.width, "layers": stack.layers,
        "heads": stack.heads, "order": stack.order, "context": sizes.context,
        "window_s": round(sizes.window_s, 2), "lyrics": sizes.lyric_tokens, "artists": sizes.artists,
        "genres": sizes.genres,
    }  # fmt: skip


def _top_sizes(files: JukeboxFiles) -> PriorConfig | None:
    return files.sizes.get(files.top)


def _levels(files: JukeboxFiles, controls: Mapping[str, Any]) -> int:
    """How many levels are drawn."""
    return whole_number("levels", controls.get("levels", files.spec.levels), 1, files.spec.levels)


def _label_settings(files: JukeboxFiles, controls: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Artist, genres and lyrics as each level's ids."""
    folder = controls.get("labels")
    holds = (files.folder / "artists.json").is_file() or (files.folder / "artists.txt").is_file()
    lists = Lists(Path(folder) if folder else files.folder if holds else None)
    ordered = sorted(files.sizes, reverse=True)
    artists = {level: files.sizes[level].artists for level in ordered}
    genres = {level: files.sizes[level].genres for level in ordered}
    artist = label_ids("artist", controls.get("artist", 0), lists, artists, notes)
    genre = label_ids("genre", controls.get("genre", 0), lists, genres, notes)
    for level, found in artist.items():
        most = files.sizes[level].most_genres
        if len(found) != 1:
            raise ValueError(f"there are {len(found)} artists ({controls['artist']}); a song has one")
        if not 1 <= len(genre[level]) <= most:
            raise ValueError(f"there are {len(genre[level])} genres; the prior of level {level} takes 1 to {most}")
    text, characters = "", tuple[int, ...]()
    if controls.get("lyrics"):
        sizes = _top_sizes(files)
        if sizes is None or not sizes.lyric_tokens:
            raise ValueError(f"lyrics are given; {model_name(files.folder)} takes none")
        alphabet = alphabet_of(files.folder, sizes.lyric_vocabulary)
        text, characters = spelled(read_lyrics(controls["lyrics"]), alphabet, notes)
    return {
        "artist": {str(level): found[0] for level, found in artist.items()},
        "genres": {str(level): list(found) for level, found in genre.items()},
        "lyrics": text, "characters": list(characters),
    }  # fmt: skip


def _drawing(files: JukeboxFiles, controls: Mapping[str, Any], drawing: Mapping[str, Any]) -> dict[str, Any]:
    usual = {name: getattr(SAMPLING, name) for name in ("temperature", "top_k", "top_p")}
    drawing = usual | {name: value for name, value in drawing.items() if value is not None}
    everywhere = range(files.top, -1, -1)
    hops = _each("hop", controls.get("hop", [TOP_HOP] + [HOP] * files.top), everywhere)
    temperatures = _each("temperatures", controls.get("temperatures", drawing["temperature"]), everywhere)
    for level in everywhere:
        hop_of(hops[str(level)], 1)
        SamplingSpec(temperature=temperatures[str(level)], top_k=drawing["top_k"], top_p=drawing["top_p"])
    return {
        "hops": hops, "temperatures": temperatures, "top_k": drawing["top_k"], "top_p": drawing["top_p"],
        "parallel_windows": whole_number("parallel_windows", controls.get("parallel_windows", 1), 1, MOST_LANES),
    }  # fmt: skip


def _each(name: str, asked: Any, levels: Sequence[int]) -> dict[str, float]:
    """A number for each level, by its name; from one for all, a list from the top on, or such a text."""
    parts = asked.split(",") if isinstance(asked, str) else asked if isinstance(asked, (list, tuple)) else [asked]
    try:
        numbers = [float(part) for part in parts if not isinstance(part, bool)]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 1:
        numbers *= len(levels)
    if len(numbers) != len(levels):
        raise ValueError(f"{name} is {asked!r}; it should be a number, or {len(levels)} of them, one a level")
    return {str(level): number for level, number in zip(levels, numbers, strict=True)}
