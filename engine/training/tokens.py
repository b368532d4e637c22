"""What the painter's decoder is taught with: the tokens of scenes, and controls of them.

Knows words, colors, places and tokens; no pixels.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clavilux.families.lumia.places import MARK, MARKED, SIDES, SMALL
from clavilux.families.lumia.prefix_controls import NUM_WORDS, PrefixControls
from clavilux.families.lumia.words import split_colours
from clavilux.training.drawings import style_of
from clavilux.training.image_dataset import ImageDataset
from clavilux.training.scenes import ARRANGEMENTS, OWN, Part, Scene, from_array

ALL_UNSAID = 0.1  # of the controls say nothing: guidance's other half
COLOR_SAID = 0.4  # of things in their own colors; where they are recolored, colors are always said
SECOND_SAID = 0.3
NAME_WHOLE = 0.6  # of the controls hold every word of the name, the others a part of it
WORD_SAID, MORE_SAID = 0.6, 0.15
PLACE_SAID = 0.85
STYLE_SAID = 0.4
_TURNED = {"left": "right", "above": "under"}  # the same scene, the second thing said first
_RELATION = {"beside": "left", "above": "above", "on": "on"}


def vocabulary_of(dataset: ImageDataset) -> list[str]:
    """The words that are said of the pictures that are taught, in alphabetical order, and those of places."""
    shown = [dataset.about[picture] for picture in dataset.taught]
    words = {word for each in shown for word in each["words"]}
    # A keyword is said of emoji alone: clip art's are its folders.
    words |= {word for each in shown if each["source"] != "clip art" for word in each["more"]}
    return [*sorted(words), *MARKED]


def hands_of(dataset: ImageDataset) -> dict[str, set[str]]:
    """Word -> the hands that drew a taught picture of that name."""
    found: dict[str, set[str]] = defaultdict(set)
    for picture in dataset.taught:
        for word in dataset.about[picture]["words"]:
            found[word].add(style_of(dataset.about[picture]["source"]))
    return found


class ScenePool:
    """Scenes and their tokens, in files that are added one after another.

    Attributes:
        tokens: int16 [N, K, T].
        scenes: int16 [N, ...], as `scenes.to_array` has them.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        parts = [np.load(path) for path in self.files()]
        self.tokens = torch.from_numpy(np.concatenate([part["tokens"] for part in parts])) if parts else torch.zeros(0)
        self.scenes = np.concatenate([part["scenes"] for part in parts]) if parts else np.zeros((0, 13), np.int16)

    def __len__(self) -> int:
        return len(self.scenes)

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("scenes-*.npz"))

    def add(self, tokens: Tensor, scenes: np.ndarray) -> None:
        """Keep more of them, in a file too, whole or not at all."""
        path = self.folder / f"scenes-{len(self.files()):03}.npz"
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, tokens=tokens.numpy(), scenes=scenes)
        part.replace(path)
        self.tokens = torch.cat([self.tokens, tokens]) if len(self) else tokens
        self.scenes = np.concatenate([self.scenes, scenes])


