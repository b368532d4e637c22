"""Checkpoint folders of GANs: `config.json`, and `model.safetensors` in float16. Names and shapes are strict.

A GAN that makes a VAE's latents has that VAE's decoder in its file ("decoder." names) and how its latents are spread:
the folder is all that making pictures takes. Knows files; what a generator makes is `gan`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clavilux import checkpoint_io
from clavilux.errors import CheckpointError
from clavilux.files import PathLike, sha256_of
from clavilux.image.latents.files import CONFIG, WEIGHTS, config_of, read_config, write_folder
from clavilux.image.latents.gan import Generator, GeneratorSpec
from clavilux.image.latents.statistics import Statistics
from clavilux.image.latents.vae import Decoder, VAESpec
from clavilux.skeleton import skeletons
from clavilux.strict_weights import fill

_COLORS = 3


class PictureGenerator(nn.Module):
    """Styles to pictures: a generator, and what makes pixels of what it makes.

    Attributes:
        generator: of latents less their mean, over their scale; of pixels where there is no decoder.
        decoder: a VAE's; None where the generator makes pixels.
        latent_mean: float [C, h, w]; without a decoder 0.
        latent_scale: float [C, 1, 1]; without a decoder 1.
    """

    latent_mean: Tensor
    latent_scale: Tensor

    def __init__(self, generator: Generator, decoder: Decoder | None = None, statistics: Statistics | None = None):
        """With a decoder, its latents' statistics; without one, neither."""
        assert (decoder is None) == (statistics is None)
        super().__init__()
        self.generator, self.decoder = generator, decoder
        sizes = generator.spec
        mean = torch.zeros(sizes.channels, sizes.size, sizes.size) if statistics is None else statistics.mean
        scale = torch.ones(sizes.channels, 1, 1) if statistics is None else statistics.scale
        self.register_buffer("latent_mean", mean)
        self.register_buffer("latent_scale", scale)

    def forward(self, styles: Tensor) -> Tensor:
        """float [B, layers, width] -> pixels float [B, 3, S, S], about -1 to 1, not clipped."""
        return self.decoded(self.generator(styles))

    def decoded(self, samples: Tensor) -> Tensor:
        """What the generator made, [B, C, h, w] -> pixels [B, 3, S, S]."""
        latents = samples * self.latent_scale + self.latent_mean
        return latents if self.decoder is None else self.decoder(latents)


@dataclass(frozen=True)
class LoadedGAN:
    """A GAN of a checkpoint folder.

    Attributes:
        model: float32 on the CPU, without gradients.
        classes: the names of its classes, in the order of their numbers; none where it has none.
        config: the file as it is: "family" is "gan"; "name", "generator", "decoder" (a VAE's sizes, or null), "classes"
            and "training", "licence" where stated.
        fingerprint: SHA-256 of the file of weights.
    """

    model: PictureGenerator
    classes: tuple[str, ...]
    config: dict[str, Any]
    fingerprint: str


def save_gan(
    folder: PathLike,
    model: PictureGenerator,
    decoder_spec: VAESpec | None,
    *,
    name: str,
    classes: Collection[str] = (),
    training: Mapping[str, Any] | None = None,
    licence: str | None = None,
) -> None:
    """Write a checkpoint folder, over one that is there; each of its files whole or not at all.

    Args:
        folder: made where it is not there.
        model: its weights become float16.
        decoder_spec: the sizes of the VAE that its decoder is of; None where it has none.
        name: what the model is called.
        classes: names of the generator's classes, in the order of their numbers.
        training: what is to be known of how it was made, plain JSON values.
        licence: of the weights.
    """
    assert (decoder_spec is None) == (model.decoder is None) and len(classes) == model.generator.spec.classes
    decoder = None if decoder_spec is None else decoder_spec.to_dict()
    sizes = {"generator": model.generator.spec.to_dict(), "decoder": decoder}
    write_folder(Path(folder), config_of("gan", name, licence, sizes, classes, training), model.state_dict())


def load_gan(folder: PathLike) -> LoadedGAN:
    """Read a checkpoint folder.

    Raises:
        CheckpointError: no such folder, another family, sizes that make no GAN, or weights that are not its own.
    """
    folder = Path(folder)
    config = read_config(folder, "gan")
    label = repr(str(folder / WEIGHTS))
    try:
        sizes = GeneratorSpec.from_dict(config.get("generator", {}))
        decoder_sizes = None if config.get("decoder") is None else VAESpec.from_dict(config["decoder"])
        classes = _classes(config.get("classes", []), sizes)
        _check_fit(sizes, decoder_sizes)
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{str(folder / CONFIG)!r} describes no GAN: {error}") from None
    with skeletons():
        decoder = None if decoder_sizes is None else Decoder(decoder_sizes)
        shape = (sizes.channels, sizes.size, sizes.size)
        spread = Statistics(torch.empty(shape), torch.empty(sizes.channels, 1, 1), torch.empty(0, *shape))
        model = PictureGenerator(Generator(sizes), decoder, None if decoder is None else spread)
    fill(model, checkpoint_io.read_tensors(folder / WEIGHTS), label)
    return LoadedGAN(model.requires_grad_(False).eval(), classes, config, sha256_of(folder / WEIGHTS))


def _classes(names: Any, sizes: GeneratorSpec) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) != sizes.classes:
        raise ValueError(f"classes should be the names of {sizes.classes} classes")
    return tuple(names)


def _check_fit(sizes: GeneratorSpec, decoder: VAESpec | None) -> None:
    """ValueError where a generator does not make what is decoded, or seen."""
    made = (sizes.channels, sizes.size, sizes.size)
    wanted = (_COLORS, sizes.size, sizes.size) if decoder is None else decoder.latent_shape
    if made != wanted:
        raise ValueError(
            f"its generator makes {made}, and {'pixels are' if decoder is None else 'its decoder takes'} {wanted}"
        )
