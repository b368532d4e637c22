"""The state of one decode: the key-value cache, allocated once, and the position.

It is an explicit argument of the decoder, never held by it; knows nothing of how tokens are drawn.
"""

import torch

from clavilux.conditioning import Conditioning


class DecodeState:
    """What a decoder has read so far.

    Attributes:
        position: the positions filled so far, the prefix's included; 0 .. capacity.
        capacity: the positions that there is room for.
        k, v: a list with one [B, H, capacity, E] view a layer. What lies at `position` and beyond means
            nothing and is never read.
        memory_kv: a dict from layer to (k, v), each [B, H, S, E], for the layers with cross-attention.
        conditioning: what the rows are conditioned on; its prefix is read by the first prefill.
    """

    def __init__(
        self,
        layers: int,
        batch: int,
        heads: int,
        capacity: int,
        head_dim: int,
        *,
        conditioning: Conditioning,
        dtype: torch.dtype,
        device: torch.device,
    ):
        cache = torch.zeros(2, layers, batch, heads, capacity, head_dim, dtype=dtype, device=device)
        self.k = list(cache[0].unbind(0))
        self.v = list(cache[1].unbind(0))
        self.batch = batch
        self.capacity = capacity
        self.position = 0
        self.conditioning = conditioning
        self.memory_kv: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def num_tokens(self) -> int:
        """The tokens read so far, without the prefix."""
        return max(0, self.position - self.conditioning.num_prefix)

    def rewind(self, position: int) -> None:
        """Forget what was read at `position` and beyond; 0 starts anew, with the same memory.

        Raises:
            ValueError: a position that has not been reached, or that cuts the prefix in two.
        """
        if not 0 <= position <= self.position or 0 < position < self.conditioning.num_prefix:
            raise ValueError(
                f"position is {position}; it should be 0, or from {self.conditioning.num_prefix} "
                f"(the prefix) to {self.position} (read so far)"
            )
        self.position = position
