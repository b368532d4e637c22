"""From a folder of MIDI files with an `index.tsv` to the scores that a composer is taught from.

Knows which files belong together and which are copies of one another, which are held out, what instruments a file
means and where its chords come from. Does not know tokens. One row of the index: file, title, composer, style, ...
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from clavilux.audio.codecs.bar_grid import regular_bars
from clavilux.audio.codecs.remi import written_program
from clavilux.audio.harmony import Chord
from clavilux.audio.harmony_analysis import find_chords, find_key
from clavilux.audio.score import Score
from clavilux.training.labels import label_of

HELD_OUT_SHARE = 0.04
LEAST_NOTES = 32
SHINGLE = 8  # intervals of the highest line that are compared at once
COPY_SHARE = 0.5  # of the shorter piece's shingles that another has, above which one is a copy
T = TypeVar("T")

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
class TaughtScore:
    """A score of whole bars as a composer is taught it, at its own pitch. `label` is one of `labels.LABELS`."""

    file: str
    label: str
    score: Score


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


def taught_scores(
    folder: str | Path, row: dict[str, str], chords: Sequence[tuple[float, Chord]] = ()
) -> list[TaughtScore]:
    """The scores that a file makes: itself, and hymns and chorales for one instrument once more for each quartet.

    `chords` are those that the source names; without them they are found in the notes. A file whose bars have none of
    our metres, or with fewer than `LEAST_NOTES` notes, makes none.
    """
    label = label_of(row)
    try:
        if label == "drums":
            score = regular_bars(Score.from_midi(Path(folder) / row["file"]).merged())
        else:
            read = read_score(folder, row)
            if chords:
                read = replace(read, chords=tuple(chords))
            elif len(np.unique(read.notes["start"])) == len(read.notes):
                read = replace(read, chords=plain_chords(read.chords))
            score = regular_bars(read)
    except ValueError:
        return []
    if len(score.notes) < LEAST_NOTES:
        return []
    made = [TaughtScore(row["file"], label, score)]
    notes = score.notes
    if label in ("chorale", "hymn") and len(set(notes["program"].tolist())) == 1 and not notes["drum"].any():
        made += [TaughtScore(row["file"], label, in_parts(score, parts)) for parts in QUARTETS]
    return made


def plain_chords(chords: Sequence[tuple[float, Chord]]) -> tuple[tuple[float, Chord], ...]:
    """Chords as triads and sevenths of the dominant: a line alone does not say more.

    A half-diminished chord is the minor one on its third, a diminished one the dominant's seventh below it.
    """
    plain: list[tuple[float, Chord]] = []
    for at, chord in chords:
        up, quality = _PLAINER.get(chord.quality, (0, chord.quality))
        simple = Chord((chord.root + up) % 12, quality)
        if not plain or plain[-1][1] != simple:
            plain.append((at, simple))
    return tuple(plain)


_PLAINER = {
    "min7": (0, "min"), "maj7": (0, "maj"), "hdim7": (3, "min"), "dim": (8, "7"), "dim7": (8, "7"), "aug": (0, "maj"),
    "sus4": (0, "maj"),
}  # fmt: skip


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


def _line(score: Score) -> np.ndarray:
    """Hashes of runs of intervals in the highest line, each once."""
    notes = score.notes
    starts, first = np.unique(np.round(notes["start"], 3), return_inverse=True)
    top = np.zeros(len(starts), dtype=np.int64)
    np.maximum.at(top, first, notes["pitch"].astype(np.int64))
    steps = np.diff(top) + 128
    if len(steps) < SHINGLE:
        return np.zeros(0, dtype=np.int64)
    runs = np.lib.stride_tricks.sliding_window_view(steps, SHINGLE)
    return np.unique((runs * 257 ** np.arange(SHINGLE - 1, -1, -1, dtype=np.int64)).sum(axis=1))


def find_copies(lines: Sequence[np.ndarray]) -> list[int | None]:
    """For each piece the earlier one that it is a copy of, in any key and edition, or None.

    A copy shares `COPY_SHARE` of the shorter's runs of intervals with it. Pieces without runs are never copies.
    """
    holders: dict[int, list[int]] = defaultdict(list)
    found: list[int | None] = []
    for index, line in enumerate(lines):
        shared: Counter[int] = Counter()
        for run in line.tolist():
            shared.update(holders[run])
        copies = [o for o, n in shared.items() if n >= COPY_SHARE * min(len(line), len(lines[o]))]
        found.append(max(copies, key=lambda other: (shared[other], -other)) if copies else None)
        if not copies:
            for run in line.tolist():
                holders[run].append(index)
    return found


def read_chords(folder: str | Path) -> dict[str, list[tuple[float, Chord]]]:
    """The chords that sources name, by file, from `chords.tsv`; without extras in brackets and slashed basses.

    A name that is none of ours, such as C6 or C9, is read as the chord that it extends; {} without the file.
    """
    path = Path(folder) / "chords.tsv"
    out: dict[str, list[tuple[float, Chord]]] = defaultdict(list)
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                chord = _plain_chord(row["chord"])
                at = float(row["quarter"])
                if chord is not None and (not out[row["file"]] or out[row["file"]][-1][0] < at):
                    out[row["file"]].append((at, chord))
    return dict(out)


_EXTENDED = (("m6", "m"), ("6", ""), ("m9", "m7"), ("maj9", "maj7"), ("9", "7"), ("m11", "m7"), ("11", "7"),
             ("13", "7"), ("7#5", "aug"), ("7b5", "7"), ("sus2", "sus4"), ("7sus4", "sus4"), ("5", ""))  # fmt: skip


def _plain_chord(name: str) -> Chord | None:
    plain = name.split("(")[0].split("/")[0].strip()
    try:
        return Chord.parse(plain)
    except ValueError:
        root = plain[:2] if plain[1:2] in ("#", "b") else plain[:1]
        ending = dict(_EXTENDED).get(plain[len(root) :])
        try:
            return None if ending is None else Chord.parse(root + ending)
        except ValueError:
            return None


def collected(
    folder: str | Path, make: Callable[[TaughtScore], T], workers: int = 2,
    progress: Callable[[int, int], None] | None = None, without: Collection[str] = (),
) -> tuple[list[T], list[bool]]:  # fmt: skip
    """(what `make` makes of every score of a folder that is no copy of another, which of them are held out).

    Where a held-out piece has copies, those are dropped; else the longest stays. What is held out stands once, without
    its quartets. `make` is called in other processes. `progress(done, total)` is called as files are read. Files of
    the labels `without` are left out.
    """
    train, held_out = split(row for row in read_index(folder) if label_of(row) not in without)
    named = read_chords(folder)
    jobs = [(folder, row, named.get(row["file"], ()), make) for row in held_out + train]
    pieces: list[tuple[np.ndarray, list[T]]] = []
    with ProcessPoolExecutor(workers) as pool:
        for made in pool.map(_made, jobs, chunksize=8):
            pieces.append(made)
            if progress is not None:
                progress(len(pieces), len(jobs))
    read = [index for index, (_, made) in enumerate(pieces) if made]
    read.sort(key=lambda index: (index >= len(held_out), -len(pieces[index][0]), index))
    copies = find_copies([pieces[index][0] for index in read])
    kept: list[T] = []
    is_held_out: list[bool] = []
    for index, copy in zip(read, copies, strict=True):
        if copy is None:
            alone = index < len(held_out)
            versions = pieces[index][1][:1] if alone else pieces[index][1]
            kept += versions
            is_held_out += [alone] * len(versions)
    return kept, is_held_out


def _made(
    job: tuple[str | Path, dict[str, str], Sequence[tuple[float, Chord]], Callable[[TaughtScore], T]],
) -> tuple[np.ndarray, list[T]]:
    folder, row, chords, make = job
    scores = taught_scores(folder, row, chords)
    # Drums by themselves have no line, and are never copies.
    line = _line(scores[0].score) if scores and scores[0].label != "drums" else np.zeros(0, dtype=np.int64)
    return line, [make(each) for each in scores]
