"""How many notes of melodies are heard: tunes of a folder, played on sines, a flute and a voice, then transcribed.

    python benchmarks/transcribing.py FOLDER [--songs 20] [--seconds 20]

A note is found where one of its pitch begins within 100 ms of it and each counts once: precision, recall and their
harmonic mean. Then, of the pitches in order, the share that is right by the longest common subsequence; and whether the
tempo is found to 4 %, or its double or half, and the length of a bar.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.score import phrased
from clavilux.audio.melodies import melody_of
from clavilux.audio.score import Score, bar_quarters
from clavilux.audio.synth import SAMPLE_RATE, render_score
from clavilux.audio.transcribing import HeardNote, hear, score_of

SOUNDS = {"sine": None, "flute": 73, "voice": 52}  # General MIDI programs
NEAR_S = 0.1


def sung(score: Score, program: int | None, seed: int) -> tuple[Audio, np.ndarray]:
    """(the sound, the notes in seconds) of a melody, with a hand's uncertainty of 15 ms."""
    notes = score.notes.copy()
    drawn = np.random.default_rng(seed)
    starts = score.seconds_at(notes["start"]) + drawn.normal(0, 0.015, len(notes)).clip(-0.04, 0.04)
    starts = np.maximum(starts, 0)
    ends = np.maximum(score.seconds_at(notes["start"] + 0.92 * notes["duration"]), starts + 0.06)
    said = np.stack([starts, ends, notes["pitch"].astype(float)], axis=1)
    if program is None:
        return _sines(said, drawn), said
    played = notes.copy()
    played["start"], played["duration"], played["program"] = starts * 2, (ends - starts) * 2, program
    plain = Score(played, ((0.0, 120.0),))
    return Audio(render_score(Score(phrased(plain.notes, plain), ((0.0, 120.0),)), SAMPLE_RATE), SAMPLE_RATE), said


def _sines(said: np.ndarray, drawn: np.random.Generator) -> Audio:
    """Sines with a voice's slide, vibrato and off tuning, a little noise under them."""
    rate = 22050
    samples = drawn.normal(0, 10 ** (-50 / 20), round((said[:, 1].max() + 0.5) * rate))
    off = drawn.uniform(-0.3, 0.3)
    for start, end, pitch in said:
        at = np.arange(round((end - start) * rate)) / rate
        semitones = pitch + off + drawn.normal(0, 0.08) - 0.5 * np.exp(-at / 0.02)
        semitones = semitones + 0.2 * np.sin(2 * np.pi * 5.5 * at) * np.minimum(at / 0.3, 1)
        phase = 2 * np.pi * np.cumsum(440 * 2 ** ((semitones - 69) / 12)) / rate
        shape = np.minimum(1, np.minimum(at / 0.02, (end - start - at) / 0.03).clip(0))
        first = round(start * rate)
        samples[first : first + len(at)] += 0.3 * shape * np.sin(phase)
    return Audio(torch.from_numpy(samples[None].astype(np.float32)), rate)


def matched(said: np.ndarray, heard: list[HeardNote]) -> int:
    free = list(heard)
    count = 0
    for start, _, pitch in said:
        near = [note for note in free if note.pitch == round(pitch) and abs(note.start_s - start) <= NEAR_S]
        if near:
            free.remove(min(near, key=lambda note: abs(note.start_s - start)))
            count += 1
    return count


def common(a: list[int], b: list[int]) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for index, y in enumerate(b, 1):
            before, row[index] = row[index], before + 1 if x == y else max(row[index], row[index - 1])
    return row[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sounds", default=",".join(SOUNDS))
    given = parser.parse_args()
    files = sorted(given.folder.glob("*.mid"))
    files = files[:: max(1, len(files) // given.songs)][: given.songs]
    for name in given.sounds.split(","):
        totals, tempi, lengths, took = np.zeros(4), [0, 0], [0, 0], 0.0
        for number, path in enumerate(files):
            score = Score.from_midi(path)
            melody = melody_of(score)
            whole = Score(melody.notes, ((0.0, melody.tempo),), ((0.0, melody.metre),))
            score = whole.slice(0.0, min(whole.length, float(whole.quarters_at(given.seconds))))
            sound, said = sung(score, SOUNDS[name], number)
            since = time.perf_counter()
            heard = hear(sound)
            took += time.perf_counter() - since
            order = common([round(p) for p in said[:, 2]], [note.pitch for note in heard])
            totals += (matched(said, heard), len(said), len(heard), order)
            found = score_of(heard)
            pace = found.tempos[0][1] / melody.tempo
            tempi[0] += abs(pace - 1) < 0.04
            tempi[1] += any(abs(pace * each - 1) < 0.04 for each in (1, 2, 0.5))
            lengths[0] += bar_quarters(found.metres[0][1]) == bar_quarters(melody.metre)
        hit, there, given_out, order = totals
        print(
            f"{name:6} {len(files)} melodies, {there:.0f} notes: precision {hit / given_out:.1%}, recall "
            f"{hit / there:.1%}, F {2 * hit / (there + given_out):.1%}; pitches in order {order / there:.1%}; tempo "
            f"{tempi[0]} of {len(files)}, to a factor of 2 {tempi[1]}; bars {lengths[0]}; {took / len(files):.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
