"""Songs as users ask for them, the twins of pieces of both sides, as tokens: what a composer's self-play learns from.

    python benchmarks/twins.py --model aria --scores folder --count 600 --out twins.npz

Rare kinds are drawn more often than their share, by its square root. What is in the file already is not composed again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from composers import ask, twin
from corpus import Song, read_songs

import clavilux
from clavilux.audio.codecs.remi import score_tokens
from clavilux.families.aria.prefix import shift_to_c

HELD_OUT_SHARE = 0.1  # of the songs, twins of held-out pieces
KEPT_EVERY = 10  # songs


def drawn(songs: list[Song], count: int, seed: int = 0) -> list[Song]:
    """So many songs at most, in a random order that is the same every time."""
    _, kind, counts = np.unique([song.label for song in songs], return_inverse=True, return_counts=True)
    weights = counts[kind] ** -0.5
    order = np.random.default_rng(seed).choice(
        len(songs), min(count, len(songs)), replace=False, p=weights / weights.sum()
    )
    return [songs[i] for i in order]


def tokens_in_c(model: object, song: Song) -> np.ndarray:
    """The tokens int64 [T] of a song's twin, as the composer wrote them: in C."""
    request = twin(song)
    made = ask(model, request)
    assert made.tokens is not None and request.key is not None, "a composer writes tokens; a twin has a key"
    return score_tokens().transposition(shift_to_c(request.key.tonic))[made.tokens.numpy().reshape(-1)]


def read_twins(path: Path) -> dict[str, np.ndarray]:
    """File of a real piece -> the tokens of its twin."""
    if not path.exists():
        return {}
    arrays = np.load(path)
    return dict(zip(arrays["files"].tolist(), np.split(arrays["tokens"], arrays["ends"][:-1]), strict=True))


def save_twins(path: Path, twins: dict[str, np.ndarray]) -> None:
    """As `clavilux.training.self_play.song_pairs` and `read_twins` read them."""
    ends = np.cumsum([len(tokens) for tokens in twins.values()])
    tokens = np.concatenate(list(twins.values())).astype(np.int16)
    np.savez(path, tokens=tokens, ends=ends, files=np.array(list(twins)))


def main() -> None:
    """Compose what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="aria", help="a name or a folder")
    parser.add_argument("--scores", type=Path, required=True, help="folder with index.tsv and the MIDI files it names")
    parser.add_argument("--cache", type=Path, help="npz to keep the settled songs in")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--out", type=Path, required=True, help="npz; songs that it holds are kept")
    args = parser.parse_args()
    train, held_out = read_songs(args.scores, args.cache)
    apart = round(args.count * HELD_OUT_SHARE)
    songs = [*drawn(held_out, apart), *drawn(train, args.count - apart)]
    model, twins = clavilux.load(args.model), read_twins(args.out)
    for done, song in enumerate(songs, start=1):
        if song.name not in twins:
            twins[song.name] = tokens_in_c(model, song)
        print(f"\r{done} of {len(songs)}", end="", flush=True)
        if done % KEPT_EVERY == 0 or done == len(songs):
            save_twins(args.out, twins)
    print()


if __name__ == "__main__":
    main()
