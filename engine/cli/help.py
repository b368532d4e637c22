"""The help of a command: its options under headings, as plain text.

Knows the names of options and click's formatter; rich, which typer would use for headings, takes longer than all else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperCommand

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter  # typer's own copy of click; older ones use click itself

# Headings, and under each its options, in the order in which they are shown; what is under none is under "Options".
HEADINGS = {
    "Song": (
        "seconds", "seed", "style", "instrument", "key", "tempo", "metre", "chords", "melody", "sheet", "form", "bars",
        "intro", "outro", "ritardando", "section", "density", "drums", "swing", "anything",
    ),
    "Picture": ("size", "seeds", "class_id", "mask"),
    "Dream": (
        "layers", "guide", "octaves", "octave_scale", "iterations", "step", "jitter", "tile", "zoom", "zoom_by",
        "frame_iterations", "fps", "features", "weights",
    ),
    "Style": ("like", "painting", "fine", "content", "strength", "original_colors", "stroke", "steady"),
    "Going on from a file": ("continue_from", "keep", "vary"),
    "Drawing of tokens": ("temperature", "top_k", "top_p", "guidance"),
    "MusicGen": ("padding", "window", "stride"),
    "Jukebox": (
        "artist", "genre", "lyrics", "labels", "song_seconds", "levels", "hop", "temperatures", "parallel_windows",
        "prime", "prime_seconds", "tokens", "job",
    ),
    "Training": (
        "minutes", "steps", "patience", "checkpoint_steps", "held_out", "rate", "latent_channels", "kl_weight",
        "free_bits", "perceptual", "augment",
    ),
    "Files": (
        "output", "name", "licence", "batch", "midi", "midi_timing", "score", "stems", "loop", "listen", "soundfont",
        "plot", "preview", "explain", "loudness", "strict",
    ),
    "Mark and credentials": ("mark", "mark_key", "identity", "private", "side_file", "no_credentials"),
    "Model": ("model", "codec", "device", "dtype"),
}  # fmt: skip
OPTIONS = tuple(dict.fromkeys(name for names in HEADINGS.values() for name in names))
_HEADING_OF = {name: heading for heading, names in HEADINGS.items() for name in names}
_PLACE_OF = {name: place for place, name in enumerate(OPTIONS)}
_OF_PICTURES = ("paint", "dream", "style")  # commands whose seed and sheet are a picture's, not a song's
_OF_TRAINING = ("vae", "gan")  # those whose seed, size and batch are a training's
_FEWEST = 12  # options that are worth headings


class Command(TyperCommand):
    """A command whose many options are shown under `HEADINGS`."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        shown = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        arguments = [record for param, record in shown if param.param_type_name == "argument"]
        options = [(param.name, record) for param, record in shown if param.param_type_name == "option"]
        sections = {"Arguments": arguments, **{heading: [] for heading in HEADINGS}, "Options": []}
        for name, record in sorted(options, key=lambda each: _PLACE_OF.get(each[0], len(OPTIONS))):
            heading = _HEADING_OF.get(name, "Options") if len(options) >= _FEWEST else "Options"
            if heading == "Song" and self.name in _OF_PICTURES:
                heading = "Picture"
            if name in ("seed", "size", "batch") and self.name in _OF_TRAINING:
                heading = "Training"
            sections[heading].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
