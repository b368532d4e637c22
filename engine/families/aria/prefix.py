"""What conditions the composer before it writes: style, mode, tempo, density and instruments, as a prefix.

Knows the controls' embedding. Does not know how controls are read from words (`prompt`) or which tokens they
force (`grammar`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clavilux.audio.codecs.remi import DRUMS, PROGRAMS
from clavilux.families.aria.controls import DENSITIES
from clavilux.families.aria.lexicon import KINDS

MODES = ("major", "minor")
TEMPO_EDGES = (54.0, 66.0, 76.0, 88.0, 100.0, 112.0, 126.0, 144.0, 168.0)  # quarters a minute
PREFIX_LENGTH = 5
_LEAD = "lead sheet"  # the style of a melody under chords
_ORCHESTRAL, _OF_ORCHESTRAS = "orchestral", ("classical", "romantic")
_STRINGS, _WINDS = range(40, 44), range(56, 80)  # programs: violin to double bass; brass, reeds and flutes


@dataclass(frozen=True)
class PrefixControls:
    """One row's controls as indices. -1 (and an empty `programs`) stands for "not stated"."""

    style: int
    mode: int
    tempo: int
    density: int
    programs: tuple[int, ...]


def tempo_bin(quarters_per_minute: float) -> int:
    """The tempo token's number: how many of `TEMPO_EDGES` a tempo reaches."""
    return sum(quarters_per_minute >= edge for edge in TEMPO_EDGES)


def shift_to_c(tonic: int) -> int:
    """Semitones, -6 to 5, that bring a tonic to C."""
    return (-tonic + 6) % 12 - 6


def style_index(
    known: Sequence[str], name: str, kind: str | None, *, leads: bool, programs: Collection[int] = ()
) -> int:
    """Which of the styles that a composer knows is meant by one of `STYLES`, and the name of a kind or None.

    `leads`: a band plays, and what is written is its melody. `programs` are those who play: strings and winds together
    are an orchestra, whose movements are a style of their own.
    """
    if kind is not None and kind in known and KINDS.get(kind) == name:
        return known.index(kind)
    orchestra = len(programs) > 3 and all(any(p in group for p in programs) for group in (_STRINGS, _WINDS))
    if orchestra and name in _OF_ORCHESTRAS and _ORCHESTRAL in known:
        return known.index(_ORCHESTRAL)
    return known.index(_LEAD if leads and _LEAD in known else name)


class PrefixConditioner(nn.Module):
    """Controls to a prefix [B, PREFIX_LENGTH, D]; the last row of every table means "not stated"."""

    def __init__(self, num_styles: int, width: int):
        super().__init__()
        self.style = nn.Embedding(num_styles + 1, width)
        self.mode = nn.Embedding(len(MODES) + 1, width)
        self.tempo = nn.Embedding(len(TEMPO_EDGES) + 2, width)
        self.density = nn.Embedding(len(DENSITIES) + 1, width)
        self.program = nn.Embedding(len(PROGRAMS) + 2, width)

    def forward(self, controls: list[PrefixControls]) -> Tensor:
        """Prefix [B, PREFIX_LENGTH, D] in the tables' dtype."""
        device = self.style.weight.device
        columns = []
        for table, name in (
            (self.style, "style"),
            (self.mode, "mode"),
            (self.tempo, "tempo"),
            (self.density, "density"),
        ):
            last = table.num_embeddings - 1
            ids = [getattr(b, name) if getattr(b, name) >= 0 else last for b in controls]
            columns.append(table(torch.tensor(ids, device=device)))
        mixed = torch.zeros(len(controls), self.program.num_embeddings, dtype=self.style.weight.dtype)
        for row, each in enumerate(controls):
            for program in set(each.programs):
                mixed[row, _PROGRAM_ROW[program]] = 1.0
            if not each.programs:
                mixed[row, -1] = 1.0
        columns.append(mixed.to(device) @ self.program.weight)
        return torch.stack(columns, dim=1)  # [B, P, D]


_PROGRAM_ROW = {program: row for row, program in enumerate((*PROGRAMS, DRUMS))}
