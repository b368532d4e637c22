"""Codecs that decode in float16 on a GPU: which of their parts are cast, and what happens where the range is left.

float16 rather than bfloat16, for its three more bits. Against float32 of the same weights, signal to error in dB, with
random weights of the published sizes (on a CPU; lumia's are trained):

| | float16 | bfloat16 |
|---|---|---|
| EnCodec, 32 kHz | 57 to 64 | 39 to 46 |
| DAC, 44.1 kHz | 51 | 33 |
| Jukebox's VQ-VAE, level 0 | 51 | 33 |
| VQ-16 | 51 | 32 |
| lumia's codec | 73 | 53 |

By default torch's float32 convolutions on a GPU round what they multiply to TF32, which has as many bits as float16.
What float16 lacks is range: a number above 65,504 becomes infinite, goes through every layer that follows as infinity
or NaN, and is seen in what is decoded: that is then decoded in float32, or, in a stream, is an error. Encoding and the
codebooks stay in float32, so that tokens do. No GPU has run this yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from clavilux.capture import Captured

_LARGEST = torch.finfo(torch.float16).max


@runtime_checkable
class DecodesInHalf(Protocol):
    """A codec that can."""

    def decode_in_half(self) -> bool:
        """Decode in float16 from now on; False, and all as it was, where a weight is beyond its range."""


class OutOfRange(ValueError):
    """float16 was too narrow for what a stream decoded, and what came before it cannot be decoded again."""


class HalfDecoding(nn.Module):
    """What such a codec is."""

    def decoding_parts(self) -> Sequence[nn.Module]:
        """The modules that a decode runs through, behind the codebooks."""
        raise NotImplementedError

    @property
    def decoding_dtype(self) -> torch.dtype:
        """The dtype that it decodes in; what it gives has the dtype of the other weights."""
        return next(self.decoding_parts()[0].parameters()).dtype

    def decode_in_half(self) -> bool:
        """As `DecodesInHalf`."""
        weights = [weight for part in self.decoding_parts() for weight in part.parameters()]
        largest = torch.stack([weight.detach().abs().max().float() for weight in weights if weight.numel()])
        if float(largest.max()) > _LARGEST:
            return False
        self._cast(torch.float16)
        return True

    def leaves_range(self, decoded: Tensor) -> bool:
        """Whether float16 was too narrow for what was decoded. Waits for the device."""
        return self.decoding_dtype == torch.float16 and not bool(decoded.isfinite().all())

    def in_range(self, decode: Callable[[], Tensor]) -> Tensor:
        """What `decode` gives; where float16 is too narrow for it, what it gives in float32."""
        try:
            decoded = decode()
            if not self.leaves_range(decoded):
                return decoded
        except OutOfRange:
            pass
        self._cast(torch.float32)
        try:
            return decode()
        finally:
            self._cast(torch.float16)

    def _cast(self, dtype: torch.dtype) -> None:
        for module in self.modules():
            if isinstance(module, Captured):
                module.clear()  # its graphs read the weights where they lay
        made = next(self.decoding_parts()[0].parameters()).is_inference()
        with torch.inference_mode(made), torch.no_grad():  # parameters stay as usable as they were
            for part in self.decoding_parts():
                part.to(dtype)
