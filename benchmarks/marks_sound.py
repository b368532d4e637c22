"""How well the mark in rendered sound is found: `python benchmarks/marks_sound.py --songs DIR`.

Renders unmarked songs by aria into DIR, once, and cuts excerpts of 10 and 20 s out of them at random places. A marked
excerpt is cut from a song that went through the mark's filter with a key of the song's own, which is what a renderer
does; an unmarked one is looked at with keys that nothing was marked with. Among the unmarked are noise,
tones and clicks, and the sound files of `--others`. Attacks are tried on the first marked excerpts. The p-value counts
in every place and speed that was searched. Told too: how far below the music the mark lies in each octave, and how far
below what masks it there by J. Johnston's model of 1988 (Bark bands, Schroeder's spreading, tonality by spectral
flatness).
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from clavilux.audio import sound_mark
from clavilux.audio.clip import Audio
from clavilux.audio.frontend import resample_array
from clavilux.audio.sound_mark import marked, pattern_of
from clavilux.audio.sound_mark_search import folds_of
from clavilux.bench.machine import machine
from clavilux.provenance.mark import of_tries, tail_of_signs

RATE = 44100
PROMPTS = (
    "waltz for piano", "string quartet in D", "lively irish jig on fiddle", "slow church organ chorale", "pop song",
    "jazz waltz", "bossa nova", "march for brass", "lullaby on harp", "baroque harpsichord", "folk guitar ballad",
    "rock song", "flute and guitar", "orchestra in C minor", "ragtime piano", "country song", "clarinet and piano",
    "choir hymn", "techno", "reggae",
)  # fmt: skip
SONG_S = 40
Attack = Callable[[np.ndarray], np.ndarray]  # float32 [C, N] -> the same, of another N


def songs_in(folder: Path, count: int) -> list[np.ndarray]:
    """Unmarked songs float32 [2, N], rendered where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found, model = [], None
    for number in range(count):
        path = folder / f"song{number:02d}.npy"
        if not path.exists():
            import clavilux

            model = model or clavilux.load("aria")
            prompt = PROMPTS[number % len(PROMPTS)]
            song = model.generate(prompt, seconds=SONG_S, seed=100 + number, mark=False)
            np.save(path, song.samples.numpy())
        found.append(np.load(path))
    return found


def encoded(samples: np.ndarray, rate: int, **how: object) -> np.ndarray:
    """Through a codec of libsndfile and back, at `RATE`."""
    file = io.BytesIO()
    data = samples.T if rate == RATE else resample_array(samples.T, RATE, rate)
    soundfile.write(file, data, rate, **how)
    file.seek(0)
    back = soundfile.read(file, dtype="float32", always_2d=True)[0]
    return (back if rate == RATE else resample_array(back, rate, RATE)).T


def mp3(kbps: int) -> Attack:
    """MPEG layer 3 at a constant rate; libsndfile's level 0 is 320 kbit/s and 1 is 32."""
    return lambda samples: encoded(
        samples, RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=(320 - kbps) / (320 - 32)
    )


def opus(samples: np.ndarray) -> np.ndarray:
    """Opus, at about 64 kbit/s."""
    return encoded(samples, 48000, format="OGG", subtype="OPUS", compression_level=0.9)


def vorbis(samples: np.ndarray) -> np.ndarray:
    """Ogg Vorbis at quality 0.4."""
    return encoded(samples, RATE, format="OGG", subtype="VORBIS", compression_level=0.6)


def resampled(samples: np.ndarray) -> np.ndarray:
    """To 22050 Hz and back."""
    return resample_array(resample_array(samples.T, RATE, 22050), 22050, RATE).T


def softer(samples: np.ndarray) -> np.ndarray:
    """20 dB softer, in 16 bits."""
    return (np.round(samples * 0.1 * 32767) / 32767).astype(np.float32)


def faster(percent: float) -> Attack:
    """Played faster, and so much higher."""
    return lambda samples: resample_array(samples.T, round(RATE * (1 + percent / 100)), RATE).T.astype(np.float32)


