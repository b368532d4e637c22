"""Whether the mark in rendered sound can be heard, by a published model: `python benchmarks/marks_nmr.py --songs DIR`.

The noise-to-mask ratio of ITU-R BS.1387 (PEAQ, basic version), as P. Kabal reads it ("An Examination and Interpretation
of ITU-R BS.1387", McGill University, 2003): frames of 2,048 samples at 48 kHz, the outer and middle ear, 109 bands of a
quarter Bark, spreading by level, and forward masking; the threshold lies 3 dB below what is spread up to 12 Bark, and a
quarter of a dB more for each Bark above. 0 dB is the threshold. The noise is the difference of magnitudes of the song
with the mark and without, which is said to be played so that a full-scale sine has 92 dB SPL. The songs are those of
`marks_sound`, rendered into DIR where they are not there yet. Beside the mark, by the same measure: what MP3 and Ogg
Vorbis change in the same songs, and white noise. Johnston's model of `marks_sound`, which is stricter about noise
beside tones, says of the same songs how many of its cells are above the threshold.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

import numpy as np
import torch
from marks_sound import RATE, mp3, octaves, songs_in, vorbis
from quality import commit

from clavilux.audio import sound_mark
from clavilux.audio.frontend import resample_array
from clavilux.mark_key import PUBLIC
from clavilux.marking import PLAYED_KIND

MODEL_RATE, FRAME = 48000, 2048
LOWEST, HIGHEST, BAND = 80.0, 18000.0, 0.25  # Hz, Hz, Bark
SPL = 92.0  # dB, of a full-scale sine
DISTURBED_DB = 1.5  # the standard's: a frame with a band above this is a disturbed one
_QUIETEST = 1e-12
KEY = PUBLIC.word(PLAYED_KIND)


def bark(hz: np.ndarray) -> np.ndarray:
    return 7 * np.arcsinh(hz / 650)


def hertz(barks: np.ndarray) -> np.ndarray:
    return 650 * np.sinh(barks / 7)


class Ear:
    """The model's constants, for spectra of `FRAME` samples at `MODEL_RATE`.

    Attributes:
        centers: float64 [Z], of the bands, in Hz.
    """

    def __init__(self) -> None:
        low = bark(np.array(LOWEST)) + BAND * np.arange(np.ceil((bark(np.array(HIGHEST)) - bark(LOWEST)) / BAND))
        high = np.minimum(low + BAND, bark(np.array(HIGHEST)))
        self.centers = hertz((low + high) / 2)
        width = MODEL_RATE / FRAME
        edges = (np.arange(FRAME // 2 + 1)[:, None] + (-0.5, 0.5)) * width  # of bins
        inside = np.minimum(edges[:, 1:], hertz(high)) - np.maximum(edges[:, :1], hertz(low))
        self._shares = np.maximum(inside, 0) / width  # [F, Z], of a bin that lies in a band
        khz = np.maximum(np.arange(FRAME // 2 + 1) * width, 1) / 1000
        self._ear = 10 ** ((-2.184 * khz**-0.8 + 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) - 0.001 * khz**3.6) / 10)
        self._inner = 10 ** (0.1456 * (self.centers / 1000) ** -0.8)  # the ear's own noise
        numbers = np.arange(len(low))
        offset = np.where(numbers <= 12 / BAND, 3.0, 0.25 * numbers * BAND)
        self._offset = 10 ** (-offset / 10)
        window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1)))
        # The standard's sine of 1,019.5 Hz lies between two bins, where the window leaves 0.8497 of its height.
        self._window = window * 10 ** (SPL / 20) / (0.8497 / 4 * (FRAME - 1))
        longest, shortest = 0.030, 0.008  # seconds, at 100 Hz and far above
        seconds = shortest + 100 / self.centers * (longest - shortest)
        self._decay = np.exp(-(FRAME / 2 / MODEL_RATE) / seconds)
        self._even = self._spread_sum(np.ones((1, len(low))))[0]

    def noise_to_mask(self, reference: np.ndarray, other: np.ndarray) -> np.ndarray:
        """float64 [C * frames, Z], a ratio of powers: what was changed of float [C, N] at 48 kHz, and what masks it."""
        found = []
        for ours, theirs in zip(reference, other, strict=True):
            before, after = (self._spectra(each) for each in (ours, theirs))
            noise = np.maximum(np.square(before - after) @ self._shares, _QUIETEST)
            mask = self._excited(np.maximum(np.square(before) @ self._shares, _QUIETEST) + self._inner)
            found.append(noise / (mask * self._offset))
        return np.concatenate(found)

    def _spectra(self, samples: np.ndarray) -> np.ndarray:
        """float64 [frames, F], magnitudes behind the middle ear."""
        frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), FRAME)[:: FRAME // 2]
        return np.abs(np.fft.rfft(frames * self._window)) * np.sqrt(self._ear)

    def _spread_sum(self, power: np.ndarray) -> np.ndarray:
        """Powers [frames, Z] spread over the bands, not yet evened: slopes of 27 dB a Bark down, and up by level."""
        away = BAND * (np.arange(len(self.centers))[:, None] - np.arange(len(self.centers)))  # [to, from]
        spread = np.empty_like(power)
        for number, row in enumerate(power):
            up = -24 - 230 / self.centers + 2 * np.log10(row)
            slopes = 10 ** (np.where(away <= 0, 27 * away, up * away) / 10)
            spread[number] = ((slopes * (row / slopes.sum(0))) ** 0.4).sum(1) ** 2.5
        return spread

    def _excited(self, power: np.ndarray) -> np.ndarray:
        """What a frame's powers [frames, Z] are spread to, and what is left of the frames before."""
        spread = self._spread_sum(power) / self._even
        held, found = np.zeros(len(self.centers)), np.empty_like(spread)
        for number, row in enumerate(spread):
            held = self._decay * held + (1 - self._decay) * row
            found[number] = np.maximum(held, row)
        return found


