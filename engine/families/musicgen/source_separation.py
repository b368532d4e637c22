"""A recording without its drums and bass, by Demucs where that is installed: what is left shows a melody more clearly.

As audiocraft does before it takes the chroma. Knows sound and Demucs 4; does not know the decoder.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch

from clavilux.audio.clip import Audio

MODEL = "htdemucs"
_LEFT_OUT = ("drums", "bass")


def installed() -> bool:
    """Whether recordings can be separated."""
    return find_spec("demucs") is not None


@torch.inference_mode()
def without_rhythm(clip: Audio, device: torch.device) -> Audio:
    """What a recording holds beside drums and bass, [2, N] at Demucs' 44.1 kHz.

    Raises:
        RuntimeError: Demucs cannot be used: it is incomplete, or its weights, which it downloads, are not available.
    """
    separator, apply = _demucs()
    sound = clip.resample(separator.samplerate).samples
    sound = sound.expand(2, -1) if len(sound) == 1 else sound[:2]
    mean, spread = sound.mean(), sound.mean(0).std().clamp(min=1e-8)
    # No random shifts: the same recording gives the same melody.
    stems = apply(separator, ((sound - mean) / spread)[None], shifts=0, split=True, device=device)[0]  # [S, 2, N]
    kept = [stem for name, stem in zip(separator.sources, stems, strict=True) if name not in _LEFT_OUT]
    return Audio((torch.stack(kept).sum(0) * spread + mean).float().cpu(), separator.samplerate)


@lru_cache(maxsize=1)
def _demucs() -> tuple[Any, Any]:
    """Its model, and its function that applies it."""
    try:
        from demucs.apply import apply_model
        from demucs.pretrained import get_model

        return get_model(MODEL).eval(), apply_model
    except (Exception, SystemExit) as error:  # it ends the program where it finds no weights
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RuntimeError(f"demucs is installed and cannot be used ({reason})") from None
