"""The index that `clavilux verify --nearest` looks into: `python -m clavilux.training.nearest scores|pictures ...`.

    python -m clavilux.training.nearest scores tokens.npz SCORES      what aria was taught: its tokens, and index.tsv
    python -m clavilux.training.nearest pictures pictures.npz         what lumia was taught

Both come from the training runs (`note_composer`, `painter`). What was held out is not put in: it says how near works
come that were not taught. Knows training data and where they are from; fingerprints are `provenance`'s.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.audio.codecs.remi import score_tokens
from clavilux.provenance import nearest_index, nearest_pictures, nearest_scores
from clavilux.training.data import read_index
from clavilux.training.drawings import ARTISTS

# Folder of the scores -> the collection, its licence, as the model's card names them.
SCORE_SOURCES = {
    "lieder": ("OpenScore Lieder Corpus", "CC0 1.0"),
    "quartets": ("OpenScore String Quartets", "CC0 1.0"),
    "orchestra": ("OpenScore Orchestra", "CC0 1.0"),
    "mutopia": ("Mutopia Project", "public domain"),
    "oneill": ("O'Neill's Music of Ireland", "public domain"),
    "ryan": ("Ryan's Mammoth Collection", "public domain"),
    "hymns": ("Open Hymnal Project", "public domain"),
    "leadsheets": ("OpenEWLD", "MIT"),
    "polish": ("Polish Music Heritage in Open Access", "CC BY 4.0"),
}
PICTURE_SOURCES = {
    "emoji": ("Noto Color Emoji", "SIL Open Font License"),
    "clip art": ("Open Clip Art Library", "public domain"),
    "shape": ("shapes drawn by Clavilux", "Apache-2.0"),
    **{artist.style: (artist.author, artist.licence) for artist in ARTISTS},
}
COMMON = 12  # pieces: a run that more of them have is nobody's, and is not compared
EXCERPTS = {"short": 40, "medium": 200, "long": 10**9}  # notes of held-out pieces, as long as what people make


def score_lines(tokens: np.lib.npyio.NpzFile) -> Iterator[tuple[str, bool, np.ndarray, np.ndarray, np.ndarray]]:
    """(file, whether it is held out, quarters, pitches, programs) of each piece of a cache of `token_data`."""
    words = score_tokens()
    kinds = np.array(words.kinds)
    values = np.array([value if isinstance(value, int) else 0 for value in words.values])
    start, all_ids, all_quarters = 0, tokens["tokens"], tokens["quarters"]
    rows = (tokens[name].tolist() for name in ("ends", "files", "held_out"))
    for end, file, held_out in zip(*rows, strict=True):
        ids, quarters = all_ids[start:end], all_quarters[start:end]
        start = end
        said = np.where(kinds[ids] == "Program", np.arange(len(ids)), 0)
        programs = values[ids[np.maximum.accumulate(said)]]
        notes = kinds[ids] == "Pitch"
        yield file, held_out, quarters[notes].astype(np.float64), values[ids[notes]], programs[notes]


def build_scores(cache: Path, scores: Path, folder: Path) -> None:
    """Write the index of scores."""
    rows = {row["file"]: row for row in read_index(scores)}
    files: dict[str, int] = {}
    found: list[np.ndarray] = []
    strangers: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with np.load(cache) as tokens:
        for file, held_out, *notes in score_lines(tokens):
            if held_out:
                strangers.append((notes[0], notes[1], notes[2]))
                continue
            entry = files.setdefault(file, len(files))
            own = [nearest_scores.runs(*line)[0] for line in nearest_scores.lines(*notes)]
            each = np.unique(np.concatenate(own)).astype(np.int64)
            found.append(np.stack([each, np.full(len(each), entry)]))
    pairs = np.unique(np.concatenate(found, axis=1), axis=1)  # [2, n], by number
    numbers, of_number, times = np.unique(pairs[0], return_inverse=True, return_counts=True)
    pairs = pairs[:, times[of_number] <= COMMON]
    kinds = list(SCORE_SOURCES)
    of_file = np.array([kinds.index(file.split("/")[0]) for file in files], np.uint8)
    arrays = {
        "runs": nearest_index.packed(np.diff(pairs[0], prepend=0)),  # the steps between them are small
        "pieces": nearest_index.packed(pairs[1]), "source": of_file,
        "common": nearest_index.packed(np.diff(numbers[times > COMMON], prepend=0)),
    }  # fmt: skip
    names = [" ".join(f"{rows[file]['title']}, {rows[file]['composer']}".split()) for file in files]
    nearest_index.save("scores", arrays, names, sources_of(of_file, list(SCORE_SOURCES.values())), folder)
    index = nearest_index.load("scores", folder)
    far: dict[str, list[float]] = defaultdict(list)
    for starts, pitches, programs in strangers:
        for most in EXCERPTS.values():
            part = slice(0, most)
            lines = nearest_scores.lines(starts[part], pitches[part], programs[part])
            passage = nearest_scores.nearest_passage(index, [nearest_scores.runs(*line) for line in lines])
            if passage is not None and (most < len(starts) or most == max(EXCERPTS.values())):
                far[nearest_scores.size_of(passage.runs)].append(1 - passage.shared)
    nearest_index.calibrate("scores", far, folder)


def build_pictures(pictures: Path, folder: Path) -> None:
    """Write the index of pictures."""
    with np.load(pictures) as file:
        drawings, about = file["drawings"], json.loads(str(file["about"]))
    alpha = drawings[..., 3:].astype(np.float32) / 255
    white = (drawings[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    prints = np.stack([nearest_pictures.fingerprint(each) for each in white])
    held_out = np.array([each["held_out"] for each in about])
    kinds = list(PICTURE_SOURCES)
    source = np.array([kinds.index(each["source"]) for each in about], np.uint8)
    names = [" ".join(each["words"]) for each in about]
    taught = np.flatnonzero(~held_out)
    arrays = {"prints": prints[taught], "source": source[taught]}
    sources = sources_of(source[taught], list(PICTURE_SOURCES.values()))
    nearest_index.save("pictures", arrays, [names[i] for i in taught], sources, folder)
    far = nearest_pictures.distances(nearest_index.load("pictures", folder), prints[held_out])
    nearest_index.calibrate("pictures", {nearest_pictures.SIZE: far.min(1).tolist()}, folder)


def sources_of(source: np.ndarray, known: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Name, licence and number of works of each of the known collections."""
    times = Counter(source.tolist())
    return [{"name": name, "licence": licence, "works": times[i]} for i, (name, licence) in enumerate(known)]


def main() -> None:
    """Write what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("scores", "pictures"))
    parser.add_argument("cache", type=Path, help="tokens.npz or pictures.npz of a training run")
    parser.add_argument("scores", type=Path, nargs="?", help="folder of MIDI files with index.tsv")
    parser.add_argument("--out", type=Path, default=nearest_index.FOLDER, help="folder of the index")
    args = parser.parse_args()
    if args.kind == "pictures":
        build_pictures(args.cache, args.out)
    elif args.scores is None:
        parser.error("scores need the folder with index.tsv too")
    else:
        build_scores(args.cache, args.scores, args.out)


if __name__ == "__main__":
    main()
