"""Songs to be measured: real ones out of a folder of scores, and their passages, settled so that all are alike.

Knows the folders of scores, what kind of music each file is, and which of them training held out. Does not know
what is measured, nor who composed a generated song: a `Song` is a score, a label and a name.

Every song is settled before anything is measured: full bars, onsets and ends on sixteenths and triplet eighths, one
part, no velocities, one tempo. What a file format, an engraver's instruments or a tokenizer's grid would give away
is the same in all of them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clavilux.audio.codecs.bar_grid import regular_bars, snap_to_grid
from clavilux.audio.harmony import Key
from clavilux.audio.harmony_analysis import find_key
from clavilux.audio.score import Score
from clavilux.families.aria.styles import style_of
from clavilux.training.data import read_index, split

PASSAGE_BARS = 16
FEWEST_BARS = 8  # a shorter song is not measured; one of 8 to 15 bars is one passage
FEWEST_NOTES = 24
CACHE_VERSION = 4

_TUNES = {
    "Jig": "jig", "Slip jig": "slip jig", "Reel": "reel", "Hornpipe": "hornpipe", "Clog": "hornpipe",
    "Strathspey": "strathspey", "Highland fling": "strathspey", "Air": "air", "Harp tune": "air",
}  # fmt: skip
_POLISH = {
    "Mazurka": "mazurka", "Polonaise": "polonaise", "Waltz": "waltz", "Krakowiak": "krakowiak", "Minuet": "minuet",
    "March": "march", "Polka": "polka", "Galop": "polka", "Orchestral": "orchestral", "Art song": "art song",
}  # fmt: skip
_MUTOPIA = {
    "chorale": "hymn", "baroque": "baroque", "classical": "classical", "romantic": "romantic",
    "art song": "art song", "quartet": "quartet", "march": "march", "ragtime": "ragtime",
    "renaissance": "renaissance",
}  # fmt: skip
TUNES = ("jig", "slip jig", "reel", "hornpipe", "strathspey", "air")
DANCES = ("krakowiak", "march", "mazurka", "minuet", "polka", "ragtime", "waltz")  # whose parts are played twice too
MELODY_ALONE = (*TUNES, "lead sheet")  # the real pieces are a melody only, so a song's melody is measured
LABELS = tuple(sorted({*_TUNES.values(), *_POLISH.values(), *_MUTOPIA.values(), "lead sheet"}))


@dataclass(frozen=True)
class Song:
    """A score to be measured, settled (`settled`); `label` is one of `LABELS`."""

    score: Score
    label: str
    name: str


@dataclass(frozen=True)
class Passage:
    """At most `PASSAGE_BARS` bars of a song; whether they open it and whether they close it."""

    score: Score
    label: str
    name: str
    opens: bool
    closes: bool


def label_of(row: dict[str, str]) -> str | None:
    """What a row of the index is, one of `LABELS`; None for what is not measured (drums, kinds with few pieces, and
    the marches that are a melody alone, unlike the others)."""
    folder, style = row["file"].split("/")[0], row["style"]
    if folder in ("oneill", "ryan"):
        return _TUNES.get(style)
    if folder == "polish":
        return _POLISH.get(style)
    named = {"leadsheets": "lead sheet", "hymns": "hymn", "orchestra": "orchestral", "drums": None}
    return named[folder] if folder in named else _MUTOPIA.get(style_of(row))


def settled(score: Score, label: str) -> Score:
    """The score as every other: see the head of this file. ValueError for one without notes or whole bars."""
    score = score.merged()
    pitched = score.notes[~score.notes["drum"]]
    if not len(pitched):
        raise ValueError("the score has no notes with a pitch, so there is nothing to measure; give one that has some")
    if label in MELODY_ALONE:
        pitched = lead(pitched, score.bar_starts())
    score = regular_bars(replace(score, notes=pitched))
    notes = snap_to_grid(score)
    notes["program"], notes["velocity"] = 0, 80
    notes = notes[np.lexsort((-notes["duration"], notes["pitch"], notes["start"]))]
    doubled = (np.diff(notes["start"], prepend=-1.0) == 0) & (np.diff(notes["pitch"].astype(int), prepend=-1) == 0)
    notes = notes[~doubled]
    if label in MELODY_ALONE:
        notes = top_voice(notes)  # notes too short for the grid have met
    score = replace(score, notes=notes, chords=(), length=0.0)
    bars = np.append(score.bar_starts(), score.length)
    begin = float(bars[np.searchsorted(bars, score.notes["start"].min() + 1e-6) - 1])
    # The bar in which the last note begins is the last: how long a player lets it ring beyond is no bar of music.
    end = float(bars[np.searchsorted(bars, score.notes["start"].max() + 1e-6)])
    score = score.slice(begin, end)
    return replace(score, key=find_key(score))


def lead(notes: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """The notes of the part that has the melody: of those that play in more than half of the bars, the highest one on
    average; of it, the highest note at each onset."""
    chosen, best = notes, -1.0
    for program in np.unique(notes["program"]):
        own = notes[notes["program"] == program]
        played = len(np.unique(np.searchsorted(bars, own["start"] + 1e-6, side="right")))
        if played * 2 > len(bars) and own["pitch"].mean() > best:
            chosen, best = own, float(own["pitch"].mean())
    return top_voice(chosen)


def top_voice(notes: np.ndarray) -> np.ndarray:
    """The notes above which none sounds where they begin, one an onset, each cut where the next begins."""
    order = notes[np.lexsort((-notes["pitch"], notes["start"]))]
    order = order[np.diff(order["start"], prepend=-1.0) > 1e-6].copy()  # the highest of each onset
    kept: list[int] = []
    for i in range(len(order)):
        held = kept and order["start"][kept[-1]] + order["duration"][kept[-1]] > order["start"][i] + 1e-6
        # A held note hides lower ones for two quarters; after that what moves is heard.
        fresh = kept and order["start"][i] - order["start"][kept[-1]] < 2.0
        if not (held and fresh and order["pitch"][i] < order["pitch"][kept[-1]]):
            kept.append(i)
    voice = order[kept]
    if len(voice) > 1:
        voice["duration"][:-1] = np.minimum(voice["duration"][:-1], np.diff(voice["start"]))
    return voice


def bars_of(song: Song) -> int:
    return len(song.score.bar_starts())


def first_bars(song: Song, most: int) -> Song:
    """The song's first `most` bars."""
    bars = song.score.bar_starts()
    return song if len(bars) <= most else replace(song, score=song.score.slice(0.0, float(bars[most])))


