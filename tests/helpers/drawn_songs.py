"""Songs of aria whose composer has learned nothing: whatever the grammar allows is drawn, and nothing is heard."""

import numpy as np
import torch

from clavilux.audio.codecs.remi import score_tokens
from clavilux.audio.synth import ScoreRenderer
from clavilux.decoder import DecoderSpec
from clavilux.families.aria.family import Aria, Composer
from clavilux.families.aria.formats import RemiFormat
from clavilux.families.aria.styles import STYLES
from clavilux.family import Request


def toy_aria():
    """A composer of a few weights, with the bundled one's vocabulary and styles."""
    spec = DecoderSpec(
        width=8, layers=1, heads=1, head_dim=8, ffn_width=8, vocabulary=len(score_tokens()), max_positions=512
    )
    composer = Composer(spec, len(STYLES))
    composer.decoder.make_tables()
    return Aria(composer, RemiFormat(), tuple(STYLES), {"model": "toy"})


def silence(monkeypatch):
    """Let renderers give silence at once, so that songs take no time."""
    monkeypatch.setattr(ScoreRenderer, "__init__", lambda self, **options: None)
    monkeypatch.setattr(ScoreRenderer, "feed", lambda self, events, until_s: torch.zeros(2, 0))
    monkeypatch.setattr(ScoreRenderer, "finish", lambda self: torch.zeros(2, 1))


def begin(aria, prompt="", seconds=None, seed=0, continue_from=None, **controls):
    """A piece that is about to be written."""
    length = 20.0 if seconds is None else float(seconds)
    return aria.generation(Request(prompt, length, seed, continue_from, controls, seconds is None))


def finished(generation, seed=0):
    """The piece (`Audio`) whose tokens are drawn evenly from what its grammar allows; bars end now and then."""
    random, bar = np.random.default_rng(seed), score_tokens().ids["Bar_None"]
    while not generation.grammar.done:
        allowed = generation.grammar.allowed()
        if allowed.dtype == torch.bool:
            choices = allowed[0].nonzero()[:, 0].numpy()
            token = bar if bar in choices and random.random() < 0.3 else int(random.choice(choices))
        else:
            token = int(allowed[0])
        generation.grammar.advance(torch.tensor([token]))
        generation.push(torch.tensor([token]))
    return generation.complete(generation.finish())


def bar_of(score, index, parts=None):
    """The notes of a bar from its start, as a sorted list of (start, duration in the bar, pitch, program, drum).

    A note that rings on is cut where the next bar repeats it, so bars of the same notes may differ beyond their end.
    """
    starts = [*score.bar_starts().tolist(), 1e9]
    notes = score.notes
    inside = (notes["start"] >= starts[index] - 1e-6) & (notes["start"] < starts[index + 1] - 1e-6)
    if parts is not None:
        inside &= np.isin(notes["part"], parts)
    return sorted(
        (round(float(n["start"]) - starts[index], 4),
         round(min(float(n["duration"]), starts[index + 1] - float(n["start"])), 4),
         int(n["pitch"]), int(n["program"]), bool(n["drum"]))
        for n in notes[inside]
    )  # fmt: skip
