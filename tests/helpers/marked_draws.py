"""How likely it is by chance that tokens fit the public key's noise so well, where their seeds are known."""

from clavilux.mark_key import PUBLIC
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
    """Pieces drawn with the mark fit the key, and those of the same seeds without it do not."""
    prompts = list(words) * len(seeds) if words else [""] * len(seeds)
    for mark in (True, False):
        made = model.generate(prompts, seed=list(seeds), mark=mark, **options)
        assert all(each.receipt["mark"] == ({"key": PUBLIC.id} if mark else "none") for each in made)
        assert (chance_of(model.family, made, seeds) < 1e-9) is mark
