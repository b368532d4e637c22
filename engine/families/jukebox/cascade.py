"""How a level of a cascade is drawn: window after window, each under conditions of its own, from the tokens above it.

Knows levels, windows, lanes and how a draw goes on where it was cut off. Does not know what a token or a condition
means (`prior`), nor where tokens are kept (`journal`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.graph_cache import GRAPHS
from clavilux.layout import OPEN
from clavilux.loop import generate_tokens, single_threaded_if_small
from clavilux.marking import Mark, nonce_of
from clavilux.sampling import SamplingSpec
from clavilux.windows import overlapping

L_contra = TypeVar("L_contra", contravariant=True)  # what a prior's conditions are made from


@dataclass(frozen=True, kw_only=True)
class LevelPlan:
    """What is to be drawn of a level.

    Attributes:
        level: which one.
        total: tokens of the song at this level.
        context: tokens that a window holds.
        hop: tokens by which windows move on.
        ratio: tokens of this level for one of the level above; 1 for the top.
        lanes: stretches of the song that are drawn side by side. Every lane begins without what is before it.
        temperature, top_k, top_p: how tokens are drawn.
    """

    level: int
    total: int
    context: int
    hop: int
    ratio: int = 1
    lanes: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    @property
    def length(self) -> int:
        """Tokens of a lane. All are of a length; the last one begins as much earlier as it must."""
        length = -(-self.total // self.lanes)
        return min(self.total, length + -length % self.ratio)

    @property
    def firsts(self) -> list[int]:
        """The token of the song that each lane begins with."""
        return [min(lane * self.length, self.total - self.length) for lane in range(self.lanes)]

    @property
    def windows(self) -> list[tuple[int, int]]:
        """(start, end) of the windows of every lane."""
        return overlapping(self.length, self.context, self.hop)

    def split(self, tokens: Tensor) -> Tensor:
        """int64 [B, n], the first tokens of the song -> [B * lanes, length], `OPEN` where there are none."""
        whole = F.pad(tokens[:, : self.total], (0, max(0, self.total - tokens.shape[1])), value=OPEN)
        lanes = [whole[:, first : first + self.length] for first in self.firsts]
        return torch.stack(lanes, dim=1).flatten(0, 1).contiguous()

    def joined(self, drawn: Tensor) -> Tensor:
        """int64 [B * lanes, length] -> [B, total]; where two lanes hold a token, the first one's counts."""
        lanes = drawn.unflatten(0, (-1, self.lanes))
        song = drawn.new_empty(len(lanes), self.total)
        for lane in reversed(range(self.lanes)):
            song[:, self.firsts[lane] : self.firsts[lane] + self.length] = lanes[:, lane]
        return song

    def facts(self) -> dict[str, Any]:
        """All that the tokens depend on beside the model and the conditions; JSON values."""
        return {
            "total": self.total, "context": self.context, "hop": self.hop, "lanes": self.lanes,
            "temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p,
        }  # fmt: skip


class Windowed(Protocol[L_contra]):
    """A decoder whose conditions change from window to window."""

    decoder: Decoder

    def prompt(self, labels: L_contra, start: int, rows: int) -> Tensor:
        """int64 [B, 1, S]: what is read before the window that begins with token `start`."""

    def conditioning(self, labels: L_contra, starts: list[int], above: Tensor | None) -> Conditioning:
        """What conditions a window of each row; above: int64 [B, n], the tokens above each."""


def draw_level(
    prior: Windowed[L_contra],
    plan: LevelPlan,
    labels: L_contra,
    seeds: list[int],
    given: Tensor,
    above: Tensor | None,
    done: Tensor,
    mark: Mark | None = None,
) -> Iterator[Tensor]:
    """The tokens of a level that are not done yet, a column int64 [B * lanes] after another.

    Args:
        prior: draws them.
        plan: what is to be drawn.
        labels: what the prior's conditions are made from.
        seeds: one for each of B rows.
        given: int64 [B, n], what the song begins with; n may be 0.
        above: int64 [B, m], all tokens of the level above; None for the top.
        done: int64 [B * lanes, n], the columns that were given out before. What follows them is what would have
            followed in one go, to the last bit.
        mark: of what is drawn, each token at its place in the song, whichever window draws it; None: none.
    """
    device = prior.decoder.embed.weight.device
    tokens = plan.split(given)
    begun = int((tokens != OPEN).all(0).long().cumprod(0).sum())  # columns that nothing has to be drawn for
    count = done.shape[1]
    tokens[:, :count] = done
    nonces = tuple(nonce_of(seed) for seed in seeds for _ in plan.firsts)
    with GRAPHS.held():  # all windows are of a shape: one state, and one captured step
        for index, (start, end) in enumerate(plan.windows):
            if count < end:
                starts = [first + start for _ in seeds for first in plan.firsts]
                spec = SamplingSpec(
                    temperature=plan.temperature, top_k=plan.top_k, top_p=plan.top_p,
                    seed=tuple(_seed(seed, plan.level, lane, index) for seed in seeds for lane in range(plan.lanes)),
                    mark=None if mark is None else replace(mark, starts=tuple(starts), nonces=nonces),
                )  # fmt: skip
                steps = generate_tokens(
                    prior.decoder, spec, prior.prompt(labels, starts[0], len(starts)).to(device),
                    plan=tokens[:, None, start:end], conditioning=conditions(prior, plan, labels, starts, above),
                    replay_from=max(0, begun - start),
                )  # fmt: skip
                for column, step in enumerate(single_threaded_if_small(steps, prior.decoder), start):
                    if column >= count:
                        tokens[:, column] = step[:, 0].cpu()
                        count = column + 1
                        yield tokens[:, column]
            begun = max(begun, end)


def conditions(
    prior: Windowed[L_contra], plan: LevelPlan, labels: L_contra, starts: list[int], above: Tensor | None
) -> Conditioning:
    """What conditions a window of each row, from all tokens of the level above; arguments as `draw_level`."""
    with torch.inference_mode():
        if above is None:
            return prior.conditioning(labels, starts, None)
        room = plan.context // plan.ratio
        above = F.pad(above, (0, room))  # id 0 stands where the song is over
        lanes = len(starts) // len(above)
        parts = [above[row // lanes, start // plan.ratio :][:room] for row, start in enumerate(starts)]
        return prior.conditioning(labels, starts, torch.stack(parts))


def _seed(seed: int, level: int, lane: int, window: int) -> int:
    """A seed for each window, so that no two of them draw with the same noise."""
    digest = hashlib.blake2b(f"{seed} {level} {lane} {window}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")
