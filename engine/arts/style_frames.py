"""Style of moving pictures: a video, an animated GIF or WebP, or a folder of frames; each frame in one style.

Knows where frames come from and go to, how flicker is lowered and measured, and receipts. Does not know networks.
Frames are read, styled and written one at a time, so memory does not grow with the length; sound is not carried over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from clavilux.arts.inputs import Painting, loaded
from clavilux.arts.style import Likes, Styler
from clavilux.checks import number_from
from clavilux.files import PathLike, check_new_folder, new_folder
from clavilux.image.animation import ENDINGS, FASTEST, check_animation, write_animation
from clavilux.image.arts.flicker import Flicker, Meter, Steadier
from clavilux.image.frames import VIDEOS, Frames, open_frames
from clavilux.image.io import write_picture
from clavilux.image.picture import Picture
from clavilux.provenance.stamp import CredentialStamp, stamp_of
from clavilux.stamp import Stamp

STEADY = 0.8
Progress = Callable[[int, int | None], None]  # (frames that are done, frames in all where that is known)


class Moving(NamedTuple):
    """What was made.

    Attributes:
        frames: how many.
        fps: frames a second of the file; of a folder, that of its source.
        width, height: pixels.
        receipt: as of a `Picture`; the file, or each file of a folder, keeps it.
        flicker: changes from frame to frame as it was written.
        unsteadied: the same, had no frame been mixed with the one before.
        timings: seconds by part.
    """

    frames: int
    fps: float
    width: int
    height: int
    receipt: dict[str, Any]
    flicker: Flicker
    unsteadied: Flicker
    timings: dict[str, float]

    def facts(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        numbers = {name: round(value, 4) for name, value in self.flicker._asdict().items()}
        return {
            **{name: getattr(self, name) for name in ("frames", "fps", "width", "height", "receipt", "timings")},
            **numbers,
            "still_change_unsteadied": round(self.unsteadied.still_change, 4),
        }


class _Target(Protocol):
    def add(self, pixels: Tensor) -> None: ...


def check_target_of_frames(path: PathLike) -> None:
    """Raise ValueError unless moving pictures can be written here: .gif, .webp, .mp4, or a new folder."""
    if Path(path).suffix:
        check_animation(path, 1)
    else:
        check_new_folder(path)


def style_frames(
    source: PathLike,
    target: PathLike,
    like: Likes | None = None,
    paintings: Sequence[Painting] = (),
    *,
    steady: float = STEADY,
    strength: float = 1.0,
    original_colors: bool = False,
    mask: Picture | PathLike | None = None,
    stroke: float = 1.0,
    seed: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    preview: PathLike | None = None,
) -> Moving:
    """Every frame of moving pictures in one style.

    Args:
        source: a video (where ffmpeg is on the PATH), an animated gif or webp, or a folder of pictures of one size.
        target: .gif, .webp or .mp4 (where ffmpeg is); or a name without an ending: a new folder of png files.
        steady: 0 to 1; how much of the styled frame before is kept where the source stands still. 0 makes each frame by
            itself, which flickers.
        like, paintings, strength, original_colors, mask, stroke, seed, device: as for `clavilux.style`.
        progress: called after each frame.
        preview: a picture file that shows the last frame so far.

    Returns:
        `Moving`.

    Raises:
        ValueError: as `clavilux.style`; or there are no frames, or the target cannot be written.
        OSError: writing failed; nothing is left behind.
    """
    share = number_from("steady", steady, 0, 1)
    check_target_of_frames(target)
    where = None if mask is None else loaded(mask)
    started = time.perf_counter()
    styler = Styler(
        like, paintings, strength=strength, original_colors=original_colors, stroke=stroke, seed=seed, device=device
    )
    weights_s = time.perf_counter() - started
    with open_frames(source) as frames:
        fps = _rate(frames.fps, target)
        receipt = styler.settings | {"source": Path(source).name, "fps": fps}
        if Path(source).suffix.lower() in VIDEOS:
            receipt["notes"] = [*styler.settings["notes"], "the sound of a video is left out"]
        receipt["controls"] = styler.settings["controls"] | {"steady": share}
        picture = source if Path(source).is_file() else None
        stamp = stamp_of(picture=picture, painting=styler.works, mask=where)
        with _written(target, frames, fps, receipt, stamp) as written:
            count, meters = 0, (Meter(), Meter())
            steadier = Steadier(share)
            for before in frames:
                styled = styler(Picture(before), where).pixels
                after = steadier(before, styled)
                written.add(after)
                for meter, found in zip(meters, (after, styled), strict=True):
                    meter.add(before, found)
                count += 1
                if preview is not None:
                    write_picture(preview, after, receipt=receipt, stamp=stamp.by_hash())
                if progress is not None:
                    progress(count, frames.count)
    timings = {"weights_s": round(weights_s, 6), "style_s": round(time.perf_counter() - started - weights_s, 6)}
    return Moving(
        count, fps, frames.width, frames.height, receipt, meters[0].read(), meters[1].read(), timings
    )  # fmt: skip


def _rate(fps: float, target: PathLike) -> int:
    """Frames a second as the target can show them."""
    return max(1, min(round(fps), FASTEST.get(Path(target).suffix.lower(), 1000)))


def _written(
    target: PathLike, frames: Frames, fps: int, receipt: dict[str, Any], stamp: CredentialStamp
) -> AbstractContextManager[_Target]:
    if Path(target).suffix.lower() in ENDINGS:
        return write_animation(target, fps, receipt, stamp=stamp)
    return _folder(target, frames.names, receipt, stamp.by_hash())


@contextmanager
def _folder(target: PathLike, names: tuple[str, ...], receipt: dict[str, Any], stamp: Stamp) -> Iterator[_Target]:
    """A folder that takes its name when all frames are in it."""
    with new_folder(target) as place:
        yield _Folder(place, names, receipt, stamp)


class _Folder:
    def __init__(self, place: Path, names: tuple[str, ...], receipt: dict[str, Any], stamp: Stamp) -> None:
        self._place, self._names, self._receipt, self._stamp, self._count = place, names, receipt, stamp, 0

    def add(self, pixels: Tensor) -> None:
        name = self._names[self._count] if self._names else f"frame-{self._count + 1:05}"
        self._count += 1
        path = self._place / f"{name}.png"
        if path.exists():  # of a.jpg and a.png
            path = path.with_stem(f"{name}-{self._count}")
        write_picture(path, pixels, receipt=self._receipt, stamp=self._stamp)
