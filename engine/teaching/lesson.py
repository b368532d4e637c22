"""A lesson: sections of text, sounds, pictures and exercises, and the page that it becomes.

Knows blocks and pages. Does not know what is taught.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage

from clavilux import html_page
from clavilux.audio import io as sound_files
from clavilux.audio.clip import Audio
from clavilux.audio.loudness import integrated_loudness
from clavilux.audio.score import Score
from clavilux.files import PathLike, atomic_path, check_ending
from clavilux.image import io as picture_files
from clavilux.image.picture import Picture

LEVELS = ("first", "second", "third")
_SIDE = 720  # pixels of a picture in a page
_SMALL = 256  # a picture whose sides are no longer is shown by its pixels
_LUFS, _PEAK = -18.0, 0.95  # of every sound
_RATE = 44100  # Hz, of sound at a rate that mp3 does not have


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True)
class Sound:
    """Something to hear."""

    name: str
    caption: str
    clip: Audio


@dataclass(frozen=True)
class Drawing:
    """An SVG that explains; `wide` ones scroll on a narrow screen."""

    name: str
    svg: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Image:
    """A picture, with what it shows for those who cannot see it."""

    name: str
    alt: str
    picture: Picture
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of words under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Row:
    """Blocks side by side."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class Exercise:
    """A question with its answer.

    Attributes:
        topic: what is trained: "intervals", "chords", "cadences", "metre", "harmony", "phrases", "composition", ...
        level: 1 to 3.
        question: what is asked.
        choices: what can be chosen; () where the answer is uncovered instead.
        answer: one of the choices, or what is uncovered.
        why: a sentence that explains it.
        shown: what is heard or seen with the question.
        after: what is heard or seen with the answer.
        score: the notes that the answer follows from, where it follows from notes.
        given: numbers that it follows from beside them; plain JSON values.
    """

    topic: str
    level: int
    question: str
    choices: tuple[str, ...]
    answer: str
    why: str
    shown: tuple[Block, ...] = ()
    after: tuple[Block, ...] = ()
    score: Score | None = None
    given: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert not self.choices or self.answer in self.choices, f"{self.answer!r} is among {self.choices}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: question, choices, answer and why."""
        return {
            "topic": self.topic, "level": self.level, "question": self.question, "choices": list(self.choices),
            "answer": self.answer, "why": self.why,
        } | ({"given": self.given} if self.given else {})  # fmt: skip


Block = Text | Sound | Drawing | Image | Table | Row | Exercise


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a lesson."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Lesson:
    """What `clavilux.teach` makes.

    Attributes:
        title, lead: of the page.
        facts: the numbers and names that were found; plain JSON values.
        sections: in the order of the page.
        receipt: what the lesson is of and how it was made; plain JSON values.
        remarks: what was left out or found wrong with a file, sentences without their end.
    """

    title: str
    lead: str
    facts: dict[str, Any]
    sections: tuple[Section, ...]
    receipt: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def sounds(self) -> dict[str, Audio]:
        """What is heard in the explanations, by name."""
        return {each.name: each.clip for each in self._explaining() if isinstance(each, Sound)}

    @property
    def pictures(self) -> dict[str, Picture | str]:
        """What is seen in the explanations, by name: pictures, and drawings as SVG."""
        found: dict[str, Picture | str] = {}
        for each in self._explaining():
            if isinstance(each, Image):
                found[each.name] = each.picture
            elif isinstance(each, Drawing):
                found[each.name] = each.svg
        return found

    @property
    def exercises(self) -> list[Exercise]:
        """All of them, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Exercise)]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: title, facts, exercises, receipt, remarks."""
        return {
            "title": self.title, "facts": self.facts, "exercises": [each.as_dict() for each in self.exercises],
            "receipt": self.receipt, "remarks": list(self.remarks),
        }  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """The facts that are one number or one name."""
        return {name: value for name, value in self.facts.items() if isinstance(value, (str, int, float))}

    def html(self) -> str:
        """The page, with all that it plays and shows inside."""
        names = [f"part-{number}" for number in range(1, len(self.sections) + 1)]
        parts = [html_page.heading(self.title, 1), html_page.paragraph(self.lead, "lead")]
        parts.append(html_page.links([(n, s.title) for n, s in zip(names, self.sections, strict=True)]))
        for name, section in zip(names, self.sections, strict=True):
            parts += [html_page.heading(section.title, 2, name), *_blocks(section.blocks)]
        made = json.dumps(self.receipt, ensure_ascii=False)
        parts += [html_page.paragraph(f"{remark}.", "from") for remark in self.remarks]
        parts.append(f"<details><summary>How this page was made</summary>{html_page.paragraph(made, 'from')}</details>")
        return html_page.page(self.title, "\n".join(parts))

    def save(self, path: PathLike) -> None:
        """Write the page.

        Args:
            path: .html; written beside it first, then renamed.

        Raises:
            ValueError: another ending, or a place where nothing can be written.
            OSError: writing failed; nothing is left behind.
        """
        check_ending(path, (".html",))
        payload = self.html().encode()
        with atomic_path(path) as temporary:
            Path(temporary).write_bytes(payload)

    def __repr__(self) -> str:
        return f"Lesson({self.title!r}, {len(self.sections)} sections, {len(self.exercises)} exercises)"

    def _explaining(self) -> Iterator[Block]:
        for section in self.sections:
            yield from _flat([block for block in section.blocks if not isinstance(block, Exercise)])


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Row):
            yield from _flat(block.blocks)
        else:
            yield block


