"""Fast style: a picture in one pass through a network, in the manner of built-in styles, of paintings, or of both.

Knows networks, how several styles are blended, and at which size a picture goes through them. Does not know files,
names or receipts.

Built-in styles are mixed inside the network, by their scales and shifts; paintings by the 100 numbers that each is read
as; one kind with the other by pixels. Strokes have the size that the network gives them, so it sees the picture at its
own size up to 1,024 pixels a side, and above that at 32 times the root of its side (1,448 of 2,048): strokes grow with
the picture, more slowly than it. What that leaves out comes back as detail (`full_size`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clavilux.image.arts import full_size, style_networks
from clavilux.image.arts.full_size import Finish
from clavilux.image.arts.style_names import mixture

LEAST = 16  # pixels of the shorter side of a picture; below that there is nothing to see
OWN_SIZE, LARGEST_SIZE = 1024, 2048  # sides of a square of as many pixels: seen as it is; the most that is seen
WHOLLY = Finish()
PAINTING_SIDE = 256  # of the shorter side of a painting, as its network was trained


class Blend(NamedTuple):
    """Styles with their shares.

    Attributes:
        built_in: (number of a style, weight) of each.
        paintings: (uint8 [H, W, 3], weight) of each.
    """

    built_in: Sequence[tuple[int, float]] = ()
    paintings: Sequence[tuple[Tensor, float]] = ()


class FastStyle:
    """A blend of styles, ready for any number of pictures.

    Attributes:
        fingerprints: SHA-256 of the files of weights that it uses, by the network's name.
    """

    def __init__(
        self,
        blend: Blend,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        built_in: style_networks.BuiltIn | None = None,
    ) -> None:
        """Load the networks that the blend needs, and read its paintings; `built_in` is that network, loaded already.

        Raises:
            ValueError: no style, a weight that is no number from 0, or the weights of the networks are not installed.
            CheckpointError: they are damaged.
        """
        weights = [weight for _, weight in (*blend.built_in, *blend.paintings)]
        if not weights:
            raise ValueError("there is no style to paint in; name one, or give a painting")
        shares = mixture(weights, "the styles")
        self._device, self._dtype = torch.device(device), dtype
        self.fingerprints: dict[str, str] = {}
        count = len(blend.built_in)
        self._share = sum(shares[:count])  # of the built-in ones
        self._built_in = self._paintings = None
        if self._share > 0:
            self._built_in = style_networks.load_built_in(device, dtype) if built_in is None else built_in
            self._mix = torch.zeros(1, style_networks.STYLES, device=self._device)
            for (number, _), share in zip(blend.built_in, shares[:count], strict=True):
                self._mix[0, number] += share / self._share
            self.fingerprints["built-in"] = self._built_in.fingerprint
        if self._share < 1:
            reader, self._paintings = style_networks.load_paintings(device, dtype)
            read = [self._read(reader, pixels) for pixels, _ in blend.paintings]
            parts = [share / (1 - self._share) for share in shares[count:]]
            self._numbers = sum((part * each for part, each in zip(parts, read, strict=True)), torch.zeros(()))
            self.fingerprints |= {"reader": reader.fingerprint, "paintings": self._paintings.fingerprint}

    def __call__(self, pixels: Tensor, finish: Finish = WHOLLY, stroke: float = 1.0) -> Tensor:
        """uint8 [H, W, 3] to the same.

        Args:
            pixels: at least `LEAST` pixels a side.
            finish: strength, original colors, a mask.
            stroke: how large strokes are; 2 is twice as large.
        """
        small = full_size.smaller(pixels, *seen_size(pixels.shape[0], pixels.shape[1], stroke))
        return full_size.lay(pixels, small, self.changed(small), finish)

    @torch.no_grad()
    def changed(self, small: Tensor) -> Tensor:
        """float [3, h, w], 0 to 1, on the CPU: what the networks make of uint8 [h, w, 3], at its own size."""
        height, width = small.shape[:2]
        given = (small.to(self._device).permute(2, 0, 1)[None].float() / 255).to(self._dtype)
        across, down = -width % 4, -height % 4
        given = F.pad(given, (across // 2, across - across // 2, down // 2, down - down // 2), "replicate")
        found = torch.zeros_like(given)
        if self._built_in is not None:
            found += self._share * self._built_in(given, self._mix)
        if self._paintings is not None:
            found += (1 - self._share) * self._paintings(given, self._numbers)
        top, left = down // 2, across // 2
        return found[0, :, top : top + height, left : left + width].float().cpu()

    @torch.no_grad()
    def _read(self, reader: style_networks.Reader, pixels: Tensor) -> Tensor:
        """float [1, 100] of a painting: its middle, at most twice as long as wide, 256 pixels the shorter way."""
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = max(height - 2 * side, 0) // 2, max(width - 2 * side, 0) // 2
        pixels = pixels[top : top + 2 * side, left : left + 2 * side].contiguous()
        height, width = (round(length / side * PAINTING_SIDE / 32) * 32 for length in pixels.shape[:2])
        seen = full_size.smaller(pixels, height, width).to(self._device)
        return reader((seen.permute(2, 0, 1)[None].float() / 255).to(self._dtype)).float()


def seen_size(height: int, width: int, stroke: float = 1.0) -> tuple[int, int]:
    """(height, width) at which the network sees a picture."""
    side = math.sqrt(height * width)
    wanted = side if side <= OWN_SIZE else min(math.sqrt(side * OWN_SIZE), LARGEST_SIZE)
    scale = min(wanted / stroke, LARGEST_SIZE) / side
    scale = max(scale, LEAST / min(height, width))
    return (height, width) if scale == 1 else (round(height * scale), round(width * scale))
