"""lumia: the bundled painter. The prompt's words become a prefix; its decoder draws tokens, its codec paints them.

Knows the checkpoint's files and how a prompt becomes conditions. What words mean is `prompt`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clavilux.checks import short
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.errors import CheckpointError
from clavilux.families.configs import describing, section
from clavilux.families.grid_family import GridFamily, checked, facts_of, memory_bytes
from clavilux.families.int8 import SCALE
from clavilux.families.lumia.hands import check_hand, hand_of, read_table
from clavilux.families.lumia.places import MARK, STYLES
from clavilux.families.lumia.prefix import PREFIX_LENGTH, PrefixConditioner
from clavilux.families.lumia.prefix_controls import NUM_WORDS, PrefixControls
from clavilux.families.lumia.prompt import ACCEPTS, ParsedPrompt, check_understood
from clavilux.families.lumia.seen_colors import main_colours, on_nothing
from clavilux.families.lumia.words import COLOURS
from clavilux.families.tensors import fingerprint, read_weights
from clavilux.image.codecs import residual
from clavilux.image.codecs.residual import ResidualVQ, ResidualVQSpec
from clavilux.image.picture import Picture
from clavilux.image_family import PictureGeneration, PictureRequest
from clavilux.kernels.quantized import Int8Weight
from clavilux.layout import Delay
from clavilux.precision import place_codec, prepare
from clavilux.sampling import SamplingSpec
from clavilux.skeleton import skeletons

DELAYS = (0, 1, 2, 3)  # a codebook refines those before it, so it is drawn one step later
SAMPLING = SamplingSpec(temperature=0.4, guidance=3.0)
_FLOATS = 120  # a pixel that decoding keeps


class Parts(nn.Module):
    """The decoder and its prefix: the checkpoint without its codec."""

    def __init__(self, spec: DecoderSpec, num_words: int) -> None:
        super().__init__()
        self.decoder = Decoder(spec)
        self.conditioner = PrefixConditioner(num_words, spec.width)


def layout_of(codec: ResidualVQSpec) -> Delay:
    """How the codec's tokens become the decoder's steps."""
    return Delay(codec.codebooks, codec.vocabulary, DELAYS[: codec.codebooks], special=codec.vocabulary)


class Lumia(GridFamily):
    """Paints what the words say that it knows, and says which it does not know.

    Attributes:
        words: those that it knows -> their ids.
    """

    accepts = ACCEPTS
    sizes: str | None = "its positions are learned for that size"

    def __init__(
        self,
        parts: Parts,
        codec: ResidualVQ,
        words: list[str],
        size: int,
        identity: dict[str, Any],
        hands: list[frozenset[str]] | None = None,
    ) -> None:
        layout = layout_of(codec.spec)
        super().__init__("lumia", parts.decoder, codec, SAMPLING, size, identity, layout)
        self._conditioner = parts.conditioner
        self._start = torch.full((1, layout.streams, 1), codec.vocabulary)  # `layout.special`
        self.words = {word: index for index, word in enumerate(words)}
        self._hands = hands
        self.accepts = accepts_with(bool(hands))

    def generation(self, request: PictureRequest) -> PictureGeneration:
        """Read the prompt; what it means is a prefix. ValueError where nothing was understood."""
        parsed = check_understood(request.prompt, self.words, request.controls.get("anything", False))
        hand, said = self._hand(request, parsed.controls)
        conditional, unconditional = (
            Conditioning(prefix=self._conditioner([each])) for each in (said, PrefixControls())
        )
        generation = LumiaGeneration(self, request, self.decoder, conditional, unconditional, self._start)
        generation.parsed = parsed
        generation.receipt |= {
            "unknown": list(parsed.unknown),
            "unmet": [],
            "taken": list(map(" = ".join, parsed.taken)),
        }
        generation.receipt["notes"] += parsed.notes
        if hand is not None:
            generation.receipt["controls"]["hand"] = hand
        return generation

    def _hand(self, request: PictureRequest, controls: PrefixControls) -> tuple[str | None, PrefixControls]:
        """The hand that was asked for, or else that of the seed, and the controls that say it."""
        if not self._hands:
            return None, controls
        asked = check_hand(request.controls.get("hand"))
        hand = asked or hand_of(request.seed, (self._hands[word] for word in controls.words))
        if hand is None or (asked is None and len(controls.words) >= NUM_WORDS):
            return None, controls
        words = (*controls.words[: NUM_WORDS - 1], self.words[MARK + hand])
        return hand, replace(controls, words=words)


class LumiaGeneration(PictureGeneration):
    """A picture that is looked at when it is done: a colour that it did not get is not said to be taken.

    White is not looked for: the pictures lie on it.
    """

    parsed: ParsedPrompt

    def look_at(self, picture: Picture) -> None:
        """As `PictureGeneration.look_at`."""
        seen = [COLOURS[color] for color in main_colours(on_nothing(picture.pixels.numpy())) if color >= 0]
        found = " and ".join(seen) or "of no plain colour"
        said = (color for color in self.parsed.controls.colours if color is not None)
        asked = {COLOURS[color] for color in said} - {"white", *seen}
        unmet = {written: meaning for written, meaning in self.parsed.taken if asked & set(meaning.split())}
        self.receipt["unmet"] = [f"{written} (asked of the model; the picture came out {found})" for written in unmet]
        self.receipt["taken"] = [
            f"{written} = {' '.join(word for word in meaning.split() if word not in asked)}"
            for written, meaning in self.parsed.taken
            if not set(meaning.split()) <= asked
        ]


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> Lumia:
    """Read `config.json` and `model.safetensors`.

    Raises:
        CheckpointError: what is missing, damaged, extra, misshapen or not understood.
        ValueError: as `clavilux.precision.prepare`.
    """
    spec, sizes, words = describe(folder, config)
    with skeletons():
        parts, codec = Parts(spec, len(words)), ResidualVQ(sizes)
    path = folder / "model.safetensors"
    shapes = stored(parts) | {f"codec.{name}": tuple(p.shape) for name, p in codec.named_parameters()}
    weights = read_weights(path, shapes)
    identity = {"model": config.get("name", folder.name), "fingerprint": fingerprint(weights)}
    painted = {name: weights.pop(name) for name in list(weights) if name.startswith("codec.")}
    painted = {name.removeprefix("codec."): tensor.float() for name, tensor in painted.items()}
    codec = checked(residual.from_weights, sizes, painted, f"the codec in {str(path)!r}")
    parts.load_state_dict(unpacked(weights), strict=True, assign=True)
    parts.decoder.make_tables()
    place_codec(codec, device, dtype)
    identity |= prepare(parts, parts.decoder, device, dtype)
    return Lumia(parts, codec, words, _size(spec, sizes), identity, _hands_of(config, words, folder))


def describe(folder: Path, config: Mapping[str, Any]) -> tuple[DecoderSpec, ResidualVQSpec, list[str]]:
    """The decoder, the codec and the words that the config says. CheckpointError for what it lacks or cannot be."""
    with describing(repr(str(folder / "config.json")), "painter"):
        spec = DecoderSpec.from_dict(section(config, "decoder"))
        sizes = ResidualVQSpec.from_dict(section(config, "codec"))
        if not isinstance(config["words"], str):
            raise ValueError(f"words is {short(config['words'])}; it should be a text of words")
        words = config["words"].split()
        if (spec.codebooks, spec.output_vocabulary) != (sizes.codebooks, sizes.vocabulary):
            raise ValueError("its decoder and its codec differ in their codebooks")
        if sizes.codebooks > len(DELAYS):
            raise ValueError(f"it has {sizes.codebooks} codebooks; there should be 1 to {len(DELAYS)}")
        places = _places(spec, sizes)
        if places < 1 or math.isqrt(places) ** 2 != places:
            raise ValueError(f"its decoder has room for {places} places; there should be a square")
        if not words or len(set(words)) < len(words):
            raise ValueError("its words should be different ones")
    return spec, sizes, words


def _hands_of(config: Mapping[str, Any], words: list[str], folder: Path) -> list[frozenset[str]] | None:
    with describing(repr(str(folder / "config.json")), "painter"):
        return read_table(config["hands"], words) if "hands" in config else None


def stored(parts: Parts) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the file has them: matrices are int8, with a scale for each row."""
    shapes = {name: tuple(p.shape) for name, p in parts.named_parameters()}
    return shapes | {name + SCALE: shape[:1] for name, shape in shapes.items() if len(shape) == 2}


