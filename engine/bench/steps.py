"""Whole steps at cache length 1, half and full, averaged over a short generation, beside the peers, and by node.

Knows which sides are compared on which device; how each is run is `variants`' and `peers`'.
"""

from collections.abc import Sequence
from typing import Any

import torch

from clavilux.bench import baselines
from clavilux.bench.budget import run_budget
from clavilux.bench.machine import free_bytes
from clavilux.bench.parity import check_close, forced, generate, random_tokens
from clavilux.bench.peers import Peers, equal_peers
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side
from clavilux.bench.variants import MOST_STEPS, eager, facts, ladder
from clavilux.bench.workloads import ITEM_BYTES, Subject, build, named, num_parameters, shortened
from clavilux.kernels.model_shapes import ModelShape
from clavilux.kernels.quantized import KINDS, packing_supported


def usual_models(device: torch.device) -> tuple[str, ...]:
    """Those measured where none is named: on a CPU the one that it can be expected to run."""
    if device.type == "cpu":
        return ("musicgen-small",)
    return ("musicgen-small", "musicgen-medium", "musicgen-large", "llamagen-b", "llamagen-3b", "imagegpt-large",
            "jukebox-5b")  # fmt: skip


def usual_dtypes(device: torch.device) -> tuple[str, ...]:
    """The dtypes that are timed where none is asked for."""
    if device.type == "cuda":
        return ("bfloat16", "int8")
    if device.type == "cpu":
        return tuple(kind for kind in KINDS if packing_supported(kind))
    return "float32", "bfloat16"


def run_steps(bench: Bench, models: tuple[str, ...] = (), dtype: str = "auto") -> None:
    """The suite. A mismatch with the peer leaves the peer untimed, says so, and is raised at the end."""
    wrong: list[str] = []
    for name in models or usual_models(bench.device):
        model = shortened(named(name), bench.quick)
        dtypes = usual_dtypes(bench.device) if dtype == "auto" else (dtype,)
        if bench.late(f"steps of {name}") or not fits(bench, model, dtypes):
            continue
        with torch.inference_mode():
            subjects, peers = prepared(bench, model, dtypes, wrong)
            half = lengths(model, bench.quick)[-2]
            for length in lengths(model, bench.quick):
                if bench.late(f"steps, {name}, length {length}"):
                    continue
                compiled = bench.compiles(name, everywhere=length != half)
                sides = [*_ours(subjects, length), *peers.of_steps(length, model.context, compiled=compiled)]
                bench.compare("steps", name, f"length {length}", sides, most=MOST_STEPS)
            for subject in subjects:
                run_budget(bench, subject, half)
            compare_generation(bench, "steps", subjects, peers, 8 if bench.quick else 48)
        del subjects, peers
    if wrong:
        raise Mismatch("; ".join(wrong))


def lengths(model: ModelShape, quick: bool) -> tuple[int, ...]:
    """Lengths of the cache that a step is timed at: one position, half of the context, all of it."""
    full = min(model.context, 64) if quick else model.context
    return tuple(sorted({1, full // 2, full}))


def fits(bench: Bench, model: ModelShape, dtypes: tuple[str, ...]) -> bool:
    """Whether there is memory for the decoder, its copies and a peer; a note where there is not."""
    parameters, free = num_parameters(model), free_bytes(bench.device)
    # Ours, what all are compared with, and the peers: one in float32 at a time, then each in half precision.
    copies = sum(ITEM_BYTES[dtype] for dtype in dtypes) + 4 + 4 + 2
    if baselines.available() and baselines.has_peer(model):
        copies += 2
    if free is None or copies * parameters < 0.9 * free:
        return True
    bench.note(
        f"{model.name} was left out: it would take {copies * parameters / 2**30:.1f} GiB, {free / 2**30:.1f} are free"
    )
    return False


def prepared(bench: Bench, model: ModelShape, dtypes: tuple[str, ...], wrong: list[str]) -> tuple[list[Subject], Peers]:
    """Our decoders, one a dtype, and the peers, all found to compute the same; what differs is left out."""
    bench.announce(f"steps: {model.name}, weights")
    plain = build(model, bench.device)  # float32: what all others are compared with
    tokens = random_tokens(plain, 8)
    truth = forced(plain, tokens)
    subjects = []
    for dtype in dtypes:
        subject = plain.in_dtype(dtype)
        check_close(f"clavilux in {dtype}", dtype, forced(subject, tokens), truth)
        subjects.append(subject)
    return subjects, equal_peers(bench, plain, tokens, truth, wrong)


def _ours(subjects: Sequence[Subject], length: int) -> list[Side]:
    if subjects[0].device.type == "cuda":
        by_dtype = {subject.dtype: subject for subject in subjects}
        int8 = by_dtype.pop("int8", None)
        if by_dtype:
            return ladder(next(iter(by_dtype.values())), int8, length)
        return ladder(subjects[0], None, length)[3:]
    return [eager(subject, length, f"clavilux {subject.dtype}") for subject in subjects]


def compare_generation(
    bench: Bench, suite: str, subjects: list[Subject], peers: Peers, num_frames: int
) -> list[dict[str, Any]]:
    """A whole generation from nothing, each loop with all that it does; the rows, whose time is a step's."""
    model = subjects[0].model
    num_steps = num_frames + model.codebooks - 1
    length = num_steps // 2  # a step's bytes grow evenly: the mean is the middle one's

    def ours(subject: Subject) -> Side:
        def run(count: int) -> None:
            for _ in range(count):
                generate(subject, num_frames, subject.sampling)

        memory = subject.decoder.read_memory(subject.conditioning(length=num_steps))
        return Side(f"clavilux {subject.dtype}", run, per_run=num_steps, facts=facts(subject, length, memory))

    sides = [ours(subject) for subject in subjects]
    sides += peers.of_generation(
        num_frames, num_steps, model.context, compiled=bench.compiles(model.name, everywhere=True)
    )
    at = f"generation of {num_frames} frames"
    return bench.compare(suite, model.name, at, sides, repeats=max(min(3, bench.repeats), bench.repeats // 4))
