"""What checkpoints call the tensors of a VQ codec.

Our names are those of LlamaGen's files (`vq_ds16_c2i.pt`) and, behind a prefix, of Janus's own. transformers has other
names for the same modules, in the same order. Knows names only.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

# where the codec stands in a whole checkpoint: Janus's own, transformers' Janus with and without its head, alone
_PREFIXES = ("gen_vision_model.", "model.vqmodel.", "vqmodel.", "")
_MIDDLE = {"0": "block_1", "1": "attn_1", "2": "block_2"}


@dataclass(frozen=True)
class Layout:
    """How a checkpoint names the codec's tensors.

    Attributes:
        prefix: what stands before every name.
        transformers: the names are those of transformers, not LlamaGen's.
    """

    prefix: str
    transformers: bool

    @classmethod
    def of(cls, names: Collection[str]) -> Layout | None:
        """The layout that these names have, or None."""
        for prefix in _PREFIXES:
            for transformers, mark in ((False, "encoder.conv_blocks."), (True, "encoder.down.")):
                if any(name.startswith(prefix + mark) for name in names):
                    return cls(prefix, transformers)
        return None

    @property
    def skipped(self) -> frozenset[str]:
        """Tensors that are no weights: LlamaGen counts in training which codes are used."""
        return frozenset([self.prefix + "quantize.codebook_used"])

    def select(self, names: Collection[str]) -> set[str]:
        """Of all names in a checkpoint, those of the codec."""
        return {name for name in names if name.startswith(self.prefix)}

    def theirs(self, ours: str) -> str:
        """The checkpoint's name of a tensor of ours."""
        if self.transformers:
            ours = ours.replace("encoder.conv_blocks.", "encoder.down.").replace("decoder.conv_blocks.", "decoder.up.")
            ours = ours.replace(".res.", ".block.")
            ours = re.sub(r"\.mid\.([012])\.", lambda found: f".mid.{_MIDDLE[found[1]]}.", ours)
        return self.prefix + ours

    def ours(self, theirs: str) -> str:
        """Our name of a tensor of the checkpoint's; what is none of the codec's keeps its name."""
        name = theirs.removeprefix(self.prefix)
        if self.transformers:
            name = name.replace("encoder.down.", "encoder.conv_blocks.").replace("decoder.up.", "decoder.conv_blocks.")
            name = name.replace(".block.", ".res.")
            for number, word in _MIDDLE.items():
                name = name.replace(f".mid.{word}.", f".mid.{number}.")
        return name
