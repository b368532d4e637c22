"""Training of the bundled painter: first the codec of its pictures, then the decoder that draws the codec's tokens.

    python -m clavilux.training.painter FOLDER --minutes 150 --export checkpoint

FOLDER holds the unpacked Debian packages that `pictures` names. Everything lies in the run's folder: the pictures
(`pictures.npz`), the codec (`codec.pt`), the tokens of the pictures (`tokens.npz`) and of pairs of them (`pairs.npz`),
and the decoder (`decoder.pt`); a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from clavilux.conditioning import Conditioning
from clavilux.decoder import DecoderSpec
from clavilux.families.int8 import Rounding
from clavilux.families.lumia.family import DELAYS, Parts, layout_of
from clavilux.families.lumia.prefix import PREFIX_LENGTH
from clavilux.families.lumia.prefix_controls import PrefixControls
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.training import augment, pairs, pictures
from clavilux.training.image_dataset import Clock, ImageDataset, Report, save_state, train_loop
from clavilux.training.pairs import Pairs
from clavilux.training.picture_codec import CodecRun, CodecSpec
from clavilux.training.tokens import CaptionSampler, load_tokens, save_tokens, vocabulary_of

PLACES = 64
CODEC_SHARE, PAINTING_SHARE = 0.25, 0.25  # of the time: the codec first, and what paints once more at the end


@dataclass(frozen=True)
class TrainSpec:
    """How the decoder is trained."""

    batch: int = 64
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_share: float = 0.02
    books: tuple[float, ...] = (1.0, 0.8, 0.5, 0.3)  # what each codebook's loss counts
    disturbed: float = 0.5  # of the pictures are read with wrong tokens among theirs,
    wrong: float = 0.3  # up to this share of them
    seed: int = 0


def painter_spec(codec: ResidualVQSpec) -> DecoderSpec:
    """The painter's decoder: 5.6 million parameters, a byte each, so that all weights are below 9 MiB."""
    return DecoderSpec(
        width=256,
        layers=6,
        heads=4,
        head_dim=64,
        ffn_width=640,
        vocabulary=codec.vocabulary + 1,
        output_vocabulary=codec.vocabulary,
        codebooks=codec.codebooks,
        max_positions=PREFIX_LENGTH + PLACES + max(DELAYS),
        norm="rms",
        activation="swiglu",
        positions="learned",
    )


def tokenise(codec: ResidualVQ, rows: np.ndarray, batch: Callable[[np.ndarray], Tensor], report: Report) -> Tensor:
    """int16 [N, K, places], the tokens of the pictures that `batch` makes of N rows, or of N of their pairs."""
    tokens = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for start in range(0, len(rows), 512):
            tokens.append(codec.encode(batch(rows[start : start + 512])).to(torch.int16))
            report(f"tokens of {start + len(tokens[-1])} of {len(rows)} pictures")
    return torch.cat(tokens)


