"""Breeding with aria: the form of one score, the harmony of another, bars that stay and bars that are written."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clavilux.audio.harmony import Chord
from clavilux.audio.harmony_analysis import harmony_of
from clavilux.breeding import between, cross, mutate, replay
from clavilux.breeding.breeder import Genes
from clavilux.breeding.models import load_breeder
from clavilux.breeding.reharmonizing import fitted, joined, nearest
from clavilux.breeding.verbs import random_genome


@pytest.fixture(scope="module")
def aria():
    return load_breeder("aria")


@pytest.fixture(scope="module")
def family(aria):
    waltz = random_genome(aria, seed=1, words="waltz for piano in G minor, 6 bars")
    hymn = random_genome(aria, seed=2, words="chorale for organ in E major, 4 bars")
    return {"waltz": waltz, "hymn": hymn, "child": cross([waltz, hymn], model=aria)}


def test_random_scores_are_what_their_words_say(aria, family):
    waltz = aria.score(family["waltz"].genes)
    assert len(waltz.bar_starts()) == len(family["waltz"].latents) == 6
    assert str(waltz.key) == "G minor" and waltz.metres == ((0.0, (3, 4)),)
    assert family["waltz"].classes["instruments"] == ["piano"] and len(waltz.notes) > 10


def test_a_child_has_the_form_of_one_and_the_harmony_of_the_other(aria, family):
    child, waltz, hymn = (aria.score(family[name].genes) for name in ("child", "waltz", "hymn"))
    assert child.metres == waltz.metres and child.tempos == waltz.tempos
    assert len(child.bar_starts()) == len(waltz.bar_starts())
    assert set(child.notes["program"]) == set(waltz.notes["program"])
    assert str(child.key) == str(hymn.key) == "E major"
    wanted = fitted(harmony_of(hymn), 6, (4, 4), (3, 4))
    assert [[chord for _, chord in bar] for bar in harmony_of(child)] == [[chord for _, chord in bar] for bar in wanted]


def test_most_bars_keep_their_rhythm_and_a_quarter_is_new(aria, family):
    child, waltz = (aria.score(family[name].genes) for name in ("child", "waltz"))
    same = [rhythm(child, bar) == rhythm(waltz, bar) for bar in range(6)]
    assert 3 <= sum(same) <= 5  # two of six bars were written anew; they may come out with the same rhythm
    inside = np.isin(child.notes["pitch"] % 12, sorted(child.key.scale)).mean()
    assert inside > 0.8


def rhythm(score, bar):
    """The onsets of a bar."""
    start = score.bar_starts()[bar]
    inside = (score.notes["start"] >= start - 1e-6) & (score.notes["start"] < start + 3 - 1e-6)
    return sorted(set(np.round(score.notes["start"][inside] - start, 3).tolist()))


def test_it_replays_to_the_same_score(aria, family):
    assert replay(family["child"], model=aria) == family["child"]


def test_a_mutation_writes_some_bars_anew_under_their_chords(aria, family):
    waltz = family["waltz"]
    mutant = mutate(waltz, 0.34, seed=5, model=aria)
    changed = [layer for layer in waltz.latents if mutant.latents[layer] != waltz.latents[layer]]
    assert 1 <= len(changed) <= 2
    assert harmony_of(aria.score(mutant.genes)) == harmony_of(aria.score(waltz.genes))
    assert mutate(waltz, 0, model=aria) is waltz


def test_all_weight_on_one_is_this_one(aria, family):
    parents = [family["waltz"], family["hymn"]]
    assert cross(parents, structure=[0, 1], style=[0, 1], model=aria).genes == family["hymn"].genes
    assert between(*parents, 0, model=aria).genes == family["waltz"].genes
    with pytest.raises(ValueError, match="between two scores of aria there is nothing; cross them"):
        between(*parents, 0.5, model=aria)


def test_it_sounds_as_its_score_says(aria, family):
    song, again = (aria.show(family["hymn"].genes) for _ in range(2))
    assert torch.equal(song.samples, again.samples) and song.samples.abs().max() > 0.01
    score = aria.score(family["hymn"].genes)
    assert [tuple(note) for note in song.score.notes[["start", "pitch"]].tolist()] == [
        tuple(note) for note in score.notes[["start", "pitch"]].tolist()
    ]
    assert aria.portrait(family["hymn"].genes).width == 256


def test_a_midi_file_is_a_parent(aria, family, tmp_path):
    aria.score(family["hymn"].genes).save_midi(tmp_path / "hymn.mid")
    genes = aria.encode(tmp_path / "hymn.mid")
    aria.check(genes)
    found, score = aria.score(genes), aria.score(family["hymn"].genes)
    assert found.notes[["start", "pitch"]].tolist() == score.notes[["start", "pitch"]].tolist()
    assert genes.classes["key"] == "E major" and len(genes.latents) == 4


def test_progressions_fit_other_lengths_and_metres():
    c, f, g, a = (Chord(root, "maj") for root in (0, 5, 7, 9))
    bars = [((0.0, c), (2.0, f)), ((0.0, g),), ((0.0, a),), ((0.0, c),)]
    assert fitted(bars, 2, (4, 4), (4, 4)) == bars[-2:]
    assert fitted(bars, 6, (4, 4), (4, 4)) == [*bars[:2], *bars[:2], *bars[-2:]]
    assert fitted(bars[:1], 1, (4, 4), (3, 4)) == [((0.0, c), (1.0, f))]
    assert joined([bars, bars[::-1]], [0.5, 0.5]) == [*bars[:2], *bars[:-3:-1]]
    assert joined([bars, bars[::-1]], [0, 1]) == bars[::-1]


def test_notes_move_to_the_nearest_that_is_wanted():
    assert nearest(60, {0, 4, 7}, 0, 127) == 60 and nearest(62, {0, 4}, 0, 127) == 60  # of two the lower
    assert nearest(20, {0}, 30, 50) == 36


@pytest.mark.parametrize(
    ("latents", "classes", "sentence"),
    [
        ({"bar 2": (1, 2)}, {}, "a score has bar 1, bar 2"),
        ({"bar 1": (9999,)}, {}, "holds tokens beyond 0 to"),
        ({"bar 1": (0, 5)}, {}, "bar 1 of the genome is no bar"),
        (None, {"style": "waltz"}, "the genome's classes are"),
        (None, "key", "Unknown key 'H flat'"),
        (None, "instruments", "they should be a list"),
    ],
)
def test_genes_that_are_no_score(aria, family, latents, classes, sentence):
    hymn = family["hymn"]
    wrong = {"key": {"key": "H flat"}, "instruments": {"instruments": "organ"}}
    changed = dict(hymn.classes) | wrong[classes] if isinstance(classes, str) else classes or hymn.classes
    genes = Genes(hymn.latents if latents is None else latents, changed)
    with pytest.raises(ValueError, match=sentence):
        mutate(replace(hymn, genes=genes), 0.2, model=aria)
