"""Which SoundFont player? Ours, tinysoundfont and FluidSynth: CPU time, the standard's features, spectra side by side.

    python benchmarks/soundfont_players.py --scores DIR --peers ENV/bin/python [-o results.json] [--picture spectra.png]

DIR holds MIDI files and `index.tsv`; a minute each of ten of them is played with the bundled SoundFont. ENV is an
environment with `tinysoundfont`, `pyfluidsynth` and FluidSynth's library; neither is a dependency. Each minute is
rendered in a process of its own, the players in turn, and counted in CPU seconds. Features are those of
`soundfont_features.py`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from soundfont_features import FEATURES
from soundfont_render import PLAYERS, RATE

from clavilux.audio.frontend import decibels, mel_spectrogram
from clavilux.audio.soundfont import SoundFont
from clavilux.bench.machine import machine
from clavilux.training.data import read_index

HERE = Path(__file__).parent
SECONDS, REPEATS = 60.0, 3
FROM_S, TO_S = 20, 30  # of the pictured piece


def chosen(scores: Path) -> list[Path]:
    """Of each folder the file with the median count of notes among those of 60 to 240 seconds; two of the largest."""
    folders: dict[str, list] = {}
    for row in read_index(scores):
        if 60 <= float(row["seconds"]) <= 240:
            folders.setdefault(row["file"].partition("/")[0], []).append((int(row["notes"]), row["file"]))
    ordered = {name: sorted(rows) for name, rows in sorted(folders.items())}
    found = [scores / rows[len(rows) // 2][1] for rows in ordered.values()]
    largest = max(ordered.values(), key=len)
    return [*found, scores / largest[-len(largest) // 10][1]][:10]


def run(player: str, python: str, jobs: list[tuple[Path, Path, float, Path]]) -> list[dict[str, float]]:
    words = json.dumps([[str(word) if isinstance(word, Path) else word for word in job] for job in jobs])
    command = [python, str(HERE / "soundfont_render.py"), player, words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def features(pythons: dict[str, str], folder: Path) -> dict[str, dict]:
    """Each feature's value with each player, and whether that is what the standard says."""
    files = [feature.write(folder) for feature in FEATURES]
    found: dict[str, dict] = {
        feature.name: {"low": feature.low, "high": feature.high, "unit": feature.unit} for feature in FEATURES
    }
    for player, python in pythons.items():
        outputs = [folder / f"{player}-{number}.npy" for number in range(len(FEATURES))]
        jobs = [(*pair, feature.seconds, out) for feature, pair, out in zip(FEATURES, files, outputs, strict=True)]
        run(player, python, jobs)
        for feature, output in zip(FEATURES, outputs, strict=True):
            value = round(feature.measure(np.load(output)), 2)
            found[feature.name][player] = {"value": value, "honoured": feature.honoured(value)}
    return found


def minutes(pythons: dict[str, str], files: list[Path], folder: Path) -> dict[str, dict]:
    """What a minute of each file takes, the players in turn, and whether the samples are the same each time."""
    rows: dict[str, dict] = {path.name: {player: [] for player in pythons} for path in files}
    same = dict.fromkeys(pythons, True)
    for repeat in range(REPEATS):
        for path in files:
            for player, python in pythons.items():
                output = folder / f"{path.stem}-{player}.npy"
                before = np.load(output) if repeat else None
                rows[path.name][player] += run(player, python, [(SoundFont.bundled().path, path, SECONDS, output)])
                same[player] &= before is None or bool(np.array_equal(before, np.load(output)))
            print(path.name, file=sys.stderr)
    medians = {
        name: {
            player: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
            for player, runs in row.items()
        }
        for name, row in rows.items()
    }
    total = {
        player: {
            key: round(statistics.median(row[player][key] for row in medians.values()), 3)
            for key in ("ready_s", "render_s")
        }
        | {
            "spread_s": [round(pick(row[player]["render_s"] for row in medians.values()), 3) for pick in (min, max)],
            "memory_bytes": max(row[player]["memory_bytes"] for row in medians.values()),
            "same_samples": same[player],
        }
        for player in pythons
    }
    return {"players": total, "files": medians}


