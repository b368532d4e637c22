"""Pictures and whole renders on a GPU, in one command and at most ten minutes: seconds, and where they go.

    python benchmarks/gpu_renders.py [--minutes 9] [--out FOLDER] [--device cuda] [--only pictures music jukebox]
                                     [--quick] [--commit NAME]

- pictures: LlamaGen B to 3B at 384 pixels, one label and eight side by side, the VQ decoder included;
- music: a minute of MusicGen-large through its windows, EnCodec included;
- jukebox: a minute, reckoned from each level's measured step (20,700 + 82,700 + 330,800 of them) and from what moving a
  window on costs, with windows one after another and with 16 stretches of the song side by side.

The weights are random and of the published sizes: speed does not depend on them. What is not measured: T5 reading the
prompt, Jukebox's upsampling of what conditions a window, files. The first call of a shape also compiles and captures:
it is `first_s`, and not among the samples. `start_s` is from a later call to its first token. Needs torch and triton.
`--device cpu --quick` shows that it runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import checkout
import torch

from clavilux.audio.codecs.encodec import Encodec
from clavilux.audio.codecs.encodec_spec import EncodecSpec
from clavilux.audio.codecs.seanet import SeanetSpec
from clavilux.audio.codecs.vqvae import VQVAE, VQVAELevel
from clavilux.audio.codecs.vqvae_spec import VQVAESpec
from clavilux.bench import report
from clavilux.bench.steps import fits
from clavilux.bench.suite import Bench
from clavilux.bench.timing import Timing, measure
from clavilux.bench.variants import MOST_STEPS, whole_graph
from clavilux.bench.workloads import Subject, build, layout_of, named, shortened
from clavilux.files import write_json
from clavilux.image.codecs.vq import VQ, VQSpec
from clavilux.loop import generate_tokens
from clavilux.precision import place_codec
from clavilux.sampling import SamplingSpec
from clavilux.windows import Windows, overlapping

PATCH = 16  # pixels that a token is wide
SIZES = ("xl", "b", "l", "3b", "xxl")  # of LlamaGen, most telling first
FRAME_RATE, STRIDE = 50, 0.6  # of MusicGen: frames a second, and by what share of it a full window moves on
MINUTE = 60
# Of a minute of Jukebox: each level's shape, its tokens, and by what share of the context a window moves on.
LEVELS = (("jukebox-5b", 20_700, 1 / 8), ("jukebox-upsampler", 82_700, 1 / 2), ("jukebox-upsampler", 330_800, 1 / 2))
LANES = 16  # stretches of a song side by side


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """What a call takes until the device is idle again."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def by_part(bench: Bench, parts: Mapping[str, Callable[[], object]], subject: str, at: str, dtype: str) -> dict | None:
    """Run the parts one after another, again and again; the row, which is kept. None where the time is up."""
    if bench.late(f"renders, {subject}, {at}"):
        return None
    bench.announce(f"renders: {subject}, {at}")
    rounds = [{name: seconds_of(call, bench.device) for name, call in parts.items()} for _ in range(1 + bench.repeats)]
    first, rest = rounds[0], rounds[1:]
    timing = Timing(tuple(sum(one.values()) for one in rest))
    row = {"suite": "renders", "subject": subject, "at": at, "side": f"clavilux {dtype}", "dtype": dtype,
           "median_s": timing.median_s, "iqr_s": timing.iqr_s, "samples_s": list(timing.samples_s),
           "first_s": sum(first.values()), "times_as_fast_as": {},
           "parts_s": {name: statistics.median(one[name] for one in rest) for name in parts}}  # fmt: skip
    keep(bench, row)
    return row


def keep(bench: Bench, row: dict) -> None:
    bench.rows.append(row)
    parts = ", ".join(f"{name} {report.duration(took)}" for name, took in row["parts_s"].items())
    print(f"  {row['subject']}, {row['at']}: {report.duration(row['median_s'])} ({parts})", flush=True)
    bench.changed(bench.report())


def weighed(bench: Bench, name: str, dtype: str) -> Subject | None:
    """A model's shape with random weights; None where there is no room for it."""
    model = shortened(named(name), bench.quick)
    if not fits(bench, model, (dtype,)):
        return None
    with torch.inference_mode():
        return build(model, bench.device).in_dtype(dtype)


