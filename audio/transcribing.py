"""A hummed, sung, whistled or played melody as notes: pitch by pyin, notes by steps and strokes, a grid by the onsets.

Knows one voice in sound. Does not know chords or bands; of several voices at once it hears the strongest, or little.

Pitch: Mauch and Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold distributions" (2014), as
librosa has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from clavilux.audio import frontend
from clavilux.audio.clip import Audio
from clavilux.audio.notes import PART_NOTE
from clavilux.audio.score import Score, bar_quarters

RATE, HOP = 22050, 384  # Hz; samples, 17.4 ms
LONGEST_S = 300.0
LOWEST_HZ, HIGHEST_HZ = 65.4, 2093.0  # C2 to C7: voices, whistles, flutes
SILENT_DBFS = -60.0
FEWEST_NOTES = 4
_RESOLUTION = 0.25  # of a semitone; Viterbi's time goes with its square
_SMOOTH = 5  # frames of the median: a vibrato's half swing
_STEP = 0.6  # semitones from a note's middle, from which a frame is of another
_STEP_FRAMES = 3  # as many in a row begin a note
_SHORTEST_S = 0.07
_GAP_S = 0.05  # a hole in a note that is shorter is a slip of the pitch tracker
_DIP_DB, _RISE_S = 9.0, 0.08  # of a stroke on the same pitch: how far the level rises, and within what time
_LEVEL_SAMPLES = 512
_QUIET_DB = -38.0  # against the loudest: breath between notes
TEMPI = np.exp(np.arange(np.log(50), np.log(200), 0.005))  # quarters a minute
_USUAL_TEMPO, _TEMPO_SPREAD = 100.0, 0.45  # of a lognormal prior
_GRID = 4  # positions of a quarter
_PULL, _PACE = 0.35, 0.12  # how far the grid follows a singer's time and tempo, a note
_METRES = ((4, 4), (3, 4))
# What speaks for a metre and a place in it: quarters of a bar that notes fill which begin with one; the last note does;
# the piece begins with a bar; with an upbeat of a quarter; quarters of a bar whose rhythm comes again a bar, two or
# four later; the share of bars that begin with a note; that of notes on beats; it is 4/4. Learned by
# `benchmarks/barring.py`, but for the third: 1.5 is as good there as its 0.84, and asks less for upbeats.
BAR_WEIGHTS = np.array((3.08, 0.28, 1.5, 2.63, 2.07, 2.76, 1.51, -1.47))
_FEWEST_FOLLOWED = 6  # notes, for a rhythm that comes again


@dataclass(frozen=True)
class HeardNote:
    """A note: `start_s` and `end_s` in seconds, MIDI `pitch`, `level` in dB against the loudest."""

    start_s: float
    end_s: float
    pitch: int
    level: float


def transcribe(clip: Audio, *, tempo: float | None = None, metre: tuple[int, int] | None = None) -> Score:
    """The notes of a clip in which one voice is heard, on sixteenths of a tempo.

    Args:
        clip: up to `LONGEST_S` seconds.
        tempo: quarters a minute; found if None, and then one of a tempo, its double and its half may be taken for
            another.
        metre: found to be 4/4 or 3/4 if None.

    Returns:
        A score of one part, whose first note stands where it fits into a bar; its key is not found here.

    Raises:
        ValueError: silence, a clip that is too long, or fewer than `FEWEST_NOTES` notes.
    """
    if clip.duration_s > LONGEST_S:
        raise ValueError(
            f"the melody lasts {clip.duration_s:.0f} s; one that is heard lasts up to {LONGEST_S:g} s, so cut it first"
        )
    return score_of(hear(clip), tempo=tempo, metre=metre)


def score_of(notes: Sequence[HeardNote], *, tempo: float | None = None, metre: tuple[int, int] | None = None) -> Score:
    """Heard notes on a grid. Arguments, result and errors as `transcribe`."""
    if len(notes) < FEWEST_NOTES:
        raise ValueError(
            f"{len(notes)} notes are heard in the melody; it should have {FEWEST_NOTES} or more, of one voice at a time"
        )
    starts = np.array([note.start_s for note in notes])
    ends = np.array([note.end_s for note in notes])
    pace = tempo or find_tempo(starts, ends)
    begins, lengths = on_grid(starts, ends, pace)
    metre, first = _bar_of(begins, lengths, metre)
    found = np.zeros(len(notes), PART_NOTE)
    found["start"], found["duration"] = begins + first, lengths
    found["pitch"] = [note.pitch for note in notes]
    found["velocity"] = [round(min(112, max(48, 100 + 1.6 * note.level))) for note in notes]
    return Score(found, ((0.0, round(pace, 1)),), ((0.0, metre),))


def hear(clip: Audio) -> list[HeardNote]:
    """The notes of a clip, in the order of time, in the tuning that fits them best. ValueError for silence."""
    samples = clip.to_mono().resample(RATE).samples[0].numpy()
    peak = float(np.abs(samples).max())
    if peak < 10 ** (SILENT_DBFS / 20):
        raise ValueError("the melody is silent; give a file in which a tune is heard")
    hz, voiced = frontend.sung_pitch(samples, RATE, HOP, LOWEST_HZ, HIGHEST_HZ, step=_RESOLUTION)
    level = _levels(samples, len(hz))
    sounding = voiced & (level > _QUIET_DB)
    pitch = 69 + 12 * np.log2(np.where(sounding, hz, 440.0) / 440.0)
    spans = [part for span in _spans(sounding) for part in _split(pitch, level, span)]
    spans = [(a, b) for a, b in spans if (b - a) * HOP / RATE >= _SHORTEST_S]
    middles = np.array([_middle(pitch[a:b]) for a, b in spans])
    if not len(middles):
        return []
    off = np.angle(np.exp(2j * np.pi * middles).mean()) / (2 * np.pi)  # of the whole tuning, in semitones
    return [
        HeardNote(a * HOP / RATE, b * HOP / RATE, round(middle - off), float(level[a:b].max()))
        for (a, b), middle in zip(spans, middles, strict=True)
    ]


def _levels(samples: np.ndarray, count: int) -> np.ndarray:
    """dB of so many frames against the loudest, each over `_LEVEL_SAMPLES` around its middle."""
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    at = np.arange(count) * HOP
    first, last = np.clip(at - _LEVEL_SAMPLES // 2, 0, len(samples)), np.clip(at + _LEVEL_SAMPLES // 2, 0, len(samples))
    mean = (power[last] - power[first]) / np.maximum(last - first, 1)
    return 10 * np.log10(np.maximum(mean, 1e-14) / max(mean.max(), 1e-14))


def _spans(sounding: np.ndarray) -> list[tuple[int, int]]:
    """(first frame, behind the last) of what sounds without a hole."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sounding.astype(np.int8), [0]])))
    spans: list[tuple[int, int]] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if spans and (begin - spans[-1][1]) * HOP / RATE < _GAP_S:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return spans


