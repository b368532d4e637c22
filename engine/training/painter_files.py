"""The painter's checkpoint as training reads and writes it: one to begin with, and what a run has come to.

Knows the family's files; trains nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from clavilux.checkpoint_io import read_json
from clavilux.decoder import DecoderSpec
from clavilux.families.int8 import Rounding
from clavilux.families.lumia.family import DELAYS, Parts, describe, stored, unpacked
from clavilux.families.lumia.prefix import PREFIX_LENGTH
from clavilux.families.tensors import read_weights
from clavilux.files import atomic_path
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.skeleton import skeletons

State = dict[str, Tensor]
PLACES = 64


def painter_spec(codec: ResidualVQSpec) -> DecoderSpec:
    """The painter's decoder: 5.6 million parameters, a byte each, so that all weights are below 9 MiB."""
    return DecoderSpec(
        width=256,
        layers=6,
        heads=4,
        head_dim=64,
        ffn_width=640,
        vocabulary=codec.vocabulary + 1,
        output_vocabulary=codec.vocabulary,
        codebooks=codec.codebooks,
        max_positions=PREFIX_LENGTH + PLACES + max(DELAYS),
        norm="rms",
        activation="swiglu",
        positions="learned",
    )


def read_checkpoint(folder: Path) -> tuple[State, State, list[str]]:
    """(the codec's weights, the decoder's and the prefix's, the words) of a checkpoint folder, float32.

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
    """
    config = read_json(folder / "config.json")
    spec, sizes, words = describe(folder, config)
    with skeletons():
        parts, codec = Parts(spec, len(words)), ResidualVQ(sizes)
    shapes = stored(parts) | {f"codec.{name}": tuple(p.shape) for name, p in codec.named_parameters()}
    weights = read_weights(folder / "model.safetensors", shapes)
    painted = {name: weights.pop(name) for name in list(weights) if name.startswith("codec.")}
    return {name.removeprefix("codec."): each.float() for name, each in painted.items()}, unpacked(weights), words


def begin_with(model: Parts, words: list[str], weights: State, known: list[str]) -> int:
    """Give a new decoder what another one has learned, where it has the same words; how many those are.

    Raises:
        ValueError: a decoder of another shape.
    """
    table = "conditioner.word.weight"
    ours = model.state_dict()
    other = [name for name, tensor in weights.items() if name != table and tensor.shape != ours[name].shape]
    if other:
        raise ValueError(f"the checkpoint to begin with has another shape: {', '.join(other[:3])}")
    old, new = weights[table], ours[table]
    number = {word: index for index, word in enumerate(known)}
    shared = [(index, number[word]) for index, word in enumerate(words) if word in number]
    # A new word begins as the middle of the old ones; noise so small only tells new words apart.
    new = old[:-1].mean(0) + 0.1 * old[:-1].std(0) * torch.randn_like(new)
    new[-1] = old[-1]
    here, there = zip(*shared, strict=True)
    new[list(here)] = old[list(there)]
    model.load_state_dict({**weights, table: new})
    return len(shared)


def export(
    target: Path, codec: State, decoder: State, words: list[str], training: dict[str, Any], hands: str | None = None
) -> None:
    """Write a checkpoint of the family "lumia": a config with the words and `hands.table_of`, weights as safetensors.

    The decoder's matrices are int8 with a scale for each row, everything else is float16.
    """
    config = {
        "family": "lumia",
        "name": "lumia",
        "licence": "Apache-2.0",
        "decoder": painter_spec(ResidualVQSpec()).to_dict(),
        "codec": ResidualVQSpec().to_dict(),
        "training": training,
        "words": " ".join(words),
    }
    config |= {} if hands is None else {"hands": hands}
    weights = packed({f"codec.{name}": tensor for name, tensor in codec.items()} | decoder)
    target.mkdir(parents=True, exist_ok=True)
    with atomic_path(target / "model.safetensors") as part:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, part)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def packed(weights: State) -> State:
    """Matrices as int8 and their scales, each beside what it scales; everything else as float16."""
    rounded = Rounding([name for name, tensor in weights.items() if tensor.ndim == 2])(weights)
    return {name: tensor if tensor.dtype == torch.int8 else tensor.half() for name, tensor in rounded.items()}
