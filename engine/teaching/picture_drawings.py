"""What is drawn on a picture, its variations, and drawings of its colors and its light.

Knows what was measured. Does not know what is said of it.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from clavilux.image.examination import strokes
from clavilux.image.examination.canvas import lab_of, rgb_of
from clavilux.image.picture import Picture
from clavilux.teaching.drawings import svg
from clavilux.teaching.lesson import shrunk
from clavilux.teaching.picture_facts import RADIUS, Color, PictureFacts, code_of

SHOWN = 640  # pixels of the longer side
_LINE, _MARK, _UNDER = (255, 255, 255), (255, 64, 32), (0, 0, 0)
_GRID = 24  # places along the longer side where an edge's direction is drawn
_BINS = 32


def of_pixels(pixels: np.ndarray) -> Picture:
    """A picture of uint8 [H, W, 3]."""
    return Picture(torch.from_numpy(np.ascontiguousarray(pixels)))


def shown(facts: PictureFacts) -> Picture:
    """The picture, as large as all that is drawn on it."""
    return _picture(_image(facts))


def composition(facts: PictureFacts) -> Picture:
    """Thirds as lines, the place that stands out most as a ring, the balance as a cross."""
    image = _image(facts)
    pen = ImageDraw.Draw(image)
    width, height = image.size
    for third in (1 / 3, 2 / 3):
        _line(pen, (third * width, 0, third * width, height))
        _line(pen, (0, third * height, width, third * height))
    _ring(pen, image.size, facts.peak)
    x, y, arm = facts.center[0] * width, facts.center[1] * height, _unit(image.size) * 2
    for shape in ((x - arm, y, x + arm, y), (x, y - arm, x, y + arm)):
        _line(pen, shape, _MARK)
    return _picture(image)


def standing_out(facts: PictureFacts) -> Picture:
    """The picture, dark where nothing stands out."""
    return dimmed(_image(facts), facts.weight / np.percentile(facts.weight, 98), Image.Resampling.BILINEAR)


def dimmed(image: Image.Image, strength: np.ndarray, resampling: Image.Resampling) -> Picture:
    """An image, dark where `strength` [h, w], of a coarser grid, is 0, and as it is where that is 1."""
    levels = (255 * np.sqrt(np.clip(strength, 0, 1))).astype(np.uint8)
    mask = Image.fromarray(levels).resize(image.size, resampling)
    return _picture(Image.composite(image, image.point(lambda level: level * 0.12), mask))


def light(facts: PictureFacts) -> Picture:
    """Four steps of lightness, with a ring where it is brightest."""
    shown = np.asarray(_image(facts))
    steps = np.digitize(lab_of(shown)[..., 0], (25, 50, 75))
    image = Image.fromarray(np.repeat(np.array([20, 95, 165, 240], np.uint8)[steps][..., None], 3, -1))
    _ring(ImageDraw.Draw(image), image.size, facts.bright)
    return _picture(image)


def edge_lines(facts: PictureFacts) -> Picture:
    """Short lines along the edges, the longer the stronger and straighter, over the picture made pale."""
    image = _image(facts)
    image = Image.blend(image, Image.new("RGB", image.size, "white"), 0.55)
    pen = ImageDraw.Draw(image)
    strength, coherence, twice = strokes.tensor(facts.canvas, RADIUS)
    force = np.sqrt(np.maximum(strength, 0)) * coherence
    force = np.clip(force / max(float(np.percentile(force, 95)), 1e-6), 0, 1)
    height, width = force.shape
    step, scale = max(width, height) / _GRID, max(image.size) / max(width, height)
    for top in np.arange(0, height, step):
        for left in np.arange(0, width, step):
            cell = np.s_[int(top) : int(top + step) + 1, int(left) : int(left + step) + 1]
            down, across = np.unravel_index(int(force[cell].argmax()), force[cell].shape)
            y, x = int(down) + int(top), int(across) + int(left)
            if force[y, x] < 0.15:
                continue
            along = float(twice[y, x]) / 2 + np.pi / 2
            reach = 0.48 * step * scale * float(force[y, x])
            at = ((x + 0.5) * scale, (y + 0.5) * scale)
            away = (np.cos(along) * reach, np.sin(along) * reach)
            ends = (at[0] - away[0], at[1] - away[1], at[0] + away[0], at[1] + away[1])
            pen.line(ends, fill=(20, 40, 120), width=max(2, round(_unit(image.size) / 5)))
    return _picture(image)


def variation(facts: PictureFacts, kind: str) -> Picture:
    """The picture changed in one way: "complement", "gray", "blurred", "palette" or "softer"."""
    image = _image(facts)
    if kind == "blurred":
        return _picture(image.filter(ImageFilter.GaussianBlur(max(image.size) / 40)))
    lab = lab_of(np.asarray(image)).astype(np.float64)
    if kind == "complement":
        lab[..., 1:] *= -1
    elif kind == "gray":
        lab[..., 1:] = 0
    elif kind == "softer":
        lab[..., 0] = lab[..., 0].mean() + 0.6 * (lab[..., 0] - lab[..., 0].mean())
    else:
        assert kind == "palette", kind
        codes = np.array([each.lab for each in facts.colors])
        far = np.stack([((lab - each) ** 2).sum(-1) for each in codes], -1)
        return of_pixels(np.array([each.rgb for each in facts.colors], np.uint8)[far.argmin(-1)])
    return of_pixels(rgb_of(lab))


def color_bar(colors: Sequence[Color], label: str) -> str:
    """SVG: the main colors, each as wide as its share."""
    parts, at = [], 0.0
    total = sum(each.share for each in colors)
    for each in colors:
        wide = 640 * each.share / total
        parts.append(f'<rect x="{at:.1f}" y="0" width="{wide:.1f}" height="70" fill="{each.code}"/>')
        at += wide
    return svg(640, 70, parts, label)


def swatches(codes: Sequence[str], names: Sequence[str]) -> str:
    """SVG: patches of color side by side, with their names below."""
    parts = []
    for index, (code, name) in enumerate(zip(codes, names, strict=True)):
        parts.append(
            f'<rect x="{index * 100 + 5}" y="4" width="90" height="60" rx="6" fill="{code}" stroke="currentColor" '
            f'stroke-opacity=".35"/><text x="{index * 100 + 50}" y="84" font-size="15" text-anchor="middle" '
            f'fill="currentColor">{html.escape(name)}</text>'
        )
    return svg(100 * len(codes), 92, parts, "Swatches " + ", ".join(names))


def hue_circle(colors: Sequence[Color]) -> str:
    """SVG: the main colors in the a-b plane of CIELAB; gray is the middle, the area of a dot grows with its share.

    The outer ring is the strongest of them, or a chroma of 40 where all are weaker.
    """
    parts = [
        f'<circle cx="150" cy="150" r="{radius}" fill="none" stroke="currentColor" stroke-opacity=".3"/>'
        for radius in (45, 90, 135)
    ]
    for name, across, down in (("red", 284, 145), ("yellow", 150, 12), ("green", 20, 145), ("blue", 150, 296)):
        parts.append(
            f'<text x="{across}" y="{down}" font-size="12" text-anchor="middle" fill="currentColor">{name}</text>'
        )
    scale = 130 / max(40.0, *(each.chroma for each in colors))
    for each in colors:
        x, y = 150 + each.lab[1] * scale, 150 - each.lab[2] * scale
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{5 + 22 * each.share**0.5:.1f}" fill="{each.code}" '
            'stroke="currentColor" stroke-opacity=".5"/>'
        )
    return svg(300, 300, parts, "The main colors by hue and strength")


def histogram(facts: PictureFacts) -> str:
    """SVG: how much of the picture has which lightness, from black to white."""
    counts = np.histogram(facts.canvas.light, _BINS, (0, 100))[0].astype(np.float64)
    tall, wide, parts = 110 * counts / counts.max(), 640 / _BINS, []
    for index, each in enumerate(tall):
        code = code_of(rgb_of(np.array([(index + 0.5) * 100 / _BINS, 0.0, 0.0])).tolist())
        parts.append(
            f'<rect x="{index * wide:.1f}" y="{120 - each:.1f}" width="{wide:.1f}" height="{each:.1f}" fill="{code}" '
            'stroke="currentColor" stroke-opacity=".3"/>'
        )
    for words, x, anchor in (("black", 0, "start"), ("middle gray", 320, "middle"), ("white", 640, "end")):
        parts.append(f'<text x="{x}" y="142" font-size="15" text-anchor="{anchor}" fill="currentColor">{words}</text>')
    return svg(640, 150, parts, "How much of the picture is how light")


def _image(facts: PictureFacts) -> Image.Image:
    """The picture as it is shown; a small one enlarged, for lines to be drawn on it."""
    shown = shrunk(facts.picture, SHOWN)
    image = Image.fromarray(shown.pixels.numpy())
    factor = SHOWN // (2 * max(image.size))
    return (
        image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST) if factor > 1 else image
    )


def _picture(image: Image.Image) -> Picture:
    return of_pixels(np.array(image))


def _unit(size: tuple[int, int]) -> float:
    return max(size) / 60


def _line(pen: ImageDraw.ImageDraw, ends: Sequence[float], color: tuple[int, int, int] = _LINE) -> None:
    """On dark and on bright ground alike."""
    pen.line(tuple(ends), fill=_UNDER, width=5)
    pen.line(tuple(ends), fill=color, width=2)


def _ring(pen: ImageDraw.ImageDraw, size: tuple[int, int], at: tuple[float, float]) -> None:
    x, y, radius = at[0] * size[0], at[1] * size[1], _unit(size) * 2.2
    for color, wide in ((_UNDER, 6), (_MARK, 3)):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=wide)
