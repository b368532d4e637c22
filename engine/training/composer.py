"""Train the composer: `python -m clavilux.training.composer SCORES --out DIR --minutes 60`.

Reads the folder of scores once into a cache, trains the shared decoder on windows of score tokens under a
prefix of controls, writes a checkpoint every few minutes and goes on from it when run again. The learning
rate follows the time spent, not the number of steps: of the processor, so that a run in the background learns as much
as one alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clavilux.audio.codecs.remi import DRUMS, score_tokens
from clavilux.conditioning import Conditioning
from clavilux.decoder import DecoderSpec
from clavilux.families.aria.family import Composer
from clavilux.families.aria.formats import vocabulary_hash
from clavilux.families.aria.prefix import PREFIX_LENGTH, PrefixControls, tempo_bin
from clavilux.training import token_data
from clavilux.training.composer_files import begin_with
from clavilux.training.image_dataset import Clock, autocast, save_state, train_loop
from clavilux.training.muon import optimizers_of
from clavilux.training.token_data import STYLE_NAMES

FORCED_KINDS = ("TimeSig", "Section", "Tempo", "PAD")  # the grammar always says these, so they teach nothing
CONDITION_DROPOUT = 0.1
START_SHARE = 0.15  # windows that begin where a piece begins
# Instruments of one register and role stand in for each other now and then, so that no style is tied to its own.
EXCHANGEABLE = (
    (0, 4, 6, 16, 19, 21), (24, 25, 105, 46), (52, 40, 65, 68, 71, 73, 74, 75, 110, 56), (41, 69, 60, 66),
    (42, 70, 57), (43, 58, 32), (8, 10, 11, 12),
)  # fmt: skip
CHOIRS = (19, 52, 48, 61, 0, 16)  # what a chorale for one instrument may be played on
EXCHANGE_SHARE = 0.3
Measured = tuple[int, float, float, float]  # step, seconds spent, nats a token in training and held out


@dataclass(frozen=True)
class TrainSpec:
    """How a run goes: windows of `context` positions (the prefix included), `batch` of them a step."""

    context: int = 1024
    batch: int = 6
    muon_rate: float = 0.01
    adam_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_share: float = 0.02
    seed: int = 0


def composer_spec(vocabulary: int, context: int) -> DecoderSpec:
    """The composer's decoder: 2.8 million parameters, as many as an hour on a laptop can teach."""
    return DecoderSpec(
        width=192,
        layers=6,
        heads=4,
        head_dim=48,
        ffn_width=512,
        vocabulary=vocabulary,
        max_positions=context,
        norm="rms",
        activation="swiglu",
        positions="rope",
        tied=True,
    )


def exchanged(programs: list[int], random: np.random.Generator) -> dict[int, int]:
    """Of programs those that have a free one of the same register, with one, none twice."""
    taken, found = set(programs), dict[int, int]()
    for program in programs:
        free = [p for group in EXCHANGEABLE if program in group for p in group if p not in taken]
        if free:
            found[program] = int(random.choice(free))
            taken.add(found[program])
    return found


