"""What a melody leans away from, and to: a pitch that it has had too often, a bar that was there before, steps.

A composer that reads its own notes repeats more than what it was taught: it locks into a pitch or a figure, and leaps
where tunes move by step. What each is worth was chosen so that songs come as near to held-out tunes as they do in notes
that repeat the one before, in how often one pitch comes among sixteen, in steps, and in bars that return. Knows
pitches and tokens of bars; does not know which may come (`grammar`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

WINDOW = 16  # notes
USUAL = 3.5  # how often the commonest pitch of so many comes in tunes
CROWDED = 0.4  # nats against a pitch for each time that it came more often
STEP = 0.3  # nats for each pitch within two semitones
RETURNING = 2.0  # nats against a token for each bar that began the same and went on with it
BARS_BACK = 16


def pitch_leaning(line: Sequence[int]) -> dict[int, float]:
    """Nats to add to the logits of pitches, after the pitches of a melody."""
    if not line:
        return {}
    recent = line[-WINDOW:]
    usual = USUAL * len(recent) / WINDOW
    found = {pitch: -CROWDED * (count - usual) for pitch, count in Counter(recent).items() if count > usual}
    for interval in (-2, -1, 1, 2):
        found[recent[-1] + interval] = found.get(recent[-1] + interval, 0.0) + STEP
    return found


def return_leaning(bodies: Sequence[Sequence[int]]) -> dict[int, float]:
    """Nats to add to the logits of tokens, after the tokens of each bar so far; the last is the one that is written."""
    *earlier, body = bodies[-BARS_BACK - 1 :]
    done = len(body)
    following = [other[done] for other in earlier if len(other) > done and other[:done] == body]
    return {token: -RETURNING * count for token, count in Counter(following).items()}
