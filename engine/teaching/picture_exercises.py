"""Exercises on the picture at hand: its main color, its complement, warmth, light, contrast, edges, detail.

Knows what was measured. An exercise is asked only where the difference is clear and a second measurement
(`picture_checking`) finds the same answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from clavilux.image.examination.canvas import rgb_of
from clavilux.image.picture import Picture
from clavilux.teaching import picture_checking
from clavilux.teaching import picture_drawings as drawings
from clavilux.teaching.lesson import Drawing, Exercise, Image, Row, shrunk
from clavilux.teaching.picture_facts import DIRECTIONS, Color, PictureFacts, code_of

LETTERS = ("A", "B", "C", "D")
CORNERS = ("upper left", "upper right", "lower left", "lower right")
_FAR = 20.0  # in CIELAB, between swatches
_WARMER = 4.0  # in CIELAB, between the halves
_LIGHTER = 4.0  # in L, between the lightest quarter and the next
_COLORED = 20.0  # chroma from which a complement is asked for


def exercises(facts: PictureFacts, seed: int) -> list[Exercise]:
    """Those that the picture has clear answers to, by level."""
    rng = random.Random(seed)
    asked = (main_color(facts, rng), warmer_half(facts), lightest_quarter(facts), contrast(facts, rng),
             direction(facts), complement(facts, rng), finest(facts, rng))  # fmt: skip
    found = [each for each in asked if each is not None]
    agreed = [each for each in found if picture_checking.answer_of(each, facts.canvas.pixels) == each.answer]
    return sorted(agreed, key=lambda each: each.level)


def main_color(facts: PictureFacts, rng: random.Random) -> Exercise | None:
    """Which of four swatches is it? Others of the picture's colors first, then colors that it does not have."""
    main = facts.colors[0]
    if len(facts.colors) > 1 and facts.colors[1].share > 0.75 * main.share:
        return None
    light, a, b = main.lab
    others = [np.array(each.lab) for each in facts.colors[1:]]
    others += [
        np.array(each) for each in ((light, -a, -b), (100 - light, a, b), (50, 45, 30), (60, -40, 35), (40, 15, -50))
    ]
    chosen = [np.array(main.lab)]
    for each in others:
        if len(chosen) < 4 and all(np.linalg.norm(each - other) >= _FAR for other in chosen):
            chosen.append(each)
    codes = [_code(each) for each in chosen]
    return _swatches(
        "color", 1, "Which of these is the main color, the one that covers most of the picture?", codes, rng,
        f"It covers {main.share:.0%} of the picture.",
    )  # fmt: skip


def warmer_half(facts: PictureFacts) -> Exercise | None:
    """Left or right?"""
    warmth = facts.warmth
    half = warmth.shape[1] // 2
    left, right = float(warmth[:, :half].mean()), float(warmth[:, -half:].mean())
    if abs(left - right) < _WARMER:
        return None
    return Exercise(
        "temperature", 1, "Where are the colors warmer, nearer to orange: in the left half or in the right?",
        ("left", "right"), "left" if left > right else "right",
        f"On a scale from blue (below 0) to orange (above 0) the left half is at {left:.1f}, the right at {right:.1f}.",
    )  # fmt: skip


def lightest_quarter(facts: PictureFacts) -> Exercise | None:
    """Which of four?"""
    means = [float(each.mean()) for each in picture_checking.quarters(facts.canvas.light)]
    order = np.argsort(means)[::-1]
    if means[order[0]] - means[order[1]] < _LIGHTER:
        return None
    return Exercise(
        "light", 1, "Which quarter of the picture is the lightest on the whole?", CORNERS, CORNERS[order[0]],
        f"Its mean lightness is {means[order[0]]:.0f} of 100, that of the next ({CORNERS[order[1]]}) "
        f"{means[order[1]]:.0f}.",
    )  # fmt: skip


