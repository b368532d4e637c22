"""KID of made pictures, and how near they are to taught ones: `python benchmarks/latents_kid.py TAUGHT HELD_OUT`.

Sets of pictures stand beside the held-out ones: samples of a GAN (--gan), the VAE's own draws (--vae: the Gaussian of
the leading principal components of its latents), the mean taught picture, as often as there are samples, lumia's
pictures of the names of taught files (--lumia, how many), other taught pictures, which is as good as it can get, and
held-out pictures through the VAE. KID is the unbiased squared discrepancy with the kernel (a b / D + 1)^3 on
EfficientNet-Lite0's last features, averaged over the picture at 224 px: it is no FID. A model that recites scores well,
so beside each stands how near its pictures come to a taught one, in those features and in pixels; held-out pictures say
how near strangers are. --sheet writes 64 samples of the GAN, each with its nearest taught picture on its right.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import torch
from torch import Tensor

import clavilux
from clavilux.bench.machine import machine
from clavilux.image.arts.features import Features, load_features
from clavilux.image.latents.files import load_vae
from clavilux.image.latents.gan_files import load_gan
from clavilux.image.latents.kernel_distance import kernel_distance, nearest
from clavilux.image.latents.vae import to_levels, to_pixels
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.training.perception import describe
from clavilux.training.picture_folder import PictureFolder, read_pictures

TOGETHER = 64
SOURCES = ("emoji", "clip", "art")  # what a file's name says beside what it shows


@torch.no_grad()
def gan_samples(folder: Path, pictures: PictureFolder, count: int, random: torch.Generator) -> Tensor:
    """uint8 [count, 3, S, S], of classes as often as they are among the taught pictures, without truncation."""
    found = load_gan(folder)
    z = torch.randn(count, found.model.generator.spec.noise, generator=random)
    classes = None
    if found.classes:
        taught = [pictures.classes[label] for label in pictures.labels[pictures.taught]]
        known = torch.tensor([found.classes.index(name) for name in taught if name in found.classes])
        classes = known[torch.randint(len(known), (count,), generator=random)]
    styles = found.model.generator.styles(z, classes)
    return torch.cat([to_levels(found.model(part)) for part in styles.split(TOGETHER)])


@torch.no_grad()
def vae_pictures(folder: Path, held_out: Tensor, count: int, random: torch.Generator) -> dict[str, Tensor]:
    """Draws of its Gaussian, and held-out pictures through it."""
    found = load_vae(folder)
    drawn = found.statistics.draw(count, random)
    again = [found.vae.decode(found.vae.encode(to_pixels(part)).mean) for part in held_out[:count].split(TOGETHER)]
    return {
        "vae, PCA-Gaussian": torch.cat([to_levels(found.vae.decode(part)) for part in drawn.split(TOGETHER)]),
        "held out, through the VAE": to_levels(torch.cat(again)),
    }


def lumia_pictures(pictures: PictureFolder, count: int) -> Tensor:
    """lumia's pictures of the words in the names of taught files: NUMBER-SOURCE-WORDS.png."""
    model = clavilux.load("lumia")
    names = [Path(pictures.files[row]).stem.split("-") for row in pictures.taught]
    chosen = np.random.default_rng(0).permutation(len(names))[:count]
    prompts = [" ".join(word for word in names[row] if not word.isdecimal() and word not in SOURCES) for row in chosen]
    painted = []
    for start in range(0, count, TOGETHER):
        part = prompts[start : start + TOGETHER]
        painted += model.generate(part, seed=list(range(start, start + len(part))), anything=True)
    return torch.stack([picture.pixels.permute(2, 0, 1) for picture in painted])


def described(features: Features, levels: Tensor) -> Tensor:
    """float [N, 1280] of uint8 [N, 3, S, S]."""
    return torch.cat([describe(features, to_pixels(part)) for part in levels.split(TOGETHER)])


def psnr_db(distance: Tensor, numbers: int) -> Tensor:
    """Of Euclid's distances between pictures of so many 8-bit numbers."""
    return 20 * (255 * numbers**0.5 / distance.clamp_min(1e-6)).log10()


def measure(sets: dict[str, Tensor], taught: Tensor, held_out: Tensor, features: Features) -> dict[str, dict]:
    reference, known = described(features, held_out), described(features, taught)
    pixels = taught.flatten(1).float()
    found = {}
    for name, levels in {"held out": held_out, **sets}.items():
        ours = described(features, levels)
        kid = None if name == "held out" else kernel_distance(ours, reference)
        found[name] = {"pictures": len(levels)}
        if kid is not None:
            found[name] |= {"kid_lite0": kid.distance, "deviation_of_subsets": kid.deviation}
        if name != "taught":
            apart, _ = nearest(ours, known)
            near, _ = nearest(levels.flatten(1).float(), pixels)
            found[name]["nearest_taught_in_features"] = quartiles(apart)
            found[name]["nearest_taught_psnr_db"] = quartiles(psnr_db(near, pixels.shape[1]))
        print(name, json.dumps(found[name]), flush=True)
    return found


def quartiles(values: Tensor) -> list[float]:
    return np.quantile(values.numpy(), (0, 0.25, 0.5, 0.75, 1)).round(4).tolist()


def nearest_sheet(samples: Tensor, taught: Tensor, path: Path) -> None:
    _, index = nearest(samples.flatten(1).float(), taught.flatten(1).float())
    both = torch.stack([samples, taught[index]], 1).flatten(0, 1)  # side by side
    contact_sheet([Picture(each) for each in both.permute(0, 2, 3, 1)], 16).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("taught", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--gan", type=Path)
    parser.add_argument("--vae", type=Path)
    parser.add_argument("--lumia", type=int, default=0, metavar="COUNT")
    parser.add_argument("--count", type=int, default=1000, help="samples of each set")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.sheet is not None and args.gan is None:
        raise SystemExit("--sheet is of the GAN's samples; give --gan too")
    pictures = read_pictures(args.taught, args.size, held_out=args.held_out)
    taught, held_out = (torch.from_numpy(pictures.pixels[rows]) for rows in (pictures.taught, pictures.unseen))
    random = torch.Generator().manual_seed(0)
    some = taught[torch.randperm(len(taught), generator=random)[: args.count]]
    mean = taught.float().mean(0).round().to(torch.uint8)
    sets = {"taught": some, "mean picture": mean.expand(args.count, -1, -1, -1).contiguous()}
    if args.gan is not None:
        sets["gan"] = gan_samples(args.gan, pictures, args.count, random)
    if args.vae is not None:
        sets |= vae_pictures(args.vae, held_out, args.count, random)
    if args.lumia:
        sets["lumia"] = lumia_pictures(pictures, args.lumia)
    found = measure(sets, taught, held_out, load_features())
    if args.sheet is not None:
        nearest_sheet(sets["gan"][:64], taught, args.sheet)
    if args.json is not None:
        values = machine(torch.device("cpu")) | {"features": "lite0 head, mean, 224 px", "sets": found}
        args.json.write_text(json.dumps({"kid": values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
