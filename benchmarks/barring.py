"""How often the bars of a heard melody are found, and the weights by which they are: `clavilux.audio.transcribing`.

    python benchmarks/barring.py --scores folder

The first `MOST_NOTES` notes of melodies in 4/4 and 3/4 whose bars are known, on sixteenths: at most `EACH` of a kind
and a metre. Weights are learned on half of them (a softmax over all metres and places) and asked about the other half.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from corpus import Song, read_songs

from clavilux.audio.score import bar_quarters
from clavilux.audio.transcribing import BAR_WEIGHTS, barrings

KINDS = ("air", "hornpipe", "lead sheet", "reel", "waltz")
METRES = ((4, 4), (3, 4))
EACH, MOST_NOTES = 40, 40
STEPS, RATE, DECAY = 600, 0.02, 0.002

Case = tuple[
    np.ndarray, np.ndarray, np.ndarray
]  # what speaks for each barring [C, F], whether its metre, and all, is right


def case_of(song: Song) -> Case:
    """A melody's barrings and which of them are right."""
    notes = song.score.notes[:MOST_NOTES]
    begins = np.round(notes["start"] * 4) / 4
    first = np.append(True, np.diff(begins) > 0)  # the notes of a triplet may fall on one sixteenth
    begins, lengths = begins[first], np.maximum(np.round(notes["duration"][first] * 4) / 4, 0.25)
    lengths[:-1] = np.minimum(lengths[:-1], np.diff(begins))
    metre = song.score.metres[0][1]
    place = round(begins[0] % bar_quarters(metre) * 2) / 2
    found = barrings(begins - begins[0], lengths, METRES)
    right = [each == metre for each, _, _ in found]
    return (
        np.stack([row for _, _, row in found]),
        np.array(right),
        np.array([same and at == place for same, (_, at, _) in zip(right, found, strict=True)]),
    )


def chosen(songs: list[Song]) -> list[Song]:
    """In one metre throughout, in a random order that is the same every time."""
    groups: dict[object, list[Song]] = defaultdict(list)
    for song in songs:
        metres = {metre for _, metre in song.score.metres}
        if song.label in KINDS and len(metres) == 1 and metres <= set(METRES):
            groups[song.label, *metres].append(song)
    random = np.random.default_rng(0)
    kept = [group[i] for group in groups.values() for i in random.permutation(len(group))[:EACH]]
    return [kept[i] for i in random.permutation(len(kept))]


def learned(cases: list[Case]) -> np.ndarray:
    """The weights [F] that make right barrings likeliest."""
    weights = torch.zeros(len(BAR_WEIGHTS), requires_grad=True)
    optimizer = torch.optim.Adam([weights], RATE)
    known = [(torch.from_numpy(rows).float(), torch.from_numpy(right)) for rows, _, right in cases if right.any()]
    for _ in range(STEPS):
        nats = [-(rows @ weights).log_softmax(0)[right].logsumexp(0) for rows, right in known]
        optimizer.zero_grad()
        (torch.stack(nats).mean() + DECAY * weights.square().sum()).backward()
        optimizer.step()
    return weights.detach().numpy()


def shares(cases: list[Case], weights: np.ndarray) -> str:
    best = [int(np.argmax(rows @ weights)) for rows, _, _ in cases]
    metre, place = (np.mean([case[side][i] for case, i in zip(cases, best, strict=True)]) for side in (1, 2))
    return f"{len(cases)} melodies: metre {metre:.2f}, metre and place {place:.2f}"


def main() -> None:
    """Print the weights, and how often they are right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True, help="folder with index.tsv and the MIDI files it names")
    parser.add_argument("--cache", type=Path, help="npz to keep the settled songs in")
    args = parser.parse_args()
    train, held_out = read_songs(args.scores, args.cache)
    cases = [case_of(song) for song in chosen([*train, *held_out])]
    half = len(cases) // 2
    weights = learned(cases[:half])
    print("learned", np.round(weights, 2).tolist())
    print(
        "on others:", shares(cases[half:], weights), "| the weights of the package:", shares(cases[half:], BAR_WEIGHTS)
    )


if __name__ == "__main__":
    main()
