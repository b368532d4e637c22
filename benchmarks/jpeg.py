"""What JPEG makes of a small picture in so many bytes: what codecs and autoencoders are set beside."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def jpeg_at(levels: np.ndarray, size: float) -> tuple[float, int] | None:
    """(dB, bytes without the tables) of the best JPEG of at most `size` bytes; None where none is so small.

    Args:
        levels: uint8 [H, W, 3].
        size: bytes, the tables not counted: of a small picture they are most of the file, and always the same.
    """
    for quality in range(95, 0, -2):
        file = io.BytesIO()
        Image.fromarray(levels).save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        scan = len(data) - data.rindex(b"\xff\xda") - 14  # after the scan's header, the end mark not counted
        if scan <= size:
            again = np.asarray(Image.open(file)).astype(np.float64)
            return float(-10 * np.log10(max(1e-10, np.square((again - levels) / 255).mean()))), scan
    return None
