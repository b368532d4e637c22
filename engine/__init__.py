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
    from clavilux.arts.dream import dream
    from clavilux.arts.style import style
    from clavilux.audio.clip import Audio
    from clavilux.examining.verb import examine
    from clavilux.families.jukebox.model import JukeboxModel
    from clavilux.image.picture import Picture
    from clavilux.image_model import ImageModel
    from clavilux.loading import load
    from clavilux.model import Model
    from clavilux.music_model import MusicModel
    from clavilux.teaching.verbs import teach
    from clavilux.verifying import verify

if os.environ.get("CLAVILUX_CPU"):  # the libraries read it once, before torch computes anything
    from clavilux.kernels import processor  # noqa: F401

__all__ = [
    "Audio", "CheckpointError", "ImageModel", "JukeboxModel", "Model", "MusicModel", "Picture", "__version__",
    "dream", "examine", "load", "style", "teach", "verify",
]  # fmt: skip

_HOMES = {
    "Audio": "clavilux.audio.clip",
    "ImageModel": "clavilux.image_model",
    "JukeboxModel": "clavilux.families.jukebox.model",
    "Model": "clavilux.model",
    "MusicModel": "clavilux.music_model",
    "Picture": "clavilux.image.picture",
    "dream": "clavilux.arts.dream",
    "examine": "clavilux.examining.verb",
    "load": "clavilux.loading",
    "style": "clavilux.arts.style",
    "teach": "clavilux.teaching.verbs",
    "verify": "clavilux.verifying",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("clavilux")
    if name not in _HOMES:
        raise AttributeError(f"module 'clavilux' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
