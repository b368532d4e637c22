"""What a song begins with: sound as the tokens of each level, or tokens of one level that are known already.

Knows sound files, token files and the VQ-VAE. Does not know how a song goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clavilux.audio.codecs.token_files import check_codec, load_tokens
from clavilux.audio.codecs.vqvae import VQVAE
from clavilux.checks import check_number
from clavilux.families.musicgen.family import clip_of
from clavilux.files import PathLike

SOURCES = ("prime", "continue_from", "tokens")


def given_tokens(
    codec: VQVAE, controls: Mapping[str, Any], levels: list[int], total: int, notes: list[str], window_s: float
) -> dict[int, Tensor]:
    """The first tokens of levels, int64 [1, n] on the CPU; none where nothing is given.

    Args:
        codec: all levels.
        controls: as `jukebox.ACCEPTS`, and continue_from.
        levels: all of the codec's, the top one first.
        total: tokens of the whole song at the top.
        notes: takes the notes of the receipt.
        window_s: seconds of a window of the top prior.

    Raises:
        ValueError, TypeError: several sources, a file that cannot be read or is too short, or nothing left to draw.
    """
    named = [source for source in SOURCES if controls.get(source) is not None]
    if len(named) > 1:
        raise ValueError(f"the song cannot begin with both {' and '.join(named)}; give one of them")
    if controls.get("prime_s") is not None and named != ["prime"]:
        raise ValueError(f"prime_s is {controls['prime_s']!r}, and nothing is given to prime with (prime)")
    if not named:
        return {}
    if named == ["tokens"]:
        return _from_tokens(codec, controls["tokens"], levels, total, notes)
    return _from_sound(codec, controls, named[0], levels, total, notes, window_s)


def _from_sound(
    codec: VQVAE, controls: Mapping[str, Any], named: str, levels: list[int], total: int, notes: list[str],
    window_s: float,
) -> dict[int, Tensor]:  # fmt: skip
    top = codec.spec.levels - 1
    clip = clip_of(controls[named], named)
    name = str(controls[named]) if isinstance(controls[named], (str, Path)) else "the recording"
    if named == "prime":
        clip = clip.slice(0, _prime_seconds(controls, clip.duration_s, name, window_s))
    samples = clip.to_mono().resample(codec.spec.sample_rate).samples
    if codec.spec.channels != 1:
        samples = samples.expand(codec.spec.channels, -1)
    whole = samples.shape[1] // codec.spec.hop(top)
    seconds = whole * codec.spec.hop(top) / codec.spec.sample_rate
    if whole < 1:
        raise ValueError(
            f"{name!r} lasts {clip.duration_s:g} s, which is less than one token of the top level, "
            f"{codec.spec.hop(top) / codec.spec.sample_rate:g} s"
        )
    if whole >= total:
        raise ValueError(
            f"the song begins with {seconds:.2f} s of {name!r}, which leaves nothing to make; ask for more"
        )
    samples = samples[None, :, : whole * codec.spec.hop(top)]
    notes.append(f"begins with {seconds:.2f} s of a recording, as the codec renders them")
    return {level: codec.level(level).encode(samples)[:, 0].cpu() for level in levels}


def _prime_seconds(controls: Mapping[str, Any], has_s: float, name: str, window_s: float) -> float:
    prime_s = controls.get("prime_s")
    if prime_s is None:
        if has_s < window_s:
            raise ValueError(
                f"{name!r} lasts {has_s:.2f} s, which is shorter than a window of the top level, {window_s:.2f} s; "
                "say how much of it to begin with (prime_s, --prime-seconds)"
            )
        return window_s
    if not 0 < check_number("prime_s", prime_s, "seconds") <= has_s:
        raise ValueError(f"{prime_s:g} s of {name!r} are to begin the song; it lasts {has_s:.2f} s")
    return float(prime_s)


def _from_tokens(codec: VQVAE, path: PathLike, levels: list[int], total: int, notes: list[str]) -> dict[int, Tensor]:
    file = load_tokens(path)
    frame_rates = {level: codec.spec.sample_rate / codec.spec.hop(level) for level in range(codec.spec.levels)}
    level = next((level for level in levels if frame_rates[level] == file.codec["frame_rate"]), None)
    if level is None:
        raise ValueError(f"the tokens {str(path)!r} have {file.codec['frame_rate']:g} frames a second, as no level has")
    check_codec(file.codec, codec.level(level))
    tokens = file.tokens.reshape(-1, file.tokens.shape[-1])
    if len(tokens) != 1:
        raise ValueError(f"the tokens {str(path)!r} are of {len(tokens)} pieces; a song begins with one")
    whole = total * codec.spec.hop(codec.spec.levels - 1) // codec.spec.hop(level)
    notes.append(f"begins with {min(whole, tokens.shape[1])} tokens of level {level}")
    return {level: tokens[:, :whole]}


def check_no_prompt(model: str, prompt: str) -> None:
    """Raise ValueError for a prompt: a cascade is conditioned on other things."""
    if prompt.strip():
        raise ValueError(
            f"a prompt is given, {prompt[:60]!r}; {model} is conditioned on an artist, genres and lyrics "
            "instead (artist, genre, lyrics)"
        )
