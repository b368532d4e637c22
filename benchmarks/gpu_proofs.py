"""What a captured generation has to prove: that it is replayed, that the host is not asked, that it serves later calls,
that rows are independent, that dependent launch changes no bit, what folding a norm into its matrix costs, and that a
codec's graphs decode alike.

Each proof returns what it found, or raises AssertionError. On a CPU there is nothing to capture: then they show only
that the step over static buffers gives the loop's tokens.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import checkout  # noqa: F401  clavilux is imported from here on
import torch
import torch.nn.functional as F

from clavilux import graph as step_graph
from clavilux.audio.codecs.encodec import Encodec, EncodecSpec
from clavilux.audio.codecs.seanet import SeanetSpec
from clavilux.bench.parity import generate
from clavilux.bench.workloads import Subject, build, layout_of, named
from clavilux.graph import StepGraph
from clavilux.graph_cache import GRAPHS
from clavilux.image.codecs.vq import VQ, VQSpec
from clavilux.kernels.backend import interpreted
from clavilux.kernels.folded import fold
from clavilux.kernels.launch import overlaps
from clavilux.kernels.norm_linear import norm_linear
from clavilux.kernels.norm_linear.reference import normalize
from clavilux.layout import OPEN
from clavilux.loop import generate_tokens
from clavilux.sampling import Sampler, SamplingSpec

Codec = TypeVar("Codec", bound=torch.nn.Module)
STEPS = 64
START_S = 0.005  # in which a call of a shape that was captured should give its first token


# Whose steps are compared with and without dependent launch: four codebooks, eight bits, one large vocabulary, spans.
OVERLAPPED = (("musicgen-small", "bfloat16"), ("musicgen-small", "int8"), ("llamagen-b", "bfloat16"),
              ("jukebox-upsampler", "bfloat16"))  # fmt: skip
MEANS = (0.0, 3.0, 10.0, 30.0)  # of the rows that are normed, in their deviations
ALLOWED = 1.5  # times PyTorch's own error


def subject(device: torch.device, quick: bool, name: str = "musicgen-small", dtype: str = "bfloat16") -> Subject:
    """Weights as a render has them."""
    one = build(named("aria-composer" if quick else name), device)
    return one.in_dtype(dtype) if device.type == "cuda" else one


def start(one: Subject, num_steps: int, *, overlapped: bool = True) -> StepGraph:
    """A graph whose first token is drawn: what follows is one step after another from position 1."""
    state = one.decoder.new_state(one.model.rows, one.conditioning(length=num_steps + 1), num_steps + 1)
    plan = torch.full((1, one.model.codebooks, num_steps + 1), OPEN, device=one.device)
    graph = StepGraph(one.decoder, state, one.sampling, plan, overlapped=overlapped)
    tokens = torch.full((one.model.rows, one.model.codebooks, 1), 3, device=one.device)
    graph.draw(one.decoder.prefill(tokens, state), 0)
    return graph


@torch.inference_mode()
def capture(device: torch.device, quick: bool) -> dict:
    """A run of steps is as many graph launches, no kernel launches beside them, and no synchronisation."""
    one = subject(device, quick)
    graph = start(one, STEPS)
    graph.run(1, 1, 2)  # captures
    assert graph.captured == (device.type == "cuda"), f"captured is {graph.captured} on {device}"
    if device.type != "cuda":
        return {"captured": False, "device": str(device)}
    count = STEPS - 4
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")  # any synchronisation that torch knows of raises
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            graph.run(3, 3, count)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.cuda.synchronize()
    calls = {event.key: event.count for event in profile.key_averages() if event.key.startswith("cuda")}
    launched = sum(number for name, number in calls.items() if "LaunchKernel" in name)
    waited = sum(number for name, number in calls.items() if "Synchronize" in name and "StreamWait" not in name)
    assert calls.get("cudaGraphLaunch") == count, f"{count} steps made these calls: {calls}"
    assert launched <= 3, f"{launched} kernels were launched beside the graph: {calls}"  # the clock is set once a run
    assert bool((graph.plan[:, :, : 3 + count] != OPEN).all()), "a step wrote nothing"
    return {"captured": True, "steps": count, "graph_launches": count, "kernel_launches": launched, "waits": waited}


@torch.inference_mode()
def same_tokens(device: torch.device, quick: bool) -> dict:
    """The replayed steps draw what the same steps draw when each op is called from Python; and how long both take."""
    one = subject(device, quick)
    graph, state = start(one, STEPS), None
    seconds = {}
    for name in ("captured", "captured again"):
        torch.cuda.synchronize() if device.type == "cuda" else None
        graph.plan[:, :, 1:] = OPEN
        graph.tokens.copy_(graph.plan[:, :, 0])
        started = time.perf_counter()
        graph.run(1, 1, STEPS)
        torch.cuda.synchronize() if device.type == "cuda" else None
        seconds[name] = (time.perf_counter() - started) / STEPS
    model = one.model
    state = one.decoder.new_state(model.rows, one.conditioning(length=STEPS + 1), STEPS + 1)
    sampler = Sampler(one.sampling, 1, model.codebooks, model.vocabulary, device)
    tokens = torch.full((model.rows, model.codebooks, 1), 3, device=device)
    drawn = [sampler.draw(one.decoder.prefill(tokens, state), 0)]
    started = time.perf_counter()
    for step in range(1, STEPS + 1):
        drawn.append(sampler.draw(one.decoder.step(drawn[-1], state), step))
    eager = torch.stack(drawn, 2)
    different = int((eager != graph.plan).sum())
    assert not different, f"{different} of {eager.numel()} tokens differ from those of the eager loop"
    assert len(eager.unique()) > 8, f"only {len(eager.unique())} different tokens were drawn: that proves little"
    eager_s = (time.perf_counter() - started) / STEPS
    return {"tokens": eager.numel(), "captured_step_s": seconds["captured again"], "eager_step_s": eager_s}


@torch.inference_mode()
def second_call(device: torch.device, quick: bool) -> dict:
    """A call of a shape that was captured captures nothing, starts at once, and draws what a fresh one draws."""
    one = subject(device, quick)
    layout, count = layout_of(one.model), 12 if quick else 48
    given = one.conditioning(length=count + 8)
    prompt = torch.full((1, one.model.codebooks, 1), 3, device=device)
    plan = layout.arrange(torch.zeros(1, one.model.codebooks, 0, dtype=torch.int64), count)
    words = {"temperature": one.model.temperature, "top_k": one.model.top_k, "guidance": one.model.weights}

    def call(seed: int) -> tuple[torch.Tensor, float]:
        """Its tokens, and seconds to the first of them."""
        torch.cuda.synchronize() if device.type == "cuda" else None
        started = time.perf_counter()
        sampling = SamplingSpec(seed=seed, **words)
        steps = generate_tokens(one.decoder, sampling, prompt, plan=plan, layout=layout, conditioning=given)
        tokens = [next(steps)]
        start_s = time.perf_counter() - started
        return torch.stack([*tokens, *steps], 2).cpu(), start_s

    GRAPHS.let_go()
    captured, capture_s = GRAPHS.num_captured, GRAPHS.capture_s
    _, first_s = call(1)
    assert GRAPHS.num_captured - captured == step_graph.captures(device), "the first call has to capture a step"
    capture_s = GRAPHS.capture_s - capture_s
    later = [call(seed) for seed in range(2, 9)]
    assert GRAPHS.num_captured - captured <= 1, "a call of the same shape captured the step again"
    GRAPHS.let_go()
    fresh, _ = call(8)
    different = int((fresh != later[-1][0]).sum())
    assert not different, f"{different} of {fresh.numel()} tokens differ from those of a fresh capture"
    assert len(fresh.unique()) > 8, f"only {len(fresh.unique())} different tokens were drawn: that proves little"
    start_s = statistics.median(each for _, each in later)
    assert device.type != "cuda" or start_s <= START_S, f"a later call gives its first token after {start_s:.4f} s"
    return {"first_s": first_s, "capture_s": capture_s, "second_s": later[0][1], "later_s": start_s}


@torch.inference_mode()
def rows_alone(device: torch.device, quick: bool) -> dict:
    """Row i of a batch of 8 is bit for bit what it is alone: its tokens, by the engine's loop, and its logits."""
    one = subject(device, quick)
    frames, batch = (12, 3) if quick else (40, 8)
    model = one.model
    words = {"temperature": model.temperature, "top_k": model.top_k, "guidance": model.weights}
    seeds = tuple(range(100, 100 + batch))
    conditioning = one.conditioning
    memory = None if conditioning().memory is None else conditioning().memory[:1]

    # Every row is conditioned on the same text, so that it can be had alone.
    alike = _Alike(one, memory)
    together = generate(alike, frames, SamplingSpec(seed=seeds, **words), batch)
    different = []
    for row, seed in enumerate(seeds):
        alone = generate(alike, frames, SamplingSpec(seed=(seed,), **words))
        if not torch.equal(alone[0], together[row]):
            different.append(row)
    assert not different, f"the rows {different} of a batch of {batch} are not what they are alone"
    rows = int(torch.tensor([len(together[row].unique()) for row in range(batch)]).min())
    assert rows > 4, "too few different tokens were drawn: that proves little"
    return {"batch": batch, "frames": frames, "layout": type(layout_of(one.model)).__name__, "different_rows": 0}


