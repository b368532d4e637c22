"""Whose mark the tokens of a step are drawn with, and the breeder that draws them so, and again.

Knows steps and keys. A step holds a key's id, never the key. What a mark is in tokens is `clavilux.marking`'s.
"""

from __future__ import annotations

import re
from typing import Any

from clavilux.breeding.breeder import Breeder, DrawsTokens
from clavilux.breeding.lineage import Step
from clavilux.checks import short
from clavilux.files import PathLike
from clavilux.mark_key import PUBLIC, MarkChoice, MarkKey, key_of, read_key

NONE = "none"  # asked for; a step that says nothing has none either
OwnKey = MarkKey | PathLike | None  # a private key, or its file


def settings_of(mark: MarkChoice, breeder: Breeder) -> tuple[dict[str, str], MarkKey | None]:
    """(what a step says of its mark, the key that it is drawn with).

    Raises:
        ValueError: a mark is asked for of a model that draws no tokens, or a file that is no key.
        TypeError: something else than `mark_key.key_of` takes.
    """
    key = key_of(mark)
    if not isinstance(breeder, DrawsTokens):
        if key is not None and mark is not None:  # the environment's is of what can be marked
            raise ValueError(f"{breeder.name} draws no tokens, so nothing of it can be marked; leave the mark away")
        return {}, None
    if key is None:
        return ({"mark": NONE} if mark is False else {}), None
    return {"mark": key.id}, key


def in_receipt(step: Step) -> dict[str, Any]:
    """What a receipt says, as those of what is not bred do."""
    held = step.settings.get("mark")
    return {} if held is None else {"mark": NONE if held == NONE else {"key": held}}


def id_of(step: Step) -> str | None:
    """The id of the key that a step is drawn with; None for no mark. ValueError for what is no id."""
    held = step.settings.get("mark", NONE)
    if not isinstance(held, str) or not re.fullmatch("none|[0-9a-f]{8}", held):
        raise ValueError(f"the mark of a step is {short(held)}; it should be a key's id, or 'none'")
    return None if held == NONE else held


def known_key(step: Step, own: OwnKey) -> MarkKey | None:
    """The key that a step is drawn with, the public one or the private one that is given; None for no mark, and for a
    private key that is not given. ValueError for a file that is no key.
    """
    held = id_of(step)
    given = own if isinstance(own, MarkKey) or own is None else read_key(own)
    return next((key for key in (PUBLIC, given) if key is not None and key.id == held), None)


def key_for(step: Step, own: OwnKey) -> MarkKey | None:
    """As `known_key`. ValueError for a private key that is not given."""
    key, held = known_key(step, own), id_of(step)
    if key is None and held is not None:
        raise ValueError(
            f"the step {step.name} is drawn with the mark of the private key {held}; give its file (mark_key, "
            "--mark-key)"
        )
    return key


def drawing(breeder: Breeder, key: MarkKey | None) -> Breeder:
    """The breeder with a key's mark. ValueError for one that draws no tokens."""
    if key is None:
        return breeder
    if not isinstance(breeder, DrawsTokens):
        raise ValueError(f"a step says that it is marked, and {breeder.name} draws no tokens")
    return breeder.marked(key)
