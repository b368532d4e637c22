"""`clavilux.style`: a picture in the manner of built-in styles, of paintings, or of both.

Knows arguments and receipts. Does not know networks (`clavilux.image.arts`) or frames of a video.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from clavilux.arts.fine_style import FineOptions, fine_style
from clavilux.arts.inputs import Painting, check_size, fingerprint, ingredients, loaded, read_mask, read_painting
from clavilux.checks import check_flag, number_from, short, whole_number
from clavilux.files import PathLike
from clavilux.image.arts import full_size, style_names, style_networks
from clavilux.image.arts.full_size import Finish
from clavilux.image.arts.style import LEAST, Blend, FastStyle
from clavilux.image.picture import Picture
from clavilux.image.sheet import contact_sheet
from clavilux.precision import device_named
from clavilux.provenance.stamp import stamp_of

Likes = str | Sequence[str] | Mapping[str, float]
SEEN_ON_SHEET, SIDE_ON_SHEET = 384, 256  # pixels of the longer side: as the network sees it, as it is shown
# On a GPU. Computed on a CPU, float16 was .2 of 255 from float32 (of a painting .6), bfloat16 1 to 6.
HALF = torch.float16
_FINEST, _COARSEST = 0.25, 8.0  # strokes


class Styler:
    """A style that is ready for any number of pictures. Arguments and errors as `style`.

    Attributes:
        settings: what a receipt says of it.
        works: the paintings that it is after.
    """

    def __init__(
        self,
        like: Likes | None = None,
        paintings: Sequence[Painting] = (),
        *,
        strength: float = 1.0,
        original_colors: bool = False,
        stroke: float = 1.0,
        seed: int | None = None,
        device: str = "auto",
    ) -> None:
        self._finish = Finish(number_from("strength", strength, 0, 1), check_flag("original_colors", original_colors))
        self._stroke = number_from("stroke", stroke, _FINEST, _COARSEST)
        notes = []
        if like is None and not paintings:
            like = style_names.DEFAULT
            notes.append(f"no style was named, so it is {like}")
        likes, works = _likes(like), [read_painting(each) for each in paintings]
        blend = Blend(
            [(style_names.find(name), weight) for name, weight in likes], [(work.pixels, w) for _, work, w in works]
        )
        where, self.works = device_named(device), [work for _, work, _ in works]
        self._fast = FastStyle(blend, where, HALF if where.type == "cuda" else torch.float32)
        shares = style_names.mixture([*(w for _, w in likes), *(w for _, _, w in works)], "the styles")
        controls: dict[str, Any] = {}
        for (number, _), share in zip(blend.built_in, shares, strict=False):
            named = controls.setdefault("like", {})
            named[style_names.NAMES[number]] = round(named.get(style_names.NAMES[number], 0) + share, 6)
        for (name, _, _), share in zip(works, shares[len(likes) :], strict=True):
            shown = controls.setdefault("paintings", {})
            shown[name if name not in shown else f"{name} ({len(shown) + 1})"] = round(share, 6)
        controls |= {"strength": self._finish.strength, "original_colors": self._finish.original_colors}
        controls["stroke"] = self._stroke
        self.settings: dict[str, Any] = {
            "verb": "style",
            "weights": dict(self._fast.fingerprints),
            "paintings": [fingerprint(work.pixels) for _, work, _ in works],
            "controls": controls,
            "notes": notes,
        }
        if seed is not None:
            self.settings["seed"] = whole_number("seed", seed, 0, (1 << 63) - 1)

    def __call__(self, picture: Picture, mask: Picture | None = None) -> Picture:
        """The picture in this style, with a receipt; `mask` is white where it is to change."""
        check_size(picture)
        where = None if mask is None else read_mask(mask, picture)
        finish = Finish(self._finish.strength, self._finish.original_colors, where)
        receipt = self.settings | {"notes": list(self.settings["notes"])} | ingredients(picture, where)
        stamp = stamp_of(picture=picture, painting=self.works, mask=mask)
        pixels = self._fast(picture.pixels, finish, self._stroke)
        return Picture(pixels, receipt=receipt, remarks=picture.remarks, stamp=stamp)


def style(
    picture: Picture | PathLike,
    like: Likes | None = None,
    paintings: Sequence[Painting] = (),
    *,
    strength: float = 1.0,
    original_colors: bool = False,
    mask: Picture | PathLike | None = None,
    stroke: float = 1.0,
    seed: int | None = None,
    device: str = "auto",
    fine: bool = False,
    **options: Unpack[FineOptions],
) -> Picture:
    """A picture in the manner of built-in styles, of paintings, or of both, in one pass through a network.

    Or, where it is to be `fine`, after paintings step by step, until it has their statistics: slower, and truer to
    their strokes. Ctrl-C ends that with what is there by then, and a note in the receipt.

    It needs the extra `arts`. The result has the picture's size. On one machine it is always the same.

    Args:
        picture: a `Picture`, or the path of one; at least 16 pixels a side.
        like: a built-in style's name or words that are close to it ("starry night"); several as a list, with weights
            as "pop-art:2" or as a mapping from names to weights. With neither this nor paintings, "starry-night".
        paintings: pictures to paint like, paths or `Picture`s; with a weight as "a.png:2" or as a pair.
        strength: 0 to 1; how much of the change is seen.
        original_colors: the hues stay, brightness alone is painted.
        mask: a picture that is white where the style goes, black where nothing changes; scaled to the picture.
        stroke: 0.25 to 8; the size of strokes. 1 is what the network was made with, or as in a painting that is
            scaled to the picture.
        seed: kept in the receipt; nothing here is drawn at random.
        device: auto, cpu, cuda or mps.
        fine: step by step, after paintings alone.
        options: of that, each by its name. content (0.25; 0 to 100): how much the picture's forms count; .25 keeps a
            face, .02 gives the painting its way. smoothness (6; 0 to 1000): how much roughness is held down. size
            (1024; 64 to 4096): a picture of more pixels than a square of this side is painted so large, and the change
            is brought to the whole of it with the detail that is left out. features ("lite0"; torchvision:NAME or
            timm:NAME): what looks at the pictures, in layers (names with weights; the usual ones of lite0), forms in
            content_layer ("blocks.4"). dtype ("float32", "bfloat16"). progress: called with (done, total) after each
            step, in steps of 512 x 512 pixels.

    Returns:
        `Picture`, uint8 [H, W, 3], with a receipt: styles and their shares, fingerprints of weights and pictures; of a
        fine one the style loss before the first and the last step at each size.

    Raises:
        ValueError: a file that is no picture, an unknown style (the names are listed), a number out of range, a layer
            that is not there, options without `fine`, or the weights are not installed (what to install is said).
        TypeError: a style, a painting or an option of another type.
        CheckpointError: the installed weights are damaged, or do not fit.
    """
    if check_flag("fine", fine):
        if like is not None:
            raise ValueError("fine style paints after paintings, not in built-in styles; leave like out")
        return fine_style(
            picture, paintings, strength=strength, original_colors=original_colors, mask=mask, stroke=stroke, seed=seed,
            device=device, **options,
        )  # fmt: skip
    if options:
        raise ValueError(f"{', '.join(options)} can be given to fine style only; add fine=True")
    source = loaded(picture)
    check_size(source)
    where = None if mask is None else loaded(mask)
    started = time.perf_counter()
    styler = Styler(
        like, paintings, strength=strength, original_colors=original_colors, stroke=stroke, seed=seed, device=device
    )
    read = time.perf_counter()
    found = styler(source, where)
    found.timings = {"weights_s": round(read - started, 6), "style_s": round(time.perf_counter() - read, 6)}
    return found


def sheet(picture: Picture | PathLike, *, device: str = "auto") -> Picture:
    """The picture in each of the 26 built-in styles, small, with their names. Errors as `style`."""
    source = loaded(picture)
    check_size(source)
    small = _within(source, SEEN_ON_SHEET)
    shown = _within(source, SIDE_ON_SHEET)
    pictures = []
    network = style_networks.load_built_in(device_named(device))
    for number in range(len(style_names.NAMES)):
        fast = FastStyle(Blend([(number, 1.0)]), device_named(device), built_in=network)
        pictures.append(Picture(full_size.smaller(fast(small), *shown.shape[:2])))
    found = contact_sheet(pictures, columns=7, labels=style_names.NAMES)
    found.stamp = stamp_of(picture=source)
    found.receipt = {
        "verb": "style",
        "weights": {"built-in": network.fingerprint},
        "source": fingerprint(source.pixels),
        "controls": {"sheet": len(pictures)},
        "notes": [],
    }
    return found


def _likes(like: Likes | None) -> list[tuple[str, float]]:
    if like is None:
        return []
    if isinstance(like, str):
        return [style_names.weighted(like)]
    if isinstance(like, Mapping):
        return list(like.items())
    if isinstance(like, Sequence) and all(isinstance(each, str) for each in like):
        return [style_names.weighted(each) for each in like]
    raise TypeError(f"like is {short(like)}; it should be a name, a list of names or a mapping from names to weights")


def _within(picture: Picture, side: int) -> Tensor:
    """uint8 [h, w, 3]: the picture, its longer side at most `side`."""
    scale = min(side / max(picture.width, picture.height), 1)
    height, width = (max(round(length * scale), LEAST) for length in (picture.height, picture.width))
    return full_size.smaller(picture.pixels, height, width)
