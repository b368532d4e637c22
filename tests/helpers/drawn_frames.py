"""Note frames drawn evenly from what a grammar allows."""

import numpy as np

from clavilux.audio.codecs.note_frames import BAR, BOOKS, END
from clavilux.families.aria.frame_grammar import WHEN
from clavilux.layout import OPEN


def walked(grammar, seed):
    """Steps drawn evenly from what is allowed; bars end now and then, or a walk would fill every position."""
    chance, steps = np.random.default_rng(seed), []
    while not grammar.done:
        ids = grammar.allowed().clone()
        for book in grammar.order:
            if ids[book] == OPEN:
                choices = grammar.choices(book).nonzero().flatten().tolist()
                assert choices, f"nothing may come in {BOOKS[book]} of step {len(steps)}"
                end = [token for token in (BAR, END) if book == WHEN and token in choices]
                ids[book] = end[0] if end and chance.random() < 0.2 else int(chance.choice(choices))
                grammar.take(book, int(ids[book]))
        steps.append(ids)
        grammar.advance(ids)
        assert len(steps) < 5000
    return steps
