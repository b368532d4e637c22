"""Teach a composer to write less unlike real music: `python -m clavilux.training.self_play SCORES --begin CHECKPOINT`.

A composer that was taught the next token of real music goes on from its own tokens when it writes, and drifts. Here it
goes on from beginnings of real pieces, over their bars, and learns to make what the piece has likelier, beside what it
was before, than what it wrote itself: self-play fine-tuning (Chen et al. 2024, "Self-Play Fine-Tuning Converts Weak
Language Models to Strong Language Models"), whose loss is that of preferences (Rafailov et al. 2023, "Direct Preference
Optimization"). The usual loss stays beside it: with a hundred times this weight of a pair, real music became less
likely too, only less so than the composer's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from clavilux.audio.codecs.remi import score_tokens
from clavilux.conditioning import Conditioning
from clavilux.families.aria.family import Composer
from clavilux.families.aria.formats import RemiFormat
from clavilux.families.aria.leaning import LIKELY
from clavilux.families.aria.prefix import PrefixControls
from clavilux.sampling import Sampler, SamplingSpec
from clavilux.training.composer import FORCED_KINDS, Run, TrainSpec, Windows, cache_in, export, logits_of, say
from clavilux.training.composer_files import average, begin_with
from clavilux.training.image_dataset import autocast
from clavilux.training.token_data import STYLE_NAMES

PROMPTS = (40, 64, 128, 192, 256, 384)  # tokens of a piece that the composer goes on from
FEWEST = 20  # tokens that follow them
DRAWN_TOGETHER = 48
WEIGHT = 0.01  # of a pair's loss beside the nats a token
SHARPNESS = 0.1  # of the preference, DPO's beta
HELD_OUT_PAIRS = 192


@dataclass
class Pairs:
    """Windows of pieces, and what a composer wrote in their place.

    Attributes:
        real, made: tokens int64 [N, T], padded at the end; the first `prompt` of a row are the same.
        prompt: int64 [N].
        controls: of each row.
    """

    real: np.ndarray
    made: np.ndarray
    prompt: np.ndarray
    controls: list[PrefixControls]

    def __len__(self) -> int:
        return len(self.made)

    def rows(self, chosen: np.ndarray) -> tuple[Tensor, list[PrefixControls], Tensor]:
        """Real ones, then made ones: tokens int64 [2 * n, T], controls, prompts."""
        tokens = np.concatenate([self.real[chosen], self.made[chosen]])
        controls = [self.controls[row] for row in chosen]
        return torch.from_numpy(tokens), controls * 2, torch.from_numpy(np.tile(self.prompt[chosen], 2))

    def save(self, path: Path) -> None:
        """Write all into an npz file."""
        real, made = (rows.astype(np.int16) for rows in (self.real, self.made))
        np.savez(path, real=real, made=made, prompt=self.prompt, controls=as_rows(self.controls))

    @classmethod
    def load(cls, path: Path) -> Pairs:
        """As `save` writes them."""
        arrays = np.load(path)
        real, made = (arrays[name].astype(np.int64) for name in ("real", "made"))
        return cls(real, made, arrays["prompt"], from_rows(arrays["controls"]))


def as_rows(controls: Sequence[PrefixControls]) -> np.ndarray:
    """int64 [N, 4 + P]: style, mode, tempo, density and the programs, then -1."""
    most = max(len(c.programs) for c in controls)
    return np.array(
        [[c.style, c.mode, c.tempo, c.density, *c.programs, *[-1] * (most - len(c.programs))] for c in controls]
    )


def from_rows(rows: np.ndarray) -> list[PrefixControls]:
    """As `as_rows` wrote them."""
    return [
        PrefixControls(style, mode, tempo, density, tuple(program for program in programs if program >= 0))
        for style, mode, tempo, density, *programs in rows.tolist()
    ]


def following_kinds(cache: Path) -> Tensor:
    """bool [V, V]: which tokens may follow which, by what kinds do in the pieces; those that a grammar forces apart."""
    vocabulary = score_tokens()
    names = [
        name if name == "Position_0" else kind for name, kind in zip(vocabulary.names, vocabulary.kinds, strict=True)
    ]
    kinds = np.unique(names, return_inverse=True)[1]
    found = np.zeros((kinds.max() + 1, kinds.max() + 1), dtype=bool)
    tokens = kinds[np.load(cache)["tokens"]]
    found[tokens[:-1], tokens[1:]] = True
    forced = np.isin(vocabulary.kinds, FORCED_KINDS)
    return torch.from_numpy(found[kinds[:, None], kinds[None]] & ~forced[None])


class Heads:
    """The bars of a window whose heads are to come: what a composer writes has the same metres, sections and places.

    Args:
        window: tokens int64 [T] of a piece.
        prompt: how many of them are read; the head that they break off in comes first.
    """

    def __init__(self, window: np.ndarray, prompt: int) -> None:
        vocabulary = score_tokens()
        forced = np.isin(vocabulary.kinds, FORCED_KINDS)
        forced[vocabulary.pad] = False
        self._heads: list[list[int]] = []
        self._due: list[int] = []
        for bar in np.flatnonzero(window == vocabulary.ids["Bar_None"]):
            end = bar + 1
            while end < len(window) and forced[window[end]]:
                end += 1
            if bar >= prompt:
                self._heads.append(window[bar + 1 : end].tolist())
            elif end > prompt:
                self._due = window[prompt:end].tolist()

    def next(self, drawn: int) -> int:
        """The token that comes where this one was drawn: that of a head, or none where the window has no more bars."""
        vocabulary = score_tokens()
        if self._due:
            return self._due.pop(0)
        if drawn == vocabulary.ids["Bar_None"]:
            if not self._heads:
                return vocabulary.pad
            self._due = self._heads.pop(0)
        return drawn


@torch.no_grad()
def go_on(
    model: Composer, real: Tensor, controls: list[PrefixControls], prompt: int, follows: Tensor, seed: int
) -> Tensor:
    """What the composer writes after the first `prompt` tokens of windows, int64 [B, T], in their bars and by the
    programs of their controls: int64 [B, T], padded where the bars end.
    """
    vocabulary = score_tokens()
    size, length = real.shape
    state = model.decoder.new_state(size, Conditioning(prefix=model.conditioner(controls)))
    logits = model.decoder.prefill(real[:, None, :prompt], state)
    usual = RemiFormat.sampling
    sampling = SamplingSpec(temperature=usual.temperature, top_p=LIKELY, seed=seed)
    sampler = Sampler(sampling, size, 1, len(vocabulary))
    program = torch.tensor(
        [v if k == "Program" else -1 for k, v in zip(vocabulary.kinds, vocabulary.values, strict=True)]
    )
    plays = torch.stack(
        [(program < 0) | torch.isin(program, torch.tensor(c.programs or program.tolist())) for c in controls]
    )
    heads = [Heads(row, prompt) for row in real.numpy()]
    made = torch.full_like(real, vocabulary.pad)
    made[:, :prompt] = real[:, :prompt]
    last = real[:, prompt - 1]
    over = last == vocabulary.pad
    for at in range(prompt, length):
        allowed = follows[last] & plays
        allowed |= ~allowed.any(1, keepdim=True)  # where a head comes, or nothing more
        drawn = sampler.draw(logits, at - prompt, allowed[:, None])[:, 0].tolist()
        tokens = [
            vocabulary.pad if done else head.next(t) for t, head, done in zip(drawn, heads, over.tolist(), strict=True)
        ]
        last = made[:, at] = torch.tensor(tokens)
        over |= last == vocabulary.pad
        if over.all():
            break
        if at + 1 < length:
            logits = model.decoder.step(torch.where(over, vocabulary.ids["Bar_None"], last)[:, None], state)
    return made


def draw_pairs(model: Composer, windows: Windows, follows: Tensor, count: int, report: Callable[[int], None]) -> Pairs:
    """About so many pairs of a composer."""
    random = np.random.default_rng(count)
    found = list[tuple[np.ndarray, np.ndarray, np.ndarray]]()
    conditions = list[PrefixControls]()
    while len(conditions) < count:
        real, controls = windows.batch(min(DRAWN_TOGETHER, count))
        prompt = min(int(random.choice(PROMPTS)), real.shape[1] // 2)
        made = go_on(model, real, controls, prompt, follows, int(random.integers(2**31)))
        pad = score_tokens().pad
        long = [i for i in range(len(made)) if all((side[i] != pad).sum() > prompt + FEWEST for side in (real, made))]
        found.append((real.numpy()[long], made.numpy()[long], np.full(len(long), prompt)))
        conditions += [controls[row] for row in long]
        report(len(conditions))
    reals, mades, prompts = zip(*found, strict=True)
    return Pairs(np.concatenate(reals), np.concatenate(mades), np.concatenate(prompts), conditions)


class SelfPlay(Run):
    """A run that learns from pairs beside real windows; `log`, checkpoints and what it exports are a `Run`'s.

    Args:
        pairs, held_out_pairs: of the composer `begin`.
        cache, out, spec, seconds, begin, compiled: as `Run`'s; a step is of half as many pairs as `spec.batch`.
    """

    def __init__(
        self, pairs: Pairs, held_out_pairs: Pairs, cache: Path, out: Path, spec: TrainSpec, seconds: float, begin: Path,
        compiled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(cache, out, spec, seconds, begin, compiled)
        self.pairs, self.held_out_pairs = pairs, held_out_pairs
        self.count = spec.batch // 2
        self.before = Composer(self.model.decoder.spec, len(STYLE_NAMES))
        self.before.load_state_dict(begin_with(begin))
        self.random = np.random.default_rng(spec.seed + self.step)
        self.left: list[int] = []  # rows of this round through the pairs

    def gains(self, chosen: np.ndarray, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """(by how many nats real ones became likelier than made ones since the composer began [n], nats a token of the
        real windows).
        """
        tokens, controls, prompts = pairs.rows(chosen)
        following = tokens[:, 1:]
        with autocast():
            now = self.logits(tokens, self.model.conditioner(controls))
            with torch.no_grad():
                before = logits_of(self.before, tokens, self.before.conditioner(controls))
        nats, others = (
            cross_entropy(logits.float().transpose(1, 2), following, reduction="none") * self.teaches[following]
            for logits in (now, before)
        )
        after = torch.arange(1, tokens.shape[1]) >= prompts[:, None]
        real, made = ((others - nats) * after).sum(1).view(2, -1)
        return real - made, nats[: len(chosen)].sum() / self.teaches[following[: len(chosen)]].sum()

    def train_step(self, share: float) -> float:
        """One step at `share` (0 to 1) of the run."""
        self.set_rates(share)
        if len(self.left) < self.count:
            self.left = self.random.permutation(len(self.pairs)).tolist()
        chosen = np.array([self.left.pop() for _ in range(self.count)])
        gains, usual = self.gains(chosen, self.pairs)
        (usual - WEIGHT * logsigmoid(SHARPNESS * gains).mean()).backward()
        self.update()
        return float(usual.detach())

    @torch.no_grad()
    def told(self) -> float:
        """The share of held-out pairs whose real one became likelier than the made one; 0.5 before the first step."""
        pairs = self.held_out_pairs
        rows = np.split(np.arange(len(pairs)), range(self.count, len(pairs), self.count))
        return float(np.concatenate([self.gains(each, pairs)[0] > 0 for each in rows]).mean())


def main() -> None:
    """Draw pairs, measure them and learn, or go on with it, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, help="folder with index.tsv and the MIDI files it names")
    parser.add_argument("--begin", type=Path, required=True, help="the composer's checkpoint folder")
    parser.add_argument("--out", type=Path, default=Path("runs/self-play"), help="pairs, checkpoints, log and curves")
    parser.add_argument("--pairs", type=int, default=1680, help="how many the composer writes")
    parser.add_argument("--minutes", type=float, default=20.0, help="training time in all, of the processor")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--muon-rate", type=float, default=0.001, help="of the matrices")
    parser.add_argument("--adam-rate", type=float, default=2e-4, help="of all else")
    parser.add_argument("--compile", action="store_true", help="compile the decoder's step; needs a C++ compiler")
    parser.add_argument("--export", type=Path, help="when done, write the checkpoint into this folder")
    parser.add_argument(
        "--average", type=Path, nargs="*", default=[], help="checkpoints that the exported weights are averaged with"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cache = cache_in(args.out, args.scores)
    spec = TrainSpec(muon_rate=args.muon_rate, adam_rate=args.adam_rate, weight_decay=0.0)
    run = SelfPlay(*_pairs(args, cache, spec), cache, args.out, spec, args.minutes * 60, args.begin, args.compile)
    run.go(say)
    print(f"held out {run.log[-1][3]:.3f} nats a token, {run.told():.2f} of the held-out pairs told")
    if args.export:
        export(args.out, args.export)
        if args.average:
            average([*args.average, args.export], args.export)


def _pairs(args: argparse.Namespace, cache: Path, spec: TrainSpec) -> tuple[Pairs, Pairs]:
    """Those that training sees and those that it does not, drawn where they are not there yet."""
    paths = [args.out / "pairs.npz", args.out / "held-out.npz"]
    if not all(path.exists() for path in paths):
        run, follows = Run(cache, args.out, spec, 1.0, args.begin), following_kinds(cache)
        sides = (run.train, args.pairs), (run.held_out, HELD_OUT_PAIRS)
        for path, (windows, count) in zip(paths, sides, strict=True):
            if not path.exists():
                draw_pairs(run.model, windows, follows, count, _progress(f"drawing {path.stem}")).save(path)
    return Pairs.load(paths[0]), Pairs.load(paths[1])


def _progress(what: str) -> Callable[[int], None]:
    return lambda done: print(f"\r{what} {done}", end="", flush=True)


if __name__ == "__main__":
    main()