def contrast(facts: PictureFacts, rng: random.Random) -> Exercise:
    """Which of two versions has more?"""
    shown = [shrunk(drawings.variation(facts, "softer"), 320), shrunk(facts.picture, 320)]
    rng.shuffle(shown)
    spreads = [picture_checking.lightness_spread(each.pixels.numpy()) for each in shown]
    return _pictures(
        "contrast", 2, "One of these is the picture, the other has been changed. Which has more contrast?", shown,
        LETTERS[int(np.argmax(spreads))],
        "In the other all lightness is drawn to its mean: blacks are gray and whites dull.",
    )  # fmt: skip


def direction(facts: PictureFacts) -> Exercise | None:
    """How do most edges run? Only where one direction leads clearly."""
    first, second = np.sort(facts.directions)[::-1][:2]
    if first < 1.4 * second:
        return None
    answer = DIRECTIONS[int(facts.directions.argmax())]
    return Exercise(
        "edges", 2, "Think of all edges in the picture. How do most of them run?", DIRECTIONS, answer,
        f"{first:.0%} of what is edge runs so, {second:.0%} the next way.",
        after=(Image("answer", "The picture with its edges drawn as lines", drawings.edge_lines(facts)),),
    )  # fmt: skip


def complement(facts: PictureFacts, rng: random.Random) -> Exercise | None:
    """Which swatch lies opposite the strongest main color?"""
    color = max(facts.colors[:3], key=lambda each: each.chroma)
    if color.chroma < _COLORED:
        return None
    light, reach = 60.0, 42.0
    codes = []
    for turn in (180, 90, -90, 30):
        hue = np.radians(color.hue + turn)
        codes.append(_code(np.array([light, reach * np.cos(hue), reach * np.sin(hue)])))
    return _swatches(
        "complement", 2, "Which is nearest to the complement of the first color, opposite to it on the circle of hues?",
        codes, rng, "Side by side the two make each other look stronger.", first=color,
    )  # fmt: skip


def finest(facts: PictureFacts, rng: random.Random) -> Exercise | None:
    """Which of two places of the picture has more detail?"""
    steep = facts.canvas.steepness
    parts = picture_checking.ninths(steep)
    means = [float(each.mean()) for each in parts]
    order = np.argsort(means)
    low, high = int(order[0]), int(order[-1])
    if means[high] < 1.8 * means[low] + 0.2:
        return None
    pixels = shrunk(facts.picture, drawings.SHOWN).pixels.numpy()
    cut = picture_checking.ninths(pixels)
    shown = [(low, drawings.of_pixels(cut[low])), (high, drawings.of_pixels(cut[high]))]
    rng.shuffle(shown)
    answer = LETTERS[[index for index, _ in shown].index(high)]
    return _pictures(
        "detail", 3, "Two places of the picture. Which of them holds more edges and finer marks?",
        [each for _, each in shown], answer,
        f"Lightness changes {means[high] / max(means[low], 0.05):.1f} times as fast there, on the whole.",
    )  # fmt: skip


def _swatches(topic: str, level: int, words: str, codes: Sequence[str], rng: random.Random, why: str,
              first: Color | None = None) -> Exercise:  # fmt: skip
    """Of codes, the first of which is the answer."""
    order = list(range(len(codes)))
    rng.shuffle(order)
    names = LETTERS[: len(codes)]
    shown = [codes[index] for index in order]
    drawn = drawings.swatches(shown, names) if first is None else drawings.swatches(
        [first.code, *shown], ["first", *names])  # fmt: skip
    given = {"swatches": shown} | ({} if first is None else {"first": first.code})
    return Exercise(topic, level, words, names, names[order.index(0)], why, (Drawing("swatches", drawn),), given=given)


def _pictures(topic: str, level: int, words: str, shown: Sequence[Picture], answer: str, why: str) -> Exercise:
    """Of pictures side by side."""
    names = LETTERS[: len(shown)]
    row = Row(tuple(Image(name, f"Version {name}", each, name) for name, each in zip(names, shown, strict=True)))
    return Exercise(topic, level, words, names, answer, why, (row,))


def _code(lab: np.ndarray) -> str:
    return code_of(rgb_of(np.asarray(lab, np.float64)).tolist())
