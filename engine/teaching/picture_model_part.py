"""How a picture was painted, token by token: how certain the model was, and what else it might have painted.

Knows models that paint from tokens, and receipts. Does not know what is in the picture (`picture_lesson`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from torch import Tensor

from clavilux.image.picture import Picture
from clavilux.image_model import ImageModel
from clavilux.loading import load
from clavilux.mark_key import PUBLIC
from clavilux.teaching.galleries import Cell, gallery
from clavilux.teaching.lesson import Block, Drawing, Image, Row, Text
from clavilux.teaching.model_part import BITS, CANDIDATES, PLACES, entropy_bits, percent
from clavilux.teaching.picture_drawings import dimmed, of_pixels

PAINTER: Final = "lumia"  # comes with this program, so that its pictures can be painted again
TEMPERATURES, GUIDANCES = (0.0, 1.0), (1.0, 2.0, 4.0)  # beside the picture's own
_STAGES = 4
_SHOWN = 512  # pixels of the longer side of what is drawn on
_SAME = 12.0  # levels of 255 that a place may differ by, on the mean, when it was painted again: a JPEG's loss
_ALL_CERTAIN = 1e-4  # instead of a temperature of 0


def how_painted(picture: Picture, model: ImageModel | None, device: str) -> list[Block]:
    """Of a picture whose receipt has a model: what can be shown of its making, or why nothing can.

    Args:
        picture: with its receipt.
        model: what painted it just now; None where it was read.
        device: where the bundled painter looks at one that was read.
    """
    if model is None:
        if picture.receipt["model"] != PAINTER:
            return []
        model = load(PAINTER, device=device)
        if picture.receipt.get("fingerprint") != model.family.identity["fingerprint"]:
            return [Text(f"Another version of {PAINTER} painted it than is here, so its steps cannot be shown.")]
        again = _again(model, picture.receipt)
        if again is None or not _alike(picture, again):
            return [
                Text(
                    "Painted here once more with what its file says, it comes out otherwise: it was changed later, or "
                    "begun from another picture. So its steps cannot be shown."
                )
            ]
        picture = again
    return _Making(model, picture).blocks()


class _Making:
    """A picture that a model painted, with what the model gave each token.

    Attributes:
        bits: float32 [rows, cols], of each place, as it was drawn.
        logits: float32 [K, rows * cols, V], with the picture's guidance, before its temperature.
        places: those that are looked at, in the order of painting.
    """

    def __init__(self, model: ImageModel, picture: Picture) -> None:
        assert picture.tokens is not None, "the model has just painted it"
        self.model, self.picture, self.tokens = model, picture, picture.tokens
        self.prompt, settings = picture.receipt["prompt"], picture.receipt["settings"]
        self.temperature, self.guidance = float(settings["temperature"]), settings["guidance"]
        self.patch = model.family.stage.codec.downsampling
        self.columns = picture.width // self.patch
        self.logits = self._logits(self.guidance)
        self.bits = self._bits(self.logits, self.temperature).view(-1, self.columns)
        self.places = _some_places(entropy_bits(self.logits[0]))

    def blocks(self) -> list[Block]:
        """All of them, in the order of the page."""
        codebooks, places, vocabulary = self.logits.shape
        rows, patch = places // self.columns, self.patch
        made_of = (
            f"A place is {codebooks} tokens, each one of {vocabulary}: the first says most, the others refine it."
            if codebooks > 1
            else f"A place is a token, one of {vocabulary}."
        )
        most = int(self.bits.flatten().argmax())
        cooled = (
            f", and after the arrow what *temperature* {self.temperature:g} makes of it: below 1 the likely becomes "
            "likelier still"
            if self.temperature != 1
            else ""
        )
        blocks: list[Block] = [
            Text(
                f"It was painted place by place, row by row from the upper left: {self.columns} x {rows} places of "
                f"{patch} x {patch} pixels. {made_of} Before each token the model gives every possible one a share, "
                f"and one is drawn. {BITS}"
            ),
            Drawing("rows", self._rows()),
            Text(
                f"Here a place had {float(self.bits.mean()):.1f} bits on the whole. The most open one, "
                f"{float(self.bits.flatten()[most]):.1f} bits, is in row {most // self.columns + 1}, column "
                f"{most % self.columns + 1}."
            ),
            Row((
                Image("places", "The picture with ten places numbered", self._numbered(),
                      "Ten places, five where the first token was most open and five of the others, numbered as they "
                      "were painted."),
                Image("openness", "The picture, dark where the model was sure", self._openness(),
                      "Dark where the model was sure, bright where it could have painted something else."),
            )),
            Text(
                "At each of these places: the likeliest first tokens, and the picture around it as it would be with "
                "them, all else as it was painted. The frame is what was drawn. The number is the model's own share"
                f"{cooled}."
            ),
            Drawing("candidates", self._candidates(), wide=True),
            Text(
                "The same words and the same seed at other temperatures. At 0 the likeliest token is always taken; the "
                "higher it is, the more is ventured, and the more fails."
            ),
            Drawing("temperatures", self._temperatures()),
        ]  # fmt: skip
        if self.prompt:
            blocks += [
                Text(
                    "And with other *guidance*: the model is asked twice, with the words and without, and the "
                    "difference is counted so many times. At 1 the words weigh as they did in training."
                ),
                Drawing("guidances", self._guidances()),
            ]
        return blocks

    def _logits(self, guidance: float | str) -> Tensor:
        controls = _controls(self.model, self.picture.receipt)
        size = self.picture.width
        return self.model.logits(self.tokens, prompt=self.prompt, size=size, guidance=guidance, **controls)

    def _bits(self, logits: Tensor, temperature: float) -> Tensor:
        """Of each place, those of its tokens summed: float32 [rows * cols]."""
        return entropy_bits(logits / (temperature or _ALL_CERTAIN)).sum(0)

    def _rows(self) -> str:
        total = self.tokens.shape[1] // self.columns
        cells = []
        for stage in range(1, _STAGES + 1):
            rows = max(1, total * stage // _STAGES)
            part = self.model.decode(self.tokens[:, : rows * self.columns], rows=rows)
            pixels = np.full((self.picture.height, self.picture.width, 3), 128, np.uint8)
            pixels[: part.height] = part.pixels.numpy()
            cells.append(Cell(of_pixels(pixels), (f"after {rows} of {total} rows",)))
        return gallery(cells, _STAGES, "The picture as it was painted")

    def _numbered(self) -> Picture:
        image = _enlarged(self.picture)
        pen, side = ImageDraw.Draw(image), self.patch * image.width / self.picture.width
        for number, place in enumerate(self.places, 1):
            x, y = place % self.columns * side, place // self.columns * side
            pen.rectangle((x, y, x + side, y + side), outline="black", width=4)
            pen.rectangle((x + 1, y + 1, x + side - 1, y + side - 1), outline="white", width=2)
            font = ImageFont.load_default(max(14, round(side * 0.45)))
            middle = (x + side / 2, y + side / 2)
            pen.text(middle, str(number), "white", font, anchor="mm", stroke_width=3, stroke_fill="black")
        return of_pixels(np.array(image))

    def _openness(self) -> Picture:
        strength = self.bits / self.bits.max().clamp(min=1e-6)
        return dimmed(_enlarged(self.picture), strength.numpy(), PillowImage.Resampling.NEAREST)

    def _candidates(self) -> str:
        cells = []
        for number, place in enumerate(self.places, 1):
            drawn = int(self.tokens[0, place])
            own = self.logits[0, place].softmax(-1)
            cooled = (self.logits[0, place] / (self.temperature or _ALL_CERTAIN)).softmax(-1)
            likely = own.topk(CANDIDATES).indices.tolist()
            shown = likely if drawn in likely else [*likely[:-1], drawn]
            for each in shown:
                words = percent(float(own[each]))
                if self.temperature != 1:
                    words += f" → {percent(float(cooled[each]))}"
                first = str(number) if each == shown[0] else ""
                cells.append(Cell(self._with(place, each), (words,), each == drawn, first))
        return gallery(cells, 2 * CANDIDATES, "Ten places with the likeliest tokens of each")

    def _with(self, place: int, token: int) -> Picture:
        """The 3 x 3 places around one, with another first token there."""
        tokens = self.tokens.clone()
        tokens[0, place] = token
        row, column = divmod(place, self.columns)
        rows, patch = tokens.shape[1] // self.columns, self.patch
        top, left = max(0, min(row - 1, rows - 3)) * patch, max(0, min(column - 1, self.columns - 3)) * patch
        pixels = self.model.decode(tokens, rows=rows).pixels
        return Picture(pixels[top : top + 3 * patch, left : left + 3 * patch].clone())

    def _temperatures(self) -> str:
        asked = sorted({self.temperature, *TEMPERATURES})
        cells = [
            self._other(
                f"temperature {each:g}", each == self.temperature, self._bits(self.logits, each), temperature=each
            )
            for each in asked
        ]
        return gallery(cells, len(cells), "The same at other temperatures")

    def _guidances(self) -> str:
        asked = [self.guidance, *(each for each in GUIDANCES if each != self.guidance)]
        if not isinstance(self.guidance, str):
            asked.sort()
        cells = [
            self._other(
                f"guidance {each if isinstance(each, str) else format(each, 'g')}", each == self.guidance,
                self._bits(self._logits(each), self.temperature), guidance=each,
            )
            for each in asked
        ]  # fmt: skip
        return gallery(cells, len(cells), "The same with other guidance")

    def _other(self, name: str, own: bool, bits: Tensor, **changed: Any) -> Cell:
        picture = self.picture if own else _painted(self.model, self.picture.receipt, **changed)
        return Cell(picture, (name, f"{float(bits.mean()):.1f} bits a place"), own)


def _some_places(bits: Tensor) -> list[int]:
    """Half of `PLACES` the most open, half evenly from there to the surest, in the order of painting; bits [N]."""
    order = bits.argsort(descending=True)
    half = min(PLACES, len(order)) // 2
    rest = np.linspace(half, len(order) - 1, min(PLACES, len(order)) - half).round().astype(int)
    return sorted(order[[*range(half), *rest.tolist()]].tolist())


def _controls(model: ImageModel, receipt: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in receipt["controls"].items() if name in model.family.accepts}


def _painted(model: ImageModel, receipt: dict[str, Any], **changed: Any) -> Picture:
    settings = {name: receipt["settings"][name] for name in ("temperature", "top_k", "top_p", "guidance")}
    return model.generate(
        receipt["prompt"], seed=receipt["seed"], size=receipt["size"], mark=receipt.get("mark") == {"key": PUBLIC.id},
        **_controls(model, receipt), **(settings | changed),
    )  # fmt: skip


def _again(model: ImageModel, receipt: dict[str, Any]) -> Picture | None:
    """What a file's receipt says, painted; None where it is not one of this model, since a file can say anything."""
    try:
        return _painted(model, receipt)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _alike(one: Picture, other: Picture) -> bool:
    """Whether no 8 x 8 pixels differ by more than a file's compression."""
    if (one.width, one.height) != (other.width, other.height):
        return False
    far = (one.pixels.float() - other.pixels.float()).abs().mean(-1)
    return float(torch.nn.functional.avg_pool2d(far[None], 8).max()) < _SAME


def _enlarged(picture: Picture) -> PillowImage.Image:
    factor = max(1, _SHOWN // max(picture.width, picture.height))
    image = PillowImage.fromarray(picture.pixels.numpy())
    return image.resize((image.width * factor, image.height * factor), PillowImage.Resampling.NEAREST)
