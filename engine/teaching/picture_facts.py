"""What is found in a picture: where it weighs, its colors and their harmony, its light, how its edges run.

Knows pixels. Does not know what is said of them (`picture_lesson`) or asked (`picture_exercises`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from clavilux.image.examination import palette, strokes
from clavilux.image.examination.canvas import Canvas, rgb_of
from clavilux.image.examination.measurements import LEAST
from clavilux.image.picture import Picture
from clavilux.teaching.lesson import shrunk

SIDE = 320  # pixels of the longer side that is measured; smaller pictures stay as they are
DIRECTIONS = (
    "level",
    "falling to the right",
    "upright",
    "rising to the right",
)  # of an edge, by 45 degrees, y downwards
_SHAPE = 8  # times that one side may be as long as the other
_COLORS, _ROUNDS, _NEAR = 6, 12, 12.0  # of the palette; colors nearer than that in CIELAB become one
_COLORED, _SHARE = 10.0, 0.03  # chroma and share from which a color counts for the harmony
_LOOSE = 30.0  # degrees that a hue may lie beside its place in a harmony
RADIUS = 3.0  # pixels, of the structure tensor of edges


@dataclass(frozen=True)
class Color:
    """A main color: its share of the picture, 0 to 1, and CIELAB and sRGB values."""

    share: float
    lab: tuple[float, float, float]
    rgb: tuple[int, int, int]

    @property
    def code(self) -> str:
        """As pages write it: "#a1b2c3"."""
        return code_of(self.rgb)

    @property
    def chroma(self) -> float:
        """Distance from gray in CIELAB."""
        return float(np.hypot(*self.lab[1:]))

    @property
    def hue(self) -> float:
        """Degrees in the a-b plane, 0 to 360."""
        return float(np.degrees(np.arctan2(self.lab[2], self.lab[1])) % 360)


@dataclass(frozen=True, eq=False)
class PictureFacts:
    """What was measured of a picture whose longer side is `SIDE` at most.

    Attributes:
        title: its name.
        picture: as it was given.
        canvas: as it is measured.
        weight: float64 [H, W], its sum is 1: how much a place stands out.
        center: (x, y), 0 to 1 from the upper left: where the weight balances.
        peak: (x, y) of the place that stands out most.
        colors: main colors, the largest first.
        harmony: how their hues lie.
        directions: float64 [4], shares of the edges, as `DIRECTIONS`.
        coherence: 0 to 1: how straight edges run.
        bright: (x, y) of the brightest place.
    """

    title: str
    picture: Picture
    canvas: Canvas
    weight: np.ndarray
    center: tuple[float, float]
    peak: tuple[float, float]
    colors: tuple[Color, ...]
    harmony: str
    directions: np.ndarray
    coherence: float
    bright: tuple[float, float]

    @property
    def contrast(self) -> float:
        """Between the darkest and the lightest twentieth, in L."""
        low, high = np.percentile(self.canvas.light, (5, 95))
        return float(high - low)

    @property
    def warmth(self) -> np.ndarray:
        """float64 [H, W]: a + b over root 2, which is positive from pink to yellow and negative from green to blue."""
        return self.canvas.lab[..., 1:].sum(-1, dtype=np.float64) / np.sqrt(2)

    @property
    def warm_share(self) -> float:
        """Share of the picture in colors that are warm, 0 to 1."""
        return float(palette.measure(self.canvas)[palette.NAMES.index("warm share")] ** 2)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        left = float(self.weight[:, : self.weight.shape[1] // 2].sum())
        return {
            "width": self.picture.width, "height": self.picture.height,
            "balance": [round(each, 3) for each in self.center], "peak": [round(each, 3) for each in self.peak],
            "weight on the left": round(left, 3),
            "colors": [{"color": each.code, "share": round(each.share, 3)} for each in self.colors],
            "main color": self.colors[0].code, "harmony": self.harmony, "warm share": round(self.warm_share, 3),
            "lightness": round(float(self.canvas.light.mean()), 1), "contrast": round(self.contrast, 1),
            "brightest": [round(each, 3) for each in self.bright],
            "edges": dict(zip(DIRECTIONS, self.directions.round(3).tolist(), strict=True)),
            "straightness": round(self.coherence, 3),
        }  # fmt: skip


def picture_facts(picture: Picture, title: str) -> PictureFacts:
    """Measure a picture.

    Raises:
        ValueError: it is smaller than `LEAST` pixels a side, longer than 8 times its other side, or of one color.
    """
    width, height = picture.width, picture.height
    if min(width, height) < LEAST:
        raise ValueError(f"{title!r} is {width} x {height} pixels; a lesson needs {LEAST} a side at least")
    if max(width, height) > _SHAPE * min(width, height):
        raise ValueError(
            f"{title!r} is {width} x {height} pixels; a lesson needs a picture whose longer side is at most {_SHAPE} "
            "times the other"
        )
    canvas = Canvas(shrunk(picture, SIDE).pixels.numpy())
    if float(canvas.lab.std((0, 1)).max()) < 1:
        raise ValueError(f"{title!r} is of one color; a lesson needs a picture with something to compare")
    weight = salience(canvas)
    colors = main_colors(canvas.lab)
    shares, coherence = edges(canvas)
    calm = max(canvas.pixels.shape[:2]) / 40
    return PictureFacts(
        title, picture, canvas, weight, _center(weight), _top(weight, calm), colors,
        harmony(colors), shares, coherence, _top(canvas.light, calm),
    )  # fmt: skip


def salience(canvas: Canvas) -> np.ndarray:
    """How much a place stands out: its distance from the picture's mean color, in CIELAB.

    Source: frequency-tuned saliency (Achanta, Hemami, Estrada, Suesstrunk 2009). It knows neither things nor faces.

    Returns:
        float64 [H, W], its sum is 1.
    """
    calm = np.stack([ndimage.gaussian_filter(canvas.lab[..., each], 1.5) for each in range(3)], -1).astype(np.float64)
    far = ((calm - canvas.lab.mean((0, 1))) ** 2).sum(-1)
    return far / far.sum()


def main_colors(lab: np.ndarray) -> tuple[Color, ...]:
    """Up to 6 colors, the largest first: k-means in CIELAB from the color that is farthest from those there are.

    Args:
        lab: float32 [H, W, 3].
    """
    points = lab.reshape(-1, 3).astype(np.float64)
    cells, counts = np.unique(np.round(points / 4), axis=0, return_counts=True)
    cells *= 4
    centers = cells[[counts.argmax()]]
    for _ in range(_COLORS - 1):
        far = counts**0.5 * _distances(cells, centers).min(1)
        centers = np.vstack([centers, cells[far.argmax()]])
    for _ in range(_ROUNDS):
        nearest = _distances(cells, centers).argmin(1)
        taken = np.unique(nearest)
        centers = np.stack([np.average(cells[nearest == each], 0, counts[nearest == each]) for each in taken])
    centers = _merged(centers, np.bincount(_distances(cells, centers).argmin(1), counts, len(centers)))
    nearest = _distances(points, centers).argmin(1)
    found = []
    for each in np.unique(nearest):
        middle = np.median(points[nearest == each], 0)
        found.append(Color(float((nearest == each).mean()), tuple(middle.tolist()), tuple(rgb_of(middle).tolist())))
    return tuple(sorted(found, key=lambda each: -each.share))


def code_of(rgb: Iterable[int]) -> str:
    """(r, g, b) as pages write it: "#a1b2c3"."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def harmony(colors: tuple[Color, ...]) -> str:
    """How hues lie on the circle: "no hue", "one hue", "neighbors", "opposites", "a triad" or "far hues"."""
    hues = np.sort([each.hue for each in colors if each.chroma >= _COLORED and each.share >= _SHARE])
    if not len(hues):
        return "no hue"
    arc = 360 - float(np.diff(np.append(hues, hues[0] + 360)).max())
    if arc <= 30:
        return "one hue"
    if arc <= 90:
        return "neighbors"
    for name, fold in (("opposites", 2), ("a triad", 3)):
        middle = np.degrees(np.angle(np.exp(1j * np.radians(hues) * fold).sum())) / fold
        place = np.round((hues - middle) * fold / 360)
        away = np.abs(hues - middle - place * 360 / fold)
        if away.max() <= _LOOSE and len(np.unique(place % fold)) == fold:
            return name
    return "far hues"


