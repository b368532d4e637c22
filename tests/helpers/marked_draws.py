"""How likely it is by chance that tokens fit the public key's noise so well, where their seeds are known."""

import pytest
import torch

from clavilux.image import pixel_mark
from clavilux.image.picture import Picture
from clavilux.mark_key import PUBLIC, VARIABLE
from clavilux.marking import PAINTED_KIND, Place, nonce_of
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
    """Pieces of which nobody says anything fit the key, and those of the same seeds without a mark do not; pictures are
    what their tokens are decoded to, with its pattern and without.
    """
    prompts = list(words) * len(seeds) if words else [""] * len(seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE)
        for marked, said in ((True, {}), (False, {"mark": False})):
            made = model.generate(prompts, seed=list(seeds), **said, **options)
            assert all(each.receipt["mark"] == ({"key": PUBLIC.id} if marked else "none") for each in made)
            assert (chance_of(model.family, made, seeds) < 1e-9) is marked
            for picture in (each for each in made if isinstance(each, Picture)):
                decoded = model.decode(picture.tokens).pixels
                expected = pixel_mark.marked(decoded, PUBLIC.word(PAINTED_KIND)) if marked else decoded
                assert torch.equal(picture.pixels, expected)
