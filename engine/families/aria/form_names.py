"""Forms by name: "AABB", "verse-chorus", "intro 4, verse 8, chorus 8", and the bars of each section.

Knows names and numbers of bars. Does not know what stands in a bar (`form`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_SECTIONS, MOST_BARS = 32, 999
MOST_OF_ENDS = 64  # bars of an intro or an outro
USUAL_BARS = 8  # of a section whose length nobody says
FREE = "free"  # no form, not even a kind's own
FORMS = {
    "binary": "AABB", "ternary": "ABA", "rondo": "ABACA", "song form": "AABA", "theme and variations": "AA'A'A'",
    "strophic": "verse verse verse", "verse-chorus": "verse chorus verse chorus",
    "verse-chorus-bridge": "verse chorus verse chorus bridge chorus",
}  # fmt: skip
SECTIONS = ("intro", "verse", "prechorus", "chorus", "bridge", "solo", "breakdown", "outro")
_LETTERS = re.compile(r"(?:[A-H]['’]?){2,32}")
_WORD = rf"(?:[A-H]|{'|'.join(SECTIONS)})"
_LIST = re.compile(rf"{_WORD}['’]?(?:(?:\s*[,-]\s*|\s+){_WORD}['’]?)+")
_WITH_BARS = re.compile(rf"\s*({_WORD})(['’]?)\s+(\d{{1,4}})\s*")


@dataclass(frozen=True)
class FormPart:
    """A section: its name, its bars where the form says how many, and whether it returns with other notes."""

    name: str
    bars: int | None = None
    varied: bool = False


@dataclass(frozen=True)
class Form:
    """Sections in the order in which they are played; those of one name return, and are of one length."""

    text: str
    parts: tuple[FormPart, ...]

    def sections(self, num_bars: int) -> list[FormPart] | None:
        """The sections with their bars, `num_bars` in all, as nearly alike and as much of fours as can be; None where
        sections of one length a name cannot have so many.
        """
        counts: dict[str, int] = {}
        for part in self.parts:
            if part.bars is None:
                counts[part.name] = counts.get(part.name, 0) + 1
        room = num_bars - sum(part.bars or 0 for part in self.parts)
        if not counts:
            return list(self.parts) if not room else None
        usual = max(1.0, room / sum(counts.values()))
        found: dict[int, tuple[float, tuple[int, ...]]] = {room: (0.0, ())}  # bars left -> (cost, lengths)
        for count in counts.values():
            longer: dict[int, tuple[float, tuple[int, ...]]] = {}
            for left, (cost, lengths) in found.items():
                for bars in range(max(1, int(usual) - 8), int(usual) + 9):
                    after, more = left - count * bars, cost + count * _unlikely(bars, usual)
                    if after >= 0 and (after not in longer or more < longer[after][0]):
                        longer[after] = (more, (*lengths, bars))
            found = longer
        if 0 not in found:
            return None
        lengths_of = dict(zip(counts, found[0][1], strict=True))
        return [FormPart(p.name, lengths_of[p.name] if p.bars is None else p.bars, p.varied) for p in self.parts]

    def usual(self, bars_of: Sequence[tuple[str, int]] = ()) -> int:
        """How many bars it has where nobody says; `bars_of` are a style's (section, bars)."""
        own = dict(bars_of)
        return sum(part.bars or own.get(part.name, USUAL_BARS) for part in self.parts)


def _unlikely(bars: int, usual: float) -> float:
    """Sections are of four or eight bars, of two where they must, and alike."""
    odd = 0.0 if bars % 4 == 0 else 1.0 if bars % 2 == 0 else 2.0
    return odd + abs(bars - usual) / usual * 3


def read_form(text: object) -> Form:
    """Read a form.

    Raises:
        ValueError: there is no such form, in a sentence that says what would be right; TypeError: it is no text.
    """
    if not isinstance(text, str):
        raise TypeError(f"form is {text!r}; it should be a text such as 'AABB'")
    name = " ".join(text.split())
    written = FORMS.get(name.lower(), name)
    parts: list[FormPart] = []
    if _LETTERS.fullmatch(written):
        parts = [FormPart(word[0], varied=len(word) > 1) for word in re.findall(r"[A-H]['’]?", written)]
    elif _LIST.fullmatch(_lower(written)):
        words = re.split(r"[\s,-]+", _lower(written))
        parts = [FormPart(word.rstrip("'’"), varied=word[-1] in "'’") for word in words]
    else:
        found = [_WITH_BARS.fullmatch(word) for word in _lower(written).split(",")]
        parts = [FormPart(m[1], int(m[3]), bool(m[2])) for m in found if m is not None]
        if len(parts) < len(found):
            raise ValueError(
                f"form is {name[:40]!r}; it should be letters such as AABB or AA'BA, one of {', '.join(FORMS)}, "
                f"{FREE}, or sections with their bars, such as 'intro 4, verse 8, chorus 8', out of "
                f"{', '.join(SECTIONS)} and A to H"
            )
    bars_of: dict[str, int | None] = {}
    for part in parts:
        if part.bars is not None and not 1 <= part.bars <= MOST_BARS:
            raise ValueError(f"form has a section {part.name} of {part.bars} bars; it should have 1 to {MOST_BARS}")
        if bars_of.setdefault(part.name, part.bars) != part.bars:
            raise ValueError(
                f"form has {part.name} with {bars_of[part.name]} bars and with {part.bars}; a section that returns "
                "has as many as before, so give the other one another name"
            )
    if len(parts) > MOST_SECTIONS:
        raise ValueError(f"form has {len(parts)} sections; it may have {MOST_SECTIONS}")
    return Form(name, tuple(parts))


def _lower(text: str) -> str:
    """Names in small letters, sections of one letter in capitals."""
    return re.sub(r"\b([a-h])\b", lambda match: match[1].upper(), text.lower())
