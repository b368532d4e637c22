"""A whole render of MusicGen-small, from the words to the sound, beside transformers' `generate`.

    python benchmarks/musicgen_render.py --json benchmarks/results/DATE-musicgen-render-cpu.json

The weights are random, for speed does not depend on them, and the same on both sides: one folder that transformers
saved (2.4 GB, made once). Text, tokens and codec are all of the published sizes. Before anything is timed, the greedy
tokens of both sides are compared in float32. Sides take turns; every sample is kept.
"""

import argparse
import contextlib
import gc
import json
import logging
import resource
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import torch

import clavilux
from clavilux.bench.machine import machine
from clavilux.bench.timing import turns

PROMPT = "slow church organ chorale in the night and rain with drums"
CODEBOOKS, VOCABULARY, FRAME_RATE = 4, 2048, 50


def save_model(folder: Path) -> None:
    """MusicGen-small's sizes with random weights, as transformers saves it, and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import EncodecConfig, MusicgenConfig, MusicgenForConditionalGeneration, T5Config
    from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

    text = T5Config(d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12, vocab_size=32128)
    codec = EncodecConfig(
        sampling_rate=32000, audio_channels=1, normalize=False, chunk_length_s=None, num_filters=64,
        upsampling_ratios=[8, 5, 4, 4], codebook_size=VOCABULARY, codebook_dim=128, hidden_size=128,
        num_lstm_layers=2, target_bandwidths=[2.2], use_causal_conv=False, norm_type="weight_norm", pad_mode="reflect",
        use_conv_shortcut=False,
    )  # fmt: skip
    torch.manual_seed(0)
    config = MusicgenConfig(text_encoder=text, audio_encoder=codec, decoder=MusicgenDecoderConfig(dropout=0.0))
    model = MusicgenForConditionalGeneration(config).eval()
    with torch.no_grad():
        for head in model.decoder.lm_heads:
            head.weight.mul_(20)  # as drawn, all tokens are nearly equally likely, and greedy ones are ties
    model.generation_config.decoder_start_token_id = VOCABULARY
    model.save_pretrained(folder)
    words = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *sorted(set(PROMPT.split()))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))


class Ours:
    """`clavilux.load` and `generate` in one kind of numbers."""

    def __init__(self, folder: Path, dtype: str):
        self.name = f"clavilux {dtype}"
        started = time.perf_counter()
        self.model = clavilux.load(folder, device="cpu", dtype=dtype)
        self.load_s = time.perf_counter() - started

    def run(self, seconds: float, **options):
        return self.model.generate(PROMPT, seconds=seconds, seed=1, **options)

    def first_piece_s(self, seconds: float) -> tuple[float, float]:
        """How long the first piece of a stream takes, and how long it sounds."""
        started = time.perf_counter()
        piece = next(iter(self.model.stream(PROMPT, seconds=seconds, seed=1)))
        return time.perf_counter() - started, piece.duration_s


class Theirs:
    """transformers' model and `generate` in one kind of numbers."""

    def __init__(self, folder: Path, dtype: str):
        from tokenizers import Tokenizer
        from transformers import MusicgenForConditionalGeneration

        self.name = f"transformers {dtype}"
        started = time.perf_counter()
        number = getattr(torch, dtype)
        self.model = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=number).eval()
        self.load_s = time.perf_counter() - started
        self.ids = torch.tensor([Tokenizer.from_file(str(folder / "tokenizer.json")).encode(PROMPT).ids])

    @torch.inference_mode()
    def run(self, seconds: float, *, greedy: bool = False) -> torch.Tensor:
        frames = round(seconds * FRAME_RATE)
        draw = {"do_sample": False} if greedy else {"do_sample": True, "top_k": 250}
        return self.model.generate(
            input_ids=self.ids, attention_mask=torch.ones_like(self.ids), guidance_scale=3.0,
            max_new_tokens=frames + CODEBOOKS - 1, **draw,
        )  # fmt: skip

    def tokens(self, seconds: float) -> torch.Tensor:
        """The greedy tokens [K, T], taken where they are handed to the codec."""
        caught, decode = [], self.model.audio_encoder.decode
        self.model.audio_encoder.decode = lambda codes, *rest, **named: (
            caught.append(codes[0, 0]), decode(codes, *rest, **named)
        )[1]  # fmt: skip
        try:
            self.run(seconds, greedy=True)
        finally:
            del self.model.audio_encoder.decode
        return caught[0]


def compare_tokens(folder: Path, seconds: float) -> int:
    """How many greedy tokens were compared in float32; stops where one differs."""
    ours = Ours(folder, "float32").run(seconds, temperature=0).tokens
    theirs = Theirs(folder, "float32").tokens(seconds)
    if not torch.equal(ours, theirs):
        sys.exit(f"{int((ours == theirs).sum())} of {ours.numel()} greedy tokens are those of transformers; none timed")
    print(f"{ours.numel()} greedy tokens equal, {len(ours.unique())} of them distinct")
    return ours.numel()


def report(sides, samples, first, compared, seconds, rounds) -> dict:
    rows = []
    for side in sides:
        median = statistics.median(samples[side.name])
        row = {"side": side.name, "load_s": side.load_s, "median_s": median, "samples_s": samples[side.name]}
        row["real_time_factor"] = seconds / median
        row["times_as_fast_as"] = {
            other.name: statistics.median(samples[other.name]) / median for other in sides if other is not side
        }
        if side.name in first:
            row["first_piece_s"], row["first_piece_sounds_s"] = first[side.name]
        rows.append(row)
    return {
        "what": f"MusicGen-small with random weights, {seconds:g} s with guidance 3, batch 1",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(torch.device("cpu"), None),
        "greedy_tokens_compared": compared,
        "rounds": rounds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "results": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the random model is kept; a temporary one if not given")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", default="bfloat16,int8", help="kinds of numbers, by commas")
    parser.add_argument("--theirs", default="bfloat16")
    parser.add_argument("--compare-s", type=float, default=0.5, help="seconds of greedy tokens compared first; 0: none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / "model.safetensors").exists():
            save_model(folder)
        compared = compare_tokens(folder, options.compare_s) if options.compare_s else 0
        gc.collect()
        sides = [Ours(folder, dtype) for dtype in options.ours.split(",")]
        sides += [Theirs(folder, dtype) for dtype in options.theirs.split(",") if dtype]
        samples: dict[str, list[float]] = {side.name: [] for side in sides}
        first = {}
        for side in sides:
            side.run(0.2)  # reads the weights once
            if isinstance(side, Ours):
                first[side.name] = side.first_piece_s(options.seconds)
        for side in turns(sides, options.rounds):
            started = time.perf_counter()
            side.run(options.seconds)
            samples[side.name].append(time.perf_counter() - started)
            print(f"{side.name}: {samples[side.name][-1]:.2f} s", flush=True)
    found = report(sides, samples, first, compared, options.seconds, options.rounds)
    print(json.dumps(found["results"], indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
