"""Measure the bundled SoundFont: how loud its presets are, and which of its samples are out of tune.

    python benchmarks/soundfont_measure.py

Writes clavilux.json: a gain in dB for each preset, with which all are equally loud, and a correction in cents
for each sample that is off by 4 cents or more. Run it after soundfont_build.py.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from clavilux.audio.frontend import pitch
from clavilux.audio.loudness import integrated_loudness
from clavilux.audio.sampler import Sampler
from clavilux.audio.soundfont import FOLDER, Region, SoundFont
from clavilux.audio.synth import ScoreRenderer

RATE = 44100
TARGET_LUFS, VELOCITY = -28.9, 80
STEPS = (-12, -5, 0, 4, 7, 12, 7, 3)  # the phrase, in semitones from the middle of an instrument
MIDDLE = {
    8: 77, 10: 77, 11: 67, 14: 70, 32: 36, 40: 71, 41: 62, 42: 50, 47: 45, 56: 69, 57: 53, 58: 41, 60: 55,
    65: 62, 68: 72, 70: 50, 71: 65, 73: 77, 74: 77, 78: 84, 110: 71,
}  # fmt: skip
BEAT = ((36, 42), (42,), (38, 42), (42,), (36, 42), (36, 42), (38, 42), (46,))
LEFT = {0, 47}  # a piano is stretched on purpose; timpani have no harmonics to measure by
LEAST_CENTS, MOST_CENTS = 4, 45


def loudness(program: int, drum: bool) -> float:
    """Integrated loudness in LUFS of two bars of quarters, mezzo forte; of a plain beat for drums."""
    chords = BEAT if drum else [(MIDDLE.get(program, 60) + step,) for step in STEPS]
    events = [(0.5 * i, 0.48, k, VELOCITY, program, drum) for i, chord in enumerate(chords) for k in chord]
    renderer = ScoreRenderer(sample_rate=RATE, duration_s=4.5, programs=[program])
    return integrated_loudness(torch.cat([renderer.feed(events, 4.5), renderer.finish()], dim=1), RATE)


def sharpness(sampler: Sampler, region: Region) -> float | None:
    """How many cents a region sounds too high; None where two ways of measuring it do not agree."""
    key = int(np.clip(round(region.root), *region.keys))
    if not 30 <= key <= 100 or region.cents_per_key != 100:
        return None
    hz = 440 * 2 ** ((key - 69) / 12)
    wave = sampler.note(region, key, 2 * RATE).take(2 * RATE)[RATE // 10 :].astype(np.float64)
    if len(wave) < RATE // 3:
        return None
    by_harmonics = _by_harmonics(wave, hz)
    frame = max(2048, 1 << int(np.ceil(np.log2(4 * RATE / hz))))
    found = pitch(wave, RATE, hz / 1.3, hz * 1.3, frame)
    by_period = float(np.median(1200 * np.log2(found / hz)))
    if abs(by_harmonics - by_period) > 5:
        return None
    return (by_harmonics + by_period) / 2


def _by_harmonics(wave: np.ndarray, hz: float) -> float:
    """The shift in cents at which a comb of six harmonics gathers the most (log) magnitude."""
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    shifts = np.arange(-60.0, 60.5, 0.5)
    harmonics = np.arange(1, 7)[np.arange(1, 7) * hz < 9000]
    bins = np.rint(np.outer(2 ** (shifts / 1200), harmonics) * hz * size / RATE).astype(int)
    return float(shifts[np.log(spectrum[bins] + 1e-9).sum(axis=1).argmax()])


def tuning(soundfont: SoundFont) -> dict[str, float]:
    """Corrections in cents by sample number, over the regions of velocity `VELOCITY`."""
    sampler, found = Sampler(soundfont, RATE), {}
    for program in set(soundfont.programs) - LEFT:
        for key in range(128):
            for region in soundfont.regions(program, False, key, VELOCITY):
                if region.sample not in found and region.keys[0] <= key <= region.keys[1]:
                    found[region.sample] = sharpness(sampler, region)
    kept = {n: c for n, c in found.items() if c is not None and LEAST_CENTS <= abs(c) <= MOST_CENTS}
    unknown = sum(cents is None for cents in found.values())
    print(f"{len(found)} samples, {unknown} not measurable, {len(kept)} corrected")
    return {str(number): round(-cents, 1) for number, cents in sorted(kept.items())}


if __name__ == "__main__":
    path = FOLDER / "clavilux.json"
    path.unlink(missing_ok=True)
    tune_cents = tuning(SoundFont.bundled())
    path.write_text(json.dumps({"tune_cents": tune_cents}))
    SoundFont.bundled.cache_clear()
    levels = {str(p): round(TARGET_LUFS - loudness(p, False), 1) for p in SoundFont.bundled().programs}
    levels["drums"] = round(TARGET_LUFS - loudness(0, True), 1)
    path.write_text(json.dumps({"levels_db": levels, "tune_cents": tune_cents}, indent=1) + "\n")
    print(levels)
