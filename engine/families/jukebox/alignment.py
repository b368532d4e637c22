"""When which of the lyrics is sung: what the alignment head of the top prior attends to (arXiv 2005.00341).

Knows one window's attention, and how those of a song become times. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.families.jukebox.prior import Labels, Prior, seen_lyrics
from clavilux.files import PathLike, atomic_path
from clavilux.layers import Attention, CrossAttention, Layer, after_norm

_LEAST = 1e-6  # of attention: what nothing attends to can still be passed


@dataclass(frozen=True)
class Alignment:
    """When the lyrics of a song are sung.

    Attributes:
        weights: float32 [T, C], how much each token of the top level attends to each character.
        path: int64 [T], the character that is sung at each token; it never goes back.
        lyrics: the characters.
        token_s: seconds of a token.
    """

    weights: np.ndarray
    path: np.ndarray
    lyrics: str
    token_s: float

    def words(self) -> list[dict[str, Any]]:
        """Each word with the seconds from which and up to which it is sung; JSON values."""
        reached = np.searchsorted(self.path, np.arange(len(self.lyrics) + 1))  # the first token at or past each
        found, start = [], 0
        for end in range(len(self.lyrics) + 1):
            if end < len(self.lyrics) and not self.lyrics[end].isspace():
                continue
            if end > start and reached[start] < len(self.path):
                times = (reached[start] * self.token_s, reached[end] * self.token_s)
                found.append({
                    "word": self.lyrics[start:end], "first_character": start,
                    "start_s": round(float(times[0]), 3), "end_s": round(float(times[1]), 3),
                })  # fmt: skip
            start = end + 1
        return found


def attention(
    prior: Prior, tokens: Tensor, prompt: Tensor, conditioning: Conditioning, layer: int, head: int
) -> Tensor:
    """How a window's tokens attend to the lyrics that it sees, float32 [B, T, S].

    Args:
        prior: with lyrics.
        tokens: int64 [B, 1, T], the window's.
        prompt, conditioning: as `Prior.prompt` and `Prior.conditioning` give them.
        layer, head: which; a layer that reads the lyrics.
    """
    part = prior.decoder.layers[layer]
    assert isinstance(part, Layer)
    module = part.attention if prior.sizes.lyrics == "before" else part.cross
    assert module is not None, "the layer of alignment reads the lyrics"
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            prior.decoder.read(torch.cat([prompt, tokens], 2)[:, :, :-1], conditioning=conditioning)
            if isinstance(module, Attention):
                return _of_prefix(prior, module, seen[0], len(tokens), head)
            assert conditioning.memory is not None, "cross-attention has a memory"
            return _of_memory(prior, module, seen[0], len(tokens), conditioning.memory, head)
    finally:
        handle.remove()


def _of_prefix(prior: Prior, module: Attention, x: Tensor, batch: int, head: int) -> Tensor:
    spec, lyrics = prior.decoder.spec, prior.sizes.lyric_tokens
    assert module.span is not None, "such a layer reads the prefix alone"
    y = after_norm(spec, module.norm, module.qkv, x).float().view(batch, -1, 3, spec.heads, spec.head_dim)
    q, k = y[:, lyrics:, 0, head], y[:, : module.span.size, 1, head]  # [B, T, E], [B, S, E]
    scores = q @ k.transpose(1, 2) * spec.head_dim**-0.5
    positions = torch.arange(k.shape[1], device=x.device)
    later = positions > torch.arange(lyrics, lyrics + q.shape[1], device=x.device)[:, None]
    return scores.masked_fill(later, -torch.inf).softmax(2)[:, :, :lyrics]


def _of_memory(prior: Prior, module: CrossAttention, x: Tensor, batch: int, memory: Tensor, head: int) -> Tensor:
    spec = prior.decoder.spec
    q = after_norm(spec, module.norm, module.q, x).float().view(batch, -1, spec.heads, spec.head_dim)[:, :, head]
    k = module.memory_kv(memory)[0][:, head].float()  # [B, S, E]
    return (q @ k.transpose(1, 2) * spec.head_dim**-0.5).softmax(2)


def aligned(
    prior: Prior, labels: Labels, lyrics: str, tokens: Tensor, windows: Sequence[tuple[int, int]], token_s: float
) -> Alignment:
    """A song's alignment: each token as the window saw it in which it was drawn.

    Args:
        prior: the top one, with a place of alignment.
        labels: the song's.
        lyrics: its characters.
        tokens: int64 [1, T], of the top level.
        windows: (start, end) of those that it was drawn in.
        token_s: seconds of a token.

    Raises:
        ValueError: the model has no layer that shows it, or the song no lyrics.
    """
    if prior.sizes.alignment is None or not lyrics:
        lacks = "the song has no lyrics" if not lyrics else "this model has no layer that shows it"
        raise ValueError(f"which lyrics are sung when cannot be told: {lacks}")
    weights, known = np.zeros((tokens.shape[1], len(lyrics)), np.float32), 0
    device = prior.decoder.embed.weight.device
    for start, end in windows:
        end = min(end, tokens.shape[1])
        conditioning = prior.conditioning(labels, [start], None)
        window = tokens[:, None, start:end].to(device)
        seen = attention(prior, window, prior.prompt(labels, start, 1), conditioning, *prior.sizes.alignment)[0]
        first, last = seen_lyrics(labels, prior.sizes, start)
        weights[known:end, first:last] = seen[known - start :, seen.shape[1] - (last - first) :].cpu().numpy()
        known = end
    return Alignment(weights, monotone(weights), lyrics, token_s)


def monotone(weights: np.ndarray) -> np.ndarray:
    """int64 [T]: the way through the characters that never goes back and has the largest product of weights [T, C]."""
    scores = np.log(weights + _LEAST)
    best, came = scores[0].copy(), np.zeros(scores.shape, np.int32)
    for step in range(1, len(scores)):
        highest = np.maximum.accumulate(best)
        # Where the maximum up to a character was reached first: a way that waits is as good, and comes earlier.
        at = np.maximum.accumulate(np.where(best >= highest, np.arange(len(best)), 0))
        came[step] = at
        best = highest + scores[step]
    path = np.zeros(len(scores), np.int64)
    path[-1] = int(best.argmax())
    for step in range(len(scores) - 1, 0, -1):
        path[step - 1] = came[step][path[step]]
    return path


def draw(alignment: Alignment, path: PathLike) -> None:
    """Save a picture of it; the ending chooses the format. ValueError for a place where none can be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    seconds = len(alignment.path) * alignment.token_s
    extent = (0, seconds, 0, len(alignment.lyrics))
    axes.imshow(np.sqrt(alignment.weights.T), origin="lower", aspect="auto", extent=extent, cmap="magma")
    axes.step(np.arange(len(alignment.path)) * alignment.token_s, alignment.path + 0.5, color="white", linewidth=1)
    words = alignment.words()
    shown = words[:: max(1, len(words) // 30)]
    axes.set_yticks([word["first_character"] for word in shown], [word["word"] for word in shown], fontsize=7)
    axes.set(xlabel="seconds", title="what is sung when")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format=str(path).rpartition(".")[2].lower())
