"""A picture's lesson put together: what is measured, drawn on it; the same made otherwise; its making; questions.

Knows the sections and their words. Does not know how anything is measured (`picture_facts`) or drawn
(`picture_drawings`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clavilux.image.picture import Picture
from clavilux.image_model import ImageModel
from clavilux.teaching import picture_drawings as drawings
from clavilux.teaching.lesson import Block, Drawing, Image, Lesson, Row, Section, Table, Text
from clavilux.teaching.picture_arts import seen_by_others
from clavilux.teaching.picture_exercises import exercises
from clavilux.teaching.picture_facts import DIRECTIONS, PictureFacts, picture_facts
from clavilux.teaching.picture_model_part import how_painted

_HARMONY = {
    "no hue": "none of them is more than gray",
    "one hue": "all are of one hue, lighter and darker: quiet, held together by itself",
    "neighbors": "their hues are neighbors on the circle: they agree, and light has to bring the contrast",
    "opposites": "their hues lie opposite each other: complements, which make each other look stronger",
    "a triad": "their hues lie in three places of the circle, far from each other: a triad, lively and balanced",
    "far hues": "their hues lie far from each other, in none of these orders: one, neighbors, opposites, a triad",
}


def picture_lesson(
    picture: Picture,
    title: str,
    seed: int,
    made: dict[str, Any],
    painter: ImageModel | None = None,
    device: str = "auto",
) -> Lesson:
    """The lesson of a picture.

    Args:
        picture: 32 pixels a side at least.
        title: its name.
        seed: of the exercises.
        made: the lesson's own receipt; that of the picture, if it has one, is read from the picture.
        painter: the model that has just painted it.
        device: where networks look at it.

    Raises:
        ValueError: as `picture_facts`.
    """
    facts = picture_facts(picture, title)
    sections = [composition(facts), palette(facts), light(facts), edges(facts), variations(facts)]
    sections.append(seen_by_others(picture, seed, device))
    found = facts.as_dict()
    painted = painting(picture)
    if painted:
        found |= painted
        words = " ".join(f"{name.capitalize()}: {value}." for name, value in painted.items())
        said = "" if painter is not None else "The file says of itself how it was made. "
        blocks = how_painted(picture, painter, device) if "model" in painted else []
        sections.append(Section("How it was painted", (Text(f"{said}{words}"), *blocks)))
    asked = exercises(facts, seed)
    sections.append(Section("Look for yourself", tuple(asked)))
    lead = (
        f"{picture.width} x {picture.height} pixels: where they weigh, which colors they have, where the light is and "
        "how the edges run, each drawn on the picture; then questions. What is said here is measured. It says how the "
        "picture is built, not whether it is good, and it does not know what is shown."
    )
    on = "A lesson on" if painter is None else "A lesson on:"
    return Lesson(f"{on} {title}", lead, found, tuple(sections), made, picture.remarks)


def painting(picture: Picture) -> dict[str, Any]:
    """Prompt, seed and model of a picture whose file says so; empty for all others."""
    return {
        name: picture.receipt[name]
        for name in ("prompt", "seed", "model")
        if isinstance(picture.receipt.get(name), (str, int)) and picture.receipt[name] != ""
    }


def composition(facts: PictureFacts) -> Section:
    """Thirds, balance, what stands out."""
    x, y = facts.center
    sides = _side(x, "left", "right"), _side(y, "top", "bottom")
    leans = " and to the ".join(each for each in sides if each)
    balance = f"leans to the {leans}" if leans else "lies in the middle: it is balanced"
    px, py = facts.peak
    near = min(
        ((a, b) for a in (1 / 3, 2 / 3) for b in (1 / 3, 2 / 3)), key=lambda at: np.hypot(at[0] - px, at[1] - py)
    )
    away = float(np.hypot(near[0] - px, near[1] - py))
    where = f"{'upper' if near[1] < 0.5 else 'lower'} {'left' if near[0] < 0.5 else 'right'}"
    third = (
        f"It is near the {where} crossing of the thirds, where many pictures put what matters."
        if away < 0.1
        else "It is not near a crossing of the thirds, where many pictures put what matters."
    )
    blocks: tuple[Block, ...] = (
        Image("picture", f"The picture {facts.title}", drawings.shown(facts)),
        Text(
            "What differs from the rest draws the eye, and weighs. Here a place weighs by how far its color is "
            f"from the picture's mean color. The weight of this picture {balance} (the cross, {x:.0%} from the left, "
            f"{y:.0%} from the top). The ring is the place that stands out most. {third}"
        ),
        Image("composition", "The picture with lines at its thirds, a cross at its balance, a ring at what stands out",
              drawings.composition(facts), "Thirds, balance (cross), what stands out most (ring)."),
        Image("standing out", "The picture, dark where little stands out", drawings.standing_out(facts),
              "The same, dark where nothing stands out by its color."),
    )  # fmt: skip
    return Section("Composition", blocks)


def palette(facts: PictureFacts) -> Section:
    """Main colors, harmony, warm and cool."""
    rows = tuple(
        (
            each.code,
            f"{each.share:.0%}",
            f"{each.lab[0]:.0f}",
            f"{each.chroma:.0f}",
            _temperature(each.chroma, each.lab),
        )
        for each in facts.colors
    )
    names = ", ".join(f"{each.code} {each.share:.0%}" for each in facts.colors)
    blocks: tuple[Block, ...] = (
        Text(
            f"The main colors, each as wide as its share; {_HARMONY[facts.harmony]}. {facts.warm_share:.0%} of the "
            "picture is in warm colors, pink to yellow; the rest is cool or gray."
        ),
        Drawing("colors", drawings.color_bar(facts.colors, f"Main colors: {names}")),
        Row((
            Drawing("hues", drawings.hue_circle(facts.colors),
                    "By hue: opposite ones are complements; gray is the middle, strong color is outside."),
            Table(("color", "share", "lightness", "strength", "it is"), rows),
        )),
    )  # fmt: skip
    return Section("Colors", blocks)


def light(facts: PictureFacts) -> Section:
    """Histogram, steps of light, the brightest place."""
    mean = float(facts.canvas.light.mean())
    key = "light, in high key" if mean > 65 else "dark, in low key" if mean < 35 else "of middle lightness"
    wide = "wide" if facts.contrast > 65 else "narrow" if facts.contrast < 35 else "middling"
    blocks: tuple[Block, ...] = (
        Text(
            f"On a scale from 0, black, to 100, white, the picture is at {mean:.0f} on the whole: {key}. Nine tenths "
            f"of it lie within {facts.contrast:.0f} steps: its contrast is {wide}."
        ),
        Drawing("histogram", drawings.histogram(facts), "How much of the picture is how light."),
        Image("light", "The picture in four steps from black to white, a ring at its brightest place",
              drawings.light(facts), "Only four steps of light, as half closed eyes see it. The ring is where it is "
              "brightest."),
    )  # fmt: skip
    return Section("Light", blocks)


def edges(facts: PictureFacts) -> Section:
    """How edges and strokes run."""
    order = np.argsort(-facts.directions)
    shares = ", ".join(f"{DIRECTIONS[each]} {facts.directions[each]:.0%}" for each in order)
    straight = (
        "straight and clear" if facts.coherence > 0.6 else "broken and grainy" if facts.coherence < 0.4 else "mixed"
    )
    return Section("Edges and strokes", (
        Text(
            f"Where lightness changes there is an edge, and it has a direction. Of this picture's edges: {shares}. "
            "Level ones calm, upright ones hold, slanting ones move. On the whole they are "
            f"{straight} ({facts.coherence:.2f} on a scale where 1 is a ruler's line)."
        ),
        Image("edges", "The picture, pale, with lines along its edges", drawings.edge_lines(facts),
              "Lines along the edges, the longer the stronger and straighter."),
    ))  # fmt: skip


def variations(facts: PictureFacts) -> Section:
    """The picture, changed in one thing at a time."""
    kinds = (
        ("complement", "*In complementary colors*: the same light, every hue turned to its opposite."),
        ("gray", "*In grays*: the same light without hues. What could be told apart only by its color is gone."),
        ("blurred", "*Without detail*: what is left is the composition."),
        ("palette", f"*In {len(facts.colors)} colors*: only the main ones."),
    )
    shown = [Image(kind, words.replace("*", ""), drawings.variation(facts, kind), words) for kind, words in kinds]
    return Section("The same, changed in one thing", (
        Text("What does each of them take away, and what stays?"), Row(tuple(shown[:2])), Row(tuple(shown[2:])),
    ))  # fmt: skip


def _side(share: float, first: str, second: str) -> str:
    return first if share < 0.46 else second if share > 0.54 else ""


def _temperature(chroma: float, lab: tuple[float, float, float]) -> str:
    return "gray" if chroma <= 8 else "warm" if lab[1] + lab[2] > 0 else "cool"
