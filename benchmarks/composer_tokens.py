"""What a composer's tokens are worth: nats a held-out note after equal processor time, for ways to write scores.

    python benchmarks/composer_tokens.py frames.npz NAME... --seconds 300 --json FILE

`frames.npz` is what `clavilux.training.note_composer` makes of a folder of scores. All ways say the same of a piece but
the velocity, which none of them has here, and have decoders of one size and optimizers of one kind:

- `flat`: one id a step, as in REMI: a position where it changes, an instrument where it changes, pitch, duration;
- `pairs`: the same after byte-pair merging, within bars;
- `delay-01234` and others: a frame a note, each book drawn so many steps after the first;
- `chain`: a frame a note, the books of one frame drawn one after another by small heads above one step.

Seconds are the process's own, so that what else runs matters less; they include the making of batches, but not the
measuring. It prints its losses as well as its gains.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from clavilux.audio.codecs.note_frames import BAR, BOOKS, CHORD, END, IDS, is_note
from clavilux.conditioning import Conditioning
from clavilux.families.aria.family import Composer
from clavilux.layers import Norm
from clavilux.training.labels import LABELS
from clavilux.training.muon import optimizers_of
from clavilux.training.note_composer import ComposerSpec, book_nats
from clavilux.training.note_windows import Batch, NoteWindows

CONTEXT, HELD_OUT_BATCHES = 512, 8  # frames of a window
TOKENS_A_STEP, TOKENS_A_FRAME = 2048, 3.4  # of the flat ways about as many ids as the others have frames
MERGES, MERGE_SAMPLE = 256, 600_000
SPEC = ComposerSpec(width=160, layers=4, heads=4, ffn_width=432, context=CONTEXT, adam_rate=3e-3, warmup=30)


@dataclass
class Result:
    """What one way came to."""

    way: str
    parameters: int
    seconds: float
    steps: int
    frames: int
    nats_a_note: float
    ids_a_note: float  # steps of the decoder a note, what a song costs
    books: dict[str, float]


class FlatTokens:
    """Frames as one stream of ids: book * 256 + id, those that occur numbered from 0, pairs after them."""

    def __init__(self, frames: np.ndarray):
        self.table = np.full(len(BOOKS) * IDS, -1, dtype=np.int64)
        ids = flat_ids(frames)[0]
        kinds = np.unique(ids)
        self.table[kinds] = np.arange(len(kinds))
        self.size, self.merges = len(kinds), list[tuple[int, int]]()

    def learn_pairs(self, frames: np.ndarray) -> None:
        """The most frequent pair of neighbours of one bar becomes an id of its own, again and again."""
        ids, drawn = flat_ids(frames)
        ids = self.table[ids]
        bar = self.table[BAR]
        for _ in range(MERGES):
            open_ = drawn[:-1] & drawn[1:] & (ids[1:] != bar) & (ids[:-1] != bar)
            pairs = ids[:-1][open_] * 4096 + ids[1:][open_]
            found, counts = np.unique(pairs, return_counts=True)
            best = int(found[counts.argmax()])
            self.merges.append((best // 4096, best % 4096))
            ids, drawn = self._merged(ids, drawn, len(self.merges) - 1)

    def _merged(self, ids: np.ndarray, drawn: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        first, second = self.merges[number]
        at = np.flatnonzero((ids[:-1] == first) & (ids[1:] == second) & drawn[:-1] & drawn[1:])
        if not len(at):
            return ids, drawn
        if first == second:  # of a run of three, the first two
            kept = [at[0]]
            for place in at[1:]:
                if place > kept[-1] + 1:
                    kept.append(place)
            at = np.array(kept)
        ids = ids.copy()
        ids[at] = self.size + number
        keep = np.ones(len(ids), dtype=bool)
        keep[at + 1] = False
        return ids[keep], drawn[keep]

    def read(self, frames: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, which of them are drawn) of one window's frames."""
        ids, drawn = flat_ids(frames)
        ids = self.table[ids]
        ids[ids < 0] = pad
        for number in range(len(self.merges)):
            ids, drawn = self._merged(ids, drawn, number)
        return ids, drawn