def draw(subject: Subject, num_frames: int, batch: int, windows: Windows | None = None) -> tuple[torch.Tensor, float]:
    """int64 [B, K, num_frames] on the host, by the engine's own loop; seconds until the first of them was there."""
    layout = layout_of(subject.model)
    special = getattr(layout, "special", None) or 0
    start = torch.full((batch, subject.model.codebooks, 1), special, device=subject.device)
    plan = layout.arrange(torch.zeros(1, subject.model.codebooks, 0, dtype=torch.int64), num_frames)
    plan = plan if subject.device.type == "cuda" else plan.to(subject.device)
    model = subject.model
    sampling = SamplingSpec(temperature=model.temperature, top_k=model.top_k, top_p=model.top_p,
                            guidance=model.weights, seed=tuple(range(batch)))  # fmt: skip
    given = subject.conditioning(batch, min(plan.shape[2] + 1, model.context))
    with torch.inference_mode():
        started = time.perf_counter()
        steps = generate_tokens(
            subject.decoder, sampling, start, plan=plan, layout=layout, windows=windows, conditioning=given
        )
        drawn = [next(steps).cpu()]
        start_s = time.perf_counter() - started
        drawn += [step.cpu() for step in steps]
        return layout.restore(torch.stack(drawn, 2)), start_s


class Drawn:
    """Tokens that are drawn again and again.

    Attributes:
        tokens: int64 [B, K, num_frames] on the device, the last ones.
    """

    def __init__(self, subject: Subject, num_frames: int, batch: int, windows: Windows | None = None):
        self._asked, self._device = (subject, num_frames, batch, windows), subject.device
        self._starts: list[float] = []

    def draw(self) -> None:
        tokens, start_s = draw(*self._asked)
        self.tokens = tokens.to(self._device)
        self._starts.append(start_s)

    @property
    def start_s(self) -> float:
        """From a call to its first token, in the calls after the first one."""
        return statistics.median(self._starts[1:])


