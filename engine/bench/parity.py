"""Whether two sides compute the same: asked before either is timed.

In float32 the tokens of a greedy generation must be equal, through both loops, and the logits along given tokens; in
other numbers the logits must lie close to those of float32.
"""

from typing import Protocol

import torch

from clavilux.bench.suite import Mismatch
from clavilux.bench.workloads import Subject, layout_of
from clavilux.loop import generate_tokens
from clavilux.sampling import SamplingSpec

# The error of logits against float32's: root mean square, relative. What a wrong map of names gives is above 1.
LIMITS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 6e-2, "int8": 2e-1}


class Peer(Protocol):
    """Somebody else's decoder with our weights."""

    def forced(self, tokens: torch.Tensor, /) -> torch.Tensor:
        """As `forced` below."""

    def generate(self, num_frames: int, *, greedy: bool) -> torch.Tensor:
        """Frames int64 [K, num_frames] of one piece."""


def generate(subject: Subject, num_frames: int, sampling: SamplingSpec, batch: int = 1) -> torch.Tensor:
    """Frames int64 [B, K, num_frames] by the engine's own loop, on the host."""
    layout = layout_of(subject.model)
    special = getattr(layout, "special", None) or 0
    start = torch.full((batch, subject.model.codebooks, 1), special, device=subject.device)
    plan = layout.arrange(torch.zeros(1, subject.model.codebooks, 0, dtype=torch.int64), num_frames)
    if subject.device.type != "cuda":
        plan = plan.to(subject.device)
    conditioning = subject.conditioning(batch, plan.shape[2] + 1)
    steps = generate_tokens(subject.decoder, sampling, start, plan=plan, layout=layout, conditioning=conditioning)
    return layout.restore(torch.stack([step.cpu() for step in steps], 2))


def random_tokens(subject: Subject, count: int) -> torch.Tensor:
    """int64 [1, K, count], the same for every dtype and device."""
    generator = torch.Generator().manual_seed(5)
    size = (1, subject.model.codebooks, count)
    return torch.randint(subject.model.vocabulary, size, generator=generator).to(subject.device)


def forced(subject: Subject, tokens: torch.Tensor) -> torch.Tensor:
    """Logits [T, R, K, V] along given tokens [1, K, T], step by step."""
    count = tokens.shape[2]
    state = subject.decoder.new_state(subject.model.rows, subject.conditioning(length=count), count)
    return torch.stack([subject.decoder.step(tokens[:, :, t], state).float() for t in range(count)])


def relative_error(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Root mean square of the difference, relative to the truth's; NaN counts as infinite."""
    error = float((found.double() - truth.double()).square().mean().sqrt() / truth.double().square().mean().sqrt())
    return error if error == error else float("inf")


def check_close(name: str, dtype: str, found: torch.Tensor, truth: torch.Tensor) -> float:
    """The relative error. Raises Mismatch above the dtype's limit."""
    error = relative_error(found, truth)
    if error > LIMITS[dtype]:
        raise Mismatch(f"the logits of {name} are {error:.2g} from float32's; at most {LIMITS[dtype]:g} is let pass")
    return error


def check_peer(subject: Subject, peer: Peer, num_frames: int, name: str) -> dict[str, float]:
    """Compare ours and the peer, both in float32; {"logits_error", "greedy_tokens_compared"}.

    Raises:
        Mismatch: a token of a greedy generation differs, or the logits do.
    """
    tokens = random_tokens(subject, 8)
    error = check_close(f"{name} in float32", "float32", peer.forced(tokens), forced(subject, tokens))
    ours = generate(subject, num_frames, subject.greedy())[0]
    theirs = peer.generate(num_frames, greedy=True).cpu()
    if ours.shape != theirs.shape or not torch.equal(ours, theirs):
        same = int((ours == theirs).sum()) if ours.shape == theirs.shape else 0
        raise Mismatch(f"{same} of {ours.numel()} greedy tokens are those of {name}; all should be")
    return {"logits_error": error, "greedy_tokens_compared": ours.numel()}
