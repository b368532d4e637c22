"""The score as a picture: SVG by Verovio, PNG by resvg. Both come with an extra, `clavilux[scores]`.

Knows those two libraries. Does not know how a score becomes MusicXML.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

INSTALL = 'pip install "clavilux[scores]"'
_WIDTH, _TALLEST, _SCALE = 2100, 60000, 40  # of the page, in tenths of a millimetre at 100 %; percent
_FONT = "STIXGeneral"  # comes with Matplotlib, and is as wide as the Times that Verovio reckons with
# Verovio sets signs of its music font in text: of tempi a quarter and a dot, of chords a flat and a sharp. Only
# browsers take a font from the file, so signs that other fonts have stand in their place; accidentals as large as
# letters, which have 9/16 of the music font's size.
_SIGN = re.compile(r'<tspan font-family="Leipzig" font-size="(\d+)px">([^<]*)</tspan>')
_PLAIN = str.maketrans({"\ueca5": "\u2669", "\uecb7": ".", " ": "", "\uea64": "\u266d", "\uea66": "\u266f"})
_ACCIDENTALS = ("\uea64", "\uea66")
_PIXELS = 2  # of a PNG for one of the SVG's


def engraved_svg(musicxml: bytes) -> str:
    """One tall page, as SVG. The same score gives the same text.

    Raises:
        ValueError: Verovio is not installed, or the piece is longer than a page of 60,000 units.
    """
    toolkit = _library("verovio", "score as a picture").toolkit()
    toolkit.setOptions(
        {
            "pageWidth": _WIDTH, "pageHeight": _TALLEST, "scale": _SCALE, "adjustPageHeight": True, "footer": "none",
            "xmlIdSeed": 1, "svgFormatRaw": True, "smuflTextFont": "none",
        }
    )  # fmt: skip
    if not toolkit.loadData(musicxml.decode()):
        raise ValueError("Verovio could not engrave this score")
    if toolkit.getPageCount() > 1:
        raise ValueError("the score is too long for one picture; save it as .musicxml, or cut it")
    return _SIGN.sub(_plain, toolkit.renderToSVG(1))


def _plain(sign: re.Match[str]) -> str:
    """A sign of the music font in the font of the text around it."""
    size = int(sign[1]) * 9 // 16 if sign[2] in _ACCIDENTALS else sign[1]
    return f'<tspan font-size="{size}px">{sign[2].translate(_PLAIN)}</tspan>'


def engraved_png(musicxml: bytes) -> bytes:
    """The same on white, as PNG. ValueError as `engraved_svg`, or resvg is not installed."""
    resvg = _library("resvg_py", "score as a .png")
    svg = engraved_svg(musicxml)
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # resvg draws no text where a machine has no fonts
    return bytes(
        resvg.svg_to_bytes(
            svg_string=svg, background="white", zoom=_PIXELS, skip_system_fonts=True, font_dirs=[str(fonts)],
            font_family=_FONT, serif_family=_FONT,
        )
    )  # fmt: skip


def _library(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(f"a {what} needs {name}: {INSTALL}") from None


def check_installed(ending: str) -> None:
    """Raise a ValueError if a picture with this ending, .svg or .png, cannot be drawn here."""
    _library("verovio", "score as a picture")
    if ending == ".png":
        _library("resvg_py", "score as a .png")
