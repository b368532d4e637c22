"""What the training runs share: the dataset of pictures, the loop over steps, time that is spent, states on disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clavilux.kernels.processor import AMX, BFLOAT16
from clavilux.training.augment import on_white

REPORT_S, CHECKPOINT_S = 30.0, 120.0  # on the wall; of the processor
CLIP_ART_SHOWN = 0.4  # times as often as an emoji: its titles are worse names, and its hands are many
# Left out of what is taught, so that the benchmark can ask for combinations that the painter never saw.
NEVER_TOGETHER = (
    "tiger elephant", "cat horse", "rabbit bear", "zebra cow", "owl penguin", "duck eagle", "bee butterfly",
    "shark dolphin", "apple strawberry", "pizza hamburger", "banana pear", "cake doughnut", "rose tulip",
    "cactus mushroom", "bus truck", "tractor train", "castle hospital", "hat boot", "crying cowboy face",
    "angry sleepy face",
)  # fmt: skip
Report = Callable[[str], None]
Losses = TypeVar("Losses")  # of one step


class ImageDataset:
    """All pictures, from `augment.build`, and which of them are taught how often.

    Attributes:
        drawings: uint8 [N, 64, 64, 4].
        colours: int64 [N, 2], the numbers in `COLOURS` of the two that cover most, or -1.
        about: of each what it is called.
        held_out: bool [N].
        fit: bool [N], whether the decoder is taught it, were it not held out.
        taught: the numbers of the pictures that the decoder is taught: emoji by all artists, shapes, and the clip art
            whose name is one or two words that emoji have. Of other names it is too much to be learned on two cores.
    """

    def __init__(self, path: Path):
        arrays = np.load(path)
        self.drawings: np.ndarray = arrays["drawings"]
        self.colours: np.ndarray = arrays["colours"].astype(np.int64)
        self.about: list[dict[str, Any]] = json.loads(str(arrays["about"]))
        taught_for_words(self.about)
        self.held_out = np.array([each["held_out"] for each in self.about])
        self.fit = self._fits()
        self.taught = np.flatnonzero(self.fit & ~self.held_out)
        # A group's pictures resemble each other, and a name's drawings share it: both are shown as often as the square
        # root of their number.
        groups = ["/".join((each["source"], each["group"])) for each in self.about]
        names = [" ".join(sorted(each["words"])) for each in self.about]
        self.share = _times(groups) ** -0.5 * _times(names) ** -0.5
        clip_art = np.array([each["source"] == "clip art" for each in self.about])
        self.share[clip_art] *= CLIP_ART_SHOWN

    def _fits(self) -> np.ndarray:
        """bool [N]: what is fit to be taught, held out or not."""
        nouns = {each["words"][0] for each in self.about if each["source"] != "clip art" and len(each["words"]) == 1}
        known = {word for each in self.about if each["source"] != "clip art" for word in each["words"]}
        never = [set(pair.split()) for pair in NEVER_TOGETHER]

        def fits(words: set[str]) -> bool:
            return 0 < len(words) <= 2 and words <= known and bool(nouns & words) and words not in never

        return np.array([each["source"] != "clip art" or fits(set(each["words"])) for each in self.about])

    def image(self, picture: int) -> Image.Image:
        """RGBA, 64 x 64."""
        return Image.fromarray(self.drawings[picture])

    def batch(self, pictures: np.ndarray) -> Tensor:
        """Pictures as they are, on white: float [B, 3, 64, 64], -1 to 1, channels last in memory."""
        return floats(np.stack([on_white(self.image(picture)) for picture in pictures]))

    def odds(self, pictures: np.ndarray) -> np.ndarray:
        """How likely each of these pictures is shown; the sum is 1."""
        odds = self.share[pictures]
        return odds / odds.sum()


def _times(names: list[str]) -> np.ndarray:
    """float64 [N]: how often each of them is there."""
    _, number, count = np.unique(names, return_inverse=True, return_counts=True)
    return count[number].astype(np.float64)


def autocast() -> torch.autocast:
    """bfloat16 where the processor computes with it; where it does not, products in it take thirty times as long."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=AMX or BFLOAT16)


def floats(pixels: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W], -1 to 1, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def taught_for_words(about: list[dict[str, Any]]) -> None:
    """Change `held_out` of what is not clip art and alone has a word in its name: a painter is to know all names."""
    drawn = [each for each in about if each["source"] != "clip art"]
    known = {word for each in drawn if not each["held_out"] for word in each["words"]}
    for each in drawn:
        if not set(each["words"]) <= known:
            each["held_out"] = False


class Clock:
    """How much of a run's time is spent, kept through its checkpoints.

    Seconds of the processor, a thread's share of them: what the process waits for others does not count, so that a run
    in the background takes as many steps as one alone.
    """

    def __init__(self, seconds: float, spent_s: float = 0.0):
        self.seconds, self.spent_s = seconds, spent_s
        self.began = time.process_time()

    def tick(self) -> float:
        """The share of the run that is over, 0 to 1."""
        now = time.process_time()
        self.spent_s += (now - self.began) / torch.get_num_threads()
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
    reported, saved = 0.0, clock.spent_s
    while (share := clock.tick()) < 1:
        losses.append(step(share))
        now = time.monotonic()
        if now - reported > REPORT_S:
            report(losses)
            reported = now
        if clock.spent_s - saved > CHECKPOINT_S:
            checkpoint(losses)
            saved = clock.spent_s
    return losses


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a state beside its file first, so that one that is stopped leaves the one before."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
