"""How a song was made, token by token: how certain the model was, and what else it might have written.

Knows models that give logits and the names of score tokens. Does not know what the song is (`song_parts`).
"""

from __future__ import annotations

import math

import torch

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.remi import score_tokens
from clavilux.music_model import MusicModel
from clavilux.teaching.lesson import Block, Row, Section, Sound, Table, Text

PLACES, CANDIDATES = 10, 3
COOL, HOT, GUIDED = 0.5, 1.5, 3.0  # temperatures, and a guidance, beside the model's own
BITS = "How open that draw is is measured in bits: 0 is certain, 1 is a coin, 3 is one of eight alike."
_OF_NOTES = ("Pitch", "Duration", "Position", "Program", "Chord")
_HEARD_S = 12.0  # of each way to draw


def model_section(model: MusicModel, clip: Audio, prompt: str, seconds: float) -> Section | None:
    """The section; None for a model whose tokens are not score tokens.

    The distributions are the model's own (temperature 1, no guidance) where nothing else is said, before its grammar
    forbids what would break a bar or a chord.
    """
    tokens = score_tokens()
    if clip.tokens is None or clip.tokens.shape[0] != 1 or model.family.stage.layout.vocabulary != len(tokens):
        return None
    seed, drawn = int(clip.receipt["seed"]), clip.tokens[0].tolist()
    logits, guided = (
        model.logits(clip.tokens, prompt=prompt, seconds=seconds, seed=seed, guidance=each)[0]  # [T, V]
        for each in (1.0, GUIDED)
    )
    ways = {"alone": logits, "cool": logits / COOL, "hot": logits / HOT, "guided": guided}
    bits = {name: float(entropy_bits(each).mean()) for name, each in ways.items()}
    chosen = [at for at, token in enumerate(drawn) if tokens.kinds[token] in _OF_NOTES]
    chosen = chosen[:: max(1, len(chosen) // PLACES)][:PLACES]
    rows = []
    for at in chosen:
        shares, ids = logits[at].softmax(-1).topk(CANDIDATES)
        likely = ", ".join(
            f"{tokens.names[each]} {percent(share)}" for each, share in zip(ids.tolist(), shares.tolist(), strict=True)
        )
        own = [percent(float(ways[name][at].softmax(-1)[drawn[at]])) for name in ("cool", "alone", "hot", "guided")]
        open_by = f"{float(entropy_bits(logits[at])):.1f}"
        rows.append((str(at + 1), tokens.names[drawn[at]], open_by, likely, *own))
    head = ("token", "what was drawn", "bits", "the likeliest, with their shares", f"drawn at {COOL:g}", "at 1",
            f"at {HOT:g}", f"guidance {GUIDED:g}")  # fmt: skip
    used = clip.receipt["settings"]
    blocks: list[Block] = [
        Text(
            f"This song was written by a model, a token after another: {len(drawn)} tokens, each a bar, a place in it, "
            "a chord, a pitch or a length. Before each the model gives every possible token a share, and one is drawn. "
            + BITS
        ),
        Table(head, tuple(rows)),
        Text(
            "So they are called: Position_12 is twelve twelfths of a beat after the bar line, Pitch_60 the middle C, "
            "Duration_1.6.12 a beat and six twelfths, Program the number of an instrument. "
            "*Temperature* changes the shares before the draw: below 1 the likely becomes likelier, above 1 the shares "
            "come nearer to each other. The last columns show it for what was drawn. On the whole a token has "
            f"{bits['alone']:.1f} bits; {bits['cool']:.1f} at temperature {COOL:g}, {bits['hot']:.1f} at {HOT:g}. "
            "*Guidance* asks the model twice, with the words of the prompt and without, and counts the difference so "
            f"many times; at guidance {GUIDED:g} it is {bits['guided']:.1f} bits. This song was drawn at temperature "
            f"{used['temperature']:g} and guidance {used['guidance']:g}; the same words and seed, drawn otherwise:"
        ),
        Row((
            _heard(model, prompt, seconds, seed, "surer, and more of the same", temperature=COOL),
            _heard(model, prompt, seconds, seed, "more is ventured", temperature=HOT),
            _heard(model, prompt, seconds, seed, "the words count more", guidance=GUIDED),
        )),
    ]  # fmt: skip
    return Section("How a machine wrote it", tuple(blocks))


def _heard(
    model: MusicModel,
    prompt: str,
    seconds: float,
    seed: int,
    words: str,
    temperature: float | None = None,
    guidance: float | None = None,
) -> Sound:
    clip = model.generate(prompt, seconds=seconds, seed=seed, temperature=temperature, guidance=guidance)
    name = f"guidance {guidance:g}" if temperature is None else f"temperature {temperature:g}"
    return Sound(name, f"{name.capitalize()}: {words}.", clip.slice(0, min(_HEARD_S, clip.duration_s)))


def entropy_bits(logits: torch.Tensor) -> torch.Tensor:
    """Bits of the distributions of logits [..., V]: float32 [...]."""
    return torch.special.entr(logits.float().softmax(-1)).sum(-1) / math.log(2)


def percent(share: float) -> str:
    """A share, 0 to 1, in words."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"
