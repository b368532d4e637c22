"""The curves of a training run as a picture. Knows lines of numbers; does not know what was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from clavilux.files import PathLike, atomic_path


def draw_curves(lines: Sequence[Mapping[str, Any]], path: PathLike) -> None:
    """A panel for each name over the steps: in training and, dashed, held out.

    Args:
        lines: each with "step", "train" and "held_out", the latter numbers by name.
        path: of a .png or .svg.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for line in lines for part in ("train", "held_out") for name in line[part]))
    columns = min(3, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    figure = Figure(figsize=(4 * columns, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for name, panel in zip(names, panels, strict=False):
        for part, style in (("train", "-"), ("held_out", "--")):
            known = [(line["step"], line[part][name]) for line in lines if name in line[part]]
            if known:
                panel.plot(*zip(*known, strict=True), style, marker="." if len(known) == 1 else "", label=_words(part))
        panel.set(title=_words(name), xlabel="steps")
        panel.legend(fontsize="small")
    for panel in panels[len(names) :]:
        panel.remove()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _words(name: str) -> str:
    return name.replace("_", " ")
