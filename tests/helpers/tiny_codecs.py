"""Codecs of a few channels with random weights, so small that a test may decode with them often."""

from dataclasses import replace

import torch

from clavilux.audio.codecs.dac import Dac, DacSpec
from clavilux.audio.codecs.encodec import Encodec
from clavilux.audio.codecs.seanet import SeanetSpec

TINY_SEANET = SeanetSpec(filters=4, latent_width=8, ratios=(5, 4, 2))
SEANETS = {
    "causal": TINY_SEANET,
    "causal, half trimmed, odd": replace(TINY_SEANET, trim_right=0.5, ratios=(5, 3, 2)),
    "both sides, mirrored": replace(TINY_SEANET, causal=False),
    "both sides, zeros, identity": replace(TINY_SEANET, causal=False, pad_mode="constant", conv_shortcut=False),
    "both sides, repeated, dilated": replace(TINY_SEANET, causal=False, pad_mode="replicate", residual_layers=3),
    "both sides, mirrored, dilated": replace(TINY_SEANET, causal=False, residual_layers=3, ratios=(3, 2)),
    "without LSTM": replace(TINY_SEANET, causal=False, lstm_layers=0, kernel=4, last_kernel=1, residual_kernel=5),
}
TINY_DAC = DacSpec(
    sample_rate=8000,
    encoder_width=2,
    encoder_rates=(2, 4),
    latent_width=6,
    decoder_width=16,
    decoder_rates=(4, 2),
    codebook_widths=(4, 3, 4),
    vocabulary=32,
)
DACS = {
    "even": TINY_DAC,
    "odd": replace(TINY_DAC, encoder_rates=(3, 5), decoder_rates=(5, 3)),
    "rates differ": replace(TINY_DAC, encoder_rates=(2, 3, 2), decoder_rates=(6, 2)),
    "one layer": replace(TINY_DAC, encoder_rates=(7,), decoder_rates=(7,)),
    "odd, three": replace(TINY_DAC, encoder_rates=(3, 2, 3), decoder_rates=(3, 3, 2)),
}


def drawn_encodec(spec, seed=0, gain=1.0):
    """A codec with random weights under which sound neither fades nor grows much."""
    torch.manual_seed(seed)
    codec = Encodec(spec).requires_grad_(False).eval()
    for name, tensor in codec.named_parameters():
        if ".lstm." not in name and not name.endswith("norm.weight"):
            fan_in = tensor[0].numel() if tensor.ndim > 1 else 50
            tensor.normal_(0, gain / fan_in**0.5)
    return codec


def draw_dac(tensors, seed=0):
    """Fill tensors, in place, so that sound neither fades nor grows much and the codes differ."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in tensors.items():
        if name.endswith("alpha"):
            tensor.uniform_(0.3, 2.0, generator=generator)
        else:
            spread = 1.0 if "codebook" in name else 0.1 if tensor.ndim < 2 else 0.7 * tensor[0].numel() ** -0.5
            tensor.normal_(std=spread, generator=generator)


def drawn_dac(spec, seed=0):
    codec = Dac(spec).requires_grad_(False).eval()
    draw_dac(codec.state_dict(), seed)
    return codec