def randomized(module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Every number of a codec drawn small, so that none overflows on its way; placed as a render places it."""
    torch.manual_seed(0)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dtype.is_floating_point:
            torch.nn.init.normal_(tensor, std=0.02)
    place_codec(module, device, "auto")  # on a GPU it decodes in float16
    return module


def pictures(bench: Bench) -> None:
    """LlamaGen of every size: tokens with guidance and top-k, then pixels."""
    pixels = 64 if bench.quick else 384
    codec = vq(bench.device)
    for size in SIZES[:1] if bench.quick else SIZES:
        subject = weighed(bench, f"llamagen-{size}", usual(bench))
        for batch in (1, 8) if subject is not None else ():
            work = Drawn(subject, (pixels // PATCH) ** 2, batch)
            parts = {"tokens": work.draw, "VQ decoder": lambda work=work: codec.decode(work.tokens)}
            at = f"{pixels} pixels, {'a label' if batch == 1 else f'{batch} labels'}"
            row = by_part(bench, parts, subject.model.name, at, subject.dtype)
            if row is not None:
                row |= {"s_a_picture": row["median_s"] / batch, "start_s": work.start_s}
        del subject
        release(bench.device)


def music(bench: Bench) -> None:
    """A minute of MusicGen-large."""
    subject = weighed(bench, "musicgen-large", usual(bench))
    if subject is None:
        return
    seconds = 1 if bench.quick else MINUTE
    codec = encodec(bench.device)
    windows = Windows(subject.model.context, int(STRIDE * subject.model.context), keep=1)
    work = Drawn(subject, seconds * FRAME_RATE, 1, windows)
    parts = {"tokens": work.draw, "EnCodec": lambda: codec.decode(work.tokens)}
    row = by_part(bench, parts, subject.model.name, f"{seconds} s of music", subject.dtype)
    if row is not None:
        row |= {"real_time_factor": seconds / row["median_s"], "start_s": work.start_s}
    release(bench.device)


def jukebox(bench: Bench) -> None:
    """A minute of Jukebox out of each level's step, window and the VQ-VAE's decoder, which are measured."""
    costs: dict[str, dict[int, dict[str, float]]] = {}
    for name, _, hop in dict.fromkeys((name, 0, hop) for name, _, hop in LEVELS):
        subject = weighed(bench, name, usual(bench))
        if subject is None or bench.late(f"renders, {name}"):
            return
        with torch.inference_mode():
            costs[name] = {lanes: level_costs(bench, subject, lanes, hop) for lanes in (1, LANES)}
        del subject
        release(bench.device)
    codec = vqvae(bench.device)
    share = 0.01 if bench.quick else 1.0  # of the minute
    sound = torch.randint(codec.vocabulary, (1, 1, round(share * LEVELS[-1][1])), device=bench.device)
    decoded = [seconds_of(lambda: codec.decode(sound), bench.device) / share for _ in range(1 + bench.repeats)][1:]
    for lanes in (1, LANES):
        parts = {f"level {len(LEVELS) - 1 - index}": total_s(costs[name][lanes], named(name).context, steps, hop, lanes)
                 for index, (name, steps, hop) in enumerate(LEVELS)}  # fmt: skip
        parts["VQ-VAE"] = statistics.median(decoded)
        total = sum(parts.values())
        how = "windows one after another" if lanes == 1 else f"{lanes} stretches side by side"
        subject = "jukebox-of-2-layers" if bench.quick else "jukebox"
        row = {"suite": "renders", "subject": subject, "at": f"a minute, {how}", "side": f"clavilux {usual(bench)}",
               "dtype": usual(bench), "median_s": total, "iqr_s": 0.0, "samples_s": [total], "times_as_fast_as": {},
               "parts_s": parts, "reckoned": True, "real_time_factor": MINUTE / total,
               "measured_s": {name: found[lanes] for name, found in costs.items()}}  # fmt: skip
        keep(bench, row)
    bench.note("a minute of Jukebox is reckoned: steps times a measured step, windows times the pass that opens one")


def level_costs(bench: Bench, subject: Subject, lanes: int, hop: float) -> dict[str, float]:
    """Seconds of a step with half of the context behind it, and of the pass over what a window keeps of the last."""
    context = 128 if bench.quick else subject.model.context
    half, kept = context // 2, round(context * (1 - hop))
    side = whole_graph(subject, half, "step", batch=lanes)
    step = measure([side], bench.device, repeats=bench.repeats, most=MOST_STEPS)["step"].median_s
    tokens = torch.randint(subject.model.vocabulary, (lanes, 1, kept), device=bench.device)
    state = subject.decoder.new_state(lanes, subject.conditioning(lanes, kept), kept)

    def window() -> None:
        state.rewind(0)
        subject.decoder.prefill(tokens, state)

    passes = [seconds_of(window, bench.device) for _ in range(1 + bench.repeats)][1:]
    return {"step": step, "window": statistics.median(passes)}


def total_s(costs: Mapping[str, float], context: int, steps: int, hop: float, lanes: int) -> float:
    """Of a level: every lane draws its share at once, and each of its windows but the first is opened by a pass."""
    own = -(-steps // lanes)
    moves = len(overlapping(own, context, round(context * hop))) - 1
    return own * costs["step"] + moves * costs["window"]


def vq(device: torch.device) -> VQ:
    """LlamaGen's codec."""
    return randomized(VQ(VQSpec()), device)


def encodec(device: torch.device) -> Encodec:
    """MusicGen's codec, 32 kHz."""
    network = SeanetSpec(filters=64, ratios=(8, 5, 4, 4), causal=False, conv_shortcut=False)
    return randomized(Encodec(EncodecSpec(network, sample_rate=32000, codebooks=4, vocabulary=2048)), device)


def vqvae(device: torch.device) -> VQVAELevel:
    """The level of Jukebox's codec that gives the sound."""
    return randomized(VQVAE(VQVAESpec()), device).level(0)


def usual(bench: Bench) -> str:
    """The numbers that are rendered in."""
    return "bfloat16" if bench.device.type == "cuda" else "float32"


def release(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


PARTS = {"pictures": pictures, "music": music, "jukebox": jukebox}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="when to stop beginning anything new")
    parser.add_argument("--out", type=Path, default=checkout.ROOT / "benchmarks" / "results", help="folder of the file")
    parser.add_argument("--device", default="cuda", help="cpu shows only that the command works")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--commit", help="where the checkout cannot tell")
    parser.add_argument("--quick", action="store_true", help="two layers and small sizes")
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --quick shows only that the command works")
    if not args.out.is_dir():
        parser.error(f"--out is {str(args.out)!r}; it should be a folder")
    started, device = time.monotonic(), torch.device(args.device)
    path = args.out / f"{date.today().isoformat()}-renders-{device.type}.json"
    announce = lambda text: print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)  # noqa: E731
    bench = Bench(device, repeats=1 if args.quick else 3, quick=args.quick, commit=args.commit, announce=announce)
    bench.changed = lambda found: write_json({**found, "failures": failures}, path)
    bench.deadline = started + 60 * args.minutes
    failures: list[str] = []
    bench.measure_ceilings()
    for name in args.only:
        try:
            PARTS[name](bench)
        except Exception as error:  # what fails is reported, and what comes after it still runs
            failures.append(f"{name}: {type(error).__name__}: {error}")
            print(f"FAILED: {failures[-1]}", flush=True)
        release(device)
    bench.changed(bench.report())
    print(report.plain(bench.report()))
    print(f"wrote {path}, {len(failures)} failures, {time.monotonic() - started:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
