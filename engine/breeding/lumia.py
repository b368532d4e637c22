"""Breeding with the bundled painter: words are mixed, and regions of tokens are spliced and mended.

Its genes are the tokens of a picture, a layer a codebook, and the words that the painter heard. Knows regions of places
and what stays in them; what is new the painter draws, with what stays around it in sight. It computes in float32 on the
CPU, so that the same genes come of the same seed on most machines.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from clavilux.breeding.arithmetic import uniforms
from clavilux.breeding.breeder import Genes, Mix
from clavilux.checks import short
from clavilux.families.lumia import foreign
from clavilux.families.lumia.family import SAMPLING, Lumia
from clavilux.families.lumia.places import MARK
from clavilux.families.lumia.prefix_controls import NUM_COLOURS, NUM_WORDS
from clavilux.families.lumia.prompt import parse_prompt
from clavilux.families.lumia.words import COLOURS
from clavilux.image import pixel_mark
from clavilux.image.picture import Picture
from clavilux.image_family import PictureRequest
from clavilux.image_model import ImageModel
from clavilux.layout import OPEN
from clavilux.loading import load as load_model
from clavilux.loop import sample_rows
from clavilux.mark_key import MarkKey
from clavilux.marking import PAINTED_KIND, Mark

USUAL_NAMES = 20  # phrases of all languages that a thing has: names of things have many, rare senses few
WAVES = 3  # that a region's border is made of
FIELD, WORD, PLACE = 3, 4, 5  # streams of a seed
BOLDEST = 0.75  # that a mutation's temperature rises by at most
LONGEST_WORDS = 500


def load(name: str, folder: Path, model_sha256: str) -> LumiaBreeder:
    """As `clavilux.breeding.models.BREEDERS` has it. CheckpointError."""
    model = load_model(folder, device="cpu", dtype="float32")
    assert isinstance(model, ImageModel) and isinstance(model.family, Lumia), "its config says so"
    return LumiaBreeder(name, model_sha256, model.family)


class LumiaBreeder:
    """`Breeder` of a painter."""

    makes: Literal["pictures"] = "pictures"

    def __init__(self, name: str, model_sha256: str, family: Lumia) -> None:
        self.name, self.model_sha256, self._family = name, model_sha256, family
        codec = family.stage.codec
        self._side, self._vocabulary = family.size // codec.downsampling, codec.vocabulary
        self._layers = tuple(f"codebook {number}" for number in range(1, codec.codebooks + 1))
        self._ids = family.words
        self._key: MarkKey | None = None

    def marked(self, key: MarkKey) -> LumiaBreeder:
        """As `DrawsTokens.marked`: each token that is painted, at its place in the picture; and all its pixels."""
        made = copy.copy(self)
        made._key = key
        return made

    def check(self, genes: Genes) -> None:
        """As `Breeder.check`."""
        counts = {layer: len(numbers) for layer, numbers in genes.latents.items()}
        places = self._side**2
        if counts != dict.fromkeys(self._layers, places):
            raise ValueError(
                f"the genome has the layers {short(counts)}; {self.name} has {len(self._layers)} codebooks of {places} "
                "tokens"
            )
        for numbers in genes.latents.values():
            if wrong := [token for token in numbers if type(token) is not int or not 0 <= token < self._vocabulary]:
                raise ValueError(
                    f"a token of the genome is {wrong[0]}; those of {self.name} are whole numbers from 0 to "
                    f"{self._vocabulary - 1}"
                )
        words = genes.classes.get("words")
        if set(genes.classes) != {"words"} or not isinstance(words, str) or len(words) > LONGEST_WORDS:
            raise ValueError(f"the genome's classes are {short(dict(genes.classes))}; {self.name} has words, a text")

    def random(self, seed: int, words: str) -> Genes:
        """As `Breeder.random`; without words a thing is chosen that the painter knows."""
        if not words.strip():
            names = _names(tuple(self._ids))
            words = names[int(uniforms(seed, WORD, 1)[0] * len(names))]
        words = words[:LONGEST_WORDS]
        nothing = torch.full((len(self._layers), self._side**2), OPEN)
        return Genes(self._painted(words, nothing, seed, SAMPLING.temperature), {"words": words})

    def cross(self, parents: Sequence[Genes], mix: Mix) -> Genes:
        """As `Breeder.cross`: each parent gives the places of a region and the things among its words, by the
        structure's shares; colors are heard by the style's. The places along the borders are painted anew.
        """
        for number, parent in enumerate(parents):
            if mix.structure[number] == mix.style[number] == 1:
                return parent
        words = self.mixed_words(parents, mix)
        owner = regions(mix.structure, self._side, mix.seed)
        tokens = torch.stack([_tokens(parent) for parent in parents])  # [parents, K, places]
        plan = tokens[owner, :, torch.arange(len(owner))].t().clone()  # [K, places]
        plan[:, seams(owner, self._side)] = OPEN
        return Genes(self._painted(words, plan, mix.seed, SAMPLING.temperature), {"words": words})

    def mixed_words(self, parents: Sequence[Genes], mix: Mix) -> str:
        """The parents' words: things by the structure's shares, colors by the style's, the largest share first."""
        heard = [self._heard(parent) for parent in parents]
        things = _dealt([names for names, _ in heard], mix.structure, NUM_WORDS)
        colors = _dealt([names for _, names in heard], mix.style, NUM_COLOURS)
        return " ".join([*colors, *things])

    def _heard(self, genes: Genes) -> tuple[list[str], list[str]]:
        """(things, colors) of the words of a picture; where things stand is said by the tokens."""
        controls = parse_prompt(genes.classes["words"], self._ids).controls
        things = [word for word, number in self._ids.items() if number in controls.words and word[0] != MARK]
        order = {number: place for place, number in enumerate(controls.words)}
        colors = [COLOURS[color] for color in controls.colours if color is not None]
        return sorted(things, key=lambda word: order[self._ids[word]]), colors

    def mutate(self, genes: Genes, strength: float, seed: int) -> Genes:
        """As `Breeder.mutate`: a region is painted anew, more boldly the larger it is, and in a color that is drawn."""
        plan, places = _tokens(genes).clone(), self._side**2
        count = max(1, round(strength * places))
        plan[:, torch.from_numpy(np.argsort(field(self._side, seed), kind="stable")[:count].copy())] = OPEN
        drawn = int(uniforms(seed, WORD, 1)[0] * len(COLOURS))
        words = " ".join([COLOURS[drawn], *self._heard(genes)[0]])
        painted = self._painted(words, plan, seed, SAMPLING.temperature + BOLDEST * strength)
        return Genes(painted, {"words": words})

    def between(self, first: Genes, second: Genes, share: float) -> Genes:
        """As `Breeder.between`: places pass from one to the other along a border, and none is painted."""
        owner = regions((1 - share, share), self._side, 0)
        tokens = torch.stack([_tokens(first), _tokens(second)])
        mixed = tokens[owner, :, torch.arange(len(owner))].t()
        return Genes(_layers(mixed), (second if share > 0.5 else first).classes)

    def directions(self) -> Sequence[str]:
        """None: tokens have no directions."""
        return ()

    def slide(self, genes: Genes, sliders: Mapping[str, float]) -> Genes:
        """As `Breeder.slide`."""
        raise ValueError(f"{self.name} paints by tokens, which have no genes to slide; a gan and a vae have some")

    def show(self, genes: Genes) -> Picture:
        """As `Breeder.show`."""
        tokens = _tokens(genes)
        with torch.inference_mode():
            found = Picture.from_floats(self._family.stage.codec.decode(tokens[None])[0].float(), tokens)
        if self._key is not None:
            found.pixels = pixel_mark.marked(found.pixels, self._key.word(PAINTED_KIND))
        return found

    def portrait(self, genes: Genes) -> Picture:
        """As `Breeder.portrait`."""
        return self.show(genes)

    def _painted(self, words: str, plan: Tensor, seed: int, temperature: float) -> dict[str, tuple[int, ...]]:
        """The layers of a plan int64 [K, places], what is `OPEN` in it painted. ValueError for words without a thing
        that is known.
        """
        if not (plan == OPEN).any():
            return _layers(plan)
        controls: dict[str, Any] = {"anything": True} if (plan != OPEN).any() else {}
        request = PictureRequest(words, self._family.size, seed, plan[None], controls)
        generation = self._family.generation(request)
        marked = self._family.marked
        mark = None if self._key is None else Mark(self._key.word(marked.kind), marked)
        sampling = replace(SAMPLING, seed=(seed,), temperature=temperature, mark=mark)
        for step in sample_rows(generation.decoder, [generation], sampling):
            generation.push(step[0])
        tokens = generation.picture().tokens
        assert tokens is not None, "all of it is painted"
        return _layers(tokens)


