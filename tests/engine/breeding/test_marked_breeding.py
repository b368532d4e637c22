"""The mark in what breeding draws: as in what is painted and rendered, in new tokens alone, and again from history."""

from dataclasses import replace

import pytest
import torch

import clavilux
from clavilux.breeding import between, cross, lumia, mutate, replay, show
from clavilux.breeding.lineage import Lineage, Step
from clavilux.breeding.lumia import _tokens
from clavilux.breeding.models import load_breeder
from clavilux.breeding.showing import portrait, sheet
from clavilux.breeding.verbs import random_genome, replayed
from clavilux.families.aria.chances import note_chances
from clavilux.mark_key import PUBLIC, MarkKey, new_key
from clavilux.marking import Place, nonce_of
from clavilux.provenance.mark import gamma_tail, group_scores
from clavilux.provenance.mark_pixels import find_in_pixels
from clavilux.provenance.mark_scores import find_in_score
from clavilux.provenance.mark_sounds import find_in_sound


@pytest.fixture(scope="module")
def painter():
    return load_breeder("lumia")


@pytest.fixture
def bold(monkeypatch):
    """A painter with a choice: at its own temperature it repeats its emoji nearly as they are, whatever is drawn."""
    monkeypatch.setattr(lumia, "SAMPLING", replace(lumia.SAMPLING, temperature=2.0))


@pytest.fixture(scope="module")
def composer():
    return load_breeder("aria")


@pytest.fixture(scope="module")
def quartet(composer):
    return random_genome(composer, seed=5, words="string quartet in D, 12 bars", mark=True)


def chance_of(family, drawn, key=PUBLIC):
    """The p-value of the tokens that were drawn: (seed, [(place, token)]) of each genome, seeds known."""
    marked, total, count = family.marked, 0.0, 0
    for seed, tokens in drawn:
        places = [Place(at) for at, _ in tokens]
        scores = group_scores(key.word(marked.kind), places, marked.num_groups)[nonce_of(seed)]
        groups = marked.groups[torch.tensor([token for _, token in tokens])]
        total += float(scores.gather(1, groups[:, None]).sum())
        count += len(tokens)
    return gamma_tail(total, count)


def changed(child, *parents):
    """(place, token) of the first codebook, where no parent has that token."""
    first = "codebook 1"
    return [
        (at, token)
        for at, token in enumerate(child.latents[first])
        if all(parent.latents[first][at] != token for parent in parents)
    ]


def test_a_picture_is_drawn_as_paint_draws_it(painter, bold):
    model = clavilux.load("lumia", device="cpu", dtype="float32")
    painted = model.generate("red apple", seed=3, temperature=2.0, mark=True)
    apple = random_genome(painter, seed=3, words="red apple", mark=True)
    assert list(apple.latents["codebook 1"]) == painted.tokens[0].tolist()
    plain = random_genome(painter, seed=3, words="red apple")
    assert apple.latents != plain.latents and plain.history.last.settings["mark"] == "none"
    picture = show(apple, model=painter)
    assert picture.receipt["mark"] == painted.receipt["mark"] == {"key": PUBLIC.id}
    assert torch.equal(picture.pixels, painted.pixels) and torch.equal(portrait(apple, painter).pixels, painted.pixels)
    assert torch.equal(show(plain, model=painter).pixels, model.decode(_tokens(plain.genes)).pixels)
    none = random_genome(painter, seed=3, words="red apple", mark=False)
    assert none == plain and show(none, model=painter).receipt["mark"] == "none"


def test_what_a_child_and_a_mutant_have_anew_is_marked(painter, monkeypatch):
    monkeypatch.setattr(
        lumia, "SAMPLING", replace(lumia.SAMPLING, temperature=1.0)
    )  # at its own it has hardly a choice
    apple, cat = (random_genome(painter, seed=3, words=words) for words in ("red apple", "black cat"))
    p = {}
    for mark in (True, None):
        drawn = []
        for seed in range(4):
            child = cross([apple, cat], seed=seed, mark=mark, model=painter)
            mutant = mutate(apple, 0.8, seed=seed, mark=mark, model=painter)
            drawn += [(seed, changed(child, apple, cat)), (seed, changed(mutant, apple))]
        p[mark] = chance_of(painter._family, drawn)
    assert p[True] < 1e-6 < 1e-3 < p[None]


