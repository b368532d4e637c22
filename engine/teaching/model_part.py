"""How a song was made, token by token: how certain the model was, and what else it might have written.

Knows models that give logits and the names of score tokens. Does not know what the song is (`song_parts`).
"""

from __future__ import annotations

import math

import torch

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.remi import score_tokens
from clavilux.music_model import MusicModel
from clavilux.teaching.lesson import Block, Section, Table, Text

PLACES, CANDIDATES = 10, 3
TEMPERATURES = (0.5, 1.0, 1.5)
_OF_NOTES = ("Pitch", "Duration", "Position", "Program", "Chord")


def model_section(model: MusicModel, clip: Audio, prompt: str, seconds: float) -> Section | None:
    """The section; None for a model whose tokens are not score tokens.

    The distributions are the model's own (temperature 1, no guidance), before its grammar forbids what would break a
    bar or a chord.
    """
    tokens = score_tokens()
    if clip.tokens is None or clip.tokens.shape[0] != 1 or model.family.stage.layout.vocabulary != len(tokens):
        return None
    logits = model.logits(clip.tokens, prompt=prompt, seconds=seconds, seed=int(clip.receipt["seed"]))[0]  # [T, V]
    drawn = clip.tokens[0].tolist()
    bits = entropy_bits(logits)
    chosen = [at for at, token in enumerate(drawn) if tokens.kinds[token] in _OF_NOTES]
    chosen = chosen[:: max(1, len(chosen) // PLACES)][:PLACES]
    rows = []
    for at in chosen:
        shares, ids = logits[at].softmax(-1).topk(CANDIDATES)
        likely = ", ".join(
            f"{tokens.names[each]} {share:.0%}" for each, share in zip(ids.tolist(), shares.tolist(), strict=True)
        )
        rows.append((str(at + 1), tokens.names[drawn[at]], f"{float(bits[at]):.1f}", likely))
    cooled = " ".join(
        f"At temperature {each:g} it would be {float(entropy_bits(logits / each).mean()):.1f}." for each in TEMPERATURES
    )
    blocks: list[Block] = [
        Text(
            f"This song was written by a model, a token after another: {len(drawn)} tokens, each a bar, a place in it, "
            "a chord, a pitch or a length. Before each the model gives every possible token a share, and one is drawn. "
            "How open that draw is is measured in bits: 0 is certain, 1 is a coin, 3 is one of eight alike."
        ),
        Table(("token", "what was drawn", "bits", "the likeliest, with their shares"), tuple(rows)),
        Text(
            "*Temperature* changes the shares before the draw: below 1 the likely becomes likelier, above 1 the shares "
            f"come nearer to each other. {cooled}"
        ),
    ]
    return Section("How a machine wrote it", tuple(blocks))


def entropy_bits(logits: torch.Tensor) -> torch.Tensor:
    """Bits of the distributions of logits [T, V]: float32 [T]."""
    return torch.special.entr(logits.float().softmax(-1)).sum(-1) / math.log(2)
