"""What conditions the bundled painter, as a prefix.

Knows ids of words and colours; does not know how a prompt is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clavilux.families.lumia.prefix_controls import NUM_COLOURS, NUM_WORDS, PrefixControls
from clavilux.families.lumia.words import COLOURS

PREFIX_LENGTH = NUM_COLOURS + NUM_WORDS
WORD_WIDTH = 64


class PrefixConditioner(nn.Module):
    """A prefix of eight positions: two colours, six words; an absent one has a row of its own."""

    def __init__(self, num_words: int, width: int) -> None:
        super().__init__()
        self.colour = nn.Embedding(len(COLOURS) + 1, width)
        self.word = nn.Embedding(num_words + 1, WORD_WIDTH)
        self.widen = nn.Linear(WORD_WIDTH, width, bias=False)

    def forward(self, controls: list[PrefixControls]) -> Tensor:
        """Prefix [B, PREFIX_LENGTH, D] in the tables' dtype."""
        columns = [
            self.colour(self._rows([each.colours for each in controls], NUM_COLOURS, self.colour)),
            self.widen(self.word(self._rows([each.words for each in controls], NUM_WORDS, self.word))),
        ]
        return torch.cat(columns, dim=1)

    @staticmethod
    def _rows(ids: Sequence[tuple[int | None, ...]], count: int, table: nn.Embedding) -> Tensor:
        """int64 [B, count]; the last row stands for none, and for all that is not said."""
        none = table.num_embeddings - 1
        padded = [(*row[:count], *(None,) * (count - len(row))) for row in ids]
        rows = [[none if each is None else each for each in row] for row in padded]
        return torch.tensor(rows, device=table.weight.device)