@torch.inference_mode()
def dependent_launch(device: torch.device, quick: bool) -> dict:
    """100 captured steps with and without dependent launch: equal tokens, keys and values, bit for bit."""
    count, compared = 100, {}
    for name, dtype in OVERLAPPED[:1] if quick else OVERLAPPED:
        one = subject(device, quick, name, dtype)
        found = []
        for overlapped in (False, True, True):  # a race need not show the first time
            graph = start(one, count, overlapped=overlapped)
            graph.run(1, 1, count)
            found.append([graph.plan, *(part.view(torch.uint8) for part in (*graph.state.k, *graph.state.v))])
        different = [sum(int((a != b).sum()) for a, b in zip(found[0], other, strict=True)) for other in found[1:]]
        assert different == [0, 0], f"{name}, {dtype}: {different} tokens and bytes differ with dependent launch"
        tokens = len(found[0][0].unique())
        assert tokens > 8, f"{name}, {dtype}: only {tokens} different tokens were drawn: that proves little"
        compared[f"{name}, {dtype}"] = sum(part.numel() for part in found[0])
    return {"steps": count, "overlaps": overlaps(device), "compared": compared, "different": 0}


@torch.inference_mode()
def folded_norm(device: torch.device, quick: bool) -> dict:
    """The error of a norm folded into its matrix beside PyTorch's norm and product, both against float64."""
    rows, width, outs = (4, 96, 40) if quick else (8, 2048, 6144)
    generator = torch.Generator(device).manual_seed(0)
    normal = lambda *size: torch.randn(size, device=device, generator=generator)  # noqa: E731
    weight, gain, shift = normal(outs, width) * width**-0.5, 1 + 0.3 * normal(width), 0.3 * normal(width)
    errors: dict[str, dict[str, float]] = {}
    for dtype in (torch.bfloat16, torch.float16):
        # Triton's interpreter has no bfloat16; on a CPU without it the op runs in PyTorch.
        kernel = device.type == "cuda" or (interpreted() and dtype == torch.float16)
        for norm in ("layer", "rms"):
            offset = shift if norm == "layer" else None
            folded, bias = fold(weight, gain, offset, None, dtype)
            for mean in MEANS:
                x = (normal(rows, width) + mean).to(dtype)
                half = [None if part is None else part.to(dtype) for part in (gain, offset, weight)]
                exact = F.linear(normalize(x.double(), gain.double(), None if offset is None else offset.double(),
                                           norm, 1e-5), weight.double())  # fmt: skip
                ours = norm_linear(x, None, None, folded, bias, norm=norm, backend="triton" if kernel else None)
                theirs = F.linear(normalize(x, half[0], half[1], norm, 1e-5), half[2])
                found = {"folded": _rms_error(ours, exact), "torch": _rms_error(theirs, exact)}
                at = f"{str(dtype).removeprefix('torch.')}, {norm}, mean {mean:g} deviations"
                errors[at] = found
                assert found["folded"] <= ALLOWED * found["torch"], f"{at}: {found}, at most {ALLOWED} times torch's"
    return {"errors": errors}


