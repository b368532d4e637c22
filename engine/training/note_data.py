"""From a folder of MIDI files with an `index.tsv` to a cache of note frames, small enough to travel.

Knows which files are copies of one another, which are held out (`data.split`), where real velocities and chords come
from, and what the head of each bar says. Does not know the decoder.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clavilux.audio.codecs.bar_grid import regular_bars
from clavilux.audio.codecs.note_frames import encode_frames, is_note, transposed
from clavilux.audio.harmony import Chord
from clavilux.audio.score import Score
from clavilux.families.aria.heads import heads_of
from clavilux.families.aria.prefix import shift_to_c
from clavilux.training.data import QUARTETS, in_parts, read_index, read_score, split
from clavilux.training.labels import LABELS, label_of

LEAST_NOTES = 32
VELOCITY_FOLDERS = ("drums", "lieder", "mutopia", "orchestra", "polish", "quartets")
LEAST_VELOCITIES = 4  # different ones, below which a file has none of its own
SHINGLE = 8  # intervals of the highest line that are compared at once
COPY_SHARE = 0.5  # of the shorter piece's shingles that another has, above which one is a copy


@dataclass(frozen=True)
class FramePiece:
    """One training piece, its pitches brought to C: frames uint8 [5, T], and what conditions it.

    `line` are hashes of the runs of `SHINGLE` intervals in its highest line, int64, for finding copies.
    """

    file: str
    label: str
    minor: bool
    tempo: float
    frames: np.ndarray
    line: np.ndarray


def read_frames(
    folder: str | Path, row: dict[str, str], chords: Sequence[tuple[float, Chord]] = ()
) -> list[FramePiece]:
    """The pieces that a file makes: itself, and hymns and chorales for one instrument once more for each quartet.

    `chords` are those that the source names; without them they are found in the notes. A file without bars that frames
    can say, or with fewer than `LEAST_NOTES` notes, makes none.
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
    known = row["file"].split("/")[0] in VELOCITY_FOLDERS
    velocities = known and len(np.unique(score.notes["velocity"])) >= LEAST_VELOCITIES
    made = [_piece(score, row["file"], label, velocities)]
    notes = score.notes
    if label in ("chorale", "hymn") and len(set(notes["program"].tolist())) == 1 and not notes["drum"].any():
        made += [_piece(in_parts(score, parts), row["file"], label, velocities) for parts in QUARTETS]
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


def _piece(score: Score, file: str, label: str, velocities: bool) -> FramePiece:
    frames = encode_frames(score, heads_of(score), velocities=velocities)
    if score.key is not None:
        frames = transposed(frames, shift_to_c(score.key.tonic))
    minor = score.key is not None and score.key.mode == "minor"
    return FramePiece(file, label, minor, score.tempos[0][1], frames, _line(score))


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


def _read_star(job: tuple[str | Path, dict[str, str], Sequence[tuple[float, Chord]]]) -> list[FramePiece]:
    return read_frames(*job)


def build(
    folder: str | Path, cache: str | Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the cache (npz) of a folder of scores: training and held-out pieces, copies dropped before that.

    Where a held-out piece has copies, those are dropped; else the longest stays. `progress(done, total)` is called as
    files are read.
    """
    train, held_out = split(read_index(folder))
    named = read_chords(folder)
    jobs = [(folder, row, named.get(row["file"], ())) for row in held_out + train]
    pieces: list[list[FramePiece]] = []
    with ProcessPoolExecutor(workers) as pool:
        for made in pool.map(_read_star, jobs, chunksize=8):
            pieces.append(made)
            if progress is not None:
                progress(len(pieces), len(jobs))
    read = [index for index, made in enumerate(pieces) if made]
    read.sort(key=lambda index: (index >= len(held_out), -len(pieces[index][0].line), index))
    copies = find_copies([pieces[i][0].line if pieces[i][0].label != "drums" else _NO_LINE for i in read])
    kept, is_held_out = [], []
    for index, copy in zip(read, copies, strict=True):
        if copy is None:
            alone = index < len(held_out)
            made = pieces[index][:1] if alone else pieces[index]
            kept += made
            is_held_out += [alone] * len(made)
    save(cache, kept, is_held_out)


_NO_LINE = np.zeros(0, dtype=np.int64)


def save(path: str | Path, pieces: list[FramePiece], is_held_out: list[bool]) -> None:
    """Write pieces as one compressed npz."""
    np.savez_compressed(
        path,
        frames=np.concatenate([p.frames for p in pieces], axis=1),
        ends=np.cumsum([p.frames.shape[1] for p in pieces]),
        notes=np.array([is_note(p.frames).sum() for p in pieces]),
        label=np.array([LABELS.index(p.label) for p in pieces], dtype=np.int16),
        labels=np.array(LABELS),
        minor=np.array([p.minor for p in pieces]),
        tempo=np.array([p.tempo for p in pieces], dtype=np.float32),
        files=np.array([p.file for p in pieces]),
        held_out=np.array(is_held_out),
    )