def _split(pitch: np.ndarray, level: np.ndarray, span: tuple[int, int]) -> list[tuple[int, int]]:
    """The notes of a span: cut where the pitch has gone to another note, or where the level rises again after a dip."""
    begin, end = span
    smooth = median_filter(pitch[begin:end], size=min(_SMOOTH, end - begin), mode="nearest")
    cuts = _strokes(level[begin:end])
    middle, away = float(smooth[: _STEP_FRAMES + 1].mean()), 0
    last = 0
    for frame in range(len(smooth)):
        if frame in cuts:
            middle, away, last = float(np.median(smooth[frame : frame + 2 * _STEP_FRAMES])), 0, frame
            continue
        away = away + 1 if abs(smooth[frame] - middle) > _STEP else 0
        if away >= _STEP_FRAMES and float(np.ptp(smooth[frame - 2 : frame + 1])) < 2 * _STEP:
            cut = frame - away + 1
            cuts.add(cut)
            middle, away, last = float(np.median(smooth[frame - 1 : frame + _STEP_FRAMES])), 0, cut
        elif not away and frame - last < 40:  # the middle settles while the note goes on
            middle = float(np.median(smooth[last + min(2, frame - last) : frame + 1]))
    bounds = sorted({0, len(smooth), *cuts})
    return [(begin + a, begin + b) for a, b in itertools.pairwise(bounds)]


