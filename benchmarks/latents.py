"""Measure a VAE of pictures: `python benchmarks/latents.py bits MODEL PICTURES`, `... memory PICTURES`.

`bits`: held-out pictures through the VAE of the checkpoint folder MODEL. Their bound in nats, the KL term as bits (what
an ideal code of the latents takes, by relative entropy; no file is written), and how far what is decoded is off: of the
posterior's mean, and of a sample of it, which is what those bits stand for. Beside each picture the best JPEG of at
most as many bytes, its tables not counted; beside all of them the bundled painter's codec. PICTURES is a folder that
training never read, such as OUT/held-out of `python -m clavilux.training.latents`; --sheet writes the first 64 and what
became of them.

`memory`: trains a VAE of the usual size on the folder PICTURES for --steps steps, and notes what the process holds and
how long steps take; --plot draws it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import checkout  # noqa: F401  before clavilux
import numpy as np
import psutil
import torch
from jpeg import jpeg_at
from torch import Tensor

import clavilux
from clavilux.bench.machine import machine
from clavilux.image.latents import losses
from clavilux.image.latents.files import load_vae
from clavilux.image.latents.vae import VAE, VAESpec, to_levels
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.training.picture_folder import picture_files, read_pictures
from clavilux.training.picture_run import Limits, PictureRun, Watch
from clavilux.training.vae import VAELearner, VAETraining, psnr_db

TOGETHER = 64
EVERY = 10  # steps from one look at the memory to the next


def held_out(folder: Path, size: int) -> Tensor:
    """float [N, 3, S, S], -1 to 1: every picture of a folder."""
    return torch.stack([Picture.load(path).fit(size).to_floats() for path in picture_files(folder)])


@torch.no_grad()
def through(vae: VAE, pixels: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Of each picture: terms of the bound in nats, dB of the mean and of a sample, and what the mean decodes to."""
    random = torch.Generator().manual_seed(seed)
    rows: list[dict[str, Tensor]] = []
    for piece in pixels.split(TOGETHER):
        posterior = vae.encode(piece)
        mean = vae.decode(posterior.mean)
        sample = vae.decode(posterior.sample(torch.randn(posterior.mean.shape, generator=random)))
        rows.append({
            "reconstruction": losses.reconstruction_nats(piece, sample, vae.log_scale),
            "kl": losses.gaussian_kl(posterior).sum((1, 2, 3)),
            "mean_db": psnr_db(mean, piece), "sample_db": psnr_db(sample, piece), "decoded": mean,
        })  # fmt: skip
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def beside_jpeg(pixels: Tensor, sizes: Tensor, ours: dict[str, Tensor]) -> dict:
    """The best JPEG of at most as many bytes as each picture took, and ours on the pictures that have one, if any."""
    levels = to_levels(pixels).permute(0, 2, 3, 1).numpy()
    found = [jpeg_at(picture, float(size)) for picture, size in zip(levels, sizes, strict=True)]
    small = torch.tensor([each is not None for each in found])
    if not small.any():
        return {"pictures_that_jpeg_brings_to_this_size": 0}
    return {
        "pictures_that_jpeg_brings_to_this_size": int(small.sum()),
        "jpeg_psnr_db": float(np.mean([each[0] for each in found if each])),
        "jpeg_bytes": float(np.mean([each[1] for each in found if each])),
        "mean_psnr_db_of_these": float(ours["mean_db"][small].mean()),
        "sample_psnr_db_of_these": float(ours["sample_db"][small].mean()),
    }