def field(side: int, seed: int) -> np.ndarray:
    """float64 [side * side]: a few broad waves over a square, by which its places are ordered."""
    angles, phases = uniforms(seed, FIELD, 2 * WAVES).reshape(2, WAVES) * 2 * np.pi
    rows, columns = np.divmod(np.arange(side**2), side)
    waves = [
        np.cos((np.cos(angle) * columns + np.sin(angle) * rows) * np.pi * (1 + wave / 2) / side + phase) / (1 + wave)
        for wave, (angle, phase) in enumerate(zip(angles, phases, strict=True))
    ]
    return np.sum(waves, axis=0)


def regions(shares: Sequence[float], side: int, seed: int) -> Tensor:
    """int64 [side * side]: whose each place is, by shares; what belongs to one hangs together, by and large."""
    bounds = np.round(np.cumsum(shares) * side**2).astype(np.int64)
    bounds[-1] = side**2
    owner = np.empty(side**2, np.int64)
    owner[np.argsort(field(side, seed), kind="stable")] = np.searchsorted(bounds, np.arange(side**2), side="right")
    return torch.from_numpy(owner)


def seams(owner: Tensor, side: int) -> Tensor:
    """bool [side * side]: the places right of or below one that is another's; a painter goes from the top left on."""
    grid = owner.view(side, side)
    found = torch.zeros(side, side, dtype=torch.bool)
    found[:, 1:] |= grid[:, 1:] != grid[:, :-1]
    found[1:] |= grid[1:] != grid[:-1]
    return found.flatten()


