"""Several pictures on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from clavilux.image.picture import Picture

__all__ = ["contact_sheet"]


def contact_sheet(pictures: Sequence[Picture], columns: int | None = None, gap: int = 4) -> Picture:
    """Pictures row by row on white; the receipt holds theirs, in that order.

    Args:
        pictures: one or more, all of one size.
        columns: pictures in a row; about as many as there are rows if None.
        gap: white pixels between pictures and around them.

    Raises:
        ValueError: no pictures, pictures of several sizes, or no such columns.
    """
    sizes = {(picture.height, picture.width) for picture in pictures}
    if len(sizes) != 1:
        raise ValueError(f"a sheet takes pictures of one size; these have {len(sizes)}")
    columns = math.ceil(math.sqrt(len(pictures))) if columns is None else columns
    if type(columns) is not int or columns < 1:
        raise ValueError(f"columns is {columns!r}; it should be a whole number from 1")
    (height, width), rows = sizes.pop(), math.ceil(len(pictures) / columns)
    sheet = torch.full((gap + rows * (height + gap), gap + columns * (width + gap), 3), 255, dtype=torch.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture.pixels
    return Picture(sheet, receipt={"columns": columns, "pictures": [picture.receipt for picture in pictures]})
