"""What the painter's decoder is taught with: the tokens of all variants of all pictures, and controls of them.

Knows words, colours and tokens; no pixels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clavilux.families.lumia.prefix_controls import NUM_WORDS, PrefixControls
from clavilux.families.lumia.words import split_colours
from clavilux.training.image_dataset import ImageDataset
from clavilux.training.pairs import Pairs

FIRST_SHOWN = 6.0  # how often a picture is shown as it is, compared to each of its variants
PAIR_SHARE = 0.35  # of what is shown are two pictures in one
ALL_UNSAID = 0.1  # of the controls say nothing: guidance's other half
COLOUR_SAID = 0.5  # of pictures in their own colours; where hues are turned, colours are always said
SECOND_SAID = 0.5
NAME_WHOLE = 0.6  # of the controls hold every word of the name, the others a part of it
WORD_SAID, MORE_SAID = 0.6, 0.2


def vocabulary_of(dataset: ImageDataset) -> list[str]:
    """The words that are said of the pictures that are taught, in alphabetical order."""
    shown = [dataset.about[number] for number in np.unique(dataset.picture[dataset.taught])]
    return sorted({word for each in shown for name in ("words", "more") for word in each[name]})


class CaptionSampler:
    """Random variants of pictures, and pairs of them where there are any, as tokens, with controls of each."""

    def __init__(
        self,
        tokens: Tensor,
        dataset: ImageDataset,
        rows: np.ndarray,
        words: Sequence[str],
        seed: int,
        pairs: Pairs | None = None,
    ):
        self.tokens, self.rows, self.pairs = tokens, rows, pairs
        self.odds = dataset.odds(rows, FIRST_SHOWN)
        self.picture, self.colours, self.turned = dataset.picture, dataset.colours, dataset.turned
        number = {word: index for index, word in enumerate(words)}
        self.names = [self._numbers(each["words"], number) for each in dataset.about]
        self.more = [self._numbers(each["more"], number) for each in dataset.about]
        self.random = np.random.default_rng(seed)

    @staticmethod
    def _numbers(words: Sequence[str], number: dict[str, int]) -> list[int]:
        return [number[word] for word in split_colours(tuple(words))[0] if word in number]

    def batch(self, size: int) -> tuple[Tensor, list[PrefixControls]]:
        """Tokens int64 [size, K, T] and controls."""
        pairs = self.pairs
        num_pairs = 0 if pairs is None else int(self.random.binomial(size, PAIR_SHARE))
        rows = self.random.choice(self.rows, size - num_pairs, p=self.odds)
        tokens, controls = self.tokens[torch.from_numpy(rows)], [self.controls(row) for row in rows]
        if pairs is not None and num_pairs:
            chosen = self.random.integers(len(pairs.rows), size=num_pairs)
            tokens = torch.cat([tokens, pairs.tokens[torch.from_numpy(chosen)]])
            controls += [self.controls_of_pair(*rows) for rows in pairs.rows[chosen]]
        return tokens.long(), controls

    def controls(self, row: int) -> PrefixControls:
        """A random part of what can be said of a variant, in any order."""
        random, picture = self.random, self.picture[row]
        if random.random() < ALL_UNSAID:
            return PrefixControls()
        colours = tuple(int(colour) for colour in self.colours[row] if colour >= 0)
        if not self.turned[row] and random.random() >= COLOUR_SAID:
            colours = ()
        if len(colours) > 1 and random.random() >= SECOND_SAID:
            colours = colours[:1]
        words = self._part_of_name(picture)
        more = [word for word in self.more[picture] if random.random() < MORE_SAID or not words]
        words = words[:NUM_WORDS] + more[: max(0, NUM_WORDS - len(words))]
        return PrefixControls(colours, tuple(words[index] for index in random.permutation(len(words))))

    def controls_of_pair(self, first: int, second: int) -> PrefixControls:
        """Words of the first picture, then of the second; the main colours of both, or of neither."""
        if self.random.random() < ALL_UNSAID:
            return PrefixControls()
        rows, words = (first, second), list[int]()
        for row in rows:
            part = self._part_of_name(self.picture[row])[: NUM_WORDS // 2]
            words += [part[index] for index in self.random.permutation(len(part))]
        colours = tuple(int(self.colours[row][0]) for row in rows)
        said = self.turned[first] or self.turned[second] or self.random.random() < COLOUR_SAID
        return PrefixControls(colours if said and min(colours) >= 0 else (), tuple(words))

    def _part_of_name(self, picture: int) -> list[int]:
        """All words of its name, or some of them; none where it has none that is no colour."""
        words = self.names[picture]
        if words and self.random.random() >= NAME_WHOLE:
            some = [word for word in words if self.random.random() < WORD_SAID]
            return some or [words[self.random.integers(len(words))]]
        return list(words)


def save_tokens(path: Path, tokens: np.ndarray, words: Sequence[str]) -> None:
    """Write tokens of all variants and the vocabulary, which `load_tokens` reads."""
    np.savez(path, tokens=tokens, words=json.dumps(list(words)))


def load_tokens(path: Path) -> tuple[Tensor, list[str]]:
    """Tokens int16 [N, K, T] of all variants, and the vocabulary."""
    arrays = np.load(path)
    return torch.from_numpy(arrays["tokens"]), json.loads(str(arrays["words"]))