def unpacked(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """float32 tensors of what the file has."""
    whole = {name: tensor.float() for name, tensor in weights.items() if not name.endswith(SCALE)}
    return {
        name: Int8Weight(tensor, weights[name + SCALE].float()).dequantized(torch.float32)
        if name + SCALE in weights
        else tensor
        for name, tensor in whole.items()
    }


def memory_needed(folder: Path, config: Mapping[str, Any], size: int, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that painting takes at its peak, loading included; no weights are read. CheckpointError."""
    spec, sizes, words = describe(folder, config)
    beside = _beside(spec, sizes, words)
    return memory_bytes(spec, size, batch, dtype, blocks=2, beside=beside, floats=_FLOATS)


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The controls that the model takes."""
    return accepts_with("hands" in config)


def accepts_with(hands: bool) -> dict[str, str]:
    """The controls of a painter that knows hands, or of one that does not."""
    known = ", ".join(STYLES)
    return ACCEPTS | ({"hand": f"{known}: whose manner; one of the seed's if not given"} if hands else {})


def usual_length(folder: Path, config: Mapping[str, Any]) -> int:
    """Pixels a side. Raises CheckpointError."""
    spec, sizes, _ = describe(folder, config)
    return _size(spec, sizes)


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Raises CheckpointError."""
    spec, sizes, words = describe(folder, config)
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{str(path)!r} is missing")
    tokens, beside = _places(spec, sizes) * sizes.codebooks, _beside(spec, sizes, words)
    found = facts_of(folder, "lumia", spec, _size(spec, sizes), tokens, beside, [path])
    known = sum(not word.startswith(MARK) for word in words)
    return found | {"licence": config.get("licence", "not stated"), "words": known}


def _places(spec: DecoderSpec, sizes: ResidualVQSpec) -> int:
    return spec.max_positions - PREFIX_LENGTH - max(DELAYS[: sizes.codebooks])


def _size(spec: DecoderSpec, sizes: ResidualVQSpec) -> int:
    return math.isqrt(_places(spec, sizes)) * sizes.downsampling


def _beside(spec: DecoderSpec, sizes: ResidualVQSpec, words: list[str]) -> int:
    """Parameters of the codec and of the prefix."""
    with skeletons():
        parts = (ResidualVQ(sizes), PrefixConditioner(len(words), spec.width))
    return sum(p.numel() for part in parts for p in part.parameters())
