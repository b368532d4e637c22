"""Emoji by other artists, of which the bundled painter learns that a name has several drawings.

Reads icon sets in Iconify's JSON format, installed into one folder with npm (`INSTALL`); an icon is found by what the
emoji is called, as Unicode's list of emoji or of characters has it. Knows files, names and licences; what becomes of
the pixels is `augment`'s.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from clavilux.training.pictures import EMOJI_TEST, Named, cut, emoji, emoji_names

SIDE = 128  # pixels that an icon is drawn at, before it is placed


@dataclass(frozen=True)
class Artist:
    """Who drew, under which licence, and how it looks.

    Attributes:
        style: one word for the manner, as the painter is told it.
        package: the npm package and its version.
        author, licence: as the package states them.
    """

    style: str
    package: str
    author: str
    licence: str

    def file(self, folder: Path) -> Path:
        """Where the icons lie in the folder that was installed into."""
        return folder / "node_modules" / self.package.rpartition("@")[0] / "icons.json"


ARTISTS = (
    Artist("blob", "@iconify-json/noto-v1@1.2.5", "Google (Noto Emoji before 2017)", "Apache-2.0"),
    Artist("glossy", "@iconify-json/fluent-emoji@1.2.7", "Microsoft (Fluent Emoji)", "MIT"),
    Artist("flat", "@iconify-json/fxemoji@1.2.2", "Mozilla (Firefox OS Emoji)", "Apache-2.0"),
    Artist("outlined", "@iconify-json/streamline-emojis@1.2.4", "Streamline (Streamline Emojis)", "CC-BY-4.0"),
)
_OTHER_STYLES = {"emoji": "shaded", "clip art": "clipart", "shape": "plain"}
INSTALL = "npm install --ignore-scripts --prefix FOLDER " + " ".join(artist.package for artist in ARTISTS)


def drawings(pictures_folder: Path, folder: Path) -> Iterator[Named]:
    """All emoji of all `ARTISTS` that have a name of Unicode's, without skin tones; `source` is the style.

    Args:
        pictures_folder: the unpacked Debian packages, as `pictures.pictures` reads them.
        folder: where `INSTALL` put the icon sets.

    Raises:
        ValueError: an icon set is not there.
    """
    for artist in ARTISTS:
        if not artist.file(folder).is_file():
            how = INSTALL.replace("FOLDER", str(folder))
            raise ValueError(f"there is no {artist.package} in {str(folder)!r}; {how}")
    text = (pictures_folder / EMOJI_TEST).read_text(encoding="utf-8")
    names = {sequence: name for sequence, name, _ in emoji_names(text)}
    for artist in ARTISTS:
        for named in emoji(pictures_folder, IconSet(artist.file(folder), names)):
            yield replace(named, source=artist.style)


class IconSet:
    """The icons of one set, by the emoji that they show; see `pictures.Drawings`."""

    def __init__(self, path: Path, names: dict[str, str]):
        found = json.loads(path.read_text(encoding="utf-8"))
        self._icons, self._names = found["icons"], names
        self._sizes = {name: found.get(name, 16) for name in ("width", "height")}
        self._aliases = {alias: each["parent"] for alias, each in found.get("aliases", {}).items()}
        self._called: dict[str, str] = {}
        for icon in (*self._icons, *self._aliases):
            self._called.setdefault(letters(icon), icon)
        for icon in self._icons:  # "bear-1", "bear-2": the first of several
            self._called.setdefault(letters(re.sub(r"-\d+$", "", icon)), icon)

    def image(self, sequence: str) -> Image.Image | None:
        """RGBA of an emoji, or None where nobody drew it, or it has a skin tone."""
        name = self._names[sequence]
        said = [name, unicodedata.name(sequence, "")] if len(sequence) == 1 else [name]
        icon = next((self._called[letters(each)] for each in said if letters(each) in self._called), None)
        if icon is None or "skin tone" in name:
            return None
        return cut(self.drawn(icon))

    def drawn(self, icon: str) -> Image.Image:
        """RGBA of an icon, its longer side `SIDE` pixels."""
        from resvg_py import svg_to_bytes  # only training needs it

        found = self._icons[self._aliases.get(icon, icon)]
        width, height = (found.get(name, usual) for name, usual in self._sizes.items())
        box = f"{found.get('left', 0)} {found.get('top', 0)} {width} {height}"
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{box}" width="{width}" height="{height}">{found["body"]}</svg>'
        )
        pixels = svg_to_bytes(svg_string=svg, width=round(SIDE * width / max(width, height)), skip_system_fonts=True)
        return Image.open(io.BytesIO(pixels)).convert("RGBA")


def letters(name: str) -> str:
    """A name by its letters and digits alone: "Red apple" and "red-apple" are "redapple"."""
    return re.sub(r"[^a-z0-9]+", "", name.lower().replace("&", "and"))


def style_of(source: str) -> str:
    """The hand of a picture's source, as a prompt names it."""
    return _OTHER_STYLES.get(source, source)