class CaptionSampler:
    """Random scenes as tokens, with random controls of each.

    Args:
        pool, dataset, words: the scenes, the pictures in them, and the vocabulary.
        seed: of what is drawn.
        plain: of the scenes are of one thing, whole and in its own color; 0: as often as the pool has them.
    """

    def __init__(self, pool: ScenePool, dataset: ImageDataset, words: Sequence[str], seed: int, plain: float = 0.0):
        self.pool, self.colours, self.plain = pool, dataset.colours, plain
        number = {word: index for index, word in enumerate(words)}
        self.names = [self._numbers(each["words"], number) for each in dataset.about]
        self.more = [self._numbers(each["more"], number) for each in dataset.about]
        self.styles = [style_of(each["source"]) for each in dataset.about]
        self.marked = {word: number[MARK + word] for word in (each.removeprefix(MARK) for each in MARKED)}
        self.random = np.random.default_rng(seed)

    @staticmethod
    def _numbers(words: Sequence[str], number: dict[str, int]) -> list[int]:
        return [number[word] for word in split_colours(tuple(words))[0] if word in number]

    def batch(self, size: int) -> tuple[Tensor, list[PrefixControls]]:
        """Tokens int64 [size, K, T] and controls."""
        rows = self.random.integers(len(self.pool), size=size)
        if self.plain and len(plain := self._plain_rows()):
            rows = np.where(self.random.random(size) < self.plain, self.random.choice(plain, size), rows)
        controls = [self.controls(from_array(self.pool.scenes[row])) for row in rows]
        return self.pool.tokens[torch.from_numpy(rows)].long(), controls

    def _plain_rows(self) -> np.ndarray:
        """Of the pool's scenes those of one thing, whole and in its own color."""
        arrangement, color = self.pool.scenes[:, 0], self.pool.scenes[:, 1 + Part._fields.index("color")]
        return np.flatnonzero((arrangement == ARRANGEMENTS.index("whole")) & (color == OWN))

    def controls(self, scene: Scene) -> PrefixControls:
        """A random part of what can be said of a scene."""
        if self.random.random() < ALL_UNSAID:
            return PrefixControls()
        return self._of_pair(scene) if len(scene.parts) > 1 else self._of_one(scene.parts[0], scene.arrangement)

    def _of_one(self, part: Part, arrangement: str) -> PrefixControls:
        """Words of the name and keywords in any order, then its side or its size, then its manner."""
        random = self.random
        after = []
        if arrangement in (*SIDES, SMALL) and random.random() < PLACE_SAID:
            after.append(self.marked[arrangement])
        after += self._style([part])
        words = self._part_of_name(part.picture)
        more = [word for word in self.more[part.picture] if random.random() < MORE_SAID or not words]
        room = NUM_WORDS - len(after)
        words = words[:room] + more[: max(0, room - len(words))]
        said = [words[index] for index in random.permutation(len(words))]
        return PrefixControls(self._colors(part), (*said, *after))

    def _of_pair(self, scene: Scene) -> PrefixControls:
        """Words of one thing, how it lies to the other, words of that, their manner; a color or none of each."""
        random, parts = self.random, list(scene.parts)
        relation = _RELATION.get(scene.arrangement)
        if relation in _TURNED and random.random() < 0.5:
            parts.reverse()
            relation = _TURNED[relation]
        if relation is None or random.random() >= PLACE_SAID:
            relation = None
            parts = [parts[index] for index in random.permutation(2)]
        between = [self.marked[relation]] if relation else []
        style = self._style(parts)
        room = NUM_WORDS - len(between) - len(style)
        first, second = (self._part_of_name(part.picture) for part in parts)
        first, second = first[: room // 2], second[: room - room // 2]
        colors = tuple(next(iter(self._colors(part)), None) for part in parts)
        return PrefixControls(colors if colors != (None, None) else (), (*first, *between, *second, *style))

    def _style(self, parts: list[Part]) -> list[int]:
        styles = {self.styles[part.picture] for part in parts}
        return [self.marked[styles.pop()]] if len(styles) == 1 and self.random.random() < STYLE_SAID else []

    def _colors(self, part: Part) -> tuple[int, ...]:
        """The colors that are said of a thing; its own ones are often left out."""
        if part.color != OWN:
            return (part.color,)
        own = tuple(int(color) for color in self.colours[part.picture] if color >= 0)
        if self.random.random() >= COLOR_SAID:
            return ()
        return own if self.random.random() < SECOND_SAID else own[:1]

    def _part_of_name(self, picture: int) -> list[int]:
        """All words of its name, or some of them, in any order; none where it has none that is no color."""
        words = self.names[picture]
        if words and self.random.random() >= NAME_WHOLE:
            some = [word for word in words if self.random.random() < WORD_SAID]
            words = some or [words[self.random.integers(len(words))]]
        return [words[index] for index in self.random.permutation(len(words))]


def save_words(path: Path, words: Sequence[str]) -> None:
    """Write the vocabulary, which `load_words` reads."""
    path.write_text(json.dumps(list(words)), encoding="utf-8")


def load_words(path: Path) -> list[str]:
    """The vocabulary of a run."""
    return list(json.loads(path.read_text(encoding="utf-8")))
