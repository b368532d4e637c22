"""Nats a note of a composer on held-out pieces, by kind: `python benchmarks/note_nats.py --scores DIR`.

A note is a time, an instrument, a pitch and a length; what a composer says of them costs nats, whatever its tokens
are, so that composers with other tokens compare. Time includes the bars' lines, without which no note has one. What
is neither (chords) stands in a column of its own, for it tells of the notes that come; "all" is the sum. What the
grammar of a model always forces (metre, section, tempo) is not counted.

A composer of another kind is measured by another `Scorer`: a function from a row of the index to `Told`. Of one that
writes note frames the heads of bars say the metre alone, as REMI's do, unless `--heads` lets them say what they can:
which bars return, and how many are left. The end of the piece, which REMI has no token for, is not counted.
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

from clavilux.audio.codecs.note_frames import (
    BAR,
    CHORD,
    LEFT_UNSAID,
    NO_SECTION,
    RETURN_UNSAID,
    is_drawn,
    is_note,
)
from clavilux.audio.codecs.remi import DRUMS, PROGRAMS, score_tokens
from clavilux.conditioning import Conditioning
from clavilux.families.aria.chances import told_in_windows
from clavilux.families.aria.family import Aria
from clavilux.families.aria.formats import FrameFormat
from clavilux.families.aria.prefix import MODES, PREFIX_LENGTH, PrefixControls, tempo_bin
from clavilux.loading import load
from clavilux.training.data import read_chords, read_index, taught_scores
from clavilux.training.labels import STYLE_OF_LABEL
from clavilux.training.note_data import FramePiece, framed
from clavilux.training.token_data import STYLE_NAMES, Piece, tokenized

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


def scorer_of(model: str, scores: Path, bars: int = LONGEST_BARS, heads: bool = False) -> Scorer:
    """The scorer of a checkpoint of the family "aria". ValueError for another family's."""
    aria = getattr(load(model), "family", None)
    if not isinstance(aria, Aria):
        raise ValueError(f"{model!r} is no composer of notes; give a checkpoint of the family aria")
    if isinstance(aria.writing, FrameFormat):
        return frame_scorer(aria, scores, bars, heads)
    return remi_scorer(aria, scores, bars)


def frame_scorer(aria: Aria, scores: Path, bars: int, heads: bool) -> Scorer:
    """The scorer of a composer that writes note frames."""
    named = read_chords(scores)

    def told(row: dict[str, str]) -> Told | None:
        taught = taught_scores(scores, row, named.get(row["file"], ()))
        return _told_in_frames(aria, framed(taught[0]), bars, heads) if taught else None

    return told


def _told_in_frames(aria: Aria, piece: FramePiece, bars: int, heads: bool) -> Told:
    frames = piece.frames[:, :-1].astype(np.int64)  # without its end
    starts = np.flatnonzero(frames[0] == BAR)
    frames = frames[:, : starts[bars]] if len(starts) > bars else frames
    if not heads:
        unsaid = np.array([RETURN_UNSAID, NO_SECTION, LEFT_UNSAID])
        frames[2:, frames[0] == BAR] = unsaid[:, None]
    notes = is_note(frames)
    used = tuple((*PROGRAMS, DRUMS)[row] for row in np.unique(frames[1, notes]).tolist())
    style = aria.styles.index(piece.label) if piece.label in aria.styles else -1
    controls = PrefixControls(style, int(piece.minor), tempo_bin(piece.tempo), -1, used)
    losses = frame_nats(aria, frames, controls) * is_drawn(frames)
    each = {name: float(losses[book, notes].sum()) for book, name in ((1, "instrument"), (2, "pitch"), (3, "length"))}
    structure = float(losses[1:3, (frames[1] == CHORD) & (frames[0] < BAR)].sum())
    return Told({"time": float(losses[0].sum()), **each, "structure": structure}, int(notes.sum()))


@torch.no_grad()
def frame_nats(aria: Aria, frames: np.ndarray, controls: PrefixControls) -> np.ndarray:
    """Nats of every id of frames [5, T], as `token_nats`; a window begins with the head of a bar where it can."""
    decoder, layout, prefix = aria.composer.decoder, aria.writing.layout, aria.composer.conditioner([controls])
    length = decoder.spec.max_positions - PREFIX_LENGTH - max(layout.delays)
    heads = np.flatnonzero(frames[0] == BAR)
    nats, done, start = np.zeros(frames.shape), 1, 0
    while done < frames.shape[1]:
        window = torch.from_numpy(frames[None, :, start : start + length])
        logits = decoder(layout.arrange(window)[:, :, :-1], conditioning=Conditioning(prefix=prefix))[0].float()
        end = start + window.shape[2]
        for book, delay in enumerate(layout.delays):
            first = done - start
            seen = logits[book, delay + first - 1 : delay + end - start - 1]
            nats[book, done:end] = cross_entropy(seen, window[0, book, first:], reduction="none").numpy()
        done = end
        before = heads[(heads > start) & (heads <= max(start + 1, end - length // 2))]
        start = int(before[-1]) if len(before) else end - length // 2
    return nats


def remi_scorer(aria: Aria, scores: Path, bars: int) -> Scorer:
    """The scorer of a composer whose tokens are REMI."""
    named = read_chords(scores)

    def told(row: dict[str, str]) -> Told | None:
        taught = taught_scores(scores, row, named.get(row["file"], ()))
        return _told(aria, tokenized(taught[0]), bars) if taught and taught[0].label in STYLE_NAMES else None

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
    """Nats of every token [T] under its context (`told_in_windows`). The first token, which every piece begins with,
    costs nothing."""
    nats = np.zeros(len(ids))
    for span, logits in told_in_windows(aria, ids, controls):
        nats[span] = cross_entropy(logits, torch.from_numpy(ids[span]), reduction="none").numpy()
    return nats


def _controls(aria: Aria, piece: Piece, ids: np.ndarray) -> PrefixControls:
    """All that training would have said of the piece, but how dense it is."""
    style = piece.style if piece.style in aria.styles else STYLE_OF_LABEL[piece.style]
    style = -1 if style is None else aria.styles.index(style)
    return PrefixControls(style, MODES.index(piece.mode), tempo_bin(piece.tempo), -1, score_tokens().programs(ids))


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
    parser.add_argument("--heads", action="store_true", help="heads of note frames say returns and bars left")
    parser.add_argument("--cache", type=Path, help="npz file in which the read scores are kept (as songs.py's)")
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()
    if args.each < 1 or args.bars < 1:
        parser.error("--each and --bars should be 1 or more")
    scorer = scorer_of(args.model, args.scores, args.bars, args.heads)
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
            json.dumps({**facts, "model": args.model, "bars": args.bars, "heads": args.heads, "table": table}, indent=2)
            + "\n"
        )


if __name__ == "__main__":
    main()
