"""Whether a prompt says anything that the composer understands, and the sentence for one that does not.

Knows what was read (`Understanding`). Does not know how it was read (`prompt`), and imports no torch, so that the
command can refuse a prompt before it loads a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clavilux.families.aria.account import nearest
from clavilux.families.aria.prompt import Understanding, understand
from clavilux.families.aria.styles import STYLES

_SHOWN = 60  # characters of a prompt


def check_prompt(config: Mapping[str, Any], prompt: str, anything: bool = False) -> None:
    """As `check_understood`; the words that are known are the same for every checkpoint."""
    check_understood(prompt, anything)


def check_understood(prompt: str, anything: bool = False) -> Understanding:
    """What `understand` reads.

    A prompt must say which music is meant: a style, an instrument, a key, a mood, a pace or chords. One that says
    only what any music has (a tempo, a length, a metre) will do where no other word stands beside it; an empty
    prompt leaves all to the options and the seed.

    Raises:
        ValueError: nothing of that was understood, unless `anything`.
        TypeError: `prompt` is no string, or `anything` is neither True nor False.
    """
    if not isinstance(anything, bool):
        raise TypeError(f"anything is {anything!r}; it should be True or False")
    said = understand(prompt)
    complete = bool(said.taken) and not said.unknown and not said.unmet
    if not (anything or said.blank or said.definite or complete):
        raise ValueError(_sentence(prompt, said))
    return said


def _sentence(prompt: str, said: Understanding) -> str:
    words = " ".join(prompt.split())
    shown = words if len(words) <= _SHOWN else words[:_SHOWN] + "..."
    only = ", ".join(text for text, _ in said.taken[:3])
    parts = [
        f"not understood: {shown!r} names no style, instrument, key, mood or pace that is known"
        + (f" (of it only {only} was understood)" if only else "")
    ]
    parts += [f"cannot be done: {', '.join(said.unmet[:3])}"] if said.unmet else []
    near = nearest(said.unknown)
    parts += [f"known words that are spelled much like it: {', '.join(near)}"] if near else []
    parts += [f"styles are {', '.join(STYLES)}", "anything=True (--anything) makes a piece all the same"]
    return "; ".join(parts)
