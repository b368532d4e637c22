"""Genomes and what is bred of them, with a tiny generator: the same genes, the same pixels."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_breeder import ToyBreeder

from clavilux.breeding import Genome, Lineage, between, cross, mutate, replay
from clavilux.breeding.breeder import Genes
from clavilux.breeding.genome import formatted
from clavilux.breeding.verbs import random_genome

TOY = ToyBreeder()


def founder(seed, words="disc"):
    return random_genome(TOY, seed=seed, words=words)


def pixels(genome):
    return TOY.show(genome.genes).pixels


def close(first, second, atol):
    return all(np.allclose(first.latents[layer], second.latents[layer], atol=atol) for layer in TOY.layers)


def test_the_same_genome_is_the_same_pixels_also_from_its_file(tmp_path):
    genome = founder(3)
    genome.save(tmp_path / "a.json")
    again = Genome.load(tmp_path / "a.json")
    assert again == genome == founder(3) and torch.equal(pixels(again), pixels(genome))
    assert not torch.equal(pixels(founder(4)), pixels(genome))


def test_a_file_has_its_fingerprint_first_and_every_key_on_a_line(tmp_path):
    child = cross([founder(1), founder(2, "square")], model=TOY)
    child.save(tmp_path / "child.json")
    text = (tmp_path / "child.json").read_text()
    lines = text.splitlines()
    assert lines[1] == f' "model_sha256": "{"a" * 64}",'
    value = json.loads(text)
    assert list(value) == ["model_sha256", "model", "latents", "classes", "history"]
    assert all(line.count('": ') <= 1 for line in lines)
    assert sum('": ' in line for line in lines) == count_keys(value)
    (tmp_path / "child.json").write_text(json.dumps(value))  # another hand's layout is as good
    assert Genome.load(tmp_path / "child.json") == child


def test_the_order_of_layers_in_a_file_does_not_matter():
    genome = founder(1)
    other = replace(genome, genes=Genes(dict(reversed(genome.latents.items())), genome.classes))
    assert mutate(other, 0.3, seed=1, model=TOY) == mutate(genome, 0.3, seed=1, model=TOY)
    assert torch.equal(pixels(other), pixels(genome))


def count_keys(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (len(value) if isinstance(value, dict) else 0) + sum(map(count_keys, parts))


def test_layout_is_json_that_holds_the_same():
    value = {"a": {}, "b": [], "c": [1, 2.5], "d": [{"e": "ü\n"}, {}], "f": {"g": None}}
    assert json.loads(formatted(value)) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        formatted({"a": math.nan})


def test_a_mutation_of_0_is_the_identity_and_others_grow_with_their_strength():
    genome = founder(5)
    assert mutate(genome, 0, seed=1, model=TOY) == genome
    vectors = [np.concatenate([*mutate(genome, s, seed=1, model=TOY).latents.values()]) for s in (0.01, 0.3, 0.8, 1)]
    distances = [np.linalg.norm(each - np.concatenate([*genome.latents.values()])) for each in vectors]
    assert 0 < distances[0] < 0.2 and distances == sorted(distances)
    assert mutate(genome, 0.3, seed=1, model=TOY) == mutate(genome, 0.3, seed=1, model=TOY)
    assert mutate(genome, 0.3, seed=2, model=TOY) != mutate(genome, 0.3, seed=1, model=TOY)


def test_what_lies_between_ends_at_the_parents_and_keeps_its_length():
    first, second = founder(6), founder(7, "square")
    assert between(first, second, 0, model=TOY).genes == first.genes
    assert between(first, second, 1, model=TOY).genes == second.genes
    middle = between(first, second, 0.5, model=TOY)
    assert middle.classes == {"disc": 0.5, "square": 0.5}
    for layer in TOY.layers:
        a, b, found = (np.array(each.latents[layer]) for each in (first, second, middle))
        angle = math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        assert np.allclose(found, (a + b) / 2 / math.cos(angle / 2), atol=1e-3)  # half an arc, by its chord
    assert between(first, first, 0.3, model=TOY).genes == first.genes


def test_a_cross_without_a_seed_is_one_child_and_seeds_give_others():
    parents = [founder(seed) for seed in (1, 2, 3)]
    assert cross(parents, model=TOY) == cross(parents, model=TOY)
    children = [cross(parents, seed=seed, model=TOY) for seed in range(4)]
    assert len({child.name for child in children}) == 4 and children[2] == cross(parents, seed=2, model=TOY)
    for child in children:
        settings = child.history.last.settings
        assert abs(sum(settings["structure"]) - 1) < 1e-9 and abs(sum(settings["style"]) - 1) < 1e-9


def test_structure_and_style_are_mixed_apart():
    a, b = founder(1), founder(2, "square")
    child = cross([a, b], structure=[1, 0], style=[0, 5], model=TOY)
    assert child.latents["place"] == a.latents["place"] and child.classes == {"disc": 1.0}
    assert child.latents["color"] == b.latents["color"] and child.latents["background"] == b.latents["background"]
    assert cross([a, b], structure=[0, 1], style=[0, 1], model=TOY).genes == b.genes


def test_eight_parents_are_as_long_as_one():
    parents = [founder(seed) for seed in range(8)]
    child = cross(parents, model=TOY)
    for layer in TOY.layers:
        lengths = [np.linalg.norm(parent.latents[layer]) for parent in parents]
        assert np.isclose(np.linalg.norm(child.latents[layer]), np.mean(lengths), atol=1e-3)


def test_fifty_crossings_replay_from_their_json(tmp_path):
    family = [founder(seed, ("disc", "square")[seed % 2]) for seed in range(5)]
    for number in range(50):
        parents = [family[(number * step) % len(family)] for step in (3, 7, 11)][: 2 + number % 2]
        child = cross(parents, seed=number if number % 3 else None, model=TOY)
        family.append(mutate(child, 0.1, seed=number, model=TOY) if number % 5 == 0 else child)
    last = cross(family[-8:], model=TOY)
    last.save(tmp_path / "last.json")
    read = Genome.load(tmp_path / "last.json")
    again = replay(read, model=TOY)
    assert sum(step.verb == "cross" for step in read.history.steps) > 40
    assert again == last and torch.equal(pixels(again), pixels(last))
    assert len({step.name for step in read.history.steps}) == len(read.history.steps)


def test_replay_finds_genes_that_its_history_does_not_lead_to():
    child = cross([founder(1), founder(2)], model=TOY)
    other = replace(child, genes=founder(3).genes)
    with pytest.raises(ValueError, match="leads to other genes than it has"):
        replay(other, model=TOY)


def test_a_lineage_knows_its_generations_and_joins_what_is_shared():
    a, b, c = (founder(seed) for seed in (1, 2, 3))
    left, right = cross([a, b], model=TOY), cross([b, c], model=TOY)
    child = mutate(cross([left, right], model=TOY), 0.1, seed=1, model=TOY)
    assert sorted(child.history.generations.values()) == [0, 0, 0, 1, 1, 2, 3]
    assert Lineage.from_list(json.loads(json.dumps(child.history.to_list()))) == child.history


def test_a_genome_for_another_model_is_refused():
    other = ToyBreeder("toys/other", "b" * 64)
    with pytest.raises(ValueError, match=r"for a model toy of the fingerprint a{12}, and toys/other here is b{12}"):
        mutate(founder(1), 0.2, model=other)
    with pytest.raises(ValueError, match=r"of different models, toy \(a{12}\) and toys/other \(b{12}\)"):
        cross([founder(1), random_genome(other, seed=2)], model=TOY)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_a_child_has_two_to_eight_parents(count):
    with pytest.raises(ValueError, match=rf"^{count} genomes? (is|are) given; cross takes 2 to 8$"):
        cross([founder(1)] * count, model=TOY)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"structure": [1]}, r"structure is \[1\]; it should be a weight of 0 or more for each of 2 parents"),
        ({"style": [0, 0]}, r"style is \[0, 0\]"),
        ({"style": [1, -1]}, "weight of 0 or more"),
        ({"structure": [math.nan, 1]}, "weight of 0 or more"),
        ({"seed": -1}, "seed is -1; it should be a whole number from 0"),
    ],
)
def test_weights_and_seeds_that_are_none(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        cross([founder(1), founder(2)], model=TOY, **options)


@pytest.mark.parametrize("strength", [-0.1, 1.5, math.nan, True, "much"])
def test_a_strength_out_of_range(strength):
    with pytest.raises(ValueError, match="strength is .*; it should be a number from 0 to 1"):
        mutate(founder(1), strength, model=TOY)


def test_words_and_layers_that_a_model_does_not_have():
    with pytest.raises(ValueError, match="'cat' is no class of toy; it has disc, square"):
        founder(1, "cat")
    wrong = replace(founder(1), genes=Genes({"place": (1.0,)}, {}))
    with pytest.raises(ValueError, match="the genome has the layers"):
        mutate(wrong, 0.1, model=TOY)
    far = replace(founder(1), genes=Genes(founder(1).latents | {"color": (0.0, 101.0, 0.0)}, {"disc": 1}))
    with pytest.raises(ValueError, match="beyond 100 deviations"):
        mutate(far, 0.1, model=TOY)


def edited(**changes):
    return founder(1).to_dict() | changes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no genome: it is no JSON"),
        ("[" * 100_000, "is no genome: it is no JSON"),
        ("[1, 2]", "it is no genome: it has no model_sha256"),
        ('{"prompt": "cat"}', "it is no genome: it has no model_sha256"),
        (json.dumps(edited(more=1)), "it has the keys"),
        (json.dumps(edited(model_sha256="12")), "its model_sha256 is '12'; it should be 64 hexadecimal digits"),
        (json.dumps(edited(model=3)), "its model is 3"),
        (json.dumps(edited(latents={})), "its latents are {}"),
        (json.dumps(edited(latents={"place": [1, "a"]})), r"its latents of layer 'place' are \[1, 'a'\]"),
        (json.dumps(edited(latents={"place": [math.nan]})), "should be a list of numbers"),
        (json.dumps(edited(classes=[])), r"its classes are \[\]"),
        (json.dumps(edited(history=[])), "a history has 0 steps"),
        (json.dumps(edited(history={})), "its history is {}; it should be a list"),
        (json.dumps(edited(history=[{"verb": "clone"}])), "its verb should be one of random, encode, cross"),
        (json.dumps(edited(history=[{"verb": "cross", "parents": ["a"]}])), "has 1 parents; it should have 2 to 8"),
        (json.dumps(edited(history=[{"name": "0", "verb": "random", "seed": 1}])), "it was changed by hand"),
    ],
)
def test_files_that_are_no_genomes(text, sentence, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=sentence) as caught:
        Genome.load(tmp_path / "a.json")
    assert str(caught.value).startswith(f"'{tmp_path / 'a.json'}' is ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