def _strokes(level: np.ndarray) -> set[int]:
    """Frames in which a note is struck again: a rise by `_DIP_DB` within `_RISE_S`."""
    reach = round(_RISE_S * RATE / HOP)
    found: list[int] = []
    smooth = median_filter(level, size=3, mode="nearest")
    for frame in range(reach, len(level) - 2):
        rises = smooth[frame] - smooth[frame - reach] > _DIP_DB
        dipped = smooth[max(0, frame - 4 * reach) : frame - reach + 1].max() > smooth[frame - reach] + _DIP_DB / 2
        if rises and dipped and (not found or frame - found[-1] > 2 * reach):
            found.append(frame - reach // 2)
    return set(found)


def _middle(pitch: np.ndarray) -> float:
    """A note's pitch: the median without its beginning, in which a voice slides."""
    return float(np.median(pitch[len(pitch) // 4 :]))


def find_tempo(starts: np.ndarray, ends: np.ndarray) -> float:
    """Quarters a minute on whose eighths and sixteenths the onsets [N], in seconds, stand best."""
    between = np.diff(starts)
    between = between[between > 0.05]
    weights = np.minimum(np.diff(np.append(starts, ends[-1])), 1.0)
    points = []
    for tempo in TEMPI:
        beat = 60 / tempo
        spread = np.log(tempo / _USUAL_TEMPO) / _TEMPO_SPREAD
        # Between neighbours, so that a tempo that drifts does no harm; over all, so that the beat is the same one.
        near = [np.cos(2 * np.pi * between / (beat / grid)).mean() for grid in (1, 2, 4)]
        over = [abs((weights * np.exp(2j * np.pi * starts / (beat / grid))).sum() / weights.sum()) for grid in (1, 2)]
        points.append(0.5 * near[0] + 0.9 * near[1] + 0.5 * near[2] + 0.5 * over[0] + 0.5 * over[1] - 0.5 * spread**2)
    return float(TEMPI[int(np.argmax(points))])


def on_grid(starts: np.ndarray, ends: np.ndarray, tempo: float) -> tuple[np.ndarray, np.ndarray]:
    """(starts, lengths) in quarters on sixteenths, the first at 0: the grid follows a time that drifts."""
    beat = 60 / tempo
    at, here_s = [0.0], float(starts[0])  # where the last note stands, and when the grid has that place
    for start in starts[1:]:
        exact = at[-1] + (start - here_s) / beat
        place = max(round(exact * _GRID) / _GRID, at[-1] + 1 / _GRID)
        late, moved = exact - place, place - at[-1]
        here_s += moved * beat + _PULL * late * beat
        beat *= 1 + float(np.clip(_PACE * late / moved, -0.02, 0.02))
        at.append(place)
    begins, beat = np.array(at), 60 / tempo
    rooms = np.append(np.diff(begins), np.inf)
    lengths = np.maximum(np.round((ends - starts) / beat * _GRID) / _GRID, 1 / _GRID)
    full = lengths > 0.6 * rooms  # a breath before the next note is no rest
    return begins, np.where(full, rooms, np.minimum(lengths, rooms))


def barrings(
    begins: np.ndarray, lengths: np.ndarray, metres: Sequence[tuple[int, int]]
) -> list[tuple[tuple[int, int], float, np.ndarray]]:
    """(a metre, where in its first bar the first note stands, in quarters; what speaks for it, [len(`BAR_WEIGHTS`)]).

    `begins` and `lengths` [N] are quarters on sixteenths, the first begins at 0.
    """
    sounds = {round(begin * _GRID): length for begin, length in zip(begins, lengths, strict=True)}
    found = []
    for metre in metres:
        bar = bar_quarters(metre)
        cut = np.minimum(lengths, bar)
        again = max(_alike(sounds, round(bars * bar * _GRID)) for bars in (1, 2, 4))
        for first in np.arange(0, bar, 0.5):
            places = (begins + first) % bar
            on = places < 1e-6
            count = np.floor((begins[-1] + first) / bar + 1e-6) + 1
            begun = len(np.unique(np.floor((begins + first) / bar + 1e-6)[on])) / count
            beats = np.abs(places - np.round(places)) < 1e-6
            row = (cut[on].sum() / cut.sum() * bar, on[-1], first == 0, first == bar - 1, again * bar, begun,
                   beats.mean(), bar == 4)  # fmt: skip
            found.append((metre, float(first), np.array(row, dtype=float)))
    return found


def _alike(sounds: Mapping[int, float], lag: int) -> float:
    """Of the notes by their beginnings the share after which, so many sixteenths later, one as long begins."""
    followed = [sounds.get(begin + lag) == length for begin, length in sounds.items() if begin + lag <= max(sounds)]
    return float(np.mean(followed)) if len(followed) >= _FEWEST_FOLLOWED else 0.0


def _bar_of(begins: np.ndarray, lengths: np.ndarray, metre: tuple[int, int] | None) -> tuple[tuple[int, int], float]:
    """(the metre, where in its first bar the first note stands) for which most speaks."""
    found = barrings(begins, lengths, _METRES if metre is None else (metre,))
    best = max(found, key=lambda each: float(each[2] @ BAR_WEIGHTS))
    return best[0], best[1]
