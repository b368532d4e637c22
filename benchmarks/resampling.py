"""How clean and how fast two resamplers are: `python benchmarks/resampling.py`.

soxr (what files are resampled with) beside torchaudio's windowed sinc (what tensors are resampled with), at the
settings of the front end and, for torchaudio, at its own defaults. Tones go through each; told are

- ripple: how far the gain of tones up to 90 % of the lower Nyquist frequency is from 0 dB at most;
- edge: the share of the lower Nyquist frequency at which the gain has fallen by 3 dB;
- rejection: what is left of tones above the lower Nyquist frequency (from 1.005 of it on), and of the images of those
  below it, at the loudest, in dB below the tone;
- x real time: seconds of stereo that a second resamples, on one thread.

Sides take turns; the ratio of speeds is the median over the turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
import torch
from torchaudio import functional

from clavilux.audio import frontend
from clavilux.bench.machine import machine

PAIRS = ((44100, 22050), (44100, 32000), (48000, 44100), (44100, 48000), (32000, 44100), (16000, 48000))
TONE_S = 1.0
Resampler = Callable[[np.ndarray, int, int], np.ndarray]  # float32 [C, N], from, to -> [C, M]


def with_soxr(quality: str) -> Resampler:
    return lambda data, old, new: soxr.resample(np.ascontiguousarray(data.T), old, new, quality=quality).T


def with_torchaudio(data: np.ndarray, old: int, new: int) -> np.ndarray:
    return functional.resample(torch.from_numpy(data), old, new).numpy()


def with_frontend(data: np.ndarray, old: int, new: int) -> np.ndarray:
    return frontend.resample(torch.from_numpy(data), old, new).numpy()


SIDES: dict[str, Resampler] = {
    "soxr VHQ": with_soxr("VHQ"),
    "soxr HQ": with_soxr("HQ"),
    "frontend.resample": with_frontend,
    "torchaudio's defaults": with_torchaudio,
}


def tones(frequencies: np.ndarray, rate: int, seconds: float = TONE_S) -> np.ndarray:
    """float32 [F, N]: a tone in each row, fading in and out, so that the ends make no sound of their own."""
    time_s = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * frequencies[:, None] * time_s) * fade(time_s, seconds)).astype(np.float32)


def fade(time_s: np.ndarray, seconds: float) -> np.ndarray:
    return np.sin(np.pi * np.clip(time_s / seconds, 0, 1)) ** 2


def gain_and_rest(output: np.ndarray, frequencies: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each row [F, M]: the tone's gain, and the loudest of all else beside a tone of gain 1."""
    time_s = np.arange(output.shape[1]) / rate
    window = fade(time_s, TONE_S)
    gains, rests = [], []
    for row, hz in zip(output.astype(np.float64), frequencies, strict=True):
        if hz < rate / 2:
            basis = np.stack([np.sin(2 * np.pi * hz * time_s), np.cos(2 * np.pi * hz * time_s)], 1) * window[:, None]
            fitted, *_ = np.linalg.lstsq(basis, row, rcond=None)
            gains.append(np.hypot(*fitted))
            row = row - basis @ fitted
        else:
            gains.append(0.0)
        spectrum = np.abs(np.fft.rfft(row * window))
        rests.append(spectrum.max() / (np.sum(window**2) / 2))
    return np.array(gains), np.array(rests)


def quality(resample: Resampler, old: int, new: int) -> dict[str, float]:
    """`ripple_db`, `edge`, `rejection_db` of a resampler from one rate to another."""
    nyquist = min(old, new) / 2
    inside = np.linspace(0.003, 0.9, 120) * nyquist
    gain, rest = gain_and_rest(resample(tones(inside, old), old, new), inside, new)
    near = np.linspace(0.85, 0.999, 80) * nyquist
    falling, _ = gain_and_rest(resample(tones(near, old), old, new), near, new)
    if old > new:
        outside = np.linspace(1.005 * nyquist, min(0.99 * old / 2, 4 * nyquist), 80)
        _, alias = gain_and_rest(resample(tones(outside, old), old, new), outside, new)
        rest = np.concatenate([rest, alias])
    below = np.flatnonzero(falling < 10 ** (-3 / 20))
    return {
        "ripple_db": float(np.abs(20 * np.log10(gain)).max()),
        "edge": float(near[below[0]] / nyquist) if len(below) else 1.0,
        "rejection_db": float(20 * np.log10(rest.max())),
    }


def speeds(old: int, new: int, seconds: float, turns: int) -> dict[str, dict[str, float]]:
    """Seconds of stereo a second for each side, and its speed beside that of the first, medians over the turns."""
    sound = np.random.default_rng(0).standard_normal((2, round(seconds * old))).astype(np.float32)
    spent: dict[str, list[float]] = {name: [] for name in SIDES}
    for turn in range(turns + 1):
        for name, resample in SIDES.items():
            started = time.perf_counter()
            resample(sound, old, new)
            if turn:  # the first is a warm-up
                spent[name].append(time.perf_counter() - started)
    first = spent[next(iter(SIDES))]
    return {
        name: {
            "x_real_time": seconds / statistics.median(values),
            "beside_the_first": statistics.median(a / b for a, b in zip(first, values, strict=True)),
        }
        for name, values in spent.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of the sound that is timed")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the report here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for old, new in PAIRS:
        fast = speeds(old, new, args.seconds, args.turns)
        for name, resample in SIDES.items():
            rows.append({"from": old, "to": new, "side": name} | quality(resample, old, new) | fast[name])
            row = rows[-1]
            print(
                f"{old:6} -> {new:6}  {name:22} ripple {row['ripple_db']:.4f} dB  edge {row['edge']:.3f}  "
                f"rejection {row['rejection_db']:7.1f} dB  {row['x_real_time']:6.0f} x real time  "
                f"{row['beside_the_first']:.2f} of {next(iter(SIDES))}"
            )
    if args.json:
        report = {"what": __doc__.splitlines()[0], "machine": machine(torch.device("cpu")), "rows": rows}
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
