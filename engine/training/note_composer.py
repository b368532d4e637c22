"""Train the composer that writes a note a step: `python -m clavilux.training.note_composer SCORES --out DIR`.

The scores are read once, into `DIR/frames.npz`: where that file is, SCORES may be left out, so that it is all that has
to travel to another machine. The rest of the folder is as `picture_run` says: a run that was stopped or killed goes on
to the same next state, byte for byte, on the same processor. The learning rate rises for some steps, stays, and falls
to zero in the last part of `--steps`; what is measured and exported are weights that are averaged over the steps.

On a processor (the state goes to a GPU and back)::

    python -m clavilux.training.note_composer SCORES --out runs/aria --threads 1 --steps 20000
    python -m clavilux.training.note_composer --out runs/gpu --device cuda --steps 6000 --batch-frames 65536 --width 320
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clavilux.audio.codecs.note_frames import BOOKS, IDS, vocabulary_hash
from clavilux.conditioning import Conditioning
from clavilux.decoder import DecoderSpec
from clavilux.families.aria.family import Composer
from clavilux.families.aria.prefix import PREFIX_LENGTH
from clavilux.files import atomic_path, write_json
from clavilux.image.picture import Picture
from clavilux.layout import Delay
from clavilux.training import note_data, states
from clavilux.training.image_dataset import autocast
from clavilux.training.labels import LABELS
from clavilux.training.muon import optimizers_of
from clavilux.training.note_sketch import sketch
from clavilux.training.note_windows import Batch, NoteWindows
from clavilux.training.picture_run import Limits, Measured, PictureRun, Watch, held, saved_settings

HELD_OUT_BATCHES = 12
MOST_BYTES = 16 << 20  # of the exported weights


@dataclass(frozen=True)
class ComposerSpec:
    """The composer and how it is trained.

    Attributes:
        width, layers, heads, ffn_width: of its decoder.
        context: frames that it reads, at most.
        delays: by how many steps each of `note_frames.BOOKS` is drawn after the first.
        batch_frames: of a step, padding included.
        muon_rate, adam_rate, weight_decay: of the optimizers.
        warmup: steps in which the rate rises.
        steps: after which it is zero.
        fall: the share of them, at the end, in which it falls.
        averaged: of the averaged weights is kept at each step.
        force_weight: what a nat of a velocity counts, where one of anything else counts 1.
        seed: of all that is drawn.
    """

    width: int = 256
    layers: int = 6
    heads: int = 4
    ffn_width: int = 688
    context: int = 1024
    delays: tuple[int, ...] = (0, 1, 2, 3, 4)
    batch_frames: int = 4096
    muon_rate: float = 0.006
    adam_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: int = 100
    steps: int = 20_000
    fall: float = 0.3
    averaged: float = 0.999
    force_weight: float = 0.5
    seed: int = 0

    def decoder(self) -> DecoderSpec:
        """The decoder's shape: ids of the books, and one that stands where a step holds no frame."""
        return DecoderSpec(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            head_dim=self.width // self.heads,
            ffn_width=self.ffn_width,
            vocabulary=IDS + 1,
            output_vocabulary=IDS,
            codebooks=len(BOOKS),
            max_positions=PREFIX_LENGTH + self.context + max(self.delays),
            norm="rms",
            activation="swiglu",
            positions="rope",
        )

    def layout(self) -> Delay:
        """How frames become steps."""
        return Delay(len(BOOKS), IDS, self.delays, special=IDS)

    def rate_at(self, number: int) -> float:
        """The share of the full rates at a step, 0 to 1."""
        left = (self.steps - number) / (self.fall * self.steps)
        return max(0.0, min(1.0, (number + 1) / self.warmup, left))


def book_nats(model: Composer, layout: Delay, batch: Batch, device: torch.device) -> Tensor:
    """Nats of all ids that are drawn, summed over a batch, by book: [5], float32."""
    steps = layout.arrange(batch.frames).to(device)  # [B, 5, S]
    drawn = batch.drawn.to(device)
    mask = torch.zeros(steps.shape, dtype=torch.bool, device=device)
    for book, delay in enumerate(layout.delays):
        mask[:, book, delay : delay + drawn.shape[2]] = drawn[:, book]
    with _autocast(device):
        conditioning = Conditioning(prefix=model.conditioner(batch.controls))
        logits = model.decoder(steps[:, :, :-1], conditioning=conditioning)  # [B, 5, S - 1, IDS]
    nats = []
    for book in range(len(layout.delays)):
        taught = mask[:, book, 1:]
        nats.append(cross_entropy(logits[:, book][taught].float(), steps[:, book, 1:][taught], reduction="sum"))
    return torch.stack(nats)


