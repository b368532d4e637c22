"""Whose mark the tokens of a step are drawn with, and the breeder that draws them so, and again.

Knows steps and keys. A step holds a key's id, never the key. What a mark is in tokens is `clavilux.marking`'s.
"""

from __future__ import annotations

from clavilux.breeding.breeder import Breeder, DrawsTokens
from clavilux.breeding.lineage import Step
from clavilux.checks import short
from clavilux.mark_key import NONE, PUBLIC, MarkChoice, MarkKey, OwnKey, id_said, is_said, key_of, own_key, said


def settings_of(mark: MarkChoice, breeder: Breeder) -> tuple[dict[str, str], MarkKey | None]:
    """(what a step says of its mark, the key that it is drawn with).

    Raises:
        ValueError: a mark is asked for of a model that draws no tokens, or a file that is no key.
        TypeError: something else than `mark_key.key_of` takes.
    """
    key = key_of(mark)
    if not isinstance(breeder, DrawsTokens):
        if key is not None and mark is not None:  # what is usual is of what can be marked
            raise ValueError(f"{breeder.name} draws no tokens, so nothing of it can be marked; leave the mark away")
        return {}, None
    return said(key), key


def id_of(step: Step) -> str | None:
    """The id of the key that a step is drawn with; None for no mark. ValueError for what is no id."""
    held = step.settings.get("mark", NONE)
    if not is_said(held):
        raise ValueError(f"the mark of a step is {short(held)}; it should be a key's id, or 'none'")
    return id_said(step.settings)


def known_key(step: Step, own: OwnKey) -> MarkKey | None:
    """The key that a step is drawn with, the public one or the private one that is given; None for no mark, and for a
    private key that is not given. ValueError for a file that is no key.
    """
    held = id_of(step)
    return next((key for key in (PUBLIC, own_key(own)) if key is not None and key.id == held), None)


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
