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

MOST_LABELS = 40  # chord names beyond this would be a black line


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
            spans = np.stack([starts[here], lengths[here]], axis=1)
            axes.broken_barh(spans, (pitch - 0.4, 0.8), facecolors=colour)
        handles.append(Patch(color=colour, label="drums" if player < 0 else program_name(player)))
    for bar in score.seconds_at(score.bar_starts()):
        axes.axvline(bar, color="0.85", linewidth=0.6, zorder=0)
    if len(score.chords) <= MOST_LABELS:
        above = axes.get_xaxis_transform()
        for quarter, chord in score.chords:
            at = (score.seconds_at(quarter), 1.01)
            axes.text(*at, chord.name(score.key), transform=above, fontsize=7, rotation=60)
    axes.set(ylabel="MIDI pitch", xlim=(0, max(score.duration_s, 1e-3)))
    if handles:
        axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.005, 1.0), fontsize=8, frameon=False)