def _autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, and on processors that compute with it: eight times the products of float32 with AMX."""
    if device.type == "cpu":
        return autocast()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


class ComposerLearner:
    """What a run trains (`picture_run.Learner`)."""

    best: str | None = None

    def __init__(self, cache: Path, spec: ComposerSpec, device: str = "cpu"):
        torch.manual_seed(spec.seed)
        self.spec, self.device = spec, torch.device(device)
        self.layout = spec.layout()
        self.train = NoteWindows(cache, False, spec.context, spec.batch_frames, spec.seed)
        held_out = NoteWindows(cache, True, spec.context, 2048, spec.seed + 1)
        self.held_out = [held_out.batch(number) for number in range(HELD_OUT_BATCHES)]
        self.model = Composer(spec.decoder(), len(LABELS)).to(self.device)
        self.average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.optimizers = optimizers_of(
            self.model, self.model.decoder, spec.muon_rate, spec.adam_rate, spec.weight_decay
        )
        self.rates = (spec.muon_rate, spec.adam_rate)

    def step(self, number: int) -> dict[str, float]:
        """One step; nats a note, the velocity apart."""
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.spec.rate_at(number)
        batch = self.train.batch(number)
        nats = book_nats(self.model, self.layout, batch, self.device) / max(batch.notes, 1)
        (nats[:4].sum() + self.spec.force_weight * nats[4]).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        kept = min(self.spec.averaged, (number + 1) / (number + 10))
        for name, tensor in self.model.state_dict().items():
            self.average[name].lerp_(tensor, 1 - kept)
        found = nats.detach().cpu()
        return {"nats a note": float(found[:4].sum()), "of velocity": float(found[4])}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Nats a held-out note of the averaged weights: all but the velocity, and of each book."""
        model = self._averaged()
        total = torch.stack([book_nats(model, self.layout, batch, self.device) for batch in self.held_out]).sum(0).cpu()
        total /= sum(batch.notes for batch in self.held_out)
        books = {name: float(value) for name, value in zip(BOOKS[:4], total, strict=False)}
        return {"nats a note": float(total[:4].sum()), "of velocity": float(total[4]), **books}

    def _averaged(self) -> Composer:
        model = Composer(self.spec.decoder(), len(LABELS)).to(self.device)
        model.load_state_dict(self.average)
        return model

    def state(self) -> dict[str, Tensor]:
        parts = {f"optimizer{i}": states.optimizer_tensors(each) for i, each in enumerate(self.optimizers)}
        return states.joined({"model": self.model.state_dict(), "average": self.average, **parts})

    def load(self, state: dict[str, Tensor]) -> None:
        self.model.load_state_dict(states.beginning("model.", state))
        average = states.beginning("average.", state)
        self.average = {name: average[name].to(self.device) for name in self.average}
        for i, optimizer in enumerate(self.optimizers):
            states.fill_optimizer(optimizer, states.beginning(f"optimizer{i}.", state))

    def sheet(self) -> Picture:
        """Sixteen bars each of some styles, as the averaged weights draw them."""
        return sketch(self._averaged(), self.layout, self.spec.context)

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """The averaged weights in float16, and what they are."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.to(torch.float16).cpu().contiguous() for name, tensor in self.average.items()}
        size = sum(tensor.numel() * 2 for tensor in weights.values())
        if size > MOST_BYTES:
            raise ValueError(f"the weights take {size} bytes in float16; a composer may take {MOST_BYTES}")
        with atomic_path(folder / "model.safetensors") as temporary:
            save_file(weights, temporary)
        edges = dict(zip(LABELS, self.train.density_edges.tolist(), strict=True))
        config = {
            "family": "aria",
            "name": "aria",
            "licence": "Apache-2.0",
            "frames": {"books": BOOKS, "delays": self.spec.delays, "ids": IDS, "sha256": vocabulary_hash()},
            "decoder": self.spec.decoder().to_dict(),
            "styles": LABELS,
            "training": training,
            "density_edges": edges,
        }
        write_json(config, folder / "config.json")


def settings_of(out: Path, given: dict[str, Any]) -> ComposerSpec:
    """The run's spec: what is saved in its folder, then what is given. Only `steps` may change of a run's.

    Raises:
        ValueError: something else is given than the run in `out` has.
    """
    given = {name: value for name, value in given.items() if value is not None}
    saved = saved_settings(out) or {}
    known = {name: saved[name] for name in asdict(ComposerSpec()) if name in saved}
    for name, value in given.items():
        if known and name != "steps" and known[name] != value:
            raise ValueError(f"the run in {str(out)!r} has {name} {known[name]}, and {value} is asked for")
    merged: dict[str, Any] = {**known, **given}
    if "delays" in merged:
        merged["delays"] = tuple(merged["delays"])  # JSON has no tuples
    return ComposerSpec(**merged)


def main() -> None:
    """Train the composer, or go on with it, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scores", type=Path, nargs="?", help="folder with index.tsv; not needed beside frames.npz")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--minutes", type=float, help="of this call; without it, until the last step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--checkpoint-steps", type=int, help="from a measured state to the next; found from the time else"
    )
    for name in ("steps", "batch-frames", "context", "width", "layers", "heads", "ffn-width", "seed"):
        parser.add_argument(f"--{name}", type=int)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with held(args.out) as out:
        cache = out / "frames.npz"
        if not cache.exists():
            if args.scores is None:
                parser.error(f"{cache} is not there; give the folder of scores to make it from")
            with atomic_path(cache) as temporary:
                note_data.build(args.scores, temporary, args.threads)
        names = ("steps", "batch_frames", "context", "width", "layers", "heads", "ffn_width", "seed")
        spec = settings_of(out, {name: getattr(args, name) for name in names})
        learner = ComposerLearner(cache, spec, args.device)
        size = sum(p.numel() for p in learner.model.parameters())
        pieces = len(learner.train.chosen)
        print(
            f"{size / 1e6:.2f} M parameters, {pieces} pieces, {int(learner.train.frames.shape[1])} frames", flush=True
        )

        def report(line: Measured) -> None:
            print(json.dumps(asdict(line)), flush=True)

        run = PictureRun(out, learner, json.loads(json.dumps(asdict(spec))))
        run.go(Limits(args.minutes, spec.steps, checkpoint_steps=args.checkpoint_steps), Watch(report=report))


if __name__ == "__main__":
    main()
