"""Maps of a picture: numbers at its places, drawn as heat beside it. Does not know what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clavilux.files import PathLike, atomic_path, check_ending

if TYPE_CHECKING:
    import torch

    from clavilux.image.picture import Picture

__all__ = ["ENDINGS", "draw"]

ENDINGS = (".png", ".svg", ".pdf")


def draw(path: PathLike, picture: Picture, maps: Mapping[str, torch.Tensor]) -> None:
    """Save a picture and maps of it side by side.

    Args:
        path: .png, .svg or .pdf; written beside it first, then renamed.
        picture: of any size.
        maps: title -> float [rows, cols], each with a scale of its own that begins at 0; its mean stands above it.

    Raises:
        ValueError: another ending, or a place where nothing can be written.
        OSError: writing failed; nothing is left behind.
    """
    from matplotlib.figure import Figure

    ending = check_ending(path, ENDINGS)
    figure = Figure(figsize=(4 + 4.6 * len(maps), 4.2), layout="constrained")
    first, *others = figure.subplots(1, 1 + len(maps), width_ratios=[1] + [1.15] * len(maps))
    first.imshow(picture.pixels.numpy(), interpolation="nearest")
    first.set_title(f"{picture.width} x {picture.height} pixels", fontsize=10)
    for axes, (title, values) in zip(others, maps.items(), strict=True):
        heat = axes.imshow(values.numpy(), cmap="magma", vmin=0, interpolation="nearest")
        axes.set_title(f"{title}: mean {float(values.mean()):.2f}", fontsize=10)
        figure.colorbar(heat, ax=axes, pad=0.02)
    for axes in (first, *others):
        axes.set(xticks=[], yticks=[])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format=ending[1:])
