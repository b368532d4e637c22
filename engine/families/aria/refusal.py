"""Whether a prompt says anything that the composer understands, and the sentence for one that does not.

Knows what was read (`ParsedPrompt`). Does not know how it was read (`prompt`), and imports no torch, so that the
command can refuse a prompt before it loads a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clavilux.audio.arranging.library import band_names
from clavilux.families.aria.account import nearest
from clavilux.families.aria.bands import check_style
from clavilux.families.aria.prompt import ParsedPrompt, parse_prompt
from clavilux.families.aria.styles import STYLES

_SHOWN = 60  # characters of a prompt


def check_prompt(config: Mapping[str, Any], prompt: str, anything: bool = False) -> None:
    """As `check_understood`; the words that are known are the same for every checkpoint."""
    check_understood(prompt, anything)


def check_request(prompt: str, controls: Mapping[str, Any]) -> ParsedPrompt:
    """As `check_understood`, with what the controls say of it."""
    return check_understood(prompt, controls.get("anything", False), controls.get("style"))


def check_understood(prompt: str, anything: bool = False, style: str | None = None) -> ParsedPrompt:
    """What `parse_prompt` reads beside the `style` that an option gives.

    A prompt must say which music is meant: a style, an instrument, a key, a mood, a pace or chords. One that says
    only what any music has (a tempo, a length, a metre) will do where no other word stands beside it; an empty
    prompt leaves all to the options and the seed.

    Raises:
        ValueError: nothing of that was understood, unless `anything`; or no such style.
        TypeError: `prompt` is no string, or `anything` is neither True nor False.
    """
    if not isinstance(anything, bool):
        raise TypeError(f"anything is {anything!r}; it should be True or False")
    parsed = parse_prompt(prompt, None if style is None else check_style(style))
    complete = bool(parsed.taken) and not parsed.unknown and not parsed.unmet
    if not (anything or parsed.blank or parsed.definite or complete):
        raise ValueError(_sentence(prompt, parsed))
    return parsed


def _sentence(prompt: str, parsed: ParsedPrompt) -> str:
    words = " ".join(prompt.split())
    shown = words if len(words) <= _SHOWN else words[:_SHOWN] + "..."
    only = ", ".join(text for text, _ in parsed.taken[:3])
    parts = [
        f"not understood: {shown!r} names no style, instrument, key, mood or pace that is known"
        + (f" (of it only {only} was understood)" if only else "")
    ]
    parts += [f"cannot be done: {', '.join(parsed.unmet[:3])}"] if parsed.unmet else []
    near = nearest(parsed.unknown)
    parts += [f"known words that are spelled much like it: {', '.join(near)}"] if near else []
    parts += [f"styles are {', '.join(STYLES)}; with a band {', '.join(band_names())}"]
    parts += ["anything=True makes a piece all the same"]
    return "; ".join(parts)
