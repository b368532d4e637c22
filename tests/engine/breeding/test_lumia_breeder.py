"""Breeding with lumia: words that are mixed, regions that are spliced, and what stays."""

from dataclasses import replace

import pytest
import torch

from clavilux.breeding import Genome, between, cross, mutate, replay
from clavilux.breeding.breeder import Genes, Mix
from clavilux.breeding.lumia import field, regions, seams
from clavilux.breeding.models import load_breeder
from clavilux.breeding.verbs import random_genome


@pytest.fixture(scope="module")
def lumia():
    return load_breeder("lumia")


@pytest.fixture(scope="module")
def family(lumia):
    apple, cat = (random_genome(lumia, seed=3, words=words) for words in ("red apple", "black cat"))
    return {"apple": apple, "cat": cat, "child": cross([apple, cat], model=lumia)}


def places(first, second):
    """bool [places]: where two genomes have all tokens alike."""
    pairs = zip(first.latents.values(), second.latents.values(), strict=True)
    return torch.stack([torch.tensor(a) == torch.tensor(b) for a, b in pairs]).all(0)


def test_random_genomes_are_pictures_of_their_words(lumia, family):
    apple = family["apple"]
    assert apple.classes == {"words": "red apple"} and apple.model == "lumia"
    assert [len(tokens) for tokens in apple.latents.values()] == [64] * 4
    picture = lumia.show(apple.genes)
    assert (picture.width, picture.height) == (64, 64)
    assert torch.equal(picture.pixels, lumia.show(Genome.from_dict(apple.to_dict()).genes).pixels)
    assert picture.pixels.float().std() > 20


def test_a_child_has_regions_of_both_and_the_words_of_both(family):
    child = family["child"]
    assert child.classes["words"] == "red black apple cat"
    from_apple, from_cat = (places(child, family[name]) for name in ("apple", "cat"))
    owner = regions((0.5, 0.5), 8, 0)
    kept = ~seams(owner, 8)
    assert from_apple[kept & (owner == 0)].all() and from_cat[kept & (owner == 1)].all()
    assert not from_apple.all() and not from_cat.all()


def test_it_replays_and_is_the_same_child_again(lumia, family):
    assert replay(family["child"], model=lumia) == family["child"]


def test_all_weight_on_one_is_this_one_and_seeds_give_other_borders(lumia, family):
    parents = [family["apple"], family["cat"]]
    assert cross(parents, structure=[0, 1], style=[0, 1], model=lumia).genes == family["cat"].genes
    assert regions((0.5, 0.5), 8, 1).tolist() != regions((0.5, 0.5), 8, 2).tolist()


def test_words_are_mixed_apart(lumia, family):
    genes = [family["apple"].genes, family["cat"].genes]
    assert lumia.mixed_words(genes, Mix((1.0, 0.0), (0.0, 1.0))) == "black apple"
    assert lumia.mixed_words(genes, Mix((0.3, 0.7), (0.7, 0.3))) == "red black cat apple"


def test_a_mutation_paints_a_region_anew(lumia, family):
    mutant = mutate(family["apple"], 0.25, seed=2, model=lumia)
    same = places(mutant, family["apple"])
    assert same.sum() >= 48 and not same.all()
    assert mutate(family["apple"], 0, model=lumia) is family["apple"]


def test_between_goes_place_by_place_and_ends_at_the_parents(lumia, family):
    apple, cat = family["apple"], family["cat"]
    found = [between(apple, cat, share, model=lumia) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert found[0].genes == apple.genes and found[-1].genes == cat.genes
    counts = [int(places(each, cat).sum()) for each in found]
    assert counts == sorted(counts) and len(set(counts)) == 5


@pytest.mark.parametrize("seed", [0, 7])
def test_regions_have_their_shares_and_seams_lie_between_them(seed):
    owner = regions((0.5, 0.25, 0.25), 8, seed)
    assert torch.bincount(owner).tolist() == [32, 16, 16]
    border = seams(owner, 8)
    assert 0 < border.sum() < 48 and not border[0]
    assert not seams(torch.zeros(64, dtype=torch.int64), 8).any()
    assert len(set(field(8, seed).tolist())) == 64  # no ties: the order is one


@pytest.mark.parametrize(
    ("genes", "sentence"),
    [
        ({"codebook 1": (0.0,) * 64}, "lumia has 4 codebooks of 64 tokens"),
        ({f"codebook {n}": (600,) * 64 for n in (1, 2, 3, 4)}, "a token of the genome is 600"),
        ({f"codebook {n}": (0.5,) * 64 for n in (1, 2, 3, 4)}, "a token of the genome is 0.5"),
    ],
)
def test_genes_that_are_no_picture(lumia, family, genes, sentence):
    wrong = replace(family["apple"], genes=Genes(genes, family["apple"].classes))
    with pytest.raises(ValueError, match=sentence):
        mutate(wrong, 0.2, model=lumia)


def test_what_it_cannot_do_is_said(lumia, family):
    with pytest.raises(ValueError, match="not understood: 'qwxz' names nothing that the painter knows"):
        random_genome(lumia, words="qwxz")
    with pytest.raises(ValueError, match="have no genes to slide"):
        mutate(family["apple"], 0, sliders={"1": 2}, model=lumia)
    with pytest.raises(ValueError, match="classes are {'word': 'cat'}; lumia has words, a text"):
        mutate(replace(family["apple"], genes=Genes(family["apple"].latents, {"word": "cat"})), 0.2, model=lumia)
