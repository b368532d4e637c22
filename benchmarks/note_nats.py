"""Nats a note of a composer on held-out pieces, by kind: `python benchmarks/note_nats.py --scores DIR`.

A note is a time, an instrument, a pitch and a length; what a composer says of them costs nats, whatever its tokens
are, so that composers with other tokens compare. Time includes the bars' lines, without which no note has one. What
is neither (chords) stands in a column of its own, for it tells of the notes that come; "all" is the sum. What the
grammar of a model always forces (metre, section, tempo) is not counted.

A composer of another kind is measured by another `Scorer`: a function from a row of the index to `Told`.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from corpus import LABELS, Song, chosen, label_of, read_songs
from quality import commit
from torch.nn.functional import cross_entropy

from clavilux.audio.codecs.remi import score_tokens
from clavilux.conditioning import Conditioning
from clavilux.families.aria.family import Aria
from clavilux.families.aria.prefix import MODES, PREFIX_LENGTH, PrefixControls, tempo_bin
from clavilux.loading import load
from clavilux.training.data import Piece, read_index, tokenize

PARTS = ("time", "instrument", "pitch", "length", "structure")
PART_OF_KIND = {
    "Bar": "time", "Position": "time", "Program": "instrument", "Pitch": "pitch", "PitchDrum": "pitch",
    "Duration": "length", "Chord": "structure",
}  # fmt: skip
LONGEST_BARS = 64
EACH = 16


@dataclass(frozen=True)
class Told:
    """What a composer says of one piece: nats of each of `PARTS`, and the notes that they tell of."""

    nats: dict[str, float]
    notes: int


Scorer = Callable[[dict[str, str]], Told | None]  # None for a piece that its tokens cannot say


def remi_scorer(model: str, scores: Path, bars: int = LONGEST_BARS) -> Scorer:
    """The scorer of a checkpoint of the family "aria", whose tokens are REMI. ValueError for another family's."""
    aria = getattr(load(model), "family", None)
    if not isinstance(aria, Aria):
        raise ValueError(f"{model!r} is no composer with REMI tokens; give a checkpoint of the family aria")

    def told(row: dict[str, str]) -> Told | None:
        pieces = tokenize(scores, row)
        return _told(aria, pieces[0], bars) if pieces else None

    return told


def _told(aria: Aria, piece: Piece, bars: int) -> Told:
    tokens = score_tokens()
    ids = piece.tokens.astype(np.int64)
    starts = np.flatnonzero(ids == tokens.ids["Bar_None"])
    ids = ids[: starts[bars]] if len(starts) > bars else ids
    losses = token_nats(aria, ids, _controls(aria, piece, ids))
    kinds = np.array(tokens.kinds)[ids]
    nats = dict.fromkeys(PARTS, 0.0)
    for kind, part in PART_OF_KIND.items():
        nats[part] += float(losses[kinds == kind].sum())
    return Told(nats, int(np.isin(kinds, ("Pitch", "PitchDrum")).sum()))


@torch.no_grad()
def token_nats(aria: Aria, ids: np.ndarray, controls: PrefixControls) -> np.ndarray:
    """Nats of every token [T] under its context: windows that move by half, each token judged in the first window in
    which it stands behind half a window of others. The first token, which every piece begins with, costs nothing."""
    decoder, prefix = aria.composer.decoder, aria.composer.conditioner([controls])
    length = decoder.spec.max_positions - PREFIX_LENGTH
    nats, done, start = np.zeros(len(ids)), 1, 0
    while done < len(ids):
        window = torch.from_numpy(ids[start : start + length])
        logits = decoder(window[None, None], conditioning=Conditioning(prefix=prefix))[0, 0, :-1]
        losses = cross_entropy(logits.float(), window[1:], reduction="none").numpy()
        end = start + len(window)
        nats[done:end] = losses[done - start - 1 :]
        done, start = end, start + length // 2
    return nats


def _controls(aria: Aria, piece: Piece, ids: np.ndarray) -> PrefixControls:
    """All that training would have said of the piece, but how dense it is."""
    tokens = score_tokens()
    programs = {tokens.values[i] for i in np.unique(ids) if tokens.kinds[i] == "Program"}
    style = aria.styles.index(piece.style) if piece.style in aria.styles else -1
    return PrefixControls(style, MODES.index(piece.mode), tempo_bin(piece.tempo), -1, tuple(sorted(programs)))


def by_label(told: Iterable[tuple[str, Told]]) -> dict[str, dict[str, float]]:
    """For each label and for "all labels" (their mean, each weighing the same): nats a note of each part, of a note
    (all parts but structure), and of everything."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys((*PARTS, "notes", "pieces"), 0.0))
    for label, piece in told:
        for part in PARTS:
            sums[label][part] += piece.nats[part]
        sums[label]["notes"] += piece.notes
        sums[label]["pieces"] += 1
    found = {}
    for label in (label for label in LABELS if label in sums):
        row = {part: sums[label][part] / max(sums[label]["notes"], 1) for part in PARTS}
        row["note"] = sum(row[part] for part in PARTS[:-1])
        row["all"] = row["note"] + row["structure"]
        found[label] = row | {name: sums[label][name] for name in ("notes", "pieces")}
    mean = {name: float(np.mean([row[name] for row in found.values()])) for name in (*PARTS, "note", "all")}
    total = {name: sum(row[name] for row in found.values()) for name in ("notes", "pieces")}
    return found | {"all labels": mean | total}


def asked_rows(scores: Path, held_out: list[Song], each: int) -> list[dict[str, str]]:
    """The rows of the index of at most `each` held-out songs of a kind, those that the songs' measures use too."""
    names = {song.name for song in chosen(held_out, each)}
    return [row for row in read_index(scores) if row["file"] in names]


def show(table: dict[str, dict[str, float]]) -> None:
    columns = (*PARTS, "note", "all")
    print(f"{'nats a note':16}" + "".join(f"{name:>12}" for name in columns) + f"{'notes':>10}{'pieces':>8}")
    for label, row in table.items():
        cells = "".join(f"{row[name]:12.3f}" for name in columns)
        print(f"{label:16}{cells}{row['notes']:10.0f}{row['pieces']:8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder of MIDI files with index.tsv")
    parser.add_argument("--model", default="aria", help="a checkpoint of the family aria")
    parser.add_argument("--each", type=int, default=EACH, help="held-out pieces of a kind")
    parser.add_argument("--bars", type=int, default=LONGEST_BARS, help="the first bars of a piece that are scored")
    parser.add_argument("--cache", type=Path, help="npz file in which the read scores are kept (as songs.py's)")
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()
    if args.each < 1 or args.bars < 1:
        parser.error("--each and --bars should be 1 or more")
    scorer = remi_scorer(args.model, args.scores, args.bars)
    told = []
    for row in asked_rows(args.scores, read_songs(args.scores, args.cache)[1], args.each):
        piece, label = scorer(row), label_of(row)
        if piece is not None and label is not None:
            told.append((label, piece))
    table = by_label(told)
    show(table)
    if args.json:
        facts = {"date": date.today().isoformat(), "commit": commit(), "machine": platform.machine()}
        args.json.write_text(
            json.dumps({**facts, "model": args.model, "bars": args.bars, "table": table}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
