"""The peers that whole steps and generations are timed beside: plain torch for every model, transformers for MusicGen.

Knows which are to be had here, that none is timed before it computes the same, and what could not be compiled and why.
How each is run is `torch_peer`'s and `baselines`'.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from clavilux.bench import baselines
from clavilux.bench.baselines import TransformersPeer
from clavilux.bench.parity import check_close, check_peer
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side
from clavilux.bench.torch_peer import TorchPeer
from clavilux.bench.variants import MOST_STEPS
from clavilux.bench.workloads import Subject

PEERS = {"torch": TorchPeer, "transformers": TransformersPeer}
NUMBER = "bfloat16"  # what the peers are timed in


@dataclass
class Peers:
    """Those of one model that were found to compute the same.

    Attributes:
        tokens, truth: int64 [1, K, T], and float32's logits along them, which what was compiled is held against.
        torch, transformers: None where there is none.
    """

    bench: Bench
    tokens: torch.Tensor
    truth: torch.Tensor
    torch: TorchPeer | None = None
    transformers: TransformersPeer | None = None

    def of_steps(self, length: int, capacity: int, *, compiled: bool) -> list[Side]:
        """A side for each way to take steps that end at a length; compiled ones only where that is wanted."""
        return [*self._torch_steps(length, compiled), *self._transformers_steps(length, capacity, compiled)]

    def of_generation(self, num_frames: int, num_steps: int, capacity: int, *, compiled: bool) -> list[Side]:
        """A side for each way transformers generates from nothing; one call is `num_steps` steps. A compiled step of
        plain torch would be compiled for this cache as well, for a time that its steps already tell.
        """
        sides = []
        if self.transformers is not None:
            other = self.transformers
            words = {"dtype": other.dtype, "peer": True}
            repeated = _repeated(lambda: other.generate(num_frames))
            sides.append(Side("transformers generate", repeated, per_run=num_steps, facts=words))
            steps = _compiled_transformers(self.bench, other, num_steps, capacity) if compiled else None
            if steps is not None:
                run = steps
                repeated = _repeated(lambda: run(num_steps))
                sides.append(Side("transformers compiled", repeated, per_run=num_steps, facts=words))
        return sides

    def _torch_steps(self, length: int, compiled: bool) -> list[Side]:
        peer = self.torch
        if peer is None:
            return []
        found = self._torch_step(length) if compiled else None
        if found is None:
            if compiled and compiler_missing(self.bench):
                peer.make_room(max(length, MOST_STEPS))
                peer.fill()
                return [Side("torch eager", _ending_at(peer, length, None), facts={"dtype": peer.dtype, "peer": True})]
            return []
        return [Side("torch compiled", _ending_at(peer, length, found[0]), facts=found[1])]

    def _torch_step(self, length: int) -> tuple[Callable[[], object], dict[str, Any]] | None:
        """The compiled step with room for `length` positions, and what its row says; None where there is none."""
        peer, bench = self.torch, self.bench
        if peer is None or compiler_missing(bench):
            return None
        bench.announce(f"steps: {peer.model.name}, compiling plain torch")
        peer.make_room(max(length, MOST_STEPS, self.tokens.shape[2]))
        try:
            step = peer.compiled()
            check_close("torch compiled", peer.dtype, peer.forced(self.tokens, step), self.truth)
        except (RuntimeError, Mismatch) as error:  # of torch.compile, or of what it compiles
            bench.note(f"torch was not timed compiled for {peer.model.name}: {str(error).strip().splitlines()[0]}")
            return None
        facts: dict[str, Any] = {"dtype": peer.dtype, "peer": True, "compile_s": peer.compile_s}
        if bench.device.type == "cuda":
            facts["cuda_graph"] = peer.skips == 0
            if peer.skips:
                bench.note(f"torch compiled {peer.model.name} without a CUDA graph in {peer.skips} places")
        peer.fill()
        return step, facts

    def _transformers_steps(self, length: int, capacity: int, compiled: bool) -> list[Side]:
        peer = self.transformers
        if peer is None:
            return []
        words = {"dtype": peer.dtype, "peer": True}
        sides = [Side("transformers eager", peer.eager_steps(length), facts=words)]
        steps = _compiled_transformers(self.bench, peer, length, capacity) if compiled else None
        return sides if steps is None else [*sides, Side("transformers compiled", steps, facts=words)]


def equal_peers(bench: Bench, plain: Subject, tokens: torch.Tensor, truth: torch.Tensor, wrong: list[str]) -> Peers:
    """The peers of a subject in float32, each found to draw the same greedy tokens; what differs is left out.

    Args:
        bench: whose notes say what was compared and what was left out.
        plain: ours, not packed.
        tokens, truth: as `Peers` keeps them.
        wrong: what differs is added here.
    """
    torch.compiler.reset()  # of the models before this one; a step can be compiled eight times
    found = Peers(bench, tokens, truth)
    for name, make in PEERS.items():
        if name == "transformers" and not baselines.has_peer(plain.model):
            continue
        if name == "transformers" and not baselines.available():
            bench.note(baselines.MISSING)
            continue
        bench.announce(f"steps: {plain.model.name}, the same tokens as {name}")
        try:
            setattr(found, name, _checked(bench, plain, name, make, found))
        except Mismatch as mismatch:
            wrong.append(f"{plain.model.name}: {mismatch}")
            bench.note(f"{name} was not timed for {plain.model.name}: {mismatch}")
    return found


def _checked(bench: Bench, plain: Subject, name: str, make: type, found: Peers) -> TorchPeer | TransformersPeer:
    num_frames = 6 if bench.quick else 24
    peer = make(plain, "float32")
    if isinstance(peer, TorchPeer):
        peer.make_room(max(num_frames, 8) + plain.model.codebooks)
    compared = check_peer(plain, peer, num_frames, name)
    del peer
    peer = make(plain, NUMBER)
    if isinstance(peer, TorchPeer):
        peer.make_room(found.tokens.shape[2])
    error = check_close(f"{name} in {NUMBER}", NUMBER, peer.forced(found.tokens), found.truth)
    bench.note(
        f"{plain.model.name}: {compared['greedy_tokens_compared']} greedy tokens equal those of {name} in float32; "
        f"its logits in {NUMBER} are {error:.2g} from float32's"
    )
    return peer


def compiler_missing(bench: Bench) -> bool:
    """Whether torch.compile has nothing to compile with; then says so."""
    if bench.device.type != "cpu" or any(shutil.which(name) for name in ("g++", "c++", "clang++", "cl")):
        return False
    bench.note("no C++ compiler was found, so no peer was compiled")
    return True


def _compiled_transformers(
    bench: Bench, peer: TransformersPeer, length: int, capacity: int
) -> Callable[[int], None] | None:
    """The peer's compiled steps, tried once; None where it cannot be compiled, which is noted."""
    if compiler_missing(bench):
        return None
    steps = peer.compiled_steps(length, capacity)
    try:
        steps(1)
    except RuntimeError as error:  # of torch.compile, or of what it compiles
        bench.note(f"transformers was not timed compiled: {str(error).strip().splitlines()[0]}")
        return None
    return steps


def _ending_at(peer: TorchPeer, length: int, step: Callable[[], object] | None) -> Callable[[int], None]:
    def run(count: int) -> None:
        peer.start(max(0, length - count))
        peer.run(count, step)

    return run


def _repeated(call: Callable[[], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run
