"""From a sentence to sound with the bundled model, and from nothing to tokens with a MusicGen shape.

Knows the public calls only; what a song costs beside its decoder is in here too.
"""

import tempfile
import time
from pathlib import Path

import torch

from clavilux.bench.steps import compare_generation, fits, prepared, usual_dtypes
from clavilux.bench.suite import Bench, Mismatch
from clavilux.bench.timing import Side
from clavilux.bench.workloads import named, shortened
from clavilux.provenance.signing import signing

PROMPTS = ("slow church organ chorale in G minor", "classical string quartet", "ragtime for piano")
FRAME_RATE = 50  # of MusicGen's codec


def run_end_to_end(bench: Bench, models: tuple[str, ...] = (), dtype: str = "auto") -> None:
    """The suite: the bundled model's songs, unless only other models are named, and generation beside transformers."""
    if not models or "aria" in models:
        songs(bench, dtype)
    run_generation(bench, tuple(name for name in models if name != "aria") or ("musicgen-small",), dtype)


def songs(bench: Bench, dtype: str = "auto", source: str = "aria") -> None:
    """Render each prompt again and again, in turns: seconds of music made in a second. Saving is a row of its own:
    it measures loudness and encodes.
    """
    if bench.late("songs of the bundled model"):
        return
    import clavilux

    seconds = 2.0 if bench.quick else 20.0
    started = time.perf_counter()
    model = clavilux.load(source, device=str(bench.device), dtype=dtype)
    load_s = time.perf_counter() - started
    seed = 0
    made = {}

    def side(prompt: str) -> Side:
        def run(count: int) -> None:
            nonlocal seed
            for _ in range(count):
                seed += 1
                made["song"] = model.generate(prompt, seconds=seconds, seed=seed, mark=False)

        words = {"dtype": model.family.identity["dtype"], "music_s": seconds, "load_s": load_s}
        return Side(prompt, run, facts=words)

    rows = bench.compare("end-to-end", source, f"{seconds:g} s of music", [side(prompt) for prompt in PROMPTS], most=1)
    for row in rows:
        row["real_time_factor"] = seconds / row["median_s"]
    with tempfile.TemporaryDirectory() as folder, signing(credentials=False):
        save = Side("save as wav", lambda n: [made["song"].save(Path(folder) / "song.wav") for _ in range(n)])
        bench.compare("end-to-end", source, "saving", [save], most=1)


def run_generation(bench: Bench, models: tuple[str, ...], dtype: str = "auto") -> None:
    """Whole generations of a real model's shape with random weights."""
    wrong: list[str] = []
    for name in models:
        model = shortened(named(name), bench.quick)
        dtypes = usual_dtypes(bench.device) if dtype == "auto" else (dtype,)
        if bench.late(f"generation with {name}") or not fits(bench, model, dtypes):
            continue
        frames = 8 if bench.quick else 100 if bench.device.type == "cpu" else 500
        with torch.inference_mode():
            subjects, peers = prepared(bench, model, dtypes, wrong)
            rows = compare_generation(bench, "end-to-end", subjects, peers, frames)
        for row in rows:
            steps_per_s = 1 / row["median_s"]
            row["tokens_per_s"] = steps_per_s * model.codebooks
            if name.startswith("musicgen"):
                row["real_time_factor"] = steps_per_s / FRAME_RATE
    if wrong:
        raise Mismatch("; ".join(wrong))