class DecoderRun:
    """Training of the decoder in a run's folder, going on from where it stopped."""

    def __init__(self, dataset: ImageDataset, folder: Path, spec: TrainSpec, seconds: float):
        torch.manual_seed(spec.seed)
        self.spec, self.path = spec, folder / "decoder.pt"
        tokens, self.words = load_tokens(folder / "tokens.npz")
        self.layout = layout_of(ResidualVQSpec())
        both = Pairs.load(folder / "pairs.npz")
        self.train = CaptionSampler(tokens, dataset, dataset.taught, self.words, spec.seed, both)
        unseen = CaptionSampler(
            tokens, dataset, np.flatnonzero(dataset.held_out & dataset.first), self.words, spec.seed + 1
        )
        self.unseen = [unseen.batch(spec.batch) for _ in range(8)]
        self.model = Parts(painter_spec(ResidualVQSpec()), len(self.words))
        matrices = [p for n, p in self.model.decoder.named_parameters() if p.ndim == 2 and "layers" in n]
        chosen = {id(p) for p in matrices}
        self.optimizers = [
            torch.optim.Muon(matrices, lr=spec.muon_rate, weight_decay=spec.weight_decay),
            torch.optim.AdamW(
                [p for p in self.model.parameters() if id(p) not in chosen],
                lr=spec.adam_rate, betas=(0.9, 0.98), weight_decay=0.0,
            ),
        ]  # fmt: skip
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.step, self.clock = 0, Clock(seconds)
        # (step, seconds spent, nats a token of each codebook in training, the same held out)
        self.log: list[tuple[int, float, list[float], list[float]]] = []
        if self.path.exists():
            self._resume(torch.load(self.path, weights_only=True))

    def _resume(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.log = state["step"], state["log"]
        self.clock = Clock(self.clock.seconds, state["spent_s"])
        self.train.random = np.random.default_rng(self.spec.seed + self.step)

    def checkpoint(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "spent_s": self.clock.spent_s,
            "log": self.log,
            "spec": asdict(self.spec),
        }
        save_state(state, self.path)

    def losses(self, tokens: Tensor, controls: list[PrefixControls], read: Tensor | None = None) -> Tensor:
        """Mean nats a token of each codebook, [K]. What is read, [B, K, T], are the tokens, unless it is given."""
        special = self.layout.special
        assert special is not None, "the layout of this family begins with it"
        steps = self.layout.arrange(tokens)  # [B, K, S]
        start = steps.new_full((*steps.shape[:2], 1), special)
        read = torch.cat([start, self.layout.arrange(tokens if read is None else read)[:, :, :-1]], dim=2)
        wanted = torch.where(steps == special, -100, steps)
        # For the gradient's sake: a step takes 0.70 s with plain products, 0.95 s with the fused attention (two cores).
        with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            prefix = self.model.conditioner(controls)
            logits = self.model.decoder(read, conditioning=Conditioning(prefix=prefix))  # [B, K, S, V]
            nats = cross_entropy(logits.flatten(0, 2).float(), wanted.flatten(), reduction="none")
        return nats.view(steps.shape).sum((0, 2)) / (len(tokens) * tokens.shape[2])

    def train_step(self, share: float) -> np.ndarray:
        """One step at `share` (0 to 1) of the run: warm-up, then a straight line to zero."""
        factor = min(1.0, share / self.spec.warmup_share) * (1.0 - share) + 1e-3
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor
        tokens, controls = self.train.batch(self.spec.batch)
        losses = self.losses(tokens, controls, disturbed(tokens, self.spec.disturbed, self.spec.wrong))
        (losses * torch.tensor(self.spec.books)).mean().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return losses.detach().numpy()

    @torch.no_grad()
    def measure(self) -> list[float]:
        """Nats a token of each codebook, of pictures that are held out."""
        return torch.stack([self.losses(*batch) for batch in self.unseen]).mean(0).tolist()

    def go(self, report: Report) -> None:
        """Train until the time is spent."""

        def report_losses(losses: list[np.ndarray]) -> None:
            nats = " ".join(f"{value:.3f}" for value in np.mean(losses[-50:], 0))
            report(f"decoder step {self.step}  {self.clock.spent_s:.0f} s  nats {nats}")

        def measure(losses: list[np.ndarray]) -> None:
            self._measure_and_save(losses, report)

        measure(train_loop(self.clock, self.train_step, report_losses, measure))

    def _measure_and_save(self, recent: list[np.ndarray], report: Report) -> None:
        train = np.mean(recent[-200:], 0).tolist() if recent else []
        self.log.append((self.step, self.clock.spent_s, train, self.measure()))
        report("held out " + " ".join(f"{value:.3f}" for value in self.log[-1][3]))
        self.checkpoint()


def disturbed(tokens: Tensor, pictures_share: float, wrong: float) -> Tensor:
    """Tokens [B, K, T], in a share of the pictures with wrong ones among them: what another has at that place.

    A decoder that has only ever read right tokens trusts them more than its prefix, and is lost after its first wrong
    one. `wrong` is the largest share of a picture's tokens.
    """
    chosen = torch.rand(len(tokens), 1, 1) < pictures_share
    share = torch.rand(len(tokens), 1, 1) * wrong * chosen
    return torch.where(torch.rand(tokens.shape) < share, tokens.roll(1, 0), tokens)


def export(folder: Path, target: Path) -> None:
    """Write a run as a checkpoint of the family "lumia": a config with the words, and its weights as safetensors.

    The decoder's matrices are int8 with a scale for each row, everything else is float16.
    """
    codec = torch.load(folder / "codec.pt", weights_only=True)
    decoder = torch.load(folder / "decoder.pt", weights_only=True)
    _, words = load_tokens(folder / "tokens.npz")
    config = {
        "family": "lumia",
        "name": "lumia",
        "licence": "Apache-2.0",
        "decoder": painter_spec(ResidualVQSpec()).to_dict(),
        "codec": ResidualVQSpec().to_dict(),
        "training": {**decoder["spec"], "steps": decoder["step"], "seconds": round(decoder["spent_s"])},
        "words": " ".join(words),
    }
    weights = packed({f"codec.{name}": tensor for name, tensor in codec["codec"].items()} | decoder["model"])
    target.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, target / "model.safetensors")
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def packed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 and their scales, each beside what it scales; everything else as float16."""
    rounded = Rounding([name for name, tensor in weights.items() if tensor.ndim == 2])(weights)
    return {name: tensor if tensor.dtype == torch.int8 else tensor.half() for name, tensor in rounded.items()}


def plot(folder: Path, path: Path) -> None:
    """Nats a token of each codebook over the minutes spent, in training and held out."""
    from matplotlib.figure import Figure

    log = torch.load(folder / "decoder.pt", weights_only=True)["log"]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    minutes = [spent / 60 for _, spent, _, _ in log]
    for k in range(len(DELAYS)):
        (line,) = axes.plot(minutes, [train[k] for *_, train, _ in log], label=f"codebook {k + 1}")
        axes.plot(minutes, [held_out[k] for *_, held_out in log], "--", color=line.get_color())
    axes.set(xlabel="minutes", ylabel="nats a token", title="Painter (dashed: held out)")
    axes.legend()
    figure.savefig(path, dpi=120)


def train(source: Path, out: Path, minutes: float, report: Report) -> None:
    """All of it: pictures, codec, tokens, decoder, and the codec's painting of what the decoder draws."""
    seconds = minutes * 60
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "pictures.npz").exists():
        augment.build(pictures.pictures(source), out / "pictures.npz")
    dataset = ImageDataset(out / "pictures.npz")
    if not (out / "pairs.npz").exists():
        codec_run = CodecRun(dataset, out / "codec.pt", CodecSpec(), seconds * CODEC_SHARE)
        codec_run.go(report)
        tokens = tokenise(codec_run.codec, np.arange(len(dataset.pixels)), dataset.batch, report)
        save_tokens(out / "tokens.npz", tokens.numpy(), vocabulary_of(dataset))
        rows = pairs.choose(dataset, pairs.COUNT, np.random.default_rng(0))
        tokens = tokenise(codec_run.codec, rows, partial(pairs.pixels_of, dataset), report)
        Pairs(tokens, rows).save(out / "pairs.npz")
    decoder_seconds = seconds * (1 - CODEC_SHARE - PAINTING_SHARE)
    DecoderRun(dataset, out, TrainSpec(), decoder_seconds).go(report)
    drawn = Pairs.load(out / "pairs.npz")
    CodecRun(dataset, out / "codec.pt", CodecSpec(perceptual=1.0), seconds * PAINTING_SHARE, drawn).go(report)


def main() -> None:
    """Train the painter, or go on with it, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("--out", type=Path, default=Path("runs/painter"), help="pictures, states, tokens")
    parser.add_argument("--minutes", type=float, default=150.0, help="training time in all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--export", type=Path, help="when done, write the checkpoint into this folder")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.source, args.out, args.minutes, lambda line: print(line, flush=True))
    if args.export:
        export(args.out, args.export)
        plot(args.out, args.export / "curves.png")


if __name__ == "__main__":
    main()