def _blocks(blocks: Sequence[Block]) -> list[str]:
    """HTML of each, with a heading where the level of the exercises changes."""
    found: list[str] = []
    level = 0
    for block in blocks:
        if isinstance(block, Exercise) and block.level != level:
            level = block.level
            found.append(html_page.heading(f"{LEVELS[level - 1].capitalize()} level", 3))
        found.append(_block(block))
    return found


def _block(block: Block) -> str:
    match block:
        case Text():
            return html_page.paragraph(block.words)
        case Sound():
            return html_page.sound(_mp3(block.clip), ".mp3", block.caption)
        case Drawing():
            return html_page.drawing(block.svg, block.caption, wide=block.wide)
        case Image():
            return _image(block)
        case Table():
            return html_page.table(block.head, block.rows)
        case Row():
            return html_page.row([_block(each) for each in block.blocks])
        case Exercise():
            return html_page.question(
                block.question, "".join(_blocks(block.shown)), block.choices, block.answer, block.why,
                "".join(_blocks(block.after)),
            )  # fmt: skip


def _mp3(clip: Audio) -> bytes:
    """One channel, which is enough to learn from and half as long to load, at one loudness for all of a page.

    The peak keeps below full scale by the gain alone: the limiter of `save` takes longer than all else of a page.
    """
    mono = clip.to_mono()
    samples, rate = mono.samples, mono.sample_rate
    if rate not in sound_files.MP3_RATES:
        rate = _RATE
        samples = mono.resample(rate).samples
    loudness, peak = integrated_loudness(samples, rate), float(samples.abs().max())
    if loudness > -math.inf:
        samples = samples * min(10 ** ((_LUFS - loudness) / 20), _PEAK / max(peak, 1e-9))
    return sound_files.encode(samples, rate, ".mp3")


def _image(block: Image) -> str:
    shown = block.picture
    small = max(shown.width, shown.height) <= _SMALL
    if max(shown.width, shown.height) > _SIDE:
        shown = shrunk(shown, _SIDE)
    ending = ".png" if small else ".jpg"
    payload = picture_files.encode(shown.pixels, ending)
    return html_page.picture(payload, ending, block.alt, block.caption, pixels=small)


def shrunk(picture: Picture, side: int) -> Picture:
    """A picture whose longer side is at most so many pixels (Lanczos)."""
    image = PillowImage.fromarray(picture.pixels.numpy())
    image.thumbnail((side, side), PillowImage.Resampling.LANCZOS)
    return Picture(torch.from_numpy(np.array(image)), origin=picture.origin)