def draw(path: Path, sounds: dict[str, np.ndarray], all_sounds: dict[str, list[np.ndarray]]) -> None:
    """Ten seconds of one piece as mel spectrograms, and the average spectrum of all of them."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from PIL import Image

    figure, axes = pyplot.subplots(1, len(sounds) + 1, figsize=(11, 2.7), layout="constrained", dpi=85)
    for axis, (player, sound) in zip(axes, sounds.items(), strict=False):
        mono = torch.from_numpy(sound[:, FROM_S * RATE : TO_S * RATE].mean(axis=0, keepdims=True).copy())
        mel = decibels(mel_spectrogram(mono, RATE, num_mels=96, f_max=8000), range_db=70)[0].numpy()
        axis.imshow(mel, origin="lower", aspect="auto", vmin=-70, vmax=0, extent=(0, TO_S - FROM_S, 0, 96))
        axis.set(title=player, xlabel="s", yticks=[])
    for player, several in all_sounds.items():
        hz, db = average_spectrum(several)
        axes[-1].semilogx(hz, db, label=player, lw=1)
    axes[-1].set(xlim=(40, 20000), ylim=(-40, 3), title="average spectrum", xlabel="Hz", ylabel="dB")
    axes[-1].legend(fontsize=7)
    figure.savefig(path)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


def used_by_bundled() -> dict[str, int]:
    """In how many zones of the bundled SoundFont something stands, other than 0, that our player does not read."""
    font, names = SoundFont.bundled(), {
        "modulation LFO to pitch": 5, "vibrato LFO to pitch": 6, "modulation envelope to pitch": 7,
        "modulation LFO to filter": 10, "modulation envelope to filter": 11, "chorus send": 15, "reverb send": 16,
        "key to hold": 39, "key to decay": 40,
    }  # fmt: skip
    tables = font._tables
    found = dict.fromkeys(names, 0)
    for table in ("pgen", "igen"):
        for name, number in names.items():
            rows = tables[table]
            found[name] += int(((rows["oper"] == number) & (rows["amount"] != 0)).sum())
    modes = tables["igen"][tables["igen"]["oper"] == 54]["amount"]
    return found | {
        "loop while held (mode 3)": int((modes == 3).sum()),
        "modulators": sum(len(tables[table]) - 1 for table in ("pmod", "imod")),
    }


def average_spectrum(sounds: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(Hz, dB under the loudest) in sixths of an octave; every piece counts alike."""
    edges = 40 * 2 ** (np.arange(54) / 6)
    total = np.zeros(len(edges) - 1)
    for sound in sounds:
        frames = sound.mean(axis=0)[: sound.shape[1] // 8192 * 8192].reshape(-1, 8192) * np.hanning(8192)
        power = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
        hz = np.fft.rfftfreq(8192, 1 / RATE)
        bands = np.array([power[(hz >= a) & (hz < b)].sum() for a, b in itertools.pairwise(edges)])
        total += bands / bands.sum()
    return np.sqrt(edges[1:] * edges[:-1]), 10 * np.log10(total / total.max() + 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--peers", required=True, help="the Python that has tinysoundfont and pyfluidsynth")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    pythons = {player: sys.executable if player == "clavilux" else arguments.peers for player in PLAYERS}
    files = chosen(arguments.scores)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = {
            "machine": machine(torch.device("cpu")),
            "seconds": SECONDS,
            "repeats": REPEATS,
            "used_by_bundled": used_by_bundled(),
            "features": features(pythons, folder),
            **minutes(pythons, files, folder),
        }
        if arguments.picture:
            sounds = {p: [np.load(folder / f"{path.stem}-{p}.npy") for path in files] for p in pythons}
            pictured = next((i for i, path in enumerate(files) if path.parent.name == "lieder"), 0)
            draw(arguments.picture, {player: several[pictured] for player, several in sounds.items()}, sounds)
    text = json.dumps(report, indent=1) + "\n"
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
