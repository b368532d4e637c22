"""The loop against a naive one that reads everything anew for every token."""

import pytest
import torch
from tiny_decoders import drawing_decoder

from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder
from clavilux.layout import OPEN, Delay, Flattened, FrameReader
from clavilux.loop import generate_tokens
from clavilux.sampling import Sampler, SamplingSpec
from clavilux.windows import Windows


def prompt_of(*rows):
    return torch.tensor(rows, dtype=torch.int64)[:, None]


def run(*arguments, **words):
    steps = list(generate_tokens(*arguments, **words))
    return torch.stack(steps, 2) if steps else None


def naive(decoder, sampling, prompt, num_steps, conditioning=None, windows=None):
    """Every token from a forward pass over all that its window holds."""
    sampler = Sampler(sampling, len(prompt), decoder.spec.codebooks, decoder.spec.output_vocabulary)
    tokens, blocks = prompt, len(sampling.weights)
    for step in range(num_steps):
        keep, dropped = (windows.keep, windows.dropped(tokens.shape[2])) if windows else (0, 0)
        held = torch.cat([tokens[:, :, :keep], tokens[:, :, keep + dropped :]], 2) if dropped else tokens
        part = conditioning
        if conditioning is not None and conditioning.additive is not None:
            additive = conditioning.additive
            additive = torch.cat([additive[:, :keep], additive[:, keep + dropped :]], 1) if dropped else additive
            part = Conditioning(conditioning.prefix, conditioning.memory, conditioning.memory_mask, additive)
        if part is not None and part.window_prefixes:
            index = min(dropped // windows.stride, len(part.window_prefixes))
            part = Conditioning((part.prefix, *part.window_prefixes)[index], part.memory, part.memory_mask)
        with torch.no_grad():
            logits = decoder(held.repeat(blocks, 1, 1), conditioning=part)[:, :, -1]
        tokens = torch.cat([tokens, sampler.draw(logits, step)[:, :, None]], 2)
    return tokens[:, :, prompt.shape[2] :]


class Script:
    """A grammar from a list: a number must come, a set may come, None is free."""

    def __init__(self, script, vocabulary=13):
        self.script, self.vocabulary, self.heard, self.asked = script, vocabulary, [], 0

    @property
    def done(self):
        return len(self.heard) == len(self.script)

    def allowed(self):
        self.asked += 1
        choice = self.script[len(self.heard)]
        if isinstance(choice, int):
            return torch.tensor([choice])
        mask = torch.zeros(1, self.vocabulary, dtype=torch.bool)
        mask[0, list(range(self.vocabulary) if choice is None else choice)] = True
        return mask

    def advance(self, tokens):
        self.heard.append(int(tokens[0]))


@pytest.mark.parametrize("words", [{}, {"positions": "rope", "norm": "rms"}, {"codebooks": 3}], ids=str)
@pytest.mark.parametrize("windows", [None, Windows(9, 4), Windows(9, 9), Windows(10, 3, 2)], ids=str)
def test_equals_the_naive_loop(words, windows):
    decoder = drawing_decoder(**words)
    torch.manual_seed(1)
    prompt = torch.randint(13, (2, decoder.spec.codebooks, 3))
    sampling = SamplingSpec(seed=(4, 5), temperature=1.5)
    steps = 25
    given = run(decoder, sampling, prompt, num_steps=steps, windows=windows)
    assert torch.equal(given, naive(decoder, sampling, prompt, steps, windows=windows))
    assert len(given[0].unique()) > 3


@pytest.mark.parametrize("windows", [None, Windows(9, 4), Windows(10, 3, 2)], ids=str)
def test_conditioning_and_guidance_equal_the_naive_loop(windows):
    decoder = drawing_decoder(cross_attention=True)
    torch.manual_seed(2)
    one = Conditioning(torch.randn(2, 3, 16), torch.randn(2, 4, 16), None, torch.randn(2, 40, 16))
    conditioning = Conditioning.stack([one, Conditioning(prefix=torch.randn(2, 3, 16))])
    sampling = SamplingSpec(seed=(4, 5), guidance=2.0, top_k=7)
    prompt = prompt_of([1, 2], [3, 4])
    given = run(decoder, sampling, prompt, num_steps=22, conditioning=conditioning, windows=windows)
    assert torch.equal(given, naive(decoder, sampling, prompt, 22, conditioning, windows))
    unguided = run(decoder, SamplingSpec(seed=(4, 5), top_k=7), prompt, num_steps=22, conditioning=one, windows=windows)
    assert not torch.equal(given, unguided)


@pytest.mark.parametrize("windows", [Windows(9, 4), Windows(9, 4, keep=2)], ids=str)
def test_a_prefix_that_changes_from_window_to_window(windows):
    decoder, prompt = drawing_decoder(), prompt_of([1, 2], [3, 4])
    torch.manual_seed(2)
    first, *later = torch.randn(4, 2, 3, 16)
    one = Conditioning(first, window_prefixes=tuple(later[:2]))
    conditioning = Conditioning.stack([one, Conditioning(prefix=later[2])])
    sampling = SamplingSpec(seed=(4, 5), guidance=2.0)
    given = run(decoder, sampling, prompt, num_steps=22, conditioning=conditioning, windows=windows)
    assert torch.equal(given, naive(decoder, sampling, prompt, 22, conditioning, windows))
    same = Conditioning.stack([Conditioning(first), Conditioning(prefix=later[2])])
    assert not torch.equal(given, run(decoder, sampling, prompt, num_steps=22, conditioning=same, windows=windows))


def test_three_blocks_of_guidance():
    decoder = drawing_decoder()
    conditioning = Conditioning.stack([Conditioning(prefix=torch.randn(2, 3, 16)) for _ in range(3)])
    sampling = SamplingSpec(seed=(4, 5), guidance=(2.0, 1.0, -2.0))
    prompt = prompt_of([1], [3])
    given = run(decoder, sampling, prompt, num_steps=8, conditioning=conditioning)
    assert torch.equal(given, naive(decoder, sampling, prompt, 8, conditioning))


def test_a_row_equals_the_same_row_alone():
    decoder = drawing_decoder(positions="rope")
    prefix = torch.randn(3, 2, 16)
    empty = torch.zeros(3, 1, 0, dtype=torch.int64)
    words = {"num_steps": 60, "windows": Windows(20, 7)}
    together = run(decoder, SamplingSpec(seed=(7, 8, 9)), empty, conditioning=Conditioning(prefix=prefix), **words)
    for row in range(3):
        alone = Conditioning(prefix=prefix[row : row + 1])
        given = run(decoder, SamplingSpec(seed=7 + row), empty[:1], conditioning=alone, **words)
        assert torch.equal(given[0], together[row])


def test_windows_change_nothing_while_there_is_room():
    decoder, sampling, prompt = drawing_decoder(), SamplingSpec(seed=3), prompt_of([1])
    free = run(decoder, sampling, prompt, num_steps=30)
    windowed = run(decoder, sampling, prompt, num_steps=60, windows=Windows(20, 5))
    assert torch.equal(windowed[:, :, :20], free[:, :, :20])
    assert not torch.equal(windowed[:, :, :30], free)


def test_a_prompt_longer_than_the_window():
    decoder, sampling = drawing_decoder(), SamplingSpec(seed=3)
    torch.manual_seed(3)
    prompt = torch.randint(13, (2, 1, 50))
    for windows in (Windows(20, 5), Windows(20, 6, 4)):
        given = run(decoder, sampling, prompt, num_steps=12, windows=windows)
        assert torch.equal(given, naive(decoder, sampling, prompt, 12, windows=windows))


def test_known_places_of_a_plan_stand_and_the_rest_is_drawn():
    decoder = drawing_decoder(codebooks=2)
    sampling, prompt = SamplingSpec(seed=(3, 4)), torch.randint(13, (2, 2, 1))
    free = run(decoder, sampling, prompt, num_steps=9)
    plan = free.clone()
    plan[:, :, 2:5] = OPEN
    plan[:, 1, 7] = OPEN
    assert torch.equal(run(decoder, sampling, prompt, plan=plan), free)
    plan[:, 0, 1] = (free[:, 0, 1] + 1) % 13
    changed = run(decoder, sampling, prompt, plan=plan)
    assert torch.equal(changed[plan != OPEN], plan[plan != OPEN])
    assert torch.equal(run(decoder, sampling, prompt, plan=torch.full((1, 2, 9), OPEN)), free)


def test_delayed_codebooks_with_a_special_id_that_is_never_drawn():
    layout = Delay(3, 11, (0, 1, 3), 12)  # ids 11 and 12 are in the head, not in the codec
    decoder = drawing_decoder(codebooks=3)
    frames = torch.randint(11, (2, 3, 2))
    plan = layout.arrange(frames, num_frames=20)
    start = torch.full((2, 3, 1), 12)
    steps = run(decoder, SamplingSpec(seed=5, temperature=8.0), start, plan=plan, layout=layout)
    given = layout.restore(steps)
    assert given.shape == (2, 3, 20) and torch.equal(given[:, :, :2], frames)
    reader = FrameReader(layout)
    streamed = [reader.push(step[:, :, None]) for step in steps.unbind(2)]
    assert torch.equal(torch.cat(streamed, 2), given)


def test_flattened_codebooks_draw_from_their_own_ids():
    layout = Flattened(3, 4)
    decoder = drawing_decoder()
    plan = layout.arrange(torch.zeros(2, 3, 0, dtype=torch.int64), num_frames=9)
    steps = run(decoder, SamplingSpec(seed=5, temperature=8.0), prompt_of([12], [12]), plan=plan, layout=layout)
    assert layout.restore(steps).shape == (2, 3, 9)


def test_grammars_are_held_and_rows_end_by_themselves():
    decoder = drawing_decoder()
    scripts = [[None, 3, 4, {1, 2}, None], [{5}, 6, {7, 8, 9}], [1, 2, 3, 4, 5, 6, {0, 12}]]
    grammars = [Script(script) for script in scripts]
    given = run(decoder, SamplingSpec(seed=(1, 2, 3)), prompt_of([0], [0], [0]), grammars=grammars, pad=11)
    assert given.shape == (3, 1, 7)
    for row, (script, grammar) in enumerate(zip(scripts, grammars, strict=True)):
        tokens = given[row, 0].tolist()
        assert tokens[: len(script)] == grammar.heard
        assert tokens[len(script) :] == [11] * (7 - len(script))
        for choice, token in zip(script, tokens, strict=False):
            assert choice is None or token == choice or (isinstance(choice, set) and token in choice)
        assert grammar.asked == len(script)


def test_a_row_with_a_grammar_equals_the_same_row_alone():
    decoder = drawing_decoder(positions="rope")
    scripts = [[None, 3, 4, None, None] * 4, [None] * 9, [1, 2, None, None, 5, 6, 7, None] * 5]
    words = {"windows": Windows(12, 5, 1)}
    together = run(decoder, SamplingSpec(seed=(1, 2, 3)), prompt_of([0], [0], [0]),
                   grammars=[Script(script) for script in scripts], **words)  # fmt: skip
    for row, script in enumerate(scripts):
        alone = run(decoder, SamplingSpec(seed=row + 1), prompt_of([0]), grammars=[Script(script)], **words)
        assert torch.equal(alone[0], together[row, :, : len(script)])


def test_forced_tokens_are_read_in_one_pass(monkeypatch):
    decoder = drawing_decoder()
    sizes = []
    prefill, step = Decoder.prefill, Decoder.step

    def counted(self, tokens, state):
        sizes.append(tokens.shape[2])
        return prefill(self, tokens, state)

    def counted_step(self, tokens, state):
        sizes.append(1)
        return step(self, tokens, state)

    monkeypatch.setattr(Decoder, "prefill", counted)
    monkeypatch.setattr(Decoder, "step", counted_step)
    run(decoder, SamplingSpec(), prompt_of([0, 1]), grammars=[Script([1, 2, 3, None, None, 4, 5, None, 6, 7])])
    assert sizes == [5, 1, 3]  # what comes last of all is never read


def test_num_steps_limits_grammars():
    given = run(drawing_decoder(), SamplingSpec(), prompt_of([0]), grammars=[Script([None] * 20)], num_steps=6)
    assert given.shape == (1, 1, 6)
    assert run(drawing_decoder(), SamplingSpec(), prompt_of([0]), grammars=[Script([])]) is None


def test_an_ended_row_may_have_a_pad_that_the_head_does_not_score():
    decoder = drawing_decoder(output_vocabulary=10)
    grammars = [Script([None] * 4, 10), Script([None], 10)]
    given = run(decoder, SamplingSpec(seed=(1, 2)), prompt_of([0], [0]), grammars=grammars, pad=12)
    assert given[1, 0, 1:].tolist() == [12, 12, 12]


def test_steps_come_one_by_one():
    steps = generate_tokens(drawing_decoder(), SamplingSpec(), prompt_of([0]), num_steps=10)
    first = next(steps)
    assert first.shape == (1, 1)
    steps.close()


def test_what_does_not_fit_is_named():
    decoder, sampling, prompt = drawing_decoder(), SamplingSpec(), prompt_of([0])
    empty = torch.zeros(1, 1, 0, dtype=torch.int64)

    def check(message, *arguments, **words):
        with pytest.raises(ValueError, match=message):
            next(generate_tokens(*arguments, **words))

    check("nothing says where to end", decoder, sampling, prompt)
    check("the prompt is", decoder, sampling, prompt[:, 0], num_steps=1)
    check("the prompt is torch.float32", decoder, sampling, prompt.float(), num_steps=1)
    check("from 13 to 13", decoder, sampling, prompt_of([13]), num_steps=1)
    check("at least one more", decoder, sampling, empty, num_steps=1)
    check("room for 41, windows", decoder, sampling, prompt, num_steps=41)
    check("the plan is", decoder, sampling, prompt, plan=torch.zeros(2, 1, 4, dtype=torch.int64))
    check("both num_steps and a plan", decoder, sampling, prompt, plan=prompt, num_steps=3)
    check("2 grammars", decoder, sampling, prompt, grammars=[Script([None])] * 2)
    check("a mask", decoder, sampling, prompt, grammars=[Script([None], 12)])
    check("windows of 50", decoder, sampling, prompt, num_steps=1, windows=Windows(50, 5))
    check("the conditioning has 2 rows", decoder, sampling, prompt, num_steps=1,
          conditioning=Conditioning(prefix=torch.zeros(2, 1, 16)))  # fmt: skip
    with pytest.raises(ValueError, match="windows would allow more"):
        list(generate_tokens(decoder, sampling, prompt, grammars=[Script([None] * 50)]))


def test_a_window_begins_with_the_layouts_special_ids():
    """What the decoder reads after each move, seen by a decoder that only listens."""
    decoder = drawing_decoder(codebooks=2, vocabulary=14, output_vocabulary=13)
    heard = []
    prefill = decoder.prefill
    decoder.prefill = lambda tokens, state: (heard.append(tokens), prefill(tokens, state))[1]
    layout = Delay(2, 13, (0, 2), special=13)
    plan = layout.arrange(torch.zeros(1, 2, 0, dtype=torch.int64), 20)
    start = torch.full((1, 2, 1), 13)
    run(decoder, SamplingSpec(), start, plan=plan, layout=layout, windows=Windows(9, 4, 1))
    moved = heard[1:-1]  # the last move sees the plan's end, which is special too
    assert len(moved) > 1
    for tokens in moved:
        assert (tokens[0, 1, :2] == 13).all() and (tokens[0, 0] != 13).all() and (tokens[0, 1, 2:] != 13).all()
    with pytest.raises(ValueError, match="they should share as many"):
        run(decoder, SamplingSpec(), start, plan=plan, layout=layout, windows=Windows(9, 7, 1))


class Rising:
    """An ordered grammar of three codebooks: the last is drawn first, and each other one is above the one before it."""

    order = (2, 1, 0)

    def __init__(self, steps, known=()):
        self.steps, self.known, self.heard, self.here = steps, dict(known), [], {}

    @property
    def done(self):
        return len(self.heard) == self.steps

    def allowed(self):
        self.here = {}
        return torch.tensor([OPEN, OPEN, self.known.get(len(self.heard), OPEN)])

    def choices(self, book):
        at = len(self.heard)
        above = -1 if book == 2 else self.here.get(book + 1, self.known.get(at, -1))
        mask = torch.zeros(13, dtype=torch.bool)
        mask[above + 1 : 11 + (2 - book)] = True
        return mask

    def take(self, book, token):
        self.here[book] = token

    def advance(self, tokens):
        self.heard.append(tokens.tolist())


def test_codebooks_in_order_see_what_was_drawn_in_their_own_step():
    decoder = drawing_decoder(codebooks=3)
    prompt = torch.zeros(2, 3, 1, dtype=torch.int64)
    grammars = [Rising(12), Rising(7, {3: 4})]
    given = run(decoder, SamplingSpec(seed=(5, 6)), prompt, grammars=grammars, pad=12)
    assert given.shape == (2, 3, 12) and (given[1, :, 7:] == 12).all() and int(given[1, 2, 3]) == 4
    for row, grammar in enumerate(grammars):
        assert given[row, :, : grammar.steps].T.tolist() == grammar.heard
        assert all(first > second > third for first, second, third in grammar.heard)
    alone = run(decoder, SamplingSpec(seed=6), prompt[:1], grammars=[Rising(7, {3: 4})])
    assert torch.equal(alone[0], given[1, :, :7])


def test_a_codebook_alone_is_drawn_as_among_the_others():
    sampler = Sampler(SamplingSpec(seed=3), 2, 3, 13)
    logits = torch.randn(2, 3, 13, generator=torch.Generator().manual_seed(0))
    whole = sampler.draw(logits, 5)
    assert torch.equal(torch.cat([sampler.draw(logits, 5, book=book) for book in range(3)], 1), whole)
