"""How likely it is by chance that tokens fit the public key's noise so well, where their seeds are known."""

import pytest

from clavilux.mark_key import PUBLIC, VARIABLE
from clavilux.marking import Place, nonce_of
from clavilux.provenance.mark import gamma_tail, group_scores


def chance_of(family, made, seeds):
    """Of pieces with tokens [K, frames], the p-value of all together."""
    marked, total, count = family.marked, 0.0, 0
    for each, seed in zip(made, seeds, strict=True):
        groups = marked.groups[each.tokens[marked.stream]].tolist()
        scores = group_scores(PUBLIC.word(marked.kind), [Place(at) for at in range(len(groups))], marked.num_groups)
        total += float(sum(scores[nonce_of(seed), at, group] for at, group in enumerate(groups)))
        count += len(groups)
    return gamma_tail(total, count)


def assert_marked(model, *words, seeds, **options):
    """Pieces of which nobody says anything fit the key, and those of the same seeds without a mark do not."""
    prompts = list(words) * len(seeds) if words else [""] * len(seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE)
        for marked, said in ((True, {}), (False, {"mark": False})):
            made = model.generate(prompts, seed=list(seeds), **said, **options)
            assert all(each.receipt["mark"] == ({"key": PUBLIC.id} if marked else "none") for each in made)
            assert (chance_of(model.family, made, seeds) < 1e-9) is marked
