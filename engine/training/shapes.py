"""Plain shapes, drawn by program, of which the bundled painter learns colors, sizes and places without anything else.

Knows geometry and names; colors are `recolor`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from PIL import Image, ImageDraw

from clavilux.training.pictures import Named, cut

SIDE = 256
INK = (220, 45, 45, 255)
Points = list[tuple[float, float]]


def polygon(corners: int, turn: float = -90.0, inner: float | None = None) -> Points:
    """Corners on a circle, the first at `turn` degrees (-90 is up); with `inner` a star, of that inner radius."""
    count = corners * (2 if inner else 1)
    found = []
    for index in range(count):
        radius = 0.48 * SIDE * (inner if inner and index % 2 else 1.0)
        angle = math.radians(turn + 360 * index / count)
        found.append((SIDE / 2 + radius * math.cos(angle), SIDE / 2 + radius * math.sin(angle)))
    return found


def _heart() -> Points:
    found = []
    for step in range(120):
        t = 2 * math.pi * step / 120
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        found.append((SIDE / 2 + 7 * x, 0.45 * SIDE - 7 * y))
    return found


def _moon(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((20, 20, 236, 236), fill=INK)
    draw.ellipse((90, 0, 290, 200), fill=(0, 0, 0, 0))


def _ring(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((10, 10, 246, 246), outline=INK, width=46)


def _cross(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((92, 16, 164, 240), fill=INK)
    draw.rectangle((16, 92, 240, 164), fill=INK)


def _filled(points: Points) -> Callable[[ImageDraw.ImageDraw], None]:
    return lambda draw: draw.polygon(points, fill=INK)


SHAPES: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "circle": lambda draw: draw.ellipse((10, 10, 246, 246), fill=INK),
    "oval": lambda draw: draw.ellipse((10, 60, 246, 196), fill=INK),
    "square": lambda draw: draw.rectangle((18, 18, 238, 238), fill=INK),
    "rectangle": lambda draw: draw.rectangle((10, 66, 246, 190), fill=INK),
    "triangle": _filled(polygon(3)), "diamond": _filled(polygon(4)), "pentagon": _filled(polygon(5)),
    "hexagon": _filled(polygon(6, 0.0)), "octagon": _filled(polygon(8, 22.5)), "star": _filled(polygon(5, inner=0.42)),
    "heart": _filled(_heart()), "moon": _moon, "ring": _ring, "cross": _cross,
}  # fmt: skip


def shapes() -> Iterator[Named]:
    """Each of `SHAPES` once, in red."""
    for name, draw_on in SHAPES.items():
        image = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
        draw_on(ImageDraw.Draw(image))
        drawn = cut(image)
        assert drawn is not None, "a shape is never empty"
        yield Named(drawn, (name,), ("shape",), "symbol", "shape", f"shape {name}", name)
