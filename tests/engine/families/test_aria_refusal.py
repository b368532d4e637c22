"""Prompts of which nothing is understood: refused by the composer, with what it knows; and those that are not."""

import pytest

from clavilux.families.aria.refusal import check_understood

# In eight languages and more; no style that is known will ever be called so.
REFUSED = (
    "dubstep 130 bpm", "krautrock beat", "drum solo", "grime to study to",
    "xyzzy", "brontosaurus tax form", "16 bars of xyzzy in 3/4", "music", "???", "12345", "no xyzzy",
    "Steuerbescheid",
    "feuille d'impôt", "un perro verde", "modulo delle tasse", "belastingformulier", "налоговая декларация",
    "музыка для сна", "確定申告の書類", "電子音樂", "세금 신고서", "نموذج ضريبي", "कर प्रपत्र", "\N{SLICE OF PIZZA}",
)  # fmt: skip


@pytest.mark.parametrize("prompt", REFUSED)
def test_nothing_is_made_of_what_is_not_understood(prompt):

    with pytest.raises(ValueError, match=r"not understood: .*styles are chorale, .*anything=True makes") as refusal:
        check_understood(prompt)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 1200
    check_understood(prompt, anything=True)


@pytest.mark.parametrize(
    "prompt",
    ["", " \n\t", "piano", "techno piano", "lo-fi beats", "dark xyzzy", "fast xyzzy", "Am F C G", "in G minor",
     "130 bpm", "16 bars", "a song", "no drums", "3/4"],
)  # fmt: skip
def test_what_says_which_music_or_leaves_nothing_unsaid_is_made(prompt):
    check_understood(prompt)


def test_words_that_are_spelled_nearly_so_are_named_and_what_was_understood():
    with pytest.raises(ValueError, match=r"only 90 bpm was understood.*like it: clarinet"):
        check_understood("clarinnet 90 bpm")
    with pytest.raises(ValueError, match="drums .*no music for drums"):
        check_understood("drums xyzzy")


@pytest.mark.parametrize("value", [1, "yes", None])
def test_anything_is_true_or_false(value):
    with pytest.raises(TypeError, match="anything is .*; it should be True or False"):
        check_understood("piano", value)