def bits(model: Path, folder: Path, sheet: Path | None) -> dict:
    found = load_vae(model)
    pixels = held_out(folder, found.vae.spec.size)
    ours = through(found.vae, pixels)
    size = ours["kl"] / np.log(2) / 8
    values = {
        "model": found.config["name"], "fingerprint": found.fingerprint, "pictures": len(pixels),
        "elbo_nats": float((-ours["reconstruction"] - ours["kl"]).mean()),
        "reconstruction_nats": float(ours["reconstruction"].mean()), "kl_nats": float(ours["kl"].mean()),
        "bits_a_picture_bound": float(((ours["reconstruction"] + ours["kl"]) / np.log(2)).mean()),
        "latent_bits": float(8 * size.mean()), "latent_bytes": float(size.mean()),
        "mean_psnr_db": float(ours["mean_db"].mean()), "sample_psnr_db": float(ours["sample_db"].mean()),
        **beside_jpeg(pixels, size, ours),
    }  # fmt: skip
    if found.vae.spec.size == 64:
        codec = clavilux.load("lumia").family.stage.codec
        tokens = codec.encode(pixels)
        values["painter_codec"] = {
            "bytes": float(tokens[0].numel() * np.log2(codec.vocabulary) / 8),
            "psnr_db": float(psnr_db(codec.decode(tokens), pixels).mean()),
        }
    if sheet is not None:
        both = torch.stack([pixels[:64], ours["decoded"][:64]], 1).flatten(0, 1)  # side by side
        contact_sheet([Picture(each) for each in to_levels(both).permute(0, 2, 3, 1)], 16).save(sheet)
    return values


def memory(folder: Path, steps: int, batch: int, plot: Path | None) -> dict:
    process, began = psutil.Process(), time.perf_counter()
    noted: list[tuple[int, float, float]] = []  # (step, seconds, MiB)

    def note(done: float, total: float) -> None:
        if done % EVERY == 0:
            noted.append((int(done), time.perf_counter() - began, process.memory_info().rss / 2**20))

    spec = VAESpec()
    learner = VAELearner(read_pictures(folder, spec.size), spec, VAETraining(batch=batch))
    with tempfile.TemporaryDirectory() as place:
        PictureRun(Path(place), learner, {}).go(Limits(steps=steps, checkpoint_steps=max(1, steps // 10)), Watch(note))
    rows = np.array(noted)
    first, last = (rows[int(len(rows) * part) :][: len(rows) // 4, 2].mean() for part in (0.25, 0.75))
    if plot is not None:
        _plot(rows, plot)
    taken, seconds = (rows[-1, :2] - rows[0, :2]).tolist()
    return {
        "steps": steps, "batch": batch, "steps_a_second": taken / seconds,
        "mib_second_quarter": float(first), "mib_last_quarter": float(last), "mib_most": float(rows[:, 2].max()),
        "mib_by_step": [[int(step), round(mib, 1)] for step, _, mib in rows],
    }  # fmt: skip


def _plot(rows: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(rows[:, 0], rows[:, 2])
    axes.set(xlabel="steps", ylabel="MiB held", ylim=(0, rows[:, 2].max() * 1.2), title="Training a VAE at 64 px")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    of_bits = parts.add_parser("bits")
    of_bits.add_argument("model", type=Path)
    of_bits.add_argument("pictures", type=Path)
    of_bits.add_argument("--sheet", type=Path)
    of_memory = parts.add_parser("memory")
    of_memory.add_argument("pictures", type=Path)
    of_memory.add_argument("--steps", type=int, default=2000)
    of_memory.add_argument("--batch", type=int, default=2)
    of_memory.add_argument("--plot", type=Path)
    for part in (of_bits, of_memory):
        part.add_argument("--json", type=Path, help="add the values to this file")
    args = parser.parse_args()
    if args.part == "bits":
        values = bits(args.model, args.pictures, args.sheet)
    else:
        values = memory(args.pictures, args.steps, args.batch, args.plot)
    print(json.dumps({name: value for name, value in values.items() if name != "mib_by_step"}, indent=1))
    if args.json:
        known = json.loads(args.json.read_text()) if args.json.exists() else {}
        args.json.write_text(json.dumps(known | {args.part: machine(torch.device("cpu")) | values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
