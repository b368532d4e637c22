"""Fast style on a GPU: within a stated difference of the CPU's pixels."""

import pytest
import torch
from styles import needs_styles, scene

from clavilux.arts.style import HALF
from clavilux.image.arts.style import Blend, FastStyle

pytestmark = [needs_styles, pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a GPU")]


@pytest.mark.parametrize("dtype", [torch.float32, HALF])
@pytest.mark.parametrize("blend", [Blend([(19, 1.0), (9, 1.0)]), Blend((), [(scene(64, 64).flip(2), 1.0)])])
def test_a_gpu_gives_nearly_the_pixels_of_a_cpu(dtype, blend):
    picture = scene(128, 192)
    wanted, found = FastStyle(blend)(picture).float(), FastStyle(blend, "cuda", dtype)(picture).float()
    assert (wanted - found).abs().mean() < 1.5  # of 255


def test_a_gpu_repeats_itself():
    fast = FastStyle(Blend([(19, 1.0)]), "cuda", HALF)
    assert (fast(scene()).float() - fast(scene()).float()).abs().max() <= 1
