"""A lineage as a picture: every ancestor with what it looks like, parents above their children (SVG).

Knows where pictures and lines go. Does not know how genes are made again (`verbs.replayed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from clavilux.breeding.lineage import Lineage, Step
from clavilux.html_page import data_url

if TYPE_CHECKING:
    from clavilux.image.picture import Picture

SIDE, GAP, BETWEEN, MARGIN = 96, 24, 96, 24  # pixels: a picture's side, beside it, below it, around all
LINE_HEIGHT = 14
MOST = 500  # pictures; of more, nothing would be seen
LONGEST_LABEL = 16  # letters that fit under a picture
SWEEPS = 8  # over the rows, each bringing parents and children nearer together


def draw_tree(lineage: Lineage, portraits: Mapping[str, Picture]) -> str:
    """An SVG file's text; the pictures are in it.

    Args:
        lineage: what led to a genome.
        portraits: every step's name -> a picture; all are shown of one height.

    Raises:
        ValueError: more than `MOST` steps.
    """
    if len(lineage.steps) > MOST:
        raise ValueError(f"the lineage has {len(lineage.steps):,} steps; a tree shows {MOST}")
    rows = arranged(lineage)
    widths = {name: round(SIDE * each.width / each.height) for name, each in portraits.items()}
    wide = max(widths.values())
    across = max(len(row) for row in rows)
    width = 2 * MARGIN + across * wide + (across - 1) * GAP
    height = 2 * MARGIN + len(rows) * SIDE + (len(rows) - 1) * BETWEEN + 2 * LINE_HEIGHT
    places: dict[str, tuple[float, float]] = {}  # the middle of its upper edge
    for generation, row in enumerate(rows):
        left = (width - len(row) * wide - (len(row) - 1) * GAP) / 2
        for number, name in enumerate(row):
            places[name] = (left + number * (wide + GAP) + wide / 2, MARGIN + generation * (SIDE + BETWEEN))
    lines = [_line(places[parent], places[step.name]) for step in lineage.steps for parent in step.parents]
    nodes = [_node(step, places[step.name], widths[step.name], portraits[step.name]) for step in lineage.steps]
    return "\n".join([
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11" text-anchor="middle">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *lines, *nodes, "</svg>", "",
    ])  # fmt: skip


def arranged(lineage: Lineage) -> list[list[str]]:
    """Names in rows, a generation each, ordered so that lines cross little: each between its neighbors (Sugiyama)."""
    rows: list[list[str]] = [[] for _ in range(1 + max(lineage.generations.values()))]
    for name, generation in lineage.generations.items():
        rows[generation].append(name)
    near: dict[str, list[str]] = {name: [] for name in lineage.generations}
    for step in lineage.steps:
        for parent in step.parents:
            near[step.name].append(parent)
            near[parent].append(step.name)
    for sweep in range(SWEEPS):
        places = _places(rows)
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            row.sort(key=lambda name: _mean([places[each] for each in near[name]], places[name]))
            places |= _places([row])
    return rows


def _places(rows: list[list[str]]) -> dict[str, float]:
    """Where each stands in its row, -0.5 to 0.5 of an even spread."""
    return {name: (number + 0.5) / len(row) - 0.5 for row in rows for number, name in enumerate(row)}


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _line(parent: tuple[float, float], child: tuple[float, float]) -> str:
    """From below a parent's words to a child's upper edge."""
    x1, y1 = parent[0], parent[1] + SIDE + 2 * LINE_HEIGHT + 6
    x2, y2 = child
    bend = (y2 - y1) / 2 if y2 - y1 < 2 * BETWEEN else BETWEEN
    path = f"M{x1:.0f},{y1:.0f} C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2:.0f}"
    return f'<path d="{path}" fill="none" stroke="#999" stroke-width="1.5"/>'


def _node(step: Step, place: tuple[float, float], width: int, portrait: Picture) -> str:
    """A picture and two lines of words below it."""
    from clavilux.image import io

    x, y = place
    address = data_url(io.encode(portrait.pixels, ".png"), ".png")
    words = "".join(
        f'<text x="{x:.0f}" y="{y + SIDE + LINE_HEIGHT * number:.0f}">{escape(_shortened(text))}</text>'
        for number, text in enumerate(label(step), 1)
    )
    return (
        f'<g><title>{escape(step.name)}</title><image x="{x - width / 2:.1f}" y="{y:.0f}" width="{width}" '
        f'height="{SIDE}" preserveAspectRatio="none" href="{address}"/>{words}</g>'
    )


def label(step: Step) -> tuple[str, str]:
    """What is written below a picture."""
    settings = step.settings
    if step.verb == "random":
        return (str(settings.get("words")) or "random", f"seed {settings.get('seed')}")
    if step.verb == "encode":
        return (str(settings.get("file")), "read")
    if step.verb == "mutate":
        sliders = settings.get("sliders") or {}
        moved = ", ".join(f"{name} {by:+g}" for name, by in sliders.items()) if isinstance(sliders, dict) else ""
        return ("mutate", moved or f"{settings.get('strength')}")
    if step.verb == "between":
        return ("between", f"{settings.get('share')}")
    seed = settings.get("seed")
    return ("cross", f"seed {seed}" if seed else "")


def _shortened(text: str) -> str:
    plain = "".join(letter for letter in text if letter.isprintable())
    return plain if len(plain) <= LONGEST_LABEL else plain[: LONGEST_LABEL - 1] + "…"
