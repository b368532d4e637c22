"""ImageGPT's codec: every pixel is the number of the nearest of a few colours (Chen et al., ICML 2020).

Reads OpenAI's array file (`kmeans_centers.npy`) and transformers' `preprocessor_config.json`. Knows no model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clavilux.checkpoint_io import read_json
from clavilux.files import PathLike
from clavilux.image.codecs.boundary import checked_pixels, checked_tokens

__all__ = ["ColourClusters", "load"]

_FILES = ("preprocessor_config.json", "clusters.npy", "kmeans_centers.npy")
_MOST_COLOURS = 1 << 16
_PIECE = 1 << 14  # pixels at once, with 512 colours 64 MiB of distances


class ColourClusters(nn.Module):
    """A palette as a codec; see `Codec`. One token is one pixel.

    Attributes:
        clusters: float32 [V, 3], the colours, -1 to 1.
        codebooks, vocabulary, downsampling: 1, V, 1.
    """

    family = "clusters"
    codebooks = 1
    downsampling = 1
    clusters: Tensor

    def __init__(self, clusters: Tensor):
        """clusters: float [V, 3], -1 to 1; ValueError if they are not."""
        super().__init__()
        clusters = torch.as_tensor(clusters).detach()
        if clusters.ndim != 2 or clusters.shape[1] != 3 or not 1 <= len(clusters) <= _MOST_COLOURS:
            raise ValueError(f"clusters should be [V, 3] with V from 1 to {_MOST_COLOURS}, not {list(clusters.shape)}")
        if not clusters.is_floating_point() or not bool((clusters.abs() <= 1 + 1e-3).all()):
            raise ValueError("clusters should be floats between -1 and 1, as pixel / 127.5 - 1 gives them")
        self.register_buffer("clusters", clusters.to(torch.float32, copy=True))
        self.vocabulary = len(clusters)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """The nearest colour of every pixel, of two that are as near the first.

        Args:
            pixels: float [B, 3, H, W], -1 to 1.

        Returns:
            int64 [B, 1, H * W], row by row.

        Raises:
            ValueError: another shape, NaN, infinity, or a value out of range.
        """
        pixels = checked_pixels(pixels, 1, self.clusters).to(torch.float64)
        colours = self.clusters.to(torch.float64)
        lengths = colours.square().sum(1)  # |c|^2; |p - c|^2 less |p|^2, which is the same for all, is |c|^2 - 2 p c
        points = pixels.permute(0, 2, 3, 1).reshape(-1, 3)
        nearest = [(lengths - 2 * piece @ colours.t()).argmin(1) for piece in points.split(_PIECE)]
        return torch.cat(nearest).reshape(len(pixels), 1, -1)

    @torch.no_grad()
    def decode(self, tokens: Tensor, rows: int | None = None) -> Tensor:
        """The colours of tokens.

        Args:
            tokens: integers [B, 1, rows * cols], 0 <= token < vocabulary.
            rows: pixels from top to bottom; a square if None.

        Returns:
            float [B, 3, rows, cols], -1 to 1.

        Raises:
            ValueError: another shape, a token out of range, or no such rows.
        """
        tokens = checked_tokens(tokens, self.vocabulary, rows, self.clusters.device)
        return F.embedding(tokens, self.clusters).permute(0, 3, 1, 2).clamp(-1, 1)


def load(path: PathLike) -> ColourClusters:
    """The colours in a file, or in a folder that holds one of `preprocessor_config.json`, `clusters.npy` and
    `kmeans_centers.npy`.

    Raises:
        ValueError: nothing there, a damaged file, or one that holds no colours.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in _FILES if (path / name).is_file()]
        if not found:
            raise ValueError(f"{str(path)!r} holds no colour clusters; there should be one of {', '.join(_FILES)}")
        path = found[0]
    if not path.is_file():
        raise ValueError(f"there is no file or folder {str(path)!r}")
    if path.suffix not in (".npy", ".json"):
        raise ValueError(f"{str(path)!r} should be an array (.npy) or a preprocessor's configuration (.json)")
    clusters = _from_array(path) if path.suffix == ".npy" else _from_json(path)
    try:
        return ColourClusters(clusters)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} holds no colour clusters: {error}") from None


def _from_array(path: Path) -> Tensor:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a file shorter than it says is an error
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise ValueError("it holds no array of numbers")
        return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64))
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{str(path)!r} is no array that can be read: {str(error).splitlines()[0]}") from None


def _from_json(path: Path) -> Tensor:
    clusters = read_json(path).get("clusters")
    if not isinstance(clusters, list):
        raise ValueError(f"{str(path)!r} holds no colour clusters; it should have a list 'clusters'")
    try:
        return torch.tensor(clusters, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"'clusters' in {str(path)!r} should be lists of three numbers") from None
