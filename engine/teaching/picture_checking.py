"""What the answer of an exercise on a picture is, measured again in the file's red, green and blue.

Knows pixels and exercises. Does not know how exercises are made (`picture_exercises`).
"""

from __future__ import annotations

import colorsys

import numpy as np

from clavilux.teaching.lesson import Exercise, Image, Row

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def answer_of(exercise: Exercise, pixels: np.ndarray) -> str | None:
    """The answer that pixels give; None for a topic that is not known here.

    Args:
        exercise: of `picture_exercises`.
        pixels: uint8 [H, W, 3], of the picture.
    """
    levels = pixels.astype(np.float64)
    choices = exercise.choices
    match exercise.topic:
        case "color":
            codes = np.array([rgb_of_code(each) for each in exercise.given["swatches"]])
            nearest = ((levels[..., None, :] - codes) ** 2).sum(-1).argmin(-1)
            return choices[int(np.bincount(nearest.ravel(), minlength=len(codes)).argmax())]
        case "complement":
            opposite = (_turn(exercise.given["first"]) + 0.5) % 1
            away = [abs((_turn(each) - opposite + 0.5) % 1 - 0.5) for each in exercise.given["swatches"]]
            return choices[int(np.argmin(away))]
        case "temperature":
            warm = levels[..., 0] - levels[..., 2]
            half = warm.shape[1] // 2
            return choices[int(warm[:, -half:].mean() > warm[:, :half].mean())]
        case "light":
            return choices[int(np.argmax([np.median(each) for each in quarters(levels @ _LUMA)]))]
        case "contrast":
            return choices[int(np.argmax([lightness_range(each) for each in _seen(exercise)]))]
        case "detail":
            return choices[int(np.argmax([_detail(each) for each in _seen(exercise)]))]
        case "edges":
            return choices[int(_directions(levels @ _LUMA).argmax())]
    return None


def quarters(values: np.ndarray) -> list[np.ndarray]:
    """Upper left, upper right, lower left, lower right of [H, W, ...]."""
    return [part for row in np.array_split(values, 2, 0) for part in np.array_split(row, 2, 1)]


def ninths(values: np.ndarray) -> list[np.ndarray]:
    """Nine parts of [H, W, ...], row by row."""
    return [part for row in np.array_split(values, 3, 0) for part in np.array_split(row, 3, 1)]


def lightness_spread(pixels: np.ndarray) -> float:
    """Deviation of luma, 0 to 128."""
    return float((pixels @ _LUMA).std())


def lightness_range(pixels: np.ndarray) -> float:
    """Between the twentieths of luma, 0 to 255."""
    low, high = np.percentile(pixels @ _LUMA, (5, 95))
    return float(high - low)


def rgb_of_code(code: str) -> tuple[int, int, int]:
    """(r, g, b) of "#a1b2c3"."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _turn(code: str) -> float:
    """Hue of HSV, 0 to 1."""
    return colorsys.rgb_to_hsv(*(each / 255 for each in rgb_of_code(code)))[0]


def _seen(exercise: Exercise) -> list[np.ndarray]:
    return [
        block.picture.pixels.numpy().astype(np.float64)
        for row in exercise.shown if isinstance(row, Row)
        for block in row.blocks if isinstance(block, Image)
    ]  # fmt: skip


def _detail(pixels: np.ndarray) -> float:
    """Mean step of luma to the neighbors."""
    luma = pixels @ _LUMA
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())


def _directions(luma: np.ndarray) -> np.ndarray:
    """float64 [4]: power of the gradient by the direction of the edge, from the tapered spectrum.

    A wave's edges cross its frequency: level ones come from waves that run down.
    """
    height, width = luma.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.fft2((luma - luma.mean()) * window)) ** 2
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    radius = np.hypot(down, across)
    along = (np.degrees(np.arctan2(down + 0 * across, across + 0 * down)) + 90) % 180
    place = np.round(along / 45).astype(int) % 4
    keep = (radius > 0) & (radius < 0.25)
    return np.bincount(place[keep], (power * radius**2)[keep], 4)