def flat_ids(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames [5, T] as ids book * 256 + id [N], and which are drawn, as REMI would write them."""
    frames = frames.astype(np.int64)
    when, who = frames[0], frames[1]
    bars, notes = when == BAR, is_note(frames)
    chords = (when < BAR) & (who == CHORD)
    bar = np.cumsum(bars)
    before = np.concatenate([[-1], np.where(bars, -1, when + bar * 1000)[:-1]])
    moves = (when < BAR) & (when + bar * 1000 != before)
    # An instrument holds until the next one, or until the next bar.
    last = np.maximum.accumulate(np.where(notes, np.arange(len(when)), -1))
    previous = np.concatenate([[-1], last[:-1]])
    same = (previous >= 0) & (who == who[np.maximum(previous, 0)]) & (bar == bar[np.maximum(previous, 0)])
    written = np.stack(
        [bars | moves | (when == END), bars | (notes & ~same), bars | notes | chords, bars | notes, bars]
    )
    drawn = written.copy()
    drawn[1:, bars] = False
    drawn[0, moves & chords & (when == 0)] = False
    ids = frames + np.arange(len(BOOKS))[:, None] * IDS
    order = written.T
    return ids.T[order], drawn.T[order]


class Way:
    """One way to write, with its model: `nats(batch)` by book, or under one name, summed over the batch."""

    books: tuple[str, ...] = BOOKS[:4]

    def __init__(self, name: str, windows: NoteWindows):
        self.name = name
        spec = replace(SPEC, delays=tuple(map(int, name[-5:])) if name.startswith("delay") else (0,) * 5)
        self.layout = spec.layout()
        self.spec = spec.decoder()
        if name in ("flat", "pairs"):
            self.books = ("all",)
            self.tokens = FlatTokens(windows.frames)
            if name == "pairs":
                self.tokens.learn_pairs(windows.frames[:, :MERGE_SAMPLE])
            self.pad = self.tokens.size + len(self.tokens.merges)
            self.spec = replace(
                self.spec, codebooks=1, vocabulary=self.pad + 1, output_vocabulary=self.pad + 1, max_positions=4096
            )
        self.model = Composer(self.spec, len(LABELS))
        if name == "chain":
            self.model = Chain(self.spec)

    def nats(self, batch: Batch) -> tuple[Tensor, float]:
        """Nats of each book, and the steps of the decoder that were read."""
        if self.name.startswith("delay"):
            assert isinstance(self.model, Composer)
            count = self.layout.num_steps(1) * len(batch.frames) + float(batch.drawn.any(1).sum())
            return book_nats(self.model, self.layout, batch, torch.device("cpu"))[:4], count
        if self.name == "chain":
            assert isinstance(self.model, Chain)
            return self.model.nats(batch), float(batch.drawn.any(1).sum())
        return self._flat_nats(batch)

    def _flat_nats(self, batch: Batch) -> tuple[Tensor, float]:
        rows = []
        for frames, drawn in zip(batch.frames.numpy(), batch.drawn.numpy(), strict=True):
            used = np.flatnonzero(drawn.any(0))
            rows.append(self.tokens.read(frames[:, : used[-1] + 1], self.pad))
        length = max(len(ids) for ids, _ in rows)
        ids = torch.full((len(rows), length), self.pad)
        taught = torch.zeros(len(rows), length, dtype=torch.bool)
        for row, (own, drawn) in enumerate(rows):
            ids[row, : len(own)] = torch.from_numpy(own)
            taught[row, : len(own)] = torch.from_numpy(drawn)
        taught[:, 0] = False
        assert isinstance(self.model, Composer)
        conditioning = Conditioning(prefix=self.model.conditioner(batch.controls))
        logits = self.model.decoder(ids[:, None, :-1], conditioning=conditioning)[:, 0]
        nats = cross_entropy(logits[taught[:, 1:]], ids[:, 1:][taught[:, 1:]], reduction="sum")
        return nats[None], float(sum(len(own) for own, _ in rows))


class Chain(Composer):
    """A composer whose books read, above one step, the ids of their frame that were drawn before them."""

    def __init__(self, spec) -> None:  # type: ignore[no-untyped-def]
        super().__init__(spec, len(LABELS))
        width = spec.width
        self.before = nn.ModuleList(nn.Embedding(IDS, width) for _ in BOOKS[:3])
        self.mix = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)) for _ in BOOKS[:3]
        )
        self.norms = nn.ModuleList(Norm(width, False) for _ in BOOKS[:4])
        self.heads = nn.ModuleList(nn.Linear(width, IDS, bias=False) for _ in BOOKS[:4])
        for table in self.before:
            assert isinstance(table, nn.Embedding)
            nn.init.normal_(table.weight, std=0.02)

    def nats(self, batch: Batch) -> Tensor:
        frames, drawn = batch.frames, batch.drawn
        conditioning = Conditioning(prefix=self.conditioner(batch.controls))
        x = self.decoder.read(frames[:, :, :-1], conditioning=conditioning)[:, -(frames.shape[2] - 1) :]
        found = []
        for book in range(4):
            if book:
                x = x + self.before[book - 1](frames[:, book - 1, 1:])
                x = x + self.mix[book - 1](torch.nn.functional.rms_norm(x, x.shape[-1:]))
            taught = drawn[:, book, 1:]
            logits = self.heads[book](torch.nn.functional.rms_norm(x[taught], x.shape[-1:]))
            found.append(cross_entropy(logits, frames[:, book, 1:][taught], reduction="sum"))
        return torch.stack(found)


def measured(name: str, cache: Path, seconds: float, say: Callable[[str], None]) -> Result:
    """Train one way for so many seconds of the process, the rates falling in the last half; what it came to."""
    torch.manual_seed(0)
    flat = name in ("flat", "pairs")
    frames_a_step = int(TOKENS_A_STEP / TOKENS_A_FRAME) if flat else TOKENS_A_STEP
    windows = NoteWindows(cache, False, CONTEXT, frames_a_step, 0, velocities=False)
    unseen = NoteWindows(cache, True, CONTEXT, 2048, 1, velocities=False)
    held_out = [unseen.batch(number) for number in range(HELD_OUT_BATCHES)]
    way = Way(name, windows)
    optimizers = optimizers_of(
        way.model, way.model.decoder, SPEC.muon_rate, SPEC.adam_rate, SPEC.weight_decay, betas=(0.9, 0.999)
    )
    rates = [group["lr"] for each in optimizers for group in each.param_groups]
    step = frames = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        factor = min(1.0, (step + 1) / SPEC.warmup, 2 * (1 - spent / seconds)) + 1e-3
        for group, rate in zip((g for each in optimizers for g in each.param_groups), rates, strict=True):
            group["lr"] = rate * factor
        batch = windows.batch(step)
        loss = way.nats(batch)[0].sum() / max(batch.notes, 1)
        loss.backward()
        nn.utils.clip_grad_norm_(way.model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step, frames = step + 1, frames + int(batch.drawn.any(1).sum())
        if step % 50 == 0:
            say(f"{name} {step} steps {spent:.0f} s {float(loss):.3f} nats a note")
    with torch.no_grad():
        found = [way.nats(batch) for batch in held_out]
    notes = sum(batch.notes for batch in held_out)
    nats = torch.stack([each for each, _ in found]).sum(0) / notes
    return Result(
        name, sum(p.numel() for p in way.model.parameters()), seconds, step, frames, round(float(nats.sum()), 4),
        round(sum(count for _, count in found) / notes, 3),
        {book: round(float(value), 4) for book, value in zip(way.books, nats, strict=True)},
    )  # fmt: skip


def main() -> None:
    """Measure the ways that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("ways", nargs="+", help="flat, pairs, chain, delay-01234 or other delays")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.ways:
        result = measured(name, args.cache, args.seconds, lambda line: print(line, flush=True))
        print(json.dumps(asdict(result)), flush=True)
        if args.json:
            lines = json.loads(args.json.read_text()) if args.json.exists() else []
            lines.append({"date": date.today().isoformat(), **asdict(result)})
            args.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
