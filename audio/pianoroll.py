"""A score as a picture: notes over seconds, bars, chords, and who plays.

Draws on axes that it is given. Knows nothing of files or of sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clavilux.audio.programs import program_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clavilux.audio.score import Score

CHORD_SIZE = 7  # points
CHORD_SPACING = 11  # points from one chord's name to the next; nearer ones would overlap, and are left out


def draw(axes: Axes, score: Score) -> None:
    """Draw the notes of `score` on `axes`, a colour for each instrument; x is seconds, y MIDI pitch."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    notes = score.notes
    starts = score.seconds_at(notes["start"])
    lengths = score.seconds_at(notes["start"] + notes["duration"]) - starts
    players = np.where(notes["drum"], -1, notes["program"])
    handles = []
    for index, player in enumerate(np.unique(players).tolist()):
        colour = colormaps["tab10"](index % 10)
        for pitch in np.unique(notes["pitch"][players == player]).tolist():
            here = (players == player) & (notes["pitch"] == pitch)
            spans = list(zip(starts[here].tolist(), lengths[here].tolist(), strict=True))
            axes.broken_barh(spans, (pitch - 0.4, 0.8), facecolors=colour)
        handles.append(Patch(color=colour, label="drums" if player < 0 else program_name(player)))
    for bar in score.seconds_at(score.bar_starts()):
        axes.axvline(bar, color="0.85", linewidth=0.6, zorder=0)
    axes.set(ylabel="MIDI pitch", xlim=(0, max(score.duration_s, 1e-3)))
    _name_chords(axes, score)
    if handles:
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.005, 1.0), fontsize=8, frameon=False)


def _name_chords(axes: Axes, score: Score) -> None:
    """Write the chords above `axes`, whose limits are set, as many as there is room for."""
    width = axes.get_window_extent().width * 72 / axes.figure.dpi  # points
    apart_s = CHORD_SPACING / width * (axes.get_xlim()[1] - axes.get_xlim()[0])
    above, free_s = axes.get_xaxis_transform(), 0.0
    for quarter, chord in score.chords:
        at_s = float(score.seconds_at(quarter))
        if at_s >= free_s:
            axes.text(at_s, 1.01, chord.name(score.key), transform=above, fontsize=CHORD_SIZE, rotation=60)
            free_s = at_s + apart_s