def _rms_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Root mean square, relative; NaN counts as infinite."""
    error = float((found.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt())
    return error if error == error else float("inf")


class _Alike(Subject):
    """A subject whose pieces all have the same memory."""

    def __init__(self, one: Subject, memory: torch.Tensor | None):
        super().__init__(one.model, one.decoder, one.dtype, one.error)
        object.__setattr__(self, "_memory", memory)

    def conditioning(self, batch: int = 1, length: int | None = None):
        found = super().conditioning(batch, length)
        if self._memory is not None:
            found.memory[:batch] = self._memory
        return found


@torch.inference_mode()
def replayed_codec(device: torch.device, quick: bool) -> dict:
    """EnCodec's stream and a picture's decode as graphs give what they give kernel by kernel, in float32 and in half.

    Where a library's own kernels are not the same twice, the graph may differ by twice as much. What half precision
    costs against float32 on this device, and what each takes, is told.
    """
    with torch.inference_mode(False):  # as codecs are loaded
        stream, picture = _encodec(device, quick), _vq(device, quick)
    generator = torch.Generator().manual_seed(5)
    frames, places = 10 if quick else 50, 16 if quick else 256
    tokens = torch.randint(stream.vocabulary, (1, stream.codebooks, 8 * frames), generator=generator)
    painted = torch.randint(picture.vocabulary, (1, 1, places), generator=generator)
    found: dict = {}
    for name, codec, decode in (
        ("stream", stream, lambda: _streamed(stream, tokens, frames)),
        ("picture", picture, lambda: picture.decode(painted)),
    ):
        exact = None
        for kind in ("float32", "half"):
            assert kind == "float32" or codec.decode_in_half(), "weights beyond float16's range"
            plain, again = (_plain(codec, decode) for _ in range(2))
            noise = float((again - plain).abs().max())
            decode(), decode()  # a shape is captured when it comes again
            differs = float((decode() - plain).abs().max())
            assert differs <= 2 * noise, f"{name}, {kind}: the graph differs by {differs:.3g}, two runs by {noise:.3g}"
            graphs = codec._captured.num_graphs
            assert (graphs > 0) == (device.type == "cuda"), f"{name}, {kind}: {graphs} graphs on {device}"
            exact = plain if exact is None else exact
            row = {
                "graphs": graphs, "noise": noise, "differs": differs, "replayed_s": _seconds(decode, device),
                "plain_s": _seconds(lambda codec=codec, decode=decode: _plain(codec, decode), device),
            }  # fmt: skip
            if kind == "half":
                row["error_db"] = float(20 * ((plain - exact).norm() / exact.norm()).log10())
            found[f"{name} {kind}"] = row
    worst = max(row["error_db"] for name, row in found.items() if name.endswith("half"))
    assert worst < -40, f"half precision's error is {worst:.0f} dB below what is decoded; at least 40 are expected"
    return found


def _encodec(device: torch.device, quick: bool) -> Encodec:
    """Of MusicGen's sizes, with random weights under which sound neither fades nor grows much."""
    network = SeanetSpec(
        filters=4 if quick else 64, ratios=(8, 5, 4, 4), causal=False, conv_shortcut=False, pad_mode="constant"
    )
    return _scaled(Encodec(EncodecSpec(network, sample_rate=32000, codebooks=4, vocabulary=2048)), device)


