"""From a folder of MIDI files with an `index.tsv` to the composer's training tokens.

Knows which files belong together, which are held out, what instruments a file means, and how a piece is
brought to C. Does not know the decoder. One row of the index: file, title, composer, style, gm_programs, ...
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clavilux.audio.codecs.bar_grid import regular_bars
from clavilux.audio.codecs.remi import score_tokens, written_program
from clavilux.audio.harmony_analysis import find_chords, find_key
from clavilux.audio.score import Score
from clavilux.families.aria.form import sections_of
from clavilux.families.aria.prefix import shift_to_c
from clavilux.families.aria.styles import STYLES, style_of

HELD_OUT_SHARE = 0.04

# Many engravings leave the program at 0 (piano) and name the instrument in the title's brackets.
_BRACKETS = (
    (r"satb|s\.s\.a|voice \(", 52), (r"voice|soprano", 52), (r"organ", 19), (r"harpsichord", 6),
    (r"trumpet", 56), (r"violin", 40), (r"cello", 42), (r"guitar|lute|vihuela", 24), (r"flute", 73),
    (r"recorder", 74), (r"saxophone", 65), (r"clarinet", 71), (r"string ensemble", 48),
    (r"brass ensemble", 61), (r"accordion", 21), (r"glockenspiel", 8),
)  # fmt: skip

# Four-part writing sounds on any choir of instruments: the parts from the top down.
QUARTETS = ((56, 60, 57, 58), (40, 40, 41, 42), (73, 68, 71, 70))


@dataclass(frozen=True)
class Piece:
    """One training piece, its pitches brought to C: tokens uint16 [T], quarters float32 [T] (each token's bar
    and position from the start), and what conditions it.
    """

    file: str
    style: str
    mode: str
    tempo: float
    tokens: np.ndarray
    quarters: np.ndarray


def read_index(folder: str | Path) -> list[dict[str, str]]:
    """The rows of `folder/index.tsv`. Raises ValueError where there is none."""
    path = Path(folder) / "index.tsv"
    if not path.is_file():
        raise ValueError(f"{folder} holds no index.tsv; give the folder of scores that has one")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def split(rows: Iterable[dict[str, str]]) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """(training rows, held-out rows). All editions and movements of one work by one composer fall on the
    same side, by a hash of its name.
    """
    train: list[dict[str, str]] = []
    held_out: list[dict[str, str]] = []
    for row in rows:
        share = int(hashlib.sha256(_work_name(row).encode()).hexdigest()[:8], 16) / 2**32
        (held_out if share < HELD_OUT_SHARE else train).append(row)
    return train, held_out


def _work_name(row: dict[str, str]) -> str:
    title = re.sub(r"\[.*?\]|\(.*?\)|\b(no|op|nr|d|bwv|k)\b\.?\s*\d*|\d+", " ", row["title"].lower())
    words = re.findall(r"[^\W\d_]+", f"{title} {row['composer'].lower().split(',')[0]}")
    return " ".join(sorted(set(words)))


def read_score(folder: str | Path, row: dict[str, str]) -> Score:
    """A file of the index, with the instruments it means and its key and chords found."""
    score = Score.from_midi(Path(folder) / row["file"]).merged()
    notes = score.notes.copy()
    programs = set(notes["program"][~notes["drum"]].tolist())
    named = re.search(r"\[([^\]]*)\]\s*$", row["title"])
    if named and programs == {0}:
        text = named.group(1).lower()
        if "piano" not in text or "harpsichord" in text:
            found = next((program for words, program in _BRACKETS if re.search(words, text)), 0)
            notes["program"][~notes["drum"]] = found
    elif row["file"].startswith("lieder/"):  # the notation program's voice comes out as oboe or choir
        notes["program"][np.isin(notes["program"], (53, 54, 68)) & ~notes["drum"]] = 52
    held = np.array([written_program(p) for p in range(128)])
    notes["program"] = np.where(notes["drum"], notes["program"], held[notes["program"]])
    score = replace(score, notes=notes)
    key = find_key(score)
    return replace(score, key=key, chords=find_chords(score, key))


def tokenize(folder: str | Path, row: dict[str, str]) -> list[Piece]:
    """The training pieces that a file makes: itself, and four-part chorales once more for each quartet."""
    try:
        score = regular_bars(read_score(folder, row))
    except ValueError:
        return []  # a handful of files hold no notes, or bars that no metre of ours can hold
    if len(score.notes) < 32:
        return []
    style = style_of(row)
    pieces = [_piece(score, row, style)]
    notes = score.notes
    if style == "chorale" and len(set(notes["program"].tolist())) == 1 and not notes["drum"].any():
        pieces += [_piece(in_parts(score, q), row, style) for q in QUARTETS]
    return pieces


def _piece(score: Score, row: dict[str, str], style: str) -> Piece:
    assert score.key is not None, "`read_score` finds one"
    tokens = score_tokens()
    starts = score.bar_starts()
    ids = tokens.encode(score, sections_of(len(starts)))
    ids = tokens.transposition(shift_to_c(score.key.tonic))[ids]
    return Piece(
        file=row["file"],
        style=style,
        mode=score.key.mode,
        tempo=score.tempos[0][1],
        tokens=ids.astype(np.uint16),
        quarters=quarters_of(ids),
    )


def quarters_of(ids: np.ndarray) -> np.ndarray:
    """Quarter notes from the first bar to each token's position, float32 [T]."""
    tokens = score_tokens()
    out = np.zeros(len(ids), dtype=np.float32)
    bar = length = at = 0.0
    unit = 4
    for i, token in enumerate(ids):
        kind, value = tokens.kinds[token], tokens.values[token]
        if kind == "Bar":
            bar = at = bar + length
        elif kind == "TimeSig":
            length, unit = value[0] * 4 / value[1], value[1]
        elif kind == "Position":
            at = bar + value / 12 * 4 / unit
        out[i] = at
    return out