def told(ratios: np.ndarray, centers: np.ndarray) -> dict[str, float]:
    """What is said of ratios [frames, Z]; of the bands from 500 Hz to 9 kHz, where the mark is, by octaves."""
    found = {
        "total_nmr_db": 10 * np.log10(ratios.mean()),
        "disturbed_frames": (10 * np.log10(ratios.max(1)) >= DISTURBED_DB).mean(),
        "above_mask": (ratios > 1).mean(),
        "highest_db": 10 * np.log10(ratios.max()),
        "highest_of_a_frame_median_db": 10 * np.log10(np.median(ratios.max(1))),
    }
    for low in (500, 1000, 2000, 4000):
        inside = ratios[:, (centers >= low) & (centers < 2 * low)]
        found |= {f"{low}_hz_nmr_db": 10 * np.log10(inside.mean()), f"{low}_hz_above_mask": (inside > 1).mean()}
    return {name: round(float(value), 5) for name, value in found.items()}


def with_mark(song: np.ndarray) -> np.ndarray:
    return sound_mark.marked(torch.from_numpy(song), KEY, RATE).numpy()


def with_noise(song: np.ndarray, below_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(song.shape)
    return (song + noise * song.std() * 10 ** (-below_db / 20)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=Path, required=True, help="folder of the renders, filled where it is empty")
    parser.add_argument("--count", type=int, default=23, help="songs")
    parser.add_argument("--seconds", type=int, default=20, help="of each, from its beginning")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    songs = [np.ascontiguousarray(each[:, : args.seconds * RATE]) for each in songs_in(args.songs, args.count)]
    ways = {
        "mark": with_mark, "MP3 at 320 kbit/s": mp3(320), "MP3 at 128 kbit/s": mp3(128),
        "Ogg Vorbis": vorbis,
        "white noise 60 dB below": lambda song: with_noise(song, 60),
    }  # fmt: skip
    ear, every, of_songs = Ear(), {name: [] for name in ways}, []
    for number, song in enumerate(songs):
        reference = resample_array(song.T, RATE, MODEL_RATE).T
        for name, way in ways.items():
            other = resample_array(way(song)[:, : song.shape[1]].T, RATE, MODEL_RATE).T
            every[name].append(ear.noise_to_mask(reference, other))
        of_songs.append(told(every["mark"][-1], ear.centers))
        print(number, of_songs[-1], flush=True)
    strict = [octaves(song) for song in songs]
    strict = [{key: round(float(np.mean([each[n][key] for each in strict])), 3) for key in octave}
              for n, octave in enumerate(strict[0])]  # fmt: skip
    result = {
        "date": date.today().isoformat(), "commit": commit(), "songs": len(songs), "seconds_each": args.seconds,
        "total": {name: told(np.concatenate(ratios), ear.centers) for name, ratios in every.items()},
        "songs_of_the_mark": of_songs, "by_johnstons_model": strict,
    }  # fmt: skip
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
