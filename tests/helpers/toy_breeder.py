"""A tiny generator whose genes are a background, a disc and its color."""

import numpy as np
import torch

from clavilux.breeding.latent_breeder import LatentBreeder
from clavilux.image.picture import Picture

LAYERS = {"place": 3, "background": 3, "color": 3}


class ToyBreeder(LatentBreeder):
    def __init__(self, name="toy", model_sha256="a" * 64, classes=("disc", "square")):
        super().__init__(name, model_sha256, LAYERS, 1, classes)

    def show(self, genes):
        x, y, size = genes.latents["place"]
        rows, columns = np.mgrid[-3:3:24j, -3:3:24j]
        square = np.maximum(abs(columns - x), abs(rows - y)) < abs(size) + 0.5
        disc = np.hypot(columns - x, rows - y) < abs(size) + 0.5
        share = genes.classes.get("square", 0.0) * square + genes.classes.get("disc", 0.0) * disc
        colors = [np.array(genes.latents[layer]) for layer in ("background", "color")]
        pixels = share[..., None] * colors[1] + (1 - share[..., None]) * colors[0]
        return Picture.from_floats(torch.tensor(pixels).permute(2, 0, 1).tanh())


def load(name, folder, model_sha256):
    return ToyBreeder(name, model_sha256)