def in_parts(score: Score, programs: tuple[int, ...]) -> Score:
    """Each onset's notes handed to the parts from the top down."""
    notes = score.notes.copy()
    for start in np.unique(notes["start"]):
        here = np.flatnonzero(notes["start"] == start)
        order = here[np.argsort(-notes["pitch"][here])]
        whole = len(order) == len(programs)
        # With fewer notes each goes to the part of its register.
        parts = programs if whole else [programs[_part(int(notes["pitch"][i]))] for i in order]
        for i, program in zip(order, parts, strict=False):
            notes["program"][i] = program
    return replace(score, notes=notes)


def _part(pitch: int) -> int:
    return 0 if pitch >= 67 else 1 if pitch >= 60 else 2 if pitch >= 52 else 3


def _tokenize_star(job: tuple[str | Path, dict[str, str]]) -> list[Piece]:
    return tokenize(*job)


def build(
    folder: str | Path, cache: str | Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> None:
    """Tokenise a folder of scores into `cache` (npz): training and held-out pieces, exact duplicates dropped.

    `progress(done, total)` is called as files are read.
    """
    train, held_out = split(read_index(folder))
    jobs = [(folder, row) for row in train + held_out]
    pieces: list[list[Piece]] = []
    with ProcessPoolExecutor(workers) as pool:
        for made in pool.map(_tokenize_star, jobs, chunksize=16):
            pieces.append(made)
            if progress is not None:
                progress(len(pieces), len(jobs))
    seen, kept, is_held_out = set(), [], []
    # Held-out pieces go first: a duplicate that crosses the split is dropped from training.
    order = list(range(len(train), len(jobs))) + list(range(len(train)))
    for index in order:
        for piece in pieces[index]:
            name = hashlib.sha256(piece.tokens[16:4096].tobytes()).digest()
            if name not in seen:
                seen.add(name)
                kept.append(piece)
                is_held_out.append(index >= len(train))
    save(cache, kept, is_held_out)


def save(path: str | Path, pieces: list[Piece], is_held_out: list[bool]) -> None:
    """Write pieces as one npz."""
    ends = np.cumsum([len(p.tokens) for p in pieces])
    np.savez(
        path,
        tokens=np.concatenate([p.tokens for p in pieces]),
        quarters=np.concatenate([p.quarters for p in pieces]),
        ends=ends,
        style=np.array([STYLE_NAMES.index(p.style) for p in pieces]),
        minor=np.array([p.mode == "minor" for p in pieces]),
        tempo=np.array([p.tempo for p in pieces]),
        files=np.array([p.file for p in pieces]),
        held_out=np.array(is_held_out),
        vocabulary=np.array(score_tokens().names),
    )


STYLE_NAMES = tuple(sorted(STYLES))
