"""The frames that a family draws greedily, as its model draws them."""

import torch

from clavilux.layout import FrameReader
from clavilux.loop import sample_rows
from clavilux.sampling import SamplingSpec


def greedy(family, requests):
    """Frames int64 [B, K, T], under guidance."""
    stage = family.stage
    sampling = SamplingSpec(temperature=0, guidance=3.0)
    steps = sample_rows(stage.decoder, family.begin(requests), sampling, layout=stage.layout, windows=stage.windows)
    return FrameReader(stage.layout).push(torch.stack(list(steps), dim=2))
