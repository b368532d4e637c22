"""What the training runs share: the dataset of pictures, the loop over steps, time that is spent, states on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

REPORT_S, CHECKPOINT_S = 10.0, 110.0
Report = Callable[[str], None]
Losses = TypeVar("Losses")  # of one step


class ImageDataset:
    """All variants of all pictures, from `augment.build`, and which of them are shown how often.

    Attributes:
        taught: the rows that the decoder is taught: emoji as they are, and in place with turned hues; of skin's tones
            only the plain one. Clip art, shifted and mirrored variants are too many to be learned on two cores.
    """

    def __init__(self, path: Path):
        arrays = np.load(path)
        self.pixels: np.ndarray = arrays["pixels"]  # uint8 [N, 64, 64, 3]
        self.picture: np.ndarray = arrays["picture"]
        self.colours: np.ndarray = arrays["colours"].astype(np.int64)
        self.turned: np.ndarray = arrays["turned"]
        self.about: list[dict[str, Any]] = json.loads(str(arrays["about"]))
        taught_for_words(self.about)
        self.held_out = np.array([each["held_out"] for each in self.about])[self.picture]
        self.placed: np.ndarray = arrays["placed"]
        self.first = self.placed & ~self.turned  # the picture as it is
        fits = [each["source"] == "emoji" and "tone" not in each["words"] for each in self.about]
        self.taught = np.flatnonzero(np.array(fits)[self.picture] & self.placed & ~self.held_out)
        groups = [each["group"] + each["source"] for each in self.about]
        _, number, size = np.unique(groups, return_inverse=True, return_counts=True)
        variants = np.bincount(self.picture)
        # A group's pictures resemble each other, so they are shown as often as the square root of their number.
        self.share = (size[number] ** -0.5 / variants)[self.picture]

    def batch(self, rows: np.ndarray) -> Tensor:
        """Rows' pixels, float [B, 3, 64, 64], -1 to 1, channels last in memory."""
        return floats(self.pixels[rows])

    def odds(self, rows: np.ndarray, as_it_is: float) -> np.ndarray:
        """How likely each of these rows is shown; a picture as it is `as_it_is` times as likely as each variant."""
        odds = self.share[rows] * np.where(self.first[rows], as_it_is, 1.0)
        return odds / odds.sum()


def floats(pixels: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W], -1 to 1, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def taught_for_words(about: list[dict[str, Any]]) -> None:
    """Change `held_out` of the emoji that alone have a word in their name: a painter is to know all their names."""
    shown = [each for each in about if each["source"] == "emoji" and not each["held_out"]]
    known = {word for each in shown for word in each["words"]}
    for each in about:
        if each["source"] == "emoji" and not set(each["words"]) <= known:
            each["held_out"] = False


class Clock:
    """How much of a run's time is spent, kept through its checkpoints; pauses of the process do not count."""

    LONGEST_S = 5.0  # a step that takes longer was stopped in the middle

    def __init__(self, seconds: float, spent_s: float = 0.0):
        self.seconds, self.spent_s = seconds, spent_s
        self.began = time.monotonic()

    def tick(self) -> float:
        """The share of the run that is over, 0 to 1."""
        now = time.monotonic()
        self.spent_s += min(now - self.began, self.LONGEST_S)
        self.began = now
        return min(1.0, self.spent_s / self.seconds)


def train_loop(
    clock: Clock,
    step: Callable[[float], Losses],
    report: Callable[[list[Losses]], None],
    checkpoint: Callable[[list[Losses]], None],
) -> list[Losses]:
    """Take steps until a clock's time is spent.

    Args:
        clock: of the run.
        step: takes one at a share (0 to 1) of the run, and gives its losses.
        report: says where the run is from the losses of the steps so far, every `REPORT_S`.
        checkpoint: measures and writes a checkpoint, every `CHECKPOINT_S`.

    Returns:
        The losses of all steps.
    """
    losses: list[Losses] = []
    reported, saved = 0.0, time.monotonic()
    while (share := clock.tick()) < 1:
        losses.append(step(share))
        now = time.monotonic()
        if now - reported > REPORT_S:
            report(losses)
            reported = now
        if now - saved > CHECKPOINT_S:
            checkpoint(losses)
            saved = time.monotonic()
    return losses


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a state beside its file first, so that one that is stopped leaves the one before."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
