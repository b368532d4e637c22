"""Where a kit's drums stand on a percussion staff, with which head.

Knows General MIDI's drum keys. Does not know files.
"""

from __future__ import annotations

# key -> (step, octave, head); "" is a plain head. After the usual staff of a drum kit: bass drum below, cymbals on top.
_PLACES = {
    35: ("E4", ""), 36: ("F4", ""), 37: ("C5", "slashed"), 38: ("C5", ""), 39: ("C5", "triangle"), 40: ("C5", ""),
    41: ("G4", ""), 42: ("G5", "x"), 43: ("A4", ""), 44: ("D4", "x"), 45: ("B4", ""), 46: ("G5", "circle-x"),
    47: ("D5", ""), 48: ("E5", ""), 49: ("A5", "x"), 50: ("F5", ""), 51: ("F5", "x"), 52: ("B5", "x"),
    53: ("F5", "diamond"), 54: ("D5", "triangle"), 55: ("B5", "x"), 56: ("E5", "triangle"), 57: ("A5", "x"),
    59: ("F5", "x"),
}  # fmt: skip
_ELSEWHERE = ("B5", "triangle")
_NAMES = """
Acoustic Bass Drum; Bass Drum; Side Stick; Snare Drum; Hand Clap; Electric Snare; Low Floor Tom; Closed Hi-
Hat; High Floor Tom; Pedal Hi-Hat; Low Tom; Open Hi-Hat; Low-Mid Tom; High-Mid Tom; Crash Cymbal; High Tom;
Ride Cymbal; Chinese Cymbal; Ride Bell; Tambourine; Splash Cymbal; Cowbell; Crash Cymbal 2; Vibraslap; Ride
Cymbal 2; High Bongo; Low Bongo; Mute High Conga; Open High Conga; Low Conga; High Timbale; Low Timbale; High
Agogo; Low Agogo; Cabasa; Maracas; Short Whistle; Long Whistle; Short Guiro; Long Guiro; Claves; High Wood
Block; Low Wood Block; Mute Cuica; Open Cuica; Mute Triangle; Open Triangle
"""
NAMES = dict(enumerate((name.strip() for name in " ".join(_NAMES.split()).split(";")), 35))


def place(key: int) -> tuple[str, int, str]:
    """(step, octave, head) of a drum key."""
    step, head = _PLACES.get(key, _ELSEWHERE)
    return step[0], int(step[1]), head


def name(key: int) -> str:
    """What General MIDI calls a drum key."""
    return NAMES.get(key, f"Drum {key}")


def key_at(step: str, octave: int, head: str) -> int:
    """The drum key that stands there; the snare drum where none does."""
    return next((key for key, (spot, kind) in _PLACES.items() if (spot, kind) == (f"{step}{octave}", head)), 38)