def cut(samples: np.ndarray) -> np.ndarray:
    """A second taken out of the middle."""
    middle = samples.shape[1] // 2
    return np.concatenate([samples[:, : middle - RATE // 2], samples[:, middle + RATE // 2 :]], axis=1)


def noisy(samples: np.ndarray) -> np.ndarray:
    """White noise, 20 dB below the sound."""
    noise = np.random.default_rng(0).standard_normal(samples.shape).astype(np.float32)
    return samples + noise * np.float32(0.1 * samples.std())


ATTACKS: dict[str, Attack] = {
    "mp3 128": mp3(128), "mp3 64": mp3(64), "mp3 48": mp3(48), "opus 64": opus, "vorbis": vorbis,
    "22050 Hz and back": resampled, "-20 dB, 16 bits": softer, "1 % faster": faster(1), "3 % faster": faster(3),
    "a second cut": cut, "mp3 64, 1 % faster": lambda samples: mp3(64)(faster(1)(samples)), "noise at -20 dB": noisy,
    "mono": lambda samples: samples.mean(0, keepdims=True),
}  # fmt: skip


def p_values(samples: np.ndarray, words: list[int]) -> list[float]:
    """Of each key."""
    folds = folds_of(torch.from_numpy(np.ascontiguousarray(samples, np.float32)), RATE)
    best = folds.correlations(np.stack([pattern_of(word) for word in words]))
    return [of_tries(tail_of_signs(each), folds.tries) for each in best.tolist()]


def interval(hits: int, of: int) -> list[float]:
    """Wilson's 95 % interval of a share."""
    share, z = hits / of, 1.96
    middle, wide = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return [round((middle - wide) / (1 + z * z / of), 5), round((middle + wide) / (1 + z * z / of), 5)]


def rates(ps: list[float], thresholds: tuple[float, ...]) -> dict[str, object]:
    """The share below each threshold, with its interval."""
    found = {}
    for threshold in thresholds:
        hits = sum(p <= threshold for p in ps)
        found[f"{threshold:g}"] = {"hits": hits, "share": round(hits / len(ps), 4), "interval": interval(hits, len(ps))}
    return {"count": len(ps), "median p": float(np.median(ps)), **found}


def synthetic(rng: np.random.Generator, kind: str, length: int) -> np.ndarray:
    """Noise, tones or clicks, float32 [1, length]."""
    at = np.arange(length) / RATE
    if kind == "noise":
        return rng.standard_normal((1, length)).astype(np.float32) * np.float32(0.1)
    if kind == "tones":
        tones = [np.sin(2 * np.pi * hz * at + phase) for hz, phase in rng.uniform((100, 0), (6000, 6.28), (6, 2))]
        return (np.sum(tones, axis=0, keepdims=True) / 12).astype(np.float32)
    clicks = np.zeros((1, length), np.float32)
    clicks[0, rng.integers(0, length, length // 9000)] = 0.5
    return clicks


def octaves(sound: np.ndarray) -> list[dict[str, float]]:
    """Of each octave, in dB: the mark against the music, and the mark against what masks it (mean, 95th percentile)."""
    added = marked(torch.from_numpy(np.ascontiguousarray(sound)), 5, RATE).numpy() - sound
    frame, window = 2048, np.hanning(2048)
    shown = [np.lib.stride_tricks.sliding_window_view(each.mean(0), frame)[:: frame // 2] * window
             for each in (sound, added)]  # fmt: skip
    music, mark = (np.abs(np.fft.rfft(each)) ** 2 for each in shown)
    bins = np.fft.rfftfreq(frame, 1 / RATE)
    barks = 13 * np.arctan(0.00076 * bins) + 3.5 * np.arctan((bins / 7500) ** 2)
    bands = [np.flatnonzero((barks >= bark) & (barks < bark + 1)) for bark in range(25)]
    bands = [each for each in bands if len(each)]
    energy = np.stack([music[:, each].sum(1) for each in bands], 1)
    noise = np.stack([mark[:, each].sum(1) for each in bands], 1)
    away = np.arange(len(bands))[:, None] - np.arange(len(bands))[None] + 0.474
    spread = 10 ** ((15.81 + 7.5 * away - 17.5 * np.sqrt(1 + away**2)) / 10)
    flatness = 10 * np.log10(np.exp(np.log(music + 1e-12).mean(1)) / (music + 1e-12).mean(1))
    tonal = np.clip(flatness / -60, 0, 1)[:, None]
    offset = tonal * (14.5 + np.arange(len(bands))) + (1 - tonal) * 5.5
    threshold = (energy @ spread.T) / spread.sum(1) * 10 ** (-offset / 10)
    heard = energy > energy.max() * 1e-6
    found = []
    for low in (500, 1000, 2000, 4000):
        inside = [n for n, each in enumerate(bands) if low <= bins[each].mean() < 2 * low]
        ratio = 10 * np.log10((noise + 1e-15) / (threshold + 1e-15))[:, inside][heard[:, inside]]
        below = 10 * np.log10(noise[:, inside].sum() / energy[:, inside].sum())
        found.append({
            "from_hz": low, "below_music_db": float(below), "to_mask_db": float(ratio.mean()),
            "to_mask_95": float(np.quantile(ratio, 0.95)), "above_mask": float((ratio > 0).mean()),
        })  # fmt: skip
    return found


def short(ps: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Three digits of each."""
    return {name: [float(f"{p:.3g}") for p in each] for name, each in ps.items()}


class Measured:
    """What was measured so far: p-values of right keys by excerpt and attack, and of wrong ones by kind of sound."""

    def __init__(self, songs: list[np.ndarray], others: list[np.ndarray], seed: int) -> None:
        self._songs, self._others, self._rng = songs, others, np.random.default_rng(seed)
        self.right: dict[str, list[float]] = {}
        self.wrong: dict[str, list[float]] = {}
        self._first: list[float] = []
        self._marked: dict[int, tuple[int, np.ndarray]] = {}  # by song: its key, and the whole of it

    def add(self, report: Mapping[str, Any]) -> None:
        """What an earlier run measured, with another seed."""
        for own, theirs in ((self.right, report["p"]["right"]), (self.wrong, report["p"]["wrong"])):
            for name, ps in theirs.items():
                own.setdefault(name, []).extend(ps)
        self._first += report["p"]["first"]

    def mark(self, number: int, *, attacked: bool) -> None:
        """A marked excerpt, of 10 and 20 s in turn."""
        seconds, song = (10, 20)[number % 2], number % len(self._songs)
        if song not in self._marked:
            word = int(self._rng.integers(-(2**63), 2**63))
            self._marked[song] = word, marked(torch.from_numpy(self._songs[song]), word, RATE).numpy()
        word, whole = self._marked[song]
        part = self._excerpt(whole, seconds)
        self.right.setdefault(f"{seconds} s", []).extend(p_values(part, [word]))
        for name, attack in ATTACKS.items() if attacked else ():
            self.right.setdefault(f"{seconds} s, {name}", []).extend(p_values(attack(part), [word]))

    def leave(self, number: int, keys: int) -> None:
        """An unmarked excerpt of 10 s."""
        kind = (("song",) * 7 + ("noise", "tones", "clicks"))[number % 10]
        if self._others and number % 10 == 6:
            kind, part = "recording", self._excerpt(self._others[number // 10 % len(self._others)], 10)
        elif kind == "song":
            part = self._excerpt(self._songs[number % len(self._songs)], 10)
        else:
            part = synthetic(self._rng, kind, 10 * RATE)
        ps = p_values(part, [int(word) for word in self._rng.integers(-(2**63), 2**63, keys)])
        self.wrong.setdefault(kind, []).extend(ps)
        self._first.append(ps[0])

    def report(self) -> dict[str, object]:
        """Shares and intervals."""
        tail = [p for ps in self.wrong.values() for p in ps] or [1.0]
        return {
            "machine": machine(torch.device("cpu")),
            "marked": {name: rates(ps, (1e-3, 1e-6)) for name, ps in self.right.items()},
            "depth_db": {"below 4 kHz": sound_mark.DEPTH_DB, "from 4 kHz": sound_mark.HIGH_DEPTH_DB},
            "unmarked, one key each": rates(self._first or [1.0], (1e-1, 1e-2, 1e-3)),
            "wrong keys": rates(tail, (1e-1, 1e-2, 1e-3, 1e-4)) | {"least": min(tail)},
            "wrong keys by kind": {name: rates(ps, (1e-2, 1e-3)) for name, ps in self.wrong.items()},
            "p": {"right": short(self.right), "wrong": short(self.wrong), "first": short({"": self._first})[""]},
        }

    def _excerpt(self, sound: np.ndarray, seconds: int) -> np.ndarray:
        start = int(self._rng.integers(0, max(1, sound.shape[1] - seconds * RATE)))
        return sound[:, start : start + seconds * RATE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--songs", type=Path, required=True, help="folder of the renders, filled where it is empty")
    parser.add_argument("--others", type=Path, help="folder of real recordings, for the unmarked")
    parser.add_argument("--count", type=int, default=23, help="songs")
    parser.add_argument("--marked", type=int, default=300)
    parser.add_argument("--attacked", type=int, default=40)
    parser.add_argument("--unmarked", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=5, help="wrong keys of each unmarked excerpt")
    parser.add_argument("--seed", type=int, default=7, help="of excerpts and keys")
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="results of runs with other seeds, counted in")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--high-depth", type=float, help="dB from 4 kHz on, instead of the mark's own")
    given = parser.parse_args()
    if given.high_depth is not None:
        sound_mark.HIGH_DEPTH_DB = given.high_depth
    began, songs = time.time(), songs_in(given.songs, given.count)
    files = [] if given.others is None else sorted(given.others.iterdir())
    others = [Audio.load(path).resample(RATE).samples.numpy() for path in files]
    measured = Measured(songs, others, given.seed)
    for path in given.add:
        measured.add(json.loads(path.read_text()))

    def write(**more: object) -> str:
        text = json.dumps(measured.report() | more | {"seconds": round(time.time() - began)}, indent=1)
        if given.json:
            given.json.write_text(text + "\n")
        return text

    for number in range(max(given.marked, given.unmarked)):
        if number < given.marked:
            measured.mark(number, attacked=number < given.attacked)
        if number < given.unmarked:
            measured.leave(number, given.keys)
        if number % 10 == 9:  # a long run that is stopped has measured something
            print(f"{number + 1} done, {time.time() - began:.0f} s", flush=True)
            write()
    levels = [octaves(song[:, : 15 * RATE]) for song in songs[:12]]
    means = [{key: round(float(np.mean([each[n][key] for each in levels])), 2) for key in levels[0][n]}
             for n in range(4)]  # fmt: skip
    print(write(octaves=means))
    if given.plot:
        draw(given.plot, [p for ps in measured.wrong.values() for p in ps], measured.right)


def draw(path: Path, wrong: list[float], right: dict[str, list[float]]) -> None:
    """How many p-values lie below each p: wrong keys beside the diagonal, right ones."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4.5))
    axes.loglog([1e-5, 1], [1e-5, 1], "k:", label="exact")
    axes.loglog(np.sort(wrong), (np.arange(len(wrong)) + 1) / len(wrong), label=f"{len(wrong):,} wrong keys, unmarked")
    for name in ("10 s", "20 s", "10 s, mp3 64"):
        ps = np.sort(np.maximum(right[name], 1e-30))
        axes.loglog(ps, (np.arange(len(ps)) + 1) / len(ps), label=f"marked, {name}")
    axes.set(xlim=(1e-20, 1), ylim=(1e-5, 1.1), xlabel="p", ylabel="share with a p-value of at most p")
    axes.legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
