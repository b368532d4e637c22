"""Logits of a level's tokens that are all known, each as the window saw it in which it would be drawn.

Knows windows, their conditions, and what fits a level. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from clavilux.families.jukebox.cascade import LevelPlan, Windowed, conditions
from clavilux.families.jukebox.prior import Labels
from clavilux.requests import check_seconds, check_taken
from clavilux.sampling import SamplingSpec
from clavilux.teacher_forcing import checked_tokens, forced_steps

if TYPE_CHECKING:
    from clavilux.families.jukebox.family import Jukebox

_CONDITIONS = ("artist", "genre", "lyrics", "labels", "song_s", "hop")  # the controls that have a part in it


def forced(
    family: Jukebox,
    tokens: Tensor,
    level: int,
    above: Tensor | None,
    seconds: float | None,
    controls: Mapping[str, Any],
) -> tuple[Iterator[tuple[Tensor, Tensor]], bool]:
    """Some tokens at a time, (int64 [B, 1, n] on the CPU, their logits float32 [B, 1, n, V]); whether rows were given.

    Arguments and errors as `JukeboxModel.logits`; everything is checked before the first logits.
    """
    check_taken(family.identity["model"], controls, _CONDITIONS, ("above", "level", "seconds"))
    codec = family.codec.level(level)
    frames, several = checked_tokens(tokens, 1, codec.vocabulary)
    count = frames.shape[2]
    length = float(check_seconds(count * codec.hop / codec.sample_rate if seconds is None else seconds))
    said = {name: value for name, value in controls.items() if value is not None}
    settings, _, _ = family.settled(length, {**said, "levels": 1}, {})
    settings["levels"] = [level]
    prior, plan = family.prior(level), family.plans(settings)[0]
    if count > plan.total:
        raise ValueError(f"there are {count} tokens; {length:g} s of level {level} have {plan.total} (seconds)")
    held = _above(family, level, above, frames, plan)
    pieces = forced_level(prior, plan, family.labels(settings, level), frames[:, 0], held)
    return ((frames[:, :, at : at + seen.shape[1]], seen[:, None]) for at, seen in pieces), several


def _above(family: Jukebox, level: int, above: Tensor | None, frames: Tensor, plan: LevelPlan) -> Tensor | None:
    """int64 [B or 1, n]: the tokens above those of a level [B, 1, T], checked."""
    if level == family.files.top:
        if above is not None:
            raise ValueError(f"above is given; level {level} is the top one, which has none above it")
        return None
    if above is None:
        raise ValueError(f"above is missing; the prior of level {level} reads the tokens of level {level + 1}")
    held, _ = checked_tokens(above, 1, family.files.spec.vocabulary)
    least = -(-frames.shape[2] // plan.ratio)
    if len(held) not in (1, len(frames)) or held.shape[2] < least:
        raise ValueError(
            f"above is {tuple(above.shape)}; for {frames.shape[2]} tokens of level {level} it should hold {least} or "
            "more, in one row or in as many as the tokens"
        )
    return held[:, 0]


def forced_level(
    prior: Windowed[Labels], plan: LevelPlan, labels: Labels, tokens: Tensor, above: Tensor | None
) -> Iterator[tuple[int, Tensor]]:
    """Some tokens at a time: (the first of them, logits float32 [B, n, V] on the device).

    Args:
        prior: the level's.
        plan: of the whole song, in one lane; it says the windows.
        labels: what the song is said to be.
        tokens: int64 [B, T], the song's first tokens, or all of them.
        above: int64 [B or 1, m], the tokens of the level above; None for the top.
    """
    rows, known = len(tokens), 0
    for start, end in plan.windows:
        end = min(end, tokens.shape[1])
        if end <= known:
            return
        pieces = forced_steps(
            prior.decoder, prior.prompt(labels, start, rows), tokens[:, None, start:end], SamplingSpec(),
            conditioning=conditions(prior, plan, labels, [start] * rows, above),
        )  # fmt: skip
        for first, logits in pieces:
            seen = max(0, known - start - first)  # by the window before this one
            if seen < logits.shape[2]:
                yield start + first + seen, logits[:, 0, seen:]
        known = end
