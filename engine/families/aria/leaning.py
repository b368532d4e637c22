"""What a part leans away from, and to: a pitch that it has had too often, a bar that was there before, steps.

A composer that reads its own notes repeats more than what it was taught: it locks into a pitch or a figure, and leaps
where tunes move by step. What each is worth was chosen so that songs come as near to held-out ones as they do in notes
that repeat the one before, in how often one pitch comes among sixteen, in steps, and in bars that return. A part that
is no melody by itself leans from pitches alone: what accompanies returns. Knows pitches and tokens of bars; does not
know which may come (`grammar`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

WINDOW = 16  # notes
USUAL = 3.5  # how often the commonest pitch of so many comes in tunes
CROWDED = 0.4  # nats against a pitch for each time that it came more often
AGAIN = 0.5  # nats against the highest note of a part that plays with others, for each time that it came in a row
STEP = 0.3  # nats for each pitch within two semitones
RETURNING = 2.0  # nats against a token for each bar that began the same and went on with it
BARS_BACK = 16


def pitch_leaning(line: Sequence[int]) -> dict[int, float]:
    """Nats to add to the logits of pitches, after the pitches of a melody."""
    if not line:
        return {}
    found = _crowded(line)
    for interval in (-2, -1, 1, 2):
        found[line[-1] + interval] = found.get(line[-1] + interval, 0.0) + STEP
    return found


def part_leaning(tops: Sequence[int]) -> dict[int, float]:
    """Nats to add to the logits of pitches of a part that is no melody by itself, after the highest note at each of its
    onsets.
    """
    if not tops:
        return {}
    found = _crowded(tops)
    run = next((back for back, pitch in enumerate(reversed(tops)) if pitch != tops[-1]), len(tops))
    found[tops[-1]] = found.get(tops[-1], 0.0) - AGAIN * min(run, WINDOW)
    return found


def _crowded(line: Sequence[int]) -> dict[int, float]:
    recent = line[-WINDOW:]
    usual = USUAL * len(recent) / WINDOW
    return {pitch: -CROWDED * (count - usual) for pitch, count in Counter(recent).items() if count > usual}


def return_leaning(bodies: Sequence[Sequence[int]]) -> dict[int, float]:
    """Nats to add to the logits of tokens, after the tokens of each bar so far; the last is the one that is written."""
    *earlier, body = bodies[-BARS_BACK - 1 :]
    done = len(body)
    following = [other[done] for other in earlier if len(other) > done and other[:done] == body]
    return {token: -RETURNING * count for token, count in Counter(following).items()}
