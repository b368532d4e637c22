"""KID's sets: a reciting model shows in its nearest neighbors, a GAN's samples are of the classes that are taught."""

import numpy as np
import torch
from benchmark_scripts import imported

from clavilux.image.latents.gan import Generator, GeneratorSpec
from clavilux.image.latents.gan_files import PictureGenerator, save_gan
from clavilux.training.picture_folder import PictureFolder

kid = imported("latents_kid")


def levels(count, seed, low=0, high=256):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 3, 8, 8), generator=random, dtype=torch.uint8)


def test_sets_beside_held_out_pictures(monkeypatch):
    monkeypatch.setattr(kid, "describe", lambda features, pixels: pixels.flatten(1)[:, :20])
    taught, held_out = levels(40, 1), levels(40, 2)
    sets = {"recited": taught[:20], "like them": levels(20, 3), "dark": levels(20, 4, 0, 60)}
    found = kid.measure(sets, taught, held_out, None)
    recited = found["recited"]
    assert max(recited["nearest_taught_in_features"]) < 1e-3 and recited["nearest_taught_psnr_db"][0] > 100
    assert found["like them"]["nearest_taught_psnr_db"][4] < 20 and "kid_lite0" not in found["held out"]
    assert found["dark"]["kid_lite0"] > 10 * abs(found["like them"]["kid_lite0"])


def test_samples_of_the_classes_that_are_taught(tmp_path):
    generator = Generator(GeneratorSpec(3, (8,), (1,), classes=2, patch=2))
    save_gan(tmp_path / "gan", PictureGenerator(generator), None, name="toy", classes=("a", "b"))
    pixels = levels(6, 5).numpy()
    pictures = PictureFolder(pixels, np.zeros(6, int), np.arange(6) < 2, ("b", "c"), ("x",) * 6, (), "")
    made = kid.gan_samples(tmp_path / "gan", pictures, 5, torch.Generator().manual_seed(0))
    assert made.shape == (5, 3, 8, 8) and made.dtype == torch.uint8
    kid.nearest_sheet(made, torch.from_numpy(pixels), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0


def test_decibels():
    distance = (torch.full((3, 4, 4), 100.0) - 90).norm()
    assert abs(kid.psnr_db(distance[None], 48).item() - 20 * np.log10(255 / 10)) < 1e-4
