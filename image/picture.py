"""Picture: an image, together with the tokens that it was made from and what is needed to make it again.

Knows how to save, load, cut and show itself. Does not know how it was made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from clavilux.checks import whole_number
from clavilux.files import PathLike
from clavilux.image import io
from clavilux.stamp import Stamp

__all__ = ["Picture", "fit"]


@dataclass(eq=False, repr=False)
class Picture:
    """An image.

    Attributes:
        pixels: uint8 [H, W, 3], red, green, blue; an array is taken as well.
        tokens: int64 [K, rows * cols], row by row, where the picture was made from tokens.
        receipt: seed, model, settings: what is needed to make the picture again. Plain JSON values.
        remarks: what was damaged or missing in the file that it was read from.
        timings: seconds that making it took, by part: "text_s", "prefill_s", "steps_s", "codec_s"; empty where no model
            made it. Pictures that were made side by side share them.
        stamp: what signs the files that it is saved as; None for what is only read here.
        origin: the file that it was read from.
    """

    pixels: torch.Tensor
    tokens: torch.Tensor | None = None
    receipt: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    stamp: Stamp | None = None
    origin: Path | None = None

    def __post_init__(self) -> None:
        self.pixels = _checked_pixels(self.pixels)
        if self.tokens is not None:
            self.tokens = _checked_tokens(self.tokens)

    @classmethod
    def load(cls, path: PathLike, *, strict: bool = False) -> Picture:
        """Read a png, jpg, webp, gif, bmp, tiff or ppm file, and the receipt in it.

        Args:
            path: of the file; the first frame of several, transparency over white.
            strict: a damaged file, or one that is cut off, is an error instead of a remark.

        Raises:
            ValueError: the file is missing, damaged beyond reading, too large, or no picture.
        """
        pixels, receipt, remarks = io.read(path, strict=strict)
        return cls(torch.from_numpy(pixels), receipt=receipt, remarks=remarks, origin=Path(path))

    @classmethod
    def from_floats(
        cls, pixels: torch.Tensor, tokens: torch.Tensor | None = None, receipt: dict[str, Any] | None = None
    ) -> Picture:
        """A picture of what a codec decoded.

        Args:
            pixels: float [3, H, W], -1 is black and 1 full colour; values beyond are clipped.
            tokens: int64 [K, rows * cols], as the attribute.
            receipt: plain JSON values, as the attribute.

        Raises:
            ValueError: another shape, or NaN or infinity.
            TypeError: not a tensor of floats.
        """
        if not isinstance(pixels, torch.Tensor) or not pixels.is_floating_point():
            raise TypeError(f"Pixels must be a tensor of floats [3, H, W], not {_described(pixels)}.")
        if pixels.ndim != 3 or pixels.shape[0] != 3 or 0 in pixels.shape:
            raise ValueError(f"Pixels must have the shape [3, H, W] with H and W at least 1, not {list(pixels.shape)}.")
        pixels = pixels.detach().to("cpu", torch.float32)
        if not torch.isfinite(pixels).all():
            raise ValueError("Some pixels are NaN or infinite; every one must be a number.")
        levels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)  # [3, H, W]
        return cls(levels.permute(1, 2, 0), tokens, {} if receipt is None else receipt)

    def to_floats(self) -> torch.Tensor:
        """What a codec encodes: float32 [3, H, W], -1 to 1."""
        return self.pixels.permute(2, 0, 1).to(torch.float32) / 127.5 - 1

    def save(self, path: PathLike) -> None:
        """Write the picture; the ending chooses the format: .png (lossless), .jpg, .jpeg or .webp.

        The receipt goes with it; `load` finds it again. It is written beside `path` first, then renamed,
        so there is never half a file.

        Raises:
            ValueError: unknown ending, a size or a receipt that the format cannot hold, or a folder that is missing or
                not writable.
            TypeError: the receipt is not plain JSON.
            OSError: writing failed (a full disk); nothing is left behind.
        """
        io.write_picture(path, self.pixels, receipt=self.receipt, stamp=self.stamp)

    @property
    def height(self) -> int:
        """H, pixels."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """W, pixels."""
        return self.pixels.shape[1]

    def fit(self, size: int) -> Picture:
        """The middle square, scaled to `size` x `size` pixels (1 to 8192, Lanczos), with its receipt, no tokens."""
        return fit(self, size)

    def resized(self, width: int, height: int) -> Picture:
        """The whole picture, scaled to `width` x `height` pixels (Lanczos), with its receipt, without tokens."""
        scaled = Image.fromarray(self.pixels.numpy()).resize((width, height), Image.Resampling.LANCZOS)
        return _scaled(self, scaled)

    def __repr__(self) -> str:
        return f"Picture({self.width} x {self.height}{', tokens' if self.tokens is not None else ''})"

    def _repr_png_(self) -> bytes:
        """What notebooks show."""
        return io.encode(self.pixels, ".png")


def fit(picture: Picture, size: int) -> Picture:
    """The middle square of a picture, scaled to `size` x `size` pixels (Lanczos), with its receipt, without tokens.

    Args:
        picture: of any size.
        size: pixels a side, 1 to 8192.

    Raises:
        ValueError: another size.
    """
    whole_number("size", size, 1, 8192)
    scaled = ImageOps.fit(Image.fromarray(picture.pixels.numpy()), (size, size), Image.Resampling.LANCZOS)
    return _scaled(picture, scaled)


def _scaled(picture: Picture, image: Image.Image) -> Picture:
    pixels = torch.from_numpy(np.array(image))
    return Picture(pixels, receipt=dict(picture.receipt), stamp=picture.stamp, origin=picture.origin)


def _checked_pixels(pixels: torch.Tensor | np.ndarray) -> torch.Tensor:
    if not isinstance(pixels, (torch.Tensor, np.ndarray)):
        raise TypeError(f"Pixels must be a tensor or an array, not {_described(pixels)}.")
    if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8:
        pixels = torch.from_numpy(np.array(pixels))  # a copy: torch takes no strides below zero
    if not isinstance(pixels, torch.Tensor) or pixels.dtype != torch.uint8:
        raise TypeError(f"Pixels must be uint8, 0 to 255, not {_described(pixels)}; from_floats takes floats.")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"Pixels must have the shape [H, W, 3] with H and W at least 1, not {list(pixels.shape)}.")
    return pixels.detach().cpu().contiguous()


def _checked_tokens(tokens: torch.Tensor) -> torch.Tensor:
    if not isinstance(tokens, torch.Tensor) or tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise TypeError(f"Tokens must be a tensor of integers, not {_described(tokens)}.")
    if tokens.ndim != 2 or 0 in tokens.shape:
        raise ValueError(f"Tokens must have the shape [K, rows * cols], not {list(tokens.shape)}.")
    return tokens.detach().to("cpu", torch.int64)


def _described(value: object) -> str:
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{value.dtype} {list(value.shape)}"
    return f"a {type(value).__name__}"