def _vq(device: torch.device, quick: bool) -> VQ:
    return _scaled(VQ(VQSpec(base_channels=32, multipliers=(1, 2)) if quick else VQSpec()), device)


def _scaled(codec: Codec, device: torch.device) -> Codec:
    torch.manual_seed(0)
    for name, tensor in codec.named_parameters():
        if "norm" in name:
            torch.nn.init.constant_(tensor, float(name.endswith("weight")))
        elif tensor.ndim > 1:
            torch.nn.init.normal_(tensor, std=tensor[0].numel() ** -0.5)
        else:
            torch.nn.init.normal_(tensor, std=0.1)
    return codec.requires_grad_(False).eval().to(device)


def _streamed(codec: Encodec, tokens: torch.Tensor, frames: int) -> torch.Tensor:
    stream = codec.decoder_stream()
    pieces = [stream.push(part) for part in tokens.split(frames, dim=2)]
    return torch.cat([*(piece for piece in pieces if piece is not None), stream.finish()], dim=2)


def _plain(codec: torch.nn.Module, decode: Callable[[], torch.Tensor]) -> torch.Tensor:
    """What `decode` gives where nothing is captured."""
    serves, codec._captured.serves = codec._captured.serves, lambda device: False
    try:
        return decode()
    finally:
        codec._captured.serves = serves


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """The median of five."""
    samples = []
    for _ in range(5):
        torch.cuda.synchronize() if device.type == "cuda" else None
        started = time.perf_counter()
        call()
        torch.cuda.synchronize() if device.type == "cuda" else None
        samples.append(time.perf_counter() - started)
    return sorted(samples)[2]


PROOFS = (capture, same_tokens, second_call, dependent_launch, rows_alone, folded_norm, replayed_codec)
