"""Decoders of two layers with random weights, so small that a test may run them hundreds of times."""

import torch

from clavilux.decoder import Decoder, DecoderSpec

# Of the tests that look at a decoder's own sums.
READING = {
    "width": 12, "layers": 2, "heads": 3, "head_dim": 4, "ffn_width": 20, "vocabulary": 11, "max_positions": 16,
    "positions": "none",
}  # fmt: skip
# Of those that let one draw.
DRAWING = {
    "width": 16, "layers": 2, "heads": 2, "head_dim": 8, "ffn_width": 24, "vocabulary": 13, "max_positions": 40,
}  # fmt: skip


def drawing_decoder(**words) -> Decoder:
    """One whose next token depends on all that it has read; `words` change `DRAWING`."""
    torch.manual_seed(0)
    decoder = Decoder(DecoderSpec(**{**DRAWING, **words})).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(12)  # so that what was read decides what comes next
    return decoder
