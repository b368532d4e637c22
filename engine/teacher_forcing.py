"""Teacher forcing: a decoder's logits at each of the tokens of a sequence that is known, given those before it.

Knows steps, blocks of rows and layouts. Does not know what a prompt means, or what a token stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from clavilux.conditioning import Conditioning
from clavilux.context_window import ContextWindow
from clavilux.decoder import Decoder
from clavilux.layout import Layout
from clavilux.loop import Drawable
from clavilux.sampling import SamplingSpec
from clavilux.windows import Windows

_TOGETHER = 64  # steps read at once: 16,384 tokens with guidance take 8 MiB of logits
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Forced(Drawable, Protocol):
    """What is read of a generation whose tokens are all known."""

    def to_decoder(self, tokens: Tensor) -> Tensor:
        """The ids that the decoder reads for the codec's, int64 of any shape."""

    def from_decoder(self, logits: Tensor) -> Tensor:
        """Logits [..., V] of the codec's ids, from those of the decoder's."""


def checked_tokens(tokens: Tensor, codebooks: int, vocabulary: int) -> tuple[Tensor, bool]:
    """(int64 [B, K, T] on the CPU, whether rows were given).

    Args:
        tokens: integers [K, T] or [B, K, T], ids 0 .. V - 1, T of 1 or more.
        codebooks: K.
        vocabulary: V.

    Raises:
        TypeError: no tensor.
        ValueError: another shape or dtype, or an id out of range.
    """
    if not isinstance(tokens, Tensor):
        raise TypeError(f"tokens are a {type(tokens).__name__}; they should be an int64 tensor [{codebooks}, T]")
    shaped = tokens.ndim in (2, 3) and tokens.shape[-2] == codebooks and tokens.numel() > 0
    if not shaped or tokens.dtype not in _INTEGERS:
        raise ValueError(
            f"tokens are {tokens.dtype} {tuple(tokens.shape)}; they should be int64 [{codebooks}, T] or "
            f"[B, {codebooks}, T], with a token at least"
        )
    tokens = tokens.cpu().long()
    bad = tokens[(tokens < 0) | (tokens >= vocabulary)]
    if len(bad):
        raise ValueError(f"a token is {int(bad[0])}; it should be from 0 to {vocabulary - 1}")
    return (tokens, True) if tokens.ndim == 3 else (tokens[None], False)


def forced_logits(
    decoder: Decoder,
    generation: Forced,
    tokens: Tensor,
    sampling: SamplingSpec,
    *,
    layout: Layout,
    windows: Windows | None = None,
) -> Tensor:
    """Logits float32 [B, K, T, V] on the CPU of frames int64 [B, K, T], each token's given the steps before its own.

    Args:
        decoder: in eval mode.
        generation: its conditioning and its prompt are those of every row.
        tokens: the codec's ids.
        sampling: its guidance mixes the blocks of rows; nothing else of it is used.
        layout: of the decoder's steps.
        windows: for more tokens than the context holds; None: that is an error.
    """
    steps = layout.arrange(generation.to_decoder(tokens))
    parts = [
        generation.from_decoder(logits).cpu()
        for _, logits in _generation_steps(decoder, generation, steps, sampling, layout, windows)
    ]
    return layout.restore_logits(torch.cat(parts, 2))


def forced_scores(
    decoder: Decoder,
    generation: Forced,
    tokens: Tensor,
    sampling: SamplingSpec,
    *,
    layout: Layout,
    windows: Windows | None = None,
) -> Tensor:
    """Log-probabilities float32 [B, K, T] in nats on the CPU; arguments as `forced_logits`."""
    steps, known = layout.arrange(generation.to_decoder(tokens)), layout.arrange(tokens)
    found = []
    for start, logits in _generation_steps(decoder, generation, steps, sampling, layout, windows):
        log_p = _restricted(layout, generation.from_decoder(logits), start).log_softmax(-1)
        found.append(log_probability(log_p, known[:, :, start : start + logits.shape[2]]).cpu())
    return layout.restore_values(torch.cat(found, 2))


@torch.no_grad()
def forced_steps(
    decoder: Decoder,
    prompt: Tensor,
    steps: Tensor,
    sampling: SamplingSpec,
    *,
    conditioning: Conditioning | None = None,
    layout: Layout | None = None,
    windows: Windows | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Logits at steps that are all known, as the loop would draw them from, some steps at a time.

    Args:
        decoder: in eval mode, K streams.
        prompt: int64 [B, K, P], read first; P may be 0 where the conditioning has a prefix.
        steps: int64 [B, K, S], S of 1 or more.
        sampling: its guidance has a weight for each of R blocks of rows.
        conditioning: R * B rows, block after block.
        layout, windows: as for `clavilux.loop.generate_tokens`.

    Yields:
        (the first step, logits float32 [B, K, n, V] of the n steps from it on, the blocks mixed), on the device.

    Raises:
        ValueError: there is no room for as many steps.
    """
    device, blocks = decoder.embed.weight.device, len(sampling.weights)
    prompt, steps = prompt.to(device), steps.to(device)
    window = ContextWindow(
        decoder, len(steps), blocks=blocks, conditioning=conditioning, windows=windows, layout=layout,
        total=prompt.shape[2] + steps.shape[2],
    )  # fmt: skip
    yield 0, _mixed(window.read(prompt)[:, :, None], sampling, 0)
    for start in range(1, steps.shape[2], _TOGETHER):
        end = min(start + _TOGETHER, steps.shape[2])
        yield start, _mixed(window.read_all(steps[:, :, start - 1 : end - 1]), sampling, start)


def conditioning_of(generation: Drawable, batch: int, sampling: SamplingSpec) -> Conditioning:
    """A generation's conditioning for `batch` rows in each block that guidance mixes."""
    parts = [generation.conditioning] * batch
    if generation.unconditional is not None:
        parts += [generation.unconditional] * batch * (len(sampling.weights) - 1)
    return Conditioning.stack(parts)


def log_probability(log_p: Tensor, tokens: Tensor) -> Tensor:
    """Of each token [B, K, n] in log-probabilities [B, K, n, V]; those of a layout's special ids mean nothing."""
    index = tokens.to(log_p.device).clamp(max=log_p.shape[-1] - 1)
    return log_p.gather(-1, index[..., None])[..., 0]


def _generation_steps(
    decoder: Decoder, generation: Forced, steps: Tensor, sampling: SamplingSpec, layout: Layout, windows: Windows | None
) -> Iterator[tuple[int, Tensor]]:
    batch = len(steps)
    return forced_steps(
        decoder, generation.prompt.repeat(batch, 1, 1), steps, sampling,
        conditioning=conditioning_of(generation, batch, sampling), layout=layout, windows=windows,
    )  # fmt: skip


def _mixed(logits: Tensor, sampling: SamplingSpec, start: int) -> Tensor:
    """[R * B, K, n, V] of the steps from `start` on -> float32 [B, K, n, V]."""
    table = sampling.table
    weights = [table[min(step, len(table) - 1)] for step in range(start, start + logits.shape[2])]  # n of R each
    blocks = logits.float().unflatten(0, (len(table[0]), -1))
    return torch.einsum("rbktv,tr->bktv", blocks, blocks.new_tensor(weights))


def _restricted(layout: Layout, logits: Tensor, start: int) -> Tensor:
    """-inf for the ids that the layout does not allow at the steps from `start` on."""
    masks = [layout.allowed(step, logits.shape[-1]) for step in range(start, start + logits.shape[2])]
    known = [mask for mask in masks if mask is not None]
    return logits.masked_fill(~torch.stack(known, 1).to(logits.device), -torch.inf) if known else logits