def passages(song: Song) -> list[Passage]:
    """The first 16 bars of a song and, of one with 24 or more, its last 16; none of a song that is too short."""
    starts = np.append(song.score.bar_starts(), song.score.length)
    count = len(starts) - 1
    if count < FEWEST_BARS:
        return []
    spans = [(0, min(PASSAGE_BARS, count))]
    if count >= PASSAGE_BARS * 3 // 2:
        spans.append((count - PASSAGE_BARS, count))
    cut = [
        Passage(song.score.slice(float(starts[a]), float(starts[b])), song.label, song.name, a == 0, b == count)
        for a, b in spans
    ]
    return [passage for passage in cut if len(passage.score.notes) >= FEWEST_NOTES // 2]


def read_song(folder: Path, row: dict[str, str]) -> Song | None:
    """A file of the index as a song; None for what is not measured, or is too short."""
    label = label_of(row)
    if label is None:
        return None
    try:
        song = Song(settled(Score.from_midi(folder / row["file"]), label), label, row["file"])
    except ValueError:
        return None  # a few files hold bars that no metre of ours can hold
    return song if bars_of(song) >= FEWEST_BARS and len(song.score.notes) >= FEWEST_NOTES else None


def read_songs(folder: Path, cache: Path | None = None) -> tuple[list[Song], list[Song]]:
    """(songs that training saw, held-out songs) of a folder of scores, by `data.split`; the settled songs are kept
    in the npz file `cache`."""
    sides = split(read_index(folder))
    mark = f"{CACHE_VERSION} {hashlib.sha256((folder / 'index.tsv').read_bytes()).hexdigest()}"
    songs = _stored(cache, mark) if cache is not None and cache.exists() else None
    if songs is None:
        songs = [song for side in sides for row in side if (song := read_song(folder, row)) is not None]
        if cache is not None:
            _store(cache, mark, songs)
    known = {song.name: song for song in songs}
    train, held_out = ([known[row["file"]] for row in side if row["file"] in known] for side in sides)
    return train, without_copies(held_out, train)


def _store(cache: Path, mark: str, songs: list[Song]) -> None:
    metres = [(i, at, *metre) for i, song in enumerate(songs) for at, metre in song.score.metres]
    np.savez(
        cache,
        mark=mark,
        notes=np.concatenate([song.score.notes for song in songs]),
        ends=np.cumsum([len(song.score.notes) for song in songs]),
        metres=np.array(metres),
        numbers=np.array([(song.score.length, song.score.tempos[0][1]) for song in songs]),
        keys=np.array([str(song.score.key) for song in songs]),
        labels=np.array([song.label for song in songs]),
        names=np.array([song.name for song in songs]),
    )


def _stored(cache: Path, mark: str) -> list[Song] | None:
    """The songs in `cache`; None where it was made of another index or by other code."""
    with np.load(cache) as file:
        if str(file["mark"]) != mark:
            return None
        held = {name: file[name] for name in file.files}
    metres: dict[int, list[tuple[float, tuple[int, int]]]] = defaultdict(list)
    for i, at, numerator, denominator in held["metres"].tolist():
        metres[int(i)].append((at, (int(numerator), int(denominator))))
    songs = []
    for i, notes in enumerate(np.split(held["notes"], held["ends"][:-1])):
        length, tempo = held["numbers"][i].tolist()
        score = Score(notes, ((0.0, tempo),), tuple(metres[i]), Key.parse(str(held["keys"][i])), (), length)
        songs.append(Song(score, str(held["labels"][i]), str(held["names"][i])))
    return songs


def without_copies(songs: list[Song], others: list[Song]) -> list[Song]:
    """`songs` without those whose opening stands note for note, in any key, among `others`."""
    seen = {opening(song) for song in others}
    return [song for song in songs if opening(song) not in seen]


def opening(song: Song) -> bytes:
    """The intervals and lengths of the first 48 notes, the same in every key."""
    notes = song.score.notes[:48]
    steps = np.diff(notes["pitch"].astype(np.int64)) * 4096 + np.round(np.diff(notes["start"]) * 12).astype(np.int64)
    return steps.tobytes()


def chosen(songs: Iterable[Song], most: int, labels: Iterable[str] = LABELS) -> list[Song]:
    """At most `most` songs of each label, the same ones every time, in an order that no folder decides."""
    groups: dict[str, list[Song]] = defaultdict(list)
    for song in sorted(songs, key=lambda song: hashlib.sha256(song.name.encode()).digest()):
        groups[song.label].append(song)
    return [song for label in labels for song in groups[label][:most]]
