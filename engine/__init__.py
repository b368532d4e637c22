"""Music and pictures by predicting tokens: the whole public surface.

>>> model = clavilux.load("aria")
>>> model.generate("slow church organ chorale in G minor", seconds=20, seed=7).save("chorale.flac")

torch is imported when a name that needs it is first used, so that the command line's `--help` is instant.
"""

import os
from importlib import import_module

from clavilux.errors import CheckpointError

TYPE_CHECKING = False  # as type checkers know it; `typing` itself takes 10 ms to import
if TYPE_CHECKING:
    from clavilux.audio.clip import Audio
    from clavilux.image.picture import Picture
    from clavilux.model import Model, load

if os.environ.get("CLAVILUX_CPU"):  # has to be told to the libraries before torch computes anything
    from clavilux.kernels import processor  # noqa: F401

__all__ = ["Audio", "CheckpointError", "Model", "Picture", "load"]

_HOMES = {
    "Audio": "clavilux.audio.clip",
    "Model": "clavilux.model",
    "Picture": "clavilux.image.picture",
    "load": "clavilux.model",
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'clavilux' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
