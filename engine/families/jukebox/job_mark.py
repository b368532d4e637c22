"""Whose mark the top level of a song is drawn with: what a job keeps of it, and the key that goes on with one.

Knows settings and keys. A job holds a key's id, never the key: who goes on with one of a private key gives its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clavilux.families.jukebox.cascade import LevelPlan
from clavilux.mark_key import PUBLIC, MarkKey, OwnKey, id_said, own_key, said
from clavilux.marking import Mark, MarkedTokens


def settled(key: MarkKey | None, top: LevelPlan, given: int) -> dict[str, str]:
    """The settings' part: which mark, or that none was wanted.

    Args:
        key: as `mark_key.key_of` gives it.
        top: the plan of the top level.
        given: its tokens that the song begins with. Where those are all, or the likeliest always comes, nothing is
            drawn that could be marked.
    """
    return said(key, drawn=top.temperature > 0 and given < top.total)


def key_to_go_on(settings: Mapping[str, Any], given: OwnKey) -> MarkKey | None:
    """The key of a job's mark: the public one, or the private one that is given.

    None for a job without a mark, and for a private key that is not given: it is needed only where the top level is not
    whole (`drawn`).

    Raises:
        ValueError: another key than the job's, a job without a mark, or a file that is no key.
    """
    own, held = own_key(given), id_said(settings)
    if own is None:
        return PUBLIC if held == PUBLIC.id else None
    if own.id == held:
        return own
    was = "without a mark" if held is None else f"with the mark of the key {held}"
    raise ValueError(f"the key {own.id} is given, and the job was begun {was}; it goes on as it was begun")


def drawn(settings: Mapping[str, Any], key: MarkKey | None, tokens: MarkedTokens) -> Mark | None:
    """What the top level's sampler needs. ValueError where the key is not there."""
    held = id_said(settings)
    if held is None:
        return None
    if key is None:
        raise ValueError(
            f"the top level is drawn with the mark of the private key {held}; give its file (mark_key, --mark-key)"
        )
    return Mark(key.word(tokens.kind), tokens)
