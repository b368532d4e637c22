"""Songs with a mark and without, for `marks.py`: short ones, each a pair of one request, kept in a folder.

Knows what is asked of aria and how the songs are written and read again. Does not know what is measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from composers import silent

import clavilux
from clavilux.audio.harmony import Key
from clavilux.audio.score import Score, bar_quarters
from clavilux.kernels.sample import reference

BATCH = 32
BARS = 8
# (what is asked for, its label for the judges, metre, tempo)
KINDS = (
    ("irish jig for solo fiddle", "jig", (6, 8), 120.0),
    ("waltz for piano", "waltz", (3, 4), 150.0),
    ("string quartet", "quartet", (4, 4), 120.0),
    ("irish reel for solo flute", "reel", (4, 4), 180.0),
    ("minuet for piano", "minuet", (3, 4), 120.0),
    ("hymn for choir", "hymn", (4, 4), 100.0),
    ("slow irish air for solo flute", "air", (3, 4), 80.0),
    ("polka for piano", "polka", (2, 4), 120.0),
)


@dataclass(frozen=True)
class Made:
    """One song of a folder. entropy: nats of the group, summed over its marked draws; NaN for one without a mark."""

    name: str
    kind: int
    seed: int
    score: Score
    entropy: float

    @property
    def label(self) -> str:
        return KINDS[self.kind][1]


def compose(folder: Path, count: int, mark: bool, first: int = 0, bars: int = BARS) -> int:
    """Write songs first .. first + count - 1, whole batches, those apart that are there; how many were composed.

    Song n is of kind n // BATCH, round about, with seed n, so that each kind has the nonces of BATCH seeds in a row.
    """
    composer, made = clavilux.load("aria"), 0
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(first - first % BATCH, first + count, BATCH):
        path = folder / f"{start:05}.json"
        if path.exists():
            continue
        kind = start // BATCH % len(KINDS)
        words, _, metre, tempo = KINDS[kind]
        seconds = bars * bar_quarters(metre) * 60 / tempo
        rows = []
        for seed in range(start, start + BATCH):
            with silent(), _entropies() as found:
                song = composer.generate(
                    words, seconds=seconds, metre="/".join(map(str, metre)), tempo=tempo, seed=seed, mark=mark
                )
            assert song.score is not None, "aria writes scores"
            song.score.save_midi(folder / f"{seed:05}.mid")
            entropy = float(torch.stack(found).sum()) if found else None
            rows.append({"seed": seed, "kind": kind, "key": str(song.score.key), "entropy": entropy})
        path.write_text(json.dumps(rows))
        made += BATCH
        print(f"{folder.name}: {start + BATCH} songs", flush=True)
    return made


class _entropies:
    """While it lasts: a list of float64 [1], the entropy in nats of the group that each marked draw is of."""

    def __enter__(self) -> list[torch.Tensor]:
        self.found: list[torch.Tensor] = []
        original = reference.of_drawn_group

        def watched(scores, noise, groups, keyed):
            odds = torch.zeros(keyed.shape, dtype=torch.float64)
            index = groups.clamp(min=0).expand(scores.shape)
            odds.scatter_add_(-1, index, scores.double().exp().masked_fill(groups < 0, 0))
            share = odds / odds.sum(-1, keepdim=True).clamp(min=1e-300)
            self.found.append(-torch.xlogy(share, share).sum((1, 2)))
            return original(scores, noise, groups, keyed)

        self._patch = patch.object(reference, "of_drawn_group", watched)
        self._patch.start()
        return self.found

    def __exit__(self, *_: object) -> None:
        self._patch.stop()


def read(folder: Path, most: int | None = None) -> Iterator[Made]:
    """The songs of a folder, in the order of their seeds."""
    rows = [row for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_text())]
    for row in rows[:most]:
        name = f"{row['seed']:05}"
        score = Score.from_midi(folder / f"{name}.mid")
        score = score if score.key is not None else _keyed(score, row["key"])
        yield Made(name, row["kind"], row["seed"], score, float("nan") if row["entropy"] is None else row["entropy"])


def _keyed(score: Score, key: str) -> Score:
    from dataclasses import replace

    return replace(score, key=Key.parse(key))
