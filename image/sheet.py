"""Several pictures on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from clavilux.image.picture import Picture
from clavilux.stamp import joined

__all__ = ["contact_sheet"]


GAP = 4  # pixels between the pictures and around them, unless told
LABEL_HEIGHT = 18  # pixels below a picture that has one


def contact_sheet(
    pictures: Sequence[Picture], columns: int | None = None, gap: int = GAP, labels: Sequence[str] = ()
) -> Picture:
    """Pictures row by row on white; the receipt holds theirs, in that order.

    Args:
        pictures: one or more, all of one size.
        columns: pictures in a row; about as many as there are rows if None.
        gap: white pixels between pictures and around them.
        labels: what is written below each; nothing if empty. What is wider than its picture is cut off.

    Raises:
        ValueError: no pictures, pictures of several sizes, or no such columns; or another number of labels.
    """
    sizes = {(picture.height, picture.width) for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"a sheet takes pictures of one size; these have {len(sizes)}")
    columns = math.ceil(math.sqrt(len(pictures))) if columns is None else columns
    if type(columns) is not int or columns < 1:
        raise ValueError(f"columns is {columns!r}; it should be a whole number from 1")
    if labels and len(labels) != len(pictures):
        raise ValueError(f"there are {len(labels)} labels for {len(pictures)} pictures; each should have one")
    (height, width), rows = sizes.pop(), math.ceil(len(pictures) / columns)
    below = LABEL_HEIGHT if labels else 0
    sheet = torch.full((gap + rows * (height + below + gap), gap + columns * (width + gap), 3), 255, dtype=torch.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + below + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture.pixels
        if labels:
            sheet[top + height : top + height + below, left : left + width] = _written(labels[number], width)
    receipt = {"columns": columns, "pictures": [picture.receipt for picture in pictures]}
    return Picture(sheet, receipt=receipt, stamp=joined([picture.stamp for picture in pictures]))


def _written(text: str, width: int) -> torch.Tensor:
    """uint8 [LABEL_HEIGHT, width, 3]: black on white."""
    strip = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    ImageDraw.Draw(strip).text((2, 2), text, "black", ImageFont.load_default(13))
    return torch.from_numpy(np.array(strip))