class Windows:
    """Random windows of the cached pieces, with their controls."""

    def __init__(self, cache: Path, held_out: bool, length: int, seed: int):
        arrays = np.load(cache)
        if tuple(arrays["vocabulary"]) != score_tokens().names:
            raise ValueError(f"{cache} was made with another vocabulary; remove it and run again")
        ends = arrays["ends"]
        starts = np.concatenate([[0], ends[:-1]])
        self.chosen = np.flatnonzero(arrays["held_out"] == held_out)
        self.starts, self.ends = starts, ends
        self.arrays = {name: arrays[name] for name in ("tokens", "quarters", "style", "minor", "tempo")}
        self.length = length
        self.random = np.random.default_rng(seed)
        weight = (self.ends - self.starts)[self.chosen].astype(float)
        style = self.arrays["style"][self.chosen]
        share = np.bincount(style, weight, minlength=len(STYLE_NAMES))
        # Rare styles are seen more often than their share of the notes: by its square root.
        self.weight = weight * np.where(share[style] > 0, share[style], 1) ** -0.5
        self.weight /= self.weight.sum()
        self.density_edges = np.zeros((len(STYLE_NAMES), 2))
        tokens = score_tokens()
        kinds = np.array(tokens.kinds)
        self.is_pitch = np.isin(kinds, ("Pitch", "PitchDrum"))
        self.is_program = kinds == "Program"
        self.program_values = np.array([v if k == "Program" else 0 for k, v in zip(kinds, tokens.values, strict=True)])
        self.program_ids = {v: i for i, (k, v) in enumerate(zip(kinds, tokens.values, strict=True)) if k == "Program"}

    def measure_density(self, samples: int = 4000) -> np.ndarray:
        """Terciles of notes a quarter in each style's windows, [styles, 2]."""
        found: dict[int, list[float]] = {i: [] for i in range(len(STYLE_NAMES))}
        for _ in range(samples):
            piece, start, stop = self._window()
            found[int(self.arrays["style"][piece])].append(self._density(start, stop))
        everything = [value for values in found.values() for value in values]
        return np.array([np.quantile(v if len(v) > 8 else everything, (1 / 3, 2 / 3)) for v in found.values()])

    def batch(self, size: int) -> tuple[Tensor, list[PrefixControls]]:
        """Tokens int64 [size, length], padded at the end, and controls of each."""
        rows, controls = zip(*(self._row(*self._window()) for _ in range(size)), strict=True)
        return torch.from_numpy(np.stack(rows)), list(controls)

    def _row(self, piece: int, start: int, stop: int) -> tuple[np.ndarray, PrefixControls]:
        """(a window's tokens int64 [length], padded at the end; its controls)."""
        window = self.arrays["tokens"][start:stop].astype(np.int64)
        window = self._exchange(window, int(self.arrays["style"][piece]))
        padded = np.pad(window, (0, self.length - len(window)), constant_values=score_tokens().pad)
        return padded, self._prefix_controls(piece, window, self._density(start, stop))

    def _window(self) -> tuple[int, int, int]:
        piece = int(self.random.choice(self.chosen, p=self.weight))
        first, end = int(self.starts[piece]), int(self.ends[piece])
        start = first
        if end - first > self.length and self.random.random() > START_SHARE:
            # Past the end too, so that last bars are seen as often as others.
            start = min(int(self.random.integers(first, end)), end - self.length // 3)
        return piece, start, min(start + self.length, end)

    def _density(self, start: int, stop: int) -> float:
        quarters = self.arrays["quarters"]
        notes = self.is_pitch[self.arrays["tokens"][start:stop]].sum()
        return float(notes / max(quarters[stop - 1] - quarters[start], 1.0))

    def _exchange(self, window: np.ndarray, style: int) -> np.ndarray:
        """Now and then, other instruments of the same register."""
        if self.random.random() > EXCHANGE_SHARE:
            return window
        used = np.unique(self.program_values[window[self.is_program[window]]])
        table = np.arange(len(self.is_program))
        if STYLE_NAMES[style] in ("chorale", "hymn") and len(used) == 1 and used[0] != DRUMS:
            table[self.program_ids[int(used[0])]] = self.program_ids[int(self.random.choice(CHOIRS))]
            return table[window]
        for program, other in exchanged(used.tolist(), self.random).items():
            table[self.program_ids[program]] = self.program_ids[other]
        return table[window]

    def _prefix_controls(self, piece: int, window: np.ndarray, density: float) -> PrefixControls:
        drop = self.random.random(5) < CONDITION_DROPOUT
        style = int(self.arrays["style"][piece])
        used = np.unique(self.program_values[window[self.is_program[window]]]).tolist()
        level = int((density >= self.density_edges[style]).sum())
        return PrefixControls(
            style=-1 if drop[0] else style,
            mode=-1 if drop[1] else int(self.arrays["minor"][piece]),
            tempo=-1 if drop[2] else tempo_bin(float(self.arrays["tempo"][piece])),
            density=-1 if drop[3] else level,
            programs=() if drop[4] else tuple(used),
        )


def logits_of(model: Composer, tokens: Tensor, prefix: Tensor) -> Tensor:
    """[B, T - 1, V] of what follows each of tokens [B, T] but the last."""
    logits: Tensor = model.decoder(tokens[:, None], conditioning=Conditioning(prefix=prefix))[:, 0, :-1]
    return logits


class Run:
    """A training run in a folder: state, log, and going on from where it stopped."""

    def __init__(
        self, cache: Path, out: Path, spec: TrainSpec, seconds: float, begin: Path | None = None, compiled: bool = False
    ):
        torch.manual_seed(spec.seed)
        self.spec, self.out = spec, out
        tokens = score_tokens()
        length = spec.context - PREFIX_LENGTH
        self.train = Windows(cache, False, length, spec.seed)
        self.held_out = Windows(cache, True, length, spec.seed + 1)
        self.train.density_edges = self.held_out.density_edges = self.train.measure_density()
        self.model = Composer(composer_spec(len(tokens), spec.context), len(STYLE_NAMES))
        self.teaches = torch.tensor([kind not in FORCED_KINDS for kind in tokens.kinds])
        self.logits = torch.compile(self._logits, dynamic=False, fullgraph=True) if compiled else self._logits
        if begin is not None:
            self.model.load_state_dict(begin_with(begin))
        self.optimizers = optimizers_of(
            self.model, self.model.decoder, spec.muon_rate, spec.adam_rate, spec.weight_decay
        )
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.step, self.clock = 0, Clock(seconds)
        self.log: list[Measured] = []
        self.held_out_batches = [self.held_out.batch(spec.batch) for _ in range(12)]
        if (out / "state.pt").exists():
            self._resume(torch.load(out / "state.pt", weights_only=True))

    def _resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.log = state["step"], state["log"]
        self.clock = Clock(self.clock.seconds, state["spent_s"])
        self.train.random = np.random.default_rng(self.spec.seed + self.step)

    def loss(self, tokens: Tensor, controls: list[PrefixControls]) -> Tensor:
        """Mean nats a token that the grammar leaves open."""
        with autocast():
            logits = self.logits(tokens, self.model.conditioner(controls))
        following = tokens[:, 1:]
        teaches = self.teaches[following]
        return cross_entropy(logits[teaches].float(), following[teaches])

    def _logits(self, tokens: Tensor, prefix: Tensor) -> Tensor:
        return logits_of(self.model, tokens, prefix)

    def train_step(self, share: float) -> float:
        """One step at `share` (0 to 1) of the run."""
        self.set_rates(share)
        loss = self.loss(*self.train.batch(self.spec.batch))
        loss.backward()
        self.update()
        return float(loss.detach())

    def set_rates(self, share: float) -> None:
        """The rates at `share` of the run: warm-up, then a straight line to zero."""
        factor = min(1.0, share / self.spec.warmup_share) * (1.0 - share) + 1e-3
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def update(self) -> None:
        """Change the weights by their gradients."""
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1

    @torch.no_grad()
    def held_out_loss(self) -> float:
        return float(np.mean([float(self.loss(*batch)) for batch in self.held_out_batches]))

    def checkpoint(self) -> None:
        """State to go on from, and the log with its picture."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "spent_s": self.clock.spent_s,
            "log": self.log,
            "spec": asdict(self.spec),
            "density_edges": self.train.density_edges.tolist(),
        }
        save_state(state, self.out / "state.pt")
        (self.out / "log.json").write_text(json.dumps(self.log))
        plot_log(self.log, self.out / "curves.png")

    def go(self, report: Callable[[Run, float], None]) -> None:
        """Train until the time is spent; `report(run, train_loss)` every few seconds."""

        def measure(losses: list[float]) -> None:
            spent = self.clock.spent_s
            self.log.append((self.step, spent, float(np.mean(losses[-200:])), self.held_out_loss()))
            self.checkpoint()

        self.clock = Clock(self.clock.seconds, self.clock.spent_s)  # what came before the first step does not count
        losses = train_loop(self.clock, self.train_step, lambda each: report(self, float(np.mean(each[-50:]))), measure)
        if losses:
            measure(losses)


def export(run: Path, folder: Path) -> None:
    """Write a run's weights as a checkpoint of the family "aria": float16 safetensors and a config."""
    state = torch.load(run / "state.pt", weights_only=True)
    spec = composer_spec(len(score_tokens()), state["spec"]["context"])
    config = {
        "family": "aria",
        "name": "aria",
        "licence": "Apache-2.0",
        "decoder": spec.to_dict(),
        "styles": STYLE_NAMES,
        "vocabulary_sha256": vocabulary_hash(),
        "training": {**state["spec"], "steps": state["step"], "seconds": round(state["spent_s"])},
        "density_edges": dict(zip(STYLE_NAMES, state["density_edges"], strict=True)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.to(torch.float16).contiguous() for name, tensor in state["model"].items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def plot_log(log: list[Measured], path: Path) -> None:
    """Training and held-out loss over the minutes spent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    _, spent, train, held_out = zip(*log, strict=True)
    minutes = [s / 60 for s in spent]
    axes.plot(minutes, train, label="training")
    axes.plot(minutes, held_out, label="held out")
    axes.set(xlabel="minutes", ylabel="nats a token", title="Composer")
    axes.legend()
    figure.savefig(path, dpi=120)


def say(run: Run, loss: float) -> None:
    """Print where a run is."""
    left = (run.clock.seconds - run.clock.spent_s) / 60
    print(f"step {run.step}  loss {loss:.3f}  {left:.1f} min of the processor left", flush=True)


def cache_in(out: Path, scores: Path) -> Path:
    """The tokens of a folder of scores in the folder of a run, read where they are not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    cache = out / "tokens.npz"
    if not cache.exists():
        token_data.build(scores, cache, progress=lambda d, n: print(f"\rreading {d}/{n}", end="", flush=True))
        print()
    return cache


def main() -> None:
    """Train the composer, or go on with it, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, help="folder with index.tsv and the MIDI files it names")
    parser.add_argument("--out", type=Path, default=Path("runs/composer"), help="checkpoints, log and curves")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="training time in all, of the processor: a thread's share"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--begin", type=Path, help="a checkpoint folder of aria's whose weights to begin with")
    parser.add_argument("--muon-rate", type=float, default=TrainSpec.muon_rate, help="of the matrices")
    parser.add_argument("--adam-rate", type=float, default=TrainSpec.adam_rate, help="of all else")
    parser.add_argument(
        "--compile", action="store_true", help="compile the decoder's step: two fifths faster; needs a C++ compiler"
    )
    parser.add_argument("--export", type=Path, help="when done, write the checkpoint into this folder")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cache = cache_in(args.out, args.scores)
    spec = TrainSpec(muon_rate=args.muon_rate, adam_rate=args.adam_rate)
    run = Run(cache, args.out, spec, args.minutes * 60, args.begin, args.compile)
    size = sum(p.numel() for p in run.model.parameters())
    print(f"{size / 1e6:.2f} M parameters, {len(run.train.chosen)} pieces, {len(run.held_out.chosen)} held out")

    run.go(say)
    print(f"held out {run.log[-1][3]:.3f} nats a token")
    if args.export:
        export(args.out, args.export)


if __name__ == "__main__":
    main()
