"""What a step of Jukebox's upsampler costs beside transformers 4.57.6, the last that has Jukebox, on one machine.

    python benchmarks/jukebox_steps.py --peer PYTHON [--json FILE]

PYTHON is an interpreter with transformers 4.57.6 in an environment of its own. Both sides hold the same random weights
of 4 of an upsampler's 72 layers (width 1920, one head of 480, a context of 8192 in 128 blocks), draw greedily, and take
turns. Tokens are compared in float32 before anything is timed. A sample is the median of the steps of one run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

LAYERS, STEPS = 4, 48
STARTS = (0, 4096)  # tokens in the window before the first one that is timed
CONFIG = {
    "mask": True, "music_vocab_size": 2048, "hidden_size": 1920, "n_heads": 1, "n_ctx": 8192, "blocks": 128,
    "num_layers": LAYERS, "metadata_dims": [120, 4111], "max_nb_genres": 5, "timing_dims": 64, "sampling_rate": 44100,
    "min_duration": 0, "max_duration": 600, "res_downs_t": [3, 2, 2], "res_strides_t": [2, 2, 2], "level": 1,
    "attention_pattern": "raw_column_previous_row_attention", "is_encoder_decoder": False, "merged_decoder": False,
    "nb_relevant_lyric_tokens": 0, "res_conv_depth": 1, "res_conv_width": 16, "res_dilation_growth_rate": 3,
}  # fmt: skip


def theirs(folder: Path) -> None:
    """The peer: saves its weights, then draws from the start that each line of stdin names; answers in JSON."""
    import warnings

    warnings.simplefilter("ignore")
    import torch
    from safetensors.torch import save_file
    from transformers.models.deprecated.jukebox import modeling_jukebox as module
    from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxPriorConfig

    module.tqdm = partial(module.tqdm, disable=True)  # no bar in what is timed
    torch.manual_seed(0)
    prior = module.JukeboxPrior(JukeboxPriorConfig(**CONFIG), nb_priors=3).eval()
    with torch.no_grad():
        for value in prior.parameters():
            if value.ndim > 1:
                value.normal_(std=0.02)
        prior.prior.embed_tokens.weight.normal_(std=0.3)
    save_file({name: value.clone() for name, value in prior.state_dict().items()}, folder / "weights.safetensors")
    begins = torch.zeros(1, 1, CONFIG["hidden_size"])
    given = torch.zeros(1, CONFIG["n_ctx"], CONFIG["hidden_size"])
    known = torch.randint(2048, (1, max(STARTS)), generator=torch.Generator().manual_seed(1))
    times: list[float] = []
    prior.prior.transformer.register_forward_pre_hook(lambda *_: times.append(time.perf_counter()))
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        start = int(line)
        times.clear()
        options = {"top_k": 1, "sample_tokens": start + STEPS}
        with torch.no_grad():
            if start:
                drawn = prior.prior.primed_sample(1, known[:, :start].clone(), given, begins, chunk_size=256, **options)
            else:
                drawn = prior.prior.sample(1, given, begins, **options)
        gaps = [(b - a) * 1000 for a, b in itertools.pairwise(times)][-(STEPS - 2) :]
        print(json.dumps({"tokens": drawn[0, start:].tolist(), "ms": statistics.median(gaps)}), flush=True)


def ours(folder: Path, dtype: str):
    """generate_tokens(start) -> (tokens, median milliseconds a step), with the peer's weights in a dtype."""
    import torch
    from safetensors.torch import load_file

    from clavilux.audio.codecs.vqvae_spec import VQVAESpec
    from clavilux.conditioning import Conditioning
    from clavilux.families.jukebox.checkpoint_config import from_transformers
    from clavilux.families.jukebox.weights import filled, held_source
    from clavilux.layout import OPEN
    from clavilux.loop import generate_tokens
    from clavilux.precision import prepare
    from clavilux.sampling import SamplingSpec

    plain = {**CONFIG, "level": 0, "num_layers": 1}
    config = {"nb_priors": 3, "prior_config_list": [plain, CONFIG, {**CONFIG, "level": 2}]}
    sizes = from_transformers(config, VQVAESpec())[1]
    prior = filled(sizes, held_source("the peer's", load_file(folder / "weights.safetensors")), torch.float32)
    dtype = prepare(prior, prior.decoder, torch.device("cpu"), dtype)["dtype"]
    width = CONFIG["hidden_size"]
    zeros = torch.zeros(1, CONFIG["n_ctx"], width)
    given = Conditioning(prefix=zeros[:, :1], additive=zeros[:, 1:], output_additive=zeros)
    known = torch.randint(2048, (1, max(STARTS)), generator=torch.Generator().manual_seed(1))

    def run(start: int):
        # room for all of the window, as a render has
        plan = torch.full((1, 1, CONFIG["n_ctx"]), OPEN)
        plan[0, :, :start] = known[:, :start]
        tokens, times = [], []
        with torch.inference_mode():
            prompt = torch.zeros(1, 1, 0, dtype=torch.int64)
            steps = generate_tokens(prior.decoder, SamplingSpec(temperature=0), prompt, plan=plan, conditioning=given)
            for index, step in enumerate(steps):
                if index >= start:
                    tokens.append(int(step))
                    times.append(time.perf_counter())
                if len(tokens) == STEPS:
                    break
        gaps = [(b - a) * 1000 for a, b in itertools.pairwise(times)][2:]
        return tokens, statistics.median(gaps)

    return run, dtype


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        return theirs(asked.serve)
    import torch

    with tempfile.TemporaryDirectory() as name:
        command = [asked.peer, __file__, "--serve", name]
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def their_run(start: int):
            peer.stdin.write(f"{start}\n")
            peer.stdin.flush()
            found = json.loads(peer.stdout.readline())
            return found["tokens"], found["ms"]

        about = json.loads(peer.stdout.readline())
        sides = {"transformers 4.57.6, float32": their_run}
        for dtype in ("float32", "bfloat16", "float16", "int8"):
            run, settled = ours(Path(name), dtype)
            sides[f"clavilux, {settled}"] = run
        rows = [_compared(start, sides, asked.repeats) for start in STARTS]
        peer.stdin.close()
        peer.wait()
    report = {
        "what": f"{LAYERS} layers of an upsampler, milliseconds a step", "peer": about, "torch": torch.__version__,
        "threads": torch.get_num_threads(), "layers": LAYERS, "rows": rows,
    }  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1))


def _compared(start: int, sides, repeats: int) -> dict:
    tokens = {name: run(start)[0] for name, run in sides.items()}
    first, second, *_ = tokens.values()
    same = sum(a == b for a, b in zip(first, second, strict=True))
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name in list(sides)[:: -1 if repeat % 2 else 1]:
            samples[name].append(sides[name](start)[1])
    theirs_ms = statistics.median(next(iter(samples.values())))
    print(f"from token {start}: {same} of {STEPS} greedy tokens equal in float32")
    for name, values in samples.items():
        middle = statistics.median(values)
        print(f"  {name:32} {middle:7.2f} ms ({min(values):.2f} to {max(values):.2f}), {theirs_ms / middle:.2f}x")
    return {"start": start, "equal_tokens": same, "of": STEPS, "ms": samples}


if __name__ == "__main__":
    main()
