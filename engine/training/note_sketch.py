"""Sketches of what a composer in training writes, as a picture: piano rolls of a few styles, always the same ones.

Draws with heads that are planned (AABB of four bars each) and with nothing else held: no ranges, no grid of a metre.
Does not know prompts; what a song needs is the family's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clavilux.audio.codecs.note_frames import BAR, END, BarHead, decode_frames, is_note, readable
from clavilux.audio.codecs.remi import PROGRAMS
from clavilux.audio.score import Score
from clavilux.conditioning import Conditioning
from clavilux.families.aria.family import Composer
from clavilux.families.aria.prefix import PrefixControls, tempo_bin
from clavilux.image.picture import Picture
from clavilux.layout import Delay
from clavilux.training.labels import LABELS

STYLES = (
    ("jig", (6, 8), 180, (40,)), ("reel", (4, 4), 200, (73,)), ("hymn", (4, 4), 80, (52,)),
    ("lead sheet", (4, 4), 120, (0,)), ("baroque", (4, 4), 90, (6,)),
)  # fmt: skip
MOST_FRAMES = 256
BARS, SECTION = 16, 4
PIXELS_A_QUARTER, LOW, HIGH = 8, 36, 96


def planned_heads(metre: tuple[int, int], bars: int = BARS) -> list[BarHead]:
    """AABB, four bars each."""
    heads = []
    for bar in range(bars):
        section, number = divmod(bar, SECTION)
        heads.append(BarHead(metre, section // 2, number, "exact" if section % 2 else "new", bars - bar))
    return heads


@torch.no_grad()
def write_frames(
    model: Composer, layout: Delay, controls: PrefixControls, heads: list[BarHead], most_frames: int, seed: int = 0,
    temperature: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """Frames int64 [5, T] under planned heads, at most so many, one drawn after another.

    A frame's first id says which kind it is: where it is BAR, the other four are the next head's.
    """
    draw = torch.Generator().manual_seed(seed)
    decoder = model.decoder
    state = decoder.new_state(1, Conditioning(prefix=model.conditioner([controls])))
    special, delays = layout.special, layout.delays
    assert special is not None, "books are delayed"
    frames = np.full((len(delays), most_frames), -1, dtype=np.int64)
    frames[:, 0], head = heads[0].frame(), 1
    logits, last = torch.zeros(1), most_frames - 1
    for step in range(most_frames + max(delays)):
        ids = []
        for book, delay in enumerate(delays):
            at = step - delay
            if not 0 <= at <= last:
                ids.append(special)
                continue
            if frames[book, at] < 0:
                frames[book, at] = _drawn(logits[book], temperature, draw)
                if book == 0 and frames[0, at] in (BAR, END):
                    if head == len(heads) or frames[0, at] == END:
                        frames[0, at], last = END, at
                        frames[1:, at] = 0
                    else:
                        frames[:, at], head = heads[head].frame(), head + 1
            ids.append(int(frames[book, at]))
        if step >= last + max(delays):
            break
        tokens = torch.tensor([ids])
        logits = decoder.prefill(tokens[..., None], state)[0] if step == 0 else decoder.step(tokens, state)[0]
    return frames[:, :last]


def _drawn(logits: Tensor, temperature: float, draw: torch.Generator) -> int:
    return int(torch.multinomial((logits.float() / temperature).softmax(0), 1, generator=draw))


def controls_for(label: str, tempo: float, programs: tuple[int, ...]) -> PrefixControls:
    """Major, of middling density."""
    assert set(programs) <= set(PROGRAMS), "of the sketches' own"
    return PrefixControls(LABELS.index(label), 0, tempo_bin(tempo), 1, programs)


def sketch(model: Composer, layout: Delay, context: int) -> Picture:
    """A roll of each of `STYLES`, one under another."""
    model = model.cpu()
    rolls = []
    for label, metre, tempo, programs in STYLES:
        heads = planned_heads(metre)
        frames = write_frames(model, layout, controls_for(label, tempo, programs), heads, min(MOST_FRAMES, context))
        rolls.append(_roll(_readable(frames), len(heads)))
    width = max(roll.shape[1] for roll in rolls)
    padded = [np.pad(roll, ((2, 2), (0, width - roll.shape[1]), (0, 0)), constant_values=90) for roll in rolls]
    return Picture(torch.from_numpy(np.concatenate(padded)))


def _readable(frames: np.ndarray) -> Score | None:
    """The score, without frames whose ids do not belong together, as an untaught composer draws them."""
    kept = frames[:, readable(frames)]
    return decode_frames(kept) if is_note(kept).any() else None


def _roll(score: Score | None, bars: int) -> np.ndarray:
    """uint8 [rows, columns, 3], time to the right, bar lines in grey."""
    quarters = score.length if score is not None else 4.0 * bars
    roll = np.full((HIGH - LOW + 1, max(1, round(quarters * PIXELS_A_QUARTER)), 3), 16, dtype=np.uint8)
    if score is None:
        return roll
    for start in score.bar_starts():
        roll[:, min(roll.shape[1] - 1, round(start * PIXELS_A_QUARTER))] = 60
    for note in score.notes:
        if LOW <= note["pitch"] <= HIGH:
            first = round(note["start"] * PIXELS_A_QUARTER)
            end = max(first + 1, round((note["start"] + note["duration"]) * PIXELS_A_QUARTER) - 1)
            hue = (note["program"] * 37) % 100
            roll[HIGH - note["pitch"], first:end] = (250 - hue, 150 + hue // 2, 120 + hue)
    return roll