def edges(canvas: Canvas) -> tuple[np.ndarray, float]:
    """(float64 [4] shares of the edges, as `DIRECTIONS`; how straight they run, 0 to 1), by the structure tensor."""
    strength, coherence, twice = strokes.tensor(canvas, RADIUS)
    along = (np.degrees(twice) / 2 + 90) % 180
    place = np.round(along / 45).astype(int) % 4
    strong = np.sqrt(np.maximum(strength, 0))
    counts = np.bincount(place.ravel(), (strong * coherence).ravel(), 4)
    return counts / max(counts.sum(), 1e-9), float((strong * coherence).sum() / max(strong.sum(), 1e-9))


def _distances(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return np.stack([np.sqrt(((points - center) ** 2).sum(1)) for center in centers], 1)


def _merged(centers: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Without the smaller of two that look alike."""
    kept: list[np.ndarray] = []
    for each in np.argsort(-counts):
        if all(np.linalg.norm(centers[each] - other) >= _NEAR for other in kept):
            kept.append(centers[each])
    return np.stack(kept)


def _center(weight: np.ndarray) -> tuple[float, float]:
    height, width = weight.shape
    x = float((weight.sum(0) * (np.arange(width) + 0.5)).sum()) / width
    return x, float((weight.sum(1) * (np.arange(height) + 0.5)).sum()) / height


def _top(values: np.ndarray, radius: float) -> tuple[float, float]:
    """(x, y), 0 to 1, of the highest place over a radius; what lies beyond the border counts as nothing."""
    values = ndimage.gaussian_filter(values, radius, mode="constant")
    y, x = np.unravel_index(int(values.argmax()), values.shape)
    return (float(x) + 0.5) / values.shape[1], (float(y) + 0.5) / values.shape[0]
