"""Scores that the grammar of REMI tokens writes by itself: all that may follow is as likely, but for its leanings."""

import torch

from clavilux.audio.codecs.remi import score_tokens
from clavilux.families.aria.grammar import ScoreGrammar


def walk(seed, bars, parts, leans=True):
    """Tokens drawn by the grammar's own leaning from what is allowed, all else being as likely."""
    random, tokens = torch.Generator().manual_seed(seed), score_tokens()
    grammar = ScoreGrammar(tokens, bars, parts, 90.0)
    drawn = []
    while not grammar.done:
        allowed = grammar.allowed()
        if allowed.dtype == torch.bool:
            assert allowed.any(), f"nothing may follow {tokens.names[drawn[-1]]}"
            logits = torch.zeros(1, 1, len(tokens))
            logits[:, 0, tokens.ids["Bar_None"]] = 2.0  # or a walk would fill every position
            if leans:
                grammar.lean(logits)
            chances = logits[0].masked_fill(~allowed, -torch.inf).softmax(1)
            drawn.append(int(torch.multinomial(chances, 1, generator=random)))
        else:
            drawn.append(int(allowed[0]))
        grammar.advance(torch.tensor(drawn[-1:]))
        assert len(drawn) < 20_000
    return tokens.decode(drawn[:-1])