def test_it_replays_with_the_key_of_each_step(painter, bold, tmp_path):
    key = tmp_path / "own.key"
    own = new_key(key)
    apple = random_genome(painter, seed=3, words="red apple", mark=True)
    mutant = mutate(apple, 0.4, seed=2, mark=key, model=painter)
    assert [step.settings["mark"] for step in mutant.history.steps] == [PUBLIC.id, own.id]
    assert replay(apple, model=painter) == apple and replay(mutant, model=painter, mark_key=key) == mutant
    with pytest.raises(ValueError, match=f"the mark of the private key {own.id}; give its file .*--mark-key"):
        replay(mutant, model=painter)
    assert key.read_text().strip() not in str(mutant.to_dict())


def test_where_nothing_is_drawn_no_step_says_of_a_mark(painter):
    apple, cat = (random_genome(painter, seed=3, words=words) for words in ("red apple", "black cat"))
    child = cross([apple, cat], structure=[0, 1], style=[0, 1], mark=True, model=painter)
    assert child.genes == cat.genes and "mark" not in child.history.last.settings
    assert mutate(apple, 0, mark=True, model=painter) is apple


def test_the_pixels_are_marked_of_a_genome_whose_last_step_is(painter, tmp_path):
    """All of them; those of a private key need it again."""
    key = tmp_path / "own.key"
    own = new_key(key)
    apple, cat = (random_genome(painter, seed=3, words=words, mark=True) for words in ("red apple", "black cat"))
    child, plain, private = (cross([apple, cat], seed=1, mark=mark, model=painter) for mark in (True, False, key))
    found = {}
    for name, genome, given in (("child", child, None), ("plain", plain, None), ("own", private, key)):
        picture = show(genome, model=painter, mark_key=given)
        assert picture.receipt["notes"] == []
        found[name] = [mark.found for mark in find_in_pixels(picture, [PUBLIC, own], 64)]
    assert found == {"child": [True, False], "plain": [False, False], "own": [False, True]}
    assert not find_in_pixels(show(between(apple, cat, 0.5, model=painter), model=painter), [PUBLIC], 64)[0].found
    unmarked = show(private, model=painter)
    assert unmarked.receipt["notes"] == [f"the pixels have no mark: the private key {own.id} was not given"]
    assert not find_in_pixels(unmarked, [own], 64)[0].found
    together = sheet([portrait(each, painter) for each in (apple, cat, child)], labels="123")
    assert find_in_pixels(together, [PUBLIC], 64)[0].p < 1e-12


def test_models_without_tokens_have_none(monkeypatch):
    with pytest.raises(ValueError, match="gan draws no tokens, so nothing of it can be marked"):
        random_genome("gan", seed=1, mark=True)
    plain = random_genome("gan", seed=1, mark=False)
    monkeypatch.delenv("CLAVILUX_MARK")
    assert random_genome("gan", seed=1) == plain and "mark" not in plain.history.last.settings


@pytest.mark.parametrize("mark", ["deadbeefs", 7, "NONE"])
def test_a_history_with_a_mark_that_is_none_is_refused(painter, mark):
    step = Step("random", (), {"seed": 1, "words": "red apple", "mark": mark})
    genome = random_genome(painter, seed=1, words="red apple")
    with pytest.raises(ValueError, match="the mark of a step is .*; it should be a key's id, or 'none'"):
        replayed(replace(genome, history=Lineage((step,))), painter)


def test_a_score_is_marked_in_its_notes_and_in_its_sound(composer, quartet):
    score = composer.score(quartet.genes)
    found = [find_in_score(score, key, note_chances(composer._family, score)).p for key in (PUBLIC, MarkKey(bytes(32)))]
    assert found[0] < 1e-4 and found[1] > 1e-3
    song = show(quartet, model=composer)
    assert song.receipt["mark"] == {"key": PUBLIC.id}
    assert find_in_sound(song, [PUBLIC])[0].p < 1e-6


def test_a_mutant_of_a_score_is_marked_in_the_bars_that_it_has_anew(composer):
    """Of the same seed with the mark and without: other notes in those bars, and none in others."""
    plain = random_genome(composer, seed=5, words="string quartet in D, 4 bars")
    mutants = [mutate(plain, 0.5, seed=8, mark=mark, model=composer) for mark in (True, None)]
    new = [{bar for bar in plain.latents if each.latents[bar] != plain.latents[bar]} for each in mutants]
    assert mutants[0].latents != mutants[1].latents and len(new[0] | new[1]) == 2


def test_the_sound_of_a_private_key_needs_it_again(composer, tmp_path):
    key = tmp_path / "own.key"
    own = new_key(key)
    genome = random_genome(composer, seed=1, words="waltz for piano, 4 bars", mark=key)
    unmarked, marked = show(genome, model=composer), show(genome, model=composer, mark_key=key)
    assert unmarked.receipt["notes"] == [f"the sound has no mark: the private key {own.id} was not given"]
    assert marked.receipt["notes"] == [] and not torch.equal(marked.samples, unmarked.samples)