def _dealt(words: Sequence[Sequence[str]], shares: Sequence[float], most: int) -> list[str]:
    """At most so many words, each once: turn by turn from each that has a share, the largest share first."""
    order = sorted((number for number, share in enumerate(shares) if share), key=lambda number: -shares[number])
    found: dict[str, None] = {}
    for turn in range(most):
        found |= dict.fromkeys(words[number][turn] for number in order if turn < len(words[number]))
    return list(found)[:most]


def _tokens(genes: Genes) -> Tensor:
    """int64 [K, places]."""
    rows = [genes.latents[f"codebook {number}"] for number in range(1, len(genes.latents) + 1)]
    return torch.tensor(rows, dtype=torch.int64)


def _layers(tokens: Tensor) -> dict[str, tuple[int, ...]]:
    """Layers of int64 [K, places]."""
    return {f"codebook {number}": tuple(row) for number, row in enumerate(tokens.tolist(), 1)}


@lru_cache(maxsize=4)
def _names(words: tuple[str, ...]) -> tuple[str, ...]:
    """Things that are well known among the words."""
    known, counts = set(words), dict[tuple[str, ...], int]()
    for name in foreign.names().values():
        counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(" ".join(name) for name, many in counts.items() if many >= USUAL_NAMES and known >= {*name}))
